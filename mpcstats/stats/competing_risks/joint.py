"""Cumulative incidence and Gray's test over sites: sums of counts on a lattice of times.

As with survival curves, an exact curve is its table of counts: where the rules let it out, the counts are opened and
the rest is ordinary float64 arithmetic. Otherwise only rounded cumulative counts on a coarse grid are opened.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.runtime import Session
from mpcstats.stats.competing_risks.counts import KINDS, exact_counts, shared_counts
from mpcstats.stats.competing_risks.gray import GrayTest, gray_test
from mpcstats.stats.competing_risks.incidence import Variance, incidence_tables, rounded_incidence_tables
from mpcstats.stats.contributions.competing_risks import CompetingRisksContribution, CompetingRisksPlan
from mpcstats.stats.curve_release import release_grid, release_rounded_curves, withheld_lines
from mpcstats.stats.disclosure import Ruling, size_rules
from mpcstats.stats.kaplan_meier import ROUNDED_NOTE
from mpcstats.stats.outcome import Outcome

__all__ = ["joint_cumulative_incidence", "joint_gray"]

Counts = NDArray[np.int64]

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
    group that reaches `minimum_count` and passes the leave-one-out check (`disclosure.enough_without_each`).
    Otherwise, per group: people at start (threshold and rounding), the number of visible grid points, and rounded
    cumulative events of each cause and censorings at these.

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
    exact, entries, small = await exact_counts(session, plan, own, dealers, ruling)
    hidden = small[0]
    tables = incidence_tables(
        exact[0, :-1],
        exact[0, -1],
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
    if (~hidden).sum() > 1 and plan.entry is None and not plan.strata:
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
    """Gray's test of each cause between the groups that are large enough, stratified if the plan has strata.

    A group that is too small leaves the test; a group that is too small in one stratum leaves it there.

    Tables: "gray" (cause, chi_square, degrees_of_freedom, p_value, log_p_value) and "groups" (cause, group, records,
    observed, score).

    Reveals
    -------
    Events of each cause and censorings at every lattice time of these groups, by stratum.

    Raises
    ------
    DisclosureRefused
        The rules in force do not let the exact table out (nothing was shared), or nowhere are two groups large enough.
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
    exact, _, hidden = await exact_counts(session, plan, own, dealers, ruling, by_stratum=True)
    if (~hidden).sum(axis=1).max() < 2:
        raise DisclosureRefused(f"fewer than two groups are large enough ({size_rules(ruling)})")
    kept = np.flatnonzero((~hidden).any(axis=0))
    shown = exact[:, :, kept]
    table, convention = _tests(shown, plan, rho)
    names = [plan.names[group] for group in kept]
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
    what = "groups within strata" if hidden.ndim == 2 and len(hidden) > 1 else "groups"
    return [f"{count} of {hidden.size} {what} hidden ({size_rules(ruling)})"] if count else []


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
    counts, _, people = await shared_counts(session, plan, own, dealers, by_stratum=False)
    curves = await release_rounded_curves(session, counts[0], ruling, edges, KINDS, [part[0] for part in people])
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
    return tables, withheld_lines(ruling, curves.visible, plan.names, times, KINDS)
