"""Results of linear, logistic and Poisson regression."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.text import number, p_phrase, print_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "GlmResult", "OlsResult", "RegressionResult"]


class RegressionResult(Result):
    """A regression on a linear predictor; `table` has one row per coefficient."""

    @property
    def coefficients(self) -> pd.DataFrame:
        """The main table."""
        return self.outcome.tables["coefficients"]

    @property
    def covariance(self) -> pd.DataFrame:
        """Covariance matrix of the coefficients (robust, where that was asked for), with a column `term` before it."""
        return self.outcome.tables["covariance"]

    @property
    def people(self) -> int:
        """With all columns of the model."""
        return int(self.outcome.values["people"])

    @property
    def incomplete(self) -> int | None:
        """People left out because a value is missing; None where the number is hidden."""
        found = self.outcome.values["incomplete"]
        return None if found is None else int(found)

    @property
    def log_likelihood(self) -> float:
        """At the coefficients."""
        return self._value("log_likelihood")

    @property
    def aic(self) -> float:
        """Akaike's information criterion, as R's."""
        return self._value("aic")

    @property
    def bic(self) -> float:
        """Bayesian information criterion, as R's."""
        return self._value("bic")

    def _value(self, name: str) -> float:
        return float(number(self.outcome.values[name]))

    def _whole(self, name: str) -> int:
        return int(self.outcome.values[name])

    def _missing_line(self) -> list[str]:
        if self.incomplete == 0:
            return []
        count = "some or no" if self.incomplete is None else f"{self.incomplete:,}"
        return [f"({count} observations deleted due to missingness)"]


class OlsResult(RegressionResult):
    """Linear regression."""

    analysis = "ols"
    title = "Linear regression (least squares)"
    shown = ("term", "coef", "se_coef", "robust_se", "t", "p_value", "coef_lower", "coef_upper")

    @property
    def anova(self) -> pd.DataFrame:
        """Sequential sums of squares, as R's `anova`."""
        return self.outcome.tables["anova"]

    @property
    def r_squared(self) -> float:
        """Share of the outcome's variance that the model explains."""
        return self._value("r_squared")

    @property
    def residual_standard_error(self) -> float:
        """Standard deviation of the residuals, with the degrees of freedom."""
        return self._value("residual_standard_error")

    def notes(self) -> list[str]:
        """What R prints under the coefficients."""
        freedom, explained = self._whole("residual_degrees_of_freedom"), self._whole("f_degrees_of_freedom")
        lines = [
            f"Residual standard error: {self.residual_standard_error:.4g} on {freedom:,} degrees of freedom",
            *self._missing_line(),
        ]
        if self._value("residual_sum_of_squares") == 0:
            lines.append("Essentially perfect fit: standard errors and tests mean nothing")
        elif explained:
            lines += [
                f"Multiple R-squared: {self.r_squared:.4g}, "
                f"adjusted R-squared: {self._value('adjusted_r_squared'):.4g}",
                f"F-statistic: {self._value('f'):.4g} on {explained} and {freedom:,} DF, "
                f"p {p_phrase(self._value('f_p_value'))}",
            ]
        return lines

    def plot(self, ax: Axes | None = None, *, title: str | None = None) -> Figure | Axes:
        """Coefficients with limits; those of columns on very different scales do not fit one axis well."""
        from mpcstats.sdk.plots.coefficients import coefficient_plot

        return coefficient_plot(self.coefficients, ax, title=title)


class GlmResult(RegressionResult):
    """Logistic or Poisson regression."""

    analysis = "glm"
    title = "Generalised linear model"
    shown = ("term", "coef", "exp_coef", "se_coef", "robust_se", "z", "p_value", "exp_coef_lower", "exp_coef_upper")

    @property
    def family(self) -> str:
        """ "binomial" or "poisson"."""
        return str(self.outcome.values["family"])

    @property
    def deviance(self) -> float:
        """Residual deviance."""
        return self._value("deviance")

    @property
    def null_deviance(self) -> float:
        """Of the model of the intercept (and offset) alone."""
        return self._value("null_deviance")

    @property
    def auc(self) -> float | None:
        """Area under the ROC curve; None of counts, or where it was not asked for."""
        found = self.outcome.values.get("auc")
        return None if found is None else float(number(found))

    @property
    def brier(self) -> float | None:
        """Mean squared error of the probabilities; None as `auc`."""
        found = self.outcome.values.get("brier")
        return None if found is None else float(number(found))

    @property
    def calibration(self) -> pd.DataFrame | None:
        """People, events and expected events by groups of predicted risk; None as `auc`, or where it is hidden."""
        return self.outcome.tables.get("calibration")

    def notes(self) -> list[str]:
        """What R prints under the coefficients, and the likelihood ratio test."""
        null, left = self._whole("null_degrees_of_freedom"), self._whole("residual_degrees_of_freedom")
        lines = [self._people_line(), *self._missing_line()]
        if not math.isnan(self.deviance):
            lines += [
                f"Null deviance: {self.null_deviance:.5g} on {null:,} degrees of freedom",
                f"Residual deviance: {self.deviance:.5g} on {left:,} degrees of freedom",
                f"AIC: {self.aic:.5g}",
            ]
        freedom = self._whole("likelihood_ratio_degrees_of_freedom")
        if freedom:
            lines.append(
                f"Likelihood ratio test: {self._value('likelihood_ratio'):.4g} on {freedom} df, "
                f"p {p_phrase(self._value('likelihood_ratio_p_value'))}"
            )
        lines.append(f"Fisher scoring iterations: {self._whole('iterations')}")
        return [*lines, *self._accuracy_lines()]

    def _people_line(self) -> str:
        events = self.outcome.values["events"]
        if self.family == "binomial":
            return f"{self.people:,} people, {int(events):,} events"
        above = "" if events is None else f", {int(events):,} of them with a count above 0"
        return f"{self.people:,} people{above}, counts of {self._value('total'):.6g} in all"

    def _accuracy_lines(self) -> list[str]:
        if self.auc is None:
            return []
        lines = [f"AUC {self.auc:.4g}, Brier score {self._value('brier'):.4g}"]
        values = self.outcome.values
        if values.get("hosmer_lemeshow_degrees_of_freedom"):
            lines.append(
                f"Hosmer-Lemeshow test: {self._value('hosmer_lemeshow'):.4g} on "
                f"{self._whole('hosmer_lemeshow_degrees_of_freedom')} df, "
                f"p {p_phrase(self._value('hosmer_lemeshow_p_value'))}"
            )
        if self.calibration is not None:
            lines += ["", "Calibration", print_table(self.calibration, self.digits)]
        return lines

    def plot(self, ax: Axes | None = None, *, title: str | None = None) -> Figure | Axes:
        """Forest plot: odds or rate ratios with limits on a log axis."""
        if ax is not None:
            raise SpecError("a forest plot has columns of text beside it: it cannot be drawn into one axis")
        from mpcstats.sdk.plots.forest import forest_figure

        table = self.coefficients[self.coefficients["term"] != "(Intercept)"].reset_index(drop=True)
        simple = [":" not in str(term) and "=" in str(term) for term in table["term"]]
        table = table.assign(
            variable=[str(t).split("=")[0] if s else str(t) for t, s in zip(table["term"], simple, strict=True)],
            term=[str(t).split("=", 1)[1] if s else str(t) for t, s in zip(table["term"], simple, strict=True)],
        )
        sizes = table["variable"].value_counts()
        # a single level stands without a heading, so its row names the column, too
        alone = [s and sizes[v] == 1 for v, s in zip(table["variable"], simple, strict=True)]
        names = [f"{v}={t}" if a else t for v, t, a in zip(table["variable"], table["term"], alone, strict=True)]
        effect, label = ("OR", "Odds ratio") if self.family == "binomial" else ("RR", "Rate ratio")
        return forest_figure(
            table.assign(term=names),
            effect=effect,
            effect_label=label,
            conf_level=float(number(self.outcome.values["conf_level"])),
            footer="; ".join(line for line in self.notes()[:1] if line),
            title=title,
        )

    def plot_calibration(self, ax: Axes | None = None, *, title: str | None = None) -> Figure | Axes:
        """Observed over predicted risk, by groups."""
        if self.calibration is None:
            raise SpecError("the result has no calibration: it was not asked for, not logistic, or hidden by the rules")
        from mpcstats.sdk.plots.calibration import calibration_plot

        return calibration_plot(self.calibration, ax, title=title)

    def figures(self) -> dict[str, Figure]:
        """The forest plot, and the calibration where there is one."""
        plots = {"forest": cast("Figure", self.plot())}
        if self.calibration is not None:
            plots["calibration"] = cast("Figure", self.plot_calibration())
        return plots


RESULTS: tuple[type[Result], ...] = (OlsResult, GlmResult)
