"""Measure cross-tabulations: three real party nodes over mutual TLS on loopback.

    scripts/bench crosstab [--rows 40 --columns 25 --people 100000]

The nodes are asked as a statistician asks them: `seconds` is from the request to the result and includes reading and
checking the CSV files; `between` is what the parties take together from the keys to the released result. Latency is
measured on the engine: scripts/bench --only crosstab --delay-ms 50.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from bench_nodes import measured
from bench_survival_data import party_files

from mpcstats.field import warm_up
from mpcstats.sdk.connected import ConnectedConsortium
from mpcstats.sdk.processes import ProcessNetwork
from mpcstats.sdk.results import Result
from mpcstats.sdk.sandbox import make_party_directories

Margins = Literal["released", "pooled"]

PARTIES = ("northfield", "lakeside", "westbay")


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--columns", type=int, default=25)
    parser.add_argument("--people", type=int, default=100_000, help="of all parties together")
    parser.add_argument("--passes", type=int, default=5)
    return parser.parse_args()


def table(consortium: ConnectedConsortium, margins: Margins, policy: str | None) -> list[Result]:
    """What is measured."""
    # a data set each: the second would be compared with the first, cell by cell, before it is released
    return [consortium.crosstab("region", "diagnosis", margins=margins, policy=policy, dataset=margins)]


def main() -> None:
    """Measure and print."""
    asked = options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as of `timeout`: no process is left behind
    rng = np.random.default_rng(1)
    # every level occurs, also where cells are small
    place = np.concatenate([np.arange(max(asked.rows, asked.columns)), rng.integers(0, 10**6, asked.people)])
    other = np.concatenate([np.arange(max(asked.rows, asked.columns)), rng.integers(0, 10**6, asked.people)])
    people = pd.DataFrame({"region": place % asked.rows, "diagnosis": other % asked.columns})
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        directories = make_party_directories(
            root / "parties", party_files(root, PARTIES, {"released": people, "pooled": people})
        )
        warm_up()  # compiles once, before three processes would do it at the same time
        with ProcessNetwork(directories) as network:
            consortium = ConnectedConsortium(network.directories[PARTIES[0]])
            processes = [node.process.pid for node in network]
            print(f"{asked.rows} x {asked.columns} cells, {asked.people:,} people; load {os.getloadavg()[0]:.1f}")
            every: tuple[Margins, ...] = ("released", "pooled")
            for margins in every:
                for policy in (None, "standard"):
                    ask = partial(table, consortium, margins, policy)
                    ask()  # not measured
                    _, costs = measured(processes, PARTIES, ask, asked.passes)
                    print(
                        f"margins {margins}, policy {policy or 'of the parties'}: {costs['rounds']} rounds, "
                        f"{costs['seconds']:.2f} s, between parties {costs['between']:.2f} s, "
                        f"{costs['bytes_sent']:,} bytes"
                    )


if __name__ == "__main__":
    main()
