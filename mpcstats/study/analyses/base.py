"""What the registry of analyses holds about one of them: its request, its plan, the columns it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pandas as pd

from mpcstats.stats.contributions import Plan
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.spec import AnalysisSpec

__all__ = ["Analysis"]

S = TypeVar("S", bound=AnalysisSpec)
P = TypeVar("P", bound=Plan)


@dataclass(frozen=True)
class Analysis(Generic[S, P]):
    """One analysis as a study asks for it.

    Attributes
    ----------
    spec : class
        The request; the default of its field `type` is the analysis' name.
    plan_type : class
        What `plan` makes.
    plan : function (spec, dictionary, variants) -> Plan
        Fits a request to the data dictionary; `variants` is the public variant table, None where there is none.
        Raises SpecError: the column, what it is, and what is needed.
    columns : function (spec) -> names
        Columns that the analysis reads, each once; `unit_of_count` is not among them.
    summary : str
        One sentence for the help of the command line.
    needs_genotypes : bool
        The data set's genotypes are opened.
    """

    spec: type[S]
    plan_type: type[P]
    plan: Callable[[S, Dictionary, pd.DataFrame | None], P]
    columns: Callable[[S], tuple[str, ...]]
    summary: str
    needs_genotypes: bool = False

    @property
    def name(self) -> str:
        """The analysis' name, e.g. "kaplan-meier"."""
        return str(self.spec.model_fields["type"].default)


AnyAnalysis = Analysis[Any, Any]
