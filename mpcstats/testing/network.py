"""Run a protocol between in-memory parties."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from mpcstats.runtime.session import Session
from mpcstats.runtime.setup import agree_on_keys
from mpcstats.sharing.committee import Committee
from mpcstats.sharing.streams import Randomness
from mpcstats.transport.memory import MemoryNetwork, Message

__all__ = ["run_parties"]


def run_parties(
    committee: Committee,
    program: Callable[[Session], Awaitable[Any]],
    *,
    coins: Sequence[Randomness] | None = None,
    observe: Callable[[Message], None] | None = None,
    patience_seconds: float = 20.0,
    kappa: int = 64,
    kappa_floor: int = 40,
    guests: int = 0,
) -> list[Any]:
    """Run `program(session)` at every party and return the results in order.

    Parameters
    ----------
    coins : sequence of Randomness, optional
        Scripted coins, one per party; without it the parties agree on fresh keys (two rounds, not observed).
    observe : function of Message, optional
        Sees every message of the program.
    guests : int
        Parties beside the committee; their results come last.
    """
    everyone = range(1, committee.m + guests + 1)
    names = tuple(f"party{i}" for i in everyone)
    network = MemoryNetwork(names, patience_seconds)
    barriers: list[asyncio.Barrier] = []  # made inside the event loop

    async def party(i: int) -> Any:
        session = Session(
            network.channel(i),
            committee,
            coins[i - 1] if coins else None,  # type: ignore[arg-type]
            kappa=kappa,
            kappa_floor=kappa_floor,
        )
        try:
            if coins is None:
                await agree_on_keys(session, hashlib.sha256(b"test").digest())
                session.accounts.rounds = 0
                session.accounts.bytes_sent.clear()
            await barriers[0].wait()
            network.observe = observe
            return await program(session)
        except Exception as error:
            await session.channel.abort(error)
            raise

    async def everybody() -> list[Any]:
        barriers.append(asyncio.Barrier(len(names)))
        results = await asyncio.gather(*(party(i) for i in everyone), return_exceptions=True)
        errors = [r for r in results if isinstance(r, BaseException)]
        if errors:
            raise errors[0]
        return results

    return asyncio.run(everybody())
