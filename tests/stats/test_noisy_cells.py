"""Counts with joint noise: the very sum of counts and parts, behind the exact and the noisy threshold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mpcstats.errors import ConfigurationError, DisclosureRefused, RangeError
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.sharing.streams import Stream
from mpcstats.stats.contributions.counts import CountContribution, CountPlan
from mpcstats.stats.contributions.crosstab import CrosstabContribution, CrosstabPlan
from mpcstats.stats.counts import joint_count
from mpcstats.stats.crosstab import joint_crosstab
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.joint_noise import JointNoise
from mpcstats.stats.outcome import Outcome
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.types import DisclosureRules

NOISY = replace(Policy.preset("standard").rules, noise_scale=300)
FREE = replace(NOISY, minimum_count=0, rounding_base=1)
LEVELS = tuple(range(40))
PLAN = CountPlan(by=("group",), levels=(LEVELS,))


def tables(sites: int) -> np.ndarray:
    found = np.random.default_rng(sites).integers(0, 16, (sites, len(LEVELS)))
    found[:, :4] = 0
    found[1:, 4:8] = 0
    found[0, 8] = 1 << 27
    return found


def seed(party: int) -> bytes:
    return bytes([40 + party]) * 32


def counted(
    committee: Committee, own: np.ndarray, dealers: tuple[int, ...], rules: DisclosureRules, guests: int = 0
) -> Outcome:
    async def program(session: Session) -> Outcome:
        mine = CountContribution(own[dealers.index(session.index)]) if session.index in dealers else None
        ruling = Ruling(rules, dict.fromkeys(DisclosureRules.__dataclass_fields__, "test"))
        outcome = await joint_count(session, PLAN, mine, dealers, ruling, seed(session.index))
        # what is opened by declaration is counts, once each
        assert {name: e.values for name, e in session.openings.manifest.items()} == {"counts": len(LEVELS)}
        assert "with noise" in session.openings.manifest["counts"].why
        return outcome

    first, *others = run_parties(committee, program, guests=guests)
    assert isinstance(first, Outcome)
    for other in others:
        assert other.tables["counts"].equals(first.tables["counts"])
    return first


def noisy(committee: Committee, own: np.ndarray, rules: DisclosureRules) -> np.ndarray:
    noise = JointNoise.of(rules.noise_scale, committee)
    parts = [noise.part(Stream(seed(j), "joint noise"), len(LEVELS)) for j in committee.members]
    return np.asarray(own.sum(axis=0) + np.sum(parts, axis=0))


@pytest.mark.parametrize(("m", "dealers", "guests"), [(1, (1,), 0), (3, (1, 2, 3), 0), (4, (2, 3), 0), (5, (1, 6), 2)])
def test_noise_of_every_member_is_added(m: int, dealers: tuple[int, ...], guests: int) -> None:
    """Members without data deal noise, guests with data do not."""
    committee, own = Committee(m, default_threshold(m)), tables(len(dealers))
    found = counted(committee, own, dealers, FREE, guests)
    expected = noisy(committee, own, FREE)
    assert (expected < 0).any()
    assert found.tables["counts"]["count"].tolist() == np.maximum(expected, 0).tolist()
    assert (found.tables["counts"]["status"] == "released").all()


@pytest.mark.parametrize("base", [2, 5, 9, 513, 1000])
def test_noisy_counts_are_rounded_below_zero_too(base: int) -> None:
    committee, own = Committee(3, 1), tables(3)
    rules = replace(FREE, rounding_base=base, noise_scale=10_000 if base == 9 else 300)
    found = counted(committee, own, (1, 2, 3), rules).tables["counts"]["count"].to_numpy(np.int64)
    expected = (noisy(committee, own, rules) + base // 2) // base * base
    assert found.tolist() == np.maximum(expected, 0).tolist()


@pytest.mark.parametrize("rules", [NOISY, replace(NOISY, small_remainders=True), replace(NOISY, rounding_base=1)])
def test_both_thresholds_must_be_reached(rules: DisclosureRules) -> None:
    committee, own, rules = Committee(3, 1), tables(3), replace(rules, noise_scale=1000)
    counts = counted(committee, own, (1, 2, 3), rules).tables["counts"]
    exact, with_noise = own.sum(axis=0), noisy(committee, own, rules)
    allowed = exact >= 11
    if not rules.small_remainders:
        others = exact - own
        allowed &= ((others == 0) | (others >= 11)).all(axis=0)
    shown = allowed & (with_noise >= 11)
    # the fixed draw has cells that only one of the two thresholds hides
    assert (allowed & (with_noise < 11)).any()
    assert (~allowed & (with_noise >= 11)).any()
    base = rules.rounding_base
    lowest = -(-11 // base) * base
    rounded = np.maximum((with_noise + base // 2) // base * base, lowest)
    assert (counts["status"] == "released").tolist() == shown.tolist()
    assert counts["count"].fillna(0).tolist() == np.where(shown, rounded, 0).tolist()


def test_results_say_what_noise_they_have() -> None:
    outcome = counted(Committee(3, 1), tables(3), (1, 2, 3), FREE)
    assert outcome.conventions["epsilon"].startswith("0.333333 for one person")
    assert "noise_scale = 300 because of test" in outcome.conventions["epsilon"]
    assert "standard deviation 5.172 people" in outcome.conventions["noise"]
    assert any("counts have noise" in line for line in outcome.withheld)
    assert "not covered" not in outcome.conventions["epsilon"]
    assert "not covered" in counted(Committee(3, 1), tables(3), (1, 2, 3), NOISY).conventions["epsilon"]


def table_of(margins: str, rules: DisclosureRules, noise: bytes | None = b"s" * 32) -> Outcome:
    plan = CrosstabPlan("a", "b", (0, 1), (0, 1, 2), margins)

    async def program(session: Session) -> Outcome:
        own = CrosstabContribution(np.array([[9, 20, 31], [14, 0, 50]]) * session.index)
        return await joint_crosstab(session, plan, own, (1, 2, 3), Ruling(rules, {}), noise)

    found: list[Outcome] = run_parties(Committee(3, 1), program)
    return found[0]


def test_margins_are_sums_of_noisy_cells_and_never_pooled() -> None:
    outcome = table_of("released", FREE)
    cells = outcome.tables["cells"]["count"].to_numpy(np.int64).reshape(2, 3)
    assert outcome.tables["row_margins"]["count"].tolist() == cells.sum(axis=1).tolist()
    assert outcome.tables["total"]["count"].tolist() == [cells.sum()]
    noise = JointNoise.of(300, Committee(3, 1)).part(Stream(b"s" * 32, "joint noise"), 6)
    exact = np.array([[9, 20, 31], [14, 0, 50]]) * 6
    assert cells.reshape(-1).tolist() == np.maximum(exact.reshape(-1) + 3 * noise, 0).tolist()
    assert "epsilon" in outcome.conventions
    with pytest.raises(DisclosureRefused, match="pooled margins are not released with noise"):
        table_of("pooled", FREE)


def test_there_is_no_noise_without_a_ledger() -> None:
    with pytest.raises(ConfigurationError, match="noise needs the ledger"):
        table_of("released", FREE, None)


def test_counts_beyond_the_range_are_refused() -> None:
    with pytest.raises(RangeError, match="not within"):
        counted(Committee(1, 0), -tables(1), (1,), FREE)
