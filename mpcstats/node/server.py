"""A node: one port, one process, one party directory.

Startup: lock file, log, identity, roster, policy (all checked before the port opens), then gRPC. The end (SIGTERM,
SIGINT or `party stop`): no new runs, the current one may finish within a grace period, exit 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import grpc

from mpcstats.errors import ConfigurationError
from mpcstats.node.auditing.node import Auditing
from mpcstats.node.consortium.roster import Roster
from mpcstats.node.control import ControlService, PeerService
from mpcstats.node.governance.courier import Courier
from mpcstats.node.governance.desk import Desk
from mpcstats.node.governance.notices import EntryNotices
from mpcstats.node.governance.office import Office
from mpcstats.node.identity.alone import check_alone, tell_double
from mpcstats.node.identity.lockfile import hold_lock
from mpcstats.node.ledger.releases import ReleaseLedger
from mpcstats.node.memory import give_memory_back, keep_slim
from mpcstats.node.notices.delivery import Delivery
from mpcstats.node.notices.queue import Notifier, key_expiring, run_notifier
from mpcstats.node.observing.logs import Log, close_log, open_log, open_terminal
from mpcstats.node.observing.meter import Meter
from mpcstats.node.observing.node import Observing
from mpcstats.node.observing.run_logs import RunLogs
from mpcstats.node.observing.stderr import watch_stderr
from mpcstats.node.observing.vitals import Vitals
from mpcstats.node.process import forbid_dumps, tell_supervisor
from mpcstats.node.runs.jobs import Jobs
from mpcstats.node.runs.participation import House
from mpcstats.node.schedules.engine import run_schedules
from mpcstats.node.schedules.runs import schedule_engine
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.site import Site
from mpcstats.node.state.database import Database
from mpcstats.transport.network import PeerNetwork
from mpcstats.transport.tls import fingerprint, server_credentials, server_options
from mpcstats.version import __version__
from mpcstats.wire.node_pb2_grpc import PeerStub, add_ControlServicer_to_server, add_PeerServicer_to_server

__all__ = ["GRACE_SECONDS", "run_node", "serve"]

GRACE_SECONDS = 60.0
"""How long the current run may take to finish after a stop."""

# What is kept of interrupted runs goes after a week.
_KEPT_SECONDS = 7 * 24 * 3600
_TIDY_SECONDS = 3600.0

# Calls at once, streams included; a run needs one per peer, and one for the coordinator.
_MAX_CALLS = 128


def run_node(path: Path) -> None:
    """Run the node of a party directory until it is stopped.

    Raises
    ------
    ConfigurationError
        A file is wrong, the address is taken, or another node uses this directory.
    """
    forbid_dumps()
    directory = PartyDirectory(path)
    with hold_lock(directory.state):
        config, meter, terminal = directory.config, Meter(), open_terminal()
        runs = RunLogs(directory.run_logs, config.limits.run_logs, config.limits.run_log_mb * 10**6)
        log = open_log(directory.log_file, node=config.name, level=config.logging.level, terminal=terminal, runs=runs)
        log.info("starting", version=__version__, pid=os.getpid())
        try:
            with watch_stderr(_RefusedConnections(log, meter)):
                asyncio.run(serve(directory, log, meter))
        finally:
            close_log(log)
            terminal.close()


async def serve(directory: PartyDirectory, log: Log, meter: Meter | None = None) -> None:
    """Open the port and serve until a signal or `Control.Stop`."""
    from mpcstats.field import warm_up

    give_memory_back()
    config = directory.config
    identity, roster = directory.identity(), directory.roster()
    directory.policy()
    index = roster.index(identity.certificate_pem)
    peers = [peer for peer in roster.peers if peer.index != index]
    network = PeerNetwork(identity, index, roster.peers, _refused_streams(log), len(roster.committee))
    house, office, auditing = _house(directory, roster, network, log, meter or Meter())
    network.instances.on_double = tell_double(log, auditing)
    notifier = open_notifier(directory, office, log)
    stop = asyncio.Event()
    observing = Observing(house, auditing, peers)
    check = observing.caller_check(fingerprint(identity.certificate_pem))
    server = grpc.aio.server(
        interceptors=[check, network.instances], options=server_options(), maximum_concurrent_rpcs=_MAX_CALLS
    )
    network.add_to_server(server)
    add_PeerServicer_to_server(PeerService(house), server)  # type: ignore[no-untyped-call]
    add_ControlServicer_to_server(ControlService(house, stop.set, observing.peers), server)  # type: ignore[no-untyped-call]
    auditing.add_to_server(server)
    observing.health.add_to_server(server)
    await check_alone(identity, config.name, config.network.advertise)
    open_port(server, config.network.listen, server_credentials(identity, peers, auditing.certificates))
    # compiled arithmetic is loaded now, not in the middle of somebody's first run
    await asyncio.to_thread(warm_up)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    observing.start(config.observability.metrics)
    await server.start()
    stubs = {peer.name: PeerStub(network.channel_to(peer.index)) for peer in peers}  # type: ignore[no-untyped-call]
    office.courier = Courier(office.desk, stubs, log)
    exchange = asyncio.create_task(office.courier.run())
    auditing.start(network, peers)
    background = in_background(house, office, notifier, stop)
    log.info(
        "ready",
        listen=config.network.listen,
        consortium=roster.consortium,
        roster=roster.digest.hex()[:16],
        number=index,
        parties=len(roster.party),
    )
    tell_supervisor("READY=1")
    await stop.wait()
    tell_supervisor("STOPPING=1")
    for number in (signal.SIGTERM, signal.SIGINT):  # once is enough
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
    log.info("stopping", busy=house.jobs.busy)
    observing.health.drain()
    await asyncio.gather(*background, return_exceptions=True)
    finished = await house.jobs.drain(GRACE_SECONDS)
    await _end(exchange)
    await server.stop(1.0)
    await observing.stop()
    await auditing.stop()
    await network.close()
    office.desk.database.close()
    log.info("stopped", finished=finished)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _house(
    directory: PartyDirectory, roster: Roster, network: PeerNetwork, log: Log, meter: Meter
) -> tuple[House, Office, Auditing]:
    """What all runs of the node share."""
    from mpcstats.node.runs.execution import execute

    config, scratch = directory.config, directory.state / "interrupted"
    forget_old(scratch)
    office = open_office(directory, roster, log)
    office.ledger = ledger = ReleaseLedger(directory.ledger_file, config.name)
    office.tidy()
    auditing = Auditing(directory, roster, office.desk.database, log)
    office.desk.on_entry.append(auditing.noted)
    site, jobs = Site(directory), Jobs(config.name, config.limits.queue)
    house = House(
        config.name,
        roster,
        site,
        network,
        jobs,
        config.run,
        log,
        execute,
        scratch,
        ledger,
        office,
        auditing,
        bounds=config.limits,
        meter=meter,
        vitals=Vitals(directory, office.desk, auditing.log).read,
    )
    return house, office, auditing


def open_office(directory: PartyDirectory, roster: Roster, log: Log) -> Office:
    """The studies of a party: its database, and the rosters it has used."""
    name = directory.config.name
    database = Database(directory.state_url, name)
    key, limits = directory.signing_key(), directory.config.limits
    desk = Desk(database, roster, name, key, earlier=directory.earlier_rosters(), limits=limits)
    return Office(directory, desk, log)


def open_port(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials) -> None:
    """Listen for the other parties and the operator."""
    try:
        server.add_secure_port(address, credentials)
    except RuntimeError:
        raise ConfigurationError(
            f"cannot listen on {address}: the address is taken or not of this machine",
            hint="change [network] listen in party.toml",
        ) from None


def in_background(house: House, office: Office, notifier: Notifier, stop: asyncio.Event) -> list[asyncio.Task[None]]:
    """Scheduled runs, notices, what is kept too long, free memory; each ends within a second of `stop`."""
    engine = schedule_engine(house, office.calendar, notifier.tell)
    return [
        asyncio.create_task(run_schedules(engine, stop)),
        asyncio.create_task(run_notifier(notifier, stop)),
        asyncio.create_task(keep_tidy(house, office, stop)),
        asyncio.create_task(keep_slim(stop)),
    ]


async def keep_tidy(house: House, office: Office, stop: asyncio.Event, seconds: float = _TIDY_SECONDS) -> None:
    """Delete what is kept of runs that are over or abandoned, from time to time, while nothing runs."""
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)
        if not stop.is_set() and not house.jobs.busy:
            office.tidy()  # not in a thread: no run begins meanwhile


def open_notifier(directory: PartyDirectory, office: Office, log: Log) -> Notifier:
    """Whom this party tells what; its secrets are read now."""
    config, desk = directory.config, office.desk
    delivery = Delivery(directory.path, config.name, config.notify)
    notifier = Notifier(desk.database, config.name, desk.roster.consortium, config.notify, delivery, desk.now, log)
    desk.on_entry.append(EntryNotices(notifier, desk, log))
    expires = key_expiring(directory.identity().certificate_pem, desk.now())
    if expires is not None:
        log.warning("key_expires", day=expires)
        notifier.tell("key-expiring", subject=expires, state=f"ends on {expires}", next="mpcstats party rotate")
    return notifier


def _refused_streams(log: Log) -> Callable[[str, str], None]:
    return lambda reason, party: log.warning("stream_refused", reason=reason, party=party)


def forget_old(scratch: Path) -> None:
    """Delete what was kept of runs that nobody asked for again in a week."""
    for folder in scratch.glob("*/"):
        if time.time() - folder.stat().st_mtime > _KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


class _RefusedConnections:
    """Logs refused connections, called from a thread; a port scan makes one line per second and reason."""

    def __init__(self, log: Log, meter: Meter) -> None:
        self._log, self._meter = log, meter
        self._silent_until: dict[str, float] = {}
        self._unlogged: dict[str, int] = {}

    def __call__(self, reason: str) -> None:
        self._meter.refused_connection(reason)
        now = time.monotonic()
        if now < self._silent_until.get(reason, 0.0):
            self._unlogged[reason] = self._unlogged.get(reason, 0) + 1
            return
        self._silent_until[reason] = now + 1.0
        self._log.warning("connection_refused", reason=reason, unlogged_before=self._unlogged.pop(reason, 0))
