"""What a party's node says of itself: protocol, version, analyses, roster, clock, and how fast the line is."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from typing import Any

from mpcstats.node.consortium.ping import MAX_PAYLOAD, PROTOCOL, registry
from mpcstats.node.doctor.findings import Finding, ok, problem, warning
from mpcstats.node.doctor.target import Target
from mpcstats.node.doctor.visit import Own, Visit
from mpcstats.transport.tls import dial_options, peer_credentials
from mpcstats.version import __version__

__all__ = ["SKEW_WARNING", "talk"]

SKEW_WARNING = 2.0
"""Seconds that two clocks may differ; approvals and certificates have dates."""

_SKEW_PROBLEM = 60.0
_PINGS = 5
_TRANSFERS = 4
_SLOW_TRIP = 0.2
_SLOW_MBIT = 10.0


def talk(found: Visit, own: Own, seconds: float) -> None:
    """Ping the node over gRPC, as runs do."""
    import grpc

    from mpcstats.wire.node_pb2_grpc import PeerStub

    target = found.target
    credentials = peer_credentials(own.pair, target.certificate_pem)
    with grpc.secure_channel(target.address, credentials, options=dial_options(target.name)) as channel:
        stub = PeerStub(channel)  # type: ignore[no-untyped-call]
        try:
            reply, trips = _pings(stub, seconds, found)
            found.findings += _software(reply, target, own, found)
            found.findings += [*_clock(found), *_line(stub, trips, target, seconds)]
        except grpc.RpcError as error:
            found.findings.append(_no_answer(error.code().name, target))


def _pings(stub: Any, seconds: float, found: Visit) -> tuple[Any, list[float]]:
    """The last reply, and round trips in seconds. The clock is read on the shortest one."""
    from mpcstats.wire.node_pb2 import PingRequest

    reply = stub.Ping(PingRequest(), timeout=seconds)  # connects
    trips: list[float] = []
    for _ in range(_PINGS):
        began, start = time.time(), time.perf_counter()
        reply = stub.Ping(PingRequest(), timeout=seconds)
        trip = time.perf_counter() - start
        if reply.time_microseconds and trip <= min(trips, default=trip):
            found.skew = reply.time_microseconds / 1e6 - (began + trip / 2)
        trips.append(trip)
    return reply, trips


def _no_answer(status: str, target: Target) -> Finding:
    name = target.name
    if status == "UNIMPLEMENTED":
        what = "a node answers, but it speaks another version of the protocol"
        helps = f"install the same mpcstats at {name} and here ({__version__} is here)"
        return problem("protocol", what, "E1712", party=name, whose=f"{name}, or us", next=helps)
    if status == "PERMISSION_DENIED":
        what = f"{name} knows our certificate, but takes no calls from our key"
        return problem("accepted", what, "E1711", party=name, whose=name, next="mpcstats consortium status, at both")
    what = f"TLS works, but the node does not answer ({status})"
    helps = f"ask {name} to look into logs/node.log"
    return problem("grpc", what, "E1712", party=name, whose=name, next=helps)


def _software(reply: Any, target: Target, own: Own, found: Visit) -> list[Finding]:
    """Protocol, version, analyses and roster of the other node."""
    name, result = target.name, []
    if reply.name != name:
        what = f"the node calls itself {reply.name[:40]!r}"
        result.append(problem("grpc", what, "E1712", party=name, whose=name, next="check its party.toml"))
    if reply.protocol != PROTOCOL:
        what = f"speaks version {reply.protocol or 'before 1'} of the protocol, we speak {PROTOCOL}"
        helps = "install the same mpcstats everywhere"
        return [*result, problem("protocol", what, "E1712", party=name, whose=f"{name}, or us", next=helps)]
    result.append(ok("protocol", f"version {PROTOCOL}", name))
    if reply.version != __version__:
        what = f"runs mpcstats {reply.version[:40]}, here is {__version__}: they cannot run together"
        result.append(
            problem("version", what, "E1713", party=name, whose=f"{name}, or us", next="install the same one")
        )
    else:
        result.append(ok("version", f"mpcstats {reply.version}", name))
    if reply.registry_digest != registry():
        what = f"knows other analyses ({reply.registry_digest.hex()[:16]}, here {registry().hex()[:16]})"
        helps = "the same version was changed or built differently: install the same package at both"
        result.append(problem("analyses", what, "E1715", party=name, whose=f"{name}, or us", next=helps))
    else:
        result.append(ok("analyses", f"the same ({registry().hex()[:16]})", name))
    return [*result, *_roster(reply, target, own, found)]


def _roster(reply: Any, target: Target, own: Own, found: Visit) -> list[Finding]:
    if own.roster is None:
        return []
    name, here, there = target.name, own.roster.version, reply.roster_version
    found.same_roster = reply.roster_digest == own.roster.digest
    if found.same_roster:
        return [ok("roster", f"version {there}, digest {own.roster.digest.hex()[:16]}", name)]
    digests = f"({reply.roster_digest.hex()[:16]}, here {own.roster.digest.hex()[:16]})"
    if there == here:
        what, whose = f"uses another roster of the same version {there} {digests}", f"{name}, us, or the lead"
        helps = "compare digests with the lead: somebody joined a draft"
    elif there < here:
        what, whose = f"uses version {there} of the roster, here is {here} {digests}", name
        helps = f"ask {name} to run mpcstats consortium join ROSTER --party DIR, and to restart its node"
    else:
        what, whose = f"uses version {there} of the roster, here is {here} {digests}", "us"
        helps = "get the current roster from the lead: mpcstats consortium join ROSTER --party DIR"
    return [problem("roster", what, "E1714", party=name, whose=whose, next=helps)]


def _clock(found: Visit) -> list[Finding]:
    if found.skew is None:
        return []
    name, milliseconds = found.target.name, round(found.skew * 1000)
    what = f"{milliseconds:+d} ms"
    if abs(found.skew) < SKEW_WARNING:
        return [ok("clock", what, name, milliseconds)]
    what += ": its clock is ahead of ours" if milliseconds > 0 else ": its clock is behind ours"
    make = problem if abs(found.skew) >= _SKEW_PROBLEM else warning
    helps = "set both clocks by NTP (timedatectl set-ntp true)"
    return [make("clock", what, "E1716", party=name, whose=f"{name}, or us", next=helps, value=milliseconds)]


def _line(stub: Any, trips: Sequence[float], target: Target, seconds: float) -> list[Finding]:
    """Round trip, and speed from a bounded transfer."""
    name, trip = target.name, statistics.median(trips)
    shown = f"{trip * 1000:.1f} ms"
    if trip < _SLOW_TRIP:
        found = [ok("round trip", shown, name, trip * 1000)]
    else:
        helps = "runs take some hundred rounds: expect minutes; use analyses in table mode"
        whose = "the network"
        found = [warning("round trip", shown, "E1717", party=name, whose=whose, next=helps, value=trip * 1000)]
    speed = _megabits(stub, min(trips), seconds)
    if speed is None:
        return [*found, ok("bandwidth", "not measured: too many transfers in a short time", name)]
    if speed >= _SLOW_MBIT:
        return [*found, ok("bandwidth", f"{speed:,.0f} Mbit/s", name, speed)]
    helps = "ask the network department for 10 Mbit/s or more between the nodes"
    slow = warning(
        "bandwidth", f"{speed:.1f} Mbit/s", "E1717", party=name, whose="the network", next=helps, value=speed
    )
    return [*found, slow]


def _megabits(stub: Any, trip: float, seconds: float) -> float | None:
    """Mbit/s there and back together; None where the peer gives nothing back."""
    from mpcstats.wire.node_pb2 import PingRequest

    payload, took = os.urandom(MAX_PAYLOAD), 0.0
    for _ in range(_TRANSFERS):
        start = time.perf_counter()
        reply = stub.Ping(PingRequest(payload=payload), timeout=4 * seconds)
        if reply.payload != payload:
            return None
        took += max(time.perf_counter() - start - trip, 1e-6)
    return 2 * 8 * MAX_PAYLOAD * _TRANSFERS / took / 1e6
