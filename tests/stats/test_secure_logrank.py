"""Log-rank tests whose counts stay on shares: R's digits, the edges, and what is opened."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import DisclosureRefused, SpecError, StatisticalSecurityError
from mpcstats.protocols import normalise
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.stats.contributions.survival import SurvivalContribution, SurvivalPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.logrank import log_chi_square_tail
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.secure_logrank import joint, joint_logrank_statistic, secure_weights
from mpcstats.stats.secure_logrank.lattice import at_risk_counts
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message
from tests.protocols.kit import HarshTruncation

from .in_the_clear import in_the_clear
from .r_truth import SHARED, _read, everything, numbers, records, shipped, text

ONE, THREE = Committee(1, 0), Committee(3, 1)
OPEN, STANDARD = (Policy.preset(name).rules for name in ("open", "standard"))
Counts = tuple[np.ndarray, np.ndarray]
"""Events and censorings (strata, groups, times)."""

WEIGHTED: dict[str, dict[str, Any]] = {
    "survdiff_rho0": {},
    "survdiff_rho1_peto_peto": {"weights": "peto-peto-R"},
    "gehan_wilcoxon": {"weights": "wilcoxon"},
    "tarone_ware": {"weights": "tarone-ware"},
    "peto_prentice_S_tilde": {"weights": "peto-peto-lifelines"},
    "fleming_harrington_1_0_leftcont": {"weights": "fleming-harrington", "p": 1, "q": 0},
    "fleming_harrington_0_1_leftcont": {"weights": "fleming-harrington", "p": 0, "q": 1},
    "fleming_harrington_05_05_leftcont": {"weights": "fleming-harrington", "p": 0.5, "q": 0.5},
}
"""R's entries and what asks for them here."""


def plan_of(counts: Counts, entry: bool = False) -> SurvivalPlan:
    strata, groups, times = counts[0].shape
    layers = {"strata": ("layer",), "strata_levels": (tuple(range(strata)),)} if strata > 1 else {}
    names = tuple(str(g) for g in range(groups))
    return SurvivalPlan("arm", names, times - 1, 1.0, "dead", (1,), entry="start" if entry else None, **layers)


def on_shares(
    sites: list[Counts] | Counts,
    rules: Any = OPEN,
    *,
    committee: Committee = ONE,
    entered: np.ndarray | None = None,
    observe: Any = None,
    opened: dict[str, int] | None = None,
    **request: Any,
) -> Outcome:
    """Run with the counts of the sites at parties 1, 2, ...; further parties only compute."""
    parts = sites if isinstance(sites, list) else [sites]
    plan = plan_of(parts[0], entered is not None)

    async def program(session: Session) -> Outcome:
        own = None
        if session.index <= len(parts):
            events, censored = (x.reshape(plan.shape) for x in parts[session.index - 1])
            late = None if entered is None else entered.reshape(plan.shape)
            own = SurvivalContribution(events, censored, late)
        dealers = tuple(range(1, len(parts) + 1))
        try:
            return await joint_logrank_statistic(session, plan, own, dealers, Ruling(rules, {}), **request)
        finally:
            if opened is not None:
                opened.update({entry.name: entry.values for entry in session.openings.manifest.values()})

    outcomes = run_parties(committee, program, observe=observe)
    assert len({outcome.to_json() for outcome in outcomes}) == 1
    return outcomes[0]


def counts_of(time: np.ndarray, event: np.ndarray, group: np.ndarray, stratum: np.ndarray | None = None) -> Counts:
    _, place = np.unique(time, return_inverse=True)
    _, row = np.unique(group, return_inverse=True)
    _, layer = np.unique(np.zeros(len(time)) if stratum is None else stratum, return_inverse=True)
    events, censored = np.zeros((2, layer.max() + 1, row.max() + 1, place.max() + 1), np.int64)
    np.add.at(events, (layer[event], row[event], place[event]), 1)
    np.add.at(censored, (layer[~event], row[~event], place[~event]), 1)
    return events, censored


def split(counts: Counts, sites: int, seed: int) -> list[Counts]:
    """People to sites at random."""
    rng = np.random.default_rng(seed)
    shares = [rng.multinomial(x.ravel(), np.full(sites, 1 / sites)) for x in counts]
    return [(shares[0][:, k].reshape(counts[0].shape), shares[1][:, k].reshape(counts[0].shape)) for k in range(sites)]


def lung() -> Counts:
    frame = pd.read_csv(Path(__file__).parents[1] / "data" / "lung.csv")
    return counts_of(frame["time"].to_numpy(), frame["status"].to_numpy() == 1, frame["sex"].to_numpy())


def at_risk(counts: Counts) -> np.ndarray:
    return np.cumsum((counts[0] + counts[1])[..., ::-1], axis=-1)[..., ::-1]


def expected_chi_square(counts: Counts, **request: Any) -> float:
    u, v = in_the_clear(counts[0], at_risk(counts), **request)
    return float(u[1:] @ np.linalg.solve(v[1:, 1:], u[1:]))


def some(seed: int, groups: int, strata: int = 1, times: int = 12, people: int = 120) -> Counts:
    rng = np.random.default_rng(seed)
    return counts_of(
        rng.integers(0, times, people),
        rng.random(people) < 0.6,
        np.r_[np.arange(groups), rng.integers(0, groups, people - groups)],
        np.r_[np.arange(strata), rng.integers(0, strata, people - strata)],
    )


# --- R's answers -----------------------------------------------------------------------------------------------------

R_LUNG = {
    "survdiff_rho0": 10.326741954885632,
    "survdiff_rho1_peto_peto": 12.714151401157508,
    "gehan_wilcoxon": 12.47213533126259,
    "tarone_ware": 12.455543902215107,
    "peto_prentice_S_tilde": 12.70784777336246,
    "fleming_harrington_0_1_leftcont": 3.4599841660911492,
    "fleming_harrington_05_05_leftcont": 8.768604308336213,
}
"""R 4.2.2, survival 3.5.3: Surv(time, status) by sex; the last four from weights in R's own arithmetic."""


@pytest.mark.parametrize("name", R_LUNG)
def test_every_weight_equals_r_on_lung(name: str) -> None:
    outcome = on_shares(lung(), **WEIGHTED[name])
    assert outcome.values["chi_square"] == pytest.approx(R_LUNG[name], rel=1e-10)
    assert outcome.values["degrees_of_freedom"] == 1
    assert outcome.values["log_p_value"] == log_chi_square_tail(outcome.values["chi_square"], 1)
    assert outcome.values["p_value"] == pytest.approx(math.exp(outcome.values["log_p_value"]))


def from_curves(entry: dict[str, Any]) -> Counts:
    """Counts from R's curves of the single groups."""
    levels = entry["group_levels"]
    curves = {
        text(p.values[0]["group_value"]): p.values[0]["result"]["table"]
        for p in shipped("survfit.json")
        if p.values[0]["id"] == entry["id"] and "group_value" in p.values[0]
    }
    times = np.unique(np.concatenate([numbers(curves[level]["time"]) for level in levels]))
    events, censored = np.zeros((2, 1, len(levels), len(times)), np.int64)
    for row, level in enumerate(levels):
        place = np.searchsorted(times, numbers(curves[level]["time"]))
        events[0, row, place], censored[0, row, place] = curves[level]["n_event"], curves[level]["n_censor"]
    return events, censored


@pytest.mark.parametrize("entry", [e for e in shipped("logrank.json") if "survdiff_rho0" in e.values[0]["result"]])
def test_equals_r(entry: dict[str, Any]) -> None:
    truth = entry["result"]["survdiff_rho0"]
    outcome = on_shares(from_curves(entry), expected=True)
    assert outcome.values["chi_square"] == pytest.approx(truth["chisq"], rel=1e-10)
    assert outcome.values["degrees_of_freedom"] == truth["df"]
    assert outcome.values["p_value"] == pytest.approx(truth["p"], rel=1e-9)
    table = outcome.tables["groups"]
    np.testing.assert_allclose(table["observed"], truth["obs"], rtol=1e-14)
    np.testing.assert_allclose(table["expected"], truth["exp"], rtol=1e-12)
    # the other weights take turns
    others = [name for name in WEIGHTED if name in entry["result"]][1:]
    name = others[sum(map(ord, entry["id"])) % len(others)]
    weighted = on_shares(from_curves(entry), **WEIGHTED[name])
    assert weighted.values["chi_square"] == pytest.approx(entry["result"][name]["chisq"], rel=1e-9)


def requests(entry: dict[str, Any]) -> list[tuple[str, Counts, dict[str, Any]]]:
    """Everything that R's entry holds: what it is called, the counts, and what asks for it."""
    truth = entry["result"]
    if entry.get("strata"):
        frame = _read(entry["file"])[[entry["time"], entry["event"], entry["group"], entry["strata"]]].dropna()
        time, event = frame[entry["time"]].to_numpy(float), frame[entry["event"]].isin(entry["event_values"]).to_numpy()
        group, stratum = (frame[entry[name]].map(text).to_numpy(str) for name in ("group", "strata"))
        strata = [("stratified", {}), ("stratified_gehan", {"weights": "wilcoxon"})]
        listed = [(name, counts_of(time, event, group, stratum), request) for name, request in strata]
        return [*listed, ("unstratified", counts_of(time, event, group), {})]
    time, event, group = records(entry)
    whole = counts_of(time, event, group)
    listed = [(name, whole, request) for name, request in WEIGHTED.items() if name in truth]
    pseudo_sites = np.arange(len(time)) % 3
    return [*listed, ("stratified_by_row_index_mod_3", counts_of(time, event, group, pseudo_sites), {})]


def check_entry(entry: dict[str, Any], name: str, outcome: Outcome) -> None:
    truth = entry["result"][name]
    assert outcome.values["chi_square"] == pytest.approx(truth["chisq"], rel=1e-9)
    assert outcome.values["degrees_of_freedom"] == truth["df"]
    assert outcome.values["p_value"] == pytest.approx(truth["p"], rel=1e-7, abs=1e-300)


@pytest.mark.parametrize("entry", everything("logrank.json"))
def test_equals_r_on_every_data_set(entry: dict[str, Any]) -> None:
    """One test of each entry; the weights take turns."""
    listed = requests(entry)
    name, counts, request = listed[sum(map(ord, entry["id"])) % len(listed)]
    check_entry(entry, name, on_shares(counts, **request))


@pytest.mark.long
@pytest.mark.parametrize("entry", everything("logrank.json"))
def test_equals_r_on_every_data_set_with_every_weight(entry: dict[str, Any]) -> None:
    for name, counts, request in requests(entry):
        check_entry(entry, name, on_shares(counts, **request))


@pytest.mark.long
@pytest.mark.parametrize("sites", range(2, 8))
@pytest.mark.parametrize("entry", [e for e in everything("logrank.json") if "flchain" not in str(e.id)])
def test_any_split_over_sites_equals_r(entry: dict[str, Any], sites: int) -> None:
    listed = requests(entry)
    name, counts, request = listed[(sites + sum(map(ord, entry["id"]))) % len(listed)]
    m = max(3, sites)
    outcome = on_shares(split(counts, sites, sites), committee=Committee(m, default_threshold(m)), **request)
    check_entry(entry, name, outcome)


# --- any committee, any split ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "sites"), [(3, 2), (3, 3), pytest.param(4, 4, marks=pytest.mark.long)])
def test_shares_of_several_sites(m: int, sites: int) -> None:
    counts = some(1, 3)
    outcome = on_shares(split(counts, sites, m), committee=Committee(m, default_threshold(m)))
    assert outcome.values["chi_square"] == pytest.approx(expected_chi_square(counts), rel=1e-10)


@pytest.mark.long
@pytest.mark.parametrize("request_", WEIGHTED.values(), ids=WEIGHTED)
@pytest.mark.parametrize("m", [3, 5, 7])
def test_every_weight_with_every_committee(m: int, request_: dict[str, Any]) -> None:
    counts = some(m, 2, times=6)
    outcome = on_shares(split(counts, m, m), committee=Committee(m, default_threshold(m)), **request_)
    assert outcome.values["chi_square"] == pytest.approx(expected_chi_square(counts, **request_), rel=1e-9)


@pytest.mark.parametrize("name", ["tarone_ware", "fleming_harrington_05_05_leftcont"])
def test_accuracy_when_every_rounding_goes_wrong(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """126 subsets: nine parties, all roundings off by as much as they can be, and no promise on a mask is broken."""
    harsh = HarshTruncation(126, 4)
    monkeypatch.setattr(normalise, "truncate", harsh)
    counts, request = some(6, 3, strata=2), WEIGHTED[name]
    outcome = on_shares(counts, **request)
    assert harsh.calls > 10
    assert outcome.values["chi_square"] == pytest.approx(expected_chi_square(counts, **request), rel=1e-7)


# --- edges -----------------------------------------------------------------------------------------------------------


def made(events: Any, censored: Any) -> Counts:
    """One stratum from (groups, times)."""
    return np.array([events], np.int64), np.array([censored], np.int64)


def test_the_last_person_at_risk_has_the_event() -> None:
    """One person left adds no variance, but an expected event: E = 2/3 + 1 + 1, V = 2/9 by hand."""
    counts = made([[0, 0, 1, 1], [0, 1, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]])
    expected, variance = 2 / 3 + 1 + 1, 2 / 9
    outcome = on_shares(counts, expected=True)
    assert outcome.values["chi_square"] == pytest.approx((2 - expected) ** 2 / variance, rel=1e-11)
    assert outcome.tables["groups"]["expected"].tolist() == pytest.approx([expected, 1 / 3])


EDGES: dict[str, Counts] = {
    "group without events": made([[0, 2, 1, 0], [0, 0, 0, 0]], [[0, 0, 1, 2], [0, 0, 2, 3]]),
    "the same, with three": made(
        [[0, 2, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], [[0, 0, 1, 2], [0, 0, 2, 3], [0, 1, 1, 1]]
    ),
    "everybody at one time": made([[4], [1]], [[2], [5]]),
    "all but one at one time": made([[4, 0], [5, 1]], [[0, 0], [0, 0]]),
    "events at time 0": made([[2, 1, 0], [1, 3, 1]], [[0, 2, 1], [1, 0, 1]]),
    "nobody between": made([[2, 0, 0, 1], [1, 0, 0, 3]], [[0, 0, 0, 1], [0, 0, 0, 2]]),
    "one person in a group": made([[2, 1, 3, 1], [0, 0, 1, 0]], [[0, 1, 0, 4], [0, 0, 0, 0]]),
}


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        *((name, "logrank") for name in EDGES),
        ("all but one at one time", "wilcoxon"),
        ("events at time 0", "peto-peto-lifelines"),
    ],
)
def test_edges(name: str, weights: str) -> None:
    counts = EDGES[name]
    outcome = on_shares(counts, weights=weights)
    assert outcome.values["chi_square"] == pytest.approx(expected_chi_square(counts, weights=weights), rel=1e-9)
    assert outcome.values["degrees_of_freedom"] == counts[0].shape[1] - 1


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_a_group_that_is_gone_before_the_first_event_leaves_the_test(empty: int) -> None:
    order = np.argsort([empty, *({0, 1, 2} - {empty})])
    events = np.array([[0, 0, 0, 0], [0, 0, 3, 1], [0, 0, 1, 2]])[order]
    censored = np.array([[5, 3, 0, 0], [0, 1, 0, 2], [0, 0, 1, 4]])[order]
    outcome = on_shares(made(events, censored))
    left = [g for g in range(3) if g != empty]
    two = made(events[left], censored[left])
    assert outcome.values["degrees_of_freedom"] == 1
    assert outcome.values["chi_square"] == pytest.approx(expected_chi_square(two), rel=1e-10)


@pytest.mark.parametrize("groups", [2, 3])
def test_no_events_no_test(groups: int) -> None:
    outcome = on_shares(made(np.zeros((groups, 4)), np.full((groups, 4), 3)), trend=range(groups))
    for prefix in ("", "trend_"):
        values = [outcome.values[prefix + name] for name in ("chi_square", "degrees_of_freedom", "p_value")]
        assert values == [0.0, 0, 1.0]


def test_groups_that_never_meet_have_no_test() -> None:
    """The first two never are at risk at an event with anybody else: their rows of the covariance are 0."""
    outcome = on_shares(made([[2, 0], [0, 3]], [[0, 0], [0, 0]]), entered=np.array([[[2, 0], [3, 0]]]))
    assert not math.isnan(outcome.values["chi_square"])
    late = np.array([[[3, 0, 0, 0], [0, 0, 3, 0]]])
    apart = made([[0, 3, 0, 0], [0, 0, 0, 3]], [[0, 0, 0, 0], [0, 0, 0, 0]])
    outcome = on_shares(apart, entered=late)
    assert math.isnan(outcome.values["chi_square"])
    assert math.isnan(outcome.values["p_value"])
    assert outcome.values["degrees_of_freedom"] == 1


def test_late_entry() -> None:
    rng = np.random.default_rng(3)
    start = rng.integers(0, 8, 150)
    end = start + rng.integers(1, 9, 150)
    event, group = rng.random(150) < 0.6, rng.integers(0, 2, 150)
    events, censored, entered = np.zeros((3, 1, 2, 17), np.int64)
    np.add.at(events[0], (group[event], end[event]), 1)
    np.add.at(censored[0], (group[~event], end[~event]), 1)
    np.add.at(entered[0], (group, start), 1)
    times = np.arange(17)
    n = np.array([[((start < t) & (t <= end) & (group == g)).sum() for t in times] for g in (0, 1)])
    u, v = in_the_clear(events, n[None])
    outcome = on_shares((events, censored), entered=entered)
    assert outcome.values["chi_square"] == pytest.approx(u[1] ** 2 / v[1, 1], rel=1e-10)


@pytest.mark.parametrize("weights", ["logrank", "tarone-ware", "peto-peto-R"])
def test_strata_with_three_groups(weights: str) -> None:
    counts = some(9, 3, strata=4)
    outcome = on_shares(counts, weights=weights)
    assert outcome.values["chi_square"] == pytest.approx(expected_chi_square(counts, weights=weights), rel=1e-10)


@pytest.mark.parametrize("weights", ["logrank", "wilcoxon", "tarone-ware", "peto-peto-R"])
@pytest.mark.parametrize("rare", [False, True], ids=["halves", "twelve against a million"])
def test_large_cohorts(weights: str, rare: bool) -> None:
    rng = np.random.default_rng(8)
    times, size = 30, (12, 10**6) if rare else (10**8, 10**8)
    events = np.array([rng.multinomial(n // 4, np.full(times, 1 / times)) for n in size])
    censored = np.array([rng.multinomial(n - n // 4, np.full(times, 1 / times)) for n in size])
    counts = made(events, censored)
    outcome = on_shares(counts, weights=weights)
    assert outcome.values["chi_square"] == pytest.approx(expected_chi_square(counts, weights=weights), rel=1e-8)


def test_few_events_among_many_people_with_weights_from_the_end() -> None:
    """1 - S stays below 10^-4."""
    rng = np.random.default_rng(2)
    events = np.array([rng.multinomial(40, np.full(20, 0.05)), rng.multinomial(60, np.full(20, 0.05))])
    censored = np.zeros((2, 20), np.int64)
    censored[:, -1] = 500_000
    request = {"weights": "fleming-harrington", "p": 0, "q": 1}
    outcome = on_shares(made(events, censored), **request)
    assert outcome.values["chi_square"] == pytest.approx(
        expected_chi_square(made(events, censored), **request), rel=1e-8
    )


@pytest.mark.parametrize(("p", "q"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (1.5, 0.5), (1.0, 1.0), (2.0, 2.0)])
def test_powers_of_the_curve(p: float, q: float) -> None:
    counts, request = some(4, 2), {"weights": "fleming-harrington", "p": p, "q": q}
    outcome = on_shares(counts, **request)
    assert outcome.values["chi_square"] == pytest.approx(expected_chi_square(counts, **request), rel=1e-8)
    if q > 0:
        same = on_shares(counts, expected=True, **request)
        assert same.values["chi_square"] == pytest.approx(outcome.values["chi_square"], rel=1e-8)


@pytest.mark.parametrize("name", WEIGHTED)
def test_observed_and_expected_events_are_weighted(name: str) -> None:
    counts, request = some(5, 3, strata=2), WEIGHTED[name]
    table = on_shares(counts, expected=True, **request).tables["groups"]
    u, _ = in_the_clear(counts[0], at_risk(counts), **request)
    np.testing.assert_allclose(table["observed"] - table["expected"], u, rtol=1e-9, atol=1e-10 * np.abs(u).max())
    whole = {"survdiff_rho0": counts[0], "gehan_wilcoxon": counts[0] * at_risk(counts).sum(axis=1, keepdims=True)}
    if name in whole:
        assert table["observed"].tolist() == whole[name].sum(axis=(0, 2)).tolist()
    np.testing.assert_allclose(table["(O-E)^2/E"], u**2 / table["expected"], rtol=1e-8)


@pytest.mark.parametrize("scores", [(1, 2, 3), (0, 10, -3), (-1000, 0, 1000)])
def test_trend(scores: tuple[int, ...]) -> None:
    counts = some(11, 3)
    u, v = in_the_clear(counts[0], at_risk(counts))
    c = np.array(scores)
    outcome = on_shares(counts, trend=scores)
    assert outcome.values["trend_chi_square"] == pytest.approx((c @ u) ** 2 / (c @ v @ c), rel=1e-10)
    assert outcome.values["trend_degrees_of_freedom"] == 1
    assert outcome.values["chi_square"] == pytest.approx(expected_chi_square(counts), rel=1e-10)


def test_pairs() -> None:
    counts = some(13, 3, strata=2)
    table = on_shares(counts, pairwise="holm", weights="wilcoxon").tables["pairwise"]
    pairs = [(0, 1), (0, 2), (1, 2)]
    for row, pair in zip(table.itertuples(), pairs, strict=True):
        two = tuple(x[:, list(pair)] for x in counts)
        assert row.chi_square == pytest.approx(expected_chi_square(two, weights="wilcoxon"), rel=1e-9)
    assert table[["group_1", "group_2"]].to_numpy().tolist() == [[str(g) for g in pair] for pair in pairs]
    ordered = table.sort_values("p_value")
    holm = np.minimum(np.maximum.accumulate(ordered["p_value"] * [3, 2, 1]), 1)
    np.testing.assert_allclose(ordered["p_adjusted"], holm, rtol=1e-12)
    np.testing.assert_allclose(np.exp(ordered["log_p_adjusted"]), holm, rtol=1e-12)


def test_pairs_without_a_test_are_not_counted() -> None:
    """The second group is gone before the first event."""
    counts = made([[0, 2, 1], [0, 0, 0], [0, 1, 1]], [[0, 0, 1], [4, 0, 0], [0, 2, 2]])
    table = on_shares(counts, pairwise="holm").tables["pairwise"]
    assert table["degrees_of_freedom"].tolist() == [0, 1, 0]
    assert table["p_value"].isna().tolist() == [True, False, True]
    assert table["p_adjusted"][1] == table["p_value"][1]


def test_at_risk_counts_on_shares_equal_their_definition() -> None:
    from mpcstats.field import M61
    from mpcstats.runtime import Shared

    counts = some(2, 2, strata=3)
    leaving = Shared(M61, M61.from_int64(counts[0] + counts[1]), 0)
    assert np.array_equal(M61.to_int64(at_risk_counts(leaving).values), at_risk(counts))


# --- what is refused, and what is opened -----------------------------------------------------------------------------


def test_requests_that_cannot_be_formed() -> None:
    for request, match in (
        ({"weights": "peto"}, "different weights in R and lifelines"),
        ({"weights": "gehan"}, "there are: logrank"),
        ({"weights": "fleming-harrington", "p": 0.3}, "p = 0.3 cannot be formed on shares"),
        ({"weights": "fleming-harrington", "q": 2.5}, "q = 2.5 cannot"),
        ({"weights": "fleming-harrington", "p": -1}, "0 or more"),
        ({"weights": "fleming-harrington", "q": math.nan}, "0 or more"),
        ({"trend": (1, 2, 3)}, "2 whole scores"),
        ({"trend": (1, 1)}, "not all equal"),
        ({"trend": (0.5, 1)}, "whole scores"),
        ({"trend": (1, 1001)}, "whole scores"),
        ({"trend": (1, math.inf)}, "whole scores"),
        ({"pairwise": "tukey"}, "no adjustment"),
    ):
        with pytest.raises(SpecError, match=match):
            on_shares(some(1, 2), **request)
    with pytest.raises(SpecError, match="groups"):
        on_shares(some(1, 1))
    assert secure_weights("fleming-harrington").name == "logrank"


def test_too_many_masks_are_refused_before_they_are_used() -> None:
    async def program(session: Session) -> None:
        session.kappa = 50
        counts = some(1, 2, times=100, people=900)
        plan = plan_of(counts)
        own = SurvivalContribution(*(x.reshape(plan.shape) for x in counts))
        with pytest.raises(StatisticalSecurityError, match=r"at most \d+ points at kappa = 50"):
            await joint_logrank_statistic(session, plan, own, (1,), Ruling(OPEN, {}))
        assert session.accounts.masked_openings == 0

    run_parties(ONE, program)


def grouped(people: tuple[int, int], events: tuple[int, int]) -> Counts:
    """Two groups at one site."""
    rng = np.random.default_rng(1)
    d = np.array([rng.multinomial(k, np.full(20, 0.05)) for k in events])
    c = np.array([rng.multinomial(n - k, np.full(20, 0.05)) for n, k in zip(people, events, strict=True)])
    return made(d, c)


def test_standard_opens_chi_square_with_few_digits_and_nothing_else() -> None:
    sites = [grouped((40, 30), (20, 9)), grouped((35, 50), (20, 17)), grouped((20, 30), (8, 9))]
    opened: dict[str, int] = {}
    outcome = on_shares(sites, STANDARD, committee=THREE, opened=opened, expected=True)
    assert opened == {"test can be released": 1, "groups in the test": 0, "test exists": 1, "chi-square": 2}
    pooled = (sum(site[0] for site in sites), sum(site[1] for site in sites))
    chi_square = outcome.values["chi_square"]
    assert chi_square == pytest.approx(expected_chi_square(pooled), rel=2.0**-21)
    mantissa = np.frexp(chi_square)[0] * 2**21
    assert mantissa == np.rint(mantissa)
    table = outcome.tables["groups"]
    assert table.drop(columns="group").isna().all(axis=None)
    assert table["group"].tolist() == ["0", "1"]
    assert any("observed and expected events stay closed (exact_curve = False" in line for line in outcome.withheld)


@pytest.mark.parametrize(
    "request_",
    WEIGHTED.values(),
    ids=WEIGHTED,
)
def test_what_standard_opens_of_every_weight(request_: dict[str, Any]) -> None:
    """A bit before the test; for the test itself, its trend and three pairs whether it exists, and chi-square."""
    opened: dict[str, int] = {}
    sites = grouped((60, 50, 40), (25, 20, 15))
    outcome = on_shares(sites, STANDARD, opened=opened, trend=(1, 2, 3), pairwise="holm", expected=True, **request_)
    assert opened == {"test can be released": 1, "groups in the test": 0, "test exists": 5, "chi-square": 10}
    assert set(outcome.tables) == {"groups", "pairwise"}
    assert outcome.tables["groups"].drop(columns="group").isna().all(axis=None)
    assert outcome.tables["pairwise"]["p_adjusted"].notna().all()
    assert len(outcome.withheld) == 2


@pytest.mark.parametrize(
    ("sites", "fine"),
    [
        ([((40, 40), (9, 9)), ((40, 40), (9, 9)), ((40, 40), (9, 9))], True),
        ([((40, 4), (9, 2)), ((40, 3), (9, 2)), ((40, 3), (9, 2))], False),  # ten people
        ([((40, 40), (9, 2)), ((40, 40), (9, 1)), ((40, 40), (9, 1))], False),  # four events
        ([((40, 40), (9, 0)), ((40, 40), (9, 0)), ((40, 40), (9, 0))], False),  # none: as hidden as four
        ([((40, 40), (9, 9)), ((40, 5), (9, 3)), ((40, 5), (9, 2))], False),  # ten people without the first party
        ([((40, 40), (9, 9)), ((40, 40), (9, 2)), ((40, 40), (9, 2))], False),  # four events without the first party
        ([((40, 40), (9, 9)), ((40, 6), (9, 3)), ((40, 5), (9, 2))], True),
        ([((40, 40), (9, 9)), ((0, 0), (0, 0)), ((0, 0), (0, 0))], True),  # nobody else: the party knows its own
    ],
)
def test_a_test_of_too_few_people_or_events_opens_one_bit(
    sites: Any, fine: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def goes_on(session: Session, *_: Any, **__: Any) -> None:
        raise KeyError("goes on")

    monkeypatch.setattr(joint, "weighted_moments", goes_on)
    opened: dict[str, int] = {}
    counts = [grouped(*site) for site in sites]
    if fine:
        with pytest.raises(KeyError, match="goes on"):
            on_shares(counts, STANDARD, committee=THREE)
        return
    with pytest.raises(DisclosureRefused, match=r"minimum_count = 11.*step_minimum = 5.*small_remainders = False"):
        on_shares(counts, STANDARD, committee=THREE, opened=opened)
    assert {name: count for name, count in opened.items() if count} == {"test can be released": 1}


def test_remainders_may_be_allowed() -> None:
    sites = [grouped((40, 40), (9, 9)), grouped((40, 5), (9, 3)), grouped((40, 5), (9, 2))]
    outcome = on_shares(sites, replace(STANDARD, small_remainders=True), committee=THREE)
    assert outcome.values["degrees_of_freedom"] == 1


@pytest.mark.long
def test_messages_do_not_depend_on_the_data() -> None:
    traces = []
    for seed in (1, 2):
        seen: list[Message] = []
        counts = some(seed, 2, times=5, people=200)
        on_shares([counts] * 3, STANDARD, committee=THREE, observe=seen.append, weights="tarone-ware")
        traces.append(sorted((m.step, m.sender, m.receiver, len(m.payload)) for m in seen))
    assert traces[0] == traces[1]


@pytest.mark.long
@pytest.mark.skipif(not (SHARED / "data").exists(), reason="the shared folder is not beside the repository")
def test_a_long_lattice() -> None:
    """lung on days: 1,023 points, most without an event."""
    frame = _read("survival_lung.csv")
    events, censored = np.zeros((2, 1, 2, 1023), np.int64)
    dead = frame["status"].to_numpy() == 2
    sex, time = frame["sex"].to_numpy() - 1, frame["time"].to_numpy()
    np.add.at(events[0], (sex[dead], time[dead]), 1)
    np.add.at(censored[0], (sex[~dead], time[~dead]), 1)
    for name, chi_square in R_LUNG.items():
        outcome = on_shares(split((events, censored), 3, 1), committee=THREE, **WEIGHTED[name])
        assert outcome.values["chi_square"] == pytest.approx(chi_square, rel=1e-10)
