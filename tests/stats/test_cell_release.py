"""Counts released from what parties deal are those of the slow way, and cost what is declared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mpcstats.errors import RangeError
from mpcstats.field import M61
from mpcstats.protocols import deal
from mpcstats.protocols.declare import Case
from mpcstats.protocols.work import Work
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee
from mpcstats.stats.cell_release import release_cells, release_cells_work
from mpcstats.stats.disclosure import enough_without_each, release_counts
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.types import DisclosureRules

STANDARD = Policy.preset("standard").rules
OPEN = Policy.preset("open").rules
RULES = [
    STANDARD,
    replace(STANDARD, small_remainders=True),
    replace(STANDARD, minimum_count=0),
    replace(STANDARD, rounding_base=1),
    replace(STANDARD, minimum_count=1),
    replace(STANDARD, minimum_count=20, rounding_base=10),
    replace(STANDARD, minimum_count=7, rounding_base=6),
    replace(STANDARD, minimum_count=1000, rounding_base=1000),
    replace(STANDARD, minimum_count=1 << 28, rounding_base=2),
    OPEN,
]


def small_tables(parties: int, seed: int = 0) -> np.ndarray:
    """Counts of cells at each party; many around the thresholds, some large."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 14, (parties, 120))
    cells[:, :30] = rng.integers(0, 30, (parties, 30)) * (rng.random((parties, 30)) < 0.5)
    cells[:, 30:34] = [[0, 1, (1 << 29) // parties - 1, 1 << 26]] * parties
    cells[1:, 34:38] = 0
    return cells


def released(
    committee: Committee, tables: np.ndarray, dealers: tuple[int, ...], rules: DisclosureRules
) -> tuple[np.ndarray, np.ndarray, Work]:
    async def program(session: Session) -> tuple[np.ndarray, np.ndarray, int, int]:
        session.openings.declare("counts", tables.shape[1], "test")
        own = tables[dealers.index(session.index)] if session.index in dealers else None
        shown, where = await release_cells(session, own, dealers, tables.shape[1], "counts", rules)
        accounts = session.accounts
        return shown, where, accounts.rounds, sum(accounts.bytes_sent.values())

    first, *others = run_parties(committee, program)
    for other in others:
        np.testing.assert_array_equal(first[0], other[0])
    return first[0], first[1], Work(first[2], first[3] + sum(other[3] for other in others))


def slowly(tables: np.ndarray, rules: DisclosureRules) -> tuple[np.ndarray, np.ndarray]:
    """The general gate on the pooled counts, with the check that leaves each party out."""

    async def program(session: Session) -> tuple[np.ndarray, np.ndarray]:
        session.openings.declare("counts", tables.shape[1], "test")
        parts = [(await deal(session, M61, M61.from_int64(t), (1,), t.shape))[1] for t in tables]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        allowed = None
        if rules.minimum_count and not rules.small_remainders:
            allowed = await enough_without_each(session, parts, rules.minimum_count)
        return await release_counts(session, total, "counts", rules, allowed)

    shown, where = run_parties(Committee(1, 0), program)[0]
    return shown, where


@pytest.mark.parametrize("rules", RULES, ids=lambda r: f"{r.minimum_count}-{r.rounding_base}-{r.small_remainders}")
@pytest.mark.parametrize(("committee", "dealers"), [(Committee(3, 1), (1, 2, 3)), (Committee(3, 1), (2, 3))])
def test_released_counts_are_those_of_the_slow_way(
    committee: Committee, dealers: tuple[int, ...], rules: DisclosureRules
) -> None:
    tables = small_tables(len(dealers))
    shown, where, _ = released(committee, tables, dealers, rules)
    expected, visible = slowly(tables, rules)
    np.testing.assert_array_equal(shown, expected)
    np.testing.assert_array_equal(where, visible)


@pytest.mark.parametrize(
    ("committee", "dealers"),
    [
        (Committee(1, 0), (1,)),
        (Committee(3, 1), (3,)),
        (Committee(4, 1), (1, 2, 3, 4)),
        pytest.param(Committee(5, 2), (1, 2, 4, 5), marks=pytest.mark.long),
        pytest.param(Committee(7, 3), tuple(range(1, 8)), marks=pytest.mark.long),
    ],
)
@pytest.mark.parametrize("rules", [STANDARD, replace(STANDARD, small_remainders=True)], ids=["strict", "lax"])
def test_released_counts_of_other_committees(
    committee: Committee, dealers: tuple[int, ...], rules: DisclosureRules
) -> None:
    tables = small_tables(len(dealers), seed=1)
    shown, where, _ = released(committee, tables, dealers, rules)
    expected, visible = slowly(tables, rules)
    np.testing.assert_array_equal(shown, expected)
    np.testing.assert_array_equal(where, visible)


@pytest.mark.parametrize("rules", RULES[:-1], ids=lambda r: f"{r.minimum_count}-{r.rounding_base}-{r.small_remainders}")
def test_a_release_costs_what_is_stated(rules: DisclosureRules) -> None:
    for parties, t in ((1, 0), (3, 1), (4, 1)):
        tables, committee = small_tables(parties), Committee(parties, t)
        work = release_cells_work(Case(committee, M61, tables.shape[1]), parties, rules)
        spent = released(committee, tables, tuple(range(1, parties + 1)), rules)[2]
        assert spent == work


@pytest.mark.parametrize(("parties", "t", "rounds"), [(3, 1, 10), (4, 1, 12), (5, 2, 13), (7, 3, 14)])
def test_a_count_takes_few_rounds(parties: int, t: int, rounds: int) -> None:
    assert release_cells_work(Case(Committee(parties, t), M61, 1000), parties, STANDARD).rounds == rounds


def test_no_count_is_too_large() -> None:
    for wrong in (-1, 1 << 29):
        with pytest.raises(RangeError, match="count of people"):
            released(Committee(1, 0), np.array([[3, wrong]]), (1,), STANDARD)
