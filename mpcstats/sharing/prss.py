"""Pseudorandom secret sharing: random sharings and sharings of zero without communication.

Cramer, Damgard, Ishai: Share conversion, pseudorandom secret-sharing and applications to secure computation, TCC 2005.
The key of subset A is held by its m - t members; a coalition of t parties misses one of them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import Elements, PrimeField
from mpcstats.sharing.committee import Committee, Subset
from mpcstats.sharing.streams import Randomness

__all__ = ["combine", "draw_bounded", "draw_uniform", "zero_share"]


def draw_uniform(
    field: PrimeField, committee: Committee, index: int, coins: Randomness, label: str, shape: tuple[int, ...]
) -> dict[Subset, Elements]:
    """Uniform r_A for each subset A of this party."""
    return {A: field.uniform(coins.subset(A, label), shape) for A in committee.subsets_of(index)}


def draw_bounded(
    field: PrimeField,
    committee: Committee,
    index: int,
    coins: Randomness,
    label: str,
    shape: tuple[int, ...],
    bits: int,
) -> dict[Subset, Elements]:
    """r_A uniform in [0, 2^bits) for each subset A of this party; bits < field.bits."""
    count = int(np.prod(shape, dtype=np.int64))
    drawn = {}
    for A in committee.subsets_of(index):
        words = coins.subset(A, label).words(field.limbs * count)
        drawn[A] = field.reshape(_masked(words, field.limbs, bits), shape)
    return drawn


def _masked(words: NDArray[np.uint64], limbs: int, bits: int) -> NDArray[np.uint64]:
    if limbs == 1:
        return words & np.uint64((1 << bits) - 1)
    pairs = words.reshape(-1, 2)
    low, high = (64, bits - 64) if bits > 64 else (bits, 0)
    pairs[:, 0] &= np.uint64((1 << low) - 1)
    pairs[:, 1] &= np.uint64((1 << high) - 1)
    return pairs


def combine(field: PrimeField, committee: Committee, index: int, drawn: Mapping[Subset, Elements]) -> Elements:
    """This party's share, of degree t, of the sum of all r_A."""
    subsets = committee.subsets_of(index)
    weights = [committee.prss_weight(field, A, index) for A in subsets]
    return field.lincomb(weights, [drawn[A] for A in subsets])


def zero_share(
    field: PrimeField, committee: Committee, index: int, coins: Randomness, label: str, shape: tuple[int, ...]
) -> Elements:
    """This party's share of a fresh sharing of zero of degree 2t.

    For each subset A the polynomial (u_1 x + ... + u_t x^t) f_A(x) with u uniform and known to A: degree 2t, zero at 0
    and outside A. Together they span all sharings of zero of degree 2t that a coalition of t parties cannot tell apart.
    """
    total = field.zeros(shape)
    for A in committee.subsets_of(index):
        stream = coins.subset(A, label)
        weight = committee.prss_weight(field, A, index)
        for power in range(1, committee.t + 1):
            factor = pow(index, power, field.modulus) * weight % field.modulus
            total = field.add(total, field.scale(field.uniform(stream, shape), factor))
    return total
