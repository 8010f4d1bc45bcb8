"""The analyses of the demonstration, asked through one institution's own node."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mpcstats.cli.demo.pooled import Pooled
from mpcstats.sdk.consortium import Consortium
from mpcstats.sdk.results import KaplanMeierResult, LogrankResult, Result

__all__ = ["SIDE_BY_SIDE", "Demonstration", "Step"]

R = TypeVar("R", bound=Result)
MINIMUM_AGE = 60
SIDE_BY_SIDE = "survival-exact-and-standard.png"
PHENOTYPE, COVARIATES = "Y1", ["V1", "V2", "V3"]


@dataclass
class Step:
    """One analysis and what became of it."""

    title: str
    results: list[Result]
    seconds: float
    check: tuple[str, float] | None = None
    files: list[Path] = field(default_factory=list)

    @property
    def opened(self) -> int:
        """Values opened."""
        return sum(entry["values"] for result in self.results for entry in result.run["opened"])

    @property
    def bytes_sent(self) -> dict[str, int]:
        """Bytes sent by each party."""
        total: dict[str, int] = {}
        for result in self.results:
            for name, count in result.run["bytes_sent"].items():
                total[name] = total.get(name, 0) + count
        return total


class Demonstration:
    """Runs the steps.

    Parameters
    ----------
    consortium : Consortium
        Connected through one party's node.
    pooled : Pooled
        The check on the pooled plaintext.
    folder : Path
        Where files go.
    """

    def __init__(self, consortium: Consortium, pooled: Pooled, folder: Path) -> None:
        self._ask, self._pooled, self._folder = consortium, pooled, folder
        self._exact: KaplanMeierResult | None = None

    @property
    def steps(self) -> list[tuple[str, Callable[[], Step]]]:
        """Title and function of each step, in order."""
        return [
            (f"joint count: age >= {MINIMUM_AGE}, by sex and ECOG stage", self.count),
            ("Kaplan-Meier curves by sex, log-rank test", self.survival),
            (f"linear GWAS of {PHENOTYPE} with {len(COVARIATES)} covariates, 1,000 variants", self.association),
            ("the same curves under policy `standard`", self.protected),
        ]

    def count(self) -> Step:
        """Cells below 11 people are hidden, on the pooled value, before anything is opened."""
        where = f"age >= {MINIMUM_AGE}"
        result, seconds = _timed(lambda: self._ask.count(where=where, by=["sex", "ph.ecog"], dataset="survival"))
        check = self._pooled.count(result, MINIMUM_AGE)
        return Step("joint count", [result], seconds, check, self._save(result, "count"))

    def survival(self) -> Step:
        """The exact curve: the parties of the demonstration allow it, because their records are public."""
        curve, first = _timed(self._curve)
        self._exact = curve
        test, second = _timed(lambda: self._ask.logrank(time="time", event="status", by="sex", dataset="survival"))
        files = self._save(curve, "survival") + self._save(test, "logrank")
        picture = self._folder / "survival.png"
        _figure(curve, test, picture)
        return Step("survival by sex", [curve, test], first + second, self._pooled.survival(curve, test), files)

    def association(self) -> Step:
        """Every variant's effect, as PLINK 2 prints it."""
        result, seconds = _timed(lambda: self._ask.gwas(phenotype=PHENOTYPE, covariates=COVARIATES, dataset="genetics"))
        check = self._pooled.association(result, PHENOTYPE, COVARIATES)
        return Step("linear GWAS", [result], seconds, check, self._save(result, "gwas"))

    def protected(self) -> Step:
        """The request asks for more protection than the policies do."""
        result, seconds = _timed(lambda: self._curve("standard"))
        files = self._save(result, "survival-standard")
        if self._exact is not None:
            files.append(_side_by_side(self._exact, result, self._folder / SIDE_BY_SIDE))
        return Step("survival, standard", [result], seconds, None, files)

    def _curve(self, policy: str | None = None) -> KaplanMeierResult:
        return self._ask.kaplan_meier(
            time="time", event="status", by="sex", conf_type="log-log", dataset="survival", policy=policy
        )

    def _save(self, result: Result, name: str) -> list[Path]:
        return result.save(self._folder / name)


def _timed(work: Callable[[], R]) -> tuple[R, float]:
    started = time.monotonic()
    result = work()
    return result, time.monotonic() - started


def _side_by_side(exact: KaplanMeierResult, rounded: KaplanMeierResult, path: Path) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5.4))
    left, right = figure.subplots(1, 2)
    exact.plot(ax=left, title="exact: every event, as these parties allow")
    rounded.plot(ax=right, title="under policy standard: what disclosure control lets out")
    right.set_xlim(left.get_xlim())
    figure.subplots_adjust(left=0.08, right=0.98, bottom=0.24, top=0.86, wspace=0.22)
    figure.savefig(path, dpi=120)
    return path


def _figure(curve: KaplanMeierResult, test: LogrankResult, path: Path) -> None:
    from matplotlib.figure import Figure

    drawn = curve.plot(p_text=test.p_text)
    figure = drawn if isinstance(drawn, Figure) else drawn.get_figure()
    assert isinstance(figure, Figure)
    figure.savefig(path, dpi=150)
