"""What a statistician holds: a consortium of institutions that answers joint analyses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Literal

from mpcstats.sdk.results import CountResult, GwasResult, KaplanMeierResult, LogrankResult, Result, wrap
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses import parse_spec
from mpcstats.study.analyses.survival import ConfidenceType
from mpcstats.study.spec import AnalysisSpec

__all__ = ["Consortium"]


class Consortium(ABC):
    """Joint analyses over institutions. Made by `mpcstats.local` or `mpcstats.connect`; use it in a `with` block.

    Every method blocks until all parties have finished, and returns a result with `to_frame()`, `summary()`, `plot()`
    and `save(prefix)`. Errors are `mpcstats.errors.MpcStatsError`: they name the party at fault.

    Common parameters
    -----------------
    where : str, optional
        Filter that every site applies to its own records, e.g. "age >= 65 and sex == 'F'".
    dataset : str
        Name of the data set at the parties.
    policy : str, optional
        A preset ("standard") to apply on top of the parties' policies; it can only make the release stricter.
    """

    @abstractmethod
    def _run(self, spec: AnalysisSpec) -> Outcome:
        """Run one analysis."""

    def close(self) -> None:  # noqa: B027 - not every consortium holds something
        """Give back what the consortium holds."""

    def __enter__(self) -> Consortium:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, **request: Any) -> Result:
        return wrap(self._run(parse_spec(request)))

    def count(
        self,
        *,
        where: str | None = None,
        by: Sequence[str] | str = (),
        dataset: str = "main",
        policy: str | None = None,
    ) -> CountResult:
        """Count people, in all or in cells of the columns of `by`.

        Reveals the count of each cell that reaches the strictest minimum_count of all parties, rounded.
        """
        columns = (by,) if isinstance(by, str) else tuple(by)
        result = self._ask(type="count", where=where, by=columns, dataset=dataset, policy=policy)
        assert isinstance(result, CountResult)
        return result

    def kaplan_meier(
        self,
        *,
        time: str,
        event: str,
        by: str | None = None,
        event_values: Sequence[Any] | str | float | None = None,
        where: str | None = None,
        conf_type: ConfidenceType = "log",
        conf_level: float = 0.95,
        time_unit: float = 1.0,
        missing: Literal["refuse", "drop"] = "refuse",
        dataset: str = "main",
        policy: str | None = None,
    ) -> KaplanMeierResult:
        """Kaplan-Meier curves of the groups of `by`, with confidence limits and medians.

        Parameters
        ----------
        time, event : str
            Columns: follow-up in whole multiples of `time_unit`, and whether the event happened.
        event_values : value or sequence of values, optional
            Values of `event` that are events; default 1 of 0/1, true, or 2 of 1/2, as in R.
        conf_type : {"log", "log-log", "plain", "logit", "arcsin"}
        missing : {"refuse", "drop"}
            Tables with rows without time or event: an error at their owner (whatever `where` selects: a refusal must
            not tell about the selected), or such rows are left out as R does.

        Reveals the pooled numbers of events and censorings at every time if all parties allow the exact curve;
        otherwise rounded cumulative numbers on a grid, up to where few are at risk.
        """
        result = self._ask(
            type="kaplan-meier",
            time=time,
            event=event,
            by=by,
            event_values=_values(event_values),
            where=where,
            conf_type=conf_type,
            conf_level=conf_level,
            time_unit=time_unit,
            missing=missing,
            dataset=dataset,
            policy=policy,
        )
        assert isinstance(result, KaplanMeierResult)
        return result

    def logrank(
        self,
        *,
        time: str,
        event: str,
        by: str,
        event_values: Sequence[Any] | str | float | None = None,
        where: str | None = None,
        time_unit: float = 1.0,
        missing: Literal["refuse", "drop"] = "refuse",
        dataset: str = "main",
        policy: str | None = None,
    ) -> LogrankResult:
        """Log-rank test between the groups of `by` (R's survdiff with rho = 0). Parameters as `kaplan_meier`.

        Reveals the pooled numbers of events and censorings at every time; refused where the exact curve is.
        """
        result = self._ask(
            type="logrank",
            time=time,
            event=event,
            by=by,
            event_values=_values(event_values),
            where=where,
            time_unit=time_unit,
            missing=missing,
            dataset=dataset,
            policy=policy,
        )
        assert isinstance(result, LogrankResult)
        return result

    def gwas(
        self,
        *,
        phenotype: str,
        covariates: Sequence[str] | str = (),
        model: Literal["linear"] = "linear",
        release: Literal["all"] = "all",
        dataset: str = "main",
        policy: str | None = None,
    ) -> GwasResult:
        """Regression of a phenotype on every variant and the covariates, as PLINK 2 `--glm`.

        Reveals effect and standard error of every variant that passes the rules, the people with a call and the
        rarer allele per variant, and the pooled means and covariances of phenotype and covariates.
        """
        result = self._ask(
            type="gwas",
            phenotype=phenotype,
            covariates=(covariates,) if isinstance(covariates, str) else tuple(covariates),
            model=model,
            release=release,
            dataset=dataset,
            policy=policy,
        )
        assert isinstance(result, GwasResult)
        return result


def _values(values: Any) -> tuple[Any, ...] | None:
    """One value stands for itself: a text is not a sequence of letters here."""
    if values is None:
        return None
    several = isinstance(values, Iterable) and not isinstance(values, str)
    return tuple(value.item() if hasattr(value, "item") else value for value in (values if several else (values,)))
