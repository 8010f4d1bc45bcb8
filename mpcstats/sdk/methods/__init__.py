"""The methods of a consortium, a module per family; a new family is one more base of `AnalysisMethods`."""

from __future__ import annotations

from mpcstats.sdk.methods.association import AssociationMethods
from mpcstats.sdk.methods.competing_risks import CompetingRisksMethods
from mpcstats.sdk.methods.components import ComponentMethods
from mpcstats.sdk.methods.correlation import CorrelationMethods
from mpcstats.sdk.methods.counts import CountMethods
from mpcstats.sdk.methods.cox import CoxMethods
from mpcstats.sdk.methods.crosstab import CrosstabMethods
from mpcstats.sdk.methods.descriptives import DescriptiveMethods
from mpcstats.sdk.methods.exact_time import ExactTimeMethods
from mpcstats.sdk.methods.fine_gray import FineGrayMethods
from mpcstats.sdk.methods.gwas_meta import MetaMethods
from mpcstats.sdk.methods.mean_tests import MeanTestMethods
from mpcstats.sdk.methods.missingness import MissingnessMethods
from mpcstats.sdk.methods.rank import RankMethods
from mpcstats.sdk.methods.regression import RegressionMethods
from mpcstats.sdk.methods.sample_overlap import OverlapMethods
from mpcstats.sdk.methods.survival import SurvivalMethods
from mpcstats.sdk.methods.table_one import TableOneMethods
from mpcstats.sdk.methods.table_test import TableTestMethods
from mpcstats.sdk.methods.variant_quality import VariantMethods

__all__ = ["AnalysisMethods"]


class AnalysisMethods(
    TableOneMethods,
    CountMethods,
    DescriptiveMethods,
    MissingnessMethods,
    MeanTestMethods,
    CrosstabMethods,
    TableTestMethods,
    SurvivalMethods,
    ExactTimeMethods,
    CoxMethods,
    CompetingRisksMethods,
    FineGrayMethods,
    AssociationMethods,
    VariantMethods,
    OverlapMethods,
    ComponentMethods,
    MetaMethods,
    RegressionMethods,
    RankMethods,
    CorrelationMethods,
):
    """All analyses that a consortium answers."""
