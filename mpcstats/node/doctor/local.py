"""One's own house: files, keys, port, disk, memory, clock, limits, state. Nothing is changed, nothing is sent."""

from __future__ import annotations

import datetime
import os
import platform
import resource
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography import x509

from mpcstats.errors import ConfigurationError, MpcStatsError
from mpcstats.node.consortium.roster import address_parts
from mpcstats.node.doctor.findings import Finding, ok, problem, warning
from mpcstats.node.doctor.keys import WARN_DAYS, dates_finding
from mpcstats.node.doctor.target import read_targets, validity
from mpcstats.node.identity.keys import fingerprint_words, load_identity, load_signing_key
from mpcstats.node.identity.lockfile import lock_holder
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.study.dictionary import load_dictionary
from mpcstats.transport.tls import fingerprint
from mpcstats.version import __version__

__all__ = ["check_house"]

_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy", "all_proxy")
_LITTLE_DISK, _NO_DISK = 5 << 30, 256 << 20
_LITTLE_MEMORY = 1 << 30
_FEW_FILES = 1024
_OLDEST = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def check_house(path: Path, environment: Mapping[str, str] = os.environ) -> tuple[list[Finding], PartyDirectory | None]:
    """Look at a party's directory and at the machine.

    Returns
    -------
    (findings, PartyDirectory)
        None instead of the directory where `party.toml` cannot be used; there is nothing more to look at then.
    """
    found = [*_software(), *_clock()]
    try:
        directory = PartyDirectory(path)
    except ConfigurationError as error:
        return [*found, _failed("party.toml", error, "E1721")], None
    found.append(ok("party.toml", f"{directory.config.name} ({directory.config.role}), {directory.config_file}"))
    for look in (_keys, _certificate, _policy, _roster, _datasets, _port, _state):
        found += look(directory)
    found += [*_disk(directory), *_memory(), *_entropy(), *_limits(), *_proxies(environment)]
    return found, directory


def _failed(check: str, error: MpcStatsError, code: str) -> Finding:
    return problem(check, error.message, code, next=error.hint or "")


def _software() -> Iterator[Finding]:
    yield ok("software", f"mpcstats {__version__}, Python {platform.python_version()} on {platform.system()}")


def _clock() -> Iterator[Finding]:
    now = datetime.datetime.now(datetime.UTC)
    if now < _OLDEST:
        yield problem("clock", f"it is {now:%Y-%m-%d} here", "E1716", next="timedatectl set-ntp true")
    else:
        yield ok("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC; --peers compares it with the others")


def _keys(directory: PartyDirectory) -> Iterator[Finding]:
    """Present, for the owner alone, and belonging together."""
    keys, name = directory.path / "keys", directory.config.name
    if not keys.is_dir():
        hint = f"mpcstats party init {directory.path}"
        yield problem("keys", f"there is no folder {keys}", "E1722", next=hint)
        return
    if keys.stat().st_mode & 0o077:
        yield problem("keys", f"{keys} is open to other users", "E1722", next=f"chmod 700 {keys}")
    fine = True
    for path in sorted(keys.rglob("*")):
        if path.is_file() and path.stat().st_mode & 0o077:
            fine = False
            mode = f"{path.stat().st_mode & 0o777:o}"
            yield problem("keys", f"{path} can be read by other users (mode {mode})", "E1722", next=f"chmod 600 {path}")
    if not fine:
        return
    try:
        load_signing_key(directory.path, name)
    except ConfigurationError as error:
        if "valid from" not in error.message:  # dates are looked at by themselves
            yield _failed("keys", error, "E1722")
            return
    yield ok("keys", "present, mode 0600, the signing key is the certificate's")


def _certificate(directory: PartyDirectory) -> Iterator[Finding]:
    try:
        pem = (directory.path / "keys" / "node.crt").read_bytes()
        certificate = x509.load_pem_x509_certificate(pem)
    except (OSError, ValueError) as error:
        yield problem("certificate", f"cannot be read ({type(error).__name__})", "E1723")
        return
    until = f"{certificate.not_valid_after_utc:%Y-%m-%d} UTC"
    renew = f"mpcstats party rotate {directory.path} > {directory.config.name}.card.toml, and send the card to the lead"
    state, days = validity(certificate, datetime.datetime.now(datetime.UTC))
    if state == "expired":
        yield problem("certificate", f"expired {until} ({days:.1f} days ago)", "E1723", next=renew)
        return
    if state == "not yet":
        since = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        yield problem("certificate", f"is not valid before {since}", "E1723", next="is the date right? (timedatectl)")
        return
    if days < WARN_DAYS:
        yield warning("certificate", f"expires {until} (in {days:.0f} days)", "E1723", next=renew, value=days)
    try:
        load_identity(directory.path, directory.config.name)
    except ConfigurationError as error:
        yield _failed("certificate", error, "E1723")
        return
    if days >= WARN_DAYS:
        yield ok("certificate", f"valid until {until}: {fingerprint_words(pem)}", value=days)


def _policy(directory: PartyDirectory) -> Iterator[Finding]:
    try:
        policy = directory.policy()
        for name in directory.config.datasets:
            directory.policy(name)
    except MpcStatsError as error:
        yield _failed("policy", error, "E1724")
        return
    if policy is None:
        yield ok("policy", "none: this party has no data")
    elif policy.extends == "open":
        what = "extends 'open', which lets everything out"
        yield warning("policy", what, "E1724", next=f"mpcstats policy use standard --party {directory.path}")
    else:
        yield ok("policy", f"extends {policy.extends!r}, {len(policy.analyses)} analyses")


def _roster(directory: PartyDirectory) -> Iterator[Finding]:
    """The roster, our place in it, and whose certificate is about to expire or has expired."""
    path, now = directory.roster_file, datetime.datetime.now(datetime.UTC)
    if not path.exists():
        hint = f"mpcstats consortium join ROSTER --party {directory.path}"
        yield warning("roster", "this party has joined no consortium yet", "E1725", next=hint)
        return
    try:
        targets = read_targets(path)
    except ConfigurationError as error:
        yield _failed("roster", error, "E1725")
        return
    for target in targets:
        if target.name != directory.config.name:
            yield from (each for each in dates_finding(target.certificate, now, target.name) if each.status != "ok")
    yield from _membership(directory, {target.fingerprint for target in targets})


def _membership(directory: PartyDirectory, listed: set[bytes]) -> Iterator[Finding]:
    try:
        own = fingerprint((directory.path / "keys" / "node.crt").read_bytes())
    except (OSError, ConfigurationError):
        return
    if own not in listed:
        before = False
        for path in directory.rosters.glob("*.toml"):
            try:
                before |= own in {target.fingerprint for target in read_targets(path)}
            except ConfigurationError:
                continue
        what = "was in an earlier version of the roster: it is revoked" if before else "is not in the roster"
        hint = f"send the lead the card: mpcstats party card {directory.path}"
        yield problem("roster", f"our key {what}", "E1725", next=hint)
        return
    try:
        roster = directory.roster()
    except ConfigurationError as error:
        yield _failed("roster", error, "E1725")
        return
    digest = roster.digest.hex()[:16]
    what = f"{roster.consortium} version {roster.version}, {len(roster.party)} parties, digest {digest}"
    yield ok("roster", what)


def _datasets(directory: PartyDirectory) -> Iterator[Finding]:
    for name in directory.config.datasets:
        config = directory.dataset(name)
        try:
            dictionary = load_dictionary(config.dictionary)
        except MpcStatsError as error:
            yield problem(f"data set {name}", error.message, "E1726", next=error.hint or "write its dictionary")
            continue
        if not config.table.is_file() or not os.access(config.table, os.R_OK):
            hint = f"correct [datasets.{name}] in {directory.config_file}"
            yield problem(f"data set {name}", f"{config.table} cannot be read", "E1726", next=hint)
            continue
        yield ok(f"data set {name}", f"dictionary {dictionary.id} version {dictionary.version}")


def _port(directory: PartyDirectory) -> Iterator[Finding]:
    """Free, or taken by this party's own node."""
    listen = directory.config.network.listen
    holder = lock_holder(directory.state)
    if holder is not None:
        yield ok("node", f"runs (process {holder})")
        return
    host, port = address_parts(listen)
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        what = f"cannot listen on {listen}: {error.strerror or type(error).__name__}"
        hint = "stop what listens there (ss -ltnp), or change [network] listen in party.toml"
        yield problem("port", what, "E1727", next=hint)
        return
    yield ok("port", f"{listen} is free; the node does not run")


def _state(directory: PartyDirectory) -> Iterator[Finding]:
    """The database can be reached; it is neither made nor migrated here."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        url = make_url(directory.state_url)
    except ArgumentError:
        yield problem("state", "[storage] state is no database URL", "E1732", next='state = "sqlite"')
        return
    if url.drivername == "sqlite" and not Path(url.database or "").exists():
        yield ok("state", "no studies yet: the node makes its database when it starts")
        return
    postgres = url.drivername == "postgresql"
    try:
        options = {"connect_timeout": 5} if postgres else {"timeout": 5}
        engine = create_engine(url.set(drivername="postgresql+psycopg") if postgres else url, connect_args=options)
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1" if postgres else "PRAGMA schema_version"))
        finally:
            engine.dispose()
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
        hint = f"check [storage] state in {directory.config_file}, and the permissions of {directory.state}"
        yield problem("state", f"the state database cannot be used: {reason}", "E1732", next=hint)
        return
    yield ok("state", f"reachable ({url.drivername})")


def _disk(directory: PartyDirectory) -> Iterator[Finding]:
    free = shutil.disk_usage(directory.path).free
    what = f"{free / 2**30:.1f} GiB free at {directory.path}"
    if free < _NO_DISK:
        yield problem("disk", what, "E1728", next="make room: logs, journals and results need it", value=free)
    elif free < _LITTLE_DISK:
        yield warning("disk", what, "E1728", next="5 GiB or more are advisable", value=free)
    else:
        yield ok("disk", what, value=free)


def _memory() -> Iterator[Finding]:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError, IndexError):
        return
    what = f"{free / 2**30:.1f} GiB available"
    if free < _LITTLE_MEMORY:
        yield warning("memory", what, "E1729", next="1 GiB or more is needed for most analyses", value=free)
    else:
        yield ok("memory", what, value=free)


def _entropy() -> Iterator[Finding]:
    try:
        os.getrandom(32, os.GRND_NONBLOCK)
    except (BlockingIOError, AttributeError):
        yield problem("entropy", "the system has no randomness yet", "E1730", next="wait, or install rng-tools")
    else:
        yield ok("entropy", "the system's randomness is ready")


def _limits() -> Iterator[Finding]:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < _FEW_FILES:
        what = f"at most {files} open files"
        yield warning("limits", what, "E1731", next="ulimit -n 4096, or LimitNOFILE= in the service", value=files)
    else:
        yield ok("limits", f"{'any number of' if files == resource.RLIM_INFINITY else files} open files")


def _proxies(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Proxies are named, not shown: their addresses may hold passwords."""
    named = [name for name in environment if name.casefold() in _PROXIES and environment[name]]
    if named:
        what = f"{', '.join(sorted(named))} set, but parties connect directly: no proxy is used between them"
        hint = "if connections to peers fail, the firewall must let this machine connect directly"
        yield warning("proxy", what, "E1718", whose="the network", next=hint)
