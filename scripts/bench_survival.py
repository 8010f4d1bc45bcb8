"""Measure survival analysis: three real party nodes over mutual TLS on loopback, and MPyC's demonstrations beside.

    scripts/bench survival [--mpyc-demos mpyc]

The nodes are asked as a statistician asks them: `seconds` is from the request to the result and includes reading and
checking the CSV files; `between` is what the parties take together from the keys to the released result. All processes
share this machine's cores.

MPyC's Kaplan-Meier demonstrations run in the same run when a checkout of MPyC is named; nothing is downloaded:

    git clone https://github.com/lschoe/mpyc && pip install gmpy2

Their secure part (from connected parties to the end) is compared with `between` on the same data, split the same way.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from bench_nodes import measured
from bench_report import machine
from bench_survival_checks import chi_square, distance_to_maximum
from bench_survival_data import COVARIATES, LAST, demonstration_data, party_files, simulate
from bench_survival_mpyc import ARRAYS, LISTS, run_demonstration, run_on
from bench_survival_report import Report, markdown, text

from mpcstats.field import warm_up
from mpcstats.sdk.connected import ConnectedConsortium
from mpcstats.sdk.processes import ProcessNetwork
from mpcstats.sdk.results import Result
from mpcstats.sdk.sandbox import make_party_directories

PARTIES = ("northfield", "lakeside", "westbay")
COLUMNS: Any = {"time": "time", "event": "event"}
STANDARD = 10**6, 3650
"""People and points of the goals."""


@dataclass(frozen=True)
class Analysis:
    """One row of the table.

    Attributes
    ----------
    title : str
    ask : function of (consortium, dataset) -> results
    check : function of (results, pooled people) -> float, optional
        How far the result is from the one on the pooled plaintext.
    goal : float, optional
        Seconds, for a million people.
    passes : int, optional
        Fewer repetitions than asked for.
    """

    title: str
    ask: Callable[[Any, str], list[Result]]
    check: Callable[[list[Result], pd.DataFrame], float] | None = None
    goal: float | None = None
    passes: int | None = None


# --- what is asked --------------------------------------------------------------------------------------------------


def table(consortium: ConnectedConsortium, dataset: str) -> list[Result]:
    """Kaplan-Meier and log-rank from opened counts."""
    return [
        consortium.kaplan_meier(by="group", dataset=dataset, **COLUMNS),
        consortium.logrank(by="group", dataset=dataset, mode="table", **COLUMNS),
    ]


def rounded(consortium: ConnectedConsortium, dataset: str) -> list[Result]:
    """Kaplan-Meier as deployed parties release it."""
    return [consortium.kaplan_meier(by="group", dataset=dataset, policy="standard", **COLUMNS)]


def statistic(policy: str | None) -> Callable[[ConnectedConsortium, str], list[Result]]:
    """Log-rank from counts that stay on shares."""
    return lambda consortium, dataset: [
        consortium.logrank(by="group", dataset=dataset, mode="statistic", policy=policy, **COLUMNS)
    ]


def cox(**options: Any) -> Callable[[ConnectedConsortium, str], list[Result]]:
    """Cox regression on all covariates."""
    return lambda consortium, dataset: [consortium.cox(covariates=COVARIATES, dataset=dataset, **COLUMNS, **options)]


def same_chi_square(results: list[Result], pooled: pd.DataFrame) -> float:
    """Relative difference to lifelines."""
    expected = chi_square(pooled)
    return abs(float(results[-1].outcome.values["chi_square"]) / expected - 1)


def same_coefficients(results: list[Result], pooled: pd.DataFrame) -> float:
    """Distance to the maximum of the pooled likelihood, in standard errors."""
    table = results[0].outcome.tables["coefficients"]
    return distance_to_maximum(pooled, COVARIATES, table["coef"], table["se_coef"])


LARGE = {
    "table": Analysis("Kaplan-Meier and log-rank, table mode", table, same_chi_square, goal=3),
    "rounded": Analysis("Kaplan-Meier, policy standard", rounded),
    "statistic": Analysis("log-rank, statistic only", statistic("standard"), same_chi_square, goal=20),
    "cox-by-site": Analysis(f"Cox, {len(COVARIATES)} covariates, a stratum per site", cox(), passes=1),
    "cox": Analysis(
        f"Cox, {len(COVARIATES)} covariates, pooled risk sets, Breslow",
        cox(ties="breslow", by_site=False),
        same_coefficients,
        goal=60,
        passes=1,
    ),
}
DEMONSTRATIONS = {"last": (ARRAYS,), "aml": (ARRAYS, LISTS), "lung": (ARRAYS,)}
SMALL = {
    "table": Analysis("table mode", table, same_chi_square),
    "statistic": Analysis("statistic only", statistic(None), same_chi_square),
}


# --- measuring ------------------------------------------------------------------------------------------------------


class Nodes:
    """Running party nodes, asked through the first one."""

    def __init__(self, network: ProcessNetwork, passes: int) -> None:
        self._network, self._passes = network, passes
        self._consortium = ConnectedConsortium(network.directories[PARTIES[0]])

    def warm_up(self, analysis: Analysis) -> None:
        """Once on few people, not measured."""
        analysis.ask(self._consortium, "warm-up")

    def measure(self, analysis: Analysis, dataset: str, pooled: pd.DataFrame) -> dict[str, Any]:
        """Medians over the passes."""
        say(f"{dataset}: {analysis.title}")
        row: dict[str, Any] = {"title": analysis.title, "goal": analysis.goal, "load": os.getloadavg()[0]}
        processes = [node.process.pid for node in self._network]
        times = min(self._passes, analysis.passes or self._passes)
        results, costs = measured(processes, PARTIES, lambda: analysis.ask(self._consortium, dataset), times)
        row |= costs | {"chi_square": results[-1].outcome.values.get("chi_square")}
        row["off"] = analysis.check(results, pooled) if analysis.check else None
        return row


def demonstrations(checkout: Path, name: str) -> list[dict[str, Any]]:
    """MPyC's side of one of the small data sets."""
    rows = []
    for form in DEMONSTRATIONS[name]:
        say(f"{name}: MPyC, {form}")
        found = run_on(checkout, LAST) if name == "last" else run_demonstration(checkout, form, name)
        rows.append({"data": name, "load": os.getloadavg()[0]} | found)
    return rows


def say(what: str) -> None:
    """Tell what happens now."""
    print(what, file=sys.stderr, flush=True)


# --- the run --------------------------------------------------------------------------------------------------------


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=STANDARD[0], help="synthetic people (default 1000000)")
    parser.add_argument("--points", type=int, default=STANDARD[1], help="daily points (default 3650)")
    parser.add_argument("--only", help="of the large analyses, comma separated: " + ", ".join(LARGE))
    parser.add_argument("--passes", type=int, default=3, help="repetitions of what is fast (default 3)")
    parser.add_argument("--mpyc-demos", type=Path, metavar="PATH", help="a checkout of MPyC, to compare with")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures to this file")
    parser.add_argument("--markdown", metavar="FILE", help="also write README's table to this file; - prints it")
    asked = parser.parse_args()
    if unknown := [name for name in (asked.only or "cox").split(",") if name not in LARGE]:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(LARGE)}")
    if asked.passes < 1 or asked.people < 1000 or asked.points < 10:
        parser.error("--passes is at least 1, --people 1000, --points 10")
    if asked.mpyc_demos and not (asked.mpyc_demos / "demos" / ARRAYS).is_file():
        parser.error(f"{asked.mpyc_demos} is no checkout of MPyC: it has no demos/{ARRAYS}")
    return asked


def measure(asked: argparse.Namespace, report: Report) -> None:
    """All of it; MPyC's turn comes right after ours on the same data."""
    small = {"last": LAST} | (demonstration_data(asked.mpyc_demos) if asked.mpyc_demos else {})
    say(f"making {asked.people:,} people")
    people = simulate(asked.people, asked.points)
    # the survival analyses read a table of their own: a file without the covariates
    tables = {**small, "warm-up": simulate(3000, 60), "survival": people[["time", "event", "group"]]}
    wanted = asked.only.split(",") if asked.only else list(LARGE)
    if any(key.startswith("cox") for key in wanted):
        tables["cohort"] = people
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        directories = make_party_directories(root / "parties", party_files(root, PARTIES, tables))
        say("starting three nodes")
        warm_up()  # compiles once, before three processes would do it at the same time
        with ProcessNetwork(directories) as network:
            nodes = Nodes(network, asked.passes)
            for analysis in SMALL.values():
                nodes.warm_up(analysis)
            for name, frame in small.items():
                for key, analysis in SMALL.items():
                    report.small.append({"data": name, "mode": key} | nodes.measure(analysis, name, frame))
                if asked.mpyc_demos:
                    report.mpyc += demonstrations(asked.mpyc_demos, name)
            for key in wanted:
                dataset = "cohort" if key.startswith("cox") else "survival"
                nodes.warm_up(LARGE[key])
                row = {"key": key} | nodes.measure(LARGE[key], dataset, people)
                if (asked.people, asked.points) != STANDARD:
                    row["goal"] = None
                report.large.append(row)


def main() -> None:
    """Measure and print the tables."""
    asked = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as of `timeout`: no process is left behind
    settings = {"people": asked.people, "points": asked.points, "passes": asked.passes, "delay_ms": 0}
    report = Report(machine(), settings)
    report.load_before = os.getloadavg()
    measure(asked, report)
    report.finish(os.getloadavg())
    print(text(report))
    if asked.json:
        asked.json.write_text(json.dumps(vars(report), indent=1) + "\n", encoding="utf-8")
    if asked.markdown == "-":
        print("\n" + markdown(report))
    elif asked.markdown:
        Path(asked.markdown).write_text(markdown(report), encoding="utf-8")


if __name__ == "__main__":
    main()
