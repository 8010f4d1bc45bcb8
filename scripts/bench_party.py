"""One party of the benchmark: a process of its own that serves, connects, and measures what the setup file lists.

    python bench_party.py FOLDER INDEX

The folder is made by bench.py. Every pass runs every primitive once, and before each of them the probe: a noisy
neighbour then slows all of them alike. The first pass is not timed; it warms up, and measures memory. Prints one JSON
line per primitive.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
from bench_primitives import PRIMITIVES, Prepared
from bench_probe import Probe

from mpcstats.field import warm_up
from mpcstats.node.identity.keys import load_identity
from mpcstats.runtime import Session, agree_on_keys
from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.transport.callers import CallerCheck
from mpcstats.transport.network import PeerNetwork
from mpcstats.transport.tls import KeyPair, PinnedPeer, server_credentials, server_options

KEEP_BYTES = 1 << 30
"""Inputs above this are dealt anew for every repetition: not all primitives' inputs fit the memory at the same time."""


@dataclass
class Row:
    """What one party measured of one primitive."""

    key: str
    size: int
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    probe_seconds: list[float] = field(default_factory=list)
    probe_cpu_seconds: list[float] = field(default_factory=list)
    round_seconds: list[float] = field(default_factory=list)
    rounds: int = 0
    bytes_sent: int = 0
    peak_bytes: int | None = None
    input_bytes: int = 0


@asynccontextmanager
async def connected(folder: Path, index: int, setup: dict[str, Any]) -> AsyncIterator[tuple[Session, Probe | None]]:
    """A session over mutual TLS with fresh keys, and the probe beside it."""
    names = setup["names"]
    certificates = [(folder / name / "keys" / "node.crt").read_bytes() for name in names]
    roster = tuple(PinnedPeer(k + 1, name, setup["addresses"][k], certificates[k]) for k, name in enumerate(names))
    own = load_identity(folder / names[index - 1], names[index - 1])
    network = PeerNetwork(own, index, roster, lambda *refusal: None)
    server = await _serve(own, index, roster, network)
    probe = None
    if setup["probe"]:
        addresses = setup["probe"]
        probe = Probe(own, index, tuple(replace(peer, address=addresses[peer.index - 1]) for peer in roster))
        await probe.open()
    m, delay = len(names), setup["delay_ms"] / 1000
    async with network.session(b"benchmark-run-01", patience_seconds=600) as channel:
        await channel.wait_attached()
        line: Any = Delayed(channel, delay) if delay else channel
        session = Session(line, Committee(m, default_threshold(m)), None)  # type: ignore[arg-type]
        await agree_on_keys(session, bytes(32))
        yield session, probe
        await asyncio.sleep(2 * delay + 0.1)  # messages on the delayed line arrive before it closes
    if probe is not None:
        await probe.close()
    await network.close()
    await server.stop(1)


async def _serve(own: KeyPair, index: int, roster: tuple[PinnedPeer, ...], network: PeerNetwork) -> Any:
    others = [peer for peer in roster if peer.index != index]
    check = CallerCheck(roster[index - 1].fingerprint, others, frozenset(), lambda *refusal: None)
    server = grpc.aio.server(interceptors=[check], options=server_options())
    network.add_to_server(server)
    server.add_secure_port(roster[index - 1].address, server_credentials(own, others))
    await server.start()
    return server


# --- measuring ------------------------------------------------------------------------------------------------------


async def measure(session: Session, probe: Probe | None, wanted: list[tuple[str, int]], passes: int) -> list[Row]:
    """All repetitions of all primitives."""
    rows = [Row(key, size) for key, size in wanted]
    ready: dict[str, Prepared] = {}
    for number in range(passes + 1):
        if session.index == 1:
            print(f"pass {number} of {passes}" if number else "warming up", file=sys.stderr, flush=True)
        for row in rows:
            prepared = ready.pop(row.key, None) or await PRIMITIVES[row.key].prepare(session, row.size)
            row.input_bytes = prepared.input_bytes
            if number and probe is not None:
                seconds, cpu = await probe.run(row.size)
                row.probe_seconds.append(seconds)
                row.probe_cpu_seconds.append(cpu)
            await _repetition(session, row, prepared, timed=number > 0)
            if prepared.input_bytes <= KEEP_BYTES / len(rows):
                ready[row.key] = prepared
            del prepared
    return rows


async def _repetition(session: Session, row: Row, prepared: Prepared, timed: bool) -> None:
    accounts = session.accounts
    accounts.masked_openings = 0  # a repetition stands for a run of its own, with kappa_total of 40 or more
    resident = None if timed else _reset_peak()
    await session.exchange(dict.fromkeys(session.others, b"ready!!!"), dict.fromkeys(session.others, 8))
    before = accounts.rounds, sum(accounts.bytes_sent.values())
    started, busy = time.perf_counter(), time.process_time()
    result = await prepared.run()
    seconds, cpu = time.perf_counter() - started, time.process_time() - busy
    row.rounds = accounts.rounds - before[0]
    row.bytes_sent = sum(accounts.bytes_sent.values()) - before[1]
    if timed:
        row.seconds.append(seconds)
        row.cpu_seconds.append(cpu)
        row.round_seconds += result if isinstance(result, list) else []
    elif resident is not None:
        row.peak_bytes = max(0, _memory("VmHWM") - resident)


def _reset_peak() -> int | None:
    """Resident bytes now, from which the peak is counted; None where the system does not tell.

    Memory that was freed, but not given back, would hide the next peak: it is given back first.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return _memory("VmRSS")
    except OSError:
        return None


def _memory(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith(name + ":"))


class Delayed:
    """A channel whose messages arrive later: latency, without a limit on how many are under way."""

    def __init__(self, inner: Any, seconds: float) -> None:
        self._inner, self._seconds = inner, seconds
        self._queues: dict[int, asyncio.Queue[tuple[float, int, bytes]]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def send(self, receiver: int, step: int, payload: Any) -> None:
        """Hand the message to the line."""
        if receiver not in self._queues:
            self._queues[receiver] = asyncio.Queue()
            self._tasks.append(asyncio.create_task(self._carry(receiver)))
        due = asyncio.get_running_loop().time() + self._seconds
        self._queues[receiver].put_nowait((due, step, bytes(payload)))

    async def _carry(self, receiver: int) -> None:
        while True:
            due, step, payload = await self._queues[receiver].get()
            await asyncio.sleep(max(0, due - asyncio.get_running_loop().time()))
            await self._inner.send(receiver, step, payload)


async def main(folder: Path, index: int) -> None:
    """Measure and print."""
    setup = json.loads((folder / "setup.json").read_text(encoding="utf-8"))
    warm_up()
    async with connected(folder, index, setup) as (session, probe):
        for row in await measure(session, probe, setup["wanted"], setup["passes"]):
            print(json.dumps(vars(row)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
