"""Cumulative incidence and Gray's test over sites: any split gives R's digits, and rules withhold what they should."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import DataError, DisclosureRefused, SpecError
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee
from mpcstats.stats.competing_risks.incidence import incidence_at, incidence_tables
from mpcstats.stats.competing_risks.joint import joint_cumulative_incidence, joint_gray
from mpcstats.stats.contributions.competing_risks import CompetingRisksContribution, CompetingRisksPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.types import DisclosureRules

from .competing_truth import Cohort, cohort, columns_of
from .r_truth import everything, same, shipped, text

OPEN, STANDARD = Policy.preset("open").rules, Policy.preset("standard").rules
CASES = [
    pytest.param(p.values[0], sites, id=f"{p.id}-{sites}", marks=p.marks)
    for number, p in enumerate(shipped("competing_risks.json") + everything("competing_risks.json"))
    for sites in (range(2, 8) if number == 1 else (2 + number % 6,))  # the second one has few people and times
]


def plan_of(people: Cohort, horizon: int) -> CompetingRisksPlan:
    return CompetingRisksPlan(
        "group",
        tuple(text(level) for level in people.levels),
        horizon,
        1.0,
        "status",
        tuple(people.causes),
        tuple((int(cause),) for cause in people.causes),
    )


def on_lattice(people: Cohort, rows: np.ndarray, horizon: int) -> CompetingRisksContribution:
    events, censored = people.counts(rows)
    where = people.times.astype(int)
    d = np.zeros((1, *events.shape[:2], horizon + 1), np.int64)
    c = np.zeros((1, censored.shape[0], horizon + 1), np.int64)
    d[0][..., where], c[0][..., where] = events, censored
    return CompetingRisksContribution(d, c)


def run(
    plan: CompetingRisksPlan,
    owns: list[CompetingRisksContribution],
    rules: DisclosureRules,
    analysis: Callable[..., Any] = joint_cumulative_incidence,
    seen: dict[str, int] | None = None,
    **options: Any,
) -> Outcome:
    """Sites are the first parties of a committee of three or more; the rest have no data."""
    sites = len(owns)
    m = max(3, sites) if sites > 1 else 1
    owner = dict.fromkeys(DisclosureRules.__dataclass_fields__, "the policy")

    async def program(session: Session) -> Outcome:
        own = owns[session.index - 1] if session.index <= sites else None
        dealers = tuple(range(1, sites + 1))
        try:
            outcome: Outcome = await analysis(session, plan, own, dealers, Ruling(rules, owner), **options)
            return outcome
        finally:
            if seen is not None:
                seen.update({name: entry.values for name, entry in session.openings.manifest.items()})

    outcomes = run_parties(Committee(m, (m - 1) // 2), program)
    assert all(outcome.to_json() == outcomes[0].to_json() for outcome in outcomes)
    return outcomes[0]


@pytest.mark.long
@pytest.mark.parametrize(("entry", "sites"), CASES)
def test_any_split_of_the_people_gives_r(entry: dict[str, Any], sites: int) -> None:
    people, truth = cohort(entry), entry["result"]
    horizon = int(people.times[-1])
    site = np.random.default_rng(sites).integers(0, sites, len(people.time))
    plan = plan_of(people, horizon)
    owns = [on_lattice(people, site == s, horizon) for s in range(sites)]
    outcome = run(plan, owns, OPEN)
    curve, gray = outcome.tables["incidence"], outcome.tables["gray"]
    same(gray["chi_square"], truth["gray_test"]["stat"], rtol=1e-11)
    same(gray["p_value"], truth["gray_test"]["p"], rtol=1e-11)
    for group in truth["by_group_at_times"]:
        at = incidence_at(curve[curve["group"] == text(group["group_value"])], truth["at_times"]["times"])
        for k, cause in enumerate(people.causes):
            found = at[at["cause"] == cause]
            same(found["incidence"], columns_of(group["pstate"], [k + 1])[0])
            same(found["standard_error"], columns_of(group["std_err"], [k + 1])[0])
    assert outcome.values["curve"] == "exact"
    assert outcome.withheld == []


def random_people(seed: int, size: int = 240, horizon: int = 400) -> Cohort:
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 3, size)
    group = np.where(group == 2, 0, group)
    group[:6] = 2
    status = rng.choice(3, size, p=[0.3, 0.5, 0.2])
    return Cohort(
        np.arange(horizon + 1.0),
        rng.integers(0, horizon + 1, size),
        status,
        group,
        np.zeros((size, 0)),
        ["1", "2"],
        [7, 8, 9],
    )


def sites_of(people: Cohort, sites: int, horizon: int) -> list[CompetingRisksContribution]:
    site = np.random.default_rng(1).integers(0, sites, len(people.time))
    return [on_lattice(people, site == s, horizon) for s in range(sites)]


def test_standard_shows_rounded_curves_only() -> None:
    people = random_people(2)
    plan, seen = plan_of(people, 400), {}
    outcome = run(plan, sites_of(people, 3, 400), STANDARD, seen=seen)
    curve = outcome.tables["incidence"]
    assert outcome.values["curve"] == "rounded"
    assert set(curve["time"] % 30) == {0}
    assert set(outcome.tables) == {"incidence", "event_free", "causes"}
    events, _ = people.counts()
    shown = set()
    for (group, cause), part in curve.groupby(["group", "cause"]):
        exact = events[int(cause) - 1, people.levels.index(int(group))].cumsum()[part["time"].astype(int)]
        steps = part["events"].cumsum()
        np.testing.assert_array_equal(steps, np.where(exact >= 15, exact // 15 * 15 + 7, 0))
        shown.add(group)
    assert "9" not in shown  # 6 people are fewer than 11
    # threshold and rounding of the start, the end of each curve, and steps of three kinds in 14 grid points
    assert {name: n for name, n in seen.items() if n} == {
        "people at start": 3,
        "visible grid points": 3,
        "cumulative events of each cause and censorings": 3 * 3 * 14,
    }
    cited = " ".join(outcome.withheld)
    for rule in ("time_grid", "exact_curve", "step_minimum", "rounding_base", "minimum_count", "at_risk_floor"):
        assert rule in cited
    assert "Gray's test" in outcome.withheld[-1]


def test_groups_below_the_minimum_stay_closed_beside_exact_curves() -> None:
    people = random_people(3)
    rules = replace(OPEN, minimum_count=15)
    outcome = run(plan_of(people, 400), sites_of(people, 4, 400), rules)
    assert set(outcome.tables["incidence"]["group"]) == {"7", "8"}
    assert outcome.tables["causes"]["records"].isna().tolist() == [False, False, False, False, True, True]
    assert outcome.withheld == ["1 of 3 groups hidden (minimum_count = 15 because of the policy)"]
    assert outcome.tables["gray"]["degrees_of_freedom"].tolist() == [1, 1]
    alone = run(plan_of(people, 400), sites_of(people, 4, 400), rules, joint_gray)
    np.testing.assert_array_equal(alone.tables["gray"]["chi_square"], outcome.tables["gray"]["chi_square"])
    assert alone.tables["groups"]["group"].tolist() == ["7", "8", "7", "8"]


@pytest.mark.parametrize("rules", [replace(OPEN, minimum_count=11, small_remainders=False), STANDARD])
def test_no_group_is_shown_where_one_party_could_subtract_all_but_a_few(rules: DisclosureRules) -> None:
    people = random_people(8)
    who = people.group == 1
    many, few = np.flatnonzero(who)[4:], np.flatnonzero(who)[:4]
    site = np.random.default_rng(4).integers(0, 2, len(people.time))
    site[many], site[few] = 0, 1
    owns = [on_lattice(people, site == s, 400) for s in (0, 1)]
    outcome = run(plan_of(people, 400), owns, rules)
    assert set(outcome.tables["incidence"]["group"]) == {"7"}
    assert "small_remainders" in " ".join(outcome.withheld)


def test_gray_is_refused_before_anything_is_shared() -> None:
    people = random_people(4)
    owns = sites_of(people, 2, 400)
    seen: dict[str, int] = {}
    with pytest.raises(DisclosureRefused, match="exact_curve"):
        run(plan_of(people, 400), owns, STANDARD, joint_gray, seen)
    assert seen == {}
    with pytest.raises(DisclosureRefused, match="fewer than two groups"):
        run(plan_of(people, 400), owns, replace(OPEN, minimum_count=100_000), joint_gray)
    with pytest.raises(SpecError, match="two levels"):
        run(replace(plan_of(people, 400), groups=()), owns, OPEN, joint_gray)


def with_strata(people: Cohort, stratum: np.ndarray, rows: np.ndarray, horizon: int) -> CompetingRisksContribution:
    parts = [on_lattice(people, rows & (stratum == s), horizon) for s in (0, 1)]
    return CompetingRisksContribution(
        np.concatenate([part.events for part in parts]), np.concatenate([part.censored for part in parts])
    )


def test_stratified_gray_test() -> None:
    people = random_people(5)
    stratum = np.random.default_rng(2).integers(0, 2, len(people.time))
    site = np.random.default_rng(3).integers(0, 3, len(people.time))
    owns = [with_strata(people, stratum, site == s, 400) for s in range(3)]
    plan = replace(plan_of(people, 400), strata=("early", "late"))
    outcome = run(plan, owns, OPEN, joint_gray, rho=0.5)
    whole = run(plan, [with_strata(people, stratum, site >= 0, 400)], OPEN, joint_gray, rho=0.5)
    assert outcome.to_json() == whole.to_json()
    plain = run(plan_of(people, 400), sites_of(people, 1, 400), OPEN, joint_gray, rho=0.5)
    assert not np.allclose(plain.tables["gray"]["chi_square"], outcome.tables["gray"]["chi_square"])
    # curves are of all strata together
    whole = with_strata(people, stratum, site >= 0, 400)
    np.testing.assert_array_equal(
        run(plan, [whole], OPEN).tables["incidence"]["incidence"],
        run(plan_of(people, 400), sites_of(people, 1, 400), OPEN).tables["incidence"]["incidence"],
    )
    assert "gray" not in run(plan, [whole], OPEN).tables
    # six people of one group are in two strata
    hidden = run(plan, owns, replace(OPEN, minimum_count=10), joint_gray)
    assert hidden.withheld == ["2 of 6 groups within strata hidden (minimum_count = 10 because of the policy)"]
    assert hidden.tables["gray"]["degrees_of_freedom"].tolist() == [1, 1]


def test_late_entries() -> None:
    rng = np.random.default_rng(9)
    entry, site = rng.integers(0, 20, 90), rng.integers(0, 3, 90)
    leave, status = entry + rng.integers(1, 20, 90), rng.integers(0, 3, 90)
    owns = []
    for s in range(3):
        cells, came = np.zeros((3, 40), np.int64), np.zeros((1, 40), np.int64)
        np.add.at(cells, (status[site == s], leave[site == s]), 1)
        np.add.at(came[0], entry[site == s], 1)
        owns.append(CompetingRisksContribution(cells[None, 1:, None], cells[None, :1], came))
    plan = CompetingRisksPlan(None, (), 39, 1.0, "status", ("a", "b"), ((1,), (2,)), entry="from")
    outcome = run(plan, owns, OPEN)
    pooled = [sum(part) for part in zip(*((o.events[0], o.censored[0], o.entered) for o in owns), strict=True)]
    expected = incidence_tables(*pooled, causes=["a", "b"])["incidence"]
    np.testing.assert_array_equal(outcome.tables["incidence"]["incidence"], expected["incidence"])
    seen: dict[str, int] = {}
    with pytest.raises(DisclosureRefused, match="enter late"):
        run(plan, owns, STANDARD, seen=seen)
    assert seen == {}
    with pytest.raises(SpecError, match="enter late"):
        run(replace(plan, groups=(1, 2)), owns, OPEN, joint_gray)


def test_sites_without_people_and_groups_without_events() -> None:
    people = random_people(6)
    nobody = on_lattice(people, np.zeros(len(people.time), bool), 400)
    everybody = on_lattice(people, np.ones(len(people.time), bool), 400)
    one = run(plan_of(people, 400), [everybody], OPEN)
    spread = run(plan_of(people, 400), [nobody, everybody, nobody], OPEN)
    assert one.to_json() == spread.to_json()
    empty = run(plan_of(people, 400), [nobody, nobody], OPEN)
    assert empty.tables["incidence"].empty
    assert np.isnan(empty.tables["gray"]["chi_square"]).all() or (empty.tables["gray"]["degrees_of_freedom"] == 0).all()
    hidden = run(plan_of(people, 400), [nobody, nobody], STANDARD)
    assert hidden.tables["incidence"].empty


def test_contributions_must_fit_the_plan() -> None:
    people = random_people(7)
    plan = plan_of(people, 400)
    own = on_lattice(people, np.ones(len(people.time), bool), 400)
    with pytest.raises(DataError, match="do not fit"):
        run(plan, [replace(own, events=own.events[..., :-1])], OPEN)
    with pytest.raises(DataError, match="entry times"):
        run(replace(plan, entry="from"), [own], OPEN)
    with pytest.raises(SpecError, match="two causes"):
        replace(plan, cause_values=((1,), (1, 2)))
    with pytest.raises(SpecError, match="a name of its own"):
        replace(plan, causes=("a", "a"))
