"""Party nodes as processes on this machine: started, watched, paused and ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from mpcstats.errors import ConfigurationError, DeadlineExceeded
from mpcstats.node.consortium.roster import Roster
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.sdk.connect import NodeClient

__all__ = ["NodeProcess", "ProcessNetwork", "RunningProcess"]

_START_SECONDS = 60.0


class RunningProcess(Protocol):
    """What is used of a process that was started: subprocess.Popen, or what tests have in its place."""

    @property
    def args(self) -> Any:
        """The command."""
        ...

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    @property
    def returncode(self) -> int | None:
        """As `poll` saw it last."""
        ...

    def poll(self) -> int | None:
        """The exit code, -N after signal N; None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raises subprocess.TimeoutExpired."""
        ...

    def send_signal(self, sig: int) -> None:
        """Send a signal."""
        ...

    def terminate(self) -> None:
        """SIGTERM."""
        ...

    def kill(self) -> None:
        """SIGKILL."""
        ...


def _execute(command: Sequence[str], console: Path) -> RunningProcess:
    """Start a command; what it prints is appended to a file."""
    with console.open("ab") as file:
        return subprocess.Popen(  # noqa: S603 - our own command
            [*command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )


class NodeProcess:
    """One `party start` process.

    Parameters
    ----------
    directory : Path
        The party's directory, with keys and roster.
    command : sequence of str, optional
        What to run instead of `mpcstats party start DIR`.
    """

    launch: ClassVar[Callable[[Sequence[str], Path], RunningProcess]] = staticmethod(_execute)
    """Starts a command that prints to a file; tests start nodes in another way (`mpcstats.testing.warm`)."""

    def __init__(self, directory: Path, command: Sequence[str] | None = None) -> None:
        self.directory = directory
        self.name = directory.name
        self.console_file = directory / "logs" / "console.txt"
        self.console_file.parent.mkdir(exist_ok=True, mode=0o700)
        arguments = command or [sys.executable, "-m", "mpcstats.cli.main", "party", "start", str(directory)]
        self.process = NodeProcess.launch(arguments, self.console_file)

    @property
    def client(self) -> NodeClient:
        """The operator's connection to this node."""
        return NodeClient(self.directory)

    def wait_ready(self, seconds: float = _START_SECONDS) -> None:
        """Wait until the node answers its operator.

        Raises
        ------
        ConfigurationError
            The process ended; has the last lines it wrote.
        DeadlineExceeded
            It does not answer in time.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ConfigurationError(
                    f"the node ended with exit code {self.process.returncode}: {self.console[-2000:]}", party=self.name
                )
            # connecting is cheap only when somebody listens
            if any(event["event"] == "ready" for event in self.events):
                return
            time.sleep(0.05)
        raise DeadlineExceeded(f"the node did not start within {seconds:g} s", party=self.name)

    @property
    def console(self) -> str:
        """What the process wrote to stdout and stderr."""
        return self.console_file.read_text(encoding="utf-8", errors="replace")

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events this process logged."""
        path = self.directory / "logs" / "node.log"
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines if line.endswith("}")]
        pid = self.process.pid
        starts = [i for i, event in enumerate(events) if event["event"] == "starting" and event["pid"] == pid]
        return events[starts[-1] :] if starts else []

    def wait_event(self, name: str, seconds: float = 30.0, **fields: Any) -> dict[str, Any]:
        """Wait until the node logs an event with these fields; returns it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for event in self.events:
                if event["event"] == name and all(event.get(key) == value for key, value in fields.items()):
                    return event
            time.sleep(0.02)
        raise DeadlineExceeded(f"no event {name} within {seconds:g} s", party=self.name)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal: SIGKILL, SIGSTOP, SIGCONT, SIGTERM."""
        self.process.send_signal(number)

    @property
    def is_paused(self) -> bool:
        """Whether the process is stopped by a signal (Linux)."""
        try:
            state = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
        except OSError:
            return False
        return state.split()[0] == "T"

    def wait(self, seconds: float = 30.0) -> int:
        """Wait for the end; the exit code."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End the process at once."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

    def stop(self, seconds: float = 20.0) -> int:
        """End the process in good order (SIGTERM); the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)  # if it was paused
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise DeadlineExceeded(f"the node did not end within {seconds:g} s", party=self.name) from None


class ProcessNetwork:
    """The nodes of a consortium as processes; a context manager that ends them all.

    Parameters
    ----------
    directories : mapping of name to Path
        From `make_party_directories`.
    commands : mapping of name to command, optional
        Replaces `mpcstats party start DIR` for single parties.
    start_seconds : float
        How long a node may take to start; they all start at once.
    """

    def __init__(
        self,
        directories: Mapping[str, Path],
        commands: Mapping[str, Sequence[str]] | None = None,
        start_seconds: float = _START_SECONDS,
    ) -> None:
        self.directories = dict(directories)
        self._start_seconds = start_seconds
        self._commands = commands or {}
        self.nodes: dict[str, NodeProcess] = {}

    def __enter__(self) -> Self:
        try:
            for name, directory in self.directories.items():
                self.nodes[name] = NodeProcess(directory, self._commands.get(name))
            for node in self.nodes.values():
                node.wait_ready(self._start_seconds)
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes.values():
            with contextlib.suppress(DeadlineExceeded):
                node.stop()

    def kill(self) -> None:
        """End all processes at once."""
        for node in self.nodes.values():
            node.kill()

    def __getitem__(self, name: str) -> NodeProcess:
        return self.nodes[name]

    def __iter__(self) -> Iterator[NodeProcess]:
        return iter(self.nodes.values())

    @property
    def roster(self) -> Roster:
        """The roster all of them use."""
        return PartyDirectory(next(iter(self.directories.values()))).roster()
