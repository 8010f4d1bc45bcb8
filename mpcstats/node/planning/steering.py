"""Where opened values decide how a run goes on: what its rounds and bytes depend on, and the most that can be opened.

Protocols are oblivious, so all else follows from the request, the dictionary and the rules. What is listed here was
found by running every analysis on different records, and tests do so again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mpcstats.stats.contributions import Plan
from mpcstats.stats.contributions.correlation import CorrelationPlan
from mpcstats.stats.contributions.rank import RankPlan
from mpcstats.stats.correlation.ranks import MOST_ROWS, MOST_VALUES
from mpcstats.stats.locate import PROBES
from mpcstats.study.spec import AnalysisSpec
from mpcstats.types import DisclosureRules

__all__ = ["LISTED", "Limit", "depends_on", "limit_of", "more_bytes"]

PEOPLE = "the number of people (opened): the sizes of numbers follow it"
STEPS = "the steps until the coefficients settle"
TIMES = "the times at which events happened (opened)"
LEVELS = "the values that occur (opened)"
PLACES = "whether a quantile is a person's value or between two"
GRIDS = "the digits of rounded means and standard deviations, which follow the number of people and the spread"
VARIANTS = "the variants that pass, are shown, or lack calls (opened), and the number of people"
HALVES = "the ends of the search for the Hodges-Lehmann estimate"
PREDICTOR = "people with and without the event in the same cell of the linear predictor (opened)"
MARGINS = "the cells that are shown: margins are chosen by them"
LISTED = "the number of people whose records are listed one by one (opened: rounded, or as a power of two)"

_WORD = 16
"""Steps of a search among all 64-bit numbers."""

_ROUNDED = frozenset({"describe", "ttest", "anova"})
"""Analyses that open rounded means first, where counts are rounded."""

_GENETIC = frozenset({"gwas", "gwas-meta", "variant-quality", "contingency", "principal-components"})


def depends_on(spec: AnalysisSpec, plan: Plan, rules: DisclosureRules) -> tuple[str, ...]:
    """What opened values decide about rounds and bytes, in words; () where these are known exactly.

    A run that is refused ends earlier, and earlier releases in the ledger cost comparisons: both are known apart.
    """
    name, wanted = spec.type, set[str]()
    exact = rules.minimum_count == 0 and rules.rounding_base == 1
    if name in {"cox", "fine-gray", "ols", "glm"}:
        wanted |= {PEOPLE, STEPS}
    if name in {"cox", "fine-gray"} and not getattr(spec, "by_site", True):
        wanted |= {TIMES}
    if name == "glm" and getattr(spec, "accuracy", False) and getattr(spec, "family", "") == "binomial" and exact:
        wanted |= {PREDICTOR}
    if name in _GENETIC:
        wanted |= {VARIANTS}
    if name == "gwas" and getattr(spec, "model", "") == "logistic":
        wanted |= {STEPS}
    if name in {"describe", "variance-test"} and exact:
        wanted |= {PLACES}
    if name in _ROUNDED and not exact:
        wanted |= {GRIDS}
    if name == "mannwhitney" and getattr(spec, "hodges_lehmann", False) and exact:
        wanted |= {HALVES}
    if name == "crosstab" and getattr(spec, "margins", "") == "pooled" and not exact:
        wanted |= {MARGINS}
    if name == "correlation" and getattr(spec, "method", "") == "kendall" and exact:
        wanted |= {LEVELS}
    if name in {"mannwhitney", "kruskal", "kolmogorov-smirnov", "wilcoxon-signed-rank", "correlation"}:
        wanted |= {LISTED} if _listed(plan) else set()
    return tuple(sorted(wanted))


def more_bytes(plan: Plan, steered: tuple[str, ...], parties: int) -> int:
    """Bytes that a party may send beyond those of openings: tables of values that occur."""
    if LEVELS not in steered or not isinstance(plan, CorrelationPlan):
        return 0
    return sum(plan.values[i] * plan.values[j] for i, j in plan.pairs) * 8 * (parties - 1)


def _listed(plan: Plan) -> bool:
    """Whether records are listed one by one, as a column has too many possible values for a table."""
    if isinstance(plan, CorrelationPlan):
        return max(plan.values, default=0) > MOST_VALUES
    return isinstance(plan, RankPlan) and plan.by_records


@dataclass(frozen=True)
class Limit:
    """The most that any records can lead to.

    Attributes
    ----------
    values : int
    openings : int or None
        Rounds in which they are opened; None: as many as such values need.
    """

    values: int
    openings: int | None = None


def limit_of(name: str, spec: AnalysisSpec, plan: Plan) -> Limit | None:
    """The limit of an opening whose declared number of values depends on opened ones; None for all others."""
    if name.startswith("people at each value") and isinstance(plan, CorrelationPlan):
        return _values(name, plan)
    return None if name not in _LIMITS else _LIMITS[name](spec, plan)


def _quantiles(spec: AnalysisSpec, plan: Any) -> Limit:
    """Two people's values for each quantile; the median beside, and its distances, for mad."""
    shares = len(getattr(spec, "quantiles", ())) + 2
    return Limit(PROBES * _WORD * 2 * shares * math.prod(plan.shape), _WORD)


def _search(_spec: AnalysisSpec, plan: Any) -> Limit:
    shape = getattr(plan, "shape", None) or (len(plan.pairs) * 2,)
    return Limit(PROBES * _WORD * math.prod(shape), _WORD)


def _cells(_spec: AnalysisSpec, plan: Any) -> Limit:
    return Limit(plan.strata_count * (plan.horizon + 1))


def _curves(_spec: AnalysisSpec, plan: Any) -> Limit:
    return Limit(3 * (1 + plan.order) * (plan.horizon + 1))


def _predictor(_spec: AnalysisSpec, _plan: Any) -> Limit:
    """Cells of the linear predictor, split six times."""
    return Limit(2 * ((1 << 11) + 6 * (1 << 21)), 7)


def _frequencies(_spec: AnalysisSpec, plan: Any) -> Limit:
    """Twelve binary digits of each variant."""
    return Limit(12 * plan.variant_count)


def _values(name: str, plan: Any) -> Limit:
    """A column's table, or a list of its values; the name ends in the numbers of pair and column."""
    pair, which = (int(number) - 1 for number in name.rsplit(" ", 1)[1].split("."))
    size = plan.values[plan.pairs[pair][which]]
    return Limit(size if size <= MOST_VALUES else MOST_ROWS)


_LIMITS: dict[str, Callable[[AnalysisSpec, Any], Limit]] = {
    "bits of quantiles": _quantiles,
    "bits of means": _search,
    "bits of standard deviations": _search,
    "cumulative baseline hazard": _cells,
    "shown steps of the baseline hazard": _cells,
    "sums over risk sets": _curves,
    "people by linear predictor and outcome": _predictor,
    "allele frequency": _frequencies,
}
