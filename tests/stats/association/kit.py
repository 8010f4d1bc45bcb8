"""Cohorts for genome-wide association, split over in-memory parties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.stats.association.logistic_fit import Fits, declare_fits, fit_variants
from mpcstats.stats.association.logistic_null import LogisticNull, fit_logistic_null
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.types import DisclosureRules

OPEN, STANDARD = (Policy.preset(name).rules for name in ("open", "standard"))


@dataclass(frozen=True)
class People:
    """y (people,), covariates (people, c), calls (people, V) with -1 where missing."""

    y: np.ndarray
    covariates: np.ndarray
    calls: np.ndarray

    def of(self, rows: np.ndarray) -> People:
        return People(self.y[rows], self.covariates[rows], self.calls[rows])

    @property
    def observed(self) -> np.ndarray:
        return (self.calls >= 0).sum(axis=0)

    @property
    def a1_is_alt(self) -> np.ndarray:
        return np.maximum(self.calls, 0).sum(axis=0) <= self.observed

    @property
    def passes(self) -> np.ndarray:
        copies = np.maximum(self.calls, 0).sum(axis=0)
        return (copies > 0) & (copies < 2 * self.observed)

    @property
    def a1(self) -> np.ndarray:
        """Copies of A1, NaN where missing."""
        copies = np.where(self.a1_is_alt, self.calls, 2 - self.calls).astype(float)
        return np.where(self.calls < 0, np.nan, copies)


def cohort(seed: int, people: int = 300, variants: int = 6, covariates: int = 2, missing: float = 0.03) -> People:
    """Simulated; variant 0 has an effect, as have the covariates."""
    rng = np.random.default_rng(seed)
    calls = rng.binomial(2, rng.uniform(0.1, 0.9, variants), (people, variants)).astype(np.int8)
    x = rng.normal(0, 1, (people, covariates)) * 10.0 ** rng.uniform(-2, 3, covariates) + rng.normal(0, 3, covariates)
    spread = (x - x.mean(axis=0)) / x.std(axis=0) if covariates else x
    linear = -0.3 + spread @ rng.normal(0, 0.6, covariates) + 0.5 * calls[:, 0]
    y = (rng.random(people) < 1 / (1 + np.exp(-linear))).astype(float)
    calls[:, 1:][rng.random((people, variants - 1)) < missing] = -1
    return People(y, x, calls)


def plan_of(people: People) -> AssociationPlan:
    names = tuple(f"c{k}" for k in range(people.covariates.shape[1]))
    levels = ((0.0, 1.0), *(() for _ in names))
    return AssociationPlan("status", names, people.calls.shape[1], "00" * 32, levels)


def split(people: People, sites: int, seed: int = 0) -> list[People]:
    target = np.random.default_rng(seed).integers(0, sites, len(people.y))
    return [people.of(np.flatnonzero(target == k)) for k in range(sites)]


def run(
    people: People,
    method: str = "firth-fallback",
    sites: Sequence[People] | None = None,
    parties: int = 3,
    rules: DisclosureRules = OPEN,
    kappa: int = 64,
    sessions: list[Session] | None = None,
) -> tuple[LogisticNull, Fits]:
    """Null model and fits, as party 1 has them; all parties must agree."""
    cells = [people] if sites is None else list(sites)
    plan = plan_of(people)
    dealers = tuple(range(1, len(cells) + 1))

    async def program(session: Session) -> Any:
        own = None
        if session.index <= len(cells):
            mine = cells[session.index - 1]
            own = AssociationContribution(mine.y, mine.covariates, lambda start, stop: mine.calls[:, start:stop])
        null = await fit_logistic_null(session, plan, own, dealers, Ruling(rules, {}))
        declare_fits(session, null.order, plan.variant_count, method)
        calls = None if own is None else own.read(0, plan.variant_count)
        fits = await fit_variants(
            session, null, calls, dealers, people.observed, people.a1_is_alt, people.passes, method
        )
        if sessions is not None and session.index == 1:
            sessions.append(session)
        return null, fits

    results = run_parties(Committee(parties, default_threshold(parties)), program, kappa=kappa, patience_seconds=120.0)
    for null, fits in results[1:]:
        assert (null.coefficients == results[0][0].coefficients).all()
        np.testing.assert_array_equal(fits.effect, results[0][1].effect)
    return results[0]
