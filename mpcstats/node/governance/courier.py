"""Brings entries to the other parties and fetches theirs: at once when there is something new, and every so often.

One message says what the sender knows (the number of each party's last entry) and has what the other is believed to
lack; the answer is the same. Whoever was away catches up. Nothing here can forge or reorder: entries are signed and
chained.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import grpc

from mpcstats.errors import FrameRejected, MpcStatsError
from mpcstats.node.governance.desk import LONGEST_ENTRY, Desk
from mpcstats.node.observing.logs import Log
from mpcstats.study.entries import SignedEntry
from mpcstats.wire.node_pb2 import Entries

__all__ = ["ENTRY_BATCH", "Courier", "parse_heads", "take_entries"]

ENTRY_BATCH = 512 * 1024
"""Bytes of entries in one message, about."""

_SECONDS = 10.0
_EVERY_SECONDS = 20.0
_ROUNDS = 1000
_MOST_PARTIES = 1000


class Courier:
    """Keeps the desks of all parties equal.

    Parameters
    ----------
    desk : Desk
    stubs : mapping of party to a `Peer` stub
        All parties but this one.
    log : Log
    """

    def __init__(self, desk: Desk, stubs: dict[str, Any], log: Log) -> None:
        self._desk, self._stubs, self._log = desk, stubs, log
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        desk.on_entry.append(self._tell)

    def stub(self, name: str) -> Any:
        """The `Peer` service of a party."""
        return self._stubs[name]

    def _tell(self, _signed: SignedEntry) -> None:
        """There is something new; called from any thread."""
        self._loop.call_soon_threadsafe(self._news.set)

    async def run(self) -> None:
        """Exchange for ever; ends by cancellation."""
        while True:
            self._news.clear()
            await self.exchange_all()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_SECONDS):
                    await self._news.wait()

    async def exchange_all(self) -> dict[str, str]:
        """Exchange with every other party now; what went wrong, by party."""
        names = list(self._stubs)
        results = await asyncio.gather(*(self.exchange(name) for name in names))
        return {name: problem for name, problem in zip(names, results, strict=True) if problem}

    async def exchange(self, name: str) -> str:
        """Exchange with one party now; what went wrong, or ""."""
        try:
            async with asyncio.timeout(_SECONDS):
                await self._with(name)
        except (grpc.RpcError, TimeoutError):
            return "cannot be reached"
        except MpcStatsError as error:
            self._log.error("entries_refused", code=error.code, party=error.party or name, reason=error.message)
            return error.message
        return ""

    async def _with(self, name: str) -> None:
        theirs: dict[str, int] | None = None
        for _ in range(_ROUNDS):
            mine = await asyncio.to_thread(self._desk.heads)
            offered = [] if theirs is None else await asyncio.to_thread(self._desk.after, theirs, ENTRY_BATCH)
            request = Entries(heads_json=json.dumps(mine), entries=offered)
            reply = await self._stubs[name].Exchange(request, timeout=_SECONDS)
            before, theirs = theirs, parse_heads(reply.heads_json, name)
            await asyncio.to_thread(take_entries, self._desk, reply.entries, name)
            mine = await asyncio.to_thread(self._desk.heads)
            complete = all(theirs.get(party, 0) >= number for party, number in mine.items())
            # a party that takes nothing of what it is offered is asked again later, not at once
            if not reply.entries and (complete or theirs == before):
                return


def take_entries(desk: Desk, documents: Any, sender: str) -> int:
    """Keep entries that `sender` passed on, in order; how many were new.

    Raises
    ------
    MpcStatsError
        One is not valid; those before it are kept.
    """
    new = 0
    for document in documents:
        if len(document) > LONGEST_ENTRY + 1024:
            raise FrameRejected("sent an entry that is too long", party=sender)
        try:
            signed = SignedEntry.model_validate(json.loads(document))
        except (ValueError, RecursionError):
            raise FrameRejected("sent an entry that is not one", party=sender) from None
        new += desk.add(signed)
    return new


def parse_heads(text: str, sender: str) -> dict[str, int]:
    """Numbers of last entries by party.

    Raises
    ------
    FrameRejected
        Something else.
    """
    try:
        plain: dict[str, int] = json.loads(text)
        fine = isinstance(plain, dict) and len(plain) <= _MOST_PARTIES
        if not fine or not all(type(number) is int and 0 <= number < 1 << 53 for number in plain.values()):
            raise ValueError("not heads")
    except (ValueError, RecursionError):
        raise FrameRejected("sent malformed heads", party=sender) from None
    return plain
