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
        outgoing = {j: field.to_bytes(values) for j, values in dealt.items() if j != me}
        shares = {me: dealt[me]} if me in dealt else {}
    if session.is_guest:
        return Deal(outgoing, {}, lambda received: _placeholders(session, field, dealers, shape, fraction_bits))
    senders = [d for d in dealers if me in committee.sent_to(d)]
    size = field.item_bytes * int(np.prod(shape, dtype=np.int64))

    def finish(received: Mapping[int, Buffer]) -> dict[int, Shared]:
        shares.update({d: field.from_bytes(received.get(d, b""), shape) for d in senders})
        for d in dealers:
            if me in committee.compressed(d):
                shares[d] = field.uniform(session.randomness.pair(d, me, label), shape)
        return {d: Shared(field, shares[d], committee.t, fraction_bits) for d in dealers}

    return Deal(outgoing, dict.fromkeys(senders, size), finish)


def _placeholders(
    session: Session, field: PrimeField, dealers: tuple[int, ...], shape: tuple[int, ...], fraction_bits: int
) -> dict[int, Shared]:
    """What a guest has of shared numbers."""
    return {d: Shared(field, field.zeros(shape), session.committee.t, fraction_bits) for d in dealers}


def planes(
    session: Session, own: boolean.Words | None, dealers: tuple[int, ...], shape: tuple[int, int], count: int
) -> Deal[dict[int, BooleanShared]]:
    """Every dealer shares bit planes (bits, words) of its own; a dealer sends one array, to the m - t - 1 other
    members of its correction subset; a guest to all m - t."""
    committee, me = session.committee, session.index
    label = session.label("bits")
    if session.is_guest:
        return _planes_of_guest(session, own if me in dealers else None, dealers, shape, count, label)
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


def _planes_of_guest(
    session: Session,
    own: boolean.Words | None,
    dealers: tuple[int, ...],
    shape: tuple[int, int],
    count: int,
    label: str,
) -> Deal[dict[int, BooleanShared]]:
    committee, me = session.committee, session.index
    outgoing: dict[int, Buffer] = {}
    if own is not None:
        correction = boolean.deal_bits_outside(committee, me, own, session.randomness, label)
        outgoing = dict.fromkeys(
            committee.correction_subset(me), np.ascontiguousarray(correction, "<u8").data.cast("B")
        )
    rows = len(committee.subsets_of(session.point))

    def finish(received: Mapping[int, Buffer]) -> dict[int, BooleanShared]:
        return {d: BooleanShared(np.zeros((rows, *shape), np.uint64), count) for d in dealers}

    return Deal(outgoing, {}, finish)


async def deal_together(session: Session, *deals: Deal[Any]) -> list[Any]:
    """Several deals in one round: what they send to a party is one message. Reveals nothing."""
    outgoing: dict[int, Buffer] = {}
    for j in session.peers:
        parts = [deal.outgoing[j] for deal in deals if j in deal.outgoing]
        if parts:
            outgoing[j] = parts[0] if len(parts) == 1 else b"".join(parts)
    awaited = {j: sum(deal.awaited.get(j, 0) for deal in deals) for j in session.peers}
    received = await session.exchange(outgoing, awaited, guests=True)
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
