"""The log-rank test of pooled people from which nothing but the statistic is opened."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.field import M127
from mpcstats.protocols import at_least, deal, multiply
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.contributions.survival import SurvivalContribution, SurvivalPlan
from mpcstats.stats.disclosure import Ruling, number_bits, release_numbers
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.p_adjust import p_adjust
from mpcstats.stats.secure_logrank.lattice import Lattice, at_risk_counts, check_security
from mpcstats.stats.secure_logrank.moments import Moments, weighted_moments
from mpcstats.stats.secure_logrank.release import (
    declare_test,
    group_table,
    open_chi_square,
    open_freedom,
    pairs_table,
    require_groups,
    values_of_test,
)
from mpcstats.stats.secure_logrank.verdict import check_trend, compare_groups, trend_over_groups
from mpcstats.stats.secure_logrank.weights import Weights, secure_weights

__all__ = ["joint_logrank_statistic"]

_EXPECTED = "observed and expected"


@dataclass(frozen=True)
class _Pooled:
    """Shared counts (strata, G, times), and people and events of each group at each data party."""

    lattice: Lattice
    people: list[Shared]
    events: list[Shared]


async def joint_logrank_statistic(
    session: Session,
    plan: SurvivalPlan,
    own: SurvivalContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    *,
    weights: str = "logrank",
    p: float = 0.0,
    q: float = 0.0,
    trend: Sequence[float] | None = None,
    pairwise: str | None = None,
    expected: bool = False,
) -> Outcome:
    """Pooled test of the log-rank family; events, numbers at risk and variance terms stay on shares.

    Parameters
    ----------
    plan : SurvivalPlan
        Two groups or more; a shape of three axes is (strata, groups, times) and makes a stratified test.
    own : SurvivalContribution
        Counts of the plan's shape; with `entered` people under observation from then on (left truncation).
    weights, p, q
        See `weights.secure_weights`; formed within each stratum.
    trend : one whole number for each group, optional
        A test for trend with these scores as well.
    pairwise : str, optional
        Also a test of every two groups, from these two alone, with p-values adjusted by this method of `p_adjust`. Each
        costs as much as another test.
    expected : bool
        Also the weighted observed and expected events of each group, where `exact_curve` lets exact counts out.

    Returns
    -------
    Outcome
        Values chi_square (NaN where no test exists), degrees_of_freedom, p_value, log_p_value; the same with the prefix
        trend_. Table groups with the columns of the test from counts, where what was not opened is missing; table
        pairwise.

    Reveals
    -------
    One bit: whether every group has `minimum_count` people and `step_minimum` events, both also without any one party
    (`small_remainders`). If so, chi-square (rounded, `disclosure.number_bits`), whether the test exists, and degrees of
    freedom where a group may be without events. With `exact_curve`, observed and expected events if asked for.

    Raises
    ------
    SpecError
        Weights or trend scores that cannot be formed, or no such adjustment.
    StatisticalSecurityError
        Too many times for the session's kappa. Nothing was sent.
    DisclosureRefused
        The bit is 0; nothing else was opened.

    Notes
    -----
    About 350 rounds for two groups, 7 bounded masks and some 3 kB for each time and party (3 parties).
    """
    chosen = secure_weights(weights, p, q)
    groups = plan.shape[-2]
    if groups < 2:
        raise SpecError(f"a log-rank test compares groups, not {groups}")
    scores = None if trend is None else check_trend(trend, groups)
    shown = expected and ruling.rules.exact_curve
    pairs = [] if pairwise is None else list(combinations(range(groups), 2))
    if pairwise is not None:
        p_adjust(np.zeros(0), pairwise)  # refuses a method that does not exist
    points = math.prod(plan.shape) // groups
    check_security(session, points * (1 + len(pairs)), chosen.reciprocals, chosen.roots)
    declare_test(session, (1 if scores is None else 2) + len(pairs))
    if shown:
        session.openings.declare(_EXPECTED, 4 * groups, "weighted events of each group: mantissa and exponent")
    pooled = await _pool(session, plan, own, dealers)
    sure = await require_groups(session, pooled.people, pooled.events, ruling)
    moments = await weighted_moments(session, pooled.lattice, chosen, want_observed=shown)
    taking_part, freedom = await _taking_part(session, moments, sure)
    verdict = await compare_groups(session, moments, taking_part)
    values = values_of_test("", await open_chi_square(session, verdict, ruling), freedom)
    if scores is not None:
        verdict = await trend_over_groups(session, moments, taking_part, scores)
        values |= values_of_test("trend_", await open_chi_square(session, verdict, ruling), min(freedom, 1))
        values["trend_scores"] = list(scores)
    numbers = await _open_expected(session, moments, ruling) if shown else None
    outcome = _outcome(plan, ruling, chosen, values, numbers, expected and not shown)
    if pairwise is not None:
        tests = {pair: await _pair(session, pooled.lattice.of_groups(pair), chosen, sure, ruling) for pair in pairs}
        outcome.tables["pairwise"] = pairs_table(plan.group_names, tests, pairwise)
    return outcome


async def _taking_part(session: Session, moments: Moments, sure: Shared | None) -> tuple[Shared, int]:
    """1 for each group in which events are expected, and the degrees of freedom."""
    if sure is not None:
        groups = moments.met.size
        return sure[:groups], groups - 1
    taking_part = await at_least(session, moments.met, 1)
    return taking_part, await open_freedom(session, taking_part)


async def _pair(
    session: Session, lattice: Lattice, chosen: Weights, sure: Shared | None, ruling: Ruling
) -> dict[str, Any]:
    moments = await weighted_moments(session, lattice, chosen)
    taking_part, freedom = await _taking_part(session, moments, sure)
    verdict = await compare_groups(session, moments, taking_part)
    return values_of_test("", await open_chi_square(session, verdict, ruling), freedom)


async def _pool(
    session: Session, plan: SurvivalPlan, own: SurvivalContribution | None, dealers: tuple[int, ...]
) -> _Pooled:
    shape = plan.shape if len(plan.shape) == 3 else (1, *plan.shape)
    late = plan.entry is not None
    mine = None
    if own is not None:
        tables = [own.events, own.censored, *([own.entered] if late and own.entered is not None else [])]
        mine = M127.from_int64(np.stack([np.asarray(t, np.int64).reshape(shape) for t in tables]))
    dealt = list((await deal(session, M127, mine, dealers, (3 if late else 2, *shape))).values())
    total = dealt[0]
    for part in dealt[1:]:
        total = total + part
    session.progress("events and censorings pooled on shares")
    leaving = total[0] + total[1]
    at_risk = at_risk_counts(leaving, total[2] if late else None)
    lattice = Lattice.of(total[0], at_risk, leaving.sum(2).sum(0))
    return _Pooled(
        lattice,
        [(part[0] + part[1]).sum(2).sum(0) for part in dealt],
        [part[0].sum(2).sum(0) for part in dealt],
    )


async def _open_expected(session: Session, moments: Moments, ruling: Ruling) -> NDArray[np.float64]:
    """Weighted observed and expected events, (2, G)."""
    assert moments.observed is not None
    both = concatenate([moments.observed, moments.observed - moments.score])
    if moments.unit is not None:
        both = (await multiply(session, both.with_fraction_bits(0), moments.unit)).with_fraction_bits(
            both.fraction_bits
        )
    opened = await release_numbers(session, both, _EXPECTED, number_bits(ruling.rules))
    return opened.reshape(2, -1)


def _outcome(
    plan: SurvivalPlan,
    ruling: Ruling,
    chosen: Weights,
    values: dict[str, Any],
    numbers: NDArray[np.float64] | None,
    withheld: bool,
) -> Outcome:
    bits = number_bits(ruling.rules)
    events = " or ".join(str(value) for value in plan.event_values)
    conventions = {
        "test": f"{chosen.text}; hypergeometric variance, chi-square on groups - 1 degrees of freedom",
        "released": f"the statistic alone; counts stayed on shares; chi-square is rounded to {bits} significant bits",
        "event": f"{plan.event} = {events}" if events else f"no value of {plan.event} is an event",
        "missing": "complete cases on the group column",
    }
    closed = [] if ruling.rules.exact_curve else [f"counts stay closed ({ruling.cite('exact_curve')})"]
    if withheld:
        closed.append(f"observed and expected events stay closed ({ruling.cite('exact_curve')})")
    return Outcome(
        "logrank",
        {"groups": group_table(plan.group_names, numbers)},
        {**values, "by": plan.by, "weights": chosen.name, "mode": "statistic"},
        conventions,
        closed,
    )
