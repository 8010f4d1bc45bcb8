"""Shamir sharing: one secret <-> m shares on a polynomial of degree t (Shamir 1979). Local steps only."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mpcstats.field import Elements, PrimeField, WordSource, lagrange
from mpcstats.sharing import blocks
from mpcstats.sharing.committee import Committee

__all__ = ["consistent", "deal_compressed", "deal_plain", "reconstruct", "reconstruct_checked"]


def deal_plain(field: PrimeField, committee: Committee, secret: Elements, coins: WordSource) -> dict[int, Elements]:
    """Shares of all parties, from t uniform coefficients per element.

    Returns
    -------
    dict of int to Elements
        Share of party 1..m, the shape of `secret`.
    """
    shares = dict.fromkeys(committee.members, secret)
    for power in range(1, committee.t + 1):
        coefficient = field.uniform(coins, field.shape(secret))
        for j in committee.members:
            shares[j] = field.add(shares[j], field.scale(coefficient, pow(j, power, field.modulus)))
    return shares


def deal_compressed(
    field: PrimeField, committee: Committee, dealer: int, secret: Elements, common: Mapping[int, WordSource]
) -> dict[int, Elements]:
    """The dealer's own share (a guest has none) and the shares to send, when t shares are coins held in common.

    The polynomial goes through (0, secret) and (j, coin[j]); it is uniform among those of degree t with that
    constant term because the common coins are uniform. Each receiver knows only the coins of its own pair.

    Parameters
    ----------
    common : mapping of int to WordSource
        The streams held with each party of `committee.compressed(dealer)`.

    Returns
    -------
    dict of int to Elements
        Keys: the dealer, if it is a member, and `committee.sent_to(dealer)`.
    """
    shape = field.shape(secret)
    points = ((dealer,) if dealer in committee.members else ()) + committee.sent_to(dealer)
    rows = [committee.deal_weights(field, dealer, j) for j in points]
    flat = field.reshape(secret, (math.prod(shape),))
    dealt = blocks.blend(field, flat, [common[j] for j in committee.compressed(dealer)], rows)
    return {j: field.reshape(row, shape) for j, row in zip(points, dealt, strict=True)}


def reconstruct(field: PrimeField, shares: Mapping[int, Elements], degree: int) -> Elements:
    """The secret from at least degree + 1 shares; further shares are not looked at (see `consistent`)."""
    points = tuple(sorted(shares))[: degree + 1]
    return field.lincomb(lagrange(field, points, 0), [shares[i] for i in points])


def consistent(field: PrimeField, shares: Mapping[int, Elements], degree: int) -> bool:
    """Whether all shares lie on polynomials of the given degree.

    With n shares this detects any n - degree - 1 wrong ones.
    """
    points = tuple(sorted(shares))
    basis, rest = points[: degree + 1], points[degree + 1 :]
    return all(
        np.array_equal(field.lincomb(lagrange(field, basis, j), [shares[i] for i in basis]), shares[j]) for j in rest
    )


def reconstruct_checked(field: PrimeField, shares: Mapping[int, Elements], degree: int) -> Elements | None:
    """`reconstruct` and `consistent` in one pass over the shares; None if they do not lie on one polynomial."""
    points = tuple(sorted(shares))
    basis, rest = points[: degree + 1], points[degree + 1 :]
    # the value at zero, and for each further share its difference from what the others say
    rows = [[*lagrange(field, basis, 0), *([0] * len(rest))]]
    rows += [[*lagrange(field, basis, j), *(-1 if k == j else 0 for k in rest)] for j in rest]
    value, *differences = blocks.combine(field, [shares[i] for i in points], rows)
    return None if any(difference.any() for difference in differences) else value
