"""What a fuzz target is, and what is asked of every one: only the package's own errors, within a second and 256 MB."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mpcstats.errors import MpcStatsError

__all__ = ["CORPUS", "MOST_BYTES", "MOST_SECONDS", "TooMuch", "Target", "execute", "measured"]

CORPUS = Path(__file__).parent / "corpus"
MOST_SECONDS, MOST_BYTES = 1.0, 256 << 20


@dataclass(frozen=True)
class Target:
    """A parser.

    Attributes
    ----------
    name : str
        Its seeds are the files of corpus/NAME.
    run : function of bytes
        May raise MpcStatsError, and nothing else.
    kind : "json", "toml", "text" or "bytes"
        How valid examples are mutated.
    """

    name: str
    run: Callable[[bytes], object]
    kind: Literal["json", "toml", "text", "bytes"]

    @property
    def seeds(self) -> list[bytes]:
        """Valid examples."""
        return [path.read_bytes() for path in sorted((CORPUS / self.name).iterdir())]


class TooMuch(AssertionError):
    """An input took too much time or memory."""


def execute(target: Target, data: bytes) -> bool:
    """Run a target on one input; whether the parser took it. Raises what must not escape."""
    start, before = time.thread_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        target.run(data)
        return True
    except MpcStatsError:
        return False
    finally:
        seconds = time.thread_time() - start
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
        if seconds > MOST_SECONDS or grown > MOST_BYTES:
            raise TooMuch(f"{target.name}: {seconds:.2f} s, {grown >> 20} MB for {len(data):,} bytes")


def measured(call: Callable[[], object]) -> tuple[float, int]:
    """CPU seconds, and bytes at the peak above those before; MpcStatsError is fine."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start = _status("VmRSS"), time.thread_time()
    with contextlib.suppress(MpcStatsError):
        call()
    return time.thread_time() - start, _status("VmHWM") - before


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) << 10
    raise KeyError(name)
