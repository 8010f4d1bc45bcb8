"""Tests of the log-rank family over sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

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

__all__ = ["Comparison", "joint_logrank", "logrank_outcome", "mode_of"]


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
    mode : "auto", "table" or "statistic"
        See `mode_of`.
    expected : bool
        In mode "statistic": also the observed and expected events, where the rules let exact counts out.
    """

    weights: str = "logrank"
    p: float = 0.0
    q: float = 0.0
    trend: bool = False
    trend_scores: tuple[float, ...] = ()
    pairwise: str | None = None
    mode: Literal["auto", "table", "statistic"] = "auto"
    expected: bool = False


def mode_of(wanted: Comparison, ruling: Ruling) -> Literal["table", "statistic"]:
    """How a test is computed: "table" from opened counts, "statistic" from counts that stay on shares.

    "auto" takes the table where the rules let it out.

    Raises
    ------
    DisclosureRefused
        The table was asked for, and the rules do not let it out. Nothing was shared.
    """
    if wanted.mode == "table" and not ruling.rules.exact_curve:
        raise DisclosureRefused(
            f"the exact table of events is not let out ({ruling.cite('exact_curve')})",
            hint='mode="auto" or "statistic": counts stay on shares and only chi-square is opened',
        )
    if wanted.mode == "auto":
        return "table" if ruling.rules.exact_curve else "statistic"
    return wanted.mode


async def joint_logrank(
    session: Session,
    plan: SurvivalPlan,
    own: SurvivalContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    wanted: Comparison,
) -> Outcome:
    """Pooled test of the log-rank family; with strata, stratified. `mode_of` decides how it is computed.

    In mode "table" a group that is too small leaves the test; a group that is too small in one stratum leaves it there.

    Reveals
    -------
    Mode "table": events and censorings (and entries) at every time of the plan, of these groups. Mode "statistic": see
    `secure_logrank.joint_logrank_statistic`; chi-square and whether the test may be released.

    Raises
    ------
    DisclosureRefused
        The table was asked for and may not leave; too few groups are large enough.
    """
    if mode_of(wanted, ruling) == "statistic":
        return await _statistic(session, plan, own, dealers, ruling, wanted)
    return logrank_outcome(plan, await exact_counts(session, plan, own, dealers, ruling), ruling, wanted)


async def _statistic(
    session: Session,
    plan: SurvivalPlan,
    own: SurvivalContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    wanted: Comparison,
) -> Outcome:
    """The test on shares, with the tables and conventions that all tests have."""
    from mpcstats.stats.secure_logrank import joint_logrank_statistic

    trend = None
    if wanted.trend:
        trend = wanted.trend_scores or tuple(float(rank) for rank in range(1, len(plan.groups) + 1))
    found = await joint_logrank_statistic(
        session,
        plan,
        own,
        dealers,
        ruling,
        weights=wanted.weights,
        p=wanted.p,
        q=wanted.q,
        trend=trend,
        pairwise=wanted.pairwise,
        expected=wanted.expected,
    )
    tables, conventions = dict(found.tables), found.conventions | _conventions(plan)
    if trend is not None:
        # no z: its sign would tell which group does better, and is not opened
        names = ("chi_square", "degrees_of_freedom", "p_value", "log_p_value")
        tables["trend"] = pd.DataFrame([{name: found.values[f"trend_{name}"] for name in names}])
        conventions["trend"] = _trend_text(plan.group_names, trend)
    if wanted.pairwise is not None:
        conventions["pairwise"] = _pairwise_text(wanted.pairwise)
    return Outcome("logrank", tables, found.values | {"strata": list(plan.strata)}, conventions, found.withheld)


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
        **_conventions(plan),
    }
    if wanted.trend:
        scores = np.array(wanted.trend_scores)[kept] if wanted.trend_scores else kept + 1.0
        trend = trend_test(events, at_risk, scores, **how)._asdict()
        scores = trend.pop("trend_scores")
        tables["trend"] = pd.DataFrame([trend])
        values |= {f"trend_{name}": value for name, value in trend.items()} | {"trend_scores": scores.tolist()}
        conventions["trend"] = _trend_text(names, scores.tolist())
    if wanted.pairwise is not None:
        tables["pairwise"] = pairwise_tests(events, at_risk, names, adjust=wanted.pairwise, **how)
        conventions["pairwise"] = _pairwise_text(wanted.pairwise)
    return Outcome("logrank", tables, values, conventions, hidden_text(plan, ruling, pooled.hidden))


def _conventions(plan: SurvivalPlan) -> dict[str, str]:
    found = curve_conventions(plan)
    if plan.strata:
        found["strata"] += "; observed, expected and variance are summed over them, weights formed within each"
    return found


def _trend_text(names: Sequence[str], scores: Sequence[float]) -> str:
    listed = ", ".join(f"{name}: {score:g}" for name, score in zip(names, scores, strict=True))
    return f"one degree of freedom, scores {listed}"


def _pairwise_text(adjust: str) -> str:
    return f"each pair from its two groups alone; p adjusted: {adjust}"


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
