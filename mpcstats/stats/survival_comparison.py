"""Tests of the log-rank family over sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused
from mpcstats.runtime import Session
from mpcstats.stats.contributions.survival import SurvivalContribution, SurvivalPlan
from mpcstats.stats.disclosure import Ruling, size_rules
from mpcstats.stats.logrank import LogrankTest, logrank_test, pairwise_tests, trend_test, weights_text
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.survival import Pooled, curve_conventions, exact_counts, hidden_text

__all__ = ["Comparison", "joint_logrank"]


@dataclass(frozen=True)
class Comparison:
    """Which tests are made.

    Attributes
    ----------
    weights, p, q : see `logrank.event_weights`
    trend : bool
        Also a test for trend, with `trend_scores` (one for each group of the plan) or 1, 2, ...
    pairwise : str, optional
        Also a test of every two groups, p-values adjusted by this method of `p_adjust`.
    """

    weights: str = "logrank"
    p: float = 0.0
    q: float = 0.0
    trend: bool = False
    trend_scores: tuple[float, ...] = ()
    pairwise: str | None = None


async def joint_logrank(
    session: Session,
    plan: SurvivalPlan,
    own: SurvivalContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    wanted: Comparison,
) -> Outcome:
    """Pooled test between the groups that are large enough, from the exact table; with strata, stratified.

    A group that is too small leaves the test; a group that is too small in one stratum leaves it there.

    Reveals
    -------
    Events and censorings (and entries) at every time of the plan, of these groups.

    Raises
    ------
    DisclosureRefused
        The rules in force do not let the exact table out (nothing was shared), or only one group is large enough.
    """
    if not ruling.rules.exact_curve:
        raise DisclosureRefused(
            "the log-rank test opens the exact table of events, which the rules do not allow "
            f"({ruling.cite('exact_curve')})",
            hint="exact_curve = true under [disclosure] in the policy.toml of every party named; or the rounded curve",
        )
    return logrank_outcome(plan, await exact_counts(session, plan, own, dealers, ruling), ruling, wanted)


def logrank_outcome(plan: SurvivalPlan, pooled: Pooled, ruling: Ruling, wanted: Comparison) -> Outcome:
    """All tests from opened counts."""
    shown = ~pooled.hidden.reshape(plan.strata_count, -1)
    if pooled.hidden.any() and shown.sum(axis=1).max() < 2:
        raise DisclosureRefused(f"fewer than two groups are large enough ({size_rules(ruling)})")
    kept = np.flatnonzero(shown.any(axis=0))
    names = [plan.group_names[group] for group in kept]
    events, at_risk = (table[..., kept, :] for table in (pooled.events, pooled.at_risk))
    how: dict[str, Any] = {"weights": wanted.weights, "p": wanted.p, "q": wanted.q}
    test = logrank_test(
        events,
        at_risk,
        names,
        records=(pooled.events + pooled.censored)[..., kept, :].sum(axis=-1),
        strata=plan.stratum_names,
        **how,
    )
    tables = {"groups": test.table}
    if test.strata is not None:
        tables["strata"] = _strata_table(test.strata, shown[:, kept])
    values = _values(test) | {"by": plan.by, "strata": list(plan.strata), "weights": wanted.weights, "mode": "table"}
    conventions = {
        "test": f"{weights_text(**how)}; hypergeometric variance, chi-square on groups - 1 degrees of freedom",
        **curve_conventions(plan),
    }
    if plan.strata:
        conventions["strata"] += "; observed, expected and variance are summed over them, weights formed within each"
    if wanted.trend:
        scores = np.array(wanted.trend_scores)[kept] if wanted.trend_scores else kept + 1.0
        trend = trend_test(events, at_risk, scores, **how)._asdict()
        scores = trend.pop("trend_scores")
        tables["trend"] = pd.DataFrame([trend])
        values |= {f"trend_{name}": value for name, value in trend.items()} | {"trend_scores": scores.tolist()}
        listed = ", ".join(f"{name}: {score:g}" for name, score in zip(names, scores, strict=True))
        conventions["trend"] = f"one degree of freedom, scores {listed}"
    if wanted.pairwise is not None:
        tables["pairwise"] = pairwise_tests(events, at_risk, names, adjust=wanted.pairwise, **how)
        conventions["pairwise"] = f"each pair from its two groups alone; p adjusted: {wanted.pairwise}"
    return Outcome("logrank", tables, values, conventions, hidden_text(plan, ruling, pooled.hidden))


def _values(test: LogrankTest) -> dict[str, Any]:
    return {
        "chi_square": test.chi_square,
        "degrees_of_freedom": test.degrees_of_freedom,
        "p_value": test.p_value,
        "log_p_value": test.log_p_value,
    }


def _strata_table(table: pd.DataFrame, shown: NDArray[np.bool_]) -> pd.DataFrame:
    """What is hidden is missing, not zero."""
    if shown.all():
        return table
    table = table.astype({"records": "Int64", "observed": "float64"})
    table.loc[~shown.ravel(), "records"] = pd.NA
    table.loc[~shown.ravel(), ["observed", "expected"]] = np.nan
    return table
