"""Tests of a joint contingency table: from opened exact counts, or on shares of which only the statistic is opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused
from mpcstats.runtime import Session, local
from mpcstats.stats import table_tests
from mpcstats.stats.cell_release import release_cells
from mpcstats.stats.contributions import Level
from mpcstats.stats.contributions.table_test import TableTestContribution, TableTestPlan
from mpcstats.stats.disclosure import Ruling, number_bits, size_rules
from mpcstats.stats.fisher_table import fisher_table
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.table_statistic import Mode, refuse_narrow, statistic_values, table_or_statistic

__all__ = ["joint_table_test"]

Counts = NDArray[np.int64]

_CONVENTIONS = {
    "chi-square": {
        "chi-square": "Pearson; Yates takes off the smaller of 1/2 and |observed - expected| (two by two)",
        "G": "likelihood ratio, 2 sum observed log(observed / expected)",
    },
    "fisher": {
        "p": "all tables, margins given, that are not more likely than the one seen (two-sided)",
        "odds ratio": "conditional maximum likelihood; exact limits",
    },
    "mcnemar": {"correction": "|b - c| - 1; the plain statistic has none; Bowker's test where the table is larger"},
    "trend": {"test": "Cochran-Armitage, without continuity correction"},
    "mantel-haenszel": {
        "correction": "1/2 in the corrected statistic; the plain one has none",
        "limits": "variance of Robins, Breslow and Greenland",
        "homogeneity": "Breslow-Day without Tarone's correction; Woolf",
        "strata": "those with at least two people",
    },
    "risk": {
        "ratios": "first row against second, of the first column; Wald limits on the log scale",
        "correction": "the smaller of 1/2 and what makes the proportions equal, as R's prop.test",
    },
}


async def joint_table_test(
    session: Session,
    plan: TableTestPlan,
    own: TableTestContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    mode: Mode = "auto",
) -> Outcome:
    """A test of the pooled table, with R's digits.

    Reveals
    -------
    Mode "table": the exact counts of all cells (`counts`), where the rules allow exact counts. Mode "statistic": what
    `statistic_values` opens.

    Raises
    ------
    DisclosureRefused
        Counts may leave rounded only, and the test has no mode "statistic", or "table" was asked for: nothing was
        opened. Some cell is hidden: the others were opened. Mode "statistic": some cell has too few people.
    SpecError
        The test does not exist for the table that was opened, or has no mode "statistic".
    """
    if table_or_statistic(plan.test, mode, ruling) == "statistic":
        values = await statistic_values(session, plan, own, dealers, ruling)
        return _outcome(plan, values, {}, "statistic", ruling)
    cells = int(np.prod(plan.shape, dtype=np.int64))
    session.openings.declare("counts", cells, "people per cell, pooled over all parties; 0 where suppressed")
    mine = None if own is None else np.asarray(own.counts, np.int64).reshape(cells)
    counts, shown = await release_cells(session, mine, dealers, cells, "counts", ruling.rules)
    if not shown.all():
        raise DisclosureRefused(
            f"{int((~shown).sum())} of {cells} cells of the table are hidden ({size_rules(ruling)}); "
            "a test needs all of them",
            hint="join levels, or leave small ones out with `where`",
        )
    table = counts.reshape(plan.shape)
    values, tables = await local(session, _computed, plan, table)
    return _outcome(plan, values, {"cells": _cells(plan, table, tables)}, "table", ruling)


def _outcome(
    plan: TableTestPlan, values: dict[str, Any], tables: dict[str, pd.DataFrame], mode: str, ruling: Ruling
) -> Outcome:
    withheld = [] if tables else ["counts of cells, and what follows from them: in mode statistic they stay on shares"]
    return Outcome(
        "table-test",
        {"statistics": _statistics(values), **tables},
        values | {"test": plan.test, "mode": mode, "rows": plan.names[0], "columns": plan.names[1]},
        _conventions(plan, mode, ruling),
        withheld,
    )


def _computed(plan: TableTestPlan, counts: Counts) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """Numbers by name, and tables of the shape of the cells."""
    whole_tables: dict[str, Callable[[], dict[str, Any]]] = {
        "mantel-haenszel": lambda: table_tests.mantel_haenszel(np.moveaxis(counts, 2, 0), plan.conf_level),
        "mcnemar": lambda: table_tests.mcnemar(counts),
        "risk": lambda: table_tests.risk(counts, plan.conf_level),
    }
    if plan.test in whole_tables:
        return whole_tables[plan.test](), {}
    rows, columns = table_tests.observed(counts)
    table = counts[rows][:, columns]
    refuse_narrow(int(rows.sum()), int(columns.sum()))
    if plan.test == "trend":
        scores = np.array(plan.scores or range(1, len(rows) + 1), np.float64)
        return table_tests.trend(table, scores[rows].tolist()), {}
    if plan.test == "fisher":
        small = table.shape == (2, 2)
        return (
            table_tests.fisher_two_by_two(table, plan.conf_level) if small else {"p_value": fisher_table(table)}
        ), {}
    numbers, found = table_tests.chi_square(table)
    whole = {name: np.full(counts.shape, np.nan) for name in found}
    for name, part in found.items():
        whole[name][np.ix_(rows, columns)] = part
    return numbers, whole


def _statistics(values: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame({"statistic": list(values), "value": [float(value) for value in values.values()]})


def _cells(plan: TableTestPlan, counts: Counts, tables: dict[str, NDArray[np.float64]]) -> pd.DataFrame:
    index: list[tuple[Level, ...]] = list(pd.MultiIndex.from_product(plan.levels))
    frame = pd.DataFrame(index, columns=list(plan.names))
    frame["count"] = counts.reshape(-1)
    for name, table in tables.items():
        frame[name] = table.reshape(-1)
    return frame


def _conventions(plan: TableTestPlan, mode: str, ruling: Ruling) -> dict[str, str]:
    texts = dict(_CONVENTIONS[plan.test])
    if plan.test in {"fisher", "mantel-haenszel", "risk"}:
        texts["confidence level"] = f"{plan.conf_level:g}"
    if plan.test == "trend":
        scores = plan.scores or tuple(float(k) for k in range(1, plan.shape[0] + 1))
        texts["scores"] = ", ".join(f"{score:g}" for score in scores)
    if plan.test in {"chi-square", "fisher", "trend"}:
        texts["levels"] = "rows and columns of nobody are left out"
    texts["missing"] = "complete cases on the columns of the table"
    texts["released"] = (
        "counts of cells; the rest is computed from these"
        if mode == "table"
        else f"the statistic alone, rounded to {number_bits(ruling.rules)} significant bits; counts stayed on shares"
    )
    return texts
