"""Tests of cases against controls on shares: no count is opened, only the statistics.

With controls s, cases r, R1 cases and R0 controls with a call, T = R1 + R0 and differences D = R0 f(r) - R1 f(s) of a
sum f over genotypes, every test of one degree of freedom is n D^2 / (R1 R0 W):

    allelic               f copies of ALT       n = 2 T, W = A (2 T - A) with A copies in all
    trend                 f copies of ALT       n = T, W = T (sum of squares) - A^2
    dominant, recessive   f people in a column  n = T, W = N (T - N) with N people in the column

and the genotypic test is the sum of D_j^2 / (R1 R0 N_j) over its three columns. The chi-square is n (D / R1 R0)
(D / W): both quotients are at most 2, and are formed from whole numbers with one exact reciprocal each, to 12 digits.
The odds ratio (1 + Q) / (1 - Q) has Yule's Q = (a d - b c) / (a d + b c) = 2 D / (a d + b c), and the variance of its
logarithm, 1 / a + 1 / b + 1 / c + 1 / d, is 2 R1 / (a b) + 2 R0 / (c d).
"""

from __future__ import annotations

from dataclasses import dataclass

from mpcstats.errors import RangeError
from mpcstats.field import M61
from mpcstats.protocols import at_least, fine_reciprocal, floor_shift, is_negative, multiply
from mpcstats.protocols.arithmetic import select
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.association.pooled_counts import PooledCounts
from mpcstats.stats.association.thresholds import chi_square_threshold
from mpcstats.stats.association.wide_compare import beyond_threshold

__all__ = [
    "FRACTION",
    "MASKS_PER_VARIANT",
    "Margins",
    "OddsRatio",
    "chi_squares",
    "margins_of",
    "odds_ratio",
    "rarer_allele",
    "significant",
]

FRACTION = 60
"""Fraction bits of quotients, and of the statistics made of them."""

_PRECISION = 48
"""Bits of an inverse: its own error is some 2^-45."""

MASKS_PER_VARIANT = 8 * 15
"""Bounded masks at most, 8 for each reciprocal: 4 in `significant`, 8 in `chi_squares`, 3 in `odds_ratio`."""


@dataclass(frozen=True)
class Margins:
    """Sums and differences of V variants on shares, in M127; see the module's text.

    Attributes
    ----------
    controls, cases, total : Shared (V,)
        R0, R1, T.
    both : Shared (V,)
        R1 R0.
    copies : Shared (V,)
        D of copies of ALT.
    spread, alleles : Shared (V,)
        W of the trend test and of the allelic test.
    columns : Shared (3, V)
        D of people with 0, 1, 2 copies.
    people : Shared (3, V)
        N of the same.
    halves : Shared (2, V)
        N (T - N) for the first and the last column: W of the dominant and of the recessive test.
    """

    controls: Shared
    cases: Shared
    total: Shared
    both: Shared
    copies: Shared
    spread: Shared
    alleles: Shared
    columns: Shared
    people: Shared
    halves: Shared


@dataclass(frozen=True)
class OddsRatio:
    """Of copies of ALT, on shares with `FRACTION` fraction bits: Yule's Q, and the variance of the odds ratio's log."""

    yule: Shared
    variance: Shared


async def margins_of(session: Session, counts: PooledCounts) -> Margins:
    """One round of products; reveals nothing."""
    wide = counts.wide
    if wide is None or wide.shape[0] != 2:
        raise RangeError("tests on shares need counts of cases and controls in M127")
    s, r = wide[0], wide[1]
    controls, cases, people = s.sum(0), r.sum(0), s + r
    total = controls + cases
    copies = people[1] + people[2].times_int(2)
    squares = people[1] + people[2].times_int(4)
    left = [controls, *(controls for _ in range(3)), *(cases for _ in range(3)), total, copies, copies]
    right = [cases, *(r[j] for j in range(3)), *(s[j] for j in range(3)), squares, copies, total.times_int(2) - copies]
    left += [people[0], people[2]]
    right += [total - people[0], total - people[2]]
    done = await multiply(session, _rows(left), _rows(right))
    columns = done[1:4] - done[4:7]
    return Margins(
        controls=controls,
        cases=cases,
        total=total,
        both=done[0],
        copies=columns[1] + columns[2].times_int(2),
        spread=done[7] - done[8],
        alleles=done[9],
        columns=columns,
        people=people,
        halves=done[10:12],
    )


async def chi_squares(session: Session, m: Margins, tests: tuple[str, ...], size_bits: int) -> dict[str, Shared]:
    """Chi-square of each test, with `FRACTION` fraction bits; 0 where a row or column is empty. Reveals nothing.

    Relative error below 2^-37 (up to 9 parties) and absolute error below 2^(size_bits - 57). All tests count
    copies of ALT.

    Notes
    -----
    About 85 rounds whatever the number of variants, and 7 bounded masks for each different margin.
    """
    quotients = _Quotients(session, size_bits)
    wanted = [(test, term) for test in tests for term in _terms(m, test, size_bits)]
    for _, (_, difference, weight, _) in wanted:
        quotients.ask(difference, m.both)
        quotients.ask(difference, weight)
    found = await quotients.compute()
    products = await multiply(session, found[0::2], found[1::2])
    terms = await floor_shift(session, products, FRACTION)
    factors = _rows([factor for _, (factor, _, _, _) in wanted])
    terms = await multiply(session, terms, factors)
    result: dict[str, Shared] = {}
    for k, (test, (_, _, _, scale)) in enumerate(wanted):
        term = terms[k].times_int(scale).with_fraction_bits(FRACTION)
        result[test] = result[test] + term if test in result else term
    return result


Term = tuple[Shared, Shared, Shared, int]
"""factor, D, W, scale: a chi-square is a sum of scale * factor * (D / R1 R0) * (D / W)."""


def _terms(m: Margins, test: str, size_bits: int) -> list[Term]:
    if test == "trend":
        return [(m.total, m.copies, m.spread, 1)]
    if test == "allelic":
        return [(m.total, m.copies, m.alleles, 2)]
    if test in {"dominant", "recessive"}:
        column = 0 if test == "dominant" else 2
        return [(m.total, m.columns[column], m.halves[column // 2], 1)]
    one = m.total.times_int(0).plus_int(1)
    # D / N goes up to the number of people: a public power of two keeps the quotient below 1
    return [(one, m.columns[j], m.people[j].times_int(1 << size_bits), 1 << size_bits) for j in range(3)]


async def odds_ratio(session: Session, m: Margins, counts: PooledCounts, size_bits: int) -> OddsRatio:
    """Odds ratio of ALT, in terms that have bounds; meaningless where one of the four counts is 0. Reveals nothing."""
    assert counts.wide is not None
    s, r = counts.wide[0], counts.wide[1]
    a, c = (x[1] + x[2].times_int(2) for x in (r, s))
    b, d = m.cases.times_int(2) - a, m.controls.times_int(2) - c
    done = await multiply(session, _rows([a, b, a, c]), _rows([d, c, b, d]))
    quotients = _Quotients(session, size_bits)
    quotients.ask(m.copies.times_int(2), done[0] + done[1])
    quotients.ask(m.cases.times_int(2), done[2])
    quotients.ask(m.controls.times_int(2), done[3])
    found = (await quotients.compute()).with_fraction_bits(FRACTION)
    return OddsRatio(found[0], found[1] + found[2])


class _Quotients:
    """Quotients of whole numbers, at most 2 in size, of one batch; equal denominators are inverted once."""

    def __init__(self, session: Session, size_bits: int) -> None:
        self._session = session
        self._width = 2 * size_bits + 2
        self._numerators: list[Shared] = []
        self._denominators: dict[int, tuple[int, Shared]] = {}
        self._which: list[int] = []

    def ask(self, numerator: Shared, denominator: Shared) -> None:
        """The next one; denominators below 2^(2 size_bits + 2)."""
        place, _ = self._denominators.setdefault(id(denominator), (len(self._denominators), denominator))
        self._numerators.append(numerator)
        self._which.append(place)

    async def compute(self) -> Shared:
        """All, in the order asked for, as integers with `FRACTION` bits; 0 where the denominator is 0."""
        session, width = self._session, self._width
        inverse = await fine_reciprocal(session, _rows([x for _, x in self._denominators.values()]), width, _PRECISION)
        scaled = await multiply(session, _rows(self._numerators), inverse.factor[self._which])
        exact = await multiply(session, scaled, inverse.inverse[self._which])
        drop = width + _PRECISION - FRACTION
        return (
            exact.times_int(1 << -drop)
            if drop <= 0
            else await floor_shift(session, exact.plus_int(1 << (drop - 1)), drop)
        )


async def significant(
    session: Session, m: Margins, test: str, p: float, size_bits: int, alt_is_common: Shared
) -> Shared:
    """1 where the p of a test is below a threshold, else 0: (V,) in M61. Reveals nothing.

    Without division, and exact but for the rounded threshold (`beyond_threshold`); the genotypic test from its
    chi-square, to 1e-9 of the threshold.

    Parameters
    ----------
    alt_is_common : Shared (V,) in M127
        1 where A1 is REF: then the dominant test is of the other column.
    """
    if test == "genotypic":
        chi_square = (await chi_squares(session, m, (test,), size_bits))[test].with_fraction_bits(0)
        tau = chi_square_threshold(p, 2, FRACTION)
        return await is_negative(session, (-chi_square).plus_int(tau), M61)
    if test in {"dominant", "recessive"}:
        of_alt, of_ref = (0, 2) if test == "dominant" else (2, 0)
        pairs = [_rows([m.columns[k], m.halves[k // 2]]) for k in (of_alt, of_ref)]
        difference, weight = _both(await select(session, alt_is_common, pairs[1], pairs[0]))
    else:
        difference, weight = m.copies, m.spread if test == "trend" else m.alleles
    n = m.total.times_int(2) if test == "allelic" else m.total
    done = await multiply(session, _rows([difference, m.both]), _rows([difference, weight]))
    return await beyond_threshold(session, n, done[0], done[1], p, size_bits)


async def rarer_allele(session: Session, counts: PooledCounts) -> Shared:
    """1 where ALT is the commoner allele, else 0: (V,) in M127. Reveals nothing."""
    assert counts.wide is not None
    people = counts.wide.sum(0)
    return await at_least(session, people[2] - people[0], 1)


def _both(x: Shared) -> tuple[Shared, Shared]:
    return x[0], x[1]


def _rows(parts: list[Shared]) -> Shared:
    return concatenate([part.reshape(1, *part.shape) for part in parts])
