"""Mann-Whitney, Kruskal-Wallis and Wilcoxon's signed rank test of pooled people."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.runtime import Session, concatenate, open_declared
from mpcstats.stats.contributions.rank import RankContribution, RankPlan
from mpcstats.stats.disclosure import Ruling, number_bits
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.rank.hodges_lehmann import hodges_lehmann
from mpcstats.stats.rank.release import Mode, declare_sizes, mode_of, release_sizes
from mpcstats.stats.rank.rows import row_sums
from mpcstats.stats.rank.secret import (
    area,
    corrected_on_shares,
    rank_chi_square,
    rank_excess,
    signed_rank_chi_square,
)
from mpcstats.stats.rank.sums import RankSums, rank_sums
from mpcstats.stats.rank.tables import (
    Alternative,
    auc_interval,
    chi_square_values,
    corrected,
    exact_p,
    kruskal_statistic,
    normal_values,
    signed_rank_z,
    two_group_z,
)
from mpcstats.stats.scaled import Scaled, release_scaled

__all__ = ["RankOptions", "joint_kruskal", "joint_mannwhitney", "joint_signed_rank"]

_SUMS, _STATISTIC = "rank sums", "statistic"
_EXACT_BELOW = 50


@dataclass(frozen=True)
class RankOptions:
    """What is asked of a rank test.

    Attributes
    ----------
    alternative : "two-sided", "greater" or "less"
        Of the first group, or of positive differences.
    correct : bool
        Correction for continuity.
    conf_level : float
        Of the limits of the area under the curve.
    mode : "auto", "table" or "statistic"
        See `release.mode_of`.
    shift : bool
        Also the Hodges-Lehmann estimate, in mode "table".
    """

    alternative: Alternative = "two-sided"
    correct: bool = True
    conf_level: float = 0.95
    mode: Mode = "auto"
    shift: bool = False


@dataclass(frozen=True)
class Opened:
    """Exact sums in the clear; see `RankSums`."""

    people: list[int]
    doubled: list[int]
    cubes: int
    squares: list[int]

    def excess(self) -> list[int]:
        """Twice the rank sums less their expectations."""
        n = sum(self.people)
        return [d - k * (n + 1) for d, k in zip(self.doubled, self.people, strict=True)]


async def _group_sums(
    session: Session,
    plan: RankPlan,
    own: RankContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    placements: bool = False,
) -> tuple[RankSums, NDArray[np.int64]]:
    """Rank sums on the lattice, or of merged records where it is too long; and the released sizes."""
    if plan.by_records:
        return await row_sums(session, plan, own, dealers, ruling, placements=placements)
    sums = await rank_sums(session, plan, own, dealers, placements=placements)
    session.progress("rank sums pooled on shares")
    return sums, await release_sizes(session, sums.parts, ruling, sums.cells)


async def _open_sums(session: Session, sums: RankSums) -> Opened:
    parts = [sums.people, sums.doubled, sums.cubes, *([] if sums.squares is None else [sums.squares])]
    joined = concatenate(parts)
    session.openings.declare(_SUMS, joined.size, "sizes, rank sums, sum of t^3 for ties, squares of placements")
    opened = [int(x) for x in joined.field.to_signed(await open_declared(session, joined, _SUMS))]
    g = sums.people.size
    return Opened(opened[:g], opened[g : 2 * g], opened[2 * g], opened[2 * g + 1 :])


async def _open_statistic(session: Session, number: Scaled, name: str, ruling: Ruling) -> float:
    session.openings.declare(name, 3, "rounded: mantissa and exponent; whether it exists")
    return float((await release_scaled(session, number, name, number_bits(ruling.rules)))[0])


def _signed_root(square: float) -> float:
    return math.copysign(math.sqrt(abs(square)), square)


# --- two groups ----------------------------------------------------------------------------------------------------


async def joint_mannwhitney(
    session: Session,
    plan: RankPlan,
    own: RankContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    options: RankOptions,
) -> Outcome:
    """Mann-Whitney's test (Wilcoxon's rank sum test) of two groups, as R's wilcox.test.

    Returns
    -------
    Outcome
        Table test, one row: u (R's W, of the first group), auc with standard error and limits, z and p with or without
        correction for continuity, and in mode "table" both and the exact p where R gives it. Table groups: n, rank_sum.

    Reveals
    -------
    Whether both groups are large enough, also without any one party; then their sizes, rounded. Mode "table": rank
    sums, the sum of t^3 over ties, and two sums of squared placements (for the standard error of the area).
    With `shift` the Hodges-Lehmann estimate: the two middle differences. Mode "statistic": z and the area, rounded
    (`number_bits`).

    Cost
    ----
    Two elements dealt and five products for each value of the lattice, in blocks; or a merge of records (`rows`).
    """
    mode = mode_of(options.mode, ruling)
    declare_sizes(session, 2)
    sums, sizes = await _group_sums(session, plan, own, dealers, ruling, placements=mode == "table")
    if mode == "table":
        opened = await _open_sums(session, sums)
        values, rank_sum = _mannwhitney_table(opened, options), [d / 2 for d in opened.doubled]
        if options.shift and not plan.by_records:
            values["hodges_lehmann"] = await hodges_lehmann(session, plan, own, dealers) if sizes.all() else math.nan
    else:
        values, rank_sum = await _mannwhitney_statistic(session, sums, sizes, ruling, options), None
    conventions = _conventions(plan, options, mode, ruling) | {
        "first group": f"{plan.group_names[0]}: u counts pairs in which its value is the larger; half of a tie",
        "auc": "u / (n1 n2)" + ("; DeLong's standard error, limits cut to [0, 1]" if mode == "table" else ""),
    }
    if "hodges_lehmann" in values:
        conventions["hodges_lehmann"] = (
            "exact median of all differences between the groups (R's root finder is near it)"
        )
    return _outcome(
        "mannwhitney",
        plan,
        values,
        sizes,
        rank_sum,
        conventions,
        _withheld(mode, ruling, "limits of the area, Hodges-Lehmann estimate"),
    )


def _mannwhitney_table(opened: Opened, options: RankOptions) -> dict[str, Any]:
    people, (excess, _) = opened.people, opened.excess()
    doubled_u = opened.doubled[0] - people[0] * (people[0] + 1)
    cut = corrected(excess, 1, options.alternative)
    with_correction, without = (two_group_z(e, people, opened.cubes) for e in (cut, excess))
    z, other = (with_correction, without) if options.correct else (without, with_correction)
    prefix = "_uncorrected" if options.correct else "_corrected"
    auc, error, lower, upper = auc_interval(doubled_u, people, opened.squares, options.conf_level)
    exact = math.nan
    if opened.cubes == sum(people) and min(people) > 0 and max(people) < _EXACT_BELOW:
        exact = exact_p(doubled_u // 2, people, options.alternative)
    return {
        "u": doubled_u / 2,
        "auc": auc,
        "auc_standard_error": error,
        "auc_lower": lower,
        "auc_upper": upper,
        **normal_values(z, options.alternative),
        **normal_values(other, options.alternative, prefix),
        "p_value_exact": exact,
    }


async def _mannwhitney_statistic(
    session: Session, sums: RankSums, sizes: NDArray[np.int64], ruling: Ruling, options: RankOptions
) -> dict[str, Any]:
    excess = await rank_excess(session, sums)
    first, sign_of = await corrected_on_shares(session, excess[:1], 1, options.alternative, options.correct)
    square = await rank_chi_square(session, sums, concatenate([first, -first]), sign_of)
    z = _signed_root(await _open_statistic(session, square, _STATISTIC, ruling))
    auc = await _open_statistic(session, await area(session, sums), "area under the curve", ruling)
    if not sizes.all():  # exact sizes, or none is so small
        z = auc = math.nan
    return {"auc": auc, **normal_values(z, options.alternative)}


# --- several groups ------------------------------------------------------------------------------------------------


async def joint_kruskal(
    session: Session,
    plan: RankPlan,
    own: RankContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    options: RankOptions,
) -> Outcome:
    """Kruskal and Wallis's test of two groups or more, as R's kruskal.test. Groups without people do not count.

    Returns
    -------
    Outcome
        Table test, one row: statistic (H), degrees_of_freedom, p_value, log_p_value. Table groups: n, rank_sum.

    Reveals
    -------
    Whether all groups are large enough, also without any one party; then their sizes, rounded. Mode "table": rank sums
    and the sum of t^3 over ties. Mode "statistic": H, rounded (`number_bits`).
    """
    mode = mode_of(options.mode, ruling)
    declare_sizes(session, len(plan.groups))
    sums, sizes = await _group_sums(session, plan, own, dealers, ruling)
    rank_sum = None
    if mode == "table":
        opened = await _open_sums(session, sums)
        statistic = kruskal_statistic(opened.excess(), opened.people, opened.cubes)
        rank_sum = [d / 2 for d in opened.doubled]
    else:
        square = await rank_chi_square(session, sums, await rank_excess(session, sums))
        statistic = await _open_statistic(session, square, _STATISTIC, ruling)
    degrees = max(int(np.count_nonzero(sizes)) - 1, 0)
    values = {"statistic": statistic, **chi_square_values(statistic, degrees)}
    conventions = _conventions(plan, options, mode, ruling, kind="corrected for ties; chi-square with groups - 1 df")
    return _outcome("kruskal", plan, values, sizes, rank_sum, conventions, _withheld(mode, ruling))


# --- pairs ---------------------------------------------------------------------------------------------------------


async def joint_signed_rank(
    session: Session,
    plan: RankPlan,
    own: RankContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    options: RankOptions,
) -> Outcome:
    """Wilcoxon's signed rank test, as R's wilcox.test: differences of 0 are left out.

    The groups of the plan are negative and positive differences, on the lattice of their sizes.

    Returns
    -------
    Outcome
        Table test, one row: v (sum of the ranks of positive differences), z and p with or without correction for
        continuity; in mode "table" both. Table groups: n (people with a difference).

    Reveals
    -------
    Whether the people with a difference are enough, also without any one party; then their number, rounded.
    Mode "table": negative and positive differences, their rank sums, the sum of t^3 over ties. Mode "statistic": z.
    """
    mode = mode_of(options.mode, ruling)
    declare_sizes(session, 1)
    sums = await rank_sums(session, plan, own, dealers)
    session.progress("rank sums pooled on shares")
    sizes = await release_sizes(session, [part.sum(0).reshape(1) for part in sums.parts], ruling, sums.cells)
    values = (
        _signed_rank_table(await _open_sums(session, sums), options)
        if mode == "table"
        else await _signed_rank_statistic(session, sums, sizes, ruling, options)
    )
    conventions = _conventions(plan, options, mode, ruling) | {
        "zero": "differences of 0 are left out",
        "ties": "equal to the last bit of floating-point differences" if plan.grains > 1 else "equal as written",
    }
    groups = pd.DataFrame({"group": ["different"], "n": pd.array(sizes, dtype="Int64")})
    frame = pd.DataFrame({"variable": [plan.column], **{name: [value] for name, value in values.items()}})
    notes = {"mode": mode, "conf_level": options.conf_level}
    return Outcome(
        "wilcoxon-signed-rank", {"test": frame, "groups": groups}, notes, conventions, _withheld(mode, ruling)
    )


def _signed_rank_table(opened: Opened, options: RankOptions) -> dict[str, Any]:
    negative, positive = opened.doubled
    excess, people = positive - negative, sum(opened.people)
    cut = corrected(excess, 2, options.alternative)
    with_correction, without = (signed_rank_z(e, people, opened.cubes) for e in (cut, excess))
    z, other = (with_correction, without) if options.correct else (without, with_correction)
    prefix = "_uncorrected" if options.correct else "_corrected"
    return {
        "v": positive / 2,
        **normal_values(z, options.alternative),
        **normal_values(other, options.alternative, prefix),
    }


async def _signed_rank_statistic(
    session: Session, sums: RankSums, sizes: NDArray[np.int64], ruling: Ruling, options: RankOptions
) -> dict[str, Any]:
    excess = sums.doubled[1:] - sums.doubled[:1]
    excess, sign_of = await corrected_on_shares(session, excess, 2, options.alternative, options.correct)
    people = sums.people.sum(0).reshape(1)
    square = await signed_rank_chi_square(session, people, sums.cubes, excess, sign_of)
    z = _signed_root(await _open_statistic(session, square, _STATISTIC, ruling))
    return normal_values(z, options.alternative)


# --- what all of them say ------------------------------------------------------------------------------------------


def _conventions(
    plan: RankPlan, options: RankOptions, mode: str, ruling: Ruling, kind: str | None = None
) -> dict[str, str]:
    correction = "with" if options.correct else "without"
    normal = f"normal approximation corrected for ties, {correction} correction for continuity; {options.alternative}"
    released = (
        "sizes, rank sums and tie term; the rest is computed from these"
        if mode == "table"
        else f"the statistic alone, rounded to {number_bits(ruling.rules)} significant bits; sums stayed on shares"
    )
    return {
        "test": kind or normal,
        "ranks": f"midranks of values in steps of {plan.step:g}",
        "missing": "complete cases" + (f" on {plan.column} and {plan.by}" if plan.by else ""),
        "released": released,
    }


def _withheld(mode: str, ruling: Ruling, also: str = "") -> list[str]:
    withheld = []
    if mode == "statistic":
        what = "rank sums and tie term" + (f", {also}" if also else "")
        withheld.append(f"{what}: in mode statistic they stay on shares")
    if ruling.rules.rounding_base > 1:
        withheld.append(f"group sizes are rounded to multiples ({ruling.cite('rounding_base')})")
    return withheld


def _outcome(
    analysis: str,
    plan: RankPlan,
    values: dict[str, Any],
    sizes: NDArray[np.int64],
    rank_sum: list[float] | None,
    conventions: dict[str, str],
    withheld: list[str],
) -> Outcome:
    groups = pd.DataFrame({"group": plan.group_names, "n": pd.array(sizes, dtype="Int64")})
    if rank_sum is not None:
        groups["rank_sum"] = rank_sum
        groups["mean_rank"] = np.divide(rank_sum, sizes, out=np.full(len(sizes), np.nan), where=sizes > 0)
    test = pd.DataFrame({"variable": [plan.column], **{name: [value] for name, value in values.items()}})
    return Outcome(analysis, {"test": test, "groups": groups}, {"by": plan.by}, conventions, withheld)
