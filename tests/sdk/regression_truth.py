"""R's regressions through embedded parties: the request of a truth entry, and how results compare."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import mpcstats as ms
from mpcstats.sdk.results.regression import GlmResult, OlsResult, RegressionResult
from tests.stats.r_truth import SHARED, SHIPPED, text

DIGITS = 1e-9


@cache
def _read(file: str) -> pd.DataFrame:
    """A data set that ships with the tests, or of the shared folder."""
    shipped = json.loads((SHIPPED / "regression.json").read_text(encoding="utf-8"))["tables"]
    return pd.DataFrame(shipped[file]) if file in shipped else pd.read_csv(SHARED / "data" / "clinical" / file)


def frame_of(entry: dict[str, Any]) -> pd.DataFrame:
    """All rows of an entry's table, incomplete ones too; factors as text."""
    numeric, factors = entry["numeric_covariates"] or [], entry["factor_covariates"] or {}
    table = _read(entry["file"])
    table = table[[entry["response"], *numeric, *factors]].copy()
    for name in factors:
        table[name] = [None if pd.isna(v) else text(v) for v in table[name]]
    return table


def formula_of(entry: dict[str, Any]) -> str:
    """R's formula, each factor with its reference."""
    parts = [f"`{name}`" for name in entry["numeric_covariates"] or []]
    for name, factor in (entry["factor_covariates"] or {}).items():
        parts.append(f"C({name}, Treatment('{factor['reference']}'))")
    return f"`{entry['response']}` ~ {' + '.join(parts)}"


def split(table: pd.DataFrame, sites: int, seed: int) -> dict[str, pd.DataFrame]:
    """Rows at random over sites, whose sizes differ."""
    rng = np.random.default_rng(seed)
    place = rng.choice(sites, len(table), p=rng.dirichlet(np.full(sites, 3.0)))
    place[:sites] = np.arange(sites)
    return {f"site{k}": table[place == k].reset_index(drop=True) for k in range(sites)}


def fit(entry: dict[str, Any], sites: int, seed: int = 1, **request: Any) -> RegressionResult:
    """The regression of an entry, between some sites."""
    with ms.local(split(frame_of(entry), sites, seed), policy="open") as consortium:
        if entry["family"] == "gaussian":
            return consortium.ols(formula_of(entry), **request)
        if entry["response_value"] is not None:
            request["event_values"] = entry["response_value"]
        return consortium.glm(formula_of(entry), family=entry["family"], **request)


def agree(result: RegressionResult, entry: dict[str, Any]) -> None:
    """Every number that R prints."""
    truth = entry["result"]
    names = [name.replace("`", "") for name in entry["design_columns"]]
    assert result.coefficients["term"].tolist() == names
    assert result.people == entry["rows_used"]
    same(result.coefficients["coef"], truth["coef"])
    same(result.coefficients["se_coef"], truth["se"])
    same_matrix(result.covariance[names], truth["vcov"])
    (agree_linear if isinstance(result, OlsResult) else agree_likelihood)(result, truth)


def agree_linear(result: OlsResult, truth: dict[str, Any]) -> None:
    table, values = result.coefficients, result.outcome.values
    same(table["t"], truth["t"])
    same(table["p_value"], truth["p"], 1e-8)
    same(table[["coef_lower", "coef_upper"]].to_numpy(), truth["conf_int"])
    for ours, theirs in {
        "residual_standard_error": "sigma",
        "residual_degrees_of_freedom": "df_residual",
        "r_squared": "r2",
        "adjusted_r_squared": "adj_r2",
        "f": "F",
        "log_likelihood": "loglik",
        "aic": "aic",
        "bic": "bic",
        "residual_sum_of_squares": "rss",
    }.items():
        same(values[ours], truth[theirs])
    same(values["f_p_value"], truth["F_p"], 1e-8)
    assert [values["f_degrees_of_freedom"], values["residual_degrees_of_freedom"]] == truth["F_df"]
    if len(truth["anova_seq"]["df"]) == len(result.anova):
        assert result.anova["degrees_of_freedom"].tolist() == truth["anova_seq"]["df"]
        same(result.anova["sum_of_squares"], truth["anova_seq"]["sumsq"])


def agree_likelihood(result: GlmResult, truth: dict[str, Any]) -> None:
    table, values = result.coefficients, result.outcome.values
    same(table["z"], truth["z"])
    same(table["p_value"], truth["p"], 1e-8)
    same(table["exp_coef"], truth["exp_coef"])
    same(table["exp_coef_lower"], truth["exp_lower_wald"])
    same(table["exp_coef_upper"], truth["exp_upper_wald"])
    for ours, theirs in {
        "null_deviance": "null_deviance",
        "null_degrees_of_freedom": "df_null",
        "deviance": "deviance",
        "residual_degrees_of_freedom": "df_residual",
        "aic": "aic",
        "bic": "bic",
        "log_likelihood": "loglik",
        "likelihood_ratio": "lr_chisq",
        "likelihood_ratio_degrees_of_freedom": "lr_df",
    }.items():
        same(values[ours], truth[theirs])
    same(values["likelihood_ratio_p_value"], truth["lr_p"], 1e-8)
    if result.auc is not None:
        same(result.auc, truth["auc"])
        same(result.brier, truth["brier"])
        assert values["auc_error"] == 0
    if result.family == "binomial":
        assert values["events"] == truth["n_event"]
        same(values["mcfadden_r_squared"], truth["mcfadden_r2"])
    else:
        same(values["total"], truth["n_event"])


def same(ours: Any, theirs: Any, digits: float = DIGITS) -> None:
    plain = np.asarray([math.nan if v is None else v for v in np.ravel(np.asarray(theirs, dtype=object))], float)
    # a p-value that underflows is 0 in R
    np.testing.assert_allclose(np.ravel(np.asarray(ours, float)), plain, rtol=digits, atol=1e-300)


def same_matrix(ours: Any, theirs: Any) -> None:
    """Relative to the two standard errors: a covariance can be next to 0."""
    theirs = np.asarray(theirs, float)
    size = np.sqrt(np.diag(theirs))
    np.testing.assert_allclose(
        np.asarray(ours, float) / np.outer(size, size), theirs / np.outer(size, size), atol=DIGITS
    )
