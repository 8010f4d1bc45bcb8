"""A node: one port, one process, one party directory.

Startup: lock file, log, identity, roster, policy (all checked before the port opens), then gRPC. The end (SIGTERM,
SIGINT or `party stop`): no new runs, the current one may finish within a grace period, exit 0.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import grpc

from mpcstats.errors import ConfigurationError
from mpcstats.node.assembly import in_background, open_house, open_notifier
from mpcstats.node.control import ControlService, PeerService
from mpcstats.node.governance.courier import Courier
from mpcstats.node.identity.alone import check_alone, tell_double
from mpcstats.node.identity.lockfile import hold_lock
from mpcstats.node.memory import give_memory_back
from mpcstats.node.observing.logs import Log, close_log, open_log, open_terminal
from mpcstats.node.observing.meter import Meter
from mpcstats.node.observing.node import Observing
from mpcstats.node.observing.run_logs import RunLogs
from mpcstats.node.observing.stderr import watch_stderr
from mpcstats.node.process import forbid_dumps, tell_supervisor
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.transport.network import PeerNetwork
from mpcstats.transport.tls import fingerprint, server_credentials, server_options
from mpcstats.version import __version__
from mpcstats.wire.node_pb2_grpc import PeerStub, add_ControlServicer_to_server, add_PeerServicer_to_server

__all__ = ["GRACE_SECONDS", "Node", "run_node"]

GRACE_SECONDS = 60.0
"""How long the current run may take to finish after a stop."""

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
                asyncio.run(_serve(directory, log, meter))
        finally:
            close_log(log)
            terminal.close()


async def _serve(directory: PartyDirectory, log: Log, meter: Meter) -> None:
    """Open the port and serve until a signal or `Control.Stop`."""
    give_memory_back()
    stop = asyncio.Event()
    node = Node(directory, log, meter, stop.set)
    await node.open()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await node.start(stop)
    tell_supervisor("READY=1")
    await stop.wait()
    tell_supervisor("STOPPING=1")
    for number in (signal.SIGTERM, signal.SIGINT):  # once is enough
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
    await node.end()


class Node:
    """A node's parts, their beginning and their end.

    Parameters
    ----------
    directory : PartyDirectory
    log : Log
    meter : Meter
    on_stop : function without arguments
        Called when the operator asks for the end.
    """

    def __init__(self, directory: PartyDirectory, log: Log, meter: Meter, on_stop: Callable[[], None]) -> None:
        self._config, self._log = directory.config, log
        self._identity, self._roster = directory.identity(), directory.roster()
        directory.policy()
        self._index = self._roster.index(self._identity.certificate_pem)
        self._peers = [peer for peer in self._roster.peers if peer.index != self._index]
        members = len(self._roster.committee)
        self._network = PeerNetwork(self._identity, self._index, self._roster.peers, _refused_streams(log), members)
        self._house, self._office, self._auditing = open_house(directory, self._roster, self._network, log, meter)
        self._network.instances.on_double = tell_double(log, self._auditing)
        self._notifier = open_notifier(directory, self._office, log)
        self._observing = Observing(self._house, self._auditing, self._peers)
        self._server = self._services(on_stop)
        self._background: list[asyncio.Task[None]] = []

    def _services(self, on_stop: Callable[[], None]) -> grpc.aio.Server:
        check = self._observing.caller_check(fingerprint(self._identity.certificate_pem))
        server = grpc.aio.server(
            interceptors=[check, self._network.instances],
            options=server_options(),
            maximum_concurrent_rpcs=_MAX_CALLS,
        )
        control = ControlService(self._house, on_stop, self._observing.peers)
        self._network.add_to_server(server)
        add_PeerServicer_to_server(PeerService(self._house), server)  # type: ignore[no-untyped-call]
        add_ControlServicer_to_server(control, server)  # type: ignore[no-untyped-call]
        self._auditing.add_to_server(server)
        self._observing.health.add_to_server(server)
        return server

    async def open(self) -> None:
        """Take the port.

        Raises
        ------
        ConfigurationError
            It is taken, or another node answers for this party.
        """
        from mpcstats.field import warm_up

        network = self._config.network
        await check_alone(self._identity, self._config.name, network.advertise)
        credentials = server_credentials(self._identity, self._peers, self._auditing.certificates)
        _open_port(self._server, network.listen, credentials)
        # compiled arithmetic is loaded now, not in the middle of somebody's first run
        await asyncio.to_thread(warm_up)

    async def start(self, stop: asyncio.Event) -> None:
        """Serve; what works in the background ends with `stop`."""
        self._observing.start(self._config.observability.metrics)
        await self._server.start()
        channels = {peer.name: self._network.channel_to(peer.index) for peer in self._peers}
        stubs = {name: PeerStub(channel) for name, channel in channels.items()}  # type: ignore[no-untyped-call]
        self._office.courier = Courier(self._office.desk, stubs, self._log)
        self._exchange = asyncio.create_task(self._office.courier.run())
        self._auditing.start(self._network, self._peers)
        self._background = in_background(self._house, self._office, self._notifier, stop)
        self._log.info(
            "ready",
            listen=self._config.network.listen,
            consortium=self._roster.consortium,
            roster=self._roster.digest.hex()[:16],
            number=self._index,
            parties=len(self._roster.party),
        )

    async def end(self) -> None:
        """No new runs; the current one may finish; then all that was opened is closed."""
        self._log.info("stopping", busy=self._house.jobs.busy)
        self._observing.health.drain()
        await asyncio.gather(*self._background, return_exceptions=True)
        finished = await self._house.jobs.drain(GRACE_SECONDS)
        self._exchange.cancel()
        await asyncio.gather(self._exchange, return_exceptions=True)
        await self._server.stop(1.0)
        await self._observing.stop()
        await self._auditing.stop()
        await self._network.close()
        self._office.desk.database.close()
        self._log.info("stopped", finished=finished)


def _open_port(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials) -> None:
    """Listen for the other parties and the operator."""
    try:
        server.add_secure_port(address, credentials)
    except RuntimeError:
        raise ConfigurationError(
            f"cannot listen on {address}: the address is taken or not of this machine",
            hint="change [network] listen in party.toml",
        ) from None


def _refused_streams(log: Log) -> Callable[[str, str], None]:
    return lambda reason, party: log.warning("stream_refused", reason=reason, party=party)


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
