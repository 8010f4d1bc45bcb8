"""Wald and Firth regressions of many variants: known answers, any split, codes, and what is opened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm

from mpcstats.errors import RangeError
from mpcstats.field import M127
from mpcstats.runtime import Session, Shared
from mpcstats.stats.association import logistic_fit, logistic_last
from mpcstats.stats.association.logistic_fit import Fits, fit_masks
from mpcstats.stats.association.logistic_sums import Points, positions, symmetric_indices
from tests.stats.association import kit
from tests.stats.association.reference import firth


def design(people: kit.People, j: int) -> tuple[np.ndarray, np.ndarray]:
    """Phenotype and design of the complete cases; covariates standardised for the reference's sake."""
    g = people.a1[:, j]
    rows = ~np.isnan(g)
    x = people.covariates
    x = (x - x.mean(axis=0)) / x.std(axis=0) if x.size else x
    return people.y[rows], np.column_stack([np.ones(rows.sum()), x[rows], g[rows]])


def check_wald(people: kit.People, fits: Fits, which: Any, tolerance: float = 1e-8) -> None:
    for j in which:
        y, x = design(people, j)
        theirs = sm.Logit(y, x).fit(disp=0, method="newton", tol=1e-14, maxiter=60, warn_convergence=False)
        assert fits.errcode[j] == "."
        assert not fits.firth[j]
        assert abs(fits.effect[j] - theirs.params[-1]) < tolerance * theirs.bse[-1]
        assert fits.standard_error[j] == pytest.approx(theirs.bse[-1], rel=tolerance)
        assert fits.z[j] == pytest.approx(theirs.tvalues[-1], rel=tolerance, abs=tolerance)
        assert fits.p[j] == pytest.approx(theirs.pvalues[-1], rel=1e-6)
        assert fits.log10_p[j] == pytest.approx(-np.log10(theirs.pvalues[-1]), rel=1e-6)


def check_firth(people: kit.People, fits: Fits, which: Any, tolerance: float = 1e-7) -> None:
    for j in which:
        effect, error = firth(*design(people, j))
        assert fits.errcode[j] == "."
        assert fits.firth[j]
        assert abs(fits.effect[j] - effect) < tolerance * error
        assert fits.standard_error[j] == pytest.approx(error, rel=tolerance)


def with_carriers(people: kit.People, variant: int, cases: int, controls: int) -> kit.People:
    """A variant of which so many cases and controls carry one copy."""
    calls = people.calls.copy()
    calls[:, variant] = 0
    calls[np.flatnonzero(people.y == 1)[:cases], variant] = 1
    calls[np.flatnonzero(people.y == 0)[:controls], variant] = 1
    return replace(people, calls=calls)


@pytest.mark.parametrize(
    ("sites", "parties", "covariates"),
    [
        (1, 1, 3),
        (3, 3, 2),
        (2, 3, 0),
        pytest.param(5, 5, 4, marks=pytest.mark.long),
        pytest.param(4, 4, 1, marks=pytest.mark.long),
        pytest.param(7, 7, 1, marks=pytest.mark.long),
    ],
)
def test_wald_is_the_pooled_regression(sites: int, parties: int, covariates: int) -> None:
    people = kit.cohort(10 + covariates, covariates=covariates)
    _, fits = kit.run(people, "wald", kit.split(people, sites), parties)
    check_wald(people, fits, range(6))
    assert (fits.iterations <= 8).all()


@pytest.mark.parametrize(
    ("sites", "parties", "covariates"),
    [(1, 1, 2), pytest.param(3, 3, 1, marks=pytest.mark.long), pytest.param(5, 5, 0, marks=pytest.mark.long)],
)
def test_firth_is_the_regression_with_hat_values(sites: int, parties: int, covariates: int) -> None:
    people = kit.cohort(20 + covariates, people=200, covariates=covariates, missing=0.1)
    people = with_carriers(with_carriers(people, 4, 1, 0), 5, 3, 2)
    _, fits = kit.run(people, "firth", kit.split(people, sites), parties)
    check_firth(people, fits, range(6), 2e-8)


@pytest.mark.parametrize("parties", [1, pytest.param(3, marks=pytest.mark.long)])
def test_separated_variants_fall_back_to_firth_and_bad_ones_have_a_code(parties: int) -> None:
    people = kit.cohort(31, variants=9, covariates=1)
    people = with_carriers(with_carriers(with_carriers(people, 2, 6, 0), 3, 0, 9), 4, 1, 0)
    calls = people.calls.copy()
    calls[:, 5] = 0  # nobody carries it
    calls[:, 6] = 1  # everybody heterozygous
    calls[:, 7] = np.where(people.covariates[:, 0] > np.median(people.covariates[:, 0]), 1, 0)
    calls[:, 8] = -1
    calls[:3, 8] = [0, 1, 2]
    people = replace(people, calls=calls)
    _, wald = kit.run(people, "wald", parties=parties)
    codes = ["SEPARATION"] * 3 + ["CONST_OMITTED_ALLELE", "VIF_TOO_HIGH", ".", "SAMPLE_CT<=PREDICTOR_CT"]
    assert wald.errcode.tolist() == [".", ".", *codes]
    bad = wald.errcode != "."
    for column in (wald.effect, wald.standard_error, wald.z, wald.p, wald.log10_p):
        assert (np.isnan(column) == bad).all()
    _, fits = kit.run(people, "firth-fallback", parties=parties)
    assert fits.errcode.tolist() == ["."] * 5 + [*codes[3:5], ".", codes[6]]
    assert fits.firth.tolist() == [False, False, True, True, True, False, False, False, False]
    check_wald(people, fits, [0, 1, 7])
    check_firth(people, fits, [2, 3, 4])


@pytest.mark.parametrize("parties", [1, pytest.param(3, marks=pytest.mark.long)])
def test_strong_effects_rare_cases_and_uneven_sites(parties: int) -> None:
    """A common variant with odds 20 times as high per copy, 3% cases, and cases at one site only."""
    rng = np.random.default_rng(5)
    people = kit.cohort(41, people=2000, variants=3, covariates=1, missing=0.2)
    g = np.nan_to_num(people.a1[:, 0])
    chance = 1 / (1 + np.exp(4.5 - 3.0 * g - 0.3 * people.covariates[:, 0] / people.covariates[:, 0].std()))
    y = (rng.random(2000) < chance).astype(float)
    people = replace(people, y=y)
    order = np.argsort(y, kind="stable")
    sites = [people.of(order[:900]), people.of(order[900:1400]), people.of(order[1400:])][: max(1, parties)]
    _, fits = kit.run(people, "firth-fallback", sites if parties > 1 else None, parties)
    check_wald(people, fits, range(3))
    assert fits.effect[0] > 2


def test_both_alleles_and_p_beyond_doubles() -> None:
    rng = np.random.default_rng(6)
    g = rng.binomial(2, 0.5, 20_000)
    y = (rng.random(20_000) < 1 / (1 + np.exp(2.2 - 2.2 * g))).astype(float)
    people = kit.People(y, np.zeros((20_000, 0)), np.stack([g, 2 - g], axis=1).astype(np.int8))
    _, fits = kit.run(people, "wald", parties=1)
    assert fits.p[0] == 0
    assert fits.log10_p[0] > 400
    # one of the two counts the other allele, whichever is the rarer one; the text of both is the same A1
    assert people.a1_is_alt.sum() == 1
    np.testing.assert_allclose(fits.effect[0], fits.effect[1], rtol=1e-12)


@pytest.mark.long
def test_the_twin_and_the_parties_agree() -> None:
    people = kit.cohort(50, variants=3, covariates=1)
    _, alone = kit.run(people, "wald", parties=1)
    _, joint = kit.run(people, "wald", kit.split(people, 2), parties=3)
    np.testing.assert_allclose(alone.effect, joint.effect, rtol=1e-9)
    np.testing.assert_allclose(alone.standard_error, joint.standard_error, rtol=1e-9)


def test_missing_calls_may_be_where_the_covariates_are_extreme() -> None:
    people = kit.cohort(60, people=500, variants=2, covariates=1)
    calls = people.calls.copy()
    calls[np.argsort(people.covariates[:, 0])[:200], 1] = -1
    calls[np.argsort(people.covariates[:, 0])[3:], 0] = -1
    people = replace(people, calls=calls)
    _, fits = kit.run(people, "wald", parties=1)
    check_wald(people, fits, [1])
    assert fits.errcode[0] == "SAMPLE_CT<=PREDICTOR_CT"


def test_a_covariate_that_is_constant_where_there_are_calls_has_a_code() -> None:
    people = kit.cohort(61, people=400, variants=2, covariates=1)
    smoker = (np.arange(400) % 4 == 0).astype(float)
    calls = people.calls.copy()
    calls[smoker == 1, 1] = -1
    people = replace(people, covariates=smoker[:, None], calls=calls)
    _, fits = kit.run(people, "firth-fallback", parties=1)
    assert fits.errcode.tolist() == [".", "UNBALANCED_MISSINGNESS"]
    check_wald(people, fits, [0])


def test_a_step_that_went_too_far_is_halved() -> None:
    points = Points(np.array([[1.0, 3.0], [0.0, 1.0]]), np.ones(2), np.ones(2), np.ones(2, np.bool_))
    nothing = np.full(2, np.nan)
    state = logistic_fit._State(points, np.full(2, ".", object), np.zeros(2, np.int64), nothing, nothing)
    last, taken = np.array([[1.0, 2.0], [0.0, 1.0]]), np.ones(2, np.int64)
    near = logistic_fit._move(state, np.arange(2), np.array([[0.0, -1.5], [0.0, -(2.0**-8)]]), last, taken, False)
    np.testing.assert_array_equal(points.coefficients, [[0.5, 2.0], [0.0, 1 - 2.0**-8]])
    np.testing.assert_array_equal(last, [[0.5, 1.0], [0.0, -(2.0**-8)]])
    assert near.tolist() == [False, True]


# --- what is opened -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parties", [1, pytest.param(3, marks=pytest.mark.long)])
def test_opens_what_it_declares_and_spends_the_masks_that_were_planned(parties: int) -> None:
    people = with_carriers(kit.cohort(70, variants=5, covariates=1), 3, 5, 0)
    sessions: list[Session] = []
    null, fits = kit.run(people, "firth-fallback", kit.split(people, parties), parties, sessions=sessions)
    opened = {name: entry.values for name, entry in sessions[0].openings.manifest.items()}
    assert fits.errcode.tolist() == ["."] * 5
    assert fits.firth.tolist() == [False, False, False, True, False]
    assert opened["size of a variant"] == 5
    assert opened["variant not explained"] == 10
    assert opened["effect"] == opened["variance"] == opened["size of the variance"] == 5
    assert opened["last step can be solved"] == 10
    # a coarse step has one number per column; the last one opens the variant's alone
    points = int(fits.iterations.sum())
    assert opened["step can be solved"] == 2 * (points - 5)
    assert opened["step"] % (null.order + 1) == 0
    assert opened["step"] // (null.order + 1) in range(points - 5 - 3, points - 5 + 1)
    null_model = {
        "enough cases and controls",
        "cases",
        "enough people",
        "people",
        "means",
        "sums of squares and products",
        "score of the null model",
        "information of the null model",
    }
    assert set(opened) - null_model == {
        "size of a variant",
        "variant not explained",
        "step can be solved",
        "step",
        "last step can be solved",
        "size of the variance",
        "effect",
        "variance",
    }
    assert sessions[0].accounts.masked_openings <= fit_masks(null.order, 5, "firth-fallback")


@pytest.mark.long
def test_steps_are_coarse_and_the_last_digits_of_results_are_random(monkeypatch: pytest.MonkeyPatch) -> None:
    people = kit.cohort(80, variants=4, covariates=1)
    seen: dict[str, list[tuple[np.ndarray, int]]] = {}
    for module in (logistic_fit, logistic_last):
        real = module.open_declared

        async def watched(session: Session, x: Shared, name: str, real: Any = real) -> Any:
            value = await real(session, x, name)
            if session.index == 1:
                seen.setdefault(name, []).append((np.array(M127.to_signed(value), dtype=object), x.fraction_bits))
            return value

        monkeypatch.setattr(module, "open_declared", watched)
    runs = []
    for _ in range(2):
        seen.clear()
        kit.run(people, "wald")
        runs.append(dict(seen))
    # the first step of both runs is from the same coefficients: 20 digits after the point are the same
    (first, bits), (second, _) = runs[0]["step"][0], runs[1]["step"][0]
    assert bits > 60
    off = np.abs((first - second).astype(float)) * 2.0**-bits
    assert np.median(off) > 2.0**-24
    assert off.max() < 2.0**-17
    for name in ("effect", "variance"):
        ((a, bits),), ((b, _),) = runs[0][name], runs[1][name]
        assert bits >= 90
        assert (np.abs((a - b).astype(float)) * 2.0**-bits > 2.0**-66).all()


def test_a_party_without_data_takes_part() -> None:
    people = kit.cohort(90, variants=2, covariates=1)
    empty = people.of(np.zeros(0, np.int64))
    _, fits = kit.run(people, "wald", [people, empty])
    check_wald(people, fits, range(2))


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(RangeError, match="firth-fallback"):
        fit_masks(3, 10, "ridge")


# --- local sums -----------------------------------------------------------------------------------------------------


def test_positions_of_symmetric_tensors() -> None:
    for size, power in ((1, 3), (3, 2), (4, 4)):
        where = positions(size, power)
        indices = symmetric_indices(size, power)
        for index in np.ndindex(where.shape):
            assert indices[where[index]] == tuple(sorted(index))


def test_own_sums_are_the_textbook_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    from mpcstats.stats.association import logistic_sums as sums
    from mpcstats.stats.association.logistic_null import LogisticNull

    rng = np.random.default_rng(7)
    people, order, count = 23, 3, 4
    calls = rng.integers(-1, 3, (people, count)).astype(np.int8)
    y = rng.integers(0, 2, people).astype(float)
    basis, linear = rng.normal(size=(people, order)), rng.normal(size=people) * 3
    null = LogisticNull(people, int(y.sum()), np.zeros(order), 1, 1.0, y, linear, basis)
    alt = np.array([True, False, True, False])
    points = sums.Points(rng.normal(size=(count, order + 1)), rng.uniform(0.5, 1, count), rng.uniform(1, 2, count), alt)
    monkeypatch.setattr(sums, "_CHUNK_CELLS", 5 * count)
    found = sums.own_sums(null, calls, points, (1, 2, 3, 4))
    for j in range(count):
        rows = calls[:, j] >= 0
        g = calls[rows, j] if alt[j] else 2 - calls[rows, j]
        x = np.column_stack([basis[rows] / np.sqrt(points.rate[j]), g * points.sigma[j]])
        p = 1 / (1 + np.exp(-(linear[rows] + x @ points.coefficients[j])))
        w = p * (1 - p)
        factors = {1: y[rows] - p, 2: w, 3: w * (0.5 - p), 4: w * (0.5 - 3 * w)}
        for k, factor in factors.items():
            expected = [(factor * np.prod(x[:, index], axis=1)).sum() for index in symmetric_indices(order + 1, k)]
            np.testing.assert_allclose(found[k][j], expected, rtol=1e-11, atol=1e-11)
