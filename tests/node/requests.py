"""One request of every analysis, and of its variants, on one data dictionary."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from mpcstats.study.analyses import ANALYSES, parse_spec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.policy import Policy
from mpcstats.study.spec import AnalysisSpec
from mpcstats.types import DisclosureRules

PARTIES = ("northfield", "lakeside", "westbay")

DICTIONARY = Dictionary.model_validate(
    {
        "id": "cohort",
        "columns": [
            {"name": "age", "type": "integer", "range": [18, 97]},
            {"name": "sex", "type": "category", "levels": ["F", "M"]},
            {"name": "stage", "type": "category", "levels": ["I", "II", "III"]},
            {"name": "days", "type": "integer", "range": [0, 120], "missing": "refused"},
            {"name": "entered", "type": "integer", "range": [0, 60]},
            {"name": "died", "type": "boolean"},
            {"name": "cause", "type": "integer", "levels": [0, 1, 2]},
            {"name": "sbp", "type": "decimal", "range": [80, 200], "resolution": 0.5},
            {"name": "dbp", "type": "decimal", "range": [40, 120], "resolution": 0.5},
            {"name": "bmi", "type": "decimal", "range": [12.0, 60.0]},
            {"name": "visits", "type": "integer", "range": [0, 9]},
            {"name": "log_years", "type": "decimal", "range": [-2.0, 2.0]},
            {"name": "admitted", "type": "date", "range": ["2019-01-01", "2024-12-31"]},
        ],
    }
)

_TIMES = {"time": "days", "event": "died"}
_CAUSES = {"time": "days", "event": "cause"}

REQUESTS: dict[str, dict[str, Any]] = {
    "count": {"where": "age >= 40 and stage != 'I'", "by": ["sex", "stage"]},
    "describe": {"columns": ["sbp", "age"], "by": ["sex"]},
    "describe mad": {"columns": ["sbp"], "mad": True, "breaks": [80, 120, 140, 200]},
    "missingness": {"columns": ["sbp", "bmi"], "by": ["sex"]},
    "ttest": {"column": "sbp", "by": "sex"},
    "ttest paired": {"column": "sbp", "paired": "dbp"},
    "anova": {"column": "sbp", "by": "stage", "tukey": True},
    "variance-test": {"column": "sbp", "by": "sex", "method": "levene"},
    "crosstab": {"rows": "sex", "columns": "stage"},
    "crosstab pooled": {"rows": "sex", "columns": "stage", "margins": "pooled"},
    "table-test": {"test": "chi-square", "rows": "sex", "columns": "stage"},
    "table-test strata": {"test": "mantel-haenszel", "rows": "sex", "columns": "died", "strata": "stage"},
    "kaplan-meier": {**_TIMES, "by": "sex"},
    "kaplan-meier late": {**_TIMES, "entry": "entered", "missing": "drop", "grid": 10},
    "logrank": {**_TIMES, "by": "sex"},
    "logrank pairwise": {**_TIMES, "by": "stage", "weights": "peto-peto-R", "pairwise": "holm"},
    "exact-time": {**_TIMES, "time_unit": 1.0, "by": "sex", "rows": 64, "times": [30, 60]},
    "cox": {**_TIMES, "covariates": ["age", "sex"], "strata": ["stage"]},
    "cox pooled": {**_TIMES, "covariates": ["age", "sex"], "by_site": False},
    "cumulative-incidence": {**_CAUSES, "by": "sex"},
    "gray": {**_CAUSES, "by": "sex"},
    "fine-gray": {**_CAUSES, "cause": [1], "covariates": ["age", "sex"]},
    "fine-gray pooled": {**_CAUSES, "cause": [1], "covariates": ["age"], "by_site": False},
    "gwas": {"phenotype": "sbp", "covariates": ["age"]},
    "gwas hits": {"phenotype": "sbp", "covariates": ["age"], "release": "hits", "threshold": 1e-5},
    "gwas mean": {"phenotype": "sbp", "covariates": ["age"], "missing": "mean"},
    "gwas logistic": {"phenotype": "died", "covariates": ["age"], "model": "logistic"},
    "variant-quality": {"hwe": 1e-6, "maf": 0.05},
    "contingency": {"phenotype": "died"},
    "sample-overlap": {"rows": 64},
    "principal-components": {"components": 2, "oversampling": 3, "iterations": 3},
    "gwas-meta": {"phenotype": "sbp", "covariates": ["age"]},
    "ols": {"formula": "sbp ~ age + C(sex)"},
    "ols robust": {"formula": "sbp ~ age + C(sex)", "robust": "HC3"},
    "glm": {"formula": "died ~ age + C(sex)"},
    "glm poisson": {"formula": "visits ~ age", "family": "poisson", "offset": "log_years"},
    "mannwhitney": {"column": "sbp", "by": "sex"},
    "mannwhitney fine": {"column": "bmi", "by": "sex"},
    "kruskal": {"column": "sbp", "by": "stage"},
    "kolmogorov-smirnov": {"column": "sbp", "by": "sex"},
    "wilcoxon-signed-rank": {"x": "sbp", "y": "dbp"},
    "correlation": {"x": ["sbp", "age"], "y": ["dbp"]},
    "correlation spearman": {"x": ["sbp"], "y": ["age"], "method": "spearman"},
    "correlation kendall": {"x": ["visits"], "y": ["age"], "method": "kendall"},
}
"""By name of the analysis, with a word for a variant."""

RULES: dict[str, DisclosureRules] = {
    "open": Policy.preset("open").rules,
    "standard": Policy.preset("standard").rules,
    # what the demonstration's parties allow
    "public": replace(Policy.preset("standard").rules, exact_curve=True, all_variants=True),
}


def request(name: str) -> AnalysisSpec:
    """The request of this name."""
    return parse_spec({"type": name.split(maxsplit=1)[0], **REQUESTS[name]})


def variants(count: int) -> pd.DataFrame:
    """A public list of variants."""
    return pd.DataFrame(
        {
            "chrom": ["1"] * count,
            "pos": range(1, count + 1),
            "id": [f"rs{k}" for k in range(count)],
            "ref": ["A"] * count,
            "alt": ["G"] * count,
        }
    )


def variants_of(spec: AnalysisSpec, count: int = 40) -> pd.DataFrame | None:
    """The list of variants of a request that needs one."""
    return variants(count) if ANALYSES[spec.type].needs_genotypes else None
