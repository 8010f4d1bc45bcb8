"""Matrix products against plain integers: boundaries, shapes, and the bound that makes float64 exact."""

from __future__ import annotations

import contextlib
import itertools
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info

from mpcstats.errors import RangeError
from mpcstats.field import M61, M127, Elements, PrimeField, limbs, matrix, small_field
from tests.field.test_prime import edges

FIELDS = [M61, M127, small_field(7), small_field(2**31 - 1)]
PRODUCTION = [M61, M127]


def twin(field: PrimeField, a: Elements, b: Elements) -> Any:
    """The slow twin: Python integers."""
    product = field.to_ints(a)[..., :, :, None] * field.to_ints(b)[..., None, :, :]
    return np.asarray(product.sum(axis=-2) % field.modulus)


def check(field: PrimeField, a: Elements, b: Elements) -> None:
    product = field.matmul(a, b)
    assert field.is_canonical(product)
    assert np.array_equal(field.to_ints(product), twin(field, a, b))


def mixed(field: PrimeField, shape: tuple[int, ...], seed: int = 1) -> Elements:
    """Uniform elements with boundaries among them."""
    rng = np.random.default_rng(seed)
    values = [int.from_bytes(rng.bytes(20), "big") for _ in range(int(np.prod(shape)))]
    near = edges(field.modulus)
    values[::3] = [near[k % len(near)] for k in range(len(values[::3]))]
    return field.from_ints(np.array(values, object).reshape(shape))


def extremes(field: PrimeField) -> list[int]:
    """Centred numbers whose limbs are as large as they get, in all signs."""
    half, count = field.modulus // 2, {M61: 3, M127: 6}[field]
    top = half >> (21 * (count - 1))
    found = [half, -half]
    for signs in itertools.product((-1, 1), repeat=count):
        low = [-(1 << 20) if s < 0 else (1 << 20) - 1 for s in signs[:-1]]
        values = (
            sum(u << (21 * k) for k, u in enumerate([*low, signs[-1] * last])) for last in (top + 1, top, top - 1)
        )
        found.append(next(value for value in values if abs(value) <= half))
    return found


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_all_pairs_of_boundaries(field: PrimeField) -> None:
    values = field.from_ints(edges(field.modulus))
    count = field.shape(values)[0]
    check(field, field.reshape(values, (count, 1)), field.reshape(values, (1, count)))


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1), (3, 0, 2), (0, 3, 2), (2, 3, 0), (5, 7, 3), (1, 40, 1), (2, 513, 3), (131, 4, 2), (2, 3, 259)],
    ids=str,
)
@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_shapes(field: PrimeField, shape: tuple[int, int, int]) -> None:
    n, k, m = shape
    check(field, mixed(field, (n, k)), mixed(field, (k, m), 2))


@pytest.mark.parametrize("field", FIELDS, ids=str)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_matrices(field: PrimeField, data: st.DataObject) -> None:
    p = field.modulus
    n, k, m = (data.draw(st.integers(1, 4)) for _ in range(3))
    element = st.one_of(st.sampled_from(edges(p)), st.integers(0, p - 1))
    a, b = (data.draw(st.lists(element, min_size=size, max_size=size)) for size in (n * k, k * m))
    check(field, field.reshape(field.from_ints(a), (n, k)), field.reshape(field.from_ints(b), (k, m)))


@pytest.mark.parametrize("field", PRODUCTION, ids=str)
def test_the_bound_holds_at_its_worst(field: PrimeField) -> None:
    """A whole block of the largest parts: what float64 must hold at most, and the product is still exact."""
    found = extremes(field)
    values = field.from_ints(found)
    count, parts, split = len(found), *((5, limbs.split61) if field is M61 else (18, limbs.split127))
    cut = np.empty((parts, count, 1))
    split(field.reshape(values, (count, 1)), 0, 0, cut)
    largest = int(np.abs(cut).max())
    assert matrix._INNER * largest**2 <= 2**53
    assert largest > (3.5 if field is M61 else 4.5) * 2**20  # the extremes are extreme
    a = field.from_ints(np.repeat(np.array(found, object)[:, None], matrix._INNER, axis=1))
    check(field, a, np.swapaxes(a, 0, 1))


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_batches_broadcast(field: PrimeField) -> None:
    check(field, mixed(field, (3, 1, 2, 5)), mixed(field, (4, 5, 3)))
    check(field, mixed(field, (2, 5)), mixed(field, (4, 5, 1)))
    assert field.shape(field.matmul(field.zeros((0, 2, 3)), field.zeros((3, 4)))) == (0, 2, 4)


@pytest.mark.parametrize("field", FIELDS, ids=str)
def test_arrays_that_are_not_contiguous_or_not_ours_to_write(field: PrimeField) -> None:
    a, b = mixed(field, (6, 5)), mixed(field, (4, 6), 2)
    a.setflags(write=False)
    check(field, np.swapaxes(a, 0, 1)[::-1], np.swapaxes(b, 0, 1)[:, ::2])


def test_a_long_inner_dimension_in_a_small_field() -> None:
    p = 2**31 - 1
    field, k = small_field(p), 2 * matrix._INNER_SMALL + 1
    product = field.matmul(np.full((1, k), p - 1, np.uint64), np.full((k, 1), p - 1, np.uint64))
    assert product.tolist() == [[k % p]]


@pytest.mark.parametrize(
    ("left", "right"), [((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (2, 3)), ((2, 2, 3), (3, 3, 2))], ids=str
)
@pytest.mark.parametrize("field", [M61, M127, small_field(7)], ids=str)
def test_shapes_that_do_not_fit_are_refused(field: PrimeField, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    with pytest.raises(RangeError, match=r"shapes \("):
        field.matmul(field.zeros(left), field.zeros(right))


def _blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_threads_of_the_blas_are_as_before_even_when_products_overlap() -> None:
    before = _blas_threads()
    inside: list[list[int]] = []

    def other() -> None:
        with contextlib.suppress(ZeroDivisionError), matrix.one_blas_thread():
            inside.append(_blas_threads())
            raise ZeroDivisionError

    with matrix.one_blas_thread():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        inside.append(_blas_threads())
    assert inside == [[1] * len(before)] * 2
    assert _blas_threads() == before
