"""Outcomes as the computation hands them over, made from the real fixtures in the clear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mpcstats.stats.association.linear_table import genomic_control_lambda
from mpcstats.stats.kaplan_meier import rounded_tables, tables_from_counts
from mpcstats.stats.logrank import logrank_test
from mpcstats.stats.outcome import Outcome

DATA = Path(__file__).parents[1] / "data"

RUN: dict[str, Any] = {
    "parties": ["northfield", "lakeside", "westbay"],
    "threshold": 1,
    "rounds": 4,
    "seconds": 0.42,
    "bytes_sent": {"northfield": 123456, "lakeside": 123400, "westbay": 99},
    "opened": [{"name": "events and censorings", "values": 4092, "declared": 4092, "why": "pooled counts"}],
    "masked_openings": 12,
    "kappa_total": 60.4,
    "rules": {
        "minimum_count": {"value": 11, "owner": "lakeside"},
        "exact_curve": {"value": True, "owner": "northfield"},
    },
}


def lung() -> tuple[np.ndarray, np.ndarray]:
    """Events and censorings of men and women, per day."""
    frame = pd.read_csv(DATA / "lung.csv")
    shape = (2, int(frame["time"].max()) + 1)
    events, censored = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for table, status in ((events, 1), (censored, 0)):
        rows = frame[frame["status"] == status]
        np.add.at(table, (rows["sex"].to_numpy() - 1, rows["time"].to_numpy()), 1)
    return events, censored


def exact_curve(**values: Any) -> Outcome:
    events, censored = lung()
    return Outcome(
        "kaplan-meier",
        tables_from_counts(events, censored, groups=["1", "2"]),
        {"curve": "exact"} | values,
        {"confidence interval": "log, level 0.95"},
        [],
        RUN,
    )


def rounded_curve() -> Outcome:
    """Both groups on a grid of 30 days, cut where fewer than 11 are at risk, in steps of 5."""
    events, censored = lung()
    edges = np.arange(30, 1021, 30)
    d, c = events.cumsum(1)[:, edges], censored.cumsum(1)[:, edges]
    total = (events + censored).sum(1)
    before = total[:, None] - np.pad((d + c)[:, :-1], ((0, 0), (1, 0)))
    d, c = (np.where(x >= 5, x // 5 * 5 + 2, 0) for x in (d, c))
    tables = rounded_tables(edges, total // 5 * 5, d, c, (before >= 11).sum(1), groups=["1", "2"])
    return Outcome(
        "kaplan-meier",
        tables,
        {"curve": "rounded"},
        {},
        ["curves are cut where few are at risk (at_risk_floor = 11, lakeside)"],
        RUN,
    )


def logrank() -> Outcome:
    events, censored = lung()
    at_risk = np.cumsum((events + censored)[:, ::-1], axis=1)[:, ::-1]
    test = logrank_test(events, at_risk, ["1", "2"])
    return Outcome(
        "logrank",
        {"groups": test.table},
        {
            "chi_square": test.chi_square,
            "degrees_of_freedom": test.degrees_of_freedom,
            "p_value": test.p_value,
            "by": "sex",
        },
        {"test": "log-rank"},
        [],
        RUN,
    )


def count(suppressed: bool = True) -> Outcome:
    table = pd.DataFrame(
        {
            "stage": ["I", "I", "II <b>", "II <b>"],
            "sex": ["F", "M", "F", "M"],
            "count": pd.array([1200, 95, 40, pd.NA if suppressed else 12], dtype="Int64"),
        }
    )
    table["status"] = np.where(table["count"].isna(), "suppressed", "released")
    withheld = ["1 of 4 cells hidden (minimum_count = 11, lakeside)"] if suppressed else []
    return Outcome("count", {"counts": table}, {}, {"filter": "age >= 65 and sex < 3"}, withheld, RUN)


def single_count(number: int | None) -> Outcome:
    table = pd.DataFrame(
        {
            "count": pd.array([pd.NA if number is None else number], dtype="Int64"),
            "status": ["suppressed" if number is None else "released"],
        }
    )
    return Outcome("count", {"counts": table}, run=RUN)


def gwas() -> Outcome:
    """PLINK's own table of the regenie example, with one variant without a result."""
    table = pd.read_csv(DATA / "regenie_Y1.glm.linear.gz", sep="\t", dtype={"#CHROM": str, "ID": str})
    table["LOG10_P"] = -np.log10(table["P"])
    table.loc[7, ["BETA", "SE", "T_STAT", "P", "LOG10_P"]] = np.nan
    table.loc[7, "ERRCODE"] = "MAC_BELOW_MINIMUM"
    return Outcome(
        "gwas",
        {"variants": table},
        {"people": 500, "lambda_gc": genomic_control_lambda(p=table["P"])},
        {"missing": "complete cases"},
        ["1 rare variant (minimum_allele_count = 20, westbay)"],
        RUN,
    )
