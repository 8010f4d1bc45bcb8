"""The first table of a paper."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.sdk.methods.base import names
from mpcstats.sdk.methods.counts import CountMethods
from mpcstats.sdk.methods.descriptives import DescriptiveMethods
from mpcstats.sdk.methods.mean_tests import MeanTestMethods
from mpcstats.sdk.methods.table_test import TableTestMethods
from mpcstats.sdk.results.base import Result
from mpcstats.sdk.table_one import (
    HIDDEN,
    TableOne,
    category_rows,
    category_smd,
    numeric_rows,
    numeric_smd,
    p_text,
)
from mpcstats.study.planning import levels_of

__all__ = ["TableOneMethods"]

_SUMMARY = "mean (SD): standard deviation over n - 1; median [quartiles]; n (% of the people of the group with a value)"


@dataclass
class _Parts:
    """What was asked and answered so far."""

    results: list[Result] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def keep(self, result: Result) -> Result:
        self.results.append(result)
        return result

    def withheld(self) -> list[str]:
        """Each sentence once."""
        return list(dict.fromkeys(itertools.chain(*(part.withheld for part in self.results), self.refused)))

    def counts_of(self, what: str, ask: Callable[[], Result]) -> list[int | None] | None:
        """Cells of a count; None where it is refused."""
        try:
            table = self.keep(ask()).to_frame()
        except DisclosureRefused as error:
            self.refused.append(f"{what} not counted: {error.message}")
            return None
        return [None if pd.isna(n) else int(n) for n in table["count"]]

    def p_of(self, column: str, ask: Callable[[], Any]) -> float:
        try:
            return float(self.keep(ask()).p_value)  # type: ignore[attr-defined]
        except (DisclosureRefused, SpecError) as error:
            self.refused.append(f"no test of {column}: {error.message}")
            return math.nan


class TableOneMethods(CountMethods, DescriptiveMethods, MeanTestMethods, TableTestMethods):
    """Tables of characteristics."""

    def table_one(
        self,
        columns: Sequence[str] | str,
        by: str | None = None,
        *,
        categorical: Sequence[str] = (),
        nonnormal: Sequence[str] = (),
        p_values: bool = False,
        smd: bool = False,
        where: str | None = None,
        dataset: str = "main",
        policy: str | None = None,
    ) -> TableOne:
        """Table 1: mean (SD), median [quartiles] or n (%) of each column, by groups.

        Parameters
        ----------
        columns : names
            In the order of the table. Categories and boolean columns are counted, numbers are described.
        by : name
            Column of the groups.
        categorical : names
            Columns with numbers for levels that are counted, too.
        nonnormal : names
            Numeric columns shown as median [quartiles].
        p_values : bool
            Welch's t test of two groups, analysis of variance of more; chi-square tests (without correction) of
            categories, on shares where counts leave rounded. None for `nonnormal` columns.
        smd : bool
            Standardised mean differences of two groups.

        Reveals what `describe`, `count` and the tests reveal; the table holds nothing else. Several runs: one
        description, a count for each category, one for the groups, a test for each p. Where counts have a threshold, a
        category is shown whole or not at all: beside the groups' sizes, a level of a few people, or a few people who
        have no value, would follow from the others (docs/adr/0018).
        """
        wanted = names(columns)
        common: dict[str, Any] = {"where": where, "dataset": dataset, "policy": policy}
        known = self._dictionary_of(dataset)
        counted = {name for name in wanted if name in categorical or known.column(name).type in {"category", "boolean"}}
        groups = () if by is None else (known.column(by).levels or ())
        _check(wanted, by, groups, categorical, nonnormal, counted, p_values or smd, smd)
        parts = _Parts()
        axis = () if by is None else (by,)
        numeric = [name for name in wanted if name not in counted]
        described: dict[str, list[dict[str, Any]]] = {name: [] for name in numeric}
        if numeric:
            for row in parts.keep(self.describe(numeric, by=axis, shape=False, **common)).to_frame().to_dict("records"):
                described[row["variable"]].append({str(key): value for key, value in row.items()})
        people = parts.counts_of("people", lambda: self.count(by=axis, **common)) or [None] * max(len(groups), 1)
        rows = [["n", *(HIDDEN if n is None else f"{n:,}" for n in people)]]
        comparisons = [("", "")]
        for name in wanted:
            p = difference = math.nan
            if name in described:
                new = numeric_rows(name, described[name], name in nonnormal)
                difference = numeric_smd(described[name]) if smd else math.nan
                if p_values and by is not None and name not in nonnormal:
                    p = parts.p_of(name, self._mean_test(name, by, len(groups), common))
            else:
                levels = levels_of(name, known, "a table")
                counts = self._counts(parts, name, len(levels), (*axis, name), common)
                new = category_rows(name, levels, counts)
                difference = category_smd(counts) if smd else math.nan
                if p_values and by is not None:
                    p = parts.p_of(name, self._chi_square(name, by, common))
            rows += new
            comparisons += [(p_text(p), _smd_text(difference)), *([("", "")] * (len(new) - 1))]
        header = ["characteristic", *(["all"] if by is None else [f"{by}: {level}" for level in groups])]
        frame = pd.DataFrame(rows, columns=header)
        for k, (name, show) in enumerate((("p", p_values), ("SMD", smd))):
            if show:
                frame[name] = [pair[k] for pair in comparisons]
        return TableOne(frame, parts.withheld(), _footnote(p_values, smd), parts.results)

    def _mean_test(self, name: str, by: str, groups: int, common: dict[str, Any]) -> Callable[[], Any]:
        ask: Callable[..., Any] = self.ttest if groups == 2 else self.anova
        return lambda: ask(name, by=by, **common)

    def _chi_square(self, name: str, by: str, common: dict[str, Any]) -> Callable[[], Any]:
        return lambda: self.chi_square(name, by, **common)

    def _counts(
        self, parts: _Parts, name: str, levels: int, axes: tuple[str, ...], common: dict[str, Any]
    ) -> list[list[int | None]]:
        """For each group the people of each level."""
        values = parts.counts_of(name, lambda: self.count(by=axes, **common))
        if values is None:
            groups = len(self._dictionary_of(common["dataset"]).column(axes[0]).levels or ()) if len(axes) > 1 else 1
            return [[None] * levels for _ in range(groups)]
        return [values[k : k + levels] for k in range(0, len(values), levels)]


def _check(
    wanted: Sequence[str],
    by: str | None,
    groups: Sequence[Any],
    categorical: Sequence[str],
    nonnormal: Sequence[str],
    counted: set[str],
    compares: bool,
    smd: bool,
) -> None:
    strange = [name for name in (*categorical, *nonnormal) if name not in wanted]
    both = [name for name in nonnormal if name in counted]
    if strange or both:
        what = "is not among the columns" if strange else "is a category, which has no median"
        raise SpecError(f"{', '.join(map(repr, strange or both))} {what}")
    if compares and by is None:
        raise SpecError("p-values and standardised differences compare groups; `by` names none")
    if smd and len(groups) != 2:
        raise SpecError(f"standardised differences are of two groups; column {by!r} has {len(groups)}")


def _smd_text(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _footnote(p_values: bool, smd: bool) -> list[str]:
    notes = [_SUMMARY]
    if p_values:
        notes.append("p: Welch's t test, one-way analysis of variance, chi-square test without correction")
    if smd:
        notes.append("SMD: difference over the root of the mean variance; of categories after Yang and Dalton (2012)")
    return notes
