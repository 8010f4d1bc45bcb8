"""Memory and processor time of running party nodes, for the benchmarks of whole analyses."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mpcstats.sdk.results import Result

__all__ = ["ON_LINUX", "measured"]

ON_LINUX = Path("/proc/self/clear_refs").exists()
"""Elsewhere memory and processor time are not measured."""


def measured(
    processes: Sequence[int], parties: Sequence[str], ask: Callable[[], list[Result]], passes: int
) -> tuple[list[Result], dict[str, Any]]:
    """Ask some times; the last results, and medians over the passes.

    Parameters
    ----------
    processes : process ids of the nodes
    parties : their names

    Returns
    -------
    (results, dict)
        seconds (from request to result), between (of it between the parties), cpu (all parties), peak (bytes, the
        largest party), rounds, bytes_sent (the party that sends most), opened.
    """
    every, results = [], []
    for _ in range(passes):
        results, once = _once(processes if ON_LINUX else [], ask)
        every.append(once)
    row: dict[str, Any] = {name: statistics.median(each[name] for each in every) for name in ("seconds", "between")}
    row["cpu"] = statistics.median(each["cpu"] for each in every) if ON_LINUX else None
    row["peak"] = max(each["peak"] for each in every) if ON_LINUX else None
    row |= {f"all_{name}": [each[name] for each in every] for name in ("seconds", "between", "cpu")}
    return results, row | {
        "rounds": sum(result.run["rounds"] for result in results),
        "bytes_sent": max(sum(result.run["bytes_sent"][name] for result in results) for name in parties),
        "opened": sum(entry["values"] for result in results for entry in result.run["opened"]),
    }


def _once(processes: Sequence[int], ask: Callable[[], list[Result]]) -> tuple[list[Result], dict[str, Any]]:
    for process in processes:
        Path(f"/proc/{process}/clear_refs").write_text("5", encoding="ascii")  # forget the peak
    busy, started = sum(map(_cpu_seconds, processes)), time.perf_counter()
    results = ask()
    return results, {
        "seconds": time.perf_counter() - started,
        "between": sum(result.run["seconds"] for result in results),
        "cpu": sum(map(_cpu_seconds, processes)) - busy,
        "peak": max(map(_peak_bytes, processes), default=None),
    }


def _peak_bytes(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM:"))


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
