"""What results of regressions of times on covariates share: tables, tests in words, forest plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.text import number, p_phrase

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ModelResult"]


class ModelResult(Result):
    """A regression; `table` has one row per column of the model."""

    effect: ClassVar[tuple[str, str]] = ("HR", "Hazard ratio")
    """Short and long name of exp(coef)."""

    footnotes: ClassVar[int] = 3
    """How many of the notes stand under the plot."""

    @property
    def coefficients(self) -> pd.DataFrame:
        """term, coef, exp_coef, se_coef, z, p_value, log_p_value and limits of coef and exp_coef."""
        return self.outcome.tables["coefficients"]

    @property
    def tests(self) -> pd.DataFrame:
        """Likelihood-ratio, Wald and score tests: chi_square, degrees_of_freedom, p_value, log_p_value."""
        return self.outcome.tables["tests"]

    @property
    def covariance(self) -> pd.DataFrame:
        """Covariance matrix of the coefficients, with a column `term` before it."""
        return self.outcome.tables["covariance"]

    @property
    def log_likelihood(self) -> float:
        """Partial log-likelihood at the coefficients."""
        return float(number(self.outcome.values["log_likelihood"]))

    def plot(self, ax: Axes | None = None, *, title: str | None = None) -> Figure | Axes:
        """Forest plot: ratios with limits on a log axis."""
        if ax is not None:
            raise SpecError("a forest plot has columns of text beside it: it cannot be drawn into one axis")
        from mpcstats.sdk.plots.forest import forest_figure

        effect, label = self.effect
        table = self.coefficients.assign(variable=[str(term).split("=")[0] for term in self.coefficients["term"]])
        table["term"] = [str(term).split("=", 1)[-1] for term in table["term"]]
        return forest_figure(
            table,
            effect=effect,
            effect_label=label,
            conf_level=float(number(self.outcome.values["conf_level"])),
            footer="; ".join(line for line in self.notes()[: self.footnotes] if line),
            title=title,
        )

    def _test_lines(self) -> list[str]:
        """The tests of all coefficients in words."""
        return [
            f"{str(row.test)[:1].upper()}{str(row.test)[1:]} test: {float(str(row.chi_square)):.4g} on "
            f"{row.degrees_of_freedom} df, p {p_phrase(float(str(row.p_value)))}"
            for row in self.tests.itertuples()
        ]
