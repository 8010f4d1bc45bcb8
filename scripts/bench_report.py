"""What the benchmark found: rows of all parties put together, as a table, as JSON and as README's table."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench_primitives import title

from mpcstats.version import __version__

__all__ = ["Report", "machine", "machine_line", "markdown_table", "merged", "or_blank", "text_table", "write_markdown"]

PACKAGES = ("numpy", "numba", "cryptography", "grpcio", "mpyc", "gmpy2")


@dataclass
class Report:
    """Everything about one run; its attributes are the keys of the JSON."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    load_before: Sequence[float]
    load_after: Sequence[float] = ()
    mpyc: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def finish(self, load: Sequence[float]) -> None:
        """Put MPyC's figures beside ours."""
        self.load_after = load
        rates = {row["key"]: row["size"] / row["seconds"] for row in self.mpyc}
        for row in self.rows:
            known = row["parties"] == 3 and row["key"] in rates
            row["times_mpyc"] = row["elements_per_second"] / rates[row["key"]] if known else None


def machine() -> dict[str, Any]:
    """Where this runs, and with what."""
    cpu, memory = platform.processor(), 0
    if (info := Path("/proc/cpuinfo")).exists():
        models = re.findall(r"^model name\s*: (.*)$", info.read_text(encoding="utf-8"), re.MULTILINE)
        cpu = models[0] if models else cpu
    if (info := Path("/proc/meminfo")).exists():
        memory = 1024 * int(re.findall(r"^MemTotal:\s*(\d+)", info.read_text(encoding="utf-8"), re.MULTILINE)[0])
    return {
        "date": date.today().isoformat(),
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": memory,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {"mpcstats": __version__, **{name: _version(name) for name in PACKAGES}},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"  # MPyC is faster with gmpy2


def merged(parties: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One row from what the parties measured: the slowest party counts, repetition by repetition."""
    first = parties[0]
    seconds = _slowest(parties, "seconds")
    probe = _slowest(parties, "probe_seconds")
    median = statistics.median(seconds)
    cpu, probe_cpu = _together(parties, "cpu_seconds"), _together(parties, "probe_cpu_seconds")
    peaks = [party["peak_bytes"] for party in parties if party["peak_bytes"] is not None]
    given = first["input_bytes"]
    row = {"key": first["key"], "title": title(first["key"], len(parties)), "size": first["size"]}
    return row | {
        "seconds": median,
        "all_seconds": seconds,
        "all_probe_seconds": probe,
        "all_cpu_seconds": cpu,
        "all_probe_cpu_seconds": probe_cpu,
        "elements_per_second": first["size"] / median,
        "cpu_seconds": statistics.median(cpu),
        "bytes_per_element": sum(party["bytes_sent"] for party in parties) / len(parties) / first["size"],
        "rounds": first["rounds"],
        # the probe ran next to each repetition, on as many elements
        "of_probe": _ratio(probe, seconds),
        "of_probe_cpu": _ratio(probe_cpu, cpu),
        "round_seconds": statistics.median(_slowest(parties, "round_seconds")) if first["round_seconds"] else None,
        "input_bytes": given,
        "peak_bytes": max(peaks) if peaks else None,
        "peak_over_input": max(peaks) / given if peaks and given else None,
    }


def _slowest(parties: Sequence[dict[str, Any]], name: str) -> list[float]:
    return [max(times) for times in zip(*(party[name] for party in parties), strict=True)]


def _together(parties: Sequence[dict[str, Any]], name: str) -> list[float]:
    return [sum(times) for times in zip(*(party[name] for party in parties), strict=True)]


def _ratio(probe: list[float], seconds: list[float]) -> float | None:
    return statistics.median(p / s for p, s in zip(probe, seconds, strict=True)) if probe else None


# --- tables ---------------------------------------------------------------------------------------------------------


def text_table(report: Report) -> str:
    """For the terminal."""
    lines = [machine_line(report)]
    for m in dict.fromkeys(row["parties"] for row in report.rows):
        lines += [
            "",
            f"{f'{m} parties':<42} {'elements':>10} {'M/s':>9} {'ms':>9} {'CPU ms':>9} {'bytes':>8} {'rounds':>6} "
            f"{'peak MB':>8} {'x input':>8} {'of probe':>8} {'CPU':>8} {'x MPyC':>8}",
        ]
        lines += [_text_row(row) for row in report.rows if row["parties"] == m]
    lines += [
        "",
        "ms, CPU ms: by the clock at the slowest party, of the processor at all parties; bytes: sent per element",
        "and party; peak: memory of the largest party above what it held with the inputs dealt; of probe, CPU: speed,",
        "by the clock and by processor time, as a share of a bare product of as many elements in M61 measured next to",
        "it; x MPyC: three parties, this run",
    ]
    return "\n".join(lines)


def _text_row(row: dict[str, Any]) -> str:
    peak = None if row["peak_bytes"] is None else row["peak_bytes"] / 1e6
    return (
        f"{row['title']:<42} {row['size']:>10,} {row['elements_per_second'] / 1e6:9.4f} {_milliseconds(row):9.2f} "
        f"{1e3 * row['cpu_seconds']:9.0f} {row['bytes_per_element']:8.2f} {row['rounds']:6d} "
        f"{or_blank(peak, '.0f'):>8} {or_blank(row['peak_over_input'], '.1f'):>8} "
        f"{or_blank(row['of_probe'], '.1%'):>8} {or_blank(row['of_probe_cpu'], '.1%'):>8} "
        f"{or_blank(row['times_mpyc'], ',.0f'):>8}"
    )


def _milliseconds(row: dict[str, Any]) -> float:
    """Of the whole batch; of one round where rounds are what is measured."""
    return 1e3 * float(row["round_seconds"] or row["seconds"])


def or_blank(value: float | None, form: str) -> str:
    """A number, or nothing."""
    return "" if value is None else format(value, form)


def machine_line(report: Any) -> str:
    """Where, when, with what, under which load."""
    found = report.machine
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    delay = f", {report.settings['delay_ms']:g} ms delay" if report.settings["delay_ms"] else ""
    return (
        f"{found['date']}, {found['cpu']}, {found['cores']} cores, {found['memory_bytes'] / 2**30:.0f} GiB, "
        f"Python {found['python']}, {versions}, load {report.load_before[0]:.1f} before and "
        f"{report.load_after[0]:.1f} after, {report.settings['passes']} passes{delay}"
    )


def markdown_table(report: Report) -> str:
    """README's table."""
    lines = []
    for m in dict.fromkeys(row["parties"] for row in report.rows):
        lines += [
            f"| {m} parties | elements | million/s | bytes | rounds | of probe | times MPyC |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        lines += [_markdown_row(row) for row in report.rows if row["parties"] == m]
        lines.append("")
    return "\n".join([*lines, f"`scripts/bench` on {machine_line(report)}.", ""])


def _markdown_row(row: dict[str, Any]) -> str:
    rate = f"{row['elements_per_second'] / 1e6:.3g}"
    if row["round_seconds"] is not None:
        rate = f"{_milliseconds(row):.2f} ms each"
    cells = [row["title"], f"{row['size']:,}", rate, f"{row['bytes_per_element']:.1f}", str(row["rounds"])]
    cells += [or_blank(row["of_probe"], ".0%"), or_blank(row["times_mpyc"], ",.0f")]
    return "| " + " | ".join(cells) + " |"


def write_markdown(report: Report, path: str) -> None:
    """To a file, or to the terminal for `-`."""
    if path == "-":
        print("\n" + markdown_table(report))
    else:
        Path(path).write_text(markdown_table(report), encoding="utf-8")
