"""Joint tests on means and variances."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.runtime import Session
from mpcstats.stats.contributions.values import MeanTestPlan, ValuesContribution
from mpcstats.stats.descriptives.cells import Cells
from mpcstats.stats.descriptives.exact import exact_cells, exact_keys
from mpcstats.stats.descriptives.joint import counts_are_exact
from mpcstats.stats.descriptives.quantiles import Search, quantiles_of_ranks
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.mean_tests import formulas
from mpcstats.stats.mean_tests.formulas import Alternative, Groups
from mpcstats.stats.mean_tests.statistics import STATISTIC_KINDS, secret_statistic, statistic_bits
from mpcstats.stats.outcome import Outcome

__all__ = ["MeanTest", "joint_mean_test"]

Kind = Literal["t", "anova", "welch-anova", "f", "bartlett", "levene"]


@dataclass(frozen=True)
class MeanTest:
    """Choices of one request; public.

    Attributes
    ----------
    analysis : str
        Name of the outcome.
    kind : str
    equal_variances : bool
        Of a t test.
    mu : float
        Mean, or difference of means, under the hypothesis of a t test.
    center : {"median", "mean"}
        Of Levene's test.
    alternative : str
    conf_level : float
    tukey : bool
    pairwise : str or None
        Adjustment of p-values of t tests of every two groups.
    mode : {"auto", "table", "statistic"}
    """

    analysis: str
    kind: Kind
    equal_variances: bool = False
    mu: float = 0.0
    center: Literal["median", "mean"] = "median"
    alternative: Alternative = "two-sided"
    conf_level: float = 0.95
    tukey: bool = False
    pairwise: str | None = None
    mode: Literal["auto", "table", "statistic"] = "auto"


async def joint_mean_test(
    session: Session,
    plan: MeanTestPlan,
    own: ValuesContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    wanted: MeanTest,
) -> Outcome:
    """A test on means or variances of pooled groups.

    Reveals
    -------
    Mode table: people, missing values, sums and sums of squares of each group; for Levene's test also the groups'
    medians, and the same of the distances from them. Mode statistic: whether all groups are large enough; if so,
    rounded people, missing values, means and standard deviations (as a description), the sign of t, and t^2 or F with
    `number_bits`; where counts are exact, the degrees of freedom.

    Raises
    ------
    DisclosureRefused
        A group is too small, or the test needs exact numbers of groups, which may not leave.
    SpecError
        Fewer groups with two people than the test needs.
    """
    exact = counts_are_exact(ruling.rules)
    if exact and wanted.mode != "statistic":
        return await _from_table(session, plan, own, dealers, wanted)
    if wanted.mode == "table" or wanted.kind not in STATISTIC_KINDS:
        raise DisclosureRefused(
            f"{_title(plan, wanted)} is computed from exact numbers of people, means and variances of groups"
            + ("" if exact else f" ({ruling.cite('minimum_count')}; {ruling.cite('rounding_base')})"),
            hint='t tests, anova with equal variances and the F test have a mode "statistic"; describe(...) shows '
            "rounded means and standard deviations",
        )
    return await _on_shares(session, plan, own, dealers, ruling, wanted, exact)


async def _on_shares(
    session: Session,
    plan: MeanTestPlan,
    own: ValuesContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    wanted: MeanTest,
    exact: bool,
) -> Outcome:
    statistic, freedom, cells = await secret_statistic(
        session,
        plan,
        own,
        dealers,
        ruling,
        wanted.kind,
        equal_variances=wanted.equal_variances,
        mu=wanted.mu,
        exact=exact,
    )
    values = _verdict(statistic, freedom or _rounded_freedom(plan, cells, wanted), wanted)
    conventions = _conventions(plan, wanted) | {
        "mode": f"statistic: computed on shares, rounded to {statistic_bits(ruling.rules, plan.groups)} significant "
        "bits; the groups' numbers are rounded",
    }
    withheld = ["estimate and limits need the mode table"]
    if freedom is None:
        conventions["degrees of freedom"] = "from the rounded numbers of the groups, and with them p"
        withheld.append(f"exact numbers of the groups ({ruling.cite('minimum_count')}; {ruling.cite('rounding_base')})")
    if wanted.tukey or wanted.pairwise is not None:
        withheld.append("comparisons of every two groups need the mode table")
    return Outcome(
        wanted.analysis,
        {"test": pd.DataFrame([values]), "groups": _group_table(plan, cells)},
        values={"by": list(plan.by), "test": _title(plan, wanted), **values},
        conventions=conventions,
        withheld=withheld,
    )


def _rounded_freedom(plan: MeanTestPlan, cells: Cells, wanted: MeanTest) -> tuple[float, ...]:
    """Degrees of freedom from the rounded numbers of people and standard deviations."""
    groups = _groups(plan, cells, wanted)[0]
    if wanted.kind == "t":
        return (formulas.t_test(groups, equal_variances=wanted.equal_variances, mu=wanted.mu)[3],)
    if wanted.kind == "f":
        return float(groups.people[0] - 1), float(groups.people[1] - 1)
    return groups.between[1], groups.within[1]


def _verdict(statistic: float, freedom: tuple[float, ...], wanted: MeanTest) -> dict[str, Any]:
    if wanted.kind == "t":
        found = formulas.t_verdict(math.nan, math.nan, statistic, freedom[0], wanted.alternative, wanted.conf_level)
        return {name: found[name] for name in ("statistic", "df", "p_value")}
    if wanted.kind == "f":
        return formulas.variance_verdict(statistic, freedom[0], freedom[1], wanted.alternative, wanted.conf_level)
    p = formulas.f_tail(statistic, freedom[0], freedom[1])
    return {"statistic": statistic, "df1": freedom[0], "df2": freedom[1], "p_value": p}


async def _from_table(
    session: Session, plan: MeanTestPlan, own: ValuesContribution | None, dealers: tuple[int, ...], wanted: MeanTest
) -> Outcome:
    cells = await exact_cells(session, plan, own, dealers)
    session.progress("means and variances of all groups")
    groups, left_out = _groups(plan, cells, wanted)
    tables = {"groups": _group_table(plan, cells)}
    if wanted.kind == "levene":
        centers = await _centers(session, plan, own, cells, dealers, wanted)
        distances = await _distances(session, plan, own, centers, dealers)
        values = formulas.one_way(_groups(plan, distances, wanted)[0])
    else:
        values = _values(groups, wanted, tables)
    test = pd.DataFrame([values])
    withheld = [f"groups with fewer than two people are left out: {', '.join(left_out)}"] if left_out else []
    return Outcome(
        wanted.analysis,
        {"test": test, **tables},
        values={"by": list(plan.by), "test": _title(plan, wanted), **values},
        conventions=_conventions(plan, wanted) | {"mode": "table: the groups' people, means and variances are opened"},
        withheld=withheld,
    )


def _groups(plan: MeanTestPlan, cells: Cells, wanted: MeanTest) -> tuple[Groups, list[str]]:
    """Groups with two people or more, and the names of the others."""
    names = _names(plan)
    people = cells.people[0]
    kept = [g for g in range(len(names)) if people[g] >= 2]
    needed = 1 if not plan.by else 2
    if len(kept) < needed:
        raise SpecError(
            f"{len(kept)} of {len(names)} groups have two people with a value or more; the test needs {needed}",
            hint="check `where`, and the groups of `by`" if plan.by else "check `where`",
        )
    found = Groups(
        tuple(names[g] for g in kept),
        people[kept].astype(np.float64),
        cells.mean[0, kept],
        cells.variance[0, kept],
    )
    return found, [names[g] for g in range(len(names)) if g not in kept]


def _names(plan: MeanTestPlan) -> list[str]:
    if not plan.by:
        return [plan.columns[0]]
    return [", ".join(map(str, group)) for group in itertools.product(*plan.levels)]


def _group_table(plan: MeanTestPlan, cells: Cells) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "group": _names(plan),
            "n": pd.array(cells.people[0], dtype="Int64"),
            "missing": pd.array(cells.missing[0], dtype="Int64"),
            "mean": cells.mean[0],
            "sd": cells.sd[0],
            "variance": cells.variance[0],
        }
    )


def _values(groups: Groups, wanted: MeanTest, tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """The numbers of the test; further tables are added."""
    if wanted.kind == "t":
        found = formulas.t_test(groups, equal_variances=wanted.equal_variances, mu=wanted.mu)
        values = formulas.t_verdict(*found, wanted.alternative, wanted.conf_level)
        if len(groups.people) == 2:
            values["cohen_d"] = formulas.cohen_d(groups)
        return values
    if wanted.kind == "f":
        return formulas.variance_verdict(*formulas.variance_ratio(groups), wanted.alternative, wanted.conf_level)
    if wanted.kind == "bartlett":
        return formulas.bartlett(groups)
    if wanted.tukey:
        tables["tukey"] = formulas.tukey(groups, wanted.conf_level)
    if wanted.pairwise is not None:
        tables["pairwise"] = formulas.pairwise_t(groups, wanted.pairwise)
    if wanted.kind == "welch-anova":
        return formulas.welch_anova(groups)
    tables["anova"] = formulas.anova_table(groups)
    return formulas.one_way(groups)


async def _centers(
    session: Session,
    plan: MeanTestPlan,
    own: ValuesContribution | None,
    cells: Cells,
    dealers: tuple[int, ...],
    wanted: MeanTest,
) -> np.ndarray:
    """Median or mean of each group; 0 where nobody is."""
    if wanted.center == "mean":
        found = cells.mean[0]
    else:
        keys = exact_keys(plan)
        search = Search(keys, None if own is None else [own.keys(c, key) for c, key in enumerate(keys)])
        found = (await quantiles_of_ranks(session, search, cells.people, (0.5,), 7, dealers))[0, 0]
    return np.asarray(np.nan_to_num(found), np.float64)


async def _distances(
    session: Session,
    plan: MeanTestPlan,
    own: ValuesContribution | None,
    centers: np.ndarray,
    dealers: tuple[int, ...],
) -> Cells:
    """Moments of distances from the groups' opened centers."""
    low, high = plan.ranges[0]
    around = replace(plan, ranges=((0.0, (high - low) * (1 + 2.0**-50)),), steps=(0.0,), possible=((),))
    mine = None
    if own is not None:
        mine = ValuesContribution(np.abs(own.values - centers[own.group]), own.group, own.groups)
    return await exact_cells(session, around, mine, dealers)


def _title(plan: MeanTestPlan, wanted: MeanTest) -> str:
    if wanted.kind == "t":
        if plan.subtracted:
            return "Paired t test"
        if not plan.by:
            return "One-sample t test"
        return "Two-sample t test (equal variances)" if wanted.equal_variances else "Welch two-sample t test"
    return {
        "anova": "One-way analysis of variance",
        "welch-anova": "One-way analysis of means (unequal variances)",
        "f": "F test of two variances",
        "bartlett": "Bartlett test of equal variances",
        "levene": f"Levene test of equal variances (center: {wanted.center})",
    }[wanted.kind]


def _conventions(plan: MeanTestPlan, wanted: MeanTest) -> dict[str, str]:
    found = {"missing values": "rows without a value or a group are left out (complete cases)"}
    if plan.subtracted:
        found["difference"] = plan.columns[0]
    elif plan.by and wanted.kind in {"t", "f"}:
        what = "less" if wanted.kind == "t" else "over"
        found["estimate"] = f"{_names(plan)[0]} {what} {_names(plan)[1]}"
    if wanted.kind in {"t", "f"}:
        found["alternative"] = wanted.alternative
        found["limits"] = f"{wanted.conf_level:.4g}"
    if wanted.kind == "t" and plan.by:
        found["variances"] = "pooled" if wanted.equal_variances else "of each group (Welch, Satterthwaite)"
        found["cohen_d"] = "difference over the pooled standard deviation"
    if wanted.kind == "levene" and wanted.center == "median":
        found["center"] = "median of each group (Brown, Forsythe)"
    if wanted.tukey:
        found["tukey"] = f"Tukey-Kramer, limits {wanted.conf_level:.4g}, variances pooled over all groups"
    if wanted.pairwise is not None:
        found["pairwise"] = f"t tests with the variance of all groups, p-values adjusted by {wanted.pairwise}"
    if wanted.mu and not math.isnan(wanted.mu):
        found["hypothesis"] = f"{wanted.mu:g}"
    return found
