"""Counts of genotypes on shares: filters and tests beside the same in the clear, in whole numbers."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import RangeError
from mpcstats.field import M61, M127
from mpcstats.protocols import deal
from mpcstats.runtime import Session, Shared, open_declared
from mpcstats.sharing.committee import Committee
from mpcstats.sharing.fixedpoint import decode
from mpcstats.stats.association.contingency_shares import (
    FRACTION,
    chi_squares,
    margins_of,
    odds_ratio,
    rarer_allele,
    significant,
)
from mpcstats.stats.association.contingency_tables import PLINK_NAMES, TESTS, allelic_table, model_table
from mpcstats.stats.association.exact_tests import fisher_exact, hardy_exact, hardy_exact_log
from mpcstats.stats.association.labels import variant_labels
from mpcstats.stats.association.pooled_counts import Cohort, PooledCounts, pool_counts
from mpcstats.stats.association.thresholds import chi_square_threshold
from mpcstats.stats.association.variant_filters import VariantFilters, variants_that_pass
from mpcstats.stats.association.wide_compare import beyond_threshold, threshold_bits
from mpcstats.testing.network import run_parties
from tests.stats.association.variants import labelled

ALONE, THREE, FIVE = Committee(1, 0), Committee(3, 1), Committee(5, 2)


async def shown(session: Session, x: Shared, name: str = "shown") -> Any:
    session.openings.declare(name, x.size, "test")
    return await open_declared(session, x, name)


async def dealt(session: Session, counts: np.ndarray, people: np.ndarray, size_bits: int) -> PooledCounts:
    """Counts that party 1 deals: (G, 3, V), and (G,)."""

    async def one(field: Any, x: np.ndarray) -> Shared:
        own = field.from_int64(x) if session.index == 1 else None
        return (await deal(session, field, own, (1,), x.shape))[1]

    return PooledCounts(await one(M61, counts), await one(M61, people), size_bits, await one(M127, counts))


# ---- exact tests ---------------------------------------------------------------------------------------------------


def hardy_by_hand(n0: int, n1: int, n2: int) -> Fraction:
    people, rare = n0 + n1 + n2, n1 + 2 * n2
    weights = {
        h: comb(people, h) * comb(people - h, (rare - h) // 2) * 2**h
        for h in range(rare % 2, min(rare, 2 * people - rare) + 1, 2)
    }
    return Fraction(sum(w for w in weights.values() if w <= weights[n1]), sum(weights.values()))


def fisher_by_hand(a: int, b: int, c: int, d: int) -> Fraction:
    r, k, total = a + b, a + c, a + b + c + d
    weights = {x: comb(r, x) * comb(total - r, k - x) for x in range(max(0, r + k - total), min(r, k) + 1)}
    return Fraction(sum(w for w in weights.values() if w <= weights[a]), sum(weights.values()))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 60)] * 3), min_size=1, max_size=8))
def test_hardy_is_exact(rows: list[tuple[int, int, int]]) -> None:
    expected = [float(hardy_by_hand(*row)) for row in rows]
    np.testing.assert_allclose(hardy_exact(*np.array(rows).T), expected, rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 60)] * 4), min_size=1, max_size=8))
def test_fisher_is_exact(rows: list[tuple[int, int, int, int]]) -> None:
    expected = [float(fisher_by_hand(*row)) for row in rows]
    np.testing.assert_allclose(fisher_exact(*np.array(rows).T), expected, rtol=1e-12)


def test_exact_tests_of_large_cohorts() -> None:
    rows = [(40, 900, 60), (900, 20, 900), (0, 0, 5000), (0, 1, 4999), (350, 300, 350), (2000, 1, 0)]
    by_hand = [hardy_by_hand(*row) for row in rows]
    logs = [float(np.log(float(p.numerator * 10**40 // p.denominator)) - 40 * np.log(10)) for p in by_hand if p > 1e-30]
    kept = [p > 1e-30 for p in by_hand]
    np.testing.assert_allclose(hardy_exact_log(*np.array(rows).T)[kept], logs, rtol=1e-9, atol=1e-12)
    p = hardy_by_hand(900, 20, 900)
    exponent = p.denominator.bit_length() - p.numerator.bit_length()
    log = float(np.log(float(p * 2**exponent)) - exponent * np.log(2))
    np.testing.assert_allclose(hardy_exact_log(900, 20, 900), log, rtol=1e-12)
    table = (300, 900, 150, 1100)
    np.testing.assert_allclose(fisher_exact(*table), float(fisher_by_hand(*table)), rtol=1e-11)
    np.testing.assert_allclose(
        fisher_exact(10, 10**6, 2, 10**6), scipy.stats.fisher_exact([[10, 10**6], [2, 10**6]])[1]
    )
    assert hardy_exact([], [], []).shape == (0,)


# ---- thresholds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [1.0, 0.999999, 0.5, 0.05, 1e-3, 5e-8, 1e-50, 1e-300])
@pytest.mark.parametrize("degrees", [1, 2])
def test_thresholds_are_the_tail_of_chi_square(p: float, degrees: int) -> None:
    found = chi_square_threshold(p, degrees, 60) / 2**60
    assert found == pytest.approx(scipy.stats.chi2.isf(p, degrees), rel=1e-12, abs=1e-13)


def test_thresholds_out_of_range_are_refused() -> None:
    for p, degrees in ((0.0, 1), (1e-301, 1), (1.1, 1), (0.5, 3)):
        with pytest.raises(RangeError):
            chi_square_threshold(p, degrees, 20)


@pytest.mark.parametrize("size_bits", [10, 20, 21, 29])
def test_comparisons_with_a_threshold_are_exact(size_bits: int) -> None:
    """Also where both sides differ by one, and where they are equal."""
    rng, p, bits = np.random.default_rng(size_bits), 1e-5, threshold_bits(size_bits)
    tau = chi_square_threshold(p, 1, bits)
    n, squares, products = [], [], []
    for _ in range(40):
        people = int(rng.integers(1, 2**size_bits))
        square = int(rng.integers(0, 2**62)) ** 2 % 2 ** (4 * size_bits - 6)
        near = (people * square << bits) // tau
        for product in (near - 1, near, near + 1, int(rng.integers(0, 2**30))):
            n.append(people)
            squares.append(square)
            products.append(min(max(0, product), 2 ** (4 * size_bits) - 1))
    n, squares, products = [*n, 5, 0, tau], [*squares, 0, 7, 1], [*products, 0, 0, 1 << bits]
    n[-1] = min(n[-1], 2**size_bits)
    expected = [(a * b << bits) > tau * c for a, b, c in zip(n, squares, products, strict=True)]
    assert {True, False} == set(expected)

    async def program(session: Session) -> Any:
        own = [M127.from_ints(x) if session.index == 1 else None for x in (n, squares, products)]
        parts = [(await deal(session, M127, x, (1,), (len(n),)))[1] for x in own]
        return M61.to_int64(await shown(session, await beyond_threshold(session, *parts, p, size_bits)))

    for result in run_parties(THREE, program):
        assert (result == expected).all()


# ---- filters -------------------------------------------------------------------------------------------------------


def genotypes(people: int, variants: int, seed: int) -> np.ndarray:
    """Copies of ALT, with calls missing, monomorphic variants, one without any call, one with heterozygotes only."""
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(0.02, 0.98, variants)
    calls = rng.binomial(2, frequency, (people, variants)).astype(np.int8)
    inbred = rng.random((people, variants)) < rng.uniform(0, 0.6, variants)
    calls[inbred & (calls == 1)] = 2
    calls[rng.random((people, variants)) < rng.uniform(0, 0.1, variants)] = -1
    calls[:, 0], calls[:, 1], calls[:, 2], calls[:, 3] = -1, 0, 2, 1
    calls[:, 4] = 0
    calls[3, 4] = 1
    return calls


def passes_in_the_clear(calls: np.ndarray, group: np.ndarray, filters: VariantFilters) -> list[bool]:
    result = []
    for column in calls.T:
        seen = column[column >= 0].astype(int)
        copies = min(int(seen.sum()), 2 * len(seen) - int(seen.sum()))
        ok = copies >= filters.mac
        if filters.maf:
            ok &= copies > 0 and Fraction(copies, 2 * len(seen)) >= Fraction(str(filters.maf))
        ok &= Fraction(len(column) - len(seen), len(column)) <= Fraction(str(filters.geno))
        if filters.hwe:
            n = [int(((column == k) & (group == 0)).sum()) for k in range(3)]
            parts = (2 * n[0] + n[1]) * (2 * n[2] + n[1])
            chi_square = Fraction((4 * n[0] * n[2] - n[1] ** 2) ** 2 * sum(n), parts**2) if parts else Fraction(0)
            ok &= float(chi_square) <= scipy.stats.chi2.isf(filters.hwe, 1)
        result.append(bool(ok))
    return result


FILTERS = [
    VariantFilters(),
    VariantFilters(maf=0.05),
    VariantFilters(mac=7),
    VariantFilters(geno=0.05),
    VariantFilters(geno=0.0),
    VariantFilters(hwe=0.01),
    VariantFilters(maf=0.1, mac=3, geno=0.08, hwe=1e-4),
]


@pytest.mark.parametrize("committee", [ALONE, THREE, FIVE], ids=["1", "3", "5"])
@pytest.mark.parametrize("groups", [1, 2])
def test_filters_decide_as_in_the_clear(committee: Committee, groups: int) -> None:
    calls = genotypes(120, 40, 11)
    rng = np.random.default_rng(5)
    group = rng.integers(0, groups, 120).astype(np.int8)
    site = rng.integers(1, committee.m + 1, 120)
    if committee.m > 1:
        site[site == committee.m] = 1  # the last site has nobody
    chosen = FILTERS if committee.m < 5 else FILTERS[-1:]

    async def program(session: Session) -> Any:
        mine = site == session.index
        people = np.array([(group == g).sum() for g in range(groups)], np.int64)
        everybody = await dealt(session, np.zeros((groups, 3, 1), np.int64), people, 7)
        cohort = Cohort(everybody.people, tuple(people), 7)
        dealers = tuple(committee.members)
        found = []
        for filters in chosen:
            counts = await pool_counts(session, calls[mine], group[mine], 40, cohort, dealers, wide=filters.wide)
            into = M127 if filters.mac else M61
            bits = await variants_that_pass(session, counts, filters, into)
            assert bits.field == into
            found.append(into.to_int64(await shown(session, bits)).tolist())
        return found

    expected = [passes_in_the_clear(calls, group, filters) for filters in chosen]
    assert all(0 < sum(bits) < 40 for bits in expected[1:])
    for result in run_parties(committee, program):
        assert result == expected


def test_filters_that_cannot_be_are_refused() -> None:
    for wrong in ({"maf": 0.6}, {"mac": -1}, {"geno": 1.1}, {"hwe": 1e-310}, {"maf": float("nan")}):
        with pytest.raises(RangeError):
            VariantFilters(**wrong)  # type: ignore[arg-type]


def test_the_equilibrium_filter_needs_wide_counts() -> None:
    async def program(session: Session) -> None:
        counts = await dealt(session, np.ones((1, 3, 2), np.int64), np.array([3], np.int64), 4)
        narrow = PooledCounts(counts.calls, counts.people, 4)
        await variants_that_pass(session, narrow, VariantFilters(hwe=0.5))

    with pytest.raises(RangeError, match="M127"):
        run_parties(ALONE, program)


# ---- statistics on shares ------------------------------------------------------------------------------------------


def tables(people: int, variants: int, seed: int) -> np.ndarray:
    """Controls and cases by copies of ALT, (2, 3, V): A1 is ALT, or REF in every third variant."""
    rng = np.random.default_rng(seed)
    counts = np.empty((2, 3, variants), np.int64)
    for v in range(variants):
        f = rng.uniform(0.01, 0.5)
        for g, shift in ((0, 0.0), (1, rng.uniform(-0.1, 0.1))):
            q = min(max(f + shift, 0.005), 0.9)
            size = int(rng.integers(people // 3, people // 2))
            counts[g, :, v] = rng.multinomial(size, [(1 - q) ** 2, 2 * q * (1 - q), q * q])
    counts[:, :, ::3] = counts[:, ::-1, ::3]
    return counts


@pytest.mark.parametrize(
    ("committee", "people"), [(ALONE, 1000), (THREE, 60), (THREE, 1000), (THREE, 5 * 10**7), (FIVE, 3000)]
)
def test_statistics_on_shares_are_those_of_the_counts(committee: Committee, people: int) -> None:
    counts = tables(people, 12, people % 97)
    # a genotype that nobody has, one allele only, no cases, no call at all
    counts[:, 2, 1] = 0
    counts[:, 1:, 2] = 0
    counts[1, :, 4] = 0
    counts[:, :, 5] = 0
    size_bits = people.bit_length()

    async def program(session: Session) -> Any:
        pooled = await dealt(session, counts, np.array([people, people], np.int64), size_bits)
        pooled = pooled.counting(counts.sum(axis=0)[2] > counts.sum(axis=0)[0])
        margins = await margins_of(session, pooled)
        found = await chi_squares(session, margins, TESTS, size_bits)
        odds = await odds_ratio(session, margins, pooled, size_bits)
        numbers = {name: decode(M127, await shown(session, x), FRACTION) for name, x in found.items()}
        yule, variance = [decode(M127, await shown(session, x), FRACTION) for x in (odds.yule, odds.variance)]
        return numbers, yule, variance

    labels = variant_labels(labelled(12))
    clear = model_table(counts, labels, TESTS)
    allelic = allelic_table(counts, labels, 0.95, fisher=False)
    tight = 2.0 ** (size_bits - 57)
    for numbers, yule, variance in run_parties(committee, program)[:1]:
        for test, found in numbers.items():
            expected = clear.loc[clear["TEST"] == PLINK_NAMES[test], "CHISQ"].to_numpy()
            np.testing.assert_allclose(found, np.nan_to_num(expected), rtol=1e-10, atol=tight)
        known = np.isfinite(allelic["SE"].to_numpy())
        assert known.sum() >= 6
        np.testing.assert_allclose(((1 + yule) / (1 - yule))[known], allelic["OR"][known], rtol=1e-9)
        np.testing.assert_allclose(np.sqrt(variance)[known], allelic["SE"][known], rtol=1e-9)


@pytest.mark.parametrize("test", TESTS)
def test_significance_is_decided_as_by_p(test: str) -> None:
    counts = tables(900, 40, 3)
    counts[:, :, 7] = 0
    threshold = 0.02

    async def program(session: Session) -> Any:
        pooled = await dealt(session, counts, np.array([900, 900], np.int64), 11)
        common = await rarer_allele(session, pooled)
        bits = await significant(session, await margins_of(session, pooled), test, threshold, 11, common)
        return M61.to_int64(await shown(session, bits)).tolist()

    clear = model_table(counts, variant_labels(labelled(40)), (test,))
    expected = (clear["P"] < threshold).astype(int).tolist()
    # the genotypic test on shares has two degrees of freedom; no variant here has an empty genotype but the seventh
    assert 0 < sum(expected) < 40
    assert run_parties(THREE, program)[0] == expected


def test_tests_in_the_clear_are_scipys() -> None:
    counts = tables(700, 10, 8)
    clear = model_table(counts, variant_labels(labelled(10)), TESTS).set_index("TEST")
    allelic = allelic_table(counts, variant_labels(labelled(10)), 0.9, fisher=True)
    for v in range(10):
        turned = counts[:, ::-1, v] if counts[:, 2, v].sum() <= counts[:, 0, v].sum() else counts[:, :, v]
        alleles = np.stack([2 * turned[:, 0] + turned[:, 1], 2 * turned[:, 2] + turned[:, 1]], axis=1)
        shapes = {
            "GENO": turned,
            "ALLELIC": alleles,
            "DOM": np.stack([turned[:, 0] + turned[:, 1], turned[:, 2]], axis=1),
            "REC": np.stack([turned[:, 0], turned[:, 1] + turned[:, 2]], axis=1),
        }
        for name, cells in shapes.items():
            table = cells[:, cells.sum(axis=0) > 0]
            row = clear.loc[name].iloc[v]
            if table.shape[1] < 2:
                assert np.isnan(row["CHISQ"])
                continue
            expected = scipy.stats.chi2_contingency(table, correction=False)
            assert row["CHISQ"] == pytest.approx(expected.statistic, rel=1e-11, abs=1e-12)
            assert row["P"] == pytest.approx(expected.pvalue, rel=1e-10)
        # the trend test is people times the squared correlation
        status = np.repeat([0, 1], turned.sum(axis=1))
        copies = np.concatenate([np.repeat([2, 1, 0], n) for n in turned])
        r = np.corrcoef(status, copies)[0, 1]
        assert clear.loc["TREND"].iloc[v]["CHISQ"] == pytest.approx(len(status) * r * r, rel=1e-10, abs=1e-11)
        (c, d), (a, b) = alleles
        ratio = scipy.stats.contingency.odds_ratio([[a, b], [c, d]], kind="sample")
        limits = ratio.confidence_interval(0.9)
        row = allelic.iloc[v]
        np.testing.assert_allclose(row[["OR", "L90", "U90"]].astype(float), [ratio.statistic, *limits], rtol=1e-10)
        assert row["P_FISHER"] == pytest.approx(scipy.stats.fisher_exact([[a, b], [c, d]])[1], rel=1e-9)
