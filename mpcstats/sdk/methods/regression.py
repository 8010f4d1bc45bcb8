"""Linear, logistic and Poisson regression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from mpcstats.sdk.methods.base import Methods, names, several_values
from mpcstats.sdk.results.regression import GlmResult, OlsResult

__all__ = ["RegressionMethods"]


class RegressionMethods(Methods):
    """Regression of numbers, 0/1 outcomes and counts."""

    def ols(
        self,
        formula: str,
        covariates: Sequence[str] | str = (),
        *,
        factors: Sequence[str] | str = (),
        where: str | None = None,
        conf_level: float = 0.95,
        robust: Literal["HC0", "HC1", "HC3"] | None = None,
        site_indicators: bool = False,
        dataset: str = "main",
        policy: str | None = None,
    ) -> OlsResult:
        """Linear regression (least squares) of the people of all sites.

        Parameters
        ----------
        formula : str
            "sbp ~ age + C(sex) * stage", or the outcome's column with `covariates` beside it. Allowed are names of
            columns (in backticks where they have blanks), C(x), C(x, Treatment("reference")), I(x**2), log(x) and
            sqrt(x), joined by + - : *, with brackets; 0 or -1 leaves the intercept out.
        covariates : names of columns
            Numbers as they are; a category, or a column named in `factors`, as 0/1 columns for each level but the
            first in the dictionary. People who lack a value are left out (complete cases).
        robust : {"HC0", "HC1", "HC3"}, optional
            Heteroscedasticity-consistent standard errors; tests and limits of coefficients use them.
        site_indicators : bool
            A column for each site but the first. It shows differences between the sites.

        Reveals people, people left out (rounded), rough means and sizes of variances of columns and outcome, pooled
        sums of squares and products of columns and outcome; with `robust` also pooled products with squared
        residuals. Refused where two levels of columns are held together by too few people. Nothing of a single site.
        """
        return self._ask(
            OlsResult,
            type="ols",
            formula=formula,
            covariates=names(covariates),
            factors=names(factors),
            where=where,
            conf_level=conf_level,
            robust=robust,
            site_indicators=site_indicators,
            dataset=dataset,
            policy=policy,
        )

    def glm(
        self,
        formula: str,
        covariates: Sequence[str] | str = (),
        *,
        family: Literal["binomial", "poisson"] = "binomial",
        factors: Sequence[str] | str = (),
        event_values: Sequence[Any] | str | float | None = None,
        offset: str | None = None,
        accuracy: bool = True,
        where: str | None = None,
        conf_level: float = 0.95,
        robust: Literal["HC0", "HC1", "HC3"] | None = None,
        site_indicators: bool = False,
        dataset: str = "main",
        policy: str | None = None,
    ) -> GlmResult:
        """Logistic (binomial, logit) or Poisson (log) regression of the people of all sites.

        Parameters
        ----------
        formula, covariates, factors, robust, site_indicators : as `ols`
        event_values : value or values, optional
            Of the outcome, that are the event. Default: 1 of {0, 1}, true, or the second of two levels (R's rule).
        offset : name of a column, optional
            Added to the linear predictor as it is: the logarithm of the time under observation. Poisson only.
        accuracy : bool
            Binomial: also the area under the ROC curve, the Brier score, and calibration by groups of predicted risk.
            Groups that are too small hide the calibration.

        Reveals people and events, people left out (rounded), rough means and sizes of variances of the columns, and
        the pooled score, information and deviance at the coefficients of every step. With `accuracy` mean, variance
        and squared errors of the predictions, the area (rounded), and people (rounded), events (rounded) and expected
        events by predicted risk; where counts may be exact, people by linear predictor and outcome. Refused where there
        are too few events, or too few people with two levels together (of columns, or of a column and the outcome).
        Nothing of a single site.
        """
        return self._ask(
            GlmResult,
            type="glm",
            formula=formula,
            covariates=names(covariates),
            family=family,
            factors=names(factors),
            event_values=several_values(event_values),
            offset=offset,
            accuracy=accuracy,
            where=where,
            conf_level=conf_level,
            robust=robust,
            site_indicators=site_indicators,
            dataset=dataset,
            policy=policy,
        )
