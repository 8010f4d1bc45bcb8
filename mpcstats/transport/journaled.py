"""A channel that keeps a journal, and from the journal of an earlier attempt takes the same part in the run again.

A party whose code is deterministic but for its coins and the messages it hears repeats, given both, every step. What it
would send is compared with the digests of what it sent before, and nothing else leaves: a mask never hides two values.

Rules
* before anything else the parties tell each other which messages they hold from whom, and a digest of them. Who is told
  of messages that it does not know to have sent lost a part of its journal, and stops;
* a message that is in the journal is not awaited, one that the receiver holds is not sent again, all others travel:
  messages that were under way when an attempt ended are sent again, with the same bytes;
* a message is in the journal before it is used, the digest of a message before it is sent: an attempt may end anywhere;
* while a party replays, the others hear that it computes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Self

import numpy as np

from mpcstats.errors import Divergence, FrameRejected, JournalMismatch
from mpcstats.transport.channel import Buffer, Channel
from mpcstats.transport.journal import Journal

__all__ = ["FIRST_STEP", "LAST_STEP", "JournaledChannel"]

FIRST_STEP = 2
"""Step 0 of a run on the channel below: two messages of each party about what it holds come first."""

LAST_STEP = 1 << 62
"""Step on the channel below of what the parties tell each other when they part."""

_AGAIN = "run the study again from the start, which makes new keys; the journal of this run is of no use any more"


class JournaledChannel:
    """A `Channel` above another one; made by `attach`.

    Parameters
    ----------
    channel : Channel
        Fresh: nothing was sent on it.
    journal : Journal
        Empty, or that of an earlier attempt of the same run.
    peers : sequence of int, optional
        Parties to which `channel` leads; default all others.
    """

    def __init__(self, channel: Channel, journal: Journal, peers: Sequence[int] | None = None) -> None:
        self.index = channel.index
        self.parties = channel.parties
        self.patience_seconds = channel.patience_seconds
        self._channel, self._journal = channel, journal
        everybody = range(1, len(self.parties) + 1)
        self._peers = tuple(j for j in (everybody if peers is None else peers) if j != self.index)
        self._holds: dict[int, frozenset[int]] = {}
        self._signs = contextlib.ExitStack()

    @classmethod
    @contextlib.asynccontextmanager
    async def attach(
        cls,
        channel: Channel,
        journal: Journal,
        binding: bytes,
        peers: Sequence[int] | None = None,
        *,
        attempt: bytes = b"",
    ) -> AsyncIterator[Self]:
        """Begin, or go on with, the run of a journal; `channel` stays open afterwards.

        Parameters
        ----------
        binding : 32 bytes
            Names the run, e.g. the study digest. The same at all parties and in all attempts.
        peers : sequence of int, optional
            Parties to which `channel` leads; default all others.
        attempt : bytes
            What this attempt is for; the same at all parties.

        Raises
        ------
        Divergence
            A party goes on with another run, or another way.
        JournalMismatch
            What a party holds from this one is not what its journal says that it sent.
        """
        self = cls(channel, journal, peers)
        bound = journal.noted("binding")
        if bound is None:
            journal.note("binding", binding)
        elif not hmac.compare_digest(bound, binding):
            raise JournalMismatch("the journal is of another run", party=self._name(self.index))
        with self._signs:
            if any(journal.received(j) for j in self._peers):
                self._signs.enter_context(channel.working())
            await self._tell(hashlib.sha256(b"mpcstats/v1/attempt" + binding + attempt).digest())
            yield self

    async def send(self, receiver: int, step: int, payload: Buffer) -> None:
        """See `Channel.send`.

        Raises
        ------
        JournalMismatch
            Other bytes were sent before; nothing leaves.
        """
        digest = hashlib.sha256(payload).digest()
        before = self._journal.sent(receiver).get(step)
        if before is None:
            self._journal.record_sent(receiver, step, digest)
        elif before != digest:
            raise JournalMismatch(
                f"this party would send other bytes than before to {self._name(receiver)} (step {step}); "
                "nothing was sent: its data, its software or the request is not what it was",
                party=self._name(self.index),
                hint=_AGAIN,
            )
        if step not in self._holds[receiver]:
            await self._channel.send(receiver, step + FIRST_STEP, payload)

    async def receive(self, sender: int, step: int, size: int) -> Buffer:
        """See `Channel.receive`.

        Raises
        ------
        JournalMismatch
            The message was of another length before.
        """
        payload = self._journal.message(sender, step)
        if payload is None:
            self._signs.close()
            payload = await self._channel.receive(sender, step + FIRST_STEP, size)
            self._journal.record(sender, step, payload)
            return payload
        if len(payload) != size:
            raise JournalMismatch(
                f"this party waits for {size} bytes of {self._name(sender)} (step {step}) where it received "
                f"{len(payload)} before: its data, its software or the request is not what it was",
                party=self._name(self.index),
                hint=_AGAIN,
            )
        await asyncio.sleep(0)  # signs of life and bad news go out and come in meanwhile
        return payload

    async def part(self, data: bytes) -> dict[int, bytes]:
        """Tell every party the same 32 bytes, and hear theirs: the last messages of an attempt, in no journal."""
        self._signs.close()
        for j in self._peers:
            await self._channel.send(j, LAST_STEP, data)
        return {j: bytes(await self._channel.receive(j, LAST_STEP, len(data))) for j in self._peers}

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """See `Channel.working`."""
        with self._channel.working():
            yield

    async def abort(self, error: Exception) -> None:
        """See `Channel.abort`."""
        await self._channel.abort(error)

    async def close(self) -> None:
        """See `Channel.close`."""
        await self._channel.close()

    # --- who holds what ---------------------------------------------------------------------------------------------

    async def _tell(self, binding: bytes) -> None:
        journal = self._journal
        held = {j: sorted(journal.received(j)) for j in self._peers}
        for j, steps in held.items():
            head = binding + _digest_of(steps, journal.received(j)) + len(steps).to_bytes(8, "little")
            await self._channel.send(j, 0, head)
            if steps:
                await self._channel.send(j, 1, np.array(steps, "<u8").tobytes())
        for j in self._peers:
            self._holds[j] = await self._hear(j, binding)

    async def _hear(self, peer: int, binding: bytes) -> frozenset[int]:
        """The steps of which a party holds this party's message, after a look into the journal."""
        head = bytes(await self._channel.receive(peer, 0, 72))
        if not hmac.compare_digest(head[:32], binding):
            raise Divergence(
                "goes on with another run than this party, or with another part of it", party=self._name(peer)
            )
        sent, count = self._journal.sent(peer), int.from_bytes(head[64:], "little")
        if count > len(sent):
            raise self._lost(peer)
        steps = []
        if count:
            steps = np.frombuffer(await self._channel.receive(peer, 1, 8 * count), "<u8").tolist()
        if steps != sorted(set(steps)):
            raise FrameRejected("sent a malformed list of the messages it holds", party=self._name(peer))
        if not set(steps) <= sent.keys():
            raise self._lost(peer)
        if not hmac.compare_digest(head[32:64], _digest_of(steps, sent)):
            raise JournalMismatch(
                "holds other messages than this party sent, by its journal", party=self._name(peer), hint=_AGAIN
            )
        return frozenset(steps)

    def _lost(self, peer: int) -> JournalMismatch:
        return JournalMismatch(
            f"the journal lacks messages that {self._name(peer)} has from this party: it is an old copy, or cut off",
            party=self._name(self.index),
            hint=_AGAIN,
        )

    def _name(self, index: int) -> str:
        return self.parties[index - 1]


def _digest_of(steps: Sequence[int], digests: Mapping[int, bytes]) -> bytes:
    total = hashlib.sha256(b"mpcstats/v1/held")
    for step in steps:
        total.update(step.to_bytes(8, "little") + digests[step])
    return total.digest()
