"""Measure the engine: primitives between party processes over mutual TLS on loopback, MPyC and a bare probe beside.

Every figure is elements per second as the slowest party sees it: median of the repetitions after one warm-up. All
processes share this machine's cores, so a figure is about total work, not about what separate hosts reach; compare
ratios within one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from bench_probe import probe

from mpcstats import protocols
from mpcstats.field import M61, M127, PrimeField
from mpcstats.node.identity import create_identity, load_identity
from mpcstats.runtime import Session, Shared, agree_on_keys
from mpcstats.sharing import prss
from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.transport.callers import CallerCheck
from mpcstats.transport.network import PeerNetwork
from mpcstats.transport.tls import PinnedPeer, server_credentials, server_options

REPETITIONS = 5
Primitive = Callable[[Session, int], Awaitable[Callable[[], Awaitable[Any]]]]


def random_shared(session: Session, field: PrimeField, shape: tuple[int, ...], fraction_bits: int = 0) -> Shared:
    """Shares of uniform values that nobody knows."""
    label = session.label("bench")
    parts = prss.draw_uniform(field, session.committee, session.index, session.randomness, label, shape)
    values = prss.combine(field, session.committee, session.index, parts)
    return Shared(field, values, session.committee.t, fraction_bits)


async def small_shared(session: Session, field: PrimeField, size: int, bits: int, fraction_bits: int = 0) -> Shared:
    """Shares of signed integers of so many bits, dealt by party 1."""
    own = None
    if session.index == 1:
        own = field.from_int64(np.random.default_rng().integers(-(1 << bits), 1 << bits, size))
    return (await protocols.deal(session, field, own, (1,), (size,), fraction_bits))[1]


def multiply(field: PrimeField) -> Primitive:
    async def prepare(session: Session, size: int) -> Callable[[], Awaitable[Any]]:
        x, y = random_shared(session, field, (size,)), random_shared(session, field, (size,))
        return lambda: protocols.multiply(session, x, y)

    return prepare


async def multiply_fixed(session: Session, size: int) -> Callable[[], Awaitable[Any]]:
    """(12, 24) at kappa 64: the product is below 2^11."""
    x = await small_shared(session, M127, size, 29, 24)
    return lambda: protocols.multiply_fixed(session, x, x, 11)


def compare(field: PrimeField, bits: int) -> Primitive:
    async def prepare(session: Session, size: int) -> Callable[[], Awaitable[Any]]:
        x = await small_shared(session, field, size, bits)
        return lambda: protocols.is_negative(session, x)

    return prepare


def matmul(field: PrimeField) -> Primitive:
    async def prepare(session: Session, size: int) -> Callable[[], Awaitable[Any]]:
        x, y = random_shared(session, field, (size, size)), random_shared(session, field, (size, size))
        return lambda: protocols.matmul(session, x, y)

    return prepare


async def exchange(session: Session, size: int) -> Callable[[], Awaitable[Any]]:
    """8 bytes per element to the next party, nothing else: what the transport alone costs."""
    data = bytes(8 * size)
    m = session.committee.m
    following, previous = session.index % m + 1, (session.index - 2) % m + 1

    async def run() -> None:
        await session.exchange({following: data}, {previous: len(data)})

    return run


PRIMITIVES: dict[str, tuple[str, int, Primitive]] = {
    "probe": ("bare probe: multiply kernel, AES, gRPC", 10**6, exchange),
    "exchange": ("transport alone, 8 bytes an element", 10**6, exchange),
    "multiply-M61": ("multiply, M61", 10**6, multiply(M61)),
    "multiply-M127": ("multiply, M127", 10**6, multiply(M127)),
    "multiply-fixed": ("fixed-point multiply (12, 24), kappa 64", 10**6, multiply_fixed),
    "compare-M61": ("compare, signed 60-bit in M61", 10**6, compare(M61, 59)),
    "matmul-M61": ("matrix product, M61, elements = side", 256, matmul(M61)),
    "compare-M127": ("compare, 62-bit in M127", 10**6, compare(M127, 61)),
}


# --- one party ------------------------------------------------------------------------------------------------------


async def party(folder: Path, index: int, wanted: list[tuple[str, int]], delay: float) -> None:
    """Serve, connect, measure; print one JSON line per primitive."""
    import grpc

    setup = json.loads((folder / "setup.json").read_text())
    names = setup["names"]
    keys = {name: (folder / name / "keys" / "node.crt").read_bytes() for name in names}
    roster = tuple(PinnedPeer(k + 1, name, setup["addresses"][k], keys[name]) for k, name in enumerate(names))
    own = load_identity(folder / names[index - 1], names[index - 1])
    for key, size in wanted:
        if key == "probe":
            separate = tuple(replace(peer, address=setup["probe"][peer.index - 1]) for peer in roster)
            seconds = await probe(own, index, separate, size, REPETITIONS)
            row = {"key": key, "size": size, "seconds": seconds, "rounds": 1, "bytes": 8 * size, "peak_mb": 0}
            print(json.dumps(row), flush=True)
    wanted = [(key, size) for key, size in wanted if key != "probe"]
    network = PeerNetwork(own, index, roster, lambda *refusal: None)
    others = [peer for peer in roster if peer.index != index]
    check = CallerCheck(roster[index - 1].fingerprint, others, frozenset(), lambda *refusal: None)
    server = grpc.aio.server(interceptors=[check], options=server_options())
    network.add_to_server(server)
    server.add_secure_port(setup["addresses"][index - 1], server_credentials(own, others))
    await server.start()
    m = len(names)
    async with network.session(b"benchmark-run-01", patience_seconds=300) as channel:
        await channel.wait_attached()
        line: Any = Delayed(channel, delay) if delay else channel
        session = Session(line, Committee(m, default_threshold(m)), None, kappa=64, kappa_floor=30)  # type: ignore[arg-type]
        await agree_on_keys(session, bytes(32))
        for key, size in wanted:
            print(json.dumps(await measure(session, key, size)), flush=True)
        await asyncio.sleep(2 * delay + 0.1)  # messages on the delayed line arrive before it closes
    await server.stop(1)


async def measure(session: Session, key: str, size: int) -> dict[str, Any]:
    """Seconds of each repetition, and the cost of one."""
    run = await PRIMITIVES[key][2](session, size)
    seconds = []
    accounts = session.accounts
    for _ in range(REPETITIONS + 1):
        await session.exchange(dict.fromkeys(session.others, b"ready!!!"), dict.fromkeys(session.others, 8))
        before = accounts.rounds, sum(accounts.bytes_sent.values())
        started = time.perf_counter()
        await run()
        seconds.append(time.perf_counter() - started)
        cost = accounts.rounds - before[0], sum(accounts.bytes_sent.values()) - before[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"key": key, "size": size, "seconds": seconds[1:], "rounds": cost[0], "bytes": cost[1], "peak_mb": peak}


# --- all parties ----------------------------------------------------------------------------------------------------


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def run_engine(m: int, wanted: list[tuple[str, int]], delay_ms: float) -> list[dict[str, Any]]:
    """Measure with m party processes; one merged row per primitive."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        names = [f"party{k + 1}" for k in range(m)]
        for name in names:
            create_identity(folder / name, name)
        addresses = [f"127.0.0.1:{port}" for port in free_ports(2 * m)]
        setup = {"names": names, "addresses": addresses[:m], "probe": addresses[m:]}
        (folder / "setup.json").write_text(json.dumps(setup))
        command = [sys.executable, __file__, "--wanted", json.dumps(wanted), "--folder", text]
        command += ["--delay-ms", str(delay_ms), "--index"]
        workers = [subprocess.Popen([*command, str(k + 1)], stdout=subprocess.PIPE, text=True) for k in range(m)]
        outputs = [worker.communicate()[0].splitlines() for worker in workers]
        if any(worker.returncode for worker in workers):
            raise SystemExit("a party failed")
    rows = []
    for lines in zip(*outputs, strict=True):
        parties = [json.loads(line) for line in lines]
        slowest = [max(times) for times in zip(*(p["seconds"] for p in parties), strict=True)]
        row = parties[0] | {"seconds": statistics.median(slowest), "all_seconds": slowest}
        row["bytes_per_element"] = sum(p["bytes"] for p in parties) / m / row["size"]
        row["peak_mb"] = max(p["peak_mb"] for p in parties)
        row["rate"] = row["size"] / row["seconds"]
        rows.append(row)
    return rows


def run_mpyc() -> dict[str, float]:
    """Elements per second of MPyC with three local parties, in this run."""
    command = [sys.executable, str(Path(__file__).with_name("bench_mpyc.py")), "-M3"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {row["key"]: row["size"] / row["seconds"] for row in rows}


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parties", type=int, default=3)
    parser.add_argument("--size", type=int, help="elements; default: each primitive's own")
    parser.add_argument("--only", help="names, comma separated: " + ", ".join(PRIMITIVES))
    parser.add_argument("--delay-ms", type=float, default=0, help="latency added to every message")
    parser.add_argument("--no-mpyc", action="store_true", help="leave out MPyC")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--index", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--wanted", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure and print the table."""
    asked = options()
    if asked.index:
        asyncio.run(party(asked.folder, asked.index, json.loads(asked.wanted), asked.delay_ms / 1000))
        return
    chosen = asked.only.split(",") if asked.only else list(PRIMITIVES)
    if unknown := [name for name in chosen if name not in PRIMITIVES]:
        raise SystemExit(f"unknown: {', '.join(unknown)}; known: {', '.join(PRIMITIVES)}")
    wanted = [(key, asked.size or PRIMITIVES[key][1]) for key in chosen]
    versions = {name: version(name) for name in ("numpy", "numba", "grpcio", "mpyc")}
    machine = {
        "parties": asked.parties,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **versions,
        "delay_ms": asked.delay_ms,
        "load": os.getloadavg()[0],
    }
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    baseline = {} if asked.no_mpyc or asked.parties != 3 else run_mpyc()
    rows = run_engine(asked.parties, wanted, asked.delay_ms)
    ceiling = next((row["rate"] for row in rows if row["key"] == "probe"), None)
    print(
        f"{'primitive':<42} {'elements':>10} {'M/s':>9} {'ms':>8} {'bytes':>7} {'rounds':>6} {'MB':>5} "
        f"{'of probe':>8} {'x MPyC':>8}"
    )
    for row in rows:
        row["of_probe"] = row["rate"] / ceiling if ceiling else None
        row["times_mpyc"] = row["rate"] / baseline[row["key"]] if row["key"] in baseline else None
        print(
            f"{PRIMITIVES[row['key']][0]:<42} {row['size']:>10,} {row['rate'] / 1e6:9.3f} {row['seconds'] * 1e3:8.1f} "
            f"{row['bytes_per_element']:7.2f} {row['rounds']:6d} {row['peak_mb']:5.0f} "
            f"{_share(row['of_probe']):>8} {_times(row['times_mpyc']):>8}"
        )
    if asked.json:
        asked.json.write_text(json.dumps({"machine": machine, "rows": rows, "mpyc": baseline}, indent=1))


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


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


if __name__ == "__main__":
    main()
