"""Linear, logistic and Poisson regression through embedded parties: R's digits, formulas, refusals, openings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.sdk.results import wrap
from mpcstats.sdk.results.regression import GlmResult, OlsResult
from mpcstats.stats.outcome import Outcome
from tests.sdk.regression_truth import agree, fit, same, split
from tests.stats.r_truth import everything, shipped

HC = {"HC0": "hc0_se", "HC1": "hc1_se", "HC3": "hc3_se"}


@pytest.mark.parametrize("entry", shipped("regression.json"))
def test_rs_digits(entry: dict[str, Any]) -> None:
    agree(fit(entry, sites=3), entry)


@pytest.mark.parametrize("entry", [p for p in shipped("regression.json") if p.id in {"mtcars_lm", "birthwt_logit"}])
def test_rs_digits_of_robust_errors(entry: dict[str, Any]) -> None:
    for kind in [kind for kind, name in HC.items() if name in entry["result"]]:
        result = fit(entry, sites=2, robust=kind)
        same(result.coefficients["robust_se"], entry["result"][HC[kind]])
        same(result.coefficients["se_coef"], entry["result"]["se"])


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("entry", everything("regression.json"))
def test_all_of_rs_digits_over_any_split(entry: dict[str, Any], seed: int) -> None:
    sites = 2 + (seed * 2 + len(entry["id"])) % 6
    agree(fit(entry, sites, seed), entry)
    for kind, name in HC.items():
        if entry["result"].get(name) is not None:
            same(fit(entry, sites, seed, robust=kind).coefficients["robust_se"], entry["result"][name])


# ---- formulas --------------------------------------------------------------------------------------------------------


def cohort(people: int = 900, seed: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.integers(30, 80, people).astype(float),
            "sex": rng.choice(["F", "M"], people),
            "stage": rng.choice(["I", "II", "III"], people, p=[0.5, 0.3, 0.2]),
            "years": rng.uniform(0.5, 5, people).round(2),
        }
    )
    eta = -1 + 0.03 * (frame["age"] - 50) + 0.5 * (frame["sex"] == "M") + 0.4 * (frame["stage"] == "III")
    frame["sbp"] = (120 + 10 * eta + rng.normal(0, 8, people)).round(1)
    frame["death"] = (rng.random(people) < 1 / (1 + np.exp(-eta))).astype(int)
    frame["visits"] = rng.poisson(np.exp(0.2 * eta) * frame["years"])
    frame["log_years"] = np.log(frame["years"])
    frame.loc[5:9, "age"] = np.nan
    return frame


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """The pooled rows of `consortium`; nobody at the first site has stage III."""
    return pd.concat(sites_of(cohort()).values(), ignore_index=True)


def sites_of(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    sites = split(frame, 3, seed=1)
    sites["site0"] = sites["site0"][sites["site0"]["stage"] != "III"].reset_index(drop=True)
    return sites


@pytest.fixture(scope="module")
def consortium() -> Iterator[ms.Consortium]:
    with ms.local(sites_of(cohort()), policy="open") as found:
        yield found


def statsmodels(formula: str, frame: pd.DataFrame, family: str, **options: Any) -> Any:
    import statsmodels.formula.api as smf

    fits = {"ols": smf.ols, "logit": smf.logit, "poisson": smf.poisson}
    settings = {} if family == "ols" else {"disp": 0, "tol": 1e-14, "maxiter": 100}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fits[family](formula, frame.dropna(), **options).fit(**settings)


def agrees(result: OlsResult | GlmResult, expected: Any, names: dict[str, str]) -> None:
    table = result.coefficients.set_index("term")
    assert len(table) == len(names) == len(expected.params)
    ours = table.loc[list(names)]
    np.testing.assert_allclose(ours["coef"], expected.params[list(names.values())], rtol=1e-9)
    np.testing.assert_allclose(ours["se_coef"], expected.bse[list(names.values())], rtol=1e-6)
    np.testing.assert_allclose(result.log_likelihood, expected.llf, rtol=1e-12)
    np.testing.assert_allclose(
        result.bic,
        expected.bic + (0 if isinstance(result, GlmResult) else np.log(len(expected.model.endog))),
        rtol=1e-12,
    )


def test_interactions_transforms_and_references(consortium: ms.Consortium, frame: pd.DataFrame) -> None:
    result = consortium.ols("sbp ~ age + C(sex, Treatment('M')) * stage + log(years) + I(years**2)")
    expected = statsmodels("sbp ~ age + C(sex, Treatment('M')) * stage + np.log(years) + I(years**2)", frame, "ols")
    other = "C(sex, Treatment('M'))[T.F]"
    agrees(
        result,
        expected,
        {
            "(Intercept)": "Intercept",
            "age": "age",
            "sex=F": other,
            "stage=II": "stage[T.II]",
            "stage=III": "stage[T.III]",
            "sex=F:stage=II": f"{other}:stage[T.II]",
            "sex=F:stage=III": f"{other}:stage[T.III]",
            "log(years)": "np.log(years)",
            "I(years**2)": "I(years ** 2)",
        },
    )
    assert result.incomplete == 5
    assert "(5 observations deleted due to missingness)" in result.summary()
    assert result.anova["term"].tolist() == [
        "age",
        "sex",
        "stage",
        "log(years)",
        "I(years**2)",
        "sex:stage",
        "Residuals",
    ]
    listed = consortium.ols("sbp", ["age", "stage"])
    written = consortium.ols("sbp ~ age + stage")
    np.testing.assert_allclose(listed.coefficients["coef"], written.coefficients["coef"], rtol=1e-12)


def test_logistic_regression(consortium: ms.Consortium, frame: pd.DataFrame) -> None:
    result = consortium.glm("death ~ age * sex + stage")
    expected = statsmodels("death ~ age * sex + stage", frame, "logit")
    names = {"(Intercept)": "Intercept", "age": "age", "sex=M": "sex[T.M]", "age:sex=M": "age:sex[T.M]"}
    agrees(result, expected, names | {f"stage={s}": f"stage[T.{s}]" for s in ("II", "III")})
    np.testing.assert_allclose(result.outcome.values["likelihood_ratio"], expected.llr, rtol=1e-8)
    assert result.outcome.values["events"] == int(frame.dropna()["death"].sum())
    # the event named, and the other way round
    turned = consortium.glm("death", ["age"], event_values=0)
    np.testing.assert_allclose(
        turned.coefficients["coef"], -consortium.glm("death", "age").coefficients["coef"], rtol=1e-9
    )
    # the second of two levels is the event
    assert consortium.glm("sex", "age").conventions["event"] == "sex = M"


def area(y: np.ndarray, risk: np.ndarray) -> float:
    """Pairs in order, ties half."""
    more = risk[y == 1][:, None] - risk[y == 0][None]
    return float((more > 1e-12).mean() + (np.abs(more) <= 1e-12).mean() / 2)


@pytest.mark.parametrize("formula", ["death ~ age + sex + years", "death ~ sex + stage", "death ~ 1"])
def test_area_brier_and_calibration(formula: str, consortium: ms.Consortium, frame: pd.DataFrame) -> None:
    result = consortium.glm(formula)
    used = frame.dropna() if "~ age" in formula else frame.drop(columns="age")
    expected = statsmodels(formula, used, "logit")
    risk, y = np.asarray(expected.predict(used)), used["death"].to_numpy()
    # equal combinations of levels are ties
    assert result.auc == pytest.approx(area(y, risk), rel=1e-12)
    assert result.brier == pytest.approx(((y - risk) ** 2).mean(), rel=1e-9)
    table = result.calibration
    assert table is not None
    assert table["people"].sum() == len(used)
    assert table["events"].sum() == y.sum()
    assert table["expected"].sum() == pytest.approx(y.sum())
    if "years" in formula:
        place = np.searchsorted(table["risk_to"], risk, side="right")
        assert np.bincount(place, minlength=10).tolist() == table["people"].tolist()
        np.testing.assert_allclose(np.bincount(place, risk), table["expected"], rtol=1e-9)
        score = (
            (np.bincount(place, y) - table["expected"]) ** 2
            / table["expected"]
            / (1 - table["expected"] / table["people"])
        ).sum()
        assert result.outcome.values["hosmer_lemeshow"] == pytest.approx(score)
        assert result.outcome.values["hosmer_lemeshow_degrees_of_freedom"] == 8
        assert set(result.figures()) == {"forest", "calibration"}
        assert "Hosmer-Lemeshow test" in result.summary()


def test_poisson_regression_with_offset(consortium: ms.Consortium, frame: pd.DataFrame) -> None:
    result = consortium.glm("visits ~ age + sex", family="poisson", offset="log_years")
    kept = frame.dropna()
    expected = statsmodels("visits ~ age + sex", frame, "poisson", offset=kept["log_years"])
    null = statsmodels("visits ~ 1", frame, "poisson", offset=kept["log_years"])
    agrees(result, expected, {"(Intercept)": "Intercept", "age": "age", "sex=M": "sex[T.M]"})
    np.testing.assert_allclose(result.outcome.values["likelihood_ratio"], 2 * (expected.llf - null.llf), rtol=1e-9)
    assert result.outcome.values["total"] == pytest.approx(kept["visits"].sum())


@pytest.mark.parametrize(
    ("formula", "family"), [("sbp ~ 0 + C(sex) + age", "ols"), ("death ~ 0 + C(sex) + years", "logit")]
)
def test_models_without_intercept(formula: str, family: str, consortium: ms.Consortium, frame: pd.DataFrame) -> None:
    fits: dict[str, Callable[..., Any]] = {"ols": consortium.ols, "logit": consortium.glm}
    table = fits[family](formula).coefficients
    used = frame if "age" in formula else frame.drop(columns="age")
    expected = statsmodels(formula, used, family)
    np.testing.assert_allclose(table["coef"], expected.params, rtol=1e-9)
    np.testing.assert_allclose(table["se_coef"], expected.bse, rtol=1e-6)


def test_indicators_of_sites(consortium: ms.Consortium) -> None:
    result = consortium.ols("sbp", ["age", "sex"], site_indicators=True)
    joined = pd.concat([part.assign(site=name) for name, part in sites_of(cohort()).items()])
    expected = statsmodels("sbp ~ age + sex + site", joined, "ols")
    names = {"(Intercept)": "Intercept", "age": "age", "sex=M": "sex[T.M]"}
    agrees(result, expected, names | {f"site=site{k}": f"site[T.site{k}]" for k in (1, 2)})
    assert consortium.ols("sbp ~ 1").coefficients["term"].tolist() == ["(Intercept)"]


def test_badly_scaled_columns_keep_rs_digits() -> None:
    rng = np.random.default_rng(5)
    big, small = 1e9 + rng.normal(0, 1e3, 200), rng.lognormal(0, 2, 200) * 1e-7
    table = pd.DataFrame({"big": big, "small": small, "y": 1e-3 * (big - 1e9) + 1e7 * small + rng.normal(size=200)})
    with ms.local(split(table, 4, seed=2), policy="open") as consortium:
        result = consortium.ols("y ~ big + small")
    centred = np.column_stack([np.ones(200), (big - 1e9) / 1e3, small * 1e7])
    coef, left, _, _ = np.linalg.lstsq(centred, table["y"], rcond=None)
    np.testing.assert_allclose(result.coefficients["coef"][1:], coef[1:] * [1e-3, 1e7], rtol=1e-9)
    np.testing.assert_allclose(result.outcome.values["residual_sum_of_squares"], left[0], rtol=1e-9)


def test_a_perfect_fit_is_said() -> None:
    x = np.random.default_rng(6).normal(size=60)
    nearly = 1e-7 * np.random.default_rng(7).normal(size=60)
    table = pd.DataFrame({"x": x, "y": 3 * x + 1, "close": 3 * x + nearly})
    with ms.local(split(table, 3, seed=2), policy="open") as consortium:
        perfect, close = consortium.ols("y ~ x"), consortium.ols("close ~ x")
    assert perfect.residual_standard_error == 0
    assert "perfect fit" in perfect.headline()
    residual = nearly - np.polyval(np.polyfit(x, nearly, 1), x)
    np.testing.assert_allclose(close.outcome.values["residual_sum_of_squares"], residual @ residual, rtol=0.05)


# ---- results ---------------------------------------------------------------------------------------------------------


def test_results_print_plot_and_travel(consortium: ms.Consortium, tmp_path: Path) -> None:
    for result in (consortium.ols("sbp ~ age * sex"), consortium.glm("death ~ age + sex + stage", robust="HC0")):
        assert wrap(Outcome.from_json(result.outcome.to_json())).summary() == result.summary()
        written = {path.name for path in result.save(tmp_path / result.analysis)}
        assert {f"{result.analysis}.{end}" for end in ("coefficients.csv", "covariance.csv", "txt")} <= written
        assert "age" in result._repr_html_()
    text = consortium.ols("sbp ~ age").headline()
    assert "Residual standard error" in text
    assert "F-statistic" in text
    assert "Null deviance" in consortium.glm("death ~ age").headline()


# ---- refusals --------------------------------------------------------------------------------------------------------


def faulty() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    x, death = rng.normal(size=120).round(3), rng.integers(0, 2, 120)
    return pd.DataFrame(
        {
            "x": x,
            "twice": 2 * x + 1,
            "four": 4.0,
            "death": death,
            "apart": death * 2 + rng.random(120),
            "never": 0,
            "group": np.where(np.arange(120) < 8, "rare", "usual"),
            "alive": np.where(np.arange(120) < 8, 0, rng.integers(0, 2, 120)),
            "y": rng.normal(size=120),
            "visits": np.where(np.arange(120) < 8, 0, rng.integers(0, 4, 120)),
        }
    )


REFUSED: list[tuple[str, str, dict[str, Any], str]] = [
    ("ols", "y ~ x + twice", {}, "x, twice are collinear.*condition number"),
    ("ols", "y ~ x + four", {}, "constant.*four"),
    ("ols", "four ~ x", {}, "constant.*four"),
    ("ols", "y ~ x", {"where": "x > 1000"}, "0 people.*too few"),
    ("ols", "y ~ x + apart", {"where": "x > 2.2"}, "people.*too few"),
    ("ols", "group ~ x", {}, "a number or a boolean"),
    ("ols", "y", {}, "no covariates"),
    ("ols", "y", {"covariates": ["x", "x"]}, "named twice"),
    ("ols", "y", {"covariates": ["x"], "factors": ["group"]}, "not among the covariates"),
    ("ols", "y ~ x", {"covariates": ["x"]}, "leave `covariates`"),
    ("ols", "y ~ nobody", {}, "no column 'nobody'"),
    ("ols", "y ~ I(open('x'))", {}, "not allowed"),
    ("ols", "y ~ x - 1", {"site_indicators": True}, "need the intercept"),
    ("glm", "death ~ apart + x", {}, "apart separate the outcomes"),
    ("glm", "alive ~ group", {}, "separate the outcomes"),
    ("glm", "never ~ x", {}, "nobody has the event"),
    ("glm", "y ~ x", {}, "a boolean column, or one with levels"),
    ("glm", "visits ~ x", {}, "which levels"),
    ("glm", "death ~ x", {"event_values": [3]}, "not a level"),
    ("glm", "death ~ x", {"offset": "y"}, "offset is for a Poisson"),
    ("glm", "y ~ x", {"family": "poisson"}, "whole numbers from 0"),
    ("glm", "visits ~ group", {"family": "poisson"}, "separate the outcomes"),
    ("glm", "never ~ x", {"family": "poisson"}, "every count"),
]


@pytest.fixture(scope="module")
def others() -> Iterator[ms.Consortium]:
    with ms.local(split(faulty(), 2, seed=1), policy="open") as found:
        yield found


@pytest.mark.parametrize(("method", "formula", "options", "words"), REFUSED)
def test_what_cannot_be_fitted_is_refused(
    method: str, formula: str, options: dict[str, Any], words: str, others: ms.Consortium
) -> None:
    with pytest.raises(SpecError, match=words):
        getattr(others, method)(formula, **options)


# ---- what the rules withhold -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strict() -> Iterator[ms.Consortium]:
    frame = cohort().assign(
        rare=lambda table: (np.arange(len(table)) < 5).astype(int),
        # eight of its holders have stage III: both alone are many
        uneven=lambda table: np.where(
            table["stage"] == "III", (table["stage"] == "III").cumsum() <= 8, np.arange(len(table)) % 2 == 0
        ).astype(int),
        # four of its holders are men with stage III: each two of the three are many
        corner=lambda table: np.where(
            (table["stage"] == "III") & (table["sex"] == "M"),
            ((table["stage"] == "III") & (table["sex"] == "M")).cumsum() <= 4,
            np.arange(len(table)) % 2 == 0,
        ).astype(int),
    )
    with ms.local(split(frame, 3, seed=1), policy="standard") as found:
        yield found


def test_standard_gives_about_six_digits(strict: ms.Consortium) -> None:
    frame = cohort()
    names = {
        "(Intercept)": "Intercept",
        "age": "age",
        "sex=M": "sex[T.M]",
        "stage=II": "stage[T.II]",
        "stage=III": "stage[T.III]",
    }
    for result, family in (
        (strict.ols("sbp ~ age + sex + stage"), "ols"),
        (strict.glm("death ~ age + sex + stage"), "logit"),
    ):
        outcome = "sbp" if family == "ols" else "death"
        expected = statsmodels(f"{outcome} ~ age + sex + stage", frame, family)
        ours = result.coefficients.set_index("term")["coef"]
        error = np.abs(ours[list(names)].to_numpy() - expected.params[list(names.values())]) / expected.bse
        assert (error < 1e-4).all()
        # five people lack their age: fewer than may be shown
        assert result.incomplete is None
        assert "missing values" in result.withheld[0]
        assert "some or no observations" in result.summary()


@pytest.mark.parametrize(
    ("method", "formula", "where"),
    [
        ("ols", "sbp ~ age + rare", None),
        ("ols", "sbp ~ age + stage + uneven", None),  # a sum of products is the people who have both
        ("ols", "rare ~ age", None),
        ("glm", "death ~ age + stage + uneven", None),
        ("glm", "death ~ age + sex", "age > 78"),
        ("glm", "rare ~ age", None),
        ("glm", "death ~ sex:stage:C(corner)", None),
        ("glm", "death ~ sex + stage + corner", None),  # informations at several coefficients tell all combinations
        ("glm", "visits ~ sex + stage + corner", None),
    ],
)
def test_standard_refuses_sums_about_few_people(
    method: str, formula: str, where: str | None, strict: ms.Consortium
) -> None:
    family = {"family": "poisson"} if formula.startswith("visits") else {}
    with pytest.raises(DisclosureRefused, match="minimum_count = 11"):
        getattr(strict, method)(formula, where=where, **family)


def test_combinations_of_three_levels_matter_only_where_sums_tell_them(strict: ms.Consortium) -> None:
    assert strict.ols("sbp ~ sex + stage + corner").coefficients["coef"].notna().all()
    assert strict.glm("death ~ sex + stage + corner + age").coefficients["coef"].notna().all()


def test_standard_refuses_many_coefficients_for_few_people(strict: ms.Consortium) -> None:
    with pytest.raises(DisclosureRefused, match="events_per_parameter"):
        strict.ols("sbp ~ age + years + I(years**2) + I(years**3) + log(years) + I(age**2)", where="age > 76")


def test_standard_rounds_calibration_and_area(strict: ms.Consortium) -> None:
    result = strict.glm("death ~ age + sex + stage")
    expected = statsmodels("death ~ age + sex + stage", cohort(), "logit")
    used = cohort().dropna()
    exact = area(used["death"].to_numpy(), np.asarray(expected.predict(used)))
    assert result.auc is not None
    assert abs(result.auc - exact) <= result.outcome.values["auc_error"] + 1e-6
    table = result.calibration
    assert table is not None
    assert len(table) == 5
    assert (table[["people", "events"]] % 5 == 0).all(axis=None)
    # a table with a small group is hidden as a whole
    few = strict.glm("death ~ years", where="age < 40 and sex == 'F'")
    assert few.calibration is None
    assert any("calibration" in line for line in few.withheld)
    with pytest.raises(SpecError, match="no calibration"):
        few.plot_calibration()


def test_standard_hides_what_tells_the_frequencies_of_counts(strict: ms.Consortium) -> None:
    result = strict.glm("visits ~ age + sex", family="poisson", offset="log_years")
    kept = cohort().dropna()
    expected = statsmodels("visits ~ age + sex", kept, "poisson", offset=kept["log_years"])
    null = statsmodels("visits ~ 1", kept, "poisson", offset=kept["log_years"])
    order = ["Intercept", "age", "sex[T.M]"]
    np.testing.assert_allclose(result.coefficients["coef"], expected.params[order], atol=1e-6)
    np.testing.assert_allclose(result.coefficients["se_coef"], expected.bse[order], rtol=1e-5)
    np.testing.assert_allclose(result.outcome.values["likelihood_ratio"], 2 * (expected.llf - null.llf), rtol=1e-3)
    hidden = ("deviance", "null_deviance", "log_likelihood", "aic", "bic")
    assert all(np.isnan(result.outcome.values[name]) for name in hidden)
    assert result.outcome.values["events"] is None
    assert any("how many people have each" in line for line in result.withheld)
    assert "constants of the likelihood" not in {entry["name"] for entry in result.run["opened"]}
    assert "deviance" not in result.headline()


def test_only_what_is_declared_is_opened(strict: ms.Consortium) -> None:
    opened = {entry["name"] for entry in strict.glm("death ~ age + sex", accuracy=False).run["opened"]}
    assert opened == {
        "enough people",
        "enough people for the model",
        "people and events",
        "people with missing values",
        "sizes of variances",
        "rough means",
        "scores",
        "informations",
        "deviances",
    }
