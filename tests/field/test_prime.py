"""Field arithmetic against plain integers, at the boundaries and at random."""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import RangeError
from mpcstats.field import M61, M127, PrimeField, lagrange, mpyc_field, small_field

FIELDS = [M61, M127, small_field(7), small_field(8191)]


def edges(p: int) -> list[int]:
    powers = [1 << k for k in (1, 2, 28, 29, 31, 32, 60, 61, 62, 63, 64, 65, 126) if 1 << k < p]
    near = [q + d for q in powers for d in (-1, 0, 1)]
    return sorted({v % p for v in [0, 1, 2, p - 1, p - 2, p // 2, p // 2 + 1, *near]})


@pytest.mark.parametrize("field", FIELDS, ids=str)
@pytest.mark.parametrize("name", ["add", "sub", "mul"])
def test_arithmetic_at_all_pairs_of_boundaries(field: PrimeField, name: str) -> None:
    exact: Callable[[int, int], int] = getattr(operator, name)
    values = edges(field.modulus)
    a = field.from_ints(values)
    grid = getattr(field, name)(a[:, None], a[None, :])
    assert field.is_canonical(grid)
    assert field.to_ints(grid).tolist() == [[exact(x, y) % field.modulus for y in values] for x in values]


@pytest.mark.parametrize("field", FIELDS, ids=str)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_arithmetic_at_random(field: PrimeField, data: st.DataObject) -> None:
    p = field.modulus
    x, y = data.draw(st.integers(0, p - 1)), data.draw(st.integers(0, p - 1))
    a, b = field.constant(x), field.constant(y)
    assert int(field.to_ints(field.mul(a, b))) == x * y % p
    assert int(field.to_ints(field.add(a, b))) == (x + y) % p
    assert int(field.to_ints(field.neg(a))) == -x % p


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_sums_over_axes(field: PrimeField) -> None:
    p = field.modulus
    table = [[p - 1 - i * j for i in range(9)] for j in range(5)]
    a = field.from_ints(table)
    assert field.to_ints(field.sum(a, 0)).tolist() == [sum(column) % p for column in zip(*table, strict=True)]
    assert field.to_ints(field.sum(a, -1)).tolist() == [sum(row) % p for row in table]
    assert field.to_ints(field.cumsum(a, 1))[3].tolist() == [sum(table[3][: k + 1]) % p for k in range(9)]


@pytest.mark.parametrize("field", [M61, M127], ids=str)
def test_signed_integers_both_ways(field: PrimeField) -> None:
    values = np.array([0, 1, -1, 2**61 - 2, -(2**61), 2**62 - 1][: 4 if field is M61 else 6], np.int64)
    values = values[np.abs(values) < field.modulus // 2]
    assert np.array_equal(field.to_int64(field.from_int64(values)), values)


def test_an_element_out_of_range_is_refused_on_reading_back() -> None:
    with pytest.raises(RangeError, match="62-bit"):
        M127.to_int64(M127.constant(2**70))


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_bytes_are_canonical_and_checked(field: PrimeField) -> None:
    a = field.from_ints([[0, 1], [field.modulus - 1, field.modulus // 2]])
    data = bytes(field.to_bytes(a))
    assert len(data) == 4 * field.item_bytes
    assert np.array_equal(field.from_bytes(data, (2, 2)), a)
    with pytest.raises(RangeError, match="bytes"):
        field.from_bytes(data[:-1], (2, 2))
    wrong = field.modulus.to_bytes(field.item_bytes, "little")
    with pytest.raises(RangeError, match="not below"):
        field.from_bytes(wrong, (1,))


class Fixed:
    """Words from a list."""

    def __init__(self, words: list[int]) -> None:
        self._words = np.array(words, np.uint64)

    def words(self, count: int) -> np.ndarray:
        taken, self._words = self._words[:count], self._words[count:]
        return taken.copy()


def test_uniform_elements_reject_the_modulus() -> None:
    # a string of 61 ones is not an element; taking it for zero would make zero twice as likely
    drawn = M61.uniform(Fixed([2**61 - 1, 5, 2**61 - 1, 2**64 - 1, 9]), (2,))
    assert drawn.tolist() == [9, 5]
    assert M127.to_ints(M127.uniform(Fixed([2**64 - 1, 2**64 - 1, 3, 2**63]), (1,))).tolist() == [3]


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_lagrange_vectors_interpolate(field: PrimeField) -> None:
    p = field.modulus
    polynomial = [3, 1, 4]

    def value(x: int) -> int:
        return sum(c * x**k for k, c in enumerate(polynomial)) % p

    for at in (0, 2, 5):
        weights = lagrange(field, (1, 3, 4), at)
        assert sum(w * value(x) for w, x in zip(weights, (1, 3, 4), strict=True)) % p == value(at)


def test_fields_are_mpycs_fields() -> None:
    assert mpyc_field(M61).modulus == M61.modulus
    a, b = 2**60 + 12345, 2**59 + 6789
    product = mpyc_field(M61)(a) * mpyc_field(M61)(b)
    assert int(product) % M61.modulus == int(M61.to_ints(M61.mul(M61.constant(a), M61.constant(b))))


def test_importing_mpyc_leaves_the_command_line_alone() -> None:
    import subprocess
    import sys

    script = (
        "import logging, os, sys; sys.argv = ['x', '--help', '-M3']; before = dict(os.environ)\n"
        "from mpcstats.field import M61, lagrange; lagrange(M61, (1, 2), 0)\n"
        "assert sys.argv == ['x', '--help', '-M3'], sys.argv; assert not logging.root.handlers\n"
        "assert dict(os.environ) == before and logging.root.level == logging.WARNING"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
