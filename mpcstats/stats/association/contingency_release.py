"""What leaves contingency tests whose counts stay on shares: which tests are defined, then their statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.protocols import at_least, multiply, select
from mpcstats.protocols.normalise import product_trees
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.association.contingency_shares import (
    chi_squares,
    margins_of,
    odds_ratio,
    rarer_allele,
)
from mpcstats.stats.association.contingency_tables import PLINK_NAMES, TESTS, odds_ratio_limits, with_tails
from mpcstats.stats.association.pooled_counts import PooledCounts
from mpcstats.stats.disclosure import Ruling, number_bits, open_counts, release_numbers

__all__ = [
    "Statistics",
    "closed_allelic_table",
    "closed_model_table",
    "declare_statistics",
    "open_statistics",
    "testable",
]

Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]

_RARER, _DEFINED, _CHI_SQUARE, _ODDS = "rarer allele", "test is defined", "chi-square", "odds ratio"
_CONDITIONS = (*TESTS, "three genotypes", "odds ratio")


@dataclass(frozen=True)
class Statistics:
    """Opened numbers of V variants; NaN where a test is not defined or has too few people.

    Attributes
    ----------
    alt_is_common : bool (V,)
        A1 is REF.
    chi_square : dict of test to float (V,)
        Of A1.
    degrees : int (V,)
        Of the genotypic test.
    odds_ratio, error : float (V,)
        Of A1, and the standard error of its logarithm.
    """

    alt_is_common: Bits
    chi_square: dict[str, Floats]
    degrees: NDArray[np.int64]
    odds_ratio: Floats
    error: Floats


async def testable(session: Session, counts: PooledCounts, test: str, ruling: Ruling) -> Shared:
    """1 where the margins of a test are large enough for its number to be released, else 0: (V,) in M61.

    Reveals nothing, not even which allele is the rarer one.
    """
    minimum = max(1, ruling.rules.minimum_count)
    if test not in {"dominant", "recessive"}:
        bits = await _large_enough(session, _conditions(counts, (test,)), minimum)
        if test == "genotypic" and minimum > 1:
            return await multiply(session, bits["genotypic"], bits["three genotypes"])
        return bits[test]
    bits = await _large_enough(session, _conditions(counts, ("dominant", "recessive")), minimum)
    people = counts.calls.sum(0)
    alt_is_common = await at_least(session, people[2] - people[0], 1)
    other = "recessive" if test == "dominant" else "dominant"
    return await select(session, alt_is_common, bits[other], bits[test])


def declare_statistics(session: Session, variants: int, tests: tuple[str, ...]) -> None:
    """Enter what `open_statistics` opens in the manifest."""
    declare = session.openings.declare
    declare(_RARER, variants, "per released variant, which of the two alleles is rarer in the pooled data")
    declare(
        _DEFINED, len(_CONDITIONS) * variants, "per released variant and test, whether its margins are large enough"
    )
    declare(_CHI_SQUARE, 2 * len(tests) * variants, "per released variant and test, rounded: mantissa and exponent")
    if "allelic" in tests:
        declare(_ODDS, 4 * variants, "per released variant, Yule's Q and variance of the odds ratio's log, rounded")


async def open_statistics(session: Session, counts: PooledCounts, tests: tuple[str, ...], ruling: Ruling) -> Statistics:
    """Statistics of variants that may be released, each of which has both alleles; opens nothing where there is none.

    Every number is rounded as `number_bits` says, and no count is opened. But statistics are functions of whole numbers
    of people: of 500 cases and 500 controls without missing calls, 96% of all tables of alleles have a chi-square that
    only they and their mirror have, to 21 bits. Rounding does not hide a table of this size. What guards it is the rule
    that lets statistics out at all, and that missing calls per variant stay unknown.
    """
    minimum = max(1, ruling.rules.minimum_count)
    if not counts.variants:
        nothing = np.zeros(0)
        return Statistics(nothing > 0, dict.fromkeys(tests, nothing), np.zeros(0, np.int64), nothing, nothing)
    alt_is_common = await open_counts(session, await rarer_allele(session, counts), _RARER) == 1
    counts = counts.counting(alt_is_common)
    defined = await _open_defined(session, counts, tests, minimum)
    chi_square = await _open_chi_squares(session, counts, defined, tests, number_bits(ruling.rules))
    ratio, error = await _open_odds(session, counts, defined["odds ratio"], number_bits(ruling.rules))
    return Statistics(
        alt_is_common,
        chi_square,
        np.where(defined["three genotypes"], 2, 1),
        ratio,
        error,
    )


async def _open_chi_squares(
    session: Session, counts: PooledCounts, defined: dict[str, Bits], tests: tuple[str, ...], bits: int
) -> dict[str, Floats]:
    """NaN where a test is not defined; such numbers stay closed."""
    opened = {test: np.full(counts.variants, np.nan) for test in tests}
    places = [(test, np.flatnonzero(defined[test])) for test in tests]
    if not any(where.size for _, where in places):
        return opened
    found = await chi_squares(session, await margins_of(session, counts), tests, counts.size_bits)
    chosen = concatenate([found[test][where] for test, where in places])
    numbers, at = await release_numbers(session, chosen, _CHI_SQUARE, bits), 0
    for test, where in places:
        opened[test][where] = numbers[at : at + len(where)]
        at += len(where)
    return opened


async def _open_defined(
    session: Session, counts: PooledCounts, tests: tuple[str, ...], minimum: int
) -> dict[str, Bits]:
    """Per test, whether both rows and all columns have `minimum` people (for the allelic test and its odds ratio:
    cells, `minimum` alleles); one who has both alleles makes the columns of the allelic test."""
    bits = await _large_enough(session, _conditions(counts, tests), minimum)
    opened = await open_counts(session, concatenate([_row(bit) for bit in bits.values()]), _DEFINED) == 1
    defined = dict(zip(bits, opened, strict=True))
    nothing = np.zeros(counts.variants, np.bool_)
    if "genotypic" in tests and minimum > 1:
        defined["genotypic"] &= defined["three genotypes"]
    return {name: defined.get(name, nothing) for name in _CONDITIONS}


async def _large_enough(session: Session, conditions: dict[str, list[Shared]], minimum: int) -> dict[str, Shared]:
    """1 where all numbers under a name are at least `minimum`, else 0."""
    parts = [_row(part) for lines in conditions.values() for part in lines]
    bits = await at_least(session, concatenate(parts), minimum)
    trees, at = [], 0
    for lines in conditions.values():
        trees.append(bits[at : at + len(lines)])
        at += len(lines)
    return dict(zip(conditions, await product_trees(session, trees), strict=True))


def _conditions(counts: PooledCounts, tests: tuple[str, ...]) -> dict[str, list[Shared]]:
    """Numbers that must be large enough, for each test."""
    s, r = counts.calls[0], counts.calls[1]
    rows, n = [s.sum(0), r.sum(0)], s + r
    total = rows[0] + rows[1]
    a, c = (x[1] + x[2].times_int(2) for x in (r, s))
    found: dict[str, list[Shared]] = {}
    for test in tests:
        if test in {"genotypic", "trend"}:
            found[test] = [*rows, n[0] + n[2]]
        elif test == "allelic":
            found[test] = rows
        else:
            column = n[0] if test == "dominant" else n[2]
            found[test] = [*rows, column, total - column]
    if "genotypic" in tests:
        found["three genotypes"] = [n[0], n[1], n[2]]
    if "allelic" in tests:
        found["odds ratio"] = [a, rows[1].times_int(2) - a, c, rows[0].times_int(2) - c]
    return found


async def _open_odds(session: Session, counts: PooledCounts, defined: Bits, bits: int) -> tuple[Floats, Floats]:
    ratio, error = np.full(counts.variants, np.nan), np.full(counts.variants, np.nan)
    where = np.flatnonzero(defined)
    if not where.size:
        return ratio, error
    part = counts.of(where)
    found = await odds_ratio(session, await margins_of(session, part), part, counts.size_bits)
    both = concatenate([found.yule, found.variance])
    numbers = await release_numbers(session, both, _ODDS, bits)
    yule, variance = numbers[: where.size], numbers[where.size :]
    ratio[where], error[where] = (1 + yule) / (1 - yule), np.sqrt(variance)
    return ratio, error


def closed_model_table(statistics: Statistics, labels: pd.DataFrame, tests: tuple[str, ...]) -> pd.DataFrame:
    """As `model_table`, without counts."""
    heads = _heads(statistics, labels)
    parts = []
    for test in (name for name in TESTS if name in tests):
        degrees = statistics.degrees if test == "genotypic" else np.ones(len(labels), np.int64)
        parts.append(with_tails(heads.assign(TEST=PLINK_NAMES[test]), statistics.chi_square[test], degrees))
    order = np.arange(len(parts) * len(labels)).reshape(len(parts), -1).T.ravel()
    return pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True)


def closed_allelic_table(statistics: Statistics, labels: pd.DataFrame, conf_level: float) -> pd.DataFrame:
    """As `allelic_table`, without frequencies."""
    one = np.ones(len(labels), np.int64)
    table = with_tails(_heads(statistics, labels), statistics.chi_square["allelic"], one)
    return odds_ratio_limits(table, statistics.odds_ratio, statistics.error, conf_level)


def _heads(statistics: Statistics, labels: pd.DataFrame) -> pd.DataFrame:
    ref, alt = labels["REF"].to_numpy(), labels["ALT"].to_numpy()
    common = statistics.alt_is_common
    return labels[["#CHROM", "POS", "ID"]].assign(A1=np.where(common, ref, alt), A2=np.where(common, alt, ref))


def _row(x: Shared) -> Shared:
    return x.reshape(1, *x.shape)
