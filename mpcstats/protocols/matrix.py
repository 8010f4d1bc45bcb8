"""Products of shared matrices: one element dealt or opened per result, however long the inner dimension is."""

from __future__ import annotations

from dataclasses import replace

from mpcstats.errors import RangeError
from mpcstats.field import M127
from mpcstats.protocols.arithmetic import reshare
from mpcstats.protocols.declare import protocol
from mpcstats.protocols.resharing import fits, fused_reshare, ones
from mpcstats.protocols.truncate import multiply_in_blocks, truncate
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared

__all__ = ["matmul", "matmul_fixed"]


@protocol(
    rounds=lambda c: 1,
    bytes_sent=lambda c: (2 * c.committee.t + 1) * c.deal,
    source="Gennaro, Rabin, Rabin 1998, section 3",
)
async def matmul(session: Session, x: Shared, y: Shared) -> Shared:
    """Matrix product; fraction bits add up. One round; reveals nothing.

    Parameters
    ----------
    x : Shared (..., n, k)
    y : Shared (..., k, m)
        Of the same field; leading dimensions broadcast.

    Returns
    -------
    Shared (..., n, m)
        Degree t.

    Raises
    ------
    RangeError
        The shapes do not fit each other, or the factors' degrees add up to more than 2t. Nothing was sent.
    """
    z = _local_matmul(session, x, y)
    if not fits(z.field, z.size):
        return await reshare(session, z)
    flat = z.field.reshape(z.values, (z.size,))
    values = await fused_reshare(session, z.field, flat, session.label("matmul"))
    return replace(z, values=z.field.reshape(values, z.shape), degree=session.committee.t)


@protocol(
    rounds=lambda c: 1,
    bytes_sent=lambda c: c.open,
    masked_openings=lambda c: c.size,
    source="Catrina, Saxena 2010, fused with the product",
)
async def matmul_fixed(session: Session, x: Shared, y: Shared, integer_bits: int) -> Shared:
    """Matrix product with the fraction bits of x, each element rounded once. One round; reveals nothing.

    Parameters
    ----------
    x : Shared (..., n, k)
    y : Shared (..., k, m)
        With fraction bits, which are dropped; of the same field; leading dimensions broadcast.
    integer_bits : int
        The promise that every element of the product is below 2^integer_bits in size.

    Returns
    -------
    Shared (..., n, m)
        Unbiased, error below (C + 1) / 2 units in the last place, C = number of subsets; the same for any k.

    Raises
    ------
    RangeError
        As `matmul`; or the format has no headroom (see `truncate`), or y has no fraction bits. Nothing was sent.
    """
    if not y.fraction_bits:
        raise RangeError("the second factor has no fraction bits to drop", hint="use matmul")
    z = _local_matmul(session, x, y)
    committee = session.committee
    if not (z.field == M127 and z.degree == 2 * committee.t == committee.m - 1 and fits(M127, z.size)):
        return await truncate(session, z, y.fraction_bits, integer_bits)
    product = z.reshape(z.size).with_fraction_bits(x.fraction_bits)
    one = Shared(M127, ones(M127, z.size), 0, y.fraction_bits)
    return (await multiply_in_blocks(session, product, one, y.fraction_bits, integer_bits)).reshape(*z.shape)


def _local_matmul(session: Session, x: Shared, y: Shared) -> Shared:
    """Matrix product of degree 2t, without a round."""
    if x.field != y.field:
        raise TypeError(f"{x!r} and {y!r} are in different fields")
    degree, most = x.degree + y.degree, 2 * session.committee.t
    if degree > most:
        raise RangeError(
            f"the product of {x!r} and {y!r} has degree {degree}; {most} is the most: reshare factors first"
        )
    return Shared(x.field, x.field.matmul(x.values, y.values), degree, x.fraction_bits + y.fraction_bits)
