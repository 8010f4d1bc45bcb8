"""A run in several attempts: parties that die anywhere, and take up the run again from their journals."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mpcstats.transport.channel import Buffer, Channel
from mpcstats.transport.journaled import FIRST_STEP, LAST_STEP
from mpcstats.transport.memory import MemoryNetwork, Message

__all__ = ["Attempts", "Killed", "MortalChannel"]


class Killed(Exception):
    """The process of a party is gone."""


class MortalChannel:
    """A channel whose party dies at one of its messages.

    Parameters
    ----------
    channel : Channel
    dies_at : int or None
        Number of the message, sent or received, from 0; None: it lives.
    after : bool
        After the message was sent or taken from the wire, not before.
    """

    def __init__(self, channel: Channel, dies_at: int | None, after: bool = False) -> None:
        self.index, self.parties, self.patience_seconds = channel.index, channel.parties, channel.patience_seconds
        self._channel, self._dies_at, self._after = channel, dies_at, after
        self.messages = 0

    def _count(self) -> bool:
        self.messages += 1
        dies = self._dies_at is not None and self.messages > self._dies_at
        if dies and not self._after:
            raise Killed
        return dies

    async def send(self, receiver: int, step: int, payload: Buffer) -> None:
        """See `Channel.send`."""
        dies = self._count()
        await self._channel.send(receiver, step, payload)
        if dies:
            raise Killed

    async def receive(self, sender: int, step: int, size: int) -> Buffer:
        """See `Channel.receive`."""
        dies = self._count()
        payload = await self._channel.receive(sender, step, size)
        if dies:
            raise Killed
        return payload

    @contextmanager
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


class Attempts:
    """All attempts at one run, and everything that was on the wire.

    Parameters
    ----------
    parties : tuple of str
    patience_seconds : float

    Attributes
    ----------
    wire : dict of (sender, receiver, step) to list of bytes
        What each message of the run was, each time it was sent.
    seen : list of Message
        Messages of the last attempt.
    """

    def __init__(self, parties: Sequence[str], patience_seconds: float = 20.0) -> None:
        self.parties, self.patience_seconds = tuple(parties), patience_seconds
        self.wire: dict[tuple[int, int, int], list[bytes]] = {}
        self.seen: list[Message] = []
        self.messages: list[int] = []

    def attempt(
        self,
        part: Callable[[Channel], Awaitable[Any]],
        kill: int | None = None,
        dies_at: int | None = None,
        after: bool = False,
    ) -> list[Any]:
        """Every party takes part on a new network; results or exceptions, in order.

        Parameters
        ----------
        part : coroutine function (channel)
            One party's part.
        kill : int, optional
            The party, 1..m, that dies.
        dies_at, after
            See `MortalChannel`.
        """
        self.seen = []
        network = MemoryNetwork(self.parties, self.patience_seconds, self._observe)
        channels = [
            MortalChannel(network.channel(i), dies_at if i == kill else None, after)
            for i in range(1, len(self.parties) + 1)
        ]

        async def party(channel: MortalChannel) -> Any:
            try:
                return await part(channel)
            except Exception as error:
                await channel.abort(error)
                raise

        async def everybody() -> list[Any]:
            return await asyncio.gather(*map(party, channels), return_exceptions=True)

        results = asyncio.run(everybody())
        self.messages = [channel.messages for channel in channels]
        return results

    def _observe(self, message: Message) -> None:
        self.seen.append(message)
        if FIRST_STEP <= message.step < LAST_STEP:
            key = (message.sender, message.receiver, message.step - FIRST_STEP)
            self.wire.setdefault(key, []).append(message.payload)

    @property
    def ambiguous(self) -> list[tuple[int, int, int]]:
        """Messages that were sent with different bytes: one mask on two values."""
        return [key for key, payloads in self.wire.items() if len(set(payloads)) > 1]
