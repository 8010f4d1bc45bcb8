"""Results of Cox regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.text import number, p_phrase, print_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RESULTS", "CoxResult"]


class CoxResult(Result):
    """Cox regression; `table` has one row per column of the model."""

    analysis = "cox"
    title = "Cox proportional hazards regression"
    shown = (
        "term",
        "coef",
        "exp_coef",
        "se_coef",
        "robust_se",
        "z",
        "p_value",
        "exp_coef_lower",
        "exp_coef_upper",
    )

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
    def proportional_hazards(self) -> pd.DataFrame | None:
        """Tests of proportional hazards (R's cox.zph) with the first transform; None where none was asked for."""
        return next((t for name, t in self.outcome.tables.items() if name.startswith("proportional_hazards_")), None)

    @property
    def baseline_hazard(self) -> pd.DataFrame | None:
        """Cumulative baseline hazard on a grid; None where it was not asked for or not allowed."""
        return self.outcome.tables.get("baseline")

    @property
    def log_likelihood(self) -> float:
        """Partial log-likelihood at the coefficients."""
        return float(number(self.outcome.values["log_likelihood"]))

    @property
    def concordance(self) -> float | None:
        """Harrell's C."""
        found = self.outcome.values.get("concordance")
        return None if found is None else float(number(found))

    def notes(self) -> list[str]:
        """People and events, concordance, and the tests of all coefficients."""
        values = self.outcome.values
        lines = [f"{values['people']} people, {values['events']} events"]
        if self.concordance is not None:
            lines.append(f"Concordance {self.concordance:.4g}")
        lines += [
            f"{str(row.test)[:1].upper()}{str(row.test)[1:]} test: {float(str(row.chi_square)):.4g} on "
            f"{row.degrees_of_freedom} df, p {p_phrase(float(str(row.p_value)))}"
            for row in self.tests.itertuples()
        ]
        if self.proportional_hazards is not None:
            lines += ["", "Proportional hazards", print_table(self.proportional_hazards, self.digits)]
        return lines

    def plot(self, ax: Axes | None = None, *, title: str | None = None) -> Figure | Axes:
        """Forest plot: hazard ratios with limits on a log axis."""
        if ax is not None:
            raise SpecError("a forest plot has columns of text beside it: it cannot be drawn into one axis")
        from mpcstats.sdk.plots.forest import forest_figure

        values = self.outcome.values
        table = self.coefficients.assign(variable=[str(term).split("=")[0] for term in self.coefficients["term"]])
        table["term"] = [str(term).split("=", 1)[-1] for term in table["term"]]
        return forest_figure(
            table,
            conf_level=float(number(values["conf_level"])),
            footer="; ".join(line for line in self.notes()[:3] if line),
            title=title,
        )


RESULTS: tuple[type[Result], ...] = (CoxResult,)
