"""Results of Cox regression."""

from __future__ import annotations

import pandas as pd

from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.model import ModelResult
from mpcstats.sdk.results.text import number, print_table

__all__ = ["RESULTS", "CoxResult"]


class CoxResult(ModelResult):
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
    def proportional_hazards(self) -> pd.DataFrame | None:
        """Tests of proportional hazards (R's cox.zph) with the first transform; None where none was asked for."""
        return next((t for name, t in self.outcome.tables.items() if name.startswith("proportional_hazards_")), None)

    @property
    def baseline_hazard(self) -> pd.DataFrame | None:
        """Cumulative baseline hazard on a grid; None where it was not asked for or not allowed."""
        return self.outcome.tables.get("baseline")

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
        lines += self._test_lines()
        if self.proportional_hazards is not None:
            lines += ["", "Proportional hazards", print_table(self.proportional_hazards, self.digits)]
        return lines


RESULTS: tuple[type[Result], ...] = (CoxResult,)
