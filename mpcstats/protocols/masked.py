"""A shared number as the sum of a few numbers of shared bits, modulo a Mersenne prime p = 2^n - 1.

c = a + r is opened under a uniform r = S_1 + ... + S_(t+1), where each S_i is known to one party (the last one to a
whole subset). The parties deal the bits of c - S_1, -S_2, ..., -S_(t+1), whose sum modulo p is a. Carries rotate
around, because 2^n = 1.
"""

from __future__ import annotations

import numpy as np

from mpcstats.errors import RangeError
from mpcstats.protocols.boolean import bit_and, deal_planes
from mpcstats.runtime.opening import open_masked_parts
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import BooleanShared, Shared
from mpcstats.sharing import boolean

__all__ = ["masked_operands"]


async def masked_operands(session: Session, a: Shared, factor: int = 1) -> tuple[BooleanShared, BooleanShared]:
    """Two shared numbers of n bits, not both all ones, whose sum modulo p is factor * a (flat). Reveals nothing.

    Rounds: one opening, one deal, and one AND for each operand beyond two (t - 1).

    Raises
    ------
    RangeError
        The field is not a Mersenne prime. Nothing was sent.
    """
    committee, field, count, me = session.committee, a.field, a.size, session.point
    if not field.is_mersenne:
        raise RangeError(f"bits need a Mersenne prime, not {field}")
    shape = (field.bits, boolean.lanes(count))
    opened, own = await open_masked_parts(session, a, factor, session.label("compare"))
    planes = boolean.pack(field, field.add(own, opened) if me == 1 else own)
    dealers = tuple(range(1, committee.t + 1))
    operands: list[BooleanShared] = []
    if dealers:
        dealt = await deal_planes(session, planes if me in dealers else None, dealers, shape, count)
        operands = [dealt[d] for d in dealers]
    # the last group is one subset's mask: its members share its bits without a message
    common = planes if me > committee.t else None
    operands.append(BooleanShared(boolean.place_common(committee, me, common, shape), count))
    if len(operands) == 1:
        return operands[0], BooleanShared(np.zeros_like(operands[0].words), count)
    x, y = operands[-1], operands[0]
    for operand in operands[1:-1]:
        x, y = await _carry_save(session, x, y, operand)
    return x, y


async def _carry_save(
    session: Session, x: BooleanShared, y: BooleanShared, z: BooleanShared
) -> tuple[BooleanShared, BooleanShared]:
    """Two numbers with the sum of three modulo 2^n - 1: the carry word rotates. One round."""
    majority = await bit_and(session, x ^ z, y ^ z)
    rotated = np.roll((majority ^ z).words, 1, axis=1)
    return x ^ y ^ z, BooleanShared(rotated, x.count)
