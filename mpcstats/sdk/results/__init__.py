"""What statisticians get back: tables, a printed summary, plots, files; the same for every analysis.

A family is a module with `RESULTS`, named in `FAMILIES`.
"""

from __future__ import annotations

from mpcstats.errors import SpecError
from mpcstats.sdk.results import (
    association,
    competing_risks,
    components,
    correlation,
    counts,
    cox,
    crosstab,
    descriptives,
    exact_time,
    fine_gray,
    gwas_meta,
    mean_tests,
    missingness,
    rank,
    regression,
    sample_overlap,
    survival,
    table_test,
    variant_quality,
)
from mpcstats.sdk.results.association import GwasResult
from mpcstats.sdk.results.base import Result
from mpcstats.sdk.results.competing_risks import CumulativeIncidenceResult, GrayResult
from mpcstats.sdk.results.components import PrincipalComponentsResult
from mpcstats.sdk.results.correlation import CorrelationResult
from mpcstats.sdk.results.counts import CountResult
from mpcstats.sdk.results.cox import CoxResult
from mpcstats.sdk.results.crosstab import CrosstabResult
from mpcstats.sdk.results.descriptives import DescribeResult
from mpcstats.sdk.results.exact_time import ExactTimeResult
from mpcstats.sdk.results.fine_gray import FineGrayResult
from mpcstats.sdk.results.gwas_meta import GwasMetaResult
from mpcstats.sdk.results.mean_tests import AnovaResult, TTestResult, VarianceTestResult
from mpcstats.sdk.results.missingness import MissingnessResult
from mpcstats.sdk.results.rank import KolmogorovSmirnovResult, KruskalResult, MannWhitneyResult, SignedRankResult
from mpcstats.sdk.results.regression import GlmResult, OlsResult
from mpcstats.sdk.results.sample_overlap import SampleOverlapResult
from mpcstats.sdk.results.survival import KaplanMeierResult, LogrankResult
from mpcstats.sdk.results.table_test import TableTestResult
from mpcstats.sdk.results.variant_quality import ContingencyResult, VariantQualityResult
from mpcstats.stats.outcome import Outcome

__all__ = [
    "RESULTS",
    "AnovaResult",
    "ContingencyResult",
    "CorrelationResult",
    "CountResult",
    "CoxResult",
    "CrosstabResult",
    "CumulativeIncidenceResult",
    "DescribeResult",
    "ExactTimeResult",
    "FineGrayResult",
    "GlmResult",
    "GrayResult",
    "GwasMetaResult",
    "GwasResult",
    "KaplanMeierResult",
    "KolmogorovSmirnovResult",
    "KruskalResult",
    "LogrankResult",
    "MannWhitneyResult",
    "MissingnessResult",
    "OlsResult",
    "PrincipalComponentsResult",
    "Result",
    "SampleOverlapResult",
    "SignedRankResult",
    "TTestResult",
    "VarianceTestResult",
    "TableTestResult",
    "VariantQualityResult",
    "wrap",
]

FAMILIES = (
    counts,
    descriptives,
    missingness,
    mean_tests,
    crosstab,
    table_test,
    survival,
    exact_time,
    cox,
    competing_risks,
    fine_gray,
    association,
    variant_quality,
    sample_overlap,
    components,
    gwas_meta,
    regression,
    rank,
    correlation,
)

RESULTS: dict[str, type[Result]] = {cls.analysis: cls for family in FAMILIES for cls in family.RESULTS}
"""The class of each analysis' results."""


def wrap(outcome: Outcome) -> Result:
    """The result object for an outcome.

    Raises
    ------
    SpecError
        This version knows no such analysis.
    """
    if outcome.analysis not in RESULTS:
        raise SpecError(
            f"this version does not know results of {outcome.analysis!r}",
            hint="update mpcstats, or read outcome.tables",
        )
    return RESULTS[outcome.analysis](outcome)
