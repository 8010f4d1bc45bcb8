"""A session: the parties' clock, accounts and only door to the network."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mpcstats.errors import StatisticalSecurityError
from mpcstats.field import PrimeField
from mpcstats.runtime.manifest import Manifest
from mpcstats.runtime.openings import OpeningLog
from mpcstats.runtime.shared import Shared
from mpcstats.sharing.committee import Committee, connected_to
from mpcstats.sharing.fixedpoint import headroom_bits
from mpcstats.sharing.streams import Randomness
from mpcstats.transport.channel import Buffer, Channel

__all__ = ["Accounts", "Session", "run_together"]

_SHORT = 1 << 16
"""Bytes that leave at once: a task for each message would take longer than the message."""


@dataclass
class Accounts:
    """What a session has cost this party."""

    rounds: int = 0
    bytes_sent: dict[int, int] = field(default_factory=dict)
    bytes_received: dict[int, int] = field(default_factory=dict)
    masked_openings: int = 0
    started: float = field(default_factory=time.monotonic)


class Session:
    """One run of one study, as one party sees it.

    Protocols are `async def f(session, ...)`. They draw labels and coins here, and exchange messages here: one
    `await session.exchange(...)` is one round.

    Parties 1..m compute; the others are guests (docs/adr/0020). A guest runs the same code on placeholders: it deals
    its inputs, gets what is opened by declaration, and takes no part in the rounds between the members.

    Parameters
    ----------
    channel : Channel
        Connections to the other parties.
    committee : Committee
    randomness : Randomness
        This party's keys.
    kappa : int
        Statistical security of one bounded mask, in bits.
    kappa_floor : int
        The session refuses masked openings that would bring the total below this.
    progress : function of str, optional
        Told what happens, in words.
    approved : Manifest, optional
        What people approved; the session opens nothing beyond it.
    seal : bool
        Raise `Sealed` before the first result is opened.
    recipients : collection of int, optional
        Parties that get results; all others go on with zeros in their place. Default: all.
    """

    def __init__(
        self,
        channel: Channel,
        committee: Committee,
        randomness: Randomness,
        *,
        kappa: int = 64,
        kappa_floor: int = 40,
        progress: Callable[[str], None] | None = None,
        approved: Manifest | None = None,
        seal: bool = False,
        recipients: Collection[int] | None = None,
    ) -> None:
        self.channel = channel
        self.committee = committee
        self.randomness = randomness
        self.kappa = kappa
        self.kappa_floor = kappa_floor
        self.progress = progress or (lambda text: None)
        self.accounts = Accounts()
        self.recipients = recipients
        self.openings = OpeningLog(approved, seal, recipients is not None)
        self._step = 0
        self._label = 0

    @property
    def index(self) -> int:
        """This party: 1..m in the committee, more for a guest."""
        return self.channel.index

    @property
    def is_guest(self) -> bool:
        """Whether this party computes on placeholders: it is not in the committee."""
        return self.index > self.committee.m

    @property
    def point(self) -> int:
        """Where this party's shares lie, 1..m. A guest has none; its placeholders are those of a member."""
        return 1 if self.is_guest else self.index

    @property
    def others(self) -> tuple[int, ...]:
        """All members of the committee but this party (but the one whose place a guest's placeholders take)."""
        return tuple(j for j in self.committee.members if j != self.point)

    @property
    def guests(self) -> tuple[int, ...]:
        """Parties outside of the committee."""
        return tuple(range(self.committee.m + 1, len(self.channel.parties) + 1))

    @property
    def peers(self) -> tuple[int, ...]:
        """Parties that this one has connections to: two guests have none."""
        return connected_to(self.index, len(self.channel.parties), self.committee)

    def receives(self, index: int) -> bool:
        """Whether a party gets results."""
        return self.recipients is None or index in self.recipients

    @property
    def blind(self) -> bool:
        """Whether this party sees zeros where results are opened."""
        return not self.receives(self.index)

    def name(self, index: int) -> str:
        """A party's name."""
        return self.channel.parties[index - 1]

    def label(self, protocol: str) -> str:
        """A name for one use of common randomness. Every party draws the same names in the same order."""
        self._label += 1
        return f"{self._label}/{protocol}"

    async def exchange(
        self, outgoing: Mapping[int, Buffer], expected: Mapping[int, int], *, guests: bool = False
    ) -> dict[int, Buffer]:
        """Send and receive the messages of one round.

        Parameters
        ----------
        outgoing : mapping of receiver to bytes
        expected : mapping of sender to number of bytes
            Empty messages (0 bytes) are neither sent nor awaited.
        guests : bool
            Guests take part. In all other rounds a guest sends nothing, and gets zeros of the expected lengths.

        Returns
        -------
        dict of sender to bytes
        """
        step, self._step = self._step, self._step + 1
        if self.is_guest and not guests:
            await self._send(step, {})  # lanes count their steps
            self.accounts.rounds += 1
            return {j: bytes(size) for j, size in expected.items() if size}
        sends = {j: data for j, data in outgoing.items() if len(data)}
        waits = {j: size for j, size in expected.items() if size}
        if sum(map(len, sends.values())) <= _SHORT:
            # all of it fits into what a peer reads ahead: nobody waits for anybody to read before it sends
            await self._send(step, sends)
            received: list[Buffer | None] = [await self._receive(j, step, size) for j, size in waits.items()]
        else:
            waiting = [self._receive(j, step, size) for j, size in waits.items()]
            received = await run_together([*waiting, self._send(step, sends)])
        accounts = self.accounts
        accounts.rounds += 1
        for j, data in sends.items():
            accounts.bytes_sent[j] = accounts.bytes_sent.get(j, 0) + len(data)
        for j, size in waits.items():
            accounts.bytes_received[j] = accounts.bytes_received.get(j, 0) + size
        return {j: data for j, data in zip(waits, received, strict=False) if data is not None}

    async def pipeline(
        self,
        blocks: int,
        produce: Callable[[int], Mapping[int, Buffer]],
        expected: Callable[[int], Mapping[int, int]],
        consume: Callable[[int, Mapping[int, Buffer]], None],
    ) -> None:
        """One round in blocks: while a block is under way, the next one is computed and earlier ones are taken in.

        Parameters
        ----------
        blocks : int
            Number of blocks; public.
        produce : function of block -> messages by receiver
        expected : function of block -> bytes by sender
        consume : function (block, messages by sender)
            Called in order, and after `produce` of the same block.
        """
        step, self._step = self._step, self._step + blocks
        accounts = self.accounts
        made = asyncio.Semaphore(0)  # a peer may be faster: a block is taken in after it was computed here

        async def send() -> None:
            for block in range(blocks):
                messages = produce(block)
                made.release()
                if self.is_guest:
                    messages = {}
                await self._send(step + block, messages)
                for j, data in messages.items():
                    accounts.bytes_sent[j] = accounts.bytes_sent.get(j, 0) + len(data)

        async def receive() -> None:
            for block in range(blocks):
                messages: dict[int, Buffer] = {}
                for j, size in expected(block).items():
                    if self.is_guest:
                        messages[j] = bytes(size)
                        continue
                    messages[j] = await self._receive(j, step + block, size)
                    accounts.bytes_received[j] = accounts.bytes_received.get(j, 0) + size
                await made.acquire()
                consume(block, messages)

        await run_together([send(), receive()])
        accounts.rounds += 1

    async def _send(self, step: int, messages: Mapping[int, Buffer]) -> None:
        """All messages of a step: short ones one after the other, long ones side by side."""
        if sum(map(len, messages.values())) <= _SHORT:
            for j, data in messages.items():
                await self.channel.send(j, step, data)
        else:
            await run_together([self.channel.send(j, step, data) for j, data in messages.items()])

    async def _receive(self, sender: int, step: int, size: int) -> Buffer:
        return await self.channel.receive(sender, step, size)

    @property
    def steps_taken(self) -> int:
        """Number of the next step on the channel."""
        return self._step

    def skip_steps(self, count: int) -> None:
        """Go on behind steps that lanes took."""
        self._step += count

    async def exchange_elements(
        self,
        field: PrimeField,
        outgoing: Mapping[int, Shared],
        senders: Sequence[int],
        shape: tuple[int, ...],
        *,
        guests: bool = False,
    ) -> dict[int, Shared]:
        """Exchange element arrays of one shape in one round."""
        size = int(field.item_bytes * _product(shape))
        received = await self.exchange(
            {j: field.to_bytes(x.values) for j, x in outgoing.items()}, dict.fromkeys(senders, size), guests=guests
        )
        return {j: Shared(field, field.from_bytes(received.get(j, b""), shape), self.committee.t) for j in senders}

    # --- statistical security -----------------------------------------------------------------------------------

    @property
    def kappa_total(self) -> float | None:
        """Statistical security left after all bounded masks used so far; None when none was used."""
        from math import log2

        return self.kappa - log2(self.accounts.masked_openings) if self.accounts.masked_openings else None

    def spend_masks(self, count: int) -> None:
        """Enter bounded-mask openings in the ledger before they are made.

        Raises
        ------
        StatisticalSecurityError
            kappa - log2(openings) would fall below the floor.
        """
        total = self.accounts.masked_openings + count
        if total > 1 << (self.kappa - self.kappa_floor):
            raise StatisticalSecurityError(
                f"{total} masked openings at kappa = {self.kappa} leave less than {self.kappa_floor} bits "
                "of statistical security",
                hint="split the analysis into several runs",
            )
        self.accounts.masked_openings = total

    def headroom(self, field: PrimeField) -> int:
        """The largest k such that numbers |z| < 2^(k-1) can be truncated in this session."""
        return headroom_bits(field, len(self.committee.subsets), self.kappa)


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for side in shape:
        total *= side
    return total


async def run_together(waits: Sequence[object]) -> list[Buffer | None]:
    """Run together; the first error ends the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
