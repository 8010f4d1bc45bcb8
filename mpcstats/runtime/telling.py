"""Public messages to everybody, guests among them: two guests have no connection, so the committee passes them on."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from mpcstats.errors import Divergence
from mpcstats.runtime.session import Session
from mpcstats.transport.channel import Buffer

__all__ = ["tell_everybody"]


async def tell_everybody(session: Session, own: bytes, sizes: Mapping[int, int]) -> dict[int, Buffer]:
    """Tell all other parties the same, and hear what they tell. Public; one round, two where there are several guests.

    Parameters
    ----------
    own : bytes
    sizes : mapping of party to bytes
        Lengths of the others' messages; public.

    Returns
    -------
    dict of party to bytes
        Without those that have nothing to tell.

    Raises
    ------
    Divergence
        A member passed on something else than another one.

    Notes
    -----
    Member 1 passes on what guests say to other guests, and every member the digest of all of it: one honest member is
    enough for a wrong message to be noticed.
    """
    told = await session.exchange(dict.fromkeys(session.peers, own), {j: sizes[j] for j in session.peers}, guests=True)
    guests = session.guests
    if len(guests) < 2:
        return told
    if not session.is_guest:
        await session.exchange(_passed_on(session, told), {}, guests=True)
        return told
    others = [g for g in guests if g != session.index]
    total = sum(sizes[g] for g in others)
    due = {j: (total if j == 1 else 0) + hashlib.sha256().digest_size for j in session.committee.members}
    relayed = await session.exchange({}, due, guests=True)
    text, at = memoryview(relayed[1]), 0
    for g in others:
        if sizes[g]:
            told[g] = text[at : at + sizes[g]]
        at += sizes[g]
    ours = _digest(guests, told | {session.index: own})
    for j, message in sorted(relayed.items()):
        if not hmac.compare_digest(bytes(message[-len(ours) :]), ours):
            raise Divergence("passed on other words of a party than this one heard", party=session.name(j))
    return told


def _passed_on(session: Session, told: Mapping[int, Buffer]) -> dict[int, bytes]:
    digest = _digest(session.guests, told)
    if session.index != 1:
        return dict.fromkeys(session.guests, digest)
    return {
        g: b"".join(bytes(told.get(other, b"")) for other in session.guests if other != g) + digest
        for g in session.guests
    }


def _digest(guests: tuple[int, ...], told: Mapping[int, Buffer]) -> bytes:
    state = hashlib.sha256(b"mpcstats/v1/told")
    for g in guests:
        text = bytes(told.get(g, b""))
        state.update(len(text).to_bytes(8, "little") + text)
    return state.digest()
