"""Joint descriptive statistics."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.runtime import Session
from mpcstats.stats.contributions.values import ValuesContribution, ValuesPlan
from mpcstats.stats.descriptives.cells import Cells, limits_of_means
from mpcstats.stats.descriptives.exact import exact_cells, exact_keys, median_deviations, shape_of_cells
from mpcstats.stats.descriptives.histogram import release_histogram
from mpcstats.stats.descriptives.options import DescribeOptions
from mpcstats.stats.descriptives.quantiles import Search, quantiles_of_ranks
from mpcstats.stats.descriptives.ranks import TYPES
from mpcstats.stats.descriptives.rounded import MOST_POINTS, Pool, pool, rounded_cells, rounded_quantiles
from mpcstats.stats.disclosure import Ruling, size_rules
from mpcstats.stats.outcome import Outcome
from mpcstats.types import DisclosureRules

__all__ = ["counts_are_exact", "group_rows", "joint_describe", "people_column"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def counts_are_exact(rules: DisclosureRules) -> bool:
    """Whether numbers of people leave as they are."""
    return rules.minimum_count == 0 and rules.rounding_base == 1


async def joint_describe(
    session: Session,
    plan: ValuesPlan,
    own: ValuesContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    options: DescribeOptions,
) -> Outcome:
    """Pooled people, moments, quantiles and histograms of each column and group.

    Reveals
    -------
    Where counts are exact: people, missing values, sums and sums of squares; sums of third and fourth powers around the
    mean if asked for; quantiles, by bits that are functions of the two values each lies between; people in bins.
    Else: of groups with enough people that are not all alike, also without any one party, people and missing values
    (rounded); standard deviations and means with the digits that `rounding_base` people leave alone; quantiles of
    type 1 with `minimum_count` people on each side, and histograms whose every bin has as many.

    Cost
    ----
    About 15 rounds for moments. Quantiles: 13 rounds and 15 comparisons each for every four bits of the values' place
    in the column's range, all columns, groups and quantiles in one batch.
    """
    pooled: Pool | None = None
    if counts_are_exact(ruling.rules):
        cells = await exact_cells(session, plan, own, dealers)
    else:
        pooled = await pool(session, plan, own, dealers, ruling.rules)
        cells = await rounded_cells(session, plan, pooled, ruling)
    session.progress("moments of all columns and groups")
    table = _moments(plan, cells, options.conf_level)
    if pooled is None and options.shape:
        table["skewness"], table["kurtosis"] = map(np.ravel, await shape_of_cells(session, plan, own, cells, dealers))
    quantiles, lacking = await _quantiles(session, plan, own, pooled, cells, dealers, ruling, options)
    for share, values in zip(options.quantiles, quantiles, strict=True):
        table[f"quantile_{share:g}"] = values.ravel()
    if pooled is None and options.mad:
        medians = await _medians(session, plan, own, cells, dealers)
        found = await median_deviations(session, plan, own, cells, medians, dealers)
        table["mad"] = found.ravel()
    tables = {"descriptives": table}
    no_bins = 0
    if options.breaks:
        bins, visible = await release_histogram(session, plan, own, dealers, options.breaks, cells.shown, ruling)
        tables["histogram"] = _histogram(plan, options.breaks, bins, visible)
        no_bins = int((~visible).sum())
    withheld = _withheld(cells, ruling, options, lacking, no_bins)
    return Outcome(
        "describe",
        tables,
        values={"by": list(plan.by)},
        conventions=_conventions(plan, ruling, options),
        withheld=withheld,
    )


async def _quantiles(
    session: Session,
    plan: ValuesPlan,
    own: ValuesContribution | None,
    pooled: Pool | None,
    cells: Cells,
    dealers: tuple[int, ...],
    ruling: Ruling,
    options: DescribeOptions,
) -> tuple[Floats, int]:
    """Quantiles, and how many of shown cells are withheld."""
    shares = options.quantiles
    if pooled is None:
        search = _search(plan, own)
        return await quantiles_of_ranks(session, search, cells.people, shares, options.quantile_type, dealers), 0
    values, found = await rounded_quantiles(session, plan, own, pooled, cells, shares, dealers, ruling)
    return values, int((~found & cells.shown[None]).sum())


async def _medians(
    session: Session, plan: ValuesPlan, own: ValuesContribution | None, cells: Cells, dealers: tuple[int, ...]
) -> Floats:
    found = await quantiles_of_ranks(session, _search(plan, own), cells.people, (0.5,), 7, dealers)
    medians: Floats = found[0]
    return medians


def _search(plan: ValuesPlan, own: ValuesContribution | None) -> Search:
    keys = exact_keys(plan)
    return Search(keys, None if own is None else [own.keys(c, key) for c, key in enumerate(keys)])


# --- tables --------------------------------------------------------------------------------------------------------


def group_rows(plan: ValuesPlan) -> pd.DataFrame:
    """A row for each column and group: variable, and the levels of the groups."""
    rows = [(name, *levels) for name in plan.columns for levels in itertools.product(*plan.levels)]
    return pd.DataFrame(rows, columns=["variable", *plan.by])


def people_column(people: NDArray[np.int64], shown: Bools) -> pd.Series:
    """Int64, <NA> where not shown."""
    found = pd.Series(people.ravel(), dtype="Int64")
    found[~shown.ravel()] = pd.NA
    return found


def _moments(plan: ValuesPlan, cells: Cells, conf_level: float) -> pd.DataFrame:
    table = group_rows(plan)
    table["n"] = people_column(cells.people, cells.shown)
    table["missing"] = people_column(cells.missing, cells.missing_shown)
    error, lower, upper = limits_of_means(cells, conf_level)
    columns = {
        "sum": cells.total,
        "mean": cells.mean,
        "variance": cells.variance,
        "sd": cells.sd,
        "standard_error": error,
        "lower": lower,
        "upper": upper,
    }
    for name, values in columns.items():
        table[name] = values.ravel()
    return table


def _histogram(plan: ValuesPlan, breaks: Sequence[float], bins: NDArray[np.int64], visible: Bools) -> pd.DataFrame:
    size = len(breaks) - 1
    rows = group_rows(plan)
    table = rows.loc[rows.index.repeat(size)].reset_index(drop=True)
    table["from"], table["to"] = np.tile(breaks[:-1], len(rows)), np.tile(breaks[1:], len(rows))
    table["count"] = people_column(bins, np.repeat(visible.ravel(), size))
    return table


def _conventions(plan: ValuesPlan, ruling: Ruling, options: DescribeOptions) -> dict[str, str]:
    exact = counts_are_exact(ruling.rules)
    kind = options.quantile_type if exact else 1
    found = {
        "missing values": "left out, column by column; people without a value in a column of `by` are in no group",
        "variance": "over n - 1",
        "limits": f"{options.conf_level:.4g} limits of the mean by Student's t",
        "quantiles": f"type {kind} of R ({TYPES[kind]})"
        + ("" if exact else f", among at most {MOST_POINTS:,} points of a column's range"),
    }
    if not exact:
        found["digits"] = (
            "means are multiples of about rounding_base sd / n, standard deviations have log2(2 n / rounding_base) "
            "bits; standard errors and limits are computed from the rounded numbers"
        )
    if exact and options.shape:
        found["skewness, kurtosis"] = "m3 / m2^1.5 and m4 / m2^2 - 3, moments over n"
    if exact and options.mad:
        found["mad"] = "1.4826 times the median distance from the median"
    if options.breaks:
        found["histogram"] = (
            "bins [from, to), the last one with its end (R: right = FALSE); people outside are in no bin"
        )
    return found


def _withheld(cells: Cells, ruling: Ruling, options: DescribeOptions, lacking: int, no_bins: int) -> list[str]:
    rules = ruling.rules
    if counts_are_exact(rules):
        return []
    found = []
    hidden, missing = int((~cells.shown).sum()), int((~cells.missing_shown).sum())
    if hidden:
        found.append(
            f"{hidden} of {cells.shown.size} groups hidden: too few people, nearly all of them alike, or one of few "
            f"possible values with too few people ({size_rules(ruling)})"
        )
    if missing:
        found.append(
            f"{missing} of {cells.shown.size} numbers of missing values hidden ({ruling.cite('minimum_count')}); "
            "zeros are hidden, too"
        )
    if lacking:
        found.append(
            f"{lacking} quantiles hidden: fewer than minimum_count people may be on a side "
            f"({ruling.cite('minimum_count')})"
        )
    if no_bins:
        found.append(
            f"{no_bins} of {cells.shown.size} histograms hidden: a bin has too few people "
            f"({size_rules(ruling)}); choose wider bins"
        )
    if rules.rounding_base > 1:
        found.append(f"people are rounded to multiples, means and sd to match ({ruling.cite('rounding_base')})")
    if options.shape or options.mad:
        found.append("sum, skewness, kurtosis and mad need exact counts: few people make their digits")
    return found
