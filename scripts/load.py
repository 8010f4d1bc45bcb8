"""A node under load: 50 clients at once, valid and invalid requests, and how fast its operator is answered meanwhile.

Three nodes run on this machine. Clients with the keys of the other two parties, with the operator's and with keys
that nobody knows call one of them as fast as it answers; the operator's status is asked from a process of its own.

    scripts/load --seconds 90 --clients 50 --out docs/reliability.md
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from reliability import write_section

from mpcstats.node.identity.keys import create_identity
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.spec import canonical_json
from mpcstats.testing.processes import PartyFiles, ProcessNetwork, make_party_directories
from mpcstats.transport.tls import KeyPair, dial_options, peer_credentials
from mpcstats.wire.node_pb2 import CoordinatorMessage, Entries, PingRequest, Reserve, StatusRequest, TermsRequest
from mpcstats.wire.node_pb2_grpc import ControlStub, PeerStub

TARGET = "alpha"
PROBES = 3
"""Clients with the operator's key, of all clients."""

_CALL_SECONDS = 20.0
_WARM_SECONDS = 2.0
_AFTER_SECONDS = 30.0
"""A node gives free memory back every 20 s."""

_SPEC = CountSpec(by=("sex",))
_DICTIONARY = """\
apiVersion = "mpcstats/v1"
kind = "Dictionary"
id = "load"
version = 1
[[column]]
name = "sex"
type = "category"
levels = ["F", "M"]
"""
_POLICY = 'apiVersion = "mpcstats/v1"\nkind = "Policy"\nextends = "open"\nanalyses = ["count"]\n'

Call = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True)
class Measured:
    """What was seen.

    Attributes
    ----------
    seconds : float
    clients : int
    status_ms : list of float
        Each answered status call of the operator, in order.
    status_failed : int
    memory : list of int
        Resident bytes of the node: before, and every second.
    after : int
        Resident bytes half a minute after the load.
    answers : Counter of (kind of request, answer)
    """

    seconds: float
    clients: int
    status_ms: list[float]
    status_failed: int
    memory: list[int]
    after: int
    answers: Counter[tuple[str, str]]

    @property
    def median_ms(self) -> float:
        """Of the status."""
        return statistics.median(self.status_ms)

    @property
    def p99_ms(self) -> float:
        """Of the status."""
        return sorted(self.status_ms)[int(0.99 * (len(self.status_ms) - 1))]

    def growth_mb(self) -> float:
        """Median of the last fifth of the memory readings less that of the second fifth, in 10^6 bytes."""
        fifth = max(1, len(self.memory) // 5)
        return (statistics.median(self.memory[-fifth:]) - statistics.median(self.memory[fifth : 2 * fifth])) / 1e6

    def table(self) -> str:
        """The report, Markdown."""
        rows = [
            ("duration", f"{self.seconds:.0f} s"),
            ("clients", f"{self.clients}, of them {PROBES} with the operator's key, {self.clients // 10} strangers"),
            ("requests", f"{sum(self.answers.values()) + len(self.status_ms):,}"),
            ("status, median", f"{self.median_ms:.1f} ms ({len(self.status_ms):,} calls, {self.status_failed} failed)"),
            ("status, 99th percentile", f"{self.p99_ms:.1f} ms"),
            ("memory before", f"{self.memory[0] / 1e6:.1f} MB"),
            ("memory at the end, most", f"{self.memory[-1] / 1e6:.1f} MB, {max(self.memory) / 1e6:.1f} MB"),
            ("memory, last fifth less second fifth", f"{self.growth_mb():+.1f} MB"),
            ("memory half a minute after", f"{self.after / 1e6:.1f} MB"),
        ]
        lines = ["| figure | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows), ""]
        lines += ["| request | answer | number |", "|---|---|---|"]
        return "\n".join(lines + [f"| {kind} | {code} | {n:,} |" for (kind, code), n in sorted(self.answers.items())])


# ---- requests --------------------------------------------------------------------------------------------------------


async def _take_part(channel: Any, message: CoordinatorMessage) -> Any:
    call = PeerStub(channel).TakePart(timeout=_CALL_SECONDS)
    await call.write(message)
    answer = await call.read()
    call.cancel()
    return answer


async def _stream(channel: Any, data: bytes) -> Any:
    call = channel.stream_stream("/mpcstats.v1.Transport/Exchange")(timeout=_CALL_SECONDS)
    await call.write(data)
    answer = await call.read()
    call.cancel()
    return answer


def _raw(method: str, data: bytes) -> Call:
    return lambda channel: channel.unary_unary(method)(data, timeout=_CALL_SECONDS)


def _refusable(reply: Any) -> str:
    """The answer in a reply: a refusal with its code, or OK."""
    try:
        return f"refused {reply.refused.code}" if reply.HasField("refused") else "OK"
    except (ValueError, AttributeError):
        return "OK"


def requests(roster_digest: bytes) -> dict[str, Call]:
    """What peers ask for: valid requests first."""
    spec = canonical_json(_SPEC).decode()
    peer = "/mpcstats.v1.Peer"
    return {
        "ping": lambda c: PeerStub(c).Ping(PingRequest(), timeout=_CALL_SECONDS),
        "exchange": lambda c: PeerStub(c).Exchange(Entries(heads_json="{}"), timeout=_CALL_SECONDS),
        "terms": lambda c: PeerStub(c).Terms(
            TermsRequest(spec_json=spec, roster_digest=roster_digest), timeout=_CALL_SECONDS
        ),
        "terms, malformed": lambda c: PeerStub(c).Terms(
            TermsRequest(spec_json='{"type":', roster_digest=roster_digest), timeout=_CALL_SECONDS
        ),
        "exchange, malformed": lambda c: PeerStub(c).Exchange(
            Entries(heads_json="[[[", entries=["{}", '{"entry": 7}']), timeout=_CALL_SECONDS
        ),
        "exchange, not a message": _raw(f"{peer}/Exchange", b"\xff" * 100),
        "exchange, oversized": _raw(f"{peer}/Exchange", bytes(2 << 20)),
        "unknown method": _raw(f"{peer}/Nothing", b""),
        "status, not for parties": lambda c: ControlStub(c).Status(StatusRequest(), timeout=_CALL_SECONDS),
        "run, malformed": lambda c: _take_part(
            c, CoordinatorMessage(reserve=Reserve(run_id=secrets.token_bytes(16), spec_json="{"))
        ),
        "stream without a hello": lambda c: _stream(c, b"\x0a\x03abc"),
    }


# ---- clients ---------------------------------------------------------------------------------------------------------


async def _flooder(channel: Any, end: float, answers: Counter[tuple[str, str]]) -> None:
    """One client that asks for nothing but pings, without a pause."""
    await _peer_client(0, channel, {"ping, flood": requests(b"")["ping"]}, end, answers)


async def _peer_client(
    number: int, channel: Any, calls: dict[str, Call], end: float, answers: Counter[tuple[str, str]]
) -> None:
    kinds = list(calls)
    while time.monotonic() < end:
        number += 1
        kind = kinds[number % len(kinds)]
        try:
            answer = _refusable(await calls[kind](channel))
        except grpc.RpcError as error:
            answer = error.code().name  # type: ignore[attr-defined]
        answers[kind, answer] += 1


async def _stranger(key: KeyPair, directory: PartyDirectory, end: float, answers: Counter[tuple[str, str]]) -> None:
    while time.monotonic() < end:
        async with _channel(key, directory) as channel:
            try:
                await PeerStub(channel).Ping(PingRequest(), timeout=_CALL_SECONDS)
                answers["stranger's ping", "OK"] += 1
            except grpc.RpcError as error:
                answers["stranger's ping", error.code().name] += 1  # type: ignore[attr-defined]


def _channel(key: KeyPair, directory: PartyDirectory) -> Any:
    credentials = peer_credentials(key, directory.identity().certificate_pem)
    # the node's bound is what is measured, not the client's; every client has a connection of its own
    options = [(name, value) for name, value in dial_options(TARGET) if name != "grpc.max_send_message_length"]
    own = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.aio.secure_channel(directory.config.network.listen, credentials, options=options + own)


async def _probe(directory: Path, seconds: float) -> dict[str, Any]:
    """The operator's side: status calls one after the other by each of a few clients."""
    party, times, failed = PartyDirectory(directory), list[float](), 0
    end = time.monotonic() + seconds

    async def one() -> None:
        nonlocal failed
        async with _channel(party.identity(), party) as channel:
            while time.monotonic() < end:
                start = time.perf_counter()
                try:
                    await ControlStub(channel).Status(StatusRequest(), timeout=_CALL_SECONDS)
                    times.append((time.perf_counter() - start) * 1000)
                except grpc.RpcError:
                    failed += 1
                await asyncio.sleep(0.02)

    await asyncio.gather(*(one() for _ in range(PROBES)))
    return {"times": times, "failed": failed}


async def _clients(directories: dict[str, Path], scratch: Path, clients: int, seconds: float) -> Counter[Any]:
    target = PartyDirectory(directories[TARGET])
    keys = [PartyDirectory(path).identity() for name, path in directories.items() if name != TARGET]
    strangers = max(1, clients // 10)
    answers: Counter[tuple[str, str]] = Counter()
    calls, end = requests(target.roster().digest), time.monotonic() + seconds
    channels = [_channel(keys[n % len(keys)], target) for n in range(clients - PROBES - strangers)]
    flooders = max(1, clients // 10)
    work = [_flooder(channel, end, answers) for channel in channels[:flooders]]
    work += [_peer_client(n, channel, calls, end, answers) for n, channel in enumerate(channels[flooders:])]
    unknown = [create_identity(scratch / f"stranger{n}", TARGET) for n in range(strangers)]
    work += [_stranger(key, target, end, answers) for key in unknown]
    await asyncio.gather(*work)
    for channel in channels:
        await channel.close()
    return answers


async def _memory(pid: int, seconds: float) -> list[int]:
    found, end = [_resident(pid)], time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.sleep(min(1.0, seconds / 10))
        found.append(_resident(pid))
    return found


def _resident(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


# ---- all of it -------------------------------------------------------------------------------------------------------


def make_consortium(root: Path) -> dict[str, Path]:
    """Two parties with a little data, one that computes."""
    files = PartyFiles(
        datasets={"main": {"table": "cohort.csv", "dictionary": "dictionary.toml"}},
        policy=_POLICY + '[approval]\nauto = ["*"]\n[release]\nrule = "auto"\n',
    )
    directories = make_party_directories(root, {TARGET: files, "beta": files, "gamma": PartyFiles(role="compute")})
    for name in (TARGET, "beta"):
        (directories[name] / "dictionary.toml").write_text(_DICTIONARY, encoding="utf-8")
        (directories[name] / "cohort.csv").write_text("sex\n" + "F\nM\n" * 20, encoding="utf-8")
    return directories


def under_load(network: ProcessNetwork, scratch: Path, clients: int, seconds: float) -> Measured:
    """Load a running consortium; afterwards a count must give the right number.

    Raises
    ------
    AssertionError
        It does not.
    """
    node = network[TARGET]
    command = [sys.executable, __file__, "--probe", str(node.directory), "--seconds", str(seconds)]

    async def work() -> tuple[Counter[Any], list[int]]:
        found = await asyncio.gather(
            _clients(network.directories, scratch, clients, seconds), _memory(node.process.pid, seconds)
        )
        return found[0], found[1]

    node.client.status()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as probe:
        answers, memory = asyncio.run(work())
        seen = json.loads(probe.communicate(timeout=seconds + 120)[0])
    time.sleep(_WARM_SECONDS)  # the flood's last calls
    table = next(iter(node.client.run(_SPEC).tables.values()))
    assert int(table["count"].sum()) == 80, table
    time.sleep(_AFTER_SECONDS if seconds > _AFTER_SECONDS else 0)
    after = _resident(node.process.pid)
    return Measured(seconds, clients, seen["times"], seen["failed"], memory, after, answers)


def main() -> None:
    """Print the table, and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--out", type=Path, help="file whose section is replaced, docs/reliability.md")
    parser.add_argument("--probe", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.probe is not None:
        print(json.dumps(asyncio.run(_probe(chosen.probe, chosen.seconds))))
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        with ProcessNetwork(make_consortium(root / "parties"), start_seconds=300) as network:
            measured = under_load(network, root, chosen.clients, chosen.seconds)
    print(measured.table())
    if chosen.out is not None:
        write_section(chosen.out, "load", measured.table().splitlines())


if __name__ == "__main__":
    main()
