"""The log-rank test of pooled people from which nothing but the statistic is opened."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.field import M127
from mpcstats.protocols import at_least, deal, multiply
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.contributions.survival import SurvivalContribution, SurvivalPlan
from mpcstats.stats.disclosure import (
    Ruling,
    enough_without_each,
    number_bits,
    open_counts,
    release_numbers,
    require_all,
)
from mpcstats.stats.logrank import log_chi_square_tail
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.secure_logrank.lattice import Lattice, at_risk_counts
from mpcstats.stats.secure_logrank.moments import Moments, weighted_moments
from mpcstats.stats.secure_logrank.verdict import Verdict, check_trend, compare_groups, trend_over_groups
from mpcstats.stats.secure_logrank.weights import Weights, weights_named

__all__ = ["GROUP_COLUMNS", "joint_logrank_statistic"]

GROUP_COLUMNS = ("group", "records", "observed", "expected", "(O-E)^2/E", "(O-E)^2/V")

_BIT = "test can be released"


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
        See `weights.weights_named`; formed within each stratum.
    trend : one whole number for each group, optional
        A test for trend with these scores as well.
    expected : bool
        Also the weighted observed and expected events of each group, where the rules let exact counts out.

    Returns
    -------
    Outcome
        Values chi_square (NaN where no test exists), degrees_of_freedom, p_value, log_p_value; the same with the prefix
        trend_. Table groups with the columns of the test from counts; what was not opened is missing.

    Reveals
    -------
    One bit: whether every group has `minimum_count` people and `step_minimum` events, both also without any one party
    (`small_remainders`). If so, chi-square (rounded, `disclosure.number_bits`), whether the test exists, and degrees of
    freedom where a group may be without events. Under rules that let exact counts out, observed and expected events if
    asked for.

    Raises
    ------
    SpecError
        Weights or trend scores that cannot be formed.
    DisclosureRefused
        The bit is 0; nothing else was opened.

    Notes
    -----
    About 350 rounds for two groups, 7 bounded masks and some 3 kB for each time and party (3 parties).
    """
    chosen = weights_named(weights, p, q)
    groups = plan.shape[-2]
    if groups < 2:
        raise SpecError(f"a log-rank test compares groups, not {groups}")
    scores = None if trend is None else check_trend(trend, groups)
    shown = expected and ruling.rules.rounding_base == 1
    _declare(session, groups, scores is not None, shown)
    pooled = await _pool(session, plan, own, dealers)
    taking_part = await _decide(session, pooled, ruling, groups)
    session.progress("the test may be released; computing on shares")
    moments = await weighted_moments(session, pooled.lattice, chosen, want_observed=shown)
    if taking_part is None:
        taking_part = await at_least(session, moments.met, 1)
        freedom = int((await open_counts(session, taking_part.sum(0).reshape(1), "groups in the test"))[0]) - 1
    else:
        freedom = groups - 1
    tests = {"": (await compare_groups(session, moments, taking_part), max(freedom, 0))}
    if scores is not None:
        tests["trend_"] = (await trend_over_groups(session, moments, taking_part, scores), min(max(freedom, 0), 1))
    values: dict[str, Any] = {}
    for prefix, (verdict, degrees) in tests.items():
        chi_square = await _open(session, verdict, ruling)
        values |= _values(prefix, chi_square if degrees else 0.0, degrees)
    numbers = await _open_expected(session, moments, ruling) if shown else None
    if scores is not None:
        values["trend_scores"] = list(scores)
    return _outcome(plan, ruling, chosen, values, numbers, expected and not shown)


def _declare(session: Session, groups: int, trend: bool, expected: bool) -> None:
    declare = session.openings.declare
    declare(_BIT, 1, "whether all groups have enough people and events, also without any one party")
    declare("groups in the test", 1, "groups in which events are expected, where the rules do not make sure of it")
    tests = 1 + trend
    declare("test exists", tests, "whether groups are at risk together at an event")
    declare("chi-square", 2 * tests, "the statistic, rounded: mantissa and exponent")
    if expected:
        declare("observed and expected", 4 * groups, "weighted events of each group: mantissa and exponent")


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
    lattice = Lattice.of(total[0], at_risk, leaving.sum(2).sum(1).sum(0))
    return _Pooled(
        lattice,
        [(part[0] + part[1]).sum(2).sum(0) for part in dealt],
        [part[0].sum(2).sum(0) for part in dealt],
    )


async def _decide(session: Session, pooled: _Pooled, ruling: Ruling, groups: int) -> Shared | None:
    """Refuse, or give ones for all groups: each has events. None where the rules ask for nothing."""
    rules = ruling.rules
    checks = [
        (parts, minimum)
        for parts, minimum in (
            (pooled.people, rules.minimum_count),
            (pooled.events, rules.step_minimum if rules.step_minimum > 1 else 0),
        )
        if minimum
    ]
    bits = []
    for parts, minimum in checks:
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        bits.append(await at_least(session, total, minimum))
        if not rules.small_remainders:
            bits.append(await enough_without_each(session, parts, minimum))
    if not bits:
        return None
    await require_all(session, concatenate(bits), _BIT, _refusal(ruling), hint=_HINT)
    return bits[0].times_int(0).plus_int(1) if rules.step_minimum > 1 else None


_HINT = "join groups, or leave small ones out with `where`"


def _refusal(ruling: Ruling) -> str:
    names = ["minimum_count", "step_minimum", *([] if ruling.rules.small_remainders else ["small_remainders"])]
    return (
        "a group of the test has too few people or events, or too few remain when one party subtracts its own ("
        + "; ".join(ruling.cite(name) for name in names)
        + ")"
    )


async def _open(session: Session, verdict: Verdict, ruling: Ruling) -> float:
    """Chi-square, NaN where it is not defined; then its number stays closed."""
    exists = (-verdict.undefined).plus_int(1)
    number = verdict.chi_square.with_fraction_bits(0)
    number = (await multiply(session, exists, number)).with_fraction_bits(verdict.chi_square.fraction_bits)
    found = int((await open_counts(session, exists, "test exists"))[0])
    chi_square = await release_numbers(session, number, "chi-square", number_bits(ruling.rules))
    return float(chi_square[0]) if found else math.nan


async def _open_expected(session: Session, moments: Moments, ruling: Ruling) -> NDArray[np.float64]:
    """Weighted observed and expected events, (2, G)."""
    assert moments.observed is not None
    both = concatenate([moments.observed, moments.observed - moments.score])
    if moments.unit is not None:
        both = (await multiply(session, both.with_fraction_bits(0), moments.unit)).with_fraction_bits(
            both.fraction_bits
        )
    opened = await release_numbers(session, both, "observed and expected", number_bits(ruling.rules))
    return opened.reshape(2, -1)


def _values(prefix: str, chi_square: float, degrees: int) -> dict[str, Any]:
    log_p = math.nan if math.isnan(chi_square) else log_chi_square_tail(chi_square, degrees) if degrees else 0.0
    return {
        f"{prefix}chi_square": chi_square,
        f"{prefix}degrees_of_freedom": degrees,
        f"{prefix}p_value": math.exp(log_p),
        f"{prefix}log_p_value": log_p,
    }


def _outcome(
    plan: SurvivalPlan,
    ruling: Ruling,
    chosen: Weights,
    values: dict[str, Any],
    numbers: NDArray[np.float64] | None,
    withheld: bool,
) -> Outcome:
    names = [str(level) for level in plan.groups]
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
        closed.append(f"observed and expected events stay closed ({ruling.cite('rounding_base')})")
    return Outcome(
        "logrank",
        {"groups": _table(names, numbers)},
        {**values, "by": plan.by, "weights": chosen.name, "mode": "statistic"},
        conventions,
        closed,
    )


def _table(names: list[str], numbers: NDArray[np.float64] | None) -> pd.DataFrame:
    observed, expected = np.full((2, len(names)), np.nan) if numbers is None else numbers
    square = np.divide((observed - expected) ** 2, expected, out=np.full(len(names), np.nan), where=expected > 0)
    missing = np.full(len(names), np.nan)
    people = pd.array([pd.NA] * len(names), dtype="Int64")
    columns = (names, people, observed, expected, square, missing)
    return pd.DataFrame(dict(zip(GROUP_COLUMNS, columns, strict=True)))
