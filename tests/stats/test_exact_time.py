"""Hidden times: the pooled curve and test, whatever the split, and nothing but what was asked."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal, getcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import DataError, DisclosureRefused, RangeError, SpecError
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.stats.contributions.exact_time import MOST_ROWS, ExactTimeContribution, ExactTimePlan
from mpcstats.stats.contributions.survival import SurvivalContribution, SurvivalPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.exact_time import joint_exact_time
from mpcstats.stats.exact_time.fixed_logs import fixed_log, fixed_square
from mpcstats.stats.kaplan_meier import tables_from_counts
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.survival import Readings, joint_kaplan_meier
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message

from .in_the_clear import in_the_clear
from .r_truth import SHARED, everything, numbers, records, shipped

ONE, THREE = Committee(1, 0), Committee(3, 1)
OPEN, STANDARD = (Policy.preset(name).rules for name in ("open", "standard"))
People = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Time in units, event, group."""


def ask(
    people: People,
    rules: Any = OPEN,
    *,
    committee: Committee = ONE,
    sites: np.ndarray | None = None,
    groups: int | None = None,
    unit: float = 1.0,
    horizon: int | None = None,
    rows: int | None = None,
    dealers: int | None = None,
    opened: dict[str, int] | None = None,
    observe: Any = None,
    **request: Any,
) -> Outcome:
    """Run with each person at the site that `sites` names, or at random."""
    time, event, group = (np.asarray(x) for x in people)
    dealers = committee.m if dealers is None else dealers
    where = np.random.default_rng(len(time)).integers(0, dealers, len(time)) if sites is None else sites
    most = int(np.bincount(where, minlength=dealers).max(initial=0))
    count = int(group.max(initial=0)) + 1 if groups is None else groups
    plan = ExactTimePlan(
        by="arm",
        groups=tuple(str(g) for g in range(count)) if count > 1 else (),
        unit=unit,
        horizon=int(time.max(initial=0)) + 3 if horizon is None else horizon,
        rows=most + 2 if rows is None else rows,
        event="dead",
        event_values=(1,),
    )

    async def program(session: Session) -> Outcome:
        here, own = where == session.index - 1, None
        if session.index <= dealers:
            own = ExactTimeContribution(
                time[here].astype(np.int64), event[here].astype(np.bool_), group[here].astype(np.int64)
            )
        try:
            return await joint_exact_time(
                session, plan, own, tuple(range(1, dealers + 1)), Ruling(rules, {}), **request
            )
        finally:
            if opened is not None:
                opened.update({entry.name: entry.values for entry in session.openings.manifest.values()})

    outcomes = run_parties(committee, program, observe=observe)
    assert len({outcome.to_json() for outcome in outcomes}) == 1
    return outcomes[0]


def some(seed: int, people: int = 60, times: int = 15, groups: int = 2) -> People:
    rng = np.random.default_rng(seed)
    return rng.integers(0, times, people), rng.random(people) < 0.6, rng.integers(0, groups, people)


def counts(people: People, groups: int) -> tuple[np.ndarray, np.ndarray]:
    time, event, group = (np.asarray(x) for x in people)
    events, censored = np.zeros((2, groups, int(time.max(initial=0)) + 1), np.int64)
    np.add.at(events, (group[event], time[event]), 1)
    np.add.at(censored, (group[~event], time[~event]), 1)
    return events, censored


def check_curves(people: People, outcome: Outcome, unit: float = 1.0) -> None:
    """Survival at the landmarks and medians against the table of counts in the clear."""
    names = outcome.tables["landmarks"]["group"].unique().tolist()
    clear = tables_from_counts(*counts(people, len(names)), groups=names, unit=unit)
    curve = clear["curve"]
    columns = ["survival", "standard_error", "lower", "upper"]
    for _, row in outcome.tables["landmarks"].iterrows():
        before = curve[(curve["group"] == row["group"]) & (curve["time"] <= row["time"] * (1 + 1e-12))]
        wanted = before.iloc[-1][columns].to_numpy(float) if len(before) else np.array([1, 0, 1, 1.0])
        np.testing.assert_allclose(row[columns].to_numpy(float), wanted, rtol=1e-9, atol=1e-9)
    for name in ("median", "lower", "upper"):
        np.testing.assert_allclose(outcome.tables["medians"][name], clear["medians"][name], rtol=1e-12)
    assert outcome.tables["medians"]["records"].tolist() == clear["medians"]["records"].tolist()


def chi_square(people: People, groups: int, **request: Any) -> float:
    events, censored = counts(people, groups)
    n = np.cumsum((events + censored)[:, ::-1], axis=1)[:, ::-1]
    u, v = in_the_clear(events[None], n[None], **request)
    return float(u[1:] @ np.linalg.solve(v[1:, 1:], u[1:]))


EVERYTHING = {"medians": True, "logrank": True}


# --- known answers ---------------------------------------------------------------------------------------------------


def lung() -> People:
    frame = pd.read_csv(Path(__file__).parents[1] / "data" / "lung.csv")
    return frame["time"].to_numpy(), frame["status"].to_numpy() == 1, frame["sex"].to_numpy() - 1


@pytest.mark.long
def test_lung_as_r_has_it() -> None:
    """R 4.2.2, survival 3.5.3: survfit and survdiff of Surv(time, status) by sex."""
    outcome = ask(lung(), landmarks=(100, 365, 1022), **EVERYTHING)
    medians = outcome.tables["medians"]
    assert medians[["median", "lower", "upper"]].to_numpy().tolist() == [[270, 212, 310], [426, 348, 550]]
    assert outcome.values["chi_square"] == pytest.approx(10.326741954885632, rel=1e-10)
    assert outcome.values["degrees_of_freedom"] == 1
    for weights, value in (("wilcoxon", 12.47213533126259), ("tarone-ware", 12.455543902215107)):
        test = ask(lung(), logrank=True, weights=weights)
        assert test.values["chi_square"] == pytest.approx(value, rel=1e-10)
    check_curves(lung(), outcome)


@pytest.mark.parametrize("id_", ["aml", "ovarian"])
def test_every_time_equals_r(id_: str) -> None:
    """R's whole curve, read at its own times (24 at once), and its median."""
    found = [
        p.values[0] for p in shipped("survfit.json") if p.values[0]["id"] == id_ and "group_value" not in p.values[0]
    ]
    (result,) = (entry["result"] for entry in found)
    table = {name: numbers(values) for name, values in result["table"].items()}
    time = np.repeat(table["time"], (table["n_event"] + table["n_censor"]).astype(int)).astype(np.int64)
    event = np.concatenate(
        [np.arange(int(d + c)) < d for d, c in zip(table["n_event"], table["n_censor"], strict=True)]
    )
    landmarks = table["time"][:24]
    outcome = ask((time, event, 0 * time), landmarks=landmarks, medians=True)
    ours = outcome.tables["landmarks"]
    np.testing.assert_allclose(ours["survival"], table["surv"][:24], rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(ours["standard_error"], table["std_err_surv"][:24], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(
    "entry", [e for e in everything("logrank.json") if str(e.id).startswith(("larynx", "waltons", "absent"))]
)
def test_other_data_sets_equal_r(entry: dict[str, Any]) -> None:
    check_entry(entry, ONE)


def entries_to_merge(m: int) -> list[Any]:
    """R's entries that this analysis can answer: it has no strata, and merges lists of this length within a test."""
    longest = 1000 if m == 3 else 200
    asked = []
    for found in everything("logrank.json"):
        entry = found.values[0]
        if entry is None or not (entry.get("strata") or entry["rows_used"] > longest):
            asked.append(pytest.param(entry, m, id=f"{found.id}-{m}", marks=found.marks))
    return asked


@pytest.mark.long
@pytest.mark.parametrize(("entry", "m"), [case for m in (3, 5, 7) for case in entries_to_merge(m)])
def test_any_split_over_sites_equals_r(entry: dict[str, Any], m: int) -> None:
    check_entry(entry, Committee(m, default_threshold(m)))


def check_entry(entry: dict[str, Any], committee: Committee) -> None:
    time, event, group = records(entry)
    unit = 1.0 if np.array_equal(time, np.rint(time)) else 0.001
    people = np.rint(time / unit).astype(np.int64), event, np.unique(group, return_inverse=True)[1]
    groups, truth = len(entry["group_levels"]), entry["result"]["survdiff_rho0"]
    marks = np.unique(np.rint(np.quantile(people[0], [0.2, 0.6]))) * unit
    outcome = ask(people, committee=committee, groups=groups, unit=unit, landmarks=marks, **EVERYTHING)
    assert outcome.values["chi_square"] == pytest.approx(truth["chisq"], rel=1e-9)
    assert outcome.values["degrees_of_freedom"] == truth["df"]
    check_curves(people, outcome, unit)


def test_continuous_times_equal_lifelines() -> None:
    from lifelines import KaplanMeierFitter
    from lifelines.statistics import multivariate_logrank_test

    rng = np.random.default_rng(5)
    time, event, group = rng.exponential(2.0, 40), rng.random(40) < 0.7, rng.integers(0, 3, 40)
    unit = 2.0**-30
    people = np.rint(time / unit).astype(np.int64), event, group
    outcome = ask(people, unit=unit, landmarks=(0.5, 1.5, 4.0), **EVERYTHING)
    test = multivariate_logrank_test(time, group, event)
    assert outcome.values["chi_square"] == pytest.approx(test.test_statistic, rel=1e-10)
    for g in range(3):
        fitted = KaplanMeierFitter().fit(time[group == g], event[group == g])
        ours = outcome.tables["landmarks"].query(f"group == '{g}'")["survival"]
        np.testing.assert_allclose(ours, fitted.survival_function_at_times([0.5, 1.5, 4.0]), rtol=1e-10)
        assert outcome.tables["medians"]["median"][g] == pytest.approx(fitted.median_survival_time_, rel=1e-8)


@pytest.mark.long
@pytest.mark.parametrize(("m", "dealers"), [(3, 2), *(pytest.param(m, m, marks=pytest.mark.long) for m in (3, 5))])
def test_ties_across_sites(m: int, dealers: int) -> None:
    people = some(m, people=30, times=6)
    outcome = ask(
        people,
        committee=Committee(m, default_threshold(m)),
        dealers=dealers,
        landmarks=(1, 3),
        trend=(1, 2),
        **EVERYTHING,
    )
    assert outcome.values["chi_square"] == pytest.approx(chi_square(people, 2), rel=1e-10)
    assert outcome.values["trend_chi_square"] == pytest.approx(chi_square(people, 2), rel=1e-10)
    check_curves(people, outcome)


# --- edges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["logrank", "wilcoxon", "tarone-ware"])
@pytest.mark.parametrize("groups", [2, 4])
def test_random_people(groups: int, weights: str) -> None:
    for seed in range(2):
        people = some(seed, people=40, groups=groups, times=3 + 4 * seed)
        outcome = ask(people, groups=groups, logrank=True, weights=weights)
        assert outcome.values["chi_square"] == pytest.approx(chi_square(people, groups, weights=weights), rel=1e-9)


def test_random_curves() -> None:
    for seed in range(8):
        people = some(seed, people=5 + 3 * seed, times=2 + seed)
        check_curves(people, ask(people, groups=2, landmarks=(0, 1, 2), medians=True))


CURVES: dict[str, tuple[list[int], list[int]]] = {
    "exactly one half over an interval": ([1, 2, 3, 4], [1, 1, 1, 1]),
    "exactly one half to the end": ([1, 2, 3, 5], [1, 1, 0, 0]),
    "never below one half": ([1, 2, 3, 4], [1, 0, 0, 0]),
    "all censored": ([1, 2, 3, 4], [0, 0, 0, 0]),
    "everybody at one time": ([3, 3, 3, 3], [1, 1, 0, 1]),
    "everybody at time 0": ([0, 0, 0], [1, 0, 1]),
    "one person": ([2], [1]),
    "the last person has the event": ([1, 2, 2, 3, 7], [1, 0, 1, 0, 1]),
    "the last person has it at a time with others": ([1, 2, 2, 7, 7], [1, 0, 1, 1, 1]),
}


@pytest.mark.parametrize("name", CURVES)
def test_edges_of_a_curve(name: str) -> None:
    time, event = (np.array(x) for x in CURVES[name])
    people = time, event == 1, 0 * time
    check_curves(people, ask(people, landmarks=(0, 2, 3, 6), medians=True, horizon=10))


def test_a_group_of_nobody_and_a_site_of_nobody() -> None:
    time, event, _ = some(3, people=30)
    people = time, event, np.where(np.arange(30) % 2, 2, 0)  # nobody in the middle group
    sites = np.where(np.arange(30) % 3, 0, 2)  # nobody at the second site
    outcome = ask(people, committee=THREE, sites=sites, groups=3, landmarks=(2, 5), **EVERYTHING)
    assert outcome.values["degrees_of_freedom"] == 1
    two = time, event, np.arange(30) % 2
    assert outcome.values["chi_square"] == pytest.approx(chi_square(two, 2), rel=1e-10)
    assert outcome.tables["medians"]["median"].isna().tolist()[1]
    assert outcome.tables["landmarks"].query("group == '1'")["survival"].isna().all()


@pytest.mark.parametrize("empty", [0, 1, 2])
@pytest.mark.parametrize("weights", ["logrank", "tarone-ware"])
def test_a_group_that_is_gone_before_the_first_event_leaves_the_test(empty: int, weights: str) -> None:
    rng = np.random.default_rng(7)
    time, event, group = rng.integers(3, 9, 40), rng.random(40) < 0.7, rng.integers(0, 2, 40)
    labels = [g for g in range(3) if g != empty]
    people = (
        np.r_[time, [0, 1, 2]],
        np.r_[event, [False] * 3],
        np.r_[np.array(labels)[group], [empty] * 3],
    )
    outcome = ask(people, logrank=True, groups=3, weights=weights)
    assert outcome.values["degrees_of_freedom"] == 1
    alone = chi_square((time, event, group), 2, weights=weights)
    assert outcome.values["chi_square"] == pytest.approx(alone, rel=1e-10)


@pytest.mark.parametrize("groups", [2, 3])
def test_no_events_no_test(groups: int) -> None:
    time, _, group = some(1, groups=groups)
    outcome = ask((time, np.zeros(len(time), bool), group), groups=groups, logrank=True)
    assert [outcome.values[k] for k in ("chi_square", "degrees_of_freedom", "p_value")] == [0.0, 0, 1.0]


def test_everybody_dies_at_one_time() -> None:
    """No variance: no test, though events are expected in both groups."""
    outcome = ask((np.full(6, 4), np.ones(6, bool), np.arange(6) % 2), logrank=True)
    assert outcome.values["degrees_of_freedom"] == 1
    assert math.isnan(outcome.values["chi_square"])


# --- what is refused, and what is opened -----------------------------------------------------------------------------


def test_requests_that_cannot_be() -> None:
    people = some(1)
    for request, match in (
        ({}, "no landmarks, medians or test"),
        ({"landmarks": (2, 1)}, "increasing"),
        ({"landmarks": (0.5,)}, "whole multiples"),
        ({"landmarks": (10**6,)}, "up to"),
        ({"landmarks": (math.nan,)}, "increasing"),
        ({"landmarks": range(25), "horizon": 30}, "too many: 24"),
        ({"logrank": True, "weights": "peto-peto-R"}, "follow from the curve"),
        ({"medians": True, "conf_level": 1.0}, "between 0 and 1"),
    ):
        with pytest.raises(SpecError, match=match):
            ask(people, **request)
    with pytest.raises(SpecError, match="compares groups"):
        ask((people[0], people[1], 0 * people[2]), logrank=True)
    with pytest.raises(RangeError, match=r"rounded curves with 2,000,001 grid points.*time_grid = 30"):
        ask(people, STANDARD, landmarks=(30,), horizon=60_000_000)


def test_too_many_rows_are_refused_with_their_cost() -> None:
    sent: list[Message] = []
    with pytest.raises(RangeError, match=r"20,001 rows are too many.*220,803 comparisons, \d+ MB sent.*rounds"):
        ask(some(1), committee=THREE, rows=6667, logrank=True, observe=sent.append)
    assert sent == []
    assert MOST_ROWS == 20_000


def test_people_that_do_not_fit_stay_at_home() -> None:
    sent: list[Message] = []
    for people, request, match in (
        (some(1), {"rows": 10}, "60 people where the study has room for 10 rows"),
        (some(1), {"horizon": 3}, "times are not within"),
        (some(1, groups=3), {"groups": 2}, "people are in no group"),
    ):
        with pytest.raises(DataError, match=match):
            ask(people, observe=sent.append, logrank=True, **request)
    assert sent == []


@pytest.mark.long
def test_messages_do_not_tell_how_many_people_a_site_has() -> None:
    traces = []
    for sites in (np.arange(6) % 3, np.zeros(6, np.int64)):
        seen: list[Message] = []
        people = some(4, people=6)
        ask(people, committee=THREE, sites=sites, rows=6, horizon=20, observe=seen.append, landmarks=(5,), **EVERYTHING)
        traces.append(sorted((m.step, m.sender, m.receiver, len(m.payload)) for m in seen))
    assert traces[0] == traces[1]


def cohort(seed: int, people: int = 400) -> People:
    rng = np.random.default_rng(seed)
    start = np.ceil(rng.exponential(300, people)).astype(np.int64)
    end = np.ceil(rng.uniform(100, 900, people)).astype(np.int64)
    return np.minimum(start, end), start <= end, rng.integers(0, 2, people)


def lattice_curves(people: People, groups: int) -> Outcome:
    """What a Kaplan-Meier analysis shows of the same people under the same rules."""
    events, censored = counts(people, groups)
    shape = SurvivalPlan(
        by="arm" if groups > 1 else None,
        groups=tuple(str(g) for g in range(groups)) if groups > 1 else (),
        horizon=events.shape[1] - 1,
        unit=1.0,
        event="dead",
        event_values=(1,),
    )

    async def program(session: Session) -> Outcome:
        own = SurvivalContribution(events, censored)
        wanted = Readings(times=(30.0, 300.0, 345.0, 800.0))
        return await joint_kaplan_meier(session, shape, own, (1,), Ruling(STANDARD, {}), wanted)

    return run_parties(ONE, program)[0]


def test_rounded_curves_are_those_of_a_kaplan_meier_analysis() -> None:
    """Equal numbers, so that both together tell nothing that one of them does not."""
    people = cohort(3, 300)
    opened: dict[str, int] = {}
    most = int(people[0].max())
    outcome = ask(people, STANDARD, landmarks=(30, 300, 345, 800), opened=opened, horizon=most, **EVERYTHING)
    clear = lattice_curves(people, 2)
    grid = -(-most // 30)
    assert opened == {
        "people at start": 2,
        "visible grid points": 2,
        "cumulative events and censorings": 2 * 2 * grid,
        "test can be released": 1,
        "groups in the test": 0,
        "test exists": 1,
        "chi-square": 2,
    }
    for name in ("curve", "medians"):
        pd.testing.assert_frame_equal(outcome.tables[name], clear.tables[name], check_exact=True)
    marks = outcome.tables["landmarks"]
    pd.testing.assert_frame_equal(marks, clear.tables["at_times"][marks.columns], check_exact=True)
    assert marks["survival"].isna().tolist() == [False, False, False, True] * 2
    assert outcome.values["curve"] == "rounded"
    exact = ask(people, landmarks=(30, 300, 345))
    # less than a step of a group
    assert np.abs(marks["survival"].dropna().to_numpy() - exact.tables["landmarks"]["survival"]).max() < 0.1
    assert outcome.values["chi_square"] == pytest.approx(chi_square(people, 2), rel=2.0**-21)
    assert any("time_grid = 30" in line for line in outcome.withheld)


def test_a_resolution_finer_than_any_lattice_gives_the_same_rounded_curve() -> None:
    time, event, group = cohort(4, 200)
    fine = ask((time * 10**6, event, group), STANDARD, unit=1e-6, horizon=10**9, landmarks=(300,), medians=True)
    whole = ask((time, event, group), STANDARD, horizon=1000, landmarks=(300,), medians=True)
    for name, table in whole.tables.items():
        pd.testing.assert_frame_equal(fine.tables[name], table)


def test_small_groups_stay_closed() -> None:
    time, event, _ = cohort(5, 120)
    small = time, event, np.where(np.arange(120) < 10, 1, 0)
    outcome = ask(small, STANDARD, landmarks=(300,), medians=True)
    assert outcome.tables["medians"]["records"].isna().tolist() == [False, True]
    assert outcome.tables["landmarks"]["survival"].isna().tolist() == [False, True]
    exact = ask(small, replace(STANDARD, exact_curve=True), landmarks=(300,), medians=True)
    assert exact.tables["medians"]["median"].isna().tolist() == [False, True]
    assert exact.tables["landmarks"]["survival"].isna().tolist() == [False, True]
    assert exact.withheld[0].startswith("1 of 2 groups hidden (minimum_count = 11")
    assert exact.withheld[1].startswith("people at start are rounded (rounding_base = 5")
    with pytest.raises(DisclosureRefused, match="too few people or events"):
        ask(small, STANDARD, logrank=True)


@pytest.mark.parametrize("exact", [False, True])
def test_groups_that_one_site_could_subtract_stay_closed(exact: bool) -> None:
    time, event, _ = cohort(6, 40)
    people = time % 30, event, 0 * time
    sites = np.where(np.arange(40) < 30, 0, 1)  # ten people elsewhere
    rules = replace(STANDARD, exact_curve=exact, time_grid=10, at_risk_floor=0, step_minimum=1)
    for remainders in (False, True):
        outcome = ask(
            people, replace(rules, small_remainders=remainders), committee=THREE, sites=sites, landmarks=(10,)
        )
        assert outcome.tables["landmarks"]["survival"].isna().tolist() == [not remainders]


# --- public logarithms -----------------------------------------------------------------------------------------------


def test_logarithms_are_right_to_the_last_unit() -> None:
    getcontext().prec = 50
    rng = np.random.default_rng(1)
    pairs = [(1, 1), (2, 1), (3, 4), (2, 3), (4, 3), (10**6, 10**6 - 1), (1, 10**9), (10**9, 1)]
    pairs += [(int(p), int(q)) for p, q in rng.integers(1, 10**7, (300, 2))]
    for p, q in pairs:
        exact = (Decimal(p) / Decimal(q)).ln() * 2**50
        assert abs(Decimal(fixed_log(p, q, 50)) - exact) <= 1
        assert fixed_log(q, p, 50) + fixed_log(p, q, 50) in {-1, 0, 1}


def test_squares_do_not_depend_on_the_last_digits_of_a_quantile() -> None:
    z = 1.959963984540054
    assert fixed_square(z, 50) == fixed_square(np.nextafter(z, 2), 50)
    assert fixed_square(z, 50) / 2**50 == pytest.approx(z * z, rel=1e-10)


@pytest.mark.long
@pytest.mark.skipif(not (SHARED / "data").exists(), reason="the shared folder is not beside the repository")
def test_a_thousand_rows() -> None:
    people = cohort(9, 1000)
    outcome = ask(people, committee=THREE, landmarks=(300, 600), **EVERYTHING)
    assert outcome.values["chi_square"] == pytest.approx(chi_square(people, 2), rel=1e-10)
    check_curves(people, outcome)
