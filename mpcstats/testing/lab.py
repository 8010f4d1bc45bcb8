"""Real nodes behind a network of any weather, with accidents on order: where a nemesis works."""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from mpcstats.errors import DeadlineExceeded, MpcStatsError
from mpcstats.sdk.connect import NodeClient
from mpcstats.sdk.processes import NodeProcess, ProcessNetwork
from mpcstats.sdk.sandbox import PartyFiles, free_ports, make_party_directories
from mpcstats.testing.chaos_node import ORDER_FILE, WIRE_FILE
from mpcstats.testing.history import Wire, left_behind
from mpcstats.testing.proxy import ChaosNet, caller_by_process

__all__ = ["Lab", "clock_library"]

_START_SECONDS = 300.0


def clock_library() -> Path | None:
    """libfaketime, which changes a process' clock; None where it is not installed (pip install libfaketime)."""
    found = find_spec("libfaketime")
    if found is None or found.origin is None:
        return None
    return next(Path(found.origin).parent.rglob("libfaketime.so.1"), None)


class Lab:
    """A consortium of real nodes, each behind a proxy; a context manager.

    Parameters
    ----------
    root : Path
        Empty folder; each party's directory is in it.
    parties : mapping of name to PartyFiles or Path
        See `make_party_directories`.
    threshold : int, optional

    Attributes
    ----------
    directories : dict of name to Path
    nodes : dict of name to NodeProcess
    net : ChaosNet
    wire : Wire
    """

    def __init__(
        self,
        root: Path,
        parties: Mapping[str, PartyFiles | Path],
        threshold: int | None = None,
        consortium: str = "lab",
    ) -> None:
        self.root = root.absolute()
        self.names = tuple(parties)
        fronts = dict(zip(parties, free_ports(len(parties)), strict=True))
        self.directories = make_party_directories(
            self.root,
            parties,
            consortium=consortium,
            threshold=threshold,
            advertise={name: f"127.0.0.1:{port}" for name, port in fronts.items()},
        )
        backs = {name: _port(path) for name, path in self.directories.items()}
        self.ports = (*fronts.values(), *backs.values())
        self.net = ChaosNet(
            {name: ("127.0.0.1", port) for name, port in fronts.items()},
            {name: ("127.0.0.1", port) for name, port in backs.items()},
            caller_by_process(self._processes),
        )
        self.wire = Wire(self.root / WIRE_FILE)
        self._clock = clock_library()
        commands = {name: self.command(path) for name, path in self.directories.items()}
        self._network = ProcessNetwork(self.directories, commands, start_seconds=_START_SECONDS)
        self.nodes = self._network.nodes
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.wire)
            stack.enter_context(self.net)
            stack.enter_context(self._network)
            stack.callback(self.undo)  # before the nodes are stopped
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def client(self, name: str) -> NodeClient:
        """The operator's connection to a node, past its proxy."""
        return NodeClient(self.directories[name])

    def command(self, directory: Path) -> Sequence[str]:
        """What starts a node; its clock can be set where libfaketime is installed."""
        node = [sys.executable, "-m", "mpcstats.testing.chaos_node", str(directory)]
        if self._clock is None:
            return node
        clock = directory / "clock"
        if not clock.exists():
            clock.write_text("+0\n", encoding="ascii")
        settings = {
            "LD_PRELOAD": self._clock,
            "FAKETIME_TIMESTAMP_FILE": clock,
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_RESET": "1",
        }
        return ["/usr/bin/env", *(f"{key}={value}" for key, value in settings.items()), *node]

    @property
    def can_set_clocks(self) -> bool:
        """Whether `set_clock` works."""
        return self._clock is not None

    def set_clock(self, name: str, seconds: int) -> None:
        """A node's clock is wrong by so many seconds from now on (seen within a second)."""
        (self.directories[name] / "clock").write_text(f"{seconds:+d}\n", encoding="ascii")

    def limit_files(self, name: str, bytes_: int | None) -> None:
        """No file of a node may grow beyond so many bytes: its disk is full; None: any size."""
        process = self.nodes[name].process.pid
        hard = resource.prlimit(process, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(process, resource.RLIMIT_FSIZE, (hard if bytes_ is None else bytes_, hard))

    def restart(self, name: str) -> None:
        """Start a node again after its process has ended, or kill it first."""
        self.nodes[name].kill()
        self.start(name)
        self.nodes[name].wait_ready(_START_SECONDS)

    def start(self, name: str) -> None:
        """Start a node whose process has ended; not waited for."""
        self.nodes[name] = NodeProcess(self.directories[name], self.command(self.directories[name]))

    def undo(self) -> None:
        """Undo all that can be undone: weather, clocks, disks, pauses, orders."""
        self.net.heal()
        for name, node in list(self.nodes.items()):
            (self.directories[name] / ORDER_FILE).unlink(missing_ok=True)
            if self._clock is not None:
                self.set_clock(name, 0)
            if node.process.poll() is None:
                node.send_signal(signal.SIGCONT)
                self.limit_files(name, None)

    def calm(self) -> None:
        """`undo`, and start the nodes again that ended."""
        self.undo()
        for name, node in list(self.nodes.items()):
            if node.process.poll() is not None:
                self.start(name)
        for node in self.nodes.values():
            node.wait_ready(_START_SECONDS)

    def until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for a condition; errors of the package mean "not yet".

        Raises
        ------
        DeadlineExceeded
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(MpcStatsError):
                if condition():
                    return
            time.sleep(0.1)
        raise DeadlineExceeded(f"{what}: not within {seconds:g} s")

    def left_behind(self) -> list[str]:
        """After the end: what should not be there any more."""
        return left_behind(self.root, self.ports)

    def _processes(self) -> dict[int, str]:
        return {node.process.pid: name for name, node in self.nodes.items()}


def _port(directory: Path) -> int:
    from mpcstats.node.settings.config import PartyDirectory

    return int(PartyDirectory(directory).config.network.listen.rpartition(":")[2])
