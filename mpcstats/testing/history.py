"""What happened in a network of real nodes under accidents, and whether it was all right.

Nodes of `mpcstats.testing.chaos_node` tell the digest of every message they send. Two different messages for one study,
receiver and step are one mask on two values; equal coins in two studies are one key for two runs.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mpcstats.errors import MpcStatsError
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.sdk.audit import compare_with_peers, own_log
from mpcstats.transport.journaled import FIRST_STEP, LAST_STEP

__all__ = ["Wire", "audit_problems", "left_behind"]


class Wire:
    """The pipe into which nodes tell what they send; a context manager. Must be open before they start.

    Parameters
    ----------
    path : Path
        Made, and removed at the end.

    Attributes
    ----------
    messages : int
        Heard so far.
    accidents : int
        Orders that nodes have carried out.
    reused : list of str
        Messages that were sent with two contents, and keys that were used in two runs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.messages = self.accidents = 0
        self.reused: list[str] = []
        self._contents: dict[tuple[str, str, str, int], str] = {}
        self._coins: dict[str, tuple[str, str]] = {}

    def __enter__(self) -> Self:
        os.mkfifo(self._path, 0o600)
        # a writer of our own: the pipe does not end with the last node
        self._pipe = os.open(self._path, os.O_RDWR)
        self._thread = threading.Thread(target=self._hear_all, daemon=True, name="wire")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.write(self._pipe, b"\n")
        self._thread.join(10)
        os.close(self._pipe)
        self._path.unlink(missing_ok=True)

    def take(self, line: Mapping[str, Any]) -> None:
        """Compare a message with all before."""
        self.messages += 1
        sender, study, receiver = line["party"], line["study"], line["receiver"]
        if line["coins"]:
            before = self._coins.setdefault(line["coins"], (sender, study))
            if before != (sender, study):
                self.reused.append(f"coins of {sender}: study {study[:16]} and {before[0]}'s {before[1][:16]}")
        if line["journaled"] and not FIRST_STEP <= line["step"] < LAST_STEP:
            return  # what each attempt says about itself
        key = (sender, receiver, study, line["step"])
        if self._contents.setdefault(key, line["digest"]) != line["digest"]:
            self.reused.append(f"{sender} to {receiver}, step {line['step']} of study {study[:16]}")

    def _hear_all(self) -> None:
        rest = b""
        while True:
            *lines, rest = (rest + os.read(self._pipe, 1 << 16)).split(b"\n")
            for line in lines:
                if not line:
                    return
                heard = json.loads(line)
                if "accident" in heard:
                    self.accidents += 1
                else:
                    self.take(heard)


def audit_problems(directories: Iterable[Path], peers: bool = True) -> list[str]:
    """What is wrong with the audit logs of these parties: their chains, and with `peers` what others saw of them."""
    problems = []
    for path in directories:
        directory = PartyDirectory(path)
        try:
            with own_log(directory) as (log, keys):
                log.verify(keys)
            found = compare_with_peers(directory) if peers else {}
            problems += [f"{path.name} and {name}: {error}" for name, error in found.items() if error is not None]
        except MpcStatsError as error:
            problems.append(f"{path.name}: {error}")
    return problems


def left_behind(root: Path, ports: Iterable[int]) -> list[str]:
    """Processes of the nodes below a folder that still run, and ports that are still listened on (Linux)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                files = [str(link.readlink()) for link in (entry / "fd").iterdir()]
            except OSError:
                continue
            if any(word.startswith(f"{root}/") for word in (*words, *files)):
                found.append(f"process {entry.name}: {' '.join(words)}")
    listening = {
        int(fields[1].rpartition(":")[2], 16)
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]
        if (fields := line.split())[3] == "0A"
    }
    found += [f"port {port}" for port in ports if port in listening]
    return found + [f"file {path}" for path in root.rglob("*.partial*")]
