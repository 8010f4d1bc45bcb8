"""Processes that begin with everything imported: forks of one process that waits. For tests that start many nodes.

A node needs seconds of computing time to import what it stands on. The nursery imports it once; a node is then a fork
of it: a process of its own with its own memory, threads and end, like one that was started from the shell. It ends
with whoever asked for it, so that nothing is left behind when tests are killed.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mpcstats.errors import ConfigurationError

__all__ = ["Nursery", "WarmProcess"]

PRELOADED = ("mpcstats.node.server", "alembic.command", "sqlalchemy.dialects.sqlite")
_PAUSE_SECONDS = 0.02


class WarmProcess:
    """A process of a nursery, with the methods of subprocess.Popen that are used of nodes."""

    def __init__(self, nursery: Nursery, args: Sequence[str], pid: int) -> None:
        self._nursery = nursery
        self.args, self.pid = args, pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, -N after signal N; None while it runs."""
        if self.returncode is None:
            self.returncode = self._nursery.ask(ended=self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(list(self.args), timeout or 0.0)
            time.sleep(_PAUSE_SECONDS)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to a process that runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that waits; a context manager. Everything that it started ends with it.

    Parameters
    ----------
    modules : sequence of str
        What it imports; the kernels are loaded where this is not empty.
    """

    def __init__(self, modules: Sequence[str] = PRELOADED) -> None:
        self._modules = modules

    def __enter__(self) -> Self:
        self._turn = threading.Lock()
        here, there = socket.socketpair()
        with there:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", __name__, str(there.fileno()), *self._modules], pass_fds=[there.fileno()]
            )
        self._lines = here.makefile("rw", encoding="utf-8")
        here.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._lines.close()
        self._process.wait(30)

    @property
    def pid(self) -> int:
        """Of the process that waits."""
        return self._process.pid

    def ask(self, **request: Any) -> int | None:
        """One question, one number."""
        with self._turn:
            try:
                self._lines.write(json.dumps(request) + "\n")
                self._lines.flush()
                line = self._lines.readline()
            except OSError:
                line = ""
        if not line:
            raise ConfigurationError("the process that starts nodes for tests has ended")
        answer: int | None = json.loads(line)
        return answer

    def launch(self, command: Sequence[str], console: Path) -> WarmProcess:
        """Start a command of this Python, `-m MODULE ...` or `SCRIPT ...`; what it prints is appended to a file."""
        console.touch()
        pid = self.ask(
            start=list(command[1:]), console=str(console), environment=dict(os.environ), folder=str(Path.cwd())
        )
        assert pid is not None
        return WarmProcess(self, command, pid)


def _serve(lines: Any) -> dict[str, Any] | None:
    """Answer questions until the asker is gone (None); in a fork: what it was asked for."""
    children = set[int]()
    for line in lines:
        request, answer = json.loads(line), None
        if "start" in request:
            answer = os.fork()
            if answer == 0:
                return dict(request)
            children.add(answer)
        elif request["ended"] in children:
            pid, status = os.waitpid(request["ended"], os.WNOHANG)
            if pid:
                children.remove(pid)
                answer = os.waitstatus_to_exitcode(status)
        lines.write(json.dumps(answer) + "\n")
        lines.flush()
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return None


def _become(request: dict[str, Any]) -> None:
    """Run the command that was asked for, as the interpreter would."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for stream, flags, name in ((0, os.O_RDONLY, os.devnull), (1, os.O_WRONLY | os.O_APPEND, request["console"])):
        opened = os.open(name, flags)
        os.dup2(opened, stream)
        os.close(opened)
    os.dup2(1, 2)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    first, *rest = request["start"]
    if first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = [first, *rest]
        sys.path[0] = str(Path(first).parent)
        runpy.run_path(first, run_name="__main__")


def main() -> None:
    """Import, answer, and become what was asked for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the asker decides
    for module in sys.argv[2:]:
        importlib.import_module(module)
    if sys.argv[2:]:
        from mpcstats.field import warm_up

        warm_up()
    gc.freeze()  # what is there stays common to all forks
    with socket.socket(fileno=int(sys.argv[1])) as connection, connection.makefile("rw", encoding="utf-8") as lines:
        request = _serve(lines)
    if request is not None:
        _become(request)


if __name__ == "__main__":
    main()
