"""Analyses of hidden times: survival at public times, medians with limits, and log-rank tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.protocols import at_least, inner_product, multiply
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.contributions.exact_time import ExactTimeContribution, ExactTimePlan
from mpcstats.stats.disclosure import Ruling, number_bits
from mpcstats.stats.exact_time.release import Curves, Opened, declare_curves, open_curves
from mpcstats.stats.exact_time.rounded import open_rounded_curves
from mpcstats.stats.exact_time.rows import check_rows, curve_rows, pooled_rows
from mpcstats.stats.exact_time.scores import check_exact_time_weights, rows_moments
from mpcstats.stats.kaplan_meier import ROUNDED_NOTE
from mpcstats.stats.logrank import weights_text
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.secure_logrank.moments import Moments
from mpcstats.stats.secure_logrank.release import (
    declare_test,
    group_table,
    open_chi_square,
    open_freedom,
    require_groups,
    values_of_test,
)
from mpcstats.stats.secure_logrank.verdict import check_trend, compare_groups, trend_over_groups

__all__ = ["joint_exact_time"]

_NOTHING_MET = 1 << 30
"""Sums of weighted shares below this are rounding: a single person at risk at an event counts 2^42."""


@dataclass(frozen=True)
class _Test:
    weights: str
    trend: tuple[int, ...] | None


async def joint_exact_time(
    session: Session,
    plan: ExactTimePlan,
    own: ExactTimeContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    *,
    landmarks: Sequence[float] = (),
    medians: bool = False,
    logrank: bool = False,
    weights: str = "logrank",
    trend: Sequence[float] | None = None,
    conf_level: float = 0.95,
) -> Outcome:
    """What is asked about survival, from records whose times nobody sees.

    Parameters
    ----------
    own : ExactTimeContribution or None
        This party's people; None at a party without data.
    landmarks : increasing times, whole multiples of the unit
        Survival of each group at these times.
    medians : bool
        The median of each group with its interval.
    logrank, weights, trend
        Test of all groups; weights "logrank", "wilcoxon" or "tarone-ware"; `trend` as for `joint_logrank_statistic`.
    conf_level : float
        Of the intervals, of type "log".

    Returns
    -------
    Outcome
        Tables landmarks (group, time, survival, standard_error, lower, upper), medians (group, records, events, median,
        lower, upper) and groups, and the values of the test, as far as asked for. Without `exact_curve` also curve, the
        rounded curve that landmarks and medians are read off.

    Reveals
    -------
    With `exact_curve`: people at start of each group (`disclosure.release_counts`, leave-one-out check), log S and its
    variance at the landmarks, and the times of medians and limits. Otherwise what `joint_kaplan_meier` opens of these
    people under the same rules, and so nothing more beside it; see `rounded`. The test opens what
    `joint_logrank_statistic` does.

    Raises
    ------
    SpecError
        Nothing, or something impossible, was asked for.
    RangeError
        Too many rows, with the cost.
    DisclosureRefused
        A group is too small for a test.
    DataError
        Own people do not fit the plan. Nothing was sent.

    Notes
    -----
    The merge is the cost (`check_rows`): 300 rows of three parties take 1,800 comparisons, 3,000 rows 26,000 and 20,000
    rows 220,000 (45 MB sent by each party, 460 rounds).
    """
    asked = Curves(plan.landmarks(landmarks), medians, conf_level)
    test = _checked_test(plan, weights, trend) if logrank else None
    curves = medians or bool(asked.landmarks)
    if not (curves or test):
        raise SpecError("no landmarks, medians or test were asked for")
    if not 0 < conf_level < 1:
        raise SpecError(f"the confidence level lies between 0 and 1, not at {conf_level}")
    exact = ruling.rules.exact_curve
    if curves and exact:
        check_rows(session, len(dealers), plan.rows, plan.group_count, 2 + len(asked.landmarks))
    if test:
        check_rows(session, len(dealers), plan.rows, 1, 1 + plan.group_count)
    values: dict[str, Any] = {"by": plan.by, "conf_type": "log", "conf_level": conf_level}
    conventions = _conventions(plan, test is not None or exact)
    tables: dict[str, pd.DataFrame] = {}
    withheld: list[str] = []
    if curves:
        found = await (_exact_curves if exact else open_rounded_curves)(session, plan, own, dealers, ruling, asked)
        values |= {"curve": "exact" if exact else "rounded"}
        tables, withheld = dict(found.tables), list(found.withheld)
        conventions |= _curve_conventions(exact)
    if test:
        values |= await _run_test(session, plan, own, dealers, ruling, test)
        tables["groups"] = group_table(plan.group_names)
        conventions |= _test_conventions(test, ruling)
        if not exact:
            withheld.append(f"counts stay closed ({ruling.cite('exact_curve')})")
    return Outcome("exact-time", tables, values, conventions, withheld)


async def _exact_curves(
    session: Session,
    plan: ExactTimePlan,
    own: ExactTimeContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    asked: Curves,
) -> Opened:
    declare_curves(session, plan.group_count, asked)
    rows, people = await curve_rows(session, plan, own, dealers, asked.landmarks)
    return await open_curves(session, plan, rows, people, ruling, asked)


def _checked_test(plan: ExactTimePlan, weights: str, trend: Sequence[float] | None) -> _Test:
    if len(plan.groups) < 2:
        raise SpecError(f"a log-rank test compares groups, not {plan.group_count}")
    check_exact_time_weights(weights)
    return _Test(weights, None if trend is None else check_trend(trend, plan.group_count))


async def _run_test(
    session: Session,
    plan: ExactTimePlan,
    own: ExactTimeContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    test: _Test,
) -> dict[str, Any]:
    declare_test(session, 1 if test.trend is None else 2)
    rows, parts = await pooled_rows(session, plan, own, dealers)
    stacked = concatenate([part.reshape(1, *part.shape) for part in parts])
    people, groups = stacked[:, :, 1:].sum(1), plan.group_count
    events = await inner_product(session, stacked[:, :, :1], stacked[:, :, 1:], 1)
    parties = range(len(parts))
    taking_part = await require_groups(session, [people[k] for k in parties], [events[k] for k in parties], ruling)
    moments = await rows_moments(session, rows, test.weights)
    freedom = groups - 1
    if taking_part is None:
        taking_part = await at_least(session, moments.met, _NOTHING_MET)
        moments = await _without_others(session, moments, taking_part)
        freedom = await open_freedom(session, taking_part)
    verdict = await compare_groups(session, moments, taking_part)
    values = values_of_test("", await open_chi_square(session, verdict, ruling), freedom)
    if test.trend is not None:
        verdict = await trend_over_groups(session, moments, taking_part, test.trend)
        values |= values_of_test("trend_", await open_chi_square(session, verdict, ruling), min(freedom, 1))
        values["trend_scores"] = list(test.trend)
    return values | {"weights": test.weights, "mode": "statistic"}


async def _without_others(session: Session, moments: Moments, taking_part: Shared) -> Moments:
    """Rows of groups that take no part become 0, which rounding does not leave them."""
    groups = taking_part.size
    lines = concatenate(
        [moments.score.with_fraction_bits(0).reshape(1, groups), moments.variance.with_fraction_bits(0)]
    )
    lines = await multiply(session, lines, taking_part.reshape(1, groups))
    variance = await multiply(session, lines[1:], taking_part.reshape(groups, 1))
    return replace(
        moments,
        score=lines[0].with_fraction_bits(moments.score.fraction_bits),
        variance=variance.with_fraction_bits(moments.variance.fraction_bits),
    )


def _conventions(plan: ExactTimePlan, merged: bool) -> dict[str, str]:
    events = " or ".join(str(value) for value in plan.event_values)
    records = f"shared record by record in units of {plan.unit:g}, merged on shares; never opened"
    return {
        "times": records if merged else "counted on the grid of the rules at their owners; never shared",
        "event": f"{plan.event} = {events}" if events else f"no value of {plan.event} is an event",
        "ties": "events come before censorings at the same time",
        "missing": "complete cases on the group column",
    }


def _curve_conventions(exact: bool) -> dict[str, str]:
    limits = "log: exp(log S -+ z times the root of Greenwood's sum)"
    median = (
        "R's quantile rule for the curve: the middle of a flat part exactly at one half; limits are the first times at "
        "which the limits of the curve are at or below one half"
    )
    if exact:
        return {"confidence interval": limits, "median": median}
    return {
        "confidence interval": limits,
        "median": "R's quantile rule; read off the rounded curve",
        "rounding": ROUNDED_NOTE,
    }


def _test_conventions(test: _Test, ruling: Ruling) -> dict[str, str]:
    return {
        "test": f"{weights_text(test.weights)}; hypergeometric variance",
        "released": f"chi-square is rounded to {number_bits(ruling.rules)} significant bits",
    }
