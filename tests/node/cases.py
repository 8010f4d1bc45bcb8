"""Every registered analysis on small tables of three parties, under open rules and under strict ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mpcstats.node.records.source import Dataset
from mpcstats.study.analyses import parse_spec
from mpcstats.study.policy import Policy
from mpcstats.types import DisclosureRules
from tests.node.in_memory import Parties

__all__ = ["CASES", "Case", "parties_of"]

NAMES = ("alpha", "beta", "gamma")
PEOPLE, VARIANTS = 60, 6

OPEN = Policy.preset("open").rules
STRICT = replace(
    Policy.preset("standard").rules,
    minimum_count=3,
    minimum_parties=1,
    events_per_parameter=1,
    association_minimum_people=20,
    all_variants=True,
)


@dataclass(frozen=True)
class Case:
    """A request and rules."""

    request: dict[str, Any]
    rules: DisclosureRules = OPEN
    genotypes: bool = False


SURVIVAL = {"time": "time", "event": "event"}
CASES: dict[str, Case] = {
    "count": Case({"type": "count", "by": ["sex", "stage"]}),
    "count strict": Case({"type": "count", "by": ["sex", "stage"], "where": "age > 45"}, STRICT),
    "describe": Case({"type": "describe", "columns": ["sbp"], "by": ["sex"], "breaks": [100, 120, 140]}),
    "describe strict": Case({"type": "describe", "columns": ["sbp"], "by": ["sex"], "quantiles": [0.5]}, STRICT),
    "missingness": Case({"type": "missingness", "columns": ["lab", "sbp"], "by": ["sex"]}),
    "missingness strict": Case({"type": "missingness", "columns": ["lab", "sbp"]}, STRICT),
    "ttest": Case({"type": "ttest", "column": "sbp", "by": "sex"}),
    "ttest strict": Case({"type": "ttest", "column": "sbp", "by": "sex"}, STRICT),
    "anova": Case({"type": "anova", "column": "sbp", "by": "stage", "tukey": True}),
    "anova strict": Case({"type": "anova", "column": "sbp", "by": "stage"}, STRICT),
    "variance-test": Case({"type": "variance-test", "column": "sbp", "by": "sex", "method": "levene"}),
    "crosstab": Case({"type": "crosstab", "rows": "sex", "columns": "stage"}),
    "crosstab strict": Case({"type": "crosstab", "rows": "sex", "columns": "stage"}, STRICT),
    "crosstab pooled": Case({"type": "crosstab", "rows": "sex", "columns": "stage", "margins": "pooled"}, STRICT),
    "table-test": Case({"type": "table-test", "test": "chi-square", "rows": "sex", "columns": "stage"}),
    "table-test fisher": Case({"type": "table-test", "test": "fisher", "rows": "sex", "columns": "stage"}),
    "table-test strict": Case({"type": "table-test", "test": "chi-square", "rows": "sex", "columns": "stage"}, STRICT),
    "kaplan-meier": Case({"type": "kaplan-meier", **SURVIVAL, "by": "sex"}),
    "kaplan-meier strict": Case({"type": "kaplan-meier", **SURVIVAL, "by": "sex"}, STRICT),
    "logrank": Case({"type": "logrank", **SURVIVAL, "by": "sex"}),
    "logrank strict": Case({"type": "logrank", **SURVIVAL, "by": "sex"}, STRICT),
    "exact-time": Case({"type": "exact-time", **SURVIVAL, "by": "sex", "rows": 64, "times": [10], "time_unit": 1.0}),
    "exact-time strict": Case({"type": "exact-time", **SURVIVAL, "by": "sex", "rows": 64, "time_unit": 1.0}, STRICT),
    "cox": Case({"type": "cox", **SURVIVAL, "covariates": ["age"]}),
    "cox strict": Case({"type": "cox", **SURVIVAL, "covariates": ["age"]}, STRICT),
    "cox pooled": Case({"type": "cox", **SURVIVAL, "covariates": ["age"], "by_site": False}, STRICT),
    "cumulative-incidence": Case({"type": "cumulative-incidence", "time": "time", "event": "cause", "by": "sex"}),
    "cumulative-incidence strict": Case({"type": "cumulative-incidence", "time": "time", "event": "cause"}, STRICT),
    "gray": Case({"type": "gray", "time": "time", "event": "cause", "by": "sex"}),
    "fine-gray": Case({"type": "fine-gray", "time": "time", "event": "cause", "cause": [1], "covariates": ["age"]}),
    "gwas": Case({"type": "gwas", "phenotype": "sbp", "covariates": ["age"]}, genotypes=True),
    "gwas strict": Case({"type": "gwas", "phenotype": "sbp", "covariates": ["age"]}, STRICT, genotypes=True),
    "gwas hits": Case({"type": "gwas", "phenotype": "sbp", "release": "hits", "threshold": 1e-2}, OPEN, genotypes=True),
    "gwas logistic": Case({"type": "gwas", "phenotype": "event", "model": "logistic"}, genotypes=True),
    "variant-quality": Case({"type": "variant-quality"}, genotypes=True),
    "contingency": Case({"type": "contingency", "phenotype": "event"}, genotypes=True),
    "sample-overlap": Case({"type": "sample-overlap", "rows": 64}, genotypes=True),
    "principal-components": Case(
        {"type": "principal-components", "components": 2, "oversampling": 1, "iterations": 2}, genotypes=True
    ),
    "gwas-meta": Case({"type": "gwas-meta", "phenotype": "sbp"}, genotypes=True),
    "ols": Case({"type": "ols", "formula": "sbp ~ age"}),
    "ols strict": Case({"type": "ols", "formula": "sbp ~ age"}, STRICT),
    "glm": Case({"type": "glm", "formula": "event ~ age"}),
    "mannwhitney": Case({"type": "mannwhitney", "column": "age", "by": "sex"}),
    "mannwhitney strict": Case({"type": "mannwhitney", "column": "age", "by": "sex"}, STRICT),
    "kruskal": Case({"type": "kruskal", "column": "age", "by": "stage"}, STRICT),
    "kolmogorov-smirnov": Case({"type": "kolmogorov-smirnov", "column": "age", "by": "sex"}, STRICT),
    "wilcoxon-signed-rank": Case({"type": "wilcoxon-signed-rank", "x": "age", "mu": 55}, STRICT),
    "correlation": Case({"type": "correlation", "x": ["age", "sbp"]}),
    "correlation strict": Case({"type": "correlation", "x": ["age", "sbp"]}, STRICT),
    "correlation spearman": Case({"type": "correlation", "x": ["age", "stage_number"], "method": "spearman"}, STRICT),
}


def parties_of(case: Case, folder: Path) -> Parties:
    """Three parties with data that can answer the request."""
    tables: dict[str, Any] = {name: _table(k) for k, name in enumerate(NAMES)}
    if case.genotypes:
        tables = {name: _genotyped(table, folder / name, k) for k, (name, table) in enumerate(tables.items())}
    return Parties(parse_spec(case.request), tables, rules=case.rules)


def _table(site: int) -> pd.DataFrame:
    rng = np.random.default_rng([7, site])
    stage = rng.integers(1, 4, PEOPLE)
    age = rng.integers(40, 72, PEOPLE)
    event = (rng.random(PEOPLE) < 0.6).astype(int)
    return pd.DataFrame(
        {
            "IID": [f"{NAMES[site]}-{k}" if k > 20 else f"person-{k}" for k in range(PEOPLE)],
            "age": age,
            "sex": rng.choice(["F", "M"], PEOPLE),
            "stage": np.array(["I", "II", "III"])[stage - 1],
            "stage_number": stage,
            "sbp": (120 + 0.5 * (age - 55) + rng.normal(0, 12, PEOPLE)).round(1),
            "lab": np.where(rng.random(PEOPLE) < 0.2, np.nan, rng.normal(5, 1, PEOPLE).round(2)),
            "time": rng.integers(1, 31, PEOPLE),
            "event": event,
            "cause": event * rng.integers(1, 3, PEOPLE),
        }
    )


def _genotyped(table: pd.DataFrame, prefix: Path, site: int) -> Dataset:
    from bed_reader import to_bed

    rng = np.random.default_rng([8, site])
    people = len(table)
    calls = rng.binomial(2, rng.uniform(0.2, 0.5, VARIANTS), (people, VARIANTS)).astype(np.int8)
    calls[:, 0] = np.clip(np.searchsorted(np.quantile(table["sbp"], [0.3, 0.8]), table["sbp"]), 0, 2)
    calls[rng.random(calls.shape) < 0.02] = -127
    to_bed(
        f"{prefix}.bed",
        calls,
        properties={
            "iid": table["IID"].to_numpy(),
            "fid": ["0"] * people,
            "sid": [f"v{j}" for j in range(VARIANTS)],
            "chromosome": ["1"] * VARIANTS,
            "bp_position": list(range(1, VARIANTS + 1)),
            "allele_1": ["A"] * VARIANTS,
            "allele_2": ["G"] * VARIANTS,
        },
    )
    return Dataset(table, genotypes=prefix, id="IID")
