"""The hot path of products: multiply, re-deal and put together in blocks, with fused kernels.

The slow twin is `arithmetic.reshare`; tests compare the two. Blocks are one transport frame long, so a received block
is read where it arrived. All parties cut a batch into the same blocks: they draw the same coins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mpcstats.field import Elements, PrimeField, WordSource, lagrange
from mpcstats.runtime.session import Session
from mpcstats.sharing import blocks
from mpcstats.transport.channel import Buffer

__all__ = ["SMALLEST", "fits", "flat_pair", "fused_multiply", "fused_reshare", "ones"]

SMALLEST = 4096
"""Elements from which blocks and fused kernels pay."""


@dataclass(frozen=True)
class _Plan:
    """What one party does with a block: which coins it draws, whom it sends to, whom it hears, and the weights."""

    streams: list[WordSource]
    masks: Elements
    weights: Elements
    send_to: tuple[int, ...]
    receive: dict[int, Elements]


def _plan(session: Session, field: PrimeField, label: str) -> _Plan:
    committee, me = session.committee, session.point
    dealers = tuple(range(1, 2 * committee.t + 2))
    at_zero = dict(zip(dealers, lagrange(field, dealers, 0), strict=True))
    deals = me in dealers
    own = committee.compressed(me) if deals else ()
    heard = [d for d in dealers if d != me and me in committee.compressed(d)]
    streams = [session.randomness.pair(me, j, label) for j in own]
    streams += [session.randomness.pair(d, me, label) for d in heard]
    send_to = committee.sent_to(me) if deals else ()
    # row 0: own share of the own deal and the shares that are coins, already weighted; then one row per receiver
    mine = committee.deal_weights(field, me, me) if deals else (0,)
    rows = [[at_zero.get(me, 0) * w for w in mine] + [at_zero[d] for d in heard]]
    rows += [[*committee.deal_weights(field, me, j), *([0] * len(heard))] for j in send_to]
    senders = {d: blocks.weight(field, at_zero[d]) for d in dealers if d != me and me in committee.sent_to(d)}
    return _Plan(streams, blocks.uniform_masks(field, len(streams)), field.from_ints(rows), send_to, senders)


async def fused_multiply(session: Session, field: PrimeField, x: Elements, y: Elements, label: str) -> Elements:
    """Shares, of degree t, of the products of flat arrays of shares. One round in blocks."""
    from mpcstats.field import fused

    narrow = field.limbs == 1
    mix = fused.mix61 if narrow else fused.mix127
    accumulate = fused.accumulate61 if narrow else fused.accumulate127
    plan = _plan(session, field, label)
    count = field.shape(x)[0]
    spans = blocks.spans(field, count)
    total = field.empty((count,))

    def produce(block: int) -> Mapping[int, Buffer]:
        span = spans[block]
        size = span.stop - span.start
        coins = blocks.draw(field, plan.streams, size)
        out = field.empty((1 + len(plan.send_to), size))
        if mix(x[span], y[span], coins, plan.masks, plan.weights, out):
            blocks.redraw(field, plan.streams, coins)
            mix(x[span], y[span], coins, plan.masks, plan.weights, out)
        total[span] = out[0]
        return {j: field.to_bytes(out[1 + k]) for k, j in enumerate(plan.send_to)}

    def expected(block: int) -> Mapping[int, int]:
        return dict.fromkeys(plan.receive, (spans[block].stop - spans[block].start) * field.item_bytes)

    def consume(block: int, messages: Mapping[int, Buffer]) -> None:
        span = spans[block]
        for d, data in messages.items():
            accumulate(total[span], field.from_bytes(data, (span.stop - span.start,)), plan.receive[d])

    await session.pipeline(len(spans), produce, expected, consume)
    return total


async def fused_reshare(session: Session, field: PrimeField, product: Elements, label: str) -> Elements:
    """Shares, of degree t, of what a flat array shares with degree 2t. One round in blocks."""
    return await fused_multiply(session, field, product, ones(field, field.shape(product)[0]), label)


def ones(field: PrimeField, count: int) -> Elements:
    """The other factor of what is a product already."""
    return np.broadcast_to(field.constant(1), field._words_shape((count,))).copy()


def fits(field: PrimeField, count: int) -> bool:
    """Whether the fused path serves a batch."""
    return count >= SMALLEST and field.modulus > 2**60


def flat_pair(field: PrimeField, x: Elements, y: Elements) -> tuple[Elements, Elements, tuple[int, ...]]:
    """Two share arrays broadcast to one shape, flat and contiguous, and that shape."""
    shape = np.broadcast_shapes(field.shape(x), field.shape(y))
    full = field._words_shape(shape)
    flat = field._words_shape((math.prod(shape),))
    one, other = (np.ascontiguousarray(np.broadcast_to(a, full)).reshape(flat) for a in (x, y))
    return one, other, shape
