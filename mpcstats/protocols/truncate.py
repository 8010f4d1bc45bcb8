"""Fixed-point products: the product and the division by 2^f in one round."""

from __future__ import annotations

from dataclasses import replace

from mpcstats.errors import RangeError
from mpcstats.field import M127, PrimeField
from mpcstats.protocols.arithmetic import local_product
from mpcstats.protocols.declare import protocol
from mpcstats.protocols.resharing import fits, flat_pair
from mpcstats.protocols.split import shift_right
from mpcstats.runtime.opening import MaskedProduct, open_masked_bounded, open_masked_products
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared
from mpcstats.sharing import prss

__all__ = ["blurred", "fused", "multiply_fixed", "multiply_in_blocks", "truncate"]


@protocol(
    rounds=lambda c: 1,
    bytes_sent=lambda c: c.open,
    masked_openings=lambda c: c.size,
    source="Catrina, Saxena 2010, Protocol 3.1, with the low part of the mask from PRSS",
)
async def truncate(session: Session, z: Shared, bits: int, integer_bits: int) -> Shared:
    """z / 2^bits, rounded: unbiased, error below (C + 1) / 2 units in the last place, C = number of subsets.

    Parameters
    ----------
    z : Shared
        Degree t or 2t (a local product), |number| < 2^integer_bits.
    bits : int
        Fraction bits to drop.

    Raises
    ------
    RangeError
        The format has no headroom: integer_bits + fraction_bits + 1 is above `session.headroom(field)`.

    Notes
    -----
    c = z + B + r is opened, r = sum of r_A < C 2^(k+kappa) by PRSS; the result is
    (c >> bits) - sum(r_A >> bits) - B'. The offset B makes z positive and the rounding unbiased. Costs one bounded
    mask per element. Reveals nothing else.
    """
    field, committee = z.field, session.committee
    bits, mask_bits, offset, offset_high = _format(session, field, z.fraction_bits, bits, integer_bits)
    opened, parts = await open_masked_bounded(session, z.plus_int(offset), session.label("truncate"), mask_bits)
    high = prss.combine(field, committee, session.point, {A: shift_right(field, r, bits) for A, r in parts.items()})
    values = field.sub(field.sub(shift_right(field, opened, bits), high), field.constant(offset_high))
    return replace(z, values=values, degree=committee.t, fraction_bits=z.fraction_bits - bits)


@protocol(
    rounds=lambda c: 1,
    bytes_sent=lambda c: c.open,
    masked_openings=lambda c: c.size,
    source="Catrina, Saxena 2010, fused with the product",
)
async def multiply_fixed(session: Session, x: Shared, y: Shared, integer_bits: int) -> Shared:
    """Elementwise product with the fraction bits of x; |product| < 2^integer_bits. One round; reveals nothing."""
    if not (fused(session, x, y) and y.fraction_bits):
        return await truncate(session, local_product(x, y), y.fraction_bits, integer_bits)
    return await multiply_in_blocks(session, x, y, y.fraction_bits, integer_bits)


def fused(session: Session, x: Shared, y: Shared) -> bool:
    """Whether `multiply_in_blocks` serves these factors."""
    committee = session.committee
    right = x.field == y.field == M127 and x.degree == y.degree == committee.t and committee.m == 2 * committee.t + 1
    return right and fits(M127, max(x.size, y.size))


async def multiply_in_blocks(
    session: Session, x: Shared, y: Shared, bits: int, integer_bits: int, plus: int = 0
) -> Shared:
    """(x y + plus) / 2^bits for large batches; `truncate` of the local product is its slow twin.

    |x y + plus| < 2^integer_bits, with `plus` in the units of the product. One round; reveals nothing.
    """
    fraction_bits = x.fraction_bits + y.fraction_bits
    bits, mask_bits, offset, offset_high = _format(session, M127, fraction_bits, bits, integer_bits)
    one, other, shape = flat_pair(M127, x.values, y.values)
    batch = MaskedProduct(one, other, offset + plus, mask_bits, bits, offset_high)
    values = await open_masked_products(session, batch, session.label("truncate"))
    return Shared(M127, M127.reshape(values, shape), session.committee.t, fraction_bits - bits)


def _format(
    session: Session, field: PrimeField, fraction_bits: int, bits: int, integer_bits: int
) -> tuple[int, int, int, int]:
    """Bits to drop, width of the masks, offset before opening, and the offset's part that is left after the shift."""
    committee = session.committee
    k = integer_bits + fraction_bits + 1
    if k > session.headroom(field):
        raise RangeError(
            f"a product of {integer_bits} integer and {fraction_bits} fraction bits has no headroom at "
            f"kappa = {session.kappa} with {committee.m} parties: {k} bits needed, {session.headroom(field)} there"
        )
    subsets = len(committee.subsets)
    offset_high = (1 << max(0, k - 1 - bits)) + subsets
    return bits, k + session.kappa, (offset_high << bits) - ((subsets - 1) << (bits - 1)), offset_high


def blurred(session: Session, x: Shared, fraction_bits: int) -> Shared:
    """x with random digits below 2^-fraction_bits: for an exact sum of products whose last digits would tell its terms.

    No message. A coalition of t parties misses one of the numbers whose sum is added, of which each is uniform below
    2^-fraction_bits; their mean is taken off again.
    """
    bits = x.fraction_bits - fraction_bits
    if bits <= 0:
        return x
    field, committee = x.field, session.committee
    parts = prss.draw_bounded(field, committee, session.point, session.randomness, session.label("blur"), x.shape, bits)
    noise = prss.combine(field, committee, session.point, parts)
    return replace(x, values=field.add(x.values, noise)).plus_int(-len(committee.subsets) * (1 << (bits - 1)))
