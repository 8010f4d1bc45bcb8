"""Kernels for packed bits and for linear combinations, beside their slow twins."""

from __future__ import annotations

import numpy as np
import pytest

from mpcstats.field import M61, M127, PrimeField
from mpcstats.field.bitslice import planes
from mpcstats.sharing import blocks, boolean
from mpcstats.sharing.committee import Committee
from mpcstats.sharing.streams import Stream

FIELDS = pytest.mark.parametrize("field", [M61, M127], ids=str)


def edges(field: PrimeField, count: int, seed: int) -> np.ndarray:
    """Uniform elements with 0, 1, p - 1 and p - 2 among them."""
    a = field.uniform(Stream(bytes([seed]) * 32, "test"), (count,))
    special = field.from_ints([0, 1, -1, -2])[: min(4, count)]
    a[: len(special)] = special
    return a


@pytest.mark.parametrize("count", [1, 63, 64, 65, 511, 512, 513, 5000])
def test_planes_are_the_bits_of_numbers(count: int) -> None:
    words = np.random.default_rng(count).integers(0, 2**64, count, dtype=np.uint64)
    out = np.empty((64, boolean.lanes(count)), np.uint64)
    planes(words, out)
    bits = (words[None, :] >> np.arange(64, dtype=np.uint64)[:, None]) & np.uint64(1)
    assert np.array_equal(boolean.unpack(out, count), bits.astype(np.uint8))
    assert np.array_equal(out, boolean.pack_bits(bits.astype(np.uint8)))  # what fills the last word is zero


@pytest.mark.parametrize("committee", [Committee(1, 0), Committee(3, 1), Committee(4, 1), Committee(5, 2)], ids=str)
@pytest.mark.parametrize("width", [1, 511, 1030])
def test_cross_terms_of_all_parties_make_the_product(committee: Committee, width: int) -> None:
    rng = np.random.default_rng(width)
    x, y = ({A: rng.integers(0, 2**64, (5, width), dtype=np.uint64) for A in committee.subsets} for _ in range(2))
    left, right = np.array([0, 4, 4, 2]), np.array([1, 1, 0, 2])
    total = np.zeros((4, width), np.uint64)
    for i in committee.members:
        mine = committee.subsets_of(i)
        rows = [np.stack([share[A] for A in mine]) for share in (x, y)]
        total ^= boolean.cross_terms(committee, i, rows[0], left, rows[1], right)
    whole = [np.bitwise_xor.reduce(np.stack(list(share.values())), axis=0) for share in (x, y)]
    assert np.array_equal(total, whole[0][left] & whole[1][right])


@FIELDS
@pytest.mark.parametrize("count", [1, 64, 700])
def test_flip_is_one_minus_a_share_where_the_bit_is_one(field: PrimeField, count: int) -> None:
    shares = np.stack([edges(field, count, k) for k in (1, 2)])
    bits = np.random.default_rng(count).integers(0, 2, (2, count), dtype=np.uint8)
    ones = bits.astype(np.bool_) if field.limbs == 1 else bits.astype(np.bool_)[..., None]
    expected = np.where(ones, field.sub(field.constant(1), shares), shares)
    assert np.array_equal(boolean.flip(field, shares, boolean.pack_bits(bits)), expected)


@FIELDS
@pytest.mark.parametrize("count", [1, 255, 256, 1025, 40_000])
def test_combinations_are_lincombs(field: PrimeField, count: int) -> None:
    arrays = [edges(field, count, k) for k in range(3)]
    rows = [[1, 2, -1], [0, field.modulus - 2, 3], [field.modulus // 3, 0, 0]]
    expected = np.stack([field.lincomb([w % field.modulus for w in row], arrays) for row in rows])
    assert np.array_equal(blocks.combine(field, arrays, rows), expected)


@FIELDS
@pytest.mark.parametrize("count", [1, 255, 256, 3000])
def test_blends_use_the_coins_that_uniform_draws(field: PrimeField, count: int) -> None:
    x, rows = edges(field, count, 9), [[2, 5, -1], [0, -1, 0]]
    streams = [Stream(b"k" * 32, name) for name in "ab"]
    coins = [field.uniform(Stream(b"k" * 32, name), (count,)) for name in "ab"]
    expected = np.stack([field.lincomb([w % field.modulus for w in row], [x, *coins]) for row in rows])
    assert np.array_equal(blocks.blend(field, x, streams, rows), expected)


class Scripted:
    """Words of all ones first: p itself, which is no element and is drawn again."""

    def __init__(self) -> None:
        self.drawn = 0

    def words(self, count: int) -> np.ndarray:
        out = np.empty(count, np.uint64)
        self.fill(out)
        return out

    def fill(self, out: np.ndarray) -> None:
        out[:] = np.uint64(2**64 - 1) if not self.drawn else np.uint64(7)
        self.drawn += out.size


@FIELDS
def test_blends_draw_again_what_is_no_element(field: PrimeField) -> None:
    x = field.zeros((300,))
    (out,) = blocks.blend(field, x, [Scripted()], [[1, 1]])
    again = field.from_ints([7 + (7 << 64 if field.limbs == 2 else 0)])
    assert np.array_equal(out, np.broadcast_to(again, out.shape))
