"""Large batches in blocks: a few blocks under way at once, each in a lane of its own; or a few different protocols.

A lane is a session that shares channel, keys, manifest and ledger with the session it came from. While one lane waits
for messages, another computes; arrays stay as small as a block. Every party cuts alike, and messages go out in an order
that all know (step by step, and lane by lane within a step), however the lanes happen to be scheduled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from mpcstats.runtime.openings import OpeningLog
from mpcstats.runtime.session import Accounts, Session, run_together
from mpcstats.runtime.shared import Shared
from mpcstats.transport.channel import Buffer

__all__ = ["BLOCK", "LANES", "in_blocks", "side_by_side", "waves"]

BLOCK = 1 << 18
"""Elements of a block: its arrays stay in a core's own cache. A multiple of 64: packed bits are cut without a rest."""

LANES = 4
"""Blocks under way at once."""

_NEVER = 1 << 62


def waves(count: int, block: int | None = None) -> int:
    """How many times the rounds of a block follow one another in a batch of `count` elements."""
    return -(-max(1, -(-count // (block or BLOCK))) // LANES)


async def in_blocks(
    session: Session, function: Callable[..., Awaitable[Shared]], *inputs: Shared, block: int | None = None
) -> Shared:
    """Apply a protocol to flat shared arrays of equal length, block by block.

    Parameters
    ----------
    function : coroutine function (session, *slices) -> Shared
        Its result has one element per element of the slices on the last axis. It opens nothing that is declared.
    inputs : Shared, shape (count,)

    Returns
    -------
    Shared, shape (..., count)

    Notes
    -----
    `waves(count)` times the rounds of one block; the bytes of all blocks; memory of `LANES` blocks beside input and
    result.
    """
    count, block = inputs[0].size, block or BLOCK
    if count <= block:
        return await function(session, *inputs)
    spans = [slice(at, min(count, at + block)) for at in range(0, count, block)]
    turns = _Turns(session, min(LANES, len(spans)))
    logs: list[OpeningLog] = [session.openings.part() for _ in spans]
    results: list[Shared] = []

    async def lane(number: int) -> None:
        own = Lane(session, turns, number)
        for k in range(number, len(spans), turns.lanes):
            own.begin(k, logs[k])
            part = await function(own, *(x[spans[k]] for x in inputs))
            if not results:
                whole = part.field.zeros((*part.shape[:-1], count))
                results.append(replace(part, values=whole))
            results[0].values[(slice(None),) * (len(part.shape) - 1) + (spans[k],)] = part.values
        turns.leave(number, own.accounts.rounds)

    await run_together([lane(number) for number in range(turns.lanes)])
    turns.close()
    for log in logs:
        session.openings.record("block", log.digest)
    return results[0]


async def side_by_side(session: Session, *functions: Callable[[Session], Awaitable[Any]]) -> list[Any]:
    """Different protocols at the same time: together they take the rounds of the longest.

    Parameters
    ----------
    functions : coroutine functions (session) -> anything
        The same at every party, in the same order; none opens what is declared.
    """
    turns = _Turns(session, len(functions))
    logs = [session.openings.part() for _ in functions]
    results: list[Any] = [None] * len(functions)

    async def lane(number: int) -> None:
        own = Lane(session, turns, number)
        own.begin(number, logs[number])
        results[number] = await functions[number](own)
        turns.leave(number, own.accounts.rounds)

    await run_together([lane(number) for number in range(turns.lanes)])
    turns.close()
    for log in logs:
        session.openings.record("lane", log.digest)
    return results


class _Turns:
    """Who may send next: step s of a lane follows step s of the lanes before it, and step s - 1 of those after it."""

    def __init__(self, session: Session, lanes: int) -> None:
        self.lanes = lanes
        self.label = session.label("lanes")
        self._session = session
        self._base = session.steps_taken
        self._next = [0] * lanes
        self._ends = [0] * lanes
        self._rounds = 0
        self._changed = asyncio.Event()

    def step(self, lane: int, step: int) -> int:
        """The step of the session's channel that belongs to a step of a lane."""
        return self._base + step * self.lanes + lane

    async def wait(self, lane: int, step: int) -> None:
        """Until all messages before this step are out."""
        while not self._may(lane, step):
            await self._changed.wait()

    def _may(self, lane: int, step: int) -> bool:
        return min(self._next[:lane], default=_NEVER) > step and min(self._next[lane + 1 :], default=_NEVER) >= step

    def passed(self, lane: int, step: int) -> None:
        """The messages of this step are out."""
        self._ends[lane] = step + 1
        self._advance(lane, step + 1)

    def leave(self, lane: int, rounds: int) -> None:
        """A lane has done its blocks."""
        self._rounds = max(self._rounds, rounds)
        self._advance(lane, _NEVER)

    def _advance(self, lane: int, step: int) -> None:
        self._next[lane] = step
        self._changed.set()
        self._changed = asyncio.Event()

    def close(self) -> None:
        """Give the session its clock back."""
        self._session.skip_steps(max(self._ends) * self.lanes)
        self._session.accounts.rounds += self._rounds


class Lane(Session):
    """A session within a session."""

    def __init__(self, parent: Session, turns: _Turns, number: int) -> None:
        super().__init__(
            parent.channel,
            parent.committee,
            parent.randomness,
            kappa=parent.kappa,
            kappa_floor=parent.kappa_floor,
            progress=parent.progress,
            recipients=parent.recipients,
        )
        self._parent, self._turns, self._number, self._block = parent, turns, number, 0
        of_parent = parent.accounts
        self.accounts = Accounts(0, of_parent.bytes_sent, of_parent.bytes_received, 0, of_parent.started)

    def begin(self, block: int, log: OpeningLog) -> None:
        """Go on with another block."""
        self._block, self.openings, self._label = block, log, 0

    def label(self, protocol: str) -> str:
        """A name that no other lane, block or use has."""
        return f"{self._turns.label}/block {self._block}/{super().label(protocol)}"

    def spend_masks(self, count: int) -> None:
        """The ledger is the session's."""
        self._parent.spend_masks(count)

    async def _send(self, step: int, messages: Mapping[int, Buffer]) -> None:
        await self._turns.wait(self._number, step)
        await super()._send(self._turns.step(self._number, step), messages)
        self._turns.passed(self._number, step)

    async def _receive(self, sender: int, step: int, size: int) -> Buffer:
        return await super()._receive(sender, self._turns.step(self._number, step), size)
