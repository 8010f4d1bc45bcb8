"""Small numbers split between two parties: for t = 1, where no coalition holds both halves.

A number z = a + b modulo p with a uniform and |z| far below p wraps around nearly always in the same way: the integers
a and p - b differ by z exactly, unless a is within |z| of 0 or p, which has probability |z| / p. So what is to be done
with z as an integer is done with each half by the party that has it: floor(a / 2^f) - floor((p - b) / 2^f) is z / 2^f
up to less than one unit (SecureML, Mohassel and Zhang 2017; ABY3, Mohassel and Rindal 2018), and the lowest bits of z
are those of a - (p - b). Nothing is opened, and no party sees anything that is not uniform: what is statistical here is
that the result is right. Each number spends one unit of the session's statistical security all the same.

Party 1 has a, party 2 has b. Shares of degree t are turned into halves without a message; a product of degree 2t needs
the third dealer's share, which goes to party 2 under a mask that party 2 does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from mpcstats.errors import RangeError
from mpcstats.field import M127, Elements, PrimeField, WordSource, lagrange
from mpcstats.protocols.declare import Case
from mpcstats.protocols.resharing import flat_pair
from mpcstats.protocols.work import Work
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared
from mpcstats.sharing import blocks
from mpcstats.sharing.committee import Committee
from mpcstats.transport.channel import Buffer

__all__ = ["complement", "halves", "serves", "shift_right", "split_cut", "split_cut_work", "split_truncate"]

SMALLEST = 1 << 15
"""Elements from which half of the bytes are worth a second round."""

CHUNK = 8192
"""Elements whose coins are drawn at a time: they stay in the second cache."""


def serves(committee: Committee, field: PrimeField, size: int) -> bool:
    """Whether `split_cut` is for a batch: two rounds with half of the bytes of one masked opening."""
    return committee.t == 1 and field == M127 and size >= SMALLEST


def complement(field: PrimeField, a: Elements) -> Elements:
    """p - a, in [1, p]: not canonical at a = 0. For Mersenne primes."""
    p = field.modulus
    return a ^ (np.uint64(p) if field.limbs == 1 else np.array([p & (2**64 - 1), p >> 64], np.uint64))


async def halves(session: Session, z: Shared) -> Elements:
    """a at party 1, b at party 2, with a + b = z and each of them uniform; meaningless at the others.

    No round for degree t, one for degree 2t. Reveals nothing.
    """
    committee, field, me = session.committee, z.field, session.point
    assert committee.t == 1
    label = session.label("halves")
    if z.degree <= 1:
        weights = dict(zip((1, 2), lagrange(field, (1, 2), 0), strict=True))
        part = field.scale(z.values, weights.get(me, 0))
        if me > 2:
            return part
        mask = field.uniform(session.randomness.pair(1, 2, label), z.shape)
        return field.add(part, mask) if me == 1 else field.sub(part, mask)
    part = field.scale(z.values, lagrange(field, (1, 2, 3), 0)[me - 1] if me <= 3 else 0)
    if me in (1, 3):
        mask = field.uniform(session.randomness.subset(_all_but_two(committee), label), z.shape)
        part = field.sub(part, mask) if me == 1 else field.add(part, mask)
    outgoing = {2: Shared(field, part, committee.t)} if me == 3 else {}
    received = await session.exchange_elements(field, outgoing, (3,) if me == 2 else (), z.shape)
    return field.add(part, received[3].values) if me == 2 else part


def _all_but_two(committee: Committee) -> tuple[int, ...]:
    return tuple(j for j in committee.members if j != 2)


async def split_truncate(session: Session, z: Shared, bits: int) -> Shared:
    """z / 2^bits for integers: unbiased, error below one unit. The slow twin of `split_cut`; one round for degree t.

    Each holder deals its half, on a line through a coin that it has in common with the other one, who takes it as its
    share.
    """
    field, me, others = z.field, session.point, tuple(range(3, session.committee.m + 1))
    session.spend_masks(z.size)
    part, label = await halves(session, z), session.label("deal")
    total, outgoing = Shared(field, field.zeros(z.shape), 1), {}
    if me <= 2:
        coins = {d: field.uniform(session.randomness.pair(d, 3 - d, label), z.shape) for d in (1, 2)}
        points = (0, 3 - me)
        dealt = [_cut_half(field, part, bits, me == 2), coins[me]]
        line = {j: field.lincomb(lagrange(field, points, j), dealt) for j in (me, *others)}
        total = total.plus(line.pop(me)).plus(coins[3 - me])
        outgoing = {j: Shared(field, values, 1) for j, values in line.items()}
    for x in (await session.exchange_elements(field, outgoing, (1, 2) if me > 2 else (), z.shape)).values():
        total = total + x
    return total.with_fraction_bits(z.fraction_bits - bits)


def _cut_half(field: PrimeField, part: Elements, bits: int, second: bool) -> Elements:
    if not second:
        return shift_right(field, part, bits)
    return field.neg(shift_right(field, complement(field, part), bits))


# --- large batches of products --------------------------------------------------------------------------------------


def split_cut_work(c: Case) -> Work:
    """Cost of `split_cut`."""
    return Work(2, c.element + 2 * c.deal, c.size)


async def split_cut(session: Session, x: Shared, y: Shared, bits: int, size_bits: int, plus: int = 0) -> Shared:
    """(x y + plus) / 2^bits for integers in M127 with t = 1, x and y of degree t: error below one unit, unbiased.

    Parameters
    ----------
    bits : int
        1 to 126.
    size_bits : int
        |x y + plus| < 2^size_bits, below 2^(headroom - 1): wrong with probability less than 2^-kappa.

    Raises
    ------
    RangeError
        There is no headroom for numbers of this size. Nothing was sent.

    Notes
    -----
    Two rounds in blocks. Reveals nothing.
    """
    if size_bits + 1 > session.headroom(M127) or not 0 < bits < M127.bits:
        raise RangeError(
            f"a product of {size_bits} bits cannot be divided by 2^{bits} at kappa = {session.kappa} with "
            f"{session.committee.m} parties: {size_bits + 1} bits needed, {session.headroom(M127)} there"
        )
    from mpcstats.field.fused_fixed import affine127

    one, other, shape = flat_pair(M127, x.values, y.values)
    session.spend_masks(M127.shape(one)[0])
    part = await _product_halves(session, one, other)
    if plus and session.point == 1:
        affine127(part, M127.constant(1), M127.zeros((0,)), M127.constant(plus), part)
    values = await _deal_cut(session, part, bits)
    return Shared(M127, M127.reshape(values, shape), session.committee.t)


async def _product_halves(session: Session, x: Elements, y: Elements) -> Elements:
    """`halves` of a product."""
    from mpcstats.field.fused_fixed import add127, half127, third127

    me, label = session.point, session.label("halves")
    part, spans = np.empty(x.shape, np.uint64), blocks.spans(M127, len(x))
    stream = session.randomness.subset(_all_but_two(session.committee), label) if me in (1, 3) else None

    def produce(block: int) -> Mapping[int, Buffer]:
        for at in _chunks(spans[block]):
            if stream:
                _fill(stream, part[at])
            if me <= 2:
                half127(x[at], y[at], me == 2, part[at])
            elif me == 3:
                third127(x[at], y[at], part[at])
        return {2: M127.to_bytes(part[spans[block]])} if me == 3 else {}

    def expected(block: int) -> dict[int, int]:
        return {3: (spans[block].stop - spans[block].start) * M127.item_bytes} if me == 2 else {}

    def consume(block: int, messages: Mapping[int, Buffer]) -> None:
        for data in messages.values():
            _add_received(part[spans[block]], data, add127)

    await session.pipeline(len(spans), produce, expected, consume)
    return part


async def _deal_cut(session: Session, part: Elements, bits: int) -> Elements:
    """Shares of the sum of both halves, each divided by 2^bits by its holder.

    Parties 1 and 2 each have a coin in common that is the other one's share of what they deal.
    """
    from mpcstats.field.fused_fixed import add127, cut127

    me, label, receivers = session.point, session.label("deal"), tuple(range(3, session.committee.m + 1))
    total, spans = np.empty(part.shape, np.uint64), blocks.spans(M127, len(part))
    coins = {d: session.randomness.pair(d, 3 - d, label) for d in (1, 2)} if me <= 2 else {}
    coin = np.empty((min(CHUNK, len(part)), 2), np.uint64)

    def produce(block: int) -> Mapping[int, Buffer]:
        if me > 2:
            total[spans[block]] = 0
            return {}
        span = spans[block]
        out = np.empty((len(receivers), span.stop - span.start, 2), np.uint64)
        for at in _chunks(span):
            other = coin[: at.stop - at.start]
            _fill(coins[me], total[at])
            cut127(part[at], bits, me == 2, total[at], out[:, at.start - span.start : at.stop - span.start])
            _fill(coins[3 - me], other)
            add127(total[at], other)
        return {j: M127.to_bytes(out[k]) for k, j in enumerate(receivers)}

    def expected(block: int) -> dict[int, int]:
        return dict.fromkeys((1, 2) if me > 2 else (), (spans[block].stop - spans[block].start) * M127.item_bytes)

    def consume(block: int, messages: Mapping[int, Buffer]) -> None:
        for data in messages.values():
            _add_received(total[spans[block]], data, add127)

    await session.pipeline(len(spans), produce, expected, consume)
    return total


def _chunks(span: slice) -> list[slice]:
    return [slice(at, min(span.stop, at + CHUNK)) for at in range(span.start, span.stop, CHUNK)]


def _add_received(total: Elements, data: Buffer, add: Callable[[Elements, Elements], int]) -> None:
    if add(total, np.frombuffer(data, "<u8").reshape(-1, 2)):
        raise RangeError("a field element is not below the modulus")


def _fill(stream: WordSource, row: Elements) -> None:
    """Uniform elements."""
    from mpcstats.field.fused_fixed import trim127

    stream.fill(row)
    if trim127(row):
        blocks.redraw(M127, [stream], row[None])


def shift_right(field: PrimeField, a: Elements, bits: int) -> Elements:
    """a >> bits as integers in [0, p)."""
    if field.limbs == 1:
        return a >> np.uint64(bits)
    low, high = a[..., 0], a[..., 1]
    if bits >= 64:
        return np.stack([high >> np.uint64(bits - 64), np.zeros_like(high)], axis=-1)
    if bits == 0:
        return a
    shifted = (low >> np.uint64(bits)) | (high << np.uint64(64 - bits))
    return np.stack([shifted, high >> np.uint64(bits)], axis=-1)
