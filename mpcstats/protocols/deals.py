"""Deals of numbers and of bits that share one round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from mpcstats.field import Elements, PrimeField
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import BooleanShared, Shared
from mpcstats.sharing import boolean, shamir
from mpcstats.transport.channel import Buffer

__all__ = ["Deal", "deal_together", "elements", "planes"]

T = TypeVar("T")


@dataclass(frozen=True)
class Deal(Generic[T]):
    """One deal that was not sent yet: messages by receiver, bytes awaited by sender, and what becomes of them."""

    outgoing: Mapping[int, Buffer]
    awaited: Mapping[int, int]
    finish: Callable[[Mapping[int, Buffer]], T]


def elements(
    session: Session,
    field: PrimeField,
    own: Elements | None,
    dealers: tuple[int, ...],
    shape: tuple[int, ...],
    fraction_bits: int = 0,
) -> Deal[dict[int, Shared]]:
    """Every dealer shares an array of its own; see `mpcstats.protocols.deal`."""
    committee, me = session.committee, session.index
    label = session.label("deal")
    shares: dict[int, Elements] = {}
    outgoing: dict[int, Buffer] = {}
    if me in dealers:
        if own is None or field.shape(own) != shape:
            raise ValueError(f"party {session.name(me)} deals an array of another shape than {shape}")
        streams = {j: session.randomness.pair(me, j, label) for j in committee.compressed(me)}
        dealt = shamir.deal_compressed(field, committee, me, own, streams)
        shares[me] = dealt.pop(me)
        outgoing = {j: field.to_bytes(values) for j, values in dealt.items()}
    senders = [d for d in dealers if me in committee.sent_to(d)]
    size = field.item_bytes * int(np.prod(shape, dtype=np.int64))

    def finish(received: Mapping[int, Buffer]) -> dict[int, Shared]:
        shares.update({d: field.from_bytes(received.get(d, b""), shape) for d in senders})
        for d in dealers:
            if me in committee.compressed(d):
                shares[d] = field.uniform(session.randomness.pair(d, me, label), shape)
        return {d: Shared(field, shares[d], committee.t, fraction_bits) for d in dealers}

    return Deal(outgoing, dict.fromkeys(senders, size), finish)


def planes(
    session: Session, own: boolean.Words | None, dealers: tuple[int, ...], shape: tuple[int, int], count: int
) -> Deal[dict[int, BooleanShared]]:
    """Every dealer shares bit planes (bits, words) of its own; a dealer sends one array, to the m - t - 1 other
    members of its correction subset."""
    committee, me = session.committee, session.index
    label = session.label("bits")
    shares: dict[int, boolean.Words] = {}
    outgoing: dict[int, Buffer] = {}
    if me in dealers:
        assert own is not None
        shares[me], correction = boolean.deal_bits(committee, me, own, session.randomness, label)
        data = np.ascontiguousarray(correction, "<u8").data.cast("B")
        outgoing = {j: data for j in committee.correction_subset(me) if j != me}
    senders = [d for d in dealers if d != me and me in committee.correction_subset(d)]

    def finish(received: Mapping[int, Buffer]) -> dict[int, BooleanShared]:
        for d in dealers:
            if d != me:
                sent = np.frombuffer(received[d], "<u8").reshape(shape) if d in received else None
                shares[d] = boolean.receive_bits(committee, d, me, shape, sent, session.randomness, label)
        return {d: BooleanShared(shares[d], count) for d in dealers}

    return Deal(outgoing, dict.fromkeys(senders, 8 * shape[0] * shape[1]), finish)


async def deal_together(session: Session, *deals: Deal[Any]) -> list[Any]:
    """Several deals in one round: what they send to a party is one message. Reveals nothing."""
    outgoing: dict[int, Buffer] = {}
    for j in session.others:
        parts = [deal.outgoing[j] for deal in deals if j in deal.outgoing]
        if parts:
            outgoing[j] = parts[0] if len(parts) == 1 else b"".join(parts)
    awaited = {j: sum(deal.awaited.get(j, 0) for deal in deals) for j in session.others}
    received = await session.exchange(outgoing, awaited)
    views = {j: memoryview(data) for j, data in received.items()}
    results, at = [], dict.fromkeys(views, 0)
    for deal in deals:
        mine: dict[int, Buffer] = {}
        for j, size in deal.awaited.items():
            if size:
                mine[j] = views[j][at[j] : at[j] + size]
                at[j] += size
        results.append(deal.finish(mine))
    return results
