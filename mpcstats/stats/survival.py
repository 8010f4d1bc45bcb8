"""Kaplan-Meier curves over sites: sums of events, censorings and late entries on a lattice of times.

If a curve is released exactly, its table of counts is: the counts are opened and all real arithmetic is ordinary
float64, R's digits. Curves below `minimum_count` stay closed all the same: with `where`, a group can be one person.
Without `exact_curve` only rounded cumulative counts on a coarse grid are opened, and the curve ends where few are at
risk. Everything else (quantiles, hazards, restricted means) is read off what was opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused
from mpcstats.field import M61
from mpcstats.protocols import deal, multiply
from mpcstats.runtime import Session, Shared
from mpcstats.stats import kaplan_meier as km
from mpcstats.stats.contributions.survival import SurvivalContribution, SurvivalPlan
from mpcstats.stats.curve_release import fits_grid, release_grid, release_rounded_curves, withheld_lines
from mpcstats.stats.disclosure import Ruling, enough_people, open_counts, size_rules
from mpcstats.stats.lattice import at_risk_before, at_risk_counts, on_grid
from mpcstats.stats.outcome import Outcome

__all__ = ["Pooled", "Readings", "curve_conventions", "exact_counts", "hidden_text", "joint_kaplan_meier"]

Counts = NDArray[np.int64]

_TEST_COLUMNS = ("standard_error", "lower", "upper", "z", "p_value", "log_p_value")


@dataclass(frozen=True)
class Readings:
    """What is read off the curves; see `kaplan_meier.derived_tables`.

    Attributes
    ----------
    conf_type, conf_level : of all limits
    time_label : str
        Name of the time column, for plots.
    quantiles, quantile_rule, times, tau, reference, hazard : not given, nothing of this kind is computed
    life_table : float, optional
        Width of the intervals of an actuarial life table, in units of the time column.
    """

    conf_type: str = "log"
    conf_level: float = 0.95
    time_label: str = "time"
    quantiles: tuple[float, ...] = ()
    quantile_rule: Literal["R", "lifelines"] = "R"
    times: tuple[float, ...] = ()
    tau: float | Literal["common", "shortest"] | None = None
    reference: str | None = None
    hazard: str | None = None
    life_table: float | None = None


@dataclass(frozen=True)
class Pooled:
    """Opened counts of the plan's shape, 0 in curves that stay hidden.

    Attributes
    ----------
    events, censored : int64
    entered : int64, None where nobody enters late
    hidden : bool (curves,)
        Curves that are too small, strata first.
    """

    events: Counts
    censored: Counts
    entered: Counts | None
    hidden: NDArray[np.bool_]

    @property
    def at_risk(self) -> Counts:
        """People at risk just before each time."""
        return at_risk_counts(self.events, self.censored, self.entered)


async def joint_kaplan_meier(
    session: Session,
    plan: SurvivalPlan,
    own: SurvivalContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    wanted: Readings,
) -> Outcome:
    """Pooled survival curves of all strata and groups, and what is read off them.

    Reveals
    -------
    With `exact_curve`: events and censorings (and entries) at every time of the plan, of each curve that reaches
    `minimum_count` and passes the leave-one-out check (`disclosure.enough_without_each`). Otherwise, per such curve:
    people at start (threshold and rounding), the number of visible grid points, and rounded cumulative events and
    censorings at these.

    Raises
    ------
    DisclosureRefused
        The rules do not let the exact table out, and people enter late (how many come and go cannot be told apart from
        rounded numbers) or the request's grid would show other points than the rules' grid. Nothing was shared.
    """
    values = {
        "by": plan.by,
        "strata": list(plan.strata),
        "conf_type": wanted.conf_type,
        "conf_level": wanted.conf_level,
        "time_label": wanted.time_label,
    }
    conventions = {
        "confidence interval": f"{wanted.conf_type}, level {wanted.conf_level:g}",
        "standard error": "Greenwood, of the survival probability",
        "median": _QUANTILES[wanted.quantile_rule],
        **curve_conventions(plan),
        **_reading_conventions(wanted),
    }
    if ruling.rules.exact_curve:
        pooled = await exact_counts(session, plan, own, dealers, ruling)
        if plan.grid is None and plan.entry is None:
            conventions["time 0"] += f" ({int((pooled.events + pooled.censored)[..., 0].sum())} people here)"
        tables = _exact_tables(plan, pooled, wanted)
        return Outcome(
            "kaplan-meier", tables, {"curve": "exact", **values}, conventions, hidden_text(plan, ruling, pooled.hidden)
        )
    _refuse_what_rounding_cannot_show(plan, ruling)
    edges, times = release_grid(plan.points - 1, plan.step, ruling.rules.time_grid)
    counts, people = await _shared_counts(session, plan, own, dealers)
    curves = await release_rounded_curves(session, counts, ruling, edges, "events and censorings", people)
    shape = (*plan.shape[:-1], times.size)
    tables = km.rounded_tables(
        times,
        curves.start,
        curves.cumulative[0].reshape(shape),
        curves.cumulative[1].reshape(shape),
        curves.visible,
        groups=plan.group_names,
        strata=plan.stratum_names,
        conf_type=wanted.conf_type,
        conf_level=wanted.conf_level,
        quantile_rule=wanted.quantile_rule,
    )
    tables |= _derived(tables, plan, wanted, None)
    if "contrasts" in tables:
        # the standard errors of rounded curves know nothing of the rounding: no test is made of them
        tables["contrasts"] = tables["contrasts"].assign(**dict.fromkeys(_TEST_COLUMNS, np.nan))
    conventions |= {"rounding": km.ROUNDED_NOTE, "median": f"{conventions['median']}; read off the rounded curve"}
    within = [f" in stratum {stratum}" for stratum in plan.stratum_names or []] or [""]
    names = [f"{name}{where}" for where in within for name in plan.group_names]
    withheld = withheld_lines(ruling, curves.visible, names, times, "events and censorings")
    if "contrasts" in tables:
        withheld.append(
            f"limits and tests of contrasts of restricted means need exact counts ({ruling.cite('exact_curve')})"
        )
    if wanted.life_table is not None:
        withheld.append(f"the life table needs exact counts ({ruling.cite('exact_curve')})")
        conventions.pop("life table")
    return Outcome("kaplan-meier", tables, {"curve": "rounded", **values}, conventions, withheld)


def _refuse_what_rounding_cannot_show(plan: SurvivalPlan, ruling: Ruling) -> None:
    if plan.entry is not None:
        raise DisclosureRefused(
            "curves with late entry are made from the exact table of events and entries, which the rules do not allow "
            f"({ruling.cite('exact_curve')})",
            hint="exact_curve = true under [disclosure] in the policy.toml of every party named; or time since entry",
        )
    if plan.grid is not None and not fits_grid(plan.grid, ruling.rules.time_grid):
        raise DisclosureRefused(
            f"a grid of {plan.grid:g} shows other points than the rules do ({ruling.cite('time_grid')})",
            hint="use a whole multiple of it, or a whole part of it, or leave the grid out",
        )


def _exact_tables(plan: SurvivalPlan, pooled: Pooled, wanted: Readings) -> dict[str, pd.DataFrame]:
    tables = km.tables_from_counts(
        pooled.events,
        pooled.censored,
        entered=pooled.entered,
        groups=plan.group_names,
        strata=plan.stratum_names,
        unit=plan.step,
        conf_type=wanted.conf_type,
        conf_level=wanted.conf_level,
        quantile_rule=wanted.quantile_rule,
    )
    labels = _labels(tables["medians"])
    if pooled.hidden.any():
        medians = tables["medians"].astype({"records": "Int64", "events": "Int64"})
        medians.loc[pooled.hidden, ["records", "events"]] = pd.NA
        tables["medians"] = medians
    at_risk = None
    if pooled.entered is not None and wanted.times:
        at_risk = at_risk_before(pooled.at_risk, wanted.times, plan.step).reshape(plan.curves, -1).astype(np.float64)
        at_risk[pooled.hidden] = np.nan
    tables |= _derived(tables, plan, wanted, at_risk)
    if wanted.life_table is not None:
        width = wanted.life_table
        events, censored, _ = on_grid(pooled.events, pooled.censored, width, unit=plan.step)
        rows = (table.reshape(plan.curves, -1) for table in (events, censored))
        tables["life_table"] = km.labelled([km.life_table(d, c, width) for d, c in zip(*rows, strict=True)], labels)
    return tables


def _derived(
    tables: dict[str, pd.DataFrame], plan: SurvivalPlan, wanted: Readings, at_risk: NDArray[np.float64] | None
) -> dict[str, pd.DataFrame]:
    return km.derived_tables(
        tables["curve"],
        _labels(tables["medians"]),
        probabilities=wanted.quantiles,
        quantile_rule=wanted.quantile_rule,
        times=wanted.times,
        at_risk=at_risk,
        tau=wanted.tau,
        reference=wanted.reference,
        hazard_type=wanted.hazard,
        conf_level=wanted.conf_level,
    )


def _labels(medians: pd.DataFrame) -> pd.DataFrame:
    return medians[[name for name in ("stratum", "group") if name in medians.columns]]


# --- conventions ---------------------------------------------------------------------------------------------------

_QUANTILES = {
    "R": "R's quantile rule: where the curve meets one half; the middle of a flat part exactly at one half",
    "lifelines": "lifelines' rule: the first time at which the curve is at or below one half",
}
_HAZARDS = {
    "nelson-aalen": "Nelson-Aalen, events / at_risk per time (R: ctype = 1)",
    "fleming-harrington": "Fleming-Harrington, tied events one after the other (R: ctype = 2)",
}
_TAUS = {"common": "the last time of all curves", "shortest": "the earliest end of a curve"}


def curve_conventions(plan: SurvivalPlan) -> dict[str, str]:
    """What counts as an event, ties, late entry, grid, strata and missing values."""
    values = " or ".join(str(value) for value in plan.event_values)
    found = {
        "event": f"{plan.event} = {values}" if values else f"no value of {plan.event} is an event",
        "ties": "events come before censorings at the same time",
        "missing": "complete cases on the group column" + (" and the strata" if plan.strata else ""),
    }
    if plan.entry is not None:
        found["late entry"] = f"at risk at t are those with {plan.entry} < t <= time (R: Surv(entry, time, event))"
    elif plan.grid is None:
        found["time 0"] = "kept, as R keeps it"
    if plan.grid is not None:
        found["grid"] = f"times count as the end of their interval of width {plan.grid:g}, time 0 in the first" + (
            ", entries as the beginning of theirs" if plan.entry is not None else ""
        )
    if plan.strata:
        found["strata"] = f"combinations of levels of {', '.join(plan.strata)}"
    return found


def _reading_conventions(wanted: Readings) -> dict[str, str]:
    found = {}
    if wanted.quantiles:
        found["quantiles"] = f"rule of {wanted.quantile_rule}; limits where the same line meets the curve's limits"
    if wanted.times:
        found["at times"] = (
            "at risk just before the time; events and censorings since the time before; survival at the time (R: "
            "summary(times=, extend=TRUE))"
        )
    if wanted.tau is not None:
        tau = _TAUS[wanted.tau] if isinstance(wanted.tau, str) else f"{wanted.tau:g}"
        found["restricted mean"] = (
            f"area under the curve up to {tau}, standard error as R's print(rmean=); limits of ratios on the log scale"
        )
    if wanted.hazard is not None:
        found["hazard"] = f"{_HAZARDS[wanted.hazard]}; limits H exp(-+ z se / H)"
    if wanted.life_table is not None:
        found["life table"] = (
            f"actuarial, intervals of width {wanted.life_table:g}, who is censored counts half (R: KMsurv::lifetab)"
        )
    return found


# --- counts --------------------------------------------------------------------------------------------------------


async def _shared_counts(
    session: Session, plan: SurvivalPlan, own: SurvivalContribution | None, dealers: tuple[int, ...]
) -> tuple[Shared, list[Shared]]:
    """Pooled (tables, curves, times): events, censorings, and entries where the plan has them; and the people of each
    curve at each data party."""
    late = plan.entry is not None
    mine = None
    if own is not None:
        tables = [own.events, own.censored, *([own.entered] if late and own.entered is not None else [])]
        mine = M61.from_int64(np.stack([table.reshape(plan.curves, plan.points) for table in tables]).astype(np.int64))
    shape = (3 if late else 2, plan.curves, plan.points)
    dealt = list((await deal(session, M61, mine, dealers, shape)).values())
    pooled = dealt[0]
    for part in dealt[1:]:
        pooled = pooled + part
    session.progress("events and censorings pooled on shares")
    return pooled, [part[:2].sum(2).sum(0) for part in dealt]


async def exact_counts(
    session: Session,
    plan: SurvivalPlan,
    own: SurvivalContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
) -> Pooled:
    """Open events and censorings (and entries); zero in curves that are too small."""
    curves = plan.curves
    what = "events and censorings" if plan.entry is None else "events, censorings and entries"
    number = (2 if plan.entry is None else 3) * curves * plan.points
    session.openings.declare(what, number, "pooled counts per group and time; 0 where suppressed")
    counts, people = await _shared_counts(session, plan, own, dealers)
    large = await enough_people(session, people, ruling.rules)
    if large is not None:
        counts = await multiply(session, large.reshape(1, curves, 1), counts)
    opened = await open_counts(session, counts, what)
    # a group that is shown has people
    hidden = (opened[0] + opened[1]).sum(axis=1) == 0 if large is not None else np.zeros(curves, np.bool_)
    events, censored, *entered = (table.reshape(plan.shape) for table in opened)
    return Pooled(events, censored, entered[0] if entered else None, hidden)


def hidden_text(plan: SurvivalPlan, ruling: Ruling, hidden: NDArray[np.bool_]) -> list[str]:
    """A sentence about hidden curves; nothing where there are none."""
    count = int(hidden.sum())
    what = "groups within strata" if plan.strata else "groups"
    return [f"{count} of {hidden.size} {what} hidden ({size_rules(ruling)})"] if count else []
