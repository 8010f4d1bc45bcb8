"""Dealing inputs, and products of shared values."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from mpcstats.field import Elements, PrimeField, lagrange
from mpcstats.protocols.deals import deal_together, elements
from mpcstats.protocols.declare import protocol
from mpcstats.protocols.resharing import fits, flat_pair, fused_multiply
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared

__all__ = ["deal", "inner_product", "multiply", "reshare", "select", "sum_of_inputs"]


async def deal(
    session: Session,
    field: PrimeField,
    own: Elements | None,
    dealers: tuple[int, ...],
    shape: tuple[int, ...],
    fraction_bits: int = 0,
) -> dict[int, Shared]:
    """Every dealer shares an array of its own. One round.

    Parameters
    ----------
    own : Elements or None
        This party's array of `shape`; None when it is not a dealer.
    dealers : tuple of int
        Who deals; public.

    Returns
    -------
    dict of dealer to Shared
        Degree t.

    Notes
    -----
    t shares of each dealer come from keys it holds with their receivers; m - 1 - t are sent (Shamir 1979, compressed
    as in Cramer, Damgard, Ishai 2005). Reveals nothing.
    """
    (dealt,) = await deal_together(session, elements(session, field, own, dealers, shape, fraction_bits))
    return cast("dict[int, Shared]", dealt)


@protocol(
    rounds=lambda c: 1, bytes_sent=lambda c: c.committee.m * c.deal, source="Shamir 1979; Cramer, Damgard, Ishai 2005"
)
async def sum_of_inputs(
    session: Session,
    field: PrimeField,
    own: Elements | None,
    dealers: tuple[int, ...],
    shape: tuple[int, ...],
    fraction_bits: int = 0,
) -> Shared:
    """The sum over all dealers of their arrays. One round; reveals nothing."""
    dealt = list((await deal(session, field, own, dealers, shape, fraction_bits)).values())
    total = dealt[0]
    for x in dealt[1:]:
        total = total + x
    return total


@protocol(
    rounds=lambda c: 1,
    bytes_sent=lambda c: (2 * c.committee.t + 1) * c.deal,
    source="Gennaro, Rabin, Rabin 1998, section 3",
)
async def reshare(session: Session, product: Shared) -> Shared:
    """Bring a sharing of degree 2t back to degree t. One round.

    2t+1 parties deal their shares; the receivers put the dealt sharings together with the weights that interpolate at
    zero. Reveals nothing.
    """
    committee, field = session.committee, product.field
    dealers = tuple(range(1, 2 * committee.t + 2))
    weights = lagrange(field, dealers, 0)
    own = product.values if session.point in dealers else None
    dealt = await deal(session, field, own, dealers, product.shape)
    values = field.lincomb(weights, [dealt[d].values for d in dealers])
    return replace(product, values=values, degree=committee.t)


def local_product(x: Shared, y: Shared) -> Shared:
    """Elementwise product of degree 2t, without a round. Reshare or truncate it before anything else."""
    if x.field != y.field:
        raise TypeError(f"{x!r} and {y!r} are in different fields")
    return Shared(x.field, x.field.mul(x.values, y.values), x.degree + y.degree, x.fraction_bits + y.fraction_bits)


@protocol(
    rounds=lambda c: 1,
    bytes_sent=lambda c: (2 * c.committee.t + 1) * c.deal,
    source="Gennaro, Rabin, Rabin 1998, section 3",
)
async def multiply(session: Session, x: Shared, y: Shared) -> Shared:
    """Elementwise product, broadcasting; fraction bits add up. One round; reveals nothing."""
    if x.field != y.field or x.degree + y.degree > 2 * session.committee.t or not fits(x.field, max(x.size, y.size)):
        return await reshare(session, local_product(x, y))
    one, other, shape = flat_pair(x.field, x.values, y.values)
    values = await fused_multiply(session, x.field, one, other, session.label("multiply"))
    fraction_bits = x.fraction_bits + y.fraction_bits
    return Shared(x.field, x.field.reshape(values, shape), session.committee.t, fraction_bits)


@protocol(
    rounds=lambda c: 1,
    bytes_sent=lambda c: (2 * c.committee.t + 1) * c.deal,
    source="Gennaro, Rabin, Rabin 1998, section 3",
)
async def inner_product(session: Session, x: Shared, y: Shared, axis: int = -1) -> Shared:
    """Sum of products over one axis: one element dealt per result, whatever the length. One round; reveals nothing."""
    return await reshare(session, local_product(x, y).sum(axis))


@protocol(
    rounds=lambda c: 1,
    bytes_sent=lambda c: (2 * c.committee.t + 1) * c.deal,
    source="Gennaro, Rabin, Rabin 1998, section 3",
)
async def select(session: Session, condition: Shared, if_one: Shared, if_zero: Shared) -> Shared:
    """`if_one` where the shared bit is 1, `if_zero` where it is 0. One round; reveals nothing."""
    return if_zero + await multiply(session, condition, if_one - if_zero)
