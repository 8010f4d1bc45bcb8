"""Cumulative incidence and Gray's test over sites: sums of counts on a lattice of times.

As with survival curves, an exact curve is its table of counts: where the rules let it out, the counts are opened and
the rest is ordinary float64 arithmetic. Otherwise only rounded cumulative counts on a coarse grid are opened.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.field import M61
from mpcstats.protocols import at_least, multiply, sum_of_inputs
from mpcstats.runtime import Session, Shared
from mpcstats.stats.competing_risks.gray import GrayTest, gray_test
from mpcstats.stats.competing_risks.incidence import Variance, incidence_tables, rounded_incidence_tables
from mpcstats.stats.contributions.competing_risks import CompetingRisksContribution, CompetingRisksPlan
from mpcstats.stats.curve_release import release_grid, release_rounded_curves, withheld_lines
from mpcstats.stats.disclosure import Ruling, open_counts, require_people
from mpcstats.stats.kaplan_meier import ROUNDED_NOTE
from mpcstats.stats.outcome import Outcome

__all__ = ["joint_cumulative_incidence", "joint_gray"]

Counts = NDArray[np.int64]

_KINDS = "events of each cause and censorings"
_VARIANCE = {
    "aalen": "Aalen: multinomial increments (R's survfit, where nobody enters late)",
    "gray": "Gray: uncorrelated causes, corrected for ties (R's cmprsk)",
}


async def joint_cumulative_incidence(
    session: Session,
    plan: CompetingRisksPlan,
    own: CompetingRisksContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    *,
    conf_type: str = "log",
    conf_level: float = 0.95,
    variance: Variance = "aalen",
    rho: float = 0.0,
    time_label: str = "time",
) -> Outcome:
    """Pooled cumulative incidence of every cause in all groups, and Gray's test of each cause.

    Tables: "incidence" (group, cause, time, at_risk, events, censored, cumulative_hazard, incidence, standard_error,
    lower, upper), "event_free" (the probability that nothing has happened yet), "causes" (events and the end of each
    curve) and, with several groups and exact counts, "gray" (a row per cause).

    Reveals
    -------
    With `exact_curve`: events of each cause, censorings and, with late entry, entries at every lattice time of each
    group that reaches `minimum_count`. Otherwise, per group: people at start (threshold and rounding), the number of
    visible grid points, and rounded cumulative events of each cause and censorings at these.

    Raises
    ------
    DisclosureRefused
        Late entries, and the rules do not let the exact table out.
    """
    names, rules = plan.names, ruling.rules
    values = {
        "by": plan.by,
        "causes": list(plan.causes),
        "conf_type": conf_type,
        "conf_level": conf_level,
        "time_label": time_label,
    }
    conventions = {
        "estimate": "Aalen-Johansen",
        "confidence interval": f"{conf_type}, level {conf_level:g}, of the incidence",
        "event": _causes(plan),
        "ties": "events come before censorings at the same time",
        "missing": "complete cases on the group column",
    }
    if not rules.exact_curve:
        conventions |= {"standard error": _VARIANCE["aalen"], "rounding": ROUNDED_NOTE}
        tables, withheld = await _rounded(session, plan, own, dealers, ruling, conf_type, conf_level)
        if len(names) > 1:
            withheld.append(f"Gray's test needs exact counts ({ruling.cite('exact_curve')})")
        return Outcome("cumulative-incidence", tables, {"curve": "rounded", **values}, conventions, withheld)
    exact, entries, hidden = await _exact(session, plan, own, dealers, ruling)
    pooled = exact.sum(axis=0)
    tables = incidence_tables(
        pooled[:-1],
        pooled[-1],
        entries,
        causes=plan.causes,
        groups=names,
        unit=plan.unit,
        conf_type=conf_type,
        conf_level=conf_level,
        variance=variance,
    )
    if hidden.any():
        tables["causes"] = tables["causes"].astype({"records": "Int64", "events": "Int64"})
        tables["causes"].loc[np.repeat(hidden, len(plan.causes)), ["records", "events"]] = pd.NA
    conventions["standard error"] = _VARIANCE[variance]
    withheld = _hidden(ruling, hidden)
    if (~hidden).sum() > 1 and plan.entry is None:
        tables["gray"], conventions["test"] = _tests(exact[:, :, ~hidden], plan, rho)
    return Outcome("cumulative-incidence", tables, {"curve": "exact", **values}, conventions, withheld)


async def joint_gray(
    session: Session,
    plan: CompetingRisksPlan,
    own: CompetingRisksContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    *,
    rho: float = 0.0,
) -> Outcome:
    """Gray's test of each cause between the groups that reach `minimum_count`, stratified if the plan has strata.

    Tables: "gray" (cause, chi_square, degrees_of_freedom, p_value, log_p_value) and "groups" (cause, group, records,
    observed, score).

    Reveals
    -------
    Events of each cause and censorings at every lattice time of these groups, by stratum; with strata and a
    `minimum_count`, first one bit: whether all groups reach it in all strata.

    Raises
    ------
    DisclosureRefused
        The rules in force do not let the exact table out (nothing was shared), or fewer than two groups are large
        enough, or a group is too small in a stratum.
    SpecError
        One group, or late entries, for which Gray's test is not defined.
    """
    if len(plan.groups) < 2:
        raise SpecError("Gray's test compares groups: name a column with two levels or more")
    if plan.entry is not None:
        raise SpecError("Gray's test is not defined for people who enter late")
    if not ruling.rules.exact_curve:
        raise DisclosureRefused(
            "Gray's test opens the exact table of events: its weights follow the curves of all groups, which the rules "
            f"do not allow ({ruling.cite('exact_curve')})",
            hint="a log-rank test of one cause, the others as censorings, compares cause-specific hazards instead",
        )
    exact, _, hidden = await _exact(session, plan, own, dealers, ruling)
    if (~hidden).sum() < 2:
        raise DisclosureRefused(f"fewer than two groups are large enough ({ruling.cite('minimum_count')})")
    shown = exact[:, :, ~hidden]
    table, convention = _tests(shown, plan, rho)
    names = [name for name, small in zip(plan.names, hidden, strict=True) if not small]
    parts = [_test(shown, cause, rho, names).table for cause in range(len(plan.causes))]
    groups = pd.concat(parts, ignore_index=True)
    groups.insert(0, "cause", np.repeat(np.array(plan.causes, dtype=object), len(names)))
    return Outcome(
        "gray",
        {"gray": table, "groups": groups},
        {"by": plan.by, "causes": list(plan.causes), "strata": list(plan.strata), "rho": rho},
        {"test": convention, "event": _causes(plan), "missing": "complete cases on group and strata"},
        _hidden(ruling, hidden),
    )


def _test(exact: Counts, cause: int, rho: float, names: list[str] | None = None) -> GrayTest:
    return gray_test(exact[:, :-1], exact[:, -1], cause, groups=names, rho=rho)


def _tests(exact: Counts, plan: CompetingRisksPlan, rho: float) -> tuple[pd.DataFrame, str]:
    found = [_test(exact, cause, rho) for cause in range(len(plan.causes))]
    table = pd.DataFrame(
        {
            "cause": list(plan.causes),
            "chi_square": [test.chi_square for test in found],
            "degrees_of_freedom": [test.degrees_of_freedom for test in found],
            "p_value": [test.p_value for test in found],
            "log_p_value": [test.log_p_value for test in found],
        }
    )
    strata = f", {len(plan.strata)} strata" if plan.strata else ""
    return table, f"Gray 1988, rho = {rho:g}{strata}, chi-square on groups - 1 degrees of freedom (R: cuminc)"


def _causes(plan: CompetingRisksPlan) -> str:
    return "; ".join(
        f"{name}: {plan.event} = {' or '.join(str(value) for value in values) or 'no value'}"
        for name, values in zip(plan.causes, plan.cause_values, strict=True)
    )


def _hidden(ruling: Ruling, hidden: NDArray[np.bool_]) -> list[str]:
    count = int(hidden.sum())
    return [f"{count} of {hidden.size} groups hidden ({ruling.cite('minimum_count')})"] if count else []


async def _pooled(
    session: Session,
    plan: CompetingRisksPlan,
    own: CompetingRisksContribution | None,
    dealers: tuple[int, ...],
) -> tuple[Shared, Shared | None]:
    """Pooled numbers of people who leave, (S, K+1, G, T+1), and who enter, (G, T+1)."""
    strata, causes, groups, points = plan.shape
    leaving = strata * (causes + 1)
    rows = leaving + (plan.entry is not None)
    mine = None
    if own is not None:
        parts = [own.stacked(plan).reshape(leaving, groups, points)]
        if own.entered is not None:
            parts.append(own.entered[None].astype(np.int64))
        mine = M61.from_int64(np.concatenate(parts))
    pooled = await sum_of_inputs(session, M61, mine, dealers, (rows, groups, points))
    session.progress(f"{_KINDS} pooled on shares")
    entries = pooled[leaving] if plan.entry is not None else None
    return pooled[:leaving].reshape(strata, causes + 1, groups, points), entries


async def _exact(
    session: Session,
    plan: CompetingRisksPlan,
    own: CompetingRisksContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
) -> tuple[Counts, Counts | None, NDArray[np.bool_]]:
    """Opened counts (S, K+1, G, T+1) and entries, zero in groups below `minimum_count`, and which groups these are."""
    strata, causes, groups, points = plan.shape
    minimum = ruling.rules.minimum_count
    if minimum > 0 and strata > 1:
        session.openings.declare("groups large enough", 1, "whether every group reaches the minimum in every stratum")
    session.openings.declare(
        _KINDS, strata * (causes + 1) * groups * points, "pooled counts per stratum, group and time; 0 where suppressed"
    )
    if plan.entry is not None:
        session.openings.declare("entries", groups * points, "pooled people entering, per group and time; 0 likewise")
    counts, entries = await _pooled(session, plan, own, dealers)
    if minimum > 0:
        people = counts.sum(3).sum(1)  # (S, G)
        if strata > 1:
            small = f"a group is too small in a stratum ({ruling.cite('minimum_count')})"
            await require_people(session, people.reshape(strata * groups), minimum, "groups large enough", small)
        large = await at_least(session, people.sum(0), minimum)
        counts = await multiply(session, large.reshape(1, 1, groups, 1), counts)
        if entries is not None:
            entries = await multiply(session, large.reshape(groups, 1), entries)
    opened = await open_counts(session, counts, _KINDS)
    came = None if entries is None else await open_counts(session, entries, "entries")
    # a group that is shown has people
    hidden = opened.sum(axis=(0, 1, 3)) == 0 if minimum > 0 else np.zeros(groups, np.bool_)
    return opened, came, hidden


async def _rounded(
    session: Session,
    plan: CompetingRisksPlan,
    own: CompetingRisksContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    conf_type: str,
    conf_level: float,
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    if plan.entry is not None:
        raise DisclosureRefused(
            f"curves of people who enter late are released exactly or not at all ({ruling.cite('exact_curve')})",
            hint="exact_curve = true under [disclosure] in the policy.toml of every party named; or leave `entry` out",
        )
    edges, times = release_grid(plan.horizon, plan.unit, ruling.rules.time_grid)
    counts, _ = await _pooled(session, plan, own, dealers)
    curves = await release_rounded_curves(session, counts.sum(0), ruling, edges, _KINDS)
    tables = rounded_incidence_tables(
        times,
        curves.start,
        curves.cumulative[:-1],
        curves.cumulative[-1],
        curves.visible,
        causes=plan.causes,
        groups=plan.names,
        conf_type=conf_type,
        conf_level=conf_level,
    )
    return tables, withheld_lines(ruling, curves.visible, plan.names, times, _KINDS)
