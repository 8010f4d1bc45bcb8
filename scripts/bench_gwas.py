"""Measure genome-wide association: three real party nodes over mutual TLS on loopback, PLINK 2 beside where it is.

    scripts/bench gwas [--variants 100000] [--people 1000]

`seconds` is from the request to the result and includes reading the files; `between` is what the parties take together
from the keys to the released result. All processes share this machine's cores. One party's own pass over its share
(reading, and its sums of every variant) is timed alone, and PLINK 2's `--glm` on the same share right after it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench_gwas_data import COVARIATES, Cohort, make_cohort, party_files
from bench_nodes import measured
from bench_report import machine, machine_line, or_blank

from mpcstats.field import warm_up
from mpcstats.node.genotypes import open_genotypes
from mpcstats.sdk.connected import ConnectedConsortium
from mpcstats.sdk.processes import ProcessNetwork
from mpcstats.sdk.results import Result
from mpcstats.sdk.sandbox import make_party_directories
from mpcstats.stats.association.null_model import NullModel
from mpcstats.stats.association.own import own_products, own_sums
from mpcstats.stats.association.pooled_test import LinearTest

PARTIES = ("northfield", "lakeside", "westbay")
STANDARD = (1000, 100_000)
"""People per site and variants of the goals."""

SCANS: dict[str, tuple[str, dict[str, Any], float | None]] = {
    "all-mean": ("all variants, means imputed", {"missing": "mean"}, 20),
    "hits-mean": ("hits, means imputed", {"missing": "mean", "release": "hits"}, 90),
    "all": ("all variants, complete cases", {}, None),
    "hits": ("hits, complete cases", {"release": "hits"}, None),
}


class Report:
    """Everything about one run; its attributes are the keys of the JSON."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.machine = machine()
        self.settings = settings
        self.load_before = os.getloadavg()
        self.load_after = self.load_before
        self.scans: list[dict[str, Any]] = []
        self.local: dict[str, Any] = {}


def scan(consortium: ConnectedConsortium, dataset: str, **options: Any) -> list[Result]:
    """One scan."""
    return [consortium.gwas(phenotype="trait", covariates=list(COVARIATES), dataset=dataset, **options)]


def off_by(result: Result, cohort: Cohort, imputed: bool) -> float:
    """Largest difference of a t statistic from the one on the pooled plaintext, among some released variants."""
    table = result.to_frame()
    table = table[table["ERRCODE"] == "."]
    some = table.iloc[np.linspace(0, len(table) - 1, min(50, len(table))).astype(int)]
    place = some["ID"].str[2:].astype(int).to_numpy() - 1
    parts = []
    for prefix in cohort.prefixes:
        genotypes = open_genotypes(prefix, "pooled")
        rows = np.arange(len(genotypes.samples))
        parts.append(np.column_stack([genotypes.read(int(k), int(k) + 1, rows)[:, 0] for k in place]))
    calls, pooled = np.vstack(parts), cohort.pooled
    worst = 0.0
    for column, ours, a1, alt in zip(calls.T, some["T_STAT"], some["A1"], some["ALT"], strict=True):
        x, called = column.astype(float), column >= 0
        if imputed:
            x[~called], called = x[called].mean(), np.ones(len(x), bool)
        design = np.column_stack([np.ones(len(x)), pooled[list(COVARIATES)], x])[called]
        y = pooled["trait"].to_numpy()[called]
        beta, inverse = np.linalg.lstsq(design, y, rcond=None)[0], np.linalg.inv(design.T @ design)
        residual = y - design @ beta
        t = beta[-1] / np.sqrt(residual @ residual / (len(y) - design.shape[1]) * inverse[-1, -1])
        worst = max(worst, abs(ours * (1 if a1 == alt else -1) - t))
    return worst


# --- one party alone --------------------------------------------------------------------------------------------------


def timed(work: Callable[[], object], passes: int) -> float:
    """Median seconds."""
    taken = []
    for _ in range(passes):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def own_pass(cohort: Cohort, imputed: bool) -> None:
    """One party's pass over its share: calls read and summed, block by block."""
    genotypes, table = open_genotypes(cohort.prefixes[0], "own"), cohort.tables[0]
    people = len(table)
    design = np.column_stack([np.ones(people), table[list(COVARIATES)]])
    basis, _ = np.linalg.qr(design)
    y = table["trait"].to_numpy()
    residual = y - basis @ (basis.T @ y)
    model = LinearTest(NullModel(3 * people, 1.0, basis, residual / np.linalg.norm(residual)))
    rows, size = np.arange(people), 8192
    for start in range(0, cohort.variants, size):
        calls = genotypes.read(start, min(cohort.variants, start + size), rows)
        if imputed:
            own_sums(model, calls, 48)
        else:
            own_products(model, calls, 58)


def plink(cohort: Cohort, folder: Path) -> Callable[[], object] | None:
    """PLINK 2's --glm on the first party's share, or None where it is not installed."""
    program = shutil.which("plink2")
    if program is None:
        return None
    table, prefix = cohort.tables[0].copy(), cohort.prefixes[0]
    table.insert(0, "#FID", 0)
    table[["#FID", "IID", "trait"]].to_csv(folder / "plink.phe", sep="\t", index=False)
    table[["#FID", "IID", *COVARIATES]].to_csv(folder / "plink.cov", sep="\t", index=False)
    command = [program, "--bfile", str(prefix), "--pheno", str(folder / "plink.phe"), "--covar"]
    command += [str(folder / "plink.cov"), "--glm", "hide-covar", "--threads", "2", "--out", str(folder / "plink")]
    return lambda: subprocess.run(command, check=True, capture_output=True, timeout=600)


def measure_local(cohort: Cohort, folder: Path, passes: int) -> dict[str, Any]:
    """One party's pass beside PLINK on the same share."""
    own_pass(cohort, imputed=True)  # reads the files into the page cache, for both
    row: dict[str, Any] = {
        "complete": timed(lambda: own_pass(cohort, imputed=False), passes),
        "mean": timed(lambda: own_pass(cohort, imputed=True), passes),
    }
    run = plink(cohort, folder)
    row["plink2"] = None if run is None else timed(run, passes)
    return row


# --- the run ----------------------------------------------------------------------------------------------------------


def measure(asked: argparse.Namespace, report: Report) -> None:
    """All of it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        say(f"making {len(PARTIES)} x {asked.people:,} people, {asked.variants:,} variants")
        cohort = make_cohort(root, len(PARTIES), asked.people, asked.variants, asked.missing)
        few = make_cohort(root, len(PARTIES), 100, 50, 0.01)
        warm_up()
        report.local = measure_local(cohort, root, asked.passes)
        directories = make_party_directories(
            root / "parties", party_files(root, PARTIES, {"scan": cohort, "warm-up": few})
        )
        say("starting three nodes")
        with ProcessNetwork(directories) as network:
            consortium = ConnectedConsortium(network.directories[PARTIES[0]])
            processes = [node.process.pid for node in network]
            for key in asked.only.split(","):
                title, options, goal = SCANS[key]
                scan(consortium, "warm-up", **options)
                say(title)
                results, row = measured(
                    processes,
                    PARTIES,
                    lambda options=options: scan(consortium, "scan", **options),  # type: ignore[misc]
                    asked.passes,
                )
                row |= {"title": title, "goal": goal if (asked.people, asked.variants) == STANDARD else None}
                row["released"] = len(results[0].to_frame())
                row["off"] = off_by(results[0], cohort, options.get("missing") == "mean")
                report.scans.append(row)


def text(report: Report) -> str:
    """Tables in fixed columns."""
    settings = report.settings
    title = f"3 x {settings['people']:,} people, {settings['variants']:,} variants, {settings['missing']:.1%} missing"
    lines = [machine_line(report), ""]
    lines.append(
        f"{title:<46} {'s':>8} {'goal s':>6} {'between s':>9} {'CPU s':>7} {'rounds':>7} {'MB sent':>8} {'peak MB':>8} "
        f"{'released':>8} {'off by':>8}"
    )
    for row in report.scans:
        peak = None if row["peak"] is None else row["peak"] / 1e6
        lines.append(
            f"{row['title']:<46} {row['seconds']:8.2f} {or_blank(row['goal'], '.0f'):>6} {row['between']:9.2f} "
            f"{or_blank(row['cpu'], '.1f'):>7} {row['rounds']:7,} {row['bytes_sent'] / 1e6:8.1f} "
            f"{or_blank(peak, '.0f'):>8} {row['released']:8,} {row['off']:8.0e}"
        )
    return "\n".join([*lines, "", *local_lines(report)])


def local_lines(report: Report) -> list[str]:
    """One party's pass beside PLINK."""
    row = report.local
    lines = [f"one party's pass over its share: complete cases {row['complete']:.2f} s, means {row['mean']:.2f} s"]
    if row["plink2"] is None:
        return [*lines, "PLINK 2 is not installed (apt install plink2)"]
    ratios = ", ".join(f"{row[name] / row['plink2']:.2f}" for name in ("complete", "mean"))
    return [*lines, f"plink2 --glm on that share: {row['plink2']:.2f} s; ours over PLINK's: {ratios} (goal: below 3)"]


def markdown(report: Report) -> str:
    """README's table."""
    settings = report.settings
    lines = [
        f"| 3 sites x {settings['people']:,} people, {settings['variants']:,} variants, 5 covariates | seconds "
        "| between parties | MB sent | peak MB |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in report.scans:
        peak = or_blank(None if row["peak"] is None else row["peak"] / 1e6, ".0f")
        cells = [row["title"], f"{row['seconds']:.1f}", f"{row['between']:.1f}", f"{row['bytes_sent'] / 1e6:.0f}", peak]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(
        [*lines, "", "; ".join(local_lines(report)) + ".", "", f"`scripts/bench gwas`, {machine_line(report)}."]
    )


def say(what: str) -> None:
    """Tell what happens now."""
    print(what, file=sys.stderr, flush=True)


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=STANDARD[0], help="per site (default 1000)")
    parser.add_argument("--variants", type=int, default=STANDARD[1], help="default 100000")
    parser.add_argument("--missing", type=float, default=0.01, help="part of the calls that is missing (default 0.01)")
    parser.add_argument("--only", default="all-mean,hits-mean", help="of: " + ", ".join(SCANS))
    parser.add_argument("--passes", type=int, default=1, help="repetitions (default 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures to this file")
    parser.add_argument("--markdown", action="store_true", help="also print README's table")
    asked = parser.parse_args()
    if unknown := [name for name in asked.only.split(",") if name not in SCANS]:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(SCANS)}")
    if asked.people < 50 or asked.variants < 50 or asked.passes < 1 or not 0 <= asked.missing < 0.5:
        parser.error("--people and --variants are at least 50, --passes 1, --missing from 0 to below 0.5")
    return asked


def main() -> None:
    """Measure and print the tables."""
    asked = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as of `timeout`: no process is left behind
    settings = {"people": asked.people, "variants": asked.variants, "missing": asked.missing}
    report = Report(settings | {"passes": asked.passes, "delay_ms": 0})
    measure(asked, report)
    report.load_after = os.getloadavg()
    print(text(report))
    if asked.json:
        asked.json.write_text(json.dumps(vars(report), indent=1) + "\n", encoding="utf-8")
    if asked.markdown:
        print("\n" + markdown(report))


if __name__ == "__main__":
    main()
