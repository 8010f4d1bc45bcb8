"""What a table with pooled margins tells: integer programs look for small cells that follow from what was released."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from scipy.optimize import LinearConstraint, milp

from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee
from mpcstats.stats.complementary import Guard, Suppression, choose
from mpcstats.stats.contributions.crosstab import CrosstabContribution, CrosstabPlan
from mpcstats.stats.crosstab import joint_crosstab
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.types import DisclosureRules

STANDARD = Policy.preset("standard").rules
LAX = replace(STANDARD, small_remainders=True)
EXACT = replace(LAX, rounding_base=1)


def table_of(sites: np.ndarray, rules: DisclosureRules, margins: str = "pooled") -> Outcome:
    """The released table of sites (sites, rows, columns)."""
    count, rows, columns = sites.shape
    plan = CrosstabPlan("row", "column", tuple(range(rows)), tuple(range(columns)), margins)

    async def program(session: Session) -> Outcome:
        own = CrosstabContribution(sites[session.index - 1])
        return await joint_crosstab(session, plan, own, tuple(range(1, count + 1)), Ruling(rules, {}))

    committee = Committee(count, (count - 1) // 2)
    first, *others = run_parties(committee, program)
    assert all(other.to_json() == first.to_json() for other in others)
    assert isinstance(first, Outcome)
    return first


@dataclass
class Attacker:
    """Knows the rules, how cells and margins are chosen, and what was released; with `own`, one site's table, too.

    Unknowns are the cells, or with `own` what all other sites have in them.
    """

    outcome: Outcome
    shape: tuple[int, int]
    rules: DisclosureRules
    own: np.ndarray | None = None
    rows: list[np.ndarray] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        cells = self.outcome.tables["cells"]
        status = cells["status"].to_numpy().reshape(self.shape)
        self.small = status == "suppressed"
        self.counts = cells["count"].to_numpy(dtype=float, na_value=np.nan).reshape(self.shape)
        self.choice: Suppression = choose(self.small)
        if self.outcome.values["margins"] == "pooled":
            np.testing.assert_array_equal(self.choice.added, status == "not available")
        k = self.rules.minimum_count
        for at in np.ndindex(*self.shape):
            one = np.zeros(self.shape)
            one[at] = 1
            if not np.isnan(self.counts[at]):
                self.know(one, *self.interval(float(self.counts[at])))
            elif self.small[at]:
                # a cell may be hidden for what a site leaves of it: then only lower bounds are known to an insider
                self.know(one, 0, k - 1 if self.rules.small_remainders else np.inf)
            else:
                self.know(one, k, np.inf)
        self.margins()

    def know(self, weights: np.ndarray, low: float, high: float) -> None:
        """low <= weighted sum of all people <= high."""
        mine = 0.0 if self.own is None else float((weights * self.own).sum())
        self.rows.append(weights.reshape(-1))
        self.low.append(low - mine)
        self.high.append(high - mine)

    def interval(self, shown: float) -> tuple[float, float]:
        k, base = self.rules.minimum_count, self.rules.rounding_base
        lowest = -(-k // base) * base
        least = k if shown <= lowest else shown - base // 2
        return least, shown + base - 1 - base // 2

    def margins(self) -> None:
        if "total" not in self.outcome.tables or self.outcome.values["margins"] != "pooled":
            return
        shown = {}
        for name, lines in (("row_margins", 0), ("column_margins", 1), ("total", 2)):
            for i, value in enumerate(self.outcome.tables[name]["count"].to_numpy(dtype=float, na_value=np.nan)):
                weights = np.zeros(self.shape)
                weights[(i,) if lines == 0 else (slice(None), i) if lines == 1 else ...] = 1
                shown[lines, i] = not np.isnan(value)
                if shown[lines, i]:
                    self.know(weights, *self.interval(value))
        if not self.rules.small_remainders:
            return  # a guard may fail for one site's sake
        found: list[tuple[int, int]] = [(0, int(i)) for i in np.flatnonzero(self.choice.guarded_rows)]
        found += [(1, int(i)) for i in np.flatnonzero(self.choice.guarded_columns)]
        for line, guard in zip(found, self.choice.guards, strict=True):
            self.guard(guard, shown[line])
        if self.choice.corner and all(shown[line] for line in found):
            self.guard(self.choice.corner, shown[2, 0])

    def guard(self, guard: Guard, holds: bool) -> None:
        weights = np.zeros(self.shape)
        weights[tuple(guard.cells.T)] = guard.weights
        bound = guard.bound(self.rules.minimum_count)
        self.know(weights, bound if holds else -np.inf, np.inf if holds else bound - 1)

    def bounds(self, at: tuple[int, ...]) -> tuple[float, float]:
        """Least and largest number in a cell; the unknowns are whole numbers that are not negative."""
        goal = np.zeros(self.shape)
        goal[at] = 1
        limits = LinearConstraint(np.array(self.rows), np.array(self.low), np.array(self.high))
        found = []
        for sign in (1, -1):
            best = milp(sign * goal.reshape(-1), constraints=limits, integrality=np.ones(goal.size, np.int64))
            assert best.status in (0, 3, 4), best.message  # optimal, or unbounded
            found.append(sign * best.fun if best.status == 0 else -sign * np.inf)
        return found[0], found[1]


def random_sites(rng: np.random.Generator, shape: tuple[int, int], sites: int) -> np.ndarray:
    """Tables with small, medium and large cells."""
    scale = rng.choice([2, 8, 20, 60, 300], size=shape, p=[0.15, 0.2, 0.25, 0.25, 0.15])
    pooled = rng.poisson(scale)
    weights = rng.dirichlet(np.ones(sites) * rng.choice([0.5, 5.0]))
    return np.moveaxis(np.array([[rng.multinomial(n, weights) for n in row] for row in pooled]), 2, 0)


def attack(seed: int, rules: DisclosureRules, margins: str = "pooled", insider: bool = False) -> tuple[int, int]:
    """Cells attacked, and margins released; fails where a cell is known better than it may be."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 6)), int(rng.integers(1, 6)))
    sites = random_sites(rng, shape, 3)
    outcome = table_of(sites, rules, margins)
    own = sites[seed % 3] if insider else None
    attacker, k = Attacker(outcome, shape, rules, own), rules.minimum_count
    hidden = np.argwhere(attacker.choice.hidden if margins == "pooled" else attacker.small)
    for at in map(tuple, hidden):
        low, high = attacker.bounds(at)
        if attacker.small[at]:
            # an insider with people enough of his own knows that others have some: else the cell would be shown
            assert low <= 0, (seed, at, low, high)
            assert high >= k - 1, (seed, at, low, high)
        else:
            assert high - low >= k - 1, (seed, at, low, high)
    shown = sum(int(outcome.tables[name]["count"].notna().sum()) for name in ("row_margins", "column_margins", "total"))
    return len(hidden), shown


POLICIES = [
    STANDARD,
    LAX,
    EXACT,
    replace(STANDARD, rounding_base=1),
    replace(LAX, minimum_count=5, rounding_base=3),
    replace(LAX, minimum_count=20, rounding_base=10),
]


@pytest.mark.parametrize("rules", POLICIES, ids=lambda r: f"{r.minimum_count}-{r.rounding_base}-{r.small_remainders}")
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_no_small_cell_follows_from_a_table(seed: int, rules: DisclosureRules) -> None:
    for margins in ("pooled", "released"):
        attack(seed, rules, margins)
    if not rules.small_remainders:
        attack(seed, rules, insider=True)


@pytest.mark.long
@pytest.mark.parametrize("rules", POLICIES, ids=lambda r: f"{r.minimum_count}-{r.rounding_base}-{r.small_remainders}")
def test_no_small_cell_follows_from_many_tables(rules: DisclosureRules) -> None:
    cells = margins = 0
    for seed in range(100, 130):
        for insider in (False, *([] if rules.small_remainders else [True])):
            found = attack(seed, rules, insider=insider)
            cells, margins = cells + found[0], margins + found[1]
        attack(seed, rules, "released")
    assert cells > 100
    assert margins > 60


def plain(sites: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return sites.sum(0), sites.sum((0, 2)), sites.sum((0, 1)), sites.sum().reshape(1)


def test_released_numbers_are_the_pooled_ones() -> None:
    """Large enough tables lose no margin to a small cell, and every number is right."""
    sites = np.array([[[40, 60, 33], [50, 2, 71], [80, 44, 90]]] * 3)
    sites[:, 1, 1] = [1, 0, 2]
    for rules in (EXACT, replace(STANDARD, rounding_base=1)):
        outcome = table_of(sites, rules)
        cells = outcome.tables["cells"]
        assert (cells["status"] == "suppressed").sum() == 1
        assert (cells["status"] == "not available").sum() == 3  # a rectangle
        true = plain(sites)
        shown = cells["count"].notna().to_numpy()
        np.testing.assert_array_equal(cells["count"][shown].to_numpy(dtype=int), true[0].reshape(-1)[shown])
        for name, numbers in zip(("row_margins", "column_margins", "total"), true[1:], strict=True):
            np.testing.assert_array_equal(outcome.tables[name]["count"].to_numpy(dtype=int), numbers)


def test_a_table_without_small_cells_keeps_everything() -> None:
    sites = np.full((3, 2, 4), 30)
    outcome = table_of(sites, STANDARD)
    assert outcome.tables["cells"]["count"].tolist() == [90] * 8
    assert outcome.tables["row_margins"]["count"].tolist() == [360] * 2
    assert outcome.tables["total"]["count"].tolist() == [720]
    assert table_of(sites, Policy.preset("open").rules).tables["column_margins"]["count"].tolist() == [180] * 4


def test_a_margin_whose_guard_is_small_stays_closed() -> None:
    """11 people beside one small cell: their sum would tell that the small cell is empty."""
    sites = np.zeros((1, 1, 3), np.int64)
    sites[0, 0] = [0, 11, 400]
    outcome = table_of(sites, EXACT)
    assert outcome.tables["cells"]["status"].tolist() == ["suppressed", "not available", "released"]
    assert outcome.tables["row_margins"]["count"].isna().all()
    sites[0, 0] = [0, 22, 400]
    assert table_of(sites, EXACT).tables["row_margins"]["count"].tolist() == [422]


def test_an_attacker_who_sees_plain_margins_finds_the_cell() -> None:
    """Planted leak: the margin of a row with one small cell, released as if nothing were hidden."""
    sites = np.array([[[3, 40, 50], [60, 70, 80]]])
    outcome = table_of(sites, EXACT, "none")
    attacker = Attacker(outcome, (2, 3), EXACT)
    attacker.know(np.array([[1, 1, 1], [0, 0, 0]]), 93, 93)
    assert attacker.bounds((0, 0)) == (3, 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2), (4, 6)])
def test_choices_hold_for_every_pattern(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    for density in (0.0, 0.1, 0.4, 0.9, 1.0):
        small = rng.random(shape) < density
        choice = choose(small)
        assert not (choice.added & small).any()
        for free, hidden in (
            (choice.free_rows, choice.hidden.any(axis=1)),
            (choice.free_columns, choice.hidden.any(axis=0)),
        ):
            np.testing.assert_array_equal(free, ~hidden)
        guarded = choice.hidden.sum(axis=1)[choice.guarded_rows] - small.sum(axis=1)[choice.guarded_rows]
        assert (guarded == 1).all()  # one cell that can take up what the small ones leave
        if not small.any():
            assert choice.margins == sum(shape) + 1
            assert not choice.added.any()
