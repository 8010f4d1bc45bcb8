"""Correlations of pooled people: Pearson from sums, Spearman and Kendall from counts on a public lattice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.field import M61, M127, PrimeField
from mpcstats.protocols import deal, sign
from mpcstats.protocols.arithmetic import local_product, reshare
from mpcstats.runtime import Session, Shared, concatenate, local, open_declared
from mpcstats.stats.contributions.correlation import CorrelationContribution, CorrelationPlan
from mpcstats.stats.correlation.ranks import Pair, check_rank_plan, rank_correlation
from mpcstats.stats.correlation.tables import Found, of_square, pearson_sums, signed_square
from mpcstats.stats.disclosure import Ruling, number_bits
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.p_adjust import p_adjust
from mpcstats.stats.rank.release import Mode, declare_sizes, mode_of, release_sizes
from mpcstats.stats.rank.sums import FEW_VALUES, total_of
from mpcstats.stats.scaled import quotient, release_scaled

__all__ = ["CorrelationOptions", "joint_correlation"]

Method = Literal["pearson", "spearman", "kendall"]

_SUMS, _SQUARES, _COVARIANCES = "sums of products", "squared coefficients", "covariances"
_WIDTH = 124
_COORDINATE = 33
"""Bits of a coordinate on shares: n times a sum of products is below 2^_WIDTH."""


@dataclass(frozen=True)
class CorrelationOptions:
    """What is asked.

    Attributes
    ----------
    method : "pearson", "spearman" or "kendall"
    adjust : str
        Of the p-values of several pairs; see `p_adjust`.
    conf_level : float
    mode : "auto", "table" or "statistic"
    """

    method: Method = "pearson"
    adjust: str = "holm"
    conf_level: float = 0.95
    mode: Mode = "auto"


@dataclass(frozen=True)
class Asked:
    """One run: plan, this party's own, who deals, rules, what is asked, and how."""

    plan: CorrelationPlan
    own: CorrelationContribution | None
    dealers: tuple[int, ...]
    ruling: Ruling
    options: CorrelationOptions
    mode: Literal["table", "statistic"]


async def joint_correlation(
    session: Session,
    plan: CorrelationPlan,
    own: CorrelationContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    options: CorrelationOptions,
) -> Outcome:
    """Correlation coefficients of pairs of columns, each of the people who have both values, as R's cor.test.

    Returns
    -------
    Outcome
        Table correlations, a row per pair: x, y, n, estimate, statistic (t, Kendall: z), p_value, p_adjusted; Pearson
        also lower, upper and covariance.

    Reveals
    -------
    Whether every pair has enough people, also without any one party; then their numbers, rounded. Mode "table": Pearson
    the sums of x, y, x^2, y^2 and x y; Spearman and Kendall the people at each value of both columns (and padded rows
    of the largest table, where there are many values), and a sum of products of ranks, or concordant less discordant
    pairs. Mode "statistic": squared coefficients with their signs, Pearson's covariance and Kendall's z, rounded
    (`number_bits`).
    """
    asked = Asked(plan, own, dealers, ruling, options, mode_of(options.mode, ruling))
    declare_sizes(session, len(plan.pairs))
    if options.method == "pearson":
        sizes, found, covariances = await _pearson(session, asked)
        return _outcome(asked, sizes, found, covariances)
    sizes, found = await _by_ranks(session, asked)
    return _outcome(asked, sizes, found, None)


async def _few_cells(session: Session, asked: Asked, field: PrimeField) -> list[Shared] | None:
    """People at the values of columns with few of them at each party, where the rules have a threshold."""
    size = asked.plan.few_cells(FEW_VALUES)
    if not size or not asked.ruling.rules.minimum_count:
        return None
    mine = None if asked.own is None else field.from_int64(await local(session, asked.own.few, asked.plan, FEW_VALUES))
    dealt = await deal(session, field, mine, asked.dealers, (size,))
    return [dealt[d] for d in asked.dealers]


async def _by_ranks(session: Session, asked: Asked) -> tuple[NDArray[np.int64], list[Found]]:
    plan, own, secret = asked.plan, asked.own, asked.mode == "statistic"
    if secret:
        check_rank_plan(plan)
    mine = None if own is None else M61.from_int64(np.array([own.complete(*pair)[0].size for pair in plan.pairs]))
    dealt = await deal(session, M61, mine, asked.dealers, (len(plan.pairs),))
    cells = await _few_cells(session, asked, M61)
    sizes = await release_sizes(session, [dealt[d] for d in asked.dealers], asked.ruling, cells)
    score = asked.options.method == "kendall"
    found = []
    for k in range(len(plan.pairs)):
        pair = Pair(plan, k, own, asked.dealers)
        found.append(await rank_correlation(session, pair, int(sizes[k]), asked.ruling, score=score, secret=secret))
        session.progress(f"{k + 1} of {len(plan.pairs)} pairs")
    return sizes, found


async def _pearson(session: Session, asked: Asked) -> tuple[NDArray[np.int64], list[Found], list[float] | None]:
    plan, exact = asked.plan, asked.mode == "table"
    shifts = tuple(0 if exact else max(0, (n - 1).bit_length() - _COORDINATE) for n in plan.values)
    pairs, mine = len(plan.pairs), None
    if asked.own is not None:
        sums = await local(session, asked.own.sums, plan, shifts)
        mine = M127.reshape(M127.from_ints([value for row in sums for value in row]), (pairs, 6))
    dealt = list((await deal(session, M127, mine, asked.dealers, (pairs, 6))).values())
    cells = await _few_cells(session, asked, M127)
    sizes = await release_sizes(session, [part[:, 0] for part in dealt], asked.ruling, cells)
    total = total_of(dealt)
    units = [math.ldexp(plan.steps[i] * plan.steps[j], shifts[i] + shifts[j]) for i, j in plan.pairs]
    level = asked.options.conf_level
    if exact:
        session.openings.declare(_SUMS, total.size, "n and sums of x, y, x^2, y^2, x y, in steps, of each pair")
        opened = M127.to_signed(await open_declared(session, total, _SUMS)).reshape(pairs, 6)
        rows = [[int(value) for value in row] for row in opened]
        parts = [pearson_sums(row) for row in rows]
        found = [of_square(signed_square(*part), row[0], level) for part, row in zip(parts, rows, strict=True)]
        covariances = [
            float(Fraction(part[0], row[0] * (row[0] - 1)) * Fraction(unit)) if row[0] > 1 else math.nan
            for part, row, unit in zip(parts, rows, units, strict=True)
        ]
        return sizes, found, covariances
    squares, ratios = await _pearson_statistic(session, total, asked.ruling)
    found = [of_square(float(square), int(n), level) for square, n in zip(squares, sizes, strict=True)]
    return sizes, found, [float(ratio) * unit for ratio, unit in zip(ratios, units, strict=True)]


async def _pearson_statistic(
    session: Session, total: Shared, ruling: Ruling
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """r^2 with its sign, and covariances in steps, opened."""
    pairs = total.shape[0]
    n, x, y, xx, yy, xy = (total[:, k] for k in range(6))
    products = [local_product(n, a) - local_product(b, c) for a, b, c in ((xy, x, y), (xx, x, x), (yy, y, y))]
    parts = await reshare(session, concatenate(products))
    both, first, second = (parts[k * pairs : (k + 1) * pairs] for k in range(3))
    which = await sign(session, both)
    opened = []
    for name, number in (
        (_SQUARES, await quotient(session, [both, both], [first, second], _WIDTH, which)),
        (_COVARIANCES, await quotient(session, [both], [n, n.plus_int(-1)], _WIDTH, which)),
    ):
        session.openings.declare(name, 3 * pairs, "rounded: mantissa and exponent; whether it exists")
        opened.append(await release_scaled(session, number, name, number_bits(ruling.rules)))
    return opened[0], opened[1]


def _outcome(asked: Asked, sizes: NDArray[np.int64], found: list[Found], covariances: list[float] | None) -> Outcome:
    plan, options, bits = asked.plan, asked.options, number_bits(asked.ruling.rules)
    p_values = np.array([each.p_value for each in found])
    columns = {
        "x": [plan.columns[i] for i, _ in plan.pairs],
        "y": [plan.columns[j] for _, j in plan.pairs],
        "n": pd.array(sizes, dtype="Int64"),
        "estimate": [each.estimate for each in found],
        "statistic": [each.statistic for each in found],
        "p_value": p_values,
        "p_adjusted": p_adjust(p_values, options.adjust),
    }
    if covariances is not None:
        columns |= {"lower": [each.lower for each in found], "upper": [each.upper for each in found]}
        columns |= {"covariance": covariances}
    tests = {
        "pearson": "Pearson's r; t on n - 2 degrees of freedom; limits by Fisher's transform",
        "spearman": "Spearman's rho of midranks; t on n - 2 degrees of freedom (R's exact = FALSE)",
        "kendall": "Kendall's tau-b; z with R's variance for ties (exact = FALSE)",
    }
    table = asked.mode == "table"
    conventions = {
        "test": f"{tests[options.method]}; two-sided",
        "missing": "people who have both values of a pair",
        "adjusted": f"{options.adjust} over {len(plan.pairs)} pairs",
        "released": "sums over people; the rest is computed from these"
        if table
        else f"coefficients alone, rounded to {bits} significant bits; sums stayed on shares",
    }
    withheld = [] if table else ["sums over people: in mode statistic they stay on shares"]
    if asked.ruling.rules.rounding_base > 1:
        withheld.append(f"n is rounded to multiples, also in tests ({asked.ruling.cite('rounding_base')})")
    values = {"method": options.method, "mode": asked.mode, "conf_level": options.conf_level}
    return Outcome("correlation", {"correlations": pd.DataFrame(columns)}, values, conventions, withheld)
