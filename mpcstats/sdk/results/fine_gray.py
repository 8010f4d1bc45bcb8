"""Results of Fine-Gray regression."""

from __future__ import annotations

from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.model import ModelResult

__all__ = ["RESULTS", "FineGrayResult"]


class FineGrayResult(ModelResult):
    """Fine-Gray regression; `table` has one row per column of the model.

    `robust_se`, and z, p-values and limits with it, are the variant's sandwich, as is `covariance`. `se_coef` is from
    the inverse information, which is not the variance of this model.
    """

    analysis = "fine-gray"
    title = "Fine-Gray regression of competing risks"
    effect = ("SHR", "Subdistribution hazard ratio")
    shown = ("term", "coef", "exp_coef", "robust_se", "z", "p_value", "exp_coef_lower", "exp_coef_upper")

    def notes(self) -> list[str]:
        """People and events, and the tests of all coefficients that hold for weighted people."""
        values = self.outcome.values
        ours = [line for line in self._test_lines() if line.startswith(("Robust", "Likelihood"))]
        lines = [f"{values['people']} people, {values['events']} events of the cause"]
        return lines + [line.replace("Likelihood", "Pseudo likelihood") for line in ours[::-1]]


RESULTS: tuple[type[Result], ...] = (FineGrayResult,)
