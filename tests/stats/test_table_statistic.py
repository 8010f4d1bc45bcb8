"""Tests of contingency tables whose counts stay on shares: R's formulas, the edges, and what is opened."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.protocols import normalise
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.stats import table_tests
from mpcstats.stats.contributions.table_test import TableTestContribution, TableTestPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.joint_table_test import joint_table_test
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.table_shares import SCORE_BITS, whole_scores
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from tests.protocols.kit import HarshTruncation

OPEN, STANDARD = (Policy.preset(name).rules for name in ("open", "standard"))
BIT, LEVELS, STATISTIC = "test can be released", "rows and columns with people", "statistic"


def on_shares(
    test: str,
    sites: list[Any],
    *,
    rules: Any = OPEN,
    m: int = 1,
    scores: tuple[float, ...] = (),
    mode: Any = "statistic",
    opened: list[dict[str, int]] | None = None,
) -> dict[str, float]:
    """The numbers from tables of parties 1, 2, ...; None, and further parties: they only compute."""
    tables = [None if site is None else np.asarray(site, np.int64) for site in sites]
    shape = next(table.shape for table in tables if table is not None)
    levels = tuple(tuple(range(size)) for size in shape)
    plan = TableTestPlan(test, ("x", "y", "z")[: len(shape)], levels, scores, 0.95)
    dealers = tuple(k for k, table in enumerate(tables, 1) if table is not None)

    async def program(session: Session) -> Outcome:
        mine = tables[session.index - 1] if session.index <= len(tables) else None
        own = None if mine is None else TableTestContribution(mine)
        try:
            return await joint_table_test(session, plan, own, dealers, Ruling(rules, {}), mode)
        finally:
            if opened is not None and session.index == 1:
                opened.append(
                    {entry.name: entry.values for entry in session.openings.manifest.values() if entry.values}
                )

    outcomes = run_parties(Committee(m, default_threshold(m)), program)
    tables_of = [outcome.tables["statistics"] for outcome in outcomes]
    assert all(table.equals(tables_of[0]) for table in tables_of)
    assert list(outcomes[0].tables) == ["statistics"]
    return dict(zip(tables_of[0]["statistic"], tables_of[0]["value"], strict=True))


def in_the_clear(test: str, table: Any, scores: tuple[float, ...] = ()) -> dict[str, Any]:
    counts = np.asarray(table, np.int64)
    if test == "mantel-haenszel":
        return table_tests.mantel_haenszel(np.moveaxis(counts, 2, 0), 0.95)
    if test == "mcnemar":
        return table_tests.mcnemar(counts)
    rows, columns = table_tests.observed(counts)
    if test == "trend":
        chosen = np.array(scores or range(1, len(rows) + 1))[rows]
        return table_tests.trend(counts[rows][:, columns], chosen.tolist())
    return table_tests.chi_square(counts[rows][:, columns])[0]


def agree(found: dict[str, float], wanted: dict[str, Any], rtol: float = 1e-9) -> None:
    for name, value in found.items():
        expected = float(wanted[name])
        if not math.isfinite(expected):
            assert math.isnan(value), (name, value, expected)
        else:
            assert math.isclose(value, expected, rel_tol=rtol, abs_tol=1e-18), (name, value, expected)


def dealt_to(table: np.ndarray, sites: int, rng: np.random.Generator) -> list[np.ndarray]:
    parts = rng.multinomial(table.reshape(-1), np.full(sites, 1 / sites)).T
    return [part.reshape(table.shape) for part in parts]


# --- the numbers ----------------------------------------------------------------------------------------------------


def strata(*tables: Any) -> np.ndarray:
    return np.stack([np.array(table) for table in tables], axis=2)


TABLES: list[tuple[str, Any, tuple[float, ...]]] = [
    ("chi-square", [[7, 3], [2, 9]], ()),
    ("chi-square", [[30, 20], [20, 30], [25, 25]], ()),
    ("chi-square", [[5, 0, 2, 1], [0, 0, 0, 0], [3, 0, 9, 4]], ()),
    ("trend", [[3, 9], [0, 0], [6, 5], [8, 2]], ()),
    ("trend", [[3, 9], [4, 7], [6, 5]], (0.1, 0.3, -2.7)),
    ("mcnemar", [[30, 12], [5, 40]], ()),
    ("mcnemar", [[3, 12, 4], [5, 0, 6], [7, 1, 9]], ()),
    (
        "mantel-haenszel",
        strata([[9, 3], [4, 8]], [[0, 1], [0, 0]], [[5, 5], [2, 9]], [[0, 0], [0, 0]]),
        (),
    ),
]


@pytest.mark.parametrize(("test", "table", "scores"), TABLES)
@pytest.mark.parametrize("m", [1, pytest.param(4, marks=pytest.mark.long), pytest.param(7, marks=pytest.mark.long)])
def test_numbers_are_those_of_the_open_table(test: str, table: Any, scores: tuple[float, ...], m: int) -> None:
    sites = dealt_to(np.asarray(table), m, np.random.default_rng(m))
    agree(on_shares(test, sites, m=m, scores=scores), in_the_clear(test, table, scores))


def test_several_parties_one_empty_one_without_data() -> None:
    table = np.array([[17, 3], [12, 9]])
    sites = [table - 1, np.zeros_like(table), None, np.ones_like(table)]
    opened: list[dict[str, int]] = []
    agree(on_shares("chi-square", sites, m=4, opened=opened), in_the_clear("chi-square", table))
    assert opened == [{LEVELS: 2, STATISTIC: 6}]


@pytest.mark.parametrize(
    ("test", "table"),
    [
        ("chi-square", [[150_000_000, 3], [2, 90_000_000]]),  # far from independent
        ("chi-square", [[100_000_001, 100_000_000], [100_000_000, 100_000_002]]),  # hardly
        ("chi-square", [[90_000_000, 90_010_000], [1, 1], [90_000_000, 90_001_000]]),
        ("mcnemar", [[1, 200_000_000], [200_010_000, 2]]),
        ("trend", [[90_000_000, 90_000_001], [90_000_002, 90_000_004]]),
        ("mantel-haenszel", strata([[9, 3], [4, 80_000_000]], [[70_000, 65_000], [80_000, 81_000]])),
    ],
)
def test_up_to_five_hundred_million_people(test: str, table: Any) -> None:
    # floating-point arithmetic cancels where the table is nearly independent
    agree(on_shares(test, [table]), in_the_clear(test, table), 1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_random_tables(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for test in ("chi-square", "trend", "mcnemar", "mantel-haenszel"):
        height, breadth = (int(n) for n in rng.integers(2, 6, 2))
        shape = {"trend": (height, 2), "mcnemar": (height, height), "mantel-haenszel": (2, 2, breadth)}
        table = rng.poisson(rng.choice([4, 40, 4000]), shape.get(test, (height, breadth))) + 1
        agree(on_shares(test, [table]), in_the_clear(test, table))


@pytest.mark.parametrize(("test", "table"), [(test, table) for test, table, scores in TABLES if not scores])
def test_bounded_masks_hide_what_they_promise(test: str, table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    harsh = HarshTruncation(126, 4)
    monkeypatch.setattr(normalise, "truncate", harsh)
    found = on_shares(test, [table])
    assert harsh.calls >= 5
    agree(found, in_the_clear(test, table), 1e-7)


def test_what_r_gives_as_nan() -> None:
    assert math.isnan(on_shares("mcnemar", [[[3, 0], [0, 4]]])["chi_square"])
    assert math.isnan(on_shares("mcnemar", [[[3, 0, 1], [0, 4, 2], [5, 2, 1]]])["chi_square"])  # a pair of nobody
    same = on_shares("mcnemar", [[[3, 5], [5, 4]]])
    assert (same["chi_square"], same["chi_square_corrected"], same["p_value"]) == (0, 0, 1)
    nobody = on_shares("mantel-haenszel", [np.zeros((2, 2, 3), np.int64)])
    assert all(math.isnan(value) for name, value in nobody.items() if name != "degrees_of_freedom")
    agree(
        on_shares("mantel-haenszel", [[[[5], [0]], [[2], [7]]]]),
        {"degrees_of_freedom": 1} | in_the_clear("mantel-haenszel", [[[5], [0]], [[2], [7]]]),
    )
    independent = on_shares("chi-square", [[[10, 20], [30, 60]]])
    assert (independent["chi_square"], independent["chi_square_yates"], independent["p_value"]) == (0, 0, 1)
    level = on_shares("trend", [[[4, 5], [6, 7], [0, 0]]], scores=(1.0, 1.0, 2.0))
    assert math.isnan(level["chi_square"])


@pytest.mark.parametrize("table", [[[5, 7], [0, 0]], [[5, 0], [3, 0], [0, 0]], [[0, 0], [0, 0]]])
@pytest.mark.parametrize("test", ["chi-square", "trend"])
def test_one_row_or_one_column_is_refused(test: str, table: Any) -> None:
    opened: list[dict[str, int]] = []
    with pytest.raises(SpecError, match="two rows and two columns"):
        on_shares(test, [table], opened=opened)
    assert opened == [{LEVELS: 2}]


def test_scores_as_written_or_rounded() -> None:
    assert whole_scores([1, 2, 3]) == [0, 1, 2]
    assert whole_scores([0.1, 0.3, -2.7]) == [14, 15, 0]
    rounded = whole_scores([0, 1 / 3, math.pi, 1e9])
    assert max(rounded) < 1 << SCORE_BITS
    np.testing.assert_allclose(np.array(rounded) / max(rounded) * 1e9, [0, 1 / 3, math.pi, 1e9], atol=1)


# --- what leaves ----------------------------------------------------------------------------------------------------


LARGE = [[60, 50], [41, 70]]


def significant_bits(value: float) -> int:
    whole = int(math.frexp(value)[0] * 2**53)
    return 53 - ((whole & -whole).bit_length() - 1)


def test_under_standard_21_bits_leave() -> None:
    opened: list[dict[str, int]] = []
    sites = dealt_to(np.array(LARGE), 3, np.random.default_rng(1))
    found = on_shares("chi-square", sites, m=3, rules=STANDARD, mode="auto", opened=opened)
    assert opened == [{BIT: 1, STATISTIC: 6}]
    agree(found, in_the_clear("chi-square", LARGE), 1e-5)
    assert max(significant_bits(found[name]) for name in ("chi_square", "chi_square_yates")) <= 21
    exact = on_shares("chi-square", [LARGE])
    assert significant_bits(exact["chi_square"]) > 21


def test_every_test_opens_what_it_declares() -> None:
    wanted = {"mcnemar": (LARGE, 6), "trend": (LARGE, 3), "mantel-haenszel": (strata(LARGE, LARGE), 12)}
    for test, (table, values) in wanted.items():
        for rules, first in ((STANDARD, {BIT: 1}), (OPEN, {LEVELS: 2} if test == "trend" else {})):
            opened: list[dict[str, int]] = []
            on_shares(test, [table], rules=rules, opened=opened)
            assert opened == [first | {STATISTIC: values}]


@pytest.mark.parametrize("test", ["chi-square", "mcnemar", "trend"])
def test_a_small_cell_refuses_the_test(test: str) -> None:
    for table in ([[60, 50], [41, 10]], [[60, 50], [41, 0]], [[0, 0], [41, 50]]):
        opened: list[dict[str, int]] = []
        with pytest.raises(DisclosureRefused, match="too few people"):
            on_shares(test, [table], rules=STANDARD, opened=opened)
        assert opened == [{BIT: 1}]


def test_a_stratum_with_a_small_cell_refuses_the_test() -> None:
    table = strata(LARGE, [[60, 50], [41, 10]])
    with pytest.raises(DisclosureRefused, match="too few people"):
        on_shares("mantel-haenszel", [table], rules=STANDARD)


def test_what_one_party_leaves_to_the_others_counts_too() -> None:
    sites = [np.array(LARGE), np.array([[12, 12], [12, 3]]), np.zeros((2, 2), np.int64)]
    with pytest.raises(DisclosureRefused, match="one party subtracts"):
        on_shares("chi-square", sites, rules=STANDARD, m=3)
    assert on_shares("chi-square", sites, rules=replace(STANDARD, small_remainders=True), m=3)["chi_square"] > 0


@pytest.mark.parametrize("test", ["fisher", "risk"])
def test_tests_of_single_cells_have_the_table_only(test: str) -> None:
    with pytest.raises(SpecError, match="no mode statistic"):
        on_shares(test, [LARGE])
    with pytest.raises(DisclosureRefused, match="rounded"):
        on_shares(test, [LARGE], rules=STANDARD, mode="auto")


def test_a_rounded_table_is_not_tested() -> None:
    with pytest.raises(DisclosureRefused, match="tests are not computed from rounded numbers"):
        on_shares("chi-square", [LARGE], rules=STANDARD, mode="table")


@pytest.mark.parametrize(("bits", "told"), [(21, 0.99), (12, 0.5)])
def test_why_every_cell_must_have_enough_people(bits: int, told: float) -> None:
    """Chi-square beside three cells rounded to 5: the fourth, hidden one mostly follows. All such tables, listed."""
    seen = [np.arange(center - 2, center + 3) for center in (60, 50, 40)]
    a, b, c, d = (np.array(axis, float) for axis in zip(*product(np.arange(11), *seen), strict=True))
    exact = (a + b + c + d) * (a * d - b * c) ** 2 / ((a + b) * (c + d) * (a + c) * (b + d))
    fraction, exponent = np.frexp(exact)
    released = np.ldexp(np.rint(fraction * 2**bits), exponent - bits)
    values, where = np.unique(released, return_inverse=True)
    least, most = np.full(len(values), 99.0), np.full(len(values), -1.0)
    np.minimum.at(least, where, a)
    np.maximum.at(most, where, a)
    assert np.mean((least == most)[where]) > told
