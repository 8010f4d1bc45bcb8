"""Committees: three of five institutions compute, the others deal shares and hear the same results."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import ConfigurationError, DisclosureRefused, SpecError
from mpcstats.sdk import local as local_module
from mpcstats.sdk.results.text import run_facts
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses import ANALYSES
from tests.sdk import test_local
from tests.sdk.test_local import genotype_sites

NAMES = ("a", "b", "c", "d", "e")
Call = Callable[[Any], Any]


def cohort(seed: int = 3, people: int = 260) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(40, 80, people)
    return pd.DataFrame(
        {
            "id": [f"p{k}" for k in range(people)],
            "time": rng.integers(1, 60, people),
            "status": rng.integers(0, 2, people),
            "cause": rng.integers(0, 3, people),
            "sex": rng.choice(["F", "M"], people),
            "arm": rng.choice(["x", "y", "z"], people),
            "age": age,
            "weight": (70 + 0.2 * age + rng.normal(0, 9, people)).round(1),
            "after": (71 + 0.2 * age + rng.normal(0, 9, people)).round(1),
        }
    )


def institutions(frame: pd.DataFrame | None = None, names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """Rows to institutions; the last one has none."""
    frame = cohort() if frame is None else frame
    target = np.random.default_rng(1).integers(0, len(names) - 1, len(frame))
    return {name: ms.Dataset(frame[target == k].reset_index(drop=True), id="id") for k, name in enumerate(names)}


def genotyped(folder: Path) -> dict[str, Any]:
    parties, _, _ = genotype_sites(folder, 5, 8)
    return dict(zip(NAMES, parties.values(), strict=True))


CURVE = {"time": "time", "event": "status", "by": "arm"}
TABLES: dict[str, Call] = {
    "count": lambda c: c.count(where="age > 60", by=["sex", "arm"]),
    "crosstab": lambda c: c.crosstab("sex", "arm", margins="pooled"),
    "table-test": lambda c: c.chi_square("sex", "arm"),
    "missingness": lambda c: c.missingness(["age", "weight"], by="sex"),
    "describe": lambda c: c.describe(["age", "weight"], by="sex"),
    "ttest": lambda c: c.ttest("weight", by="sex"),
    "anova": lambda c: c.anova("weight", by="arm"),
    "variance-test": lambda c: c.levene("weight", by="sex"),
    "kaplan-meier": lambda c: c.kaplan_meier(**CURVE),
    "logrank": lambda c: c.logrank(**CURVE),
    "logrank on shares": lambda c: c.logrank(**CURVE, mode="statistic"),
    "cox": lambda c: c.cox(time="time", event="status", covariates=["age", "sex"]),
    "cox pooled": lambda c: c.cox(time="time", event="status", covariates=["age", "sex"], by_site=False),
    "cumulative-incidence": lambda c: c.cumulative_incidence(time="time", event="cause", by="sex"),
    "gray": lambda c: c.gray(time="time", event="cause", by="sex"),
    "fine-gray": lambda c: c.fine_gray(time="time", event="cause", cause=1, covariates=["age"]),
    "exact-time": lambda c: c.exact_time(time="time", event="status", rows=128, by="sex", times=[20.0]),
    "ols": lambda c: c.ols("weight", ["age", "sex"]),
    "glm": lambda c: c.glm("status", ["age", "sex"], family="binomial"),
    "mannwhitney": lambda c: c.mannwhitney("age", by="sex"),
    "kruskal": lambda c: c.kruskal("age", by="arm"),
    "kolmogorov-smirnov": lambda c: c.kolmogorov_smirnov("age", by="sex"),
    "wilcoxon-signed-rank": lambda c: c.wilcoxon_signed_rank("weight", "after"),
    "correlation": lambda c: c.correlation(["age", "weight"]),
    "correlation of ranks": lambda c: c.correlation(["age", "weight"], method="kendall"),
    "sample-overlap": lambda c: c.sample_overlap(rows=128),
}
GENOTYPES: dict[str, Call] = {
    "gwas": lambda c: c.gwas(phenotype="height", covariates=["age"]),
    "gwas with indicators": lambda c: c.gwas(phenotype="height", covariates=["age"], site_indicators=True),
    "gwas hits": lambda c: c.gwas(phenotype="height", release="hits", threshold=0.05),
    "gwas logistic": lambda c: c.gwas(phenotype="smoker", covariates=["age"], model="logistic"),
    "variant-quality": lambda c: c.variant_quality(),
    "contingency": lambda c: c.contingency(phenotype="smoker"),
    "principal-components": lambda c: c.principal_components(components=2, oversampling=2, iterations=4, maf=0.0),
    "gwas-meta": lambda c: c.gwas_meta(phenotype="height", covariates=["age"]),
}
QUICK = {
    "count": ("open", "standard"),
    "crosstab": ("open",),
    "describe": ("open",),
    "kaplan-meier": ("standard",),
    "logrank": ("open",),
    "mannwhitney": ("open",),
    "gwas": ("open",),
}
"""The rest takes longer than a unit test should."""


def outcomes(parties: dict[str, Any], call: Call, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[Any]:
    """What every party got in the last run of `call`: an outcome, or why there is none."""
    seen: list[list[Outcome | BaseException]] = []
    first = local_module.first_error
    monkeypatch.setattr(local_module, "first_error", lambda found: seen.append(found) or first(found))
    with ms.local(parties, **options) as consortium, suppress(DisclosureRefused):
        call(consortium)
    monkeypatch.undo()
    return [found if isinstance(found, Outcome) else (type(found), str(found)) for found in seen[-1]]


def plain(outcome: Outcome, run: bool = True) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(outcome.to_json())
    content["run"].pop("seconds")
    return content if run else {key: value for key, value in content.items() if key != "run"}


def same(one: Any, other: Any) -> None:
    """Equal up to the last digits of what is computed on shares."""
    assert type(one) is type(other) or isinstance(one, int | float)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            same(one[key], other[key])
    elif isinstance(one, list):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            same(left, right)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)
    else:
        assert one == other


def compare(parties: dict[str, Any], call: Call, monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    found = outcomes(parties, call, monkeypatch, policy=policy, committee=3)
    everybody = outcomes(parties, call, monkeypatch, policy=policy, committee=5)
    assert len(found) == len(everybody) == 5
    if not isinstance(everybody[0], Outcome):
        assert everybody[0][0] is DisclosureRefused
        assert set(found) == {everybody[0]}
        return
    texts = [plain(outcome) for outcome in found]
    assert all(text == texts[0] for text in texts)
    assert texts[0]["run"]["committee"] == ["a", "b", "c"]
    assert texts[0]["run"]["threshold"] == 1
    same(plain(found[0], run=False), plain(everybody[0], run=False))


def cases(calls: dict[str, Call], *policies: str) -> list[Any]:
    return [
        pytest.param(name, policy, marks=() if policy in QUICK.get(name, ()) else pytest.mark.long)
        for name in calls
        for policy in policies
    ]


def test_every_analysis_is_here() -> None:
    assert {name.split(" ")[0] for name in TABLES | GENOTYPES} >= set(ANALYSES)


@pytest.mark.parametrize(("name", "policy"), cases(TABLES, "open", "standard"))
def test_three_of_five_compute(name: str, policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(institutions(), TABLES[name], monkeypatch, policy)


@pytest.mark.parametrize(("name", "policy"), cases(GENOTYPES, "open"))
def test_three_of_five_compute_with_genotypes(
    name: str, policy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(genotyped(tmp_path), GENOTYPES[name], monkeypatch, policy)


def test_above_seven_institutions_five_compute() -> None:
    names = tuple(f"site{k}" for k in range(9))
    frame = cohort()
    with ms.local(institutions(frame, names), policy="standard") as consortium:
        counted = consortium.count(by=["sex"])
        curves = consortium.kaplan_meier(**CURVE)
    run = counted.outcome.run
    assert run["committee"] == list(names[:5])
    assert (run["threshold"], len(run["parties"])) == (2, 9)
    for row in counted.to_frame().itertuples():
        assert abs(row.count - (frame["sex"] == row.sex).sum()) < 5
    assert set(curves.to_frame()["group"]) == {"x", "y", "z"}


def test_thirty_institutions() -> None:
    frame = cohort()
    with ms.local(institutions(frame, tuple(f"site{k:02}" for k in range(30)))) as consortium:
        counted = consortium.count(by=["sex"])
    expected = frame["sex"].value_counts()
    assert counted.to_frame().set_index("sex")["count"].to_dict() == expected.to_dict()
    assert len(counted.outcome.run["committee"]) == 5
    assert counted.outcome.run["rounds"] == 7
    facts = dict(run_facts(counted.outcome.run))
    assert facts["committee"] == "site00, site01, site02, site03, site04 (threshold 2)"
    assert facts["parties"].endswith("site28, site29")


@pytest.mark.long
@pytest.mark.parametrize("model", ["linear", "logistic"])
def test_indicators_of_more_sites_than_can_compute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Literal["linear", "logistic"]
) -> None:
    """The masks are chosen for as many columns as there are institutions."""
    monkeypatch.setattr(test_local, "NAMES", tuple(f"site{k:02}" for k in range(11)))
    parties, _, _ = genotype_sites(tmp_path, 11, 8)
    trait = {"linear": "height", "logistic": "smoker"}[model]
    with ms.local(parties) as consortium:
        found = consortium.gwas(phenotype=trait, covariates=["age"], model=model, site_indicators=True)
    run = found.outcome.run
    assert len(run["parties"]) == 11
    assert run["kappa_total"] is None or run["kappa_total"] >= 40
    assert np.isfinite(found.to_frame()["P"].dropna()).all()
    assert found.to_frame()["P"].notna().any()


def test_the_ledger_is_kept_by_guests_too() -> None:
    with ms.local(institutions(), policy="standard", committee=3) as consortium:
        consortium.count(by=["sex"])
        again = consortium.count(by=["sex"])
        assert again.to_frame()["count"].notna().all()
        with pytest.raises(DisclosureRefused, match="earlier"):
            consortium.count(where="age != 40", by=["sex"])


@pytest.mark.parametrize("options", [{"committee": 2}, {"committee": 6}, {"committee": 3, "threshold": 2}])
def test_what_cannot_be_a_committee(options: dict[str, int]) -> None:
    with pytest.raises((ConfigurationError, SpecError)):
        ms.local(institutions(), **options)
