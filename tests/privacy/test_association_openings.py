"""What an association opens: effect and standard error in other words, and no digit more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.field import M127
from mpcstats.runtime import Session, Shared
from mpcstats.stats.association import statistics
from mpcstats.stats.association.missing import missing_openings
from tests.sdk.test_local import genotype_sites

Opened = dict[str, list[tuple[list[int], int]]]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Per name, the integers that party 1 sees, and their fraction bits."""
    seen: Opened = {}
    real = statistics.open_declared

    async def watched(session: Session, x: Shared, name: str) -> Any:
        value = await real(session, x, name)
        if session.index == 1 and x.field == M127:
            seen.setdefault(name, []).append((M127.to_signed(value).ravel().tolist(), x.fraction_bits))
        return value

    monkeypatch.setattr(statistics, "open_declared", watched)
    return seen


def numbers(opened: Opened) -> np.ndarray:
    return np.array([v * 2.0**-f for parts in opened.values() for values, f in parts for v in values])


def one_missing_call(folder: Path) -> tuple[dict[str, ms.Dataset], pd.DataFrame, np.ndarray, np.ndarray]:
    """A cohort in which at most one person per variant has no call; parties, traits, calls, who it is."""
    parties, traits, calls = genotype_sites(folder, 3, 21, missing=0.004)
    absent = calls < 0
    single = np.where(absent.sum(axis=0) == 1, absent.argmax(axis=0), -1)
    assert (single >= 0).sum() >= 3
    return parties, traits, calls, single


def test_a_single_missing_call_does_not_show_that_persons_residual(tmp_path: Path, opened: Opened) -> None:
    """s_yy of such a variant is 1 - r^2 / (1 - h) / SS of the one person without a call."""
    parties, traits, _, single = one_missing_call(tmp_path)
    with ms.local(parties) as consortium:
        table = consortium.gwas(phenotype="height", covariates=["age"]).to_frame()
    design = np.column_stack([np.ones(len(traits)), traits["age"]])
    hat = design @ np.linalg.solve(design.T @ design, design.T)
    residual = traits["height"].to_numpy() - hat @ traits["height"].to_numpy()
    share = residual**2 / (1 - np.diag(hat)) / (residual @ residual)
    people = single[(single >= 0) & (table["ERRCODE"] == ".").to_numpy()]
    assert people.size >= 3
    seen = numbers(opened)
    for person in people:
        for told in (share[person], 1 - share[person], 1 / (1 - share[person])):
            assert np.abs(seen - told).min() > 1e-7 * told
    assert set(opened) == {"s_xx", "s_xy", "s_xx over s_yy", "s_xy over s_yy"}


def test_the_last_digits_of_opened_sums_are_random(tmp_path: Path, opened: Opened) -> None:
    """An exact sum of products would tell its terms: allele count, and with one covariate the carriers' sum of it."""
    parties, *_ = one_missing_call(tmp_path)
    runs = []
    for _ in range(2):
        opened.clear()
        with ms.local(parties) as consortium:
            consortium.gwas(phenotype="height", covariates=["age"])
        runs.append({name: list(parts) for name, parts in opened.items()})
    for name in ("s_xx", "s_xx over s_yy", "s_xy over s_yy"):
        for (first, bits), (second, _) in zip(runs[0][name], runs[1][name], strict=True):
            assert bits >= 100
            differences = np.array([abs(a - b) for a, b in zip(first, second, strict=True)], dtype=object)
            # 56 digits are shown: what differs are those below (and the solver's rounding, where calls are missing)
            limit = 2 ** (bits - 54) if name == "s_xx" else 2 ** (bits - 24)
            assert 2 ** (bits - 66) < np.median(differences.astype(float))
            assert (differences < limit).all()


@pytest.mark.parametrize("covariates", [[], ["age"], ["age", "smoker"]])
def test_a_scan_uses_the_masks_that_were_planned(tmp_path: Path, covariates: list[str]) -> None:
    parties, _, calls = genotype_sites(tmp_path, 3, 22)
    partial = int(((calls < 0).any(axis=0)).sum())
    with ms.local(parties) as consortium:
        run = consortium.gwas(phenotype="height", covariates=covariates).outcome.run
    assert run["masked_openings"] == missing_openings(len(covariates) + 1, partial)
    assert run["kappa_total"] >= 40
