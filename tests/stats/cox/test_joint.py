"""Fits between parties: any split, hidden and open ties, edges, and what is opened."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from mpcstats.errors import DisclosureRefused, SpecError, StatisticalSecurityError
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee
from mpcstats.stats.cox import CoxOptions, joint_cox, plan_kappa, pooled_sums
from mpcstats.stats.cox.formats import Bounds
from mpcstats.stats.cox.pooled import PooledRisk
from mpcstats.stats.cox.pooled_model import hidden_rows
from mpcstats.stats.cox.sites import Cells, SiteRisk
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message
from tests.stats.cox import kit, reference

POOLED = CoxOptions(by_site=False, transforms=("identity",))
BARE = CoxOptions(by_site=False, transforms=(), concordance=False, baseline=False)


def alone(people: kit.People, options: CoxOptions, **more: Any) -> Outcome:
    """The twin in one party: the same code and openings, without messages."""
    return kit.fit(people, np.zeros(len(people.time), int), options, sites=1, parties=1, **more)


def split(people: kit.People, sites: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, sites, len(people.time))


def check(outcome: Outcome, p: kit.People, stratum: np.ndarray, ties: str = "efron", rtol: float = 1e-8) -> None:
    """Against the slow twin."""
    beta, covariance, null, log = reference.estimate(p.covariates, p.time, p.event, stratum, p.entry, ties)
    table = outcome.tables["coefficients"]
    se = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(table["coef"], beta, rtol=0, atol=rtol * float(se.min()))
    np.testing.assert_allclose(table["se_coef"], se, rtol=rtol)
    assert outcome.values["log_likelihood_null"] == pytest.approx(null, rel=rtol)
    assert outcome.values["log_likelihood"] == pytest.approx(log, rel=rtol)
    assert outcome.values["converged"]


@pytest.mark.parametrize(
    ("sites", "strata", "late", "ties"),
    [
        (3, 1, False, "efron"),
        (1, 2, True, "breslow"),
        pytest.param(2, 2, True, "efron", marks=pytest.mark.long),
        pytest.param(5, 3, True, "efron", marks=pytest.mark.long),
        pytest.param(4, 1, False, "breslow", marks=pytest.mark.long),
        pytest.param(7, 1, False, "efron", marks=pytest.mark.long),
    ],
)
def test_hidden_ties_equal_the_pooled_data(sites: int, strata: int, late: bool, ties: str) -> None:
    """Nothing per time is opened: the whole lattice, with secret numbers of tied events."""
    p = kit.simulated(28, people=36, horizon=20, strata=strata, late=late)
    assert 1 < max(np.bincount(p.time[p.event & (p.stratum == s)]).max() for s in range(strata)) <= 8
    options = CoxOptions(ties=ties, by_site=False, transforms=("identity",))
    sessions: list[Session] = []
    parties = 1 if sites == 1 else None
    outcome = kit.fit(p, split(p, sites), options, rules=kit.HIDDEN, sessions=sessions, parties=parties)
    assert 0 < sessions[0].accounts.masked_openings <= 1 << (plan_kappa(p.plan, options) - 40)
    assert outcome.values["ties"] == ties
    check(outcome, p, p.stratum, ties)
    plain = kit.fit(p, np.zeros(36, int), CoxOptions(ties=ties, transforms=("identity",)), sites=1, parties=1)
    for name in ("tests", "proportional_hazards_identity"):
        np.testing.assert_allclose(outcome.tables[name]["chi_square"], plain.tables[name]["chi_square"], rtol=1e-6)
    error = abs(outcome.values["concordance"] - plain.values["concordance"])
    assert error <= outcome.values["concordance_error"] + 1e-12


def test_more_tied_events_than_hidden_rows_are_fitted_with_breslow_and_said() -> None:
    p = kit.simulated(22, people=150, horizon=4)
    assert np.bincount(p.time[p.event]).max() > 8
    outcome = alone(p, BARE, rules=kit.HIDDEN)
    assert outcome.values["ties"] == "breslow"
    assert "more than 8 events are tied" in outcome.conventions["ties"]
    check(outcome, p, p.stratum, "breslow")
    opened = alone(p, BARE)
    assert opened.values["ties"] == "efron"
    check(opened, p, p.stratum, "efron")


@pytest.mark.parametrize("sites", [2, pytest.param(5, marks=pytest.mark.long), pytest.param(7, marks=pytest.mark.long)])
def test_a_stratum_for_every_site_equals_strata_in_the_pooled_data(sites: int) -> None:
    p = kit.simulated(23, people=150, horizon=12, strata=2, late=True)
    site = split(p, sites)
    check(kit.fit(p, site, CoxOptions(transforms=())), p, p.stratum * sites + site, rtol=1e-9)


@pytest.mark.parametrize("by_site", [True, False])
def test_edges_do_not_matter(by_site: bool) -> None:
    """A site without people, one without events, a stratum without events, a column constant at one site, and the last
    person at risk with the event."""
    p = kit.simulated(24, people=90, horizon=10, strata=3)
    site = split(p, 2)
    event = np.where((site == 1) | (p.stratum == 2), False, p.event)
    event[0], p.time[0], site[0], p.stratum[0] = True, 10, 0, 0
    others = np.arange(90) > 0
    p.time[others] = np.minimum(p.time[others], 9)
    x = p.covariates.copy()
    x[site == 1, 0] = 1.0
    q = kit.make(x, p.time, event, stratum=p.stratum, strata=("a", "b", "c"), horizon=10)
    outcome = kit.fit(q, site, CoxOptions(by_site=by_site, transforms=(), concordance=True), sites=3)
    check(outcome, q, q.stratum * 2 + site if by_site else q.stratum)


@pytest.mark.parametrize("by_site", [True, False])
def test_everybody_at_one_time(by_site: bool) -> None:
    p = kit.simulated(25, people=40)
    q = kit.make(p.covariates, np.full(40, 3), np.arange(40) % 2 == 0, horizon=5)
    outcome = alone(q, CoxOptions(by_site=by_site, transforms=("identity",), baseline=False))
    check(outcome, q, q.stratum)
    # a single time tells nothing about changes over time
    assert outcome.tables["proportional_hazards_identity"]["chi_square"].isna().all()
    assert np.isnan(outcome.values["concordance"]) or 0 <= outcome.values["concordance"] <= 1


def test_a_monotone_likelihood_is_said() -> None:
    p = kit.simulated(26, people=120)
    x = p.covariates.copy()
    x[:, 0] = np.where(p.event, 0.0, x[:, 0])
    outcome = kit.fit(kit.make(x, p.time, p.event), split(p, 3), CoxOptions(robust=True))
    assert outcome.values["monotone"] == ["x0"]
    assert not outcome.values["converged"]
    assert "monotone in x0" in outcome.conventions["convergence"]
    table = outcome.tables["coefficients"]
    assert table["coef"][0] == -np.inf
    assert np.isnan(table["se_coef"][0])
    assert np.isfinite(table["se_coef"][1])
    assert Outcome.from_json(outcome.to_json()).tables["coefficients"]["coef"][0] == -np.inf


def test_predictors_beyond_the_limit_are_said() -> None:
    """A hazard ratio so large that somebody is 20 from the mean."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(150, 1))
    x[0] = -8.0
    time = np.argsort(np.argsort(-6 * x[:, 0] + rng.gumbel(size=150))).astype(np.int64) + 1
    p = kit.make(x, time, np.ones(150, bool))
    outcome = alone(p, BARE)
    assert outcome.values["predictor_at_limit"]
    assert "beyond +-20" in outcome.conventions["linear predictor"]
    mild = kit.simulated(1, people=60)
    assert alone(mild, BARE).values["predictor_at_limit"] is False


@pytest.mark.parametrize("by_site", [True, False])
def test_models_that_cannot_be_fitted_are_refused(by_site: bool) -> None:
    p = kit.simulated(27, people=60)
    options = CoxOptions(by_site=by_site)
    constant = kit.make(np.column_stack([p.covariates, np.full(60, 2.0)]), p.time, p.event, names=["a", "b", "same"])
    with pytest.raises(SpecError, match=r"constant in the pooled data.*: same"):
        kit.fit(constant, split(p, 2), options)
    double = kit.make(np.column_stack([p.covariates, p.covariates[:, 1]]), p.time, p.event, names=["a", "b", "again"])
    with pytest.raises(SpecError, match="covariates b, again are collinear"):
        kit.fit(double, split(p, 2), options)
    with pytest.raises(SpecError, match="nobody has the event"):
        kit.fit(kit.replace(p, event=np.zeros(60, bool)), split(p, 2), options)


# --- disclosure ----------------------------------------------------------------------------------------------------


def large(seed: int = 31, people: int = 400) -> kit.People:
    return kit.simulated(seed, people=people, horizon=60)


def test_what_standard_rules_withhold_of_pooled_risk_sets() -> None:
    p = large()
    sessions: list[Session] = []
    options = CoxOptions(by_site=False, transforms=("km", "identity"), robust=True)
    outcome = alone(p, options, rules=kit.STANDARD, sessions=sessions)
    check(outcome, p, p.stratum, outcome.values["ties"], rtol=1e-6)
    assert outcome.values["people"] % 5 == outcome.values["events"] % 5 == 0
    withheld = "\n".join(outcome.withheld)
    assert "numbers of people and events are rounded (rounding_base = 5" in withheld
    assert "'km' of time needs the exact curve" in withheld
    assert "robust standard errors" in withheld
    assert "the baseline hazard needs the exact curve" in withheld
    assert "baseline" not in outcome.tables
    manifest = sessions[0].openings.manifest
    # nothing that is opened has an entry per time
    assert set(manifest) == {
        "people and events", "enough people and events", "enough events for the model", "sizes of variances",
        "rough means", "scores", "informations", "log-likelihoods", "few ties", "pairs",
        "squared influence on concordance", "time-weighted scores and informations",
    }  # fmt: skip
    evaluations = manifest["scores"].values // 2
    assert evaluations <= outcome.values["iterations"] + outcome.values["halvings"] + 1
    assert manifest["informations"].values == 3 * (evaluations + 1)


def test_what_standard_rules_open_of_a_stratum_for_every_site() -> None:
    p = large()
    sessions: list[Session] = []
    outcome = kit.fit(p, split(p, 3), CoxOptions(), rules=kit.STANDARD, sessions=sessions)
    check(outcome, p, split(p, 3), rtol=1e-6)
    assert "proportional_hazards_identity" in outcome.tables
    assert "baseline" not in outcome.tables
    assert any("each site's own" in line for line in outcome.withheld)
    assert sessions[0].accounts.masked_openings == 0
    values, size = outcome.values, p.plan.order
    opened = {name: entry.values for name, entry in sessions[0].openings.manifest.items()}
    evaluations = opened["scores"] // size
    assert evaluations <= values["iterations"] + values["halvings"] + 1
    assert opened == {
        "people and events": 2,
        "enough people and events": 1,
        "enough events for the model": 1,
        "sizes of variances": size,
        "rough means": size,
        "scores": evaluations * size,
        "informations": (evaluations + 1) * size * (size + 1) // 2,
        "log-likelihoods": 2,
        "time-weighted scores and informations": size * (size + 2),
        "pairs": 6,
        "squared influence on concordance": 2,
    }


def test_every_shown_step_of_the_baseline_hazard_holds_enough_events() -> None:
    p = large(people=150)
    rules = kit.replace(kit.STANDARD, time_grid=4, events_per_parameter=0, exact_curve=True)
    outcome = alone(p, CoxOptions(by_site=False, ties="breslow", transforms=()), rules=rules)
    table = outcome.tables["baseline"]
    shown = np.concatenate([[0], table["time"].to_numpy()])
    assert 2 < len(shown) < 16
    for before, until in itertools.pairwise(shown):
        assert (p.event & (p.time > before) & (p.time <= until)).sum() >= 15
        assert (p.time >= until).sum() >= 11
    assert (np.diff(table["cumulative_hazard"]) > 0).all()
    np.testing.assert_allclose(table["survival"], np.exp(-table["cumulative_hazard"]))


def test_last_digits_are_random_under_standard_rules() -> None:
    p = large(people=200)
    first, second = (alone(p, CoxOptions(transforms=()), rules=kit.STANDARD) for _ in range(2))
    a, b = (outcome.tables["coefficients"]["coef"].to_numpy() for outcome in (first, second))
    assert (a != b).all()
    np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("by_site", [True, False])
def test_too_few_events_are_refused(by_site: bool) -> None:
    """Which number is too small, and by how much, stays hidden."""
    options = CoxOptions(by_site=by_site)
    p = kit.simulated(32, people=200, order=2, horizon=60)
    few = p.event & (np.cumsum(p.event) <= 19)
    assert (few & (p.covariates[:, 0] == 1)).sum() < 11
    wide = kit.replace(p, plan=kit.replace(p.plan, few_levels=((), ())))
    with pytest.raises(DisclosureRefused, match=r"fewer than 20 events are too few for 2 columns \(events_per_param"):
        kit.fit(kit.replace(wide, event=few), split(p, 3), options, rules=kit.STANDARD)
    # enough events, but not with x0 = 1
    rare = p.event & ((p.covariates[:, 0] == 0) | (np.cumsum(p.covariates[:, 0] * p.event) <= 10))
    assert rare.sum() > 30
    with pytest.raises(DisclosureRefused, match="too few people or events, in total or in a level"):
        kit.fit(kit.replace(p, event=rare), split(p, 3), options, rules=kit.STANDARD)
    with pytest.raises(DisclosureRefused, match="minimum_count"):
        kit.fit(kit.replace(p, event=p.event & (np.cumsum(p.event) <= 10)), split(p, 3), options, rules=kit.STANDARD)


@pytest.mark.parametrize("by_site", [True, False])
def test_a_party_that_could_subtract_all_but_a_few_events_gets_no_model(by_site: bool) -> None:
    """Enough events in all, but the other sites together have five."""
    p = large()
    others = np.flatnonzero(p.event)[:5]
    site = np.zeros(len(p.time), int)
    site[others] = [1, 1, 2, 2, 2]
    options = CoxOptions(by_site=by_site)
    with pytest.raises(DisclosureRefused, match="small_remainders"):
        kit.fit(p, site, options, rules=kit.STANDARD)


def test_exact_tables_of_small_strata_stay_closed() -> None:
    """With exact curves allowed but a stratum below the minimum, ties are hidden as without."""
    p = kit.simulated(33, people=80, horizon=8, strata=2)
    p.stratum[:] = np.arange(80) < 6
    rules = kit.replace(kit.OPEN, minimum_count=11)
    wide = kit.replace(p, plan=kit.replace(p.plan, few_levels=((), ())))
    sessions: list[Session] = []
    options = CoxOptions(by_site=False, transforms=("rank",), ties="breslow")
    outcome = alone(wide, options, rules=rules, sessions=sessions)
    assert "events by time" not in sessions[0].openings.manifest
    assert any("'rank' of time" in line for line in outcome.withheld)
    check(outcome, p, p.stratum, "breslow", rtol=1e-6)


def test_traffic_does_not_depend_on_the_records() -> None:
    """At equal public bounds and coefficients: the same messages, whatever the people."""
    beta, ranges, cells = np.array([0.5, -0.25]), np.array([[-9.0, -9.0], [9.0, 9.0]]), Cells.lattice(1, 6)

    def trace(p: kit.People) -> list[tuple[int, int, int]]:
        seen: list[tuple[int, int, int]] = []

        def observe(message: Message) -> None:
            seen.append((message.sender, message.receiver, len(message.payload)))

        async def program(session: Session) -> None:
            session.openings.declare("few ties", 1, "")
            who = np.arange(40) % 2 == session.index - 1
            own = p.at(who)
            site = SiteRisk(own.covariates, own.time, own.event, own.stratum, None, cells) if who.any() else None
            rows, _, _ = await hidden_rows(session, cells, site, (1, 2), "breslow")
            model = PooledRisk(session, site, (1, 2), cells, rows, Bounds(6, 6, 4, 1), ranges)
            risk = await model.at(beta)
            await pooled_sums.score(model, risk)
            await pooled_sums.information(model, risk)
            await pooled_sums.log_likelihood(model, risk, beta)

        run_parties(Committee(3, 1), program, observe=observe, patience_seconds=300)
        return sorted(seen)

    p, q = kit.simulated(41, people=40, horizon=6), kit.simulated(44, people=40, horizon=6)
    assert trace(p) == trace(q)


def test_more_rows_than_masks_are_refused_before_anything_is_shared() -> None:
    p = kit.simulated(43, people=60)

    async def program(session: Session) -> Any:
        own = p.at(np.arange(60) % 3 == session.index - 1)
        return await joint_cox(session, p.plan, own, (1, 2, 3), Ruling(kit.HIDDEN, {}), BARE)

    assert plan_kappa(p.plan, CoxOptions()) == 40
    with pytest.raises(StatisticalSecurityError, match="too many for pooled risk sets at kappa = 50"):
        run_parties(Committee(3, 1), program, kappa=50, patience_seconds=300)
