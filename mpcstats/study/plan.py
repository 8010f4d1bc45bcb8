"""From a request and the data dictionary to the public shape of a computation, the same at every party."""

from __future__ import annotations

import pandas as pd

from mpcstats.stats.contributions import Plan
from mpcstats.study.analyses import analysis_of
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.spec import AnalysisSpec

__all__ = ["columns_used", "make_plan"]


def make_plan(spec: AnalysisSpec, dictionary: Dictionary, variants: pd.DataFrame | None) -> Plan:
    """Fit a request to the data dictionary.

    Parameters
    ----------
    spec : AnalysisSpec
    dictionary : Dictionary
    variants : DataFrame, optional
        The variant table that all parties share: chrom, pos, id, ref, alt. Needed for an association.

    Returns
    -------
    Plan
        Of the analysis' own class. Holds nothing about records.

    Raises
    ------
    SpecError
        Names the column, what it is and what is needed.
    """
    plan: Plan = analysis_of(spec).plan(spec, dictionary, variants)
    return plan


def columns_used(spec: AnalysisSpec) -> tuple[str, ...]:
    """Names of the columns that an analysis reads, each once; `unit_of_count` is not among them."""
    return tuple(dict.fromkeys(analysis_of(spec).columns(spec)))
