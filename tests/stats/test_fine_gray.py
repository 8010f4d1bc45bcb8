"""Fine-Gray regression: R's two variants through the protocols, and by brute force where R has no answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import DataError, DisclosureRefused, RangeError, SpecError
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee
from mpcstats.stats.competing_risks.censoring import censoring_survival
from mpcstats.stats.competing_risks.fine_gray import joint_fine_gray
from mpcstats.stats.competing_risks.options import FineGrayOptions
from mpcstats.stats.contributions.fine_gray import FineGrayContribution, FineGrayPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.types import DisclosureRules

from .competing_truth import cohort
from .r_truth import everything, shipped

OPEN, STANDARD = Policy.preset("open").rules, Policy.preset("standard").rules
HIDDEN = replace(OPEN, exact_curve=False)


@dataclass(frozen=True)
class People:
    """status: 0 censored, 1 the event, 2 a competing one."""

    time: np.ndarray
    status: np.ndarray
    x: np.ndarray

    def plan(self, names: list[str] | None = None) -> FineGrayPlan:
        low, high = self.x.min(axis=0), self.x.max(axis=0)
        count = self.x.shape[1]
        return FineGrayPlan(
            tuple(names or [f"x{k}" for k in range(count)]),
            tuple(((low + high) / 2).tolist()),
            tuple(np.maximum((high - low) * 0.55, 1e-3).tolist()),
            ((),) * count,
            "time",
            "status",
            (1,),
            int(self.time.max()),
            1.0,
            competing_values=(2,),
        )

    def at(self, who: np.ndarray) -> FineGrayContribution:
        time, status = self.time[who], self.status[who]
        nothing = np.zeros(len(time), np.int64)
        return FineGrayContribution(time, status == 1, self.x[who], nothing, rival=status == 2)


def split(people: People, site: np.ndarray) -> list[People]:
    chosen = [site == s for s in range(int(site.max()) + 1)]
    return [People(people.time[who], people.status[who], people.x[who]) for who in chosen]


def fit(
    people: People,
    site: np.ndarray,
    options: FineGrayOptions,
    rules: DisclosureRules = OPEN,
    seen: dict[str, int] | None = None,
) -> Outcome:
    sites = int(site.max()) + 1
    m = max(3, sites) if sites > 1 else 1
    plan, owns = people.plan(), [people.at(site == s) for s in range(sites)]

    async def program(session: Session) -> Outcome:
        own = owns[session.index - 1] if session.index <= sites else None
        dealers = tuple(range(1, sites + 1))
        outcome = await joint_fine_gray(session, plan, own, dealers, Ruling(rules, {}), options)
        if seen is not None:
            seen.update({name: entry.values for name, entry in session.openings.manifest.items()})
        return outcome

    outcomes = run_parties(Committee(m, (m - 1) // 2), program, patience_seconds=120)
    assert all(outcome.to_json() == outcomes[0].to_json() for outcome in outcomes)
    return outcomes[0]


# ---------------------------------------------------------------- R


def from_truth(entry: dict[str, Any], row: dict[str, Any]) -> People:
    found = cohort(entry)
    cause = entry["cause_values"].index(row["cause"]) + 1
    status = np.where(found.status == 0, 0, np.where(found.status == cause, 1, 2))
    return People(found.times.astype(np.int64)[found.time], status, found.covariates)


def check(outcome: Outcome, coef: list[float], robust: list[float] | None, rtol: float, loose: float) -> None:
    """Relative, or as a part of the standard error: R's crr stops when its score is small, not when it is 0."""
    table = outcome.tables["coefficients"]
    errors = np.abs(table["coef"].to_numpy() - np.array(coef))
    assert (errors <= np.maximum(rtol * np.abs(coef), loose * table["robust_se"])).all()
    if robust is not None:
        np.testing.assert_allclose(table["robust_se"], robust, rtol=1e-6)


MODELS = [
    pytest.param(
        p.values[0], row, id=f"{p.id}-{row['cause']}", marks=[*p.marks, *([pytest.mark.long] if place else [])]
    )
    for p in shipped("competing_risks.json") + everything("competing_risks.json")
    for place, row in enumerate(
        (p.values[0] or {}).get("result", {}).get("fine_gray_crr") or ([] if p.values[0] else [{"cause": 0}])
    )
]


@pytest.mark.parametrize(("entry", "row"), MODELS)
def test_equals_r(entry: dict[str, Any], row: dict[str, Any]) -> None:
    """The plaintext twin: the protocols with one party."""
    people = from_truth(entry, row)
    alone = np.zeros(len(people.time), np.int64)
    crr = fit(people, alone, FineGrayOptions("crr", by_site=False))
    check(crr, row["coef"], row["se"], 1e-6, 1e-5)
    assert crr.values["log_likelihood"] == pytest.approx(row["loglik"], rel=1e-10)
    assert crr.values["log_likelihood_null"] == pytest.approx(row["loglik_null"], rel=1e-10)
    breslow = fit(people, alone, FineGrayOptions("finegray", "breslow", by_site=False))
    check(breslow, row["finegray_coxph_breslow_coef"], row["finegray_coxph_breslow_model_se"], 1e-7, 1e-7)
    efron = fit(people, alone, FineGrayOptions("finegray", by_site=False))
    check(efron, row["finegray_coxph_efron_coef"], None, 1e-7, 1e-7)
    # one site is its own stratum
    stratum = fit(people, alone, FineGrayOptions("crr"))
    check(stratum, row["coef"], row["se"], 1e-6, 1e-5)


@pytest.mark.parametrize("sites", [2, *(pytest.param(sites, marks=pytest.mark.long) for sites in (3, 4, 5, 6, 7))])
def test_any_split_of_the_people_gives_r(sites: int) -> None:
    entry = next(p.values[0] for p in shipped("competing_risks.json") if "fine_gray_crr" in p.values[0]["result"])
    row = entry["result"]["fine_gray_crr"][sites % 2]
    people = from_truth(entry, row)
    site = np.random.default_rng(sites).integers(0, sites, len(people.time))
    options = FineGrayOptions("finegray" if sites in {3, 6} else "crr", by_site=False)
    outcome = fit(people, site, options)
    if sites in {3, 6}:
        check(outcome, row["finegray_coxph_efron_coef"], None, 1e-6, 1e-6)
    else:
        check(outcome, row["coef"], row["se"], 1e-6, 1e-5)


# ---------------------------------------------------------------- brute force


def random_people(seed: int, size: int = 150, order: int = 2, horizon: int = 25) -> People:
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=size), rng.integers(0, 2, size), rng.normal(size=(size, order))])[:, :order]
    time = np.ceil(rng.exponential(12 * np.exp(-0.4 * x[:, 0])))
    status, leave = rng.choice([1, 2], size, p=[0.6, 0.4]), rng.integers(1, horizon + 1, size)
    return People(np.minimum(time, leave).astype(np.int64), np.where(time <= leave, status, 0).astype(np.int64), x)


def survival_of_censoring(people: People, variant: str) -> np.ndarray:
    """G(t-) at 0, 1, ..., person by person."""
    result = np.ones(int(people.time.max()) + 2)
    for t in range(len(result) - 1):
        lost = np.sum((people.time == t) & (people.status == 0))
        first = np.sum((people.time == t) & (people.status > 0)) if variant == "finegray" else 0
        left = np.sum(people.time >= t) - first
        result[t + 1] = result[t] * (1 - lost / left if lost else 1)
    return result


@dataclass(frozen=True)
class Row:
    """A row that R's finegray makes: in the risk set at start < t <= stop, with a weight."""

    person: int
    start: int
    stop: int
    event: bool
    weight: float


def rows_of(people: People, variant: str) -> list[Row]:
    g, end = survival_of_censoring(people, variant), int(people.time.max())
    cuts = [int(t) for t in np.unique(people.time[people.status == 0])]
    found = []
    for i, (t, s) in enumerate(zip(people.time.tolist(), people.status.tolist(), strict=True)):
        if s != 2:
            found.append(Row(i, -1, t, s == 1, 1.0))
            continue
        later = [cut for cut in cuts if cut >= t] or [end]
        found.append(Row(i, -1, later[0], False, 1.0))
        for start, stop in zip(later, [*later[1:], end], strict=True):
            if stop > start:
                found.append(Row(i, start, stop, False, float(g[stop] / g[t])))
    return found


def naive(sites: list[People], beta: np.ndarray, variant: str, ties: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Score, information and middle of the sandwich, row by row and event by event."""
    order = sites[0].x.shape[1]
    score, information, middle = np.zeros(order), np.zeros((order, order)), np.zeros((order, order))
    for people in sites:
        rows = rows_of(people, variant)
        x = people.x[[row.person for row in rows]]
        start, stop = np.array([[row.start, row.stop] for row in rows]).T
        weight = np.array([row.weight for row in rows])
        event = np.array([row.event for row in rows])
        size = np.exp(x @ beta)
        influence = np.zeros_like(x)
        for t in np.unique(stop[event]):
            at, tied = (start < t) & (stop >= t), event & (stop == t)
            count = int(tied.sum())
            for rank in range(count):
                c = rank / count if ties == "efron" else 0.0
                w = np.where(at, weight * size, 0.0) - c * np.where(tied, size, 0.0)
                mean = w @ x / w.sum()
                score += (x[tied].sum(axis=0)) / count - mean
                information += np.einsum("n,na,nb->ab", w, x, x) / w.sum() - np.outer(mean, mean)
                influence -= np.where(at, weight * size, 0.0)[:, None] * (x - mean) / w.sum()
                influence += c * np.where(tied, size, 0.0)[:, None] * (x - mean) / w.sum()
                influence[tied] += (x[tied] - mean) / count
        if variant == "crr":
            people_of = np.zeros_like(people.x)
            np.add.at(people_of, [row.person for row in rows], influence)
            influence = people_of + effect_on_censoring(people, beta)
        middle += influence.T @ influence
    return score, information, middle


def effect_on_censoring(people: People, beta: np.ndarray) -> np.ndarray:
    """psi: what each person's part in estimating G does to the score. Fine and Gray 1999, p. 499."""
    g, x, time = survival_of_censoring(people, "crr"), people.x, people.time
    size = np.exp(x @ beta)
    q = {}
    for u in np.unique(time[people.status == 0]):
        total = np.zeros(x.shape[1])
        for t in time[(people.status == 1) & (time >= u)]:
            earlier = (people.status == 2) & (time < t)
            w = np.where(time >= t, 1.0, np.where(earlier, g[t] / g[time], 0.0)) * size
            mean = w @ x / w.sum()
            before = (people.status == 2) & (time < u)
            total += np.sum((np.where(before, w, 0.0)[:, None]) * (x - mean), axis=0) / w.sum()
        q[int(u)] = total
    psi = np.zeros_like(x)
    for u, value in q.items():
        n, lost = np.sum(time >= u), (time == u) & (people.status == 0)
        psi[time >= u] -= value / n * lost.sum() / n
        psi[lost] += value / n
    return psi


def solve(sites: list[People], variant: str, ties: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients, inverse information and sandwich."""
    beta = np.zeros(sites[0].x.shape[1])
    for _ in range(8):
        score, information, middle = naive(sites, beta, variant, ties)
        beta = beta + np.linalg.solve(information, score)
    _, information, middle = naive(sites, beta, variant, ties)
    inverse = np.linalg.inv(information)
    return beta, inverse, inverse @ middle @ inverse


def check_naive(outcome: Outcome, sites: list[People], variant: str, ties: str) -> None:
    beta, inverse, robust = solve(sites, variant, ties)
    table = outcome.tables["coefficients"]
    np.testing.assert_allclose(table["coef"], beta, rtol=1e-7)
    np.testing.assert_allclose(table["se_coef"], np.sqrt(np.diag(inverse)), rtol=1e-7)
    np.testing.assert_allclose(table["robust_se"], np.sqrt(np.diag(robust)), rtol=1e-7)
    np.testing.assert_allclose(outcome.tables["covariance"].drop(columns="term"), robust, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("variant", "ties"), [("crr", "breslow"), ("finegray", "breslow"), ("finegray", "efron")])
def test_pooled_risk_sets_equal_r_s_rows_one_by_one(variant: Any, ties: Any) -> None:
    people = random_people(1)
    alone = np.zeros(len(people.time), np.int64)
    check_naive(fit(people, alone, FineGrayOptions(variant, ties, by_site=False)), [people], variant, ties)


@pytest.mark.parametrize(("variant", "ties"), [("crr", "breslow"), ("finegray", "efron")])
@pytest.mark.parametrize("rules", [OPEN, HIDDEN], ids=["open", "no curve"])
def test_a_stratum_for_every_site(variant: Any, ties: Any, rules: DisclosureRules) -> None:
    people = random_people(2)
    site = np.random.default_rng(2).integers(0, 3, len(people.time))
    seen: dict[str, int] = {}
    outcome = fit(people, site, FineGrayOptions(variant), rules, seen)
    check_naive(outcome, split(people, site), variant, ties)
    assert outcome.conventions["distribution of censorings"] == "each site's own"
    assert not {"sums over risk sets", "events of each cause and censorings"} & set(seen)


def test_hidden_curves_pool_risk_sets_with_each_site_s_own_censoring() -> None:
    people = random_people(3, size=60, horizon=8)
    site = np.random.default_rng(3).integers(0, 2, len(people.time))
    seen: dict[str, int] = {}
    outcome = fit(people, site, FineGrayOptions("crr", by_site=False), HIDDEN, seen)
    g = [survival_of_censoring(part, "crr") for part in split(people, site)]
    g = [np.concatenate([curve, np.full(20, curve[-1])]) for curve in g]
    beta = np.zeros(2)
    for _ in range(8):  # one risk set, two distributions of censorings
        score, information = np.zeros(2), np.zeros((2, 2))
        for t in people.time[people.status == 1]:
            own = np.array([g[s][t] / g[s][u] for s, u in zip(site, people.time, strict=True)])
            w = np.where(people.time >= t, 1.0, np.where(people.status == 2, own, 0.0)) * np.exp(people.x @ beta)
            mean = w @ people.x / w.sum()
            score -= mean
            information += np.einsum("n,na,nb->ab", w, people.x, people.x) / w.sum() - np.outer(mean, mean)
        score += people.x[people.status == 1].sum(axis=0)
        beta = beta + np.linalg.solve(information, score)
    table = outcome.tables["coefficients"]
    np.testing.assert_allclose(table["coef"], beta, rtol=1e-6)
    # no variance of the model can be had without curves: nothing pretends to be one
    assert table[["robust_se", "z", "p_value", "exp_coef_lower"]].isna().all(axis=None)
    assert "with a stratum for every site" in outcome.withheld[0]
    assert outcome.conventions["robust standard error"] == "none"
    assert not {"sums over risk sets", "events of each cause and censorings"} & set(seen)


def test_sums_over_risk_sets_are_opened_under_open_rules_only() -> None:
    people = random_people(4, size=120)
    alone = np.zeros(len(people.time), np.int64)
    stricter = (replace(OPEN, minimum_count=5), replace(OPEN, step_minimum=2))
    for rules, opened in ((OPEN, True), *((rules, False) for rules in stricter)):
        seen: dict[str, int] = {}
        outcome = fit(people, alone, FineGrayOptions("crr", by_site=False), rules, seen)
        assert ("sums over risk sets" in seen) == opened
        assert outcome.tables["coefficients"]["robust_se"].notna().all() == opened
        assert seen["events of each cause and censorings"] > 0  # the exact curve is allowed


def test_standard_rules() -> None:
    people = random_people(5, size=300)
    site = np.random.default_rng(5).integers(0, 3, len(people.time))
    seen: dict[str, int] = {}
    outcome = fit(people, site, FineGrayOptions("crr"), STANDARD, seen)
    beta, _, robust = solve(split(people, site), "crr", "breslow")
    table = outcome.tables["coefficients"]
    np.testing.assert_allclose(table["coef"], beta, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(table["robust_se"], np.sqrt(np.diag(robust)), rtol=1e-4)
    assert outcome.values["people"] % 5 == 0
    per_time = {"events of each cause and censorings", "sums over risk sets", "events by time"}
    assert not per_time & set(seen)
    few = People(people.time[:60], np.where(np.arange(60) < 12, people.status[:60], 0), people.x[:60])
    with pytest.raises(DisclosureRefused):
        fit(few, site[:60], FineGrayOptions("crr"), STANDARD)


def test_few_competing_events_are_refused_because_cox_regression_beside_it_would_show_them() -> None:
    people = random_people(12, size=300)
    rivals = np.flatnonzero(people.status == 2)
    people = replace(
        people, status=np.where(np.isin(np.arange(300), rivals[:4]), 2, np.where(people.status == 1, 1, 0))
    )
    site = np.random.default_rng(12).integers(0, 3, 300)
    with pytest.raises(DisclosureRefused, match="competing events"):
        fit(people, site, FineGrayOptions("crr"), STANDARD)


# ---------------------------------------------------------------- edges


def test_without_competing_events_it_is_cox_regression() -> None:
    people = random_people(6)
    people = replace(people, status=np.where(people.status == 2, 0, people.status))
    alone = np.zeros(len(people.time), np.int64)
    weighted = fit(people, alone, FineGrayOptions("finegray", by_site=False))
    check_naive(weighted, [people], "finegray", "efron")
    assert all(row.weight == 1 for row in rows_of(people, "finegray"))


def test_without_censoring_people_stay_for_good() -> None:
    people = random_people(7)
    people = replace(people, status=np.where(people.status == 0, 2, people.status))
    for variant in ("crr", "finegray"):
        options = FineGrayOptions(variant, "breslow", by_site=False)  # type: ignore[arg-type]
        check_naive(fit(people, np.zeros(len(people.time), np.int64), options), [people], variant, "breslow")


def test_sites_without_events_and_without_people() -> None:
    people = random_people(8, size=60, horizon=8)
    site = np.where(people.status == 1, 0, np.random.default_rng(8).integers(0, 2, len(people.time)))
    pooled = fit(people, 2 * site, FineGrayOptions("crr", by_site=False))  # nobody at the second of three
    check_naive(pooled, [people], "crr", "breslow")
    strata = fit(people, 2 * site, FineGrayOptions("crr"))
    check_naive(strata, split(people, site)[:1], "crr", "breslow")


def test_requests_that_make_no_sense() -> None:
    people = random_people(9)
    with pytest.raises(SpecError, match="cmprsk"):
        FineGrayOptions("cmprsk")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="efron"):
        FineGrayOptions("crr", "efron")
    with pytest.raises(SpecError, match="confidence level"):
        FineGrayOptions(conf_level=95)
    assert people.plan().within_limits()
    assert not replace(people.plan(), competing_values=(1, 2)).within_limits()
    late = replace(people.plan(), entry="from")
    assert not late.within_limits()

    async def program(session: Session) -> Outcome:
        return await joint_fine_gray(session, late, None, (1,), Ruling(OPEN, {}), FineGrayOptions())

    with pytest.raises(SpecError, match="enters late"):
        run_parties(Committee(1, 0), program)
    everybody = np.ones(len(people.time), bool)
    with pytest.raises(DataError, match="competing"):
        replace(people.at(everybody), rival=everybody).scaled(people.plan())
    with pytest.raises(SpecError, match="nobody"):
        fit(replace(people, status=np.zeros_like(people.status)), np.zeros(len(people.time), int), FineGrayOptions())


def test_distribution_of_censorings() -> None:
    """Ten people: 1 lost of 10, then 2 events and 2 lost of 8, then 1 lost of 3."""
    events, censored, at_risk = [0, 1, 2, 0], [0, 1, 2, 1], [10, 10, 8, 3]
    crr = censoring_survival(events, censored, at_risk, "crr")
    assert crr.tolist() == pytest.approx([1, 1, 0.9, 0.9 * 0.75])
    finegray = censoring_survival(events, censored, at_risk, "finegray")
    assert finegray.tolist() == pytest.approx([1, 1, 8 / 9, 8 / 9 * 4 / 6])
    with pytest.raises(SpecError, match="finegrey"):
        censoring_survival(events, censored, at_risk, "finegrey")  # type: ignore[arg-type]
    with pytest.raises(RangeError, match="more people leave"):
        censoring_survival([3], [1], [3], "crr")
