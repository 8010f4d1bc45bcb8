"""The statistics of tests on shares."""

from __future__ import annotations

import math

import numpy as np

from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.contributions.values import MeanTestPlan, ValuesContribution
from mpcstats.stats.descriptives.cells import Cells
from mpcstats.stats.disclosure import Ruling, number_bits
from mpcstats.stats.mean_tests.on_shares import (
    Sums,
    common_scale,
    constants,
    open_quotient,
    open_sign,
    open_total,
    own_scales,
    product,
    rough_groups,
    sums_of_groups,
)
from mpcstats.types import DisclosureRules

__all__ = ["STATISTIC_KINDS", "secret_statistic", "statistic_bits"]

STATISTIC_KINDS = ("t", "anova", "f")


_ONE_GROUP = 12


def statistic_bits(rules: DisclosureRules, groups: int) -> int:
    """Significant bits of a released statistic.

    Around rounded numbers of a single group some 10^5 exact ones are possible: 21 bits of t would pick one of them.
    """
    exact = rules.minimum_count == 0 and rules.rounding_base == 1
    return min(number_bits(rules), 40 if exact or groups > 1 else _ONE_GROUP)


async def secret_statistic(
    session: Session,
    plan: MeanTestPlan,
    own: ValuesContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    kind: str,
    *,
    equal_variances: bool,
    mu: float,
    exact: bool,
) -> tuple[float, tuple[float, ...] | None, Cells]:
    """t or F of exact sums on shares.

    Parameters
    ----------
    exact : bool
        Exact numbers of people may leave: degrees of freedom are opened, too.

    Returns
    -------
    (statistic, degrees of freedom, cells)
        Degrees of freedom are None unless `exact`; cells are the rounded groups, public.

    Notes
    -----
    About 350 rounds; seven bounded masks a division.
    """
    bits = statistic_bits(ruling.rules, plan.groups)
    cells, people, rules = await rough_groups(session, plan, own, dealers, ruling)
    session.progress("rounded groups are known; computing on shares")
    scales = own_scales(cells) if kind == "f" else common_scale(cells)
    sums = await sums_of_groups(session, own, dealers, cells, people, rules, scales)
    if kind == "f":
        return await _variance_ratio(session, sums, scales, bits, exact, cells)
    first = (cells.mean[0, 0] - mu) / sums.scale if plan.groups == 1 else -mu / sums.scale
    if kind == "t" and (plan.groups == 1 or not equal_variances):
        return await _welch(session, sums, first, bits, exact, cells)
    return await _pooled(session, sums, first, bits, exact, cells, signed=kind == "t")


def _distances(sums: Sums, first: float) -> Shared:
    """Means of the groups, less the first one's rounded mean; `first` is added to the first."""
    offsets = sums.offset.copy()
    offsets[0] += first
    return sums.shift.plus(constants(offsets.tolist()))


async def _welch(
    session: Session, sums: Sums, first: float, bits: int, exact: bool, cells: Cells
) -> tuple[float, tuple[float, ...] | None, Cells]:
    """t^2 = d^2 / sum of variance / n, all times the smallest number of people."""
    least = int(sums.rough.min())
    rough = sums.rough
    distance = _distances(sums, first)
    difference = distance[:1] - distance[1:] if len(rough) == 2 else distance
    factors = sums.of_people(lambda g, n: rough[g] / (n - 1) * least / n)
    parts = await product(session, concatenate([difference, sums.square]), concatenate([difference, factors]))
    squared, errors = parts[:1], parts[1:]
    den = errors.sum(0).reshape(1)
    sign = await open_sign(session, difference)
    ratio = await open_quotient(session, squared, den, "t squared, scaled", bits)
    statistic = sign * math.sqrt(max(ratio, 0.0) * least) if not math.isnan(ratio) else math.nan
    if not exact or math.isnan(ratio):
        return statistic, None, cells
    if len(rough) == 1:
        return statistic, (await open_total(session, sums.people) - 1.0,), cells
    weighted = await product(session, errors, sums.of_people(lambda g, n: least / (n - 1)))
    both = await product(session, concatenate([den, errors]), concatenate([den, weighted]))
    freedom = await open_quotient(session, both[:1], both[1:].sum(0).reshape(1), "degrees of freedom", bits)
    return statistic, (freedom * least,), cells


async def _pooled(
    session: Session, sums: Sums, first: float, bits: int, exact: bool, cells: Cells, *, signed: bool
) -> tuple[float, tuple[float, ...] | None, Cells]:
    """F = (between / (k - 1)) / (within / (N - k)), sums of squares over the rounded number of all people."""
    groups, total = len(sums.rough), int(sums.rough.sum())
    distance = _distances(sums, first)
    shares = sums.of_people(lambda g, n: n / total)
    weights = sums.square.times_int(0).plus(constants((sums.rough / total).tolist()))
    once = await product(session, concatenate([distance, sums.square]), concatenate([shares, weights]))
    moments, within = once[:groups], once[groups:].sum(0).reshape(1)
    mean = moments.sum(0).reshape(1)
    left = concatenate([moments, mean, within])
    right = concatenate([distance, mean, sums.of_total(lambda n: total / (n - groups))])
    twice = await product(session, left, right)
    correction = await product(session, twice[groups : groups + 1], sums.of_total(lambda n: total / n))
    between = twice[:groups].sum(0).reshape(1) - correction
    sign = await open_sign(session, distance[:1] - distance[1:2]) if signed else 1
    ratio = await open_quotient(session, between, twice[groups + 1 :], "F, scaled", bits)
    statistic = max(ratio, 0.0) * total / (groups - 1) if not math.isnan(ratio) else math.nan
    statistic = sign * math.sqrt(statistic) if signed and not math.isnan(statistic) else statistic
    freedom = None
    if exact and not math.isnan(ratio):
        inner = float(await open_total(session, sums.people) - groups)
        freedom = (inner,) if signed else (groups - 1.0, inner)
    return statistic, freedom, cells


async def _variance_ratio(
    session: Session, sums: Sums, scales: np.ndarray, bits: int, exact: bool, cells: Cells
) -> tuple[float, tuple[float, ...] | None, Cells]:
    variances = await product(session, sums.square, sums.of_people(lambda g, n: sums.rough[g] / (n - 1)))
    ratio = await open_quotient(session, variances[:1], variances[1:], "F, scaled", bits)
    freedom = None
    if exact and not math.isnan(ratio):
        first = await open_total(session, sums.people[:1])
        freedom = (first - 1.0, await open_total(session, sums.people[1:]) - 1.0)
    return ratio * float(scales[0] / scales[1]) ** 2, freedom, cells
