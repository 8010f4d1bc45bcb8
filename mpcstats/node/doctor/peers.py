"""Visits every other party of the roster, all at the same time, and compares what they found."""

from __future__ import annotations

import datetime
import ssl
import statistics
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mpcstats.errors import ConfigurationError
from mpcstats.node.consortium.roster import Roster, address_parts
from mpcstats.node.doctor.findings import Finding, ok, problem, warning
from mpcstats.node.doctor.keys import KnownKeys, judge_certificate
from mpcstats.node.doctor.talk import SKEW_WARNING, talk
from mpcstats.node.doctor.target import Target, read_targets
from mpcstats.node.doctor.visit import Own, Visit
from mpcstats.node.doctor.way import knock, trouble_of
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.transport.tls import KeyPair, fingerprint

__all__ = ["PATIENCE", "check_peers", "own_side", "visit"]

PATIENCE = 5.0
"""Seconds for each step of the way."""

_AT_ONCE = 16


def own_side(directory: PartyDirectory) -> tuple[Own, list[Target]]:
    """Keys and roster of our own, as they are, also when they have expired; and the parties to visit.

    Raises
    ------
    ConfigurationError
        There are no keys, or no roster, that could be read.
    """
    keys = directory.path / "keys"
    try:
        pair = KeyPair((keys / "node.key").read_bytes(), (keys / "node.crt").read_bytes())
    except OSError as error:
        raise ConfigurationError(f"cannot read {error.filename}: {error.strerror}") from None
    own = fingerprint(pair.certificate_pem)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(keys / "node.crt", keys / "node.key")
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{keys / 'node.key'} is not the key of node.crt ({error.reason})", hint="restore both from a backup"
        ) from None
    targets = read_targets(directory.roster_file)
    roster: Roster | None
    try:
        roster = directory.roster()
    except ConfigurationError:
        roster = None
    current = {target.fingerprint: target.name for target in targets}
    known = KnownKeys(own, current, _earlier_keys(directory, set(current)))
    side = Own(directory.config.name, keys / "node.crt", keys / "node.key", pair, known, roster)
    return side, [target for target in targets if target.fingerprint != own and target.name != side.name]


def check_peers(directory: PartyDirectory, seconds: float = PATIENCE) -> list[Finding]:
    """Visit every other party of the roster, all at the same time; findings in the roster's order.

    Parameters
    ----------
    seconds : float
        Patience for each step.
    """
    try:
        own, targets = own_side(directory)
    except ConfigurationError as error:
        return [problem("peers", error.message, "E1725", next=error.hint or "")]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        visits = list(pool.map(lambda target: visit(target, own, seconds), targets))
    found = [finding for each in visits for finding in each.findings]
    return [*found, *_across(visits)]


def visit(target: Target, own: Own, seconds: float = PATIENCE) -> Visit:
    """Walk the way to one party up to the first step that fails."""
    found = Visit(target)
    try:
        host, port = address_parts(target.address)
    except ValueError as error:
        found.findings.append(problem("address", str(error), "E1701", party=target.name, whose="the roster"))
        return found
    greeting = knock(found, host, port, own, seconds)
    if greeting is None:
        return found
    now = datetime.datetime.now(datetime.UTC)
    if greeting.certificate is not None:
        found.findings += judge_certificate(greeting.certificate, target, own.known, now)
    if any(finding.status == "problem" and finding.check == "key" for finding in found.findings):
        return found
    if greeting.outcome == "grpc":
        found.findings.append(ok("tls", f"{greeting.detail}, and our certificate is accepted", target.name))
    found.accepted = {"grpc": True, "not-accepted": False}.get(greeting.outcome)
    trouble = trouble_of(greeting, target, own, now)
    if trouble is not None:
        found.findings.append(trouble)
    elif not any(finding.status == "problem" for finding in found.findings):
        talk(found, own, seconds)
    return found


def _across(visits: Sequence[Visit]) -> list[Finding]:
    """What the visits say together: who is the odd one out."""
    found = []
    refused = [visit.target.name for visit in visits if visit.accepted is False]
    taken = [visit.target.name for visit in visits if visit.accepted]
    if refused and taken:
        what = f"{', '.join(taken)} take our key, {', '.join(refused)} do not: the latter have another roster"
        helps = f"ask {', '.join(refused)} to join the current roster and to restart"
        found.append(warning("accepted", what, "E1711", whose=", ".join(refused), next=helps))
    elif len(refused) > 1:
        what = f"nobody takes our key ({', '.join(refused)}): it was removed from the roster, or never in it"
        helps = "ask the lead for the current roster, or send a new card (mpcstats party card DIR)"
        found.append(warning("accepted", what, "E1711", whose="us", next=helps))
    skews = [visit.skew for visit in visits if visit.skew is not None]
    if len(skews) > 1 and (min(skews) > SKEW_WARNING or max(skews) < -SKEW_WARNING):
        usual = statistics.median(skews) * 1000
        what = f"all {len(skews)} parties' clocks differ from ours by {usual:+.0f} ms: ours is off"
        found.append(warning("clock", what, "E1716", next="timedatectl set-ntp true"))
    return found


def _earlier_keys(directory: PartyDirectory, current: set[bytes]) -> dict[bytes, tuple[str, int]]:
    """Keys of rosters that this party joined before, and that are in use no more."""
    found: dict[bytes, tuple[str, int]] = {}
    for path in sorted(directory.rosters.glob("*.toml")):
        version = _version(path)
        for target in _quietly(lambda path=path: read_targets(path)):  # type: ignore[misc]
            known = found.get(target.fingerprint)
            if target.fingerprint not in current and (known is None or known[1] < version):
                found[target.fingerprint] = (target.name, version)
    return found


def _version(path: Path) -> int:
    try:
        version = tomllib.loads(path.read_text(encoding="utf-8")).get("version", 0)
    except (OSError, ValueError):
        return 0
    return version if isinstance(version, int) else 0


def _quietly(read: Callable[[], list[Target]]) -> list[Target]:
    try:
        return read()
    except ConfigurationError:
        return []
