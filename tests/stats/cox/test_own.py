"""One site's own sums against loops over people."""

from __future__ import annotations

import numpy as np
import pytest

from mpcstats.errors import DataError
from mpcstats.stats.cox.dominance import comparisons
from mpcstats.stats.cox.partial import OwnLikelihood
from mpcstats.stats.cox.sites import Cells, SiteRisk
from tests.stats.cox import kit, reference

TIES = ("efron", "breslow")


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize(("strata", "late"), [(1, False), (3, False), (3, True)])
def test_likelihood_equals_loops_over_people(ties: str, strata: int, late: bool) -> None:
    p = kit.simulated(3, people=80, order=3, horizon=9, strata=strata, late=late)
    beta = np.array([0.4, -0.3, 0.2])
    own = OwnLikelihood(p.covariates, p.time, p.event, p.stratum, p.entry, ties).at(beta)
    log, score, information = reference.likelihood(p.covariates, p.time, p.event, p.stratum, p.entry, beta, ties)
    assert own.log == pytest.approx(log, rel=1e-13)
    np.testing.assert_allclose(own.score, score, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(own.information, information, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize(("strata", "late"), [(1, False), (2, True)])
def test_score_residuals_are_what_one_person_adds(ties: str, strata: int, late: bool) -> None:
    """The residual is the derivative of the score in that person's weight; here by finite differences of weights."""
    p = kit.simulated(5, people=40, order=2, horizon=6, strata=strata, late=late)
    beta = np.array([0.3, -0.2])
    residuals = np.array([weighted_score_slope(p, beta, ties, i) for i in range(len(p.time))])
    own = OwnLikelihood(p.covariates, p.time, p.event, p.stratum, p.entry, ties)
    np.testing.assert_allclose(own.residual_products(beta), residuals.T @ residuals, rtol=2e-6)


def weighted_score_slope(p: kit.People, beta: np.ndarray, ties: str, person: int) -> np.ndarray:
    def score(weight: float) -> np.ndarray:
        w = np.ones(len(p.time))
        w[person] = weight
        start = np.full(len(p.time), -1) if p.entry is None else p.entry
        total = np.zeros(len(beta))
        for s in np.unique(p.stratum):
            for t in np.unique(p.time[p.event & (p.stratum == s)]):
                risk = (p.stratum == s) & (start < t) & (p.time >= t)
                failed = risk & p.event & (p.time == t)
                d = int(failed.sum())
                total += w[failed] @ p.covariates[failed]
                for k in range(d):
                    share = k / d if ties == "efron" else 0.0
                    e = w * np.exp(p.covariates @ beta) * (risk - share * failed)
                    # a row of tied events counts with their mean weight (Therneau, Grambsch 2000, 3.3)
                    total -= w[failed].mean() * (e @ p.covariates) / e.sum()
        return total

    return (score(1 + 1e-6) - score(1 - 1e-6)) / 2e-6


@pytest.mark.parametrize("late", [False, True])
def test_pairs_equal_loops_over_people(late: bool) -> None:
    p = kit.simulated(7, people=90, horizon=8, strata=2, late=late)
    score = np.round(p.covariates @ [0.5, -0.5], 1)
    expected = reference.pairs(score, p.time, p.event, p.stratum, p.entry)
    np.testing.assert_array_equal(comparisons(score, p.time, p.event, p.stratum, p.entry), expected)


def test_cells_without_anybody_and_people_without_cells() -> None:
    """People who leave before the first cell of their stratum, and strata without a cell, count nowhere."""
    cells = Cells(np.array([0, 0, 2]), np.array([3, 5, 4]))
    z = np.array([[1.0], [2.0], [4.0], [8.0], [16.0]])
    time, stratum = np.array([2, 4, 9, 7, 4]), np.array([0, 0, 0, 1, 2])
    risk = SiteRisk(z, time, np.array([True, False, False, True, True]), stratum, None, cells)
    assert risk.last.tolist() == [-1, 0, 1, -1, 2]
    assert risk.at_risk.tolist() == [2, 1, 1]
    assert risk.events.tolist() == [0, 0, 1]
    sums = risk.risk(np.ones(5))
    assert sums.zeroth.tolist() == [2, 1, 1]
    assert sums.first.tolist() == [[6, 4, 16]]
    assert sums.second.tolist() == [[20, 16, 256]]


def test_an_empty_risk_set_is_exactly_zero() -> None:
    """With late entries nobody may be at risk in between: rounding must not leave anything there."""
    cells = Cells.lattice(1, 9)
    rng = np.random.default_rng(1)
    entry, time = np.array([-1, -1, 5, 6]), np.array([3, 4, 8, 9])
    risk = SiteRisk(rng.normal(size=(4, 2)), time, np.ones(4, bool), np.zeros(4, np.int64), entry, cells)
    sums = risk.risk(np.exp(rng.normal(size=4)))
    assert risk.at_risk.tolist() == [2, 2, 2, 2, 1, 0, 1, 2, 2, 1]
    assert sums.zeroth[5] == 0
    assert (sums.first[:, 5] == 0).all()
    assert (sums.second[:, 5] == 0).all()


def test_records_that_do_not_fit_the_plan_are_refused_at_their_owner() -> None:
    p = kit.simulated(1, people=20, late=True)
    own = p.at(np.ones(20, bool))
    bad_time, bad_entry = own.time.copy(), own.entry.copy()
    bad_time[:3], bad_entry[:2] = 99, own.time[:2]
    wide = own.covariates.copy()
    wide[0, 1] = 1e6
    cases = {
        "3 of 20 people have times outside": kit.replace(own, time=bad_time),
        "2 of 20 people have an entry that is not before": kit.replace(own, entry=bad_entry),
        "1 of 20 people have covariates outside": kit.replace(own, covariates=wide),
        "20 of 20 people have unknown strata": kit.replace(own, stratum=own.stratum + 1),
        "do not agree on whether there are entry times": kit.replace(own, entry=None),
        "do not have the same length": kit.replace(own, event=own.event[1:]),
    }
    for message, contribution in cases.items():
        with pytest.raises(DataError, match=message):
            contribution.scaled(p.plan)
