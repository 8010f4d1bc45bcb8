"""The fused kernels of fixed-point arithmetic against Python integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpcstats.field import M127, Elements, fused_fixed, lagrange

P = M127.modulus
EDGES = [0, 1, 2, P - 1, P - 2, P // 2, P // 2 + 1, 2**63, 2**64 - 1, 2**64, 2**126, 2**126 - 1]
COUNT = 300


def elements(seed: int) -> Elements:
    """The edges, in another order for each seed, then random ones."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 2**64, (COUNT, 2), dtype=np.uint64)
    a[:, 1] >>= np.uint64(1)
    a[: len(EDGES)] = M127.from_ints(rng.permutation(np.array(EDGES, object)))
    return a


def fixed(a: Elements) -> Elements:
    """Only to be read, as the factors are in protocols: kernels are compiled for that."""
    view = a.view()
    view.setflags(write=False)
    return view


def ints(a: Elements) -> list[int]:
    return [int(v) for v in M127.to_ints(a)]


@pytest.mark.parametrize("bits", [1, 24, 63, 64, 65, 126])
@pytest.mark.parametrize(("bounded", "uniform"), [(1, 0), (2, 2), (10, 20)])
def test_masked_products(bits: int, bounded: int, uniform: int) -> None:
    x, y, kinds = elements(1), elements(2), bounded + uniform
    coins, weights = np.stack([elements(3 + k) for k in range(kinds)]), elements(99)[:kinds]
    mask = M127.constant(2**101 - 1)
    out, high = np.empty_like(x), np.empty_like(x)
    assert not fused_fixed.masked127(fixed(x), fixed(y), coins, bounded, mask, weights, bits, out, high)
    drawn = [[v & (2**101 - 1 if k < bounded else P) for v in ints(row)] for k, row in enumerate(coins)]
    w = ints(weights)
    rows = range(COUNT)
    assert ints(out) == [
        (a * b + sum(w[k] * drawn[k][i] for k in range(kinds))) % P
        for i, a, b in zip(rows, ints(x), ints(y), strict=True)
    ]
    assert ints(high) == [sum(w[k] * (drawn[k][i] >> bits) for k in range(bounded)) % P for i in rows]


def test_a_coin_that_is_no_element_is_seen() -> None:
    row, mask = elements(1), M127.constant(2**101 - 1)
    coins = np.stack([elements(2), elements(3)])
    for high in (2**63 - 1, 2**64 - 1):  # the highest bit does not count
        for k, found in ((0, False), (1, True)):
            planted = coins.copy()
            planted[k, 7] = 2**64 - 1, high
            got = fused_fixed.masked127(
                fixed(row), fixed(row), planted, 1, mask, coins[0, :2], 5, row.copy(), row.copy()
            )
            assert bool(got) == found
        planted = coins[0].copy()
        planted[7] = 2**64 - 1, high
        assert fused_fixed.trim127(planted)
        assert ints(planted) == [*ints(coins[0][:7]), P, *ints(coins[0][8:])]
    assert not fused_fixed.trim127(coins[0])


@pytest.mark.parametrize("m", [1, 3, 5, 9])
@pytest.mark.parametrize("bits", [1, 64, 126])
def test_opened_products(m: int, bits: int) -> None:
    shares, result = np.stack([elements(k) for k in range(m)]), elements(50)
    weights = [w if w < P // 2 else w - P for w in lagrange(M127, tuple(range(1, m + 1)), 0)]
    before, opened, offset, minus = ints(result), np.empty_like(result), 2**100 + 2**64 - 1, 2**80 + 5
    arguments: Any = (shares, np.array(weights), M127.constant(offset), bits, M127.constant(minus), opened, result)
    assert not fused_fixed.opened127(*arguments)
    numbers = [ints(row) for row in shares]
    expected = [(offset + sum(w * row[i] for w, row in zip(weights, numbers, strict=True))) % P for i in range(COUNT)]
    assert ints(opened) == expected
    assert ints(result) == [((c >> bits) - minus - r) % P for c, r in zip(expected, before, strict=True)]
    for wrong in ((2**64 - 1, 2**63 - 1), (0, 2**63)):
        shares[m - 1, COUNT - 1] = wrong
        assert fused_fixed.opened127(*arguments)


@pytest.mark.parametrize("target", [0, 1, P - 1])
@pytest.mark.parametrize("offset", [0, 1, P - 1])
def test_sums_at_the_modulus(target: int, offset: int) -> None:
    share, zero, opened = M127.from_ints([[(target - offset) % P]]), M127.constant(0), M127.zeros((1,))
    fused_fixed.opened127(share, np.ones(1, np.int64), M127.constant(offset), 1, zero, opened, M127.zeros((1,)))
    assert ints(opened) == [target]


def test_halves_of_products() -> None:
    x, y, mask = elements(1), elements(2), elements(3)
    products = [a * b for a, b in zip(ints(x), ints(y), strict=True)]
    first, second, third = mask.copy(), np.empty_like(x), mask.copy()
    fused_fixed.half127(fixed(x), fixed(y), False, first)
    fused_fixed.half127(fixed(x), fixed(y), True, second)
    fused_fixed.third127(fixed(x), fixed(y), third)
    assert ints(first) == [(3 * v + r) % P for v, r in zip(products, ints(mask), strict=True)]
    assert ints(second) == [-3 * v % P for v in products]
    assert ints(third) == [(v - r) % P for v, r in zip(products, ints(mask), strict=True)]


@pytest.mark.parametrize("bits", [1, 40, 64, 100, 126])
@pytest.mark.parametrize("second", [False, True])
def test_deals_of_shifted_halves(bits: int, second: bool) -> None:
    part, coin = elements(1), elements(2)
    own, sent = coin.copy(), np.empty((2, COUNT, 2), np.uint64)
    fused_fixed.cut127(part, bits, second, own, sent)
    dealt = [-((P - v) >> bits) % P if second else v >> bits for v in ints(part)]
    me, other = (2, 1) if second else (1, 2)
    for point, row in ((me, own), (3, sent[0]), (4, sent[1])):
        at_zero, at_other = lagrange(M127, (0, other), point)
        assert ints(row) == [(at_zero * u + at_other * c) % P for u, c in zip(dealt, ints(coin), strict=True)]


def test_sums_and_public_multiples() -> None:
    x, y = elements(1), elements(2)
    total = x.copy()
    assert not fused_fixed.add127(total, y)
    assert ints(total) == [(a + b) % P for a, b in zip(ints(x), ints(y), strict=True)]
    for wrong in ((2**64 - 1, 2**63 - 1), (0, 2**63)):
        received = y.copy()
        received[5] = wrong
        assert fused_fixed.add127(total, received)
    out = np.empty_like(x)
    for times, plus in ((1, 0), (-1, 1), (P // 2, P - 1), (7, -(2**90))):
        fused_fixed.affine127(fixed(x), M127.constant(times), fixed(y), M127.constant(plus), out)
        assert ints(out) == [(times * a + b + plus) % P for a, b in zip(ints(x), ints(y), strict=True)]
        fused_fixed.affine127(fixed(x), M127.constant(times), fixed(M127.zeros((0,))), M127.constant(plus), out)
        assert ints(out) == [(times * a + plus) % P for a in ints(x)]
