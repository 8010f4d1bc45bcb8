"""What the association benchmark is measured on: synthetic people at three sites, as PLINK files and tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mpcstats.sdk.sandbox import PartyFiles

__all__ = ["COVARIATES", "Cohort", "make_cohort", "party_files"]

SEED = 20241122
COVARIATES = tuple(f"c{k + 1}" for k in range(5))
CAUSAL = 10
"""Variants with an effect, spread over all of them."""

_BLOCK = 2000


@dataclass(frozen=True)
class Cohort:
    """Files of one site each: PREFIX.bed, .bim, .fam and a table; rows in the same order."""

    prefixes: list[Path]
    tables: list[pd.DataFrame]
    variants: int

    @property
    def pooled(self) -> pd.DataFrame:
        """All people."""
        return pd.concat(self.tables, ignore_index=True)


def make_cohort(folder: Path, sites: int, people: int, variants: int, missing: float) -> Cohort:
    """Write the files of all sites; every site has `people`."""
    rng = np.random.default_rng(SEED)
    frequency = rng.uniform(0.05, 0.5, variants)
    effects = np.zeros(variants)
    effects[np.linspace(0, variants - 1, CAUSAL).astype(int)] = 0.2
    prefixes, tables = [], []
    for site in range(sites):
        prefix = folder / f"site{site}_{variants}"
        genetic = _write_bed(prefix, rng, frequency, effects, people, missing)
        _write_lists(prefix, people, variants, site)
        frame = pd.DataFrame({"IID": [f"s{site}p{k}" for k in range(people)]})
        for name in COVARIATES:
            frame[name] = rng.normal(size=people).round(3)
        frame["trait"] = (frame[list(COVARIATES)].sum(axis=1) * 0.3 + genetic + rng.normal(size=people)).round(4)
        prefixes.append(prefix)
        tables.append(frame)
    return Cohort(prefixes, tables, variants)


def _write_bed(
    prefix: Path, rng: np.random.Generator, frequency: np.ndarray, effects: np.ndarray, people: int, missing: float
) -> np.ndarray:
    """Write PREFIX.bed in blocks of variants; returns what they add to the trait."""
    genetic = np.zeros(people)
    codes = np.array([3, 2, 0, 1], np.uint8)  # copies of A1 (0, 1, 2) and missing, as PLINK's two bits
    width = -(-people // 4) * 4
    with prefix.with_suffix(".bed").open("wb") as file:
        file.write(b"\x6c\x1b\x01")
        for start in range(0, len(frequency), _BLOCK):
            f = frequency[start : start + _BLOCK, None]
            draws = rng.random((len(f), people), dtype=np.float32)
            copies = (draws < f * f).astype(np.uint8) + (draws < 2 * f - f * f)
            genetic += effects[start : start + _BLOCK] @ copies
            if missing:
                copies[rng.random(copies.shape, dtype=np.float32) < missing] = 3
            padded = np.zeros((len(f), width), np.uint8)
            padded[:, :people] = codes[copies]
            quads = padded.reshape(len(f), width // 4, 4)
            packed = quads[..., 0] | quads[..., 1] << 2 | quads[..., 2] << 4 | quads[..., 3] << 6
            file.write(packed.astype(np.uint8).tobytes())
    return genetic


def _write_lists(prefix: Path, people: int, variants: int, site: int) -> None:
    with prefix.with_suffix(".bim").open("w", encoding="ascii") as file:
        for k in range(variants):
            file.write(f"{1 + k * 22 // variants}\trs{k + 1}\t0\t{k + 1}\tA\tG\n")
    with prefix.with_suffix(".fam").open("w", encoding="ascii") as file:
        for k in range(people):
            file.write(f"0\ts{site}p{k}\t0\t0\t0\t-9\n")


def party_files(folder: Path, names: tuple[str, ...], cohorts: dict[str, Cohort]) -> dict[str, PartyFiles]:
    """Tables, dictionaries and genotypes of each party under an open policy; a data set per cohort."""
    dictionary = folder / "dictionary.toml"
    lines = ['apiVersion = "mpcstats/v1"', 'kind = "Dictionary"', 'id = "bench"', "version = 1"]
    lines += ["[[column]]", 'name = "IID"', 'type = "category"']
    for name, reach in [*((name, 8) for name in COVARIATES), ("trait", 20)]:
        lines += ["[[column]]", f'name = "{name}"', 'type = "decimal"', f"range = [-{reach}, {reach}]"]
    dictionary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    policy = 'apiVersion = "mpcstats/v1"\nkind = "Policy"\nextends = "open"\n'
    files = {}
    for site, name in enumerate(names):
        datasets = {}
        for title, cohort in cohorts.items():
            table = folder / f"{title}.{name}.csv"
            cohort.tables[site].to_csv(table, index=False)
            datasets[title] = {
                "table": str(table),
                "dictionary": str(dictionary),
                "genotypes": str(cohort.prefixes[site]),
                "id": "IID",
            }
        files[name] = PartyFiles(datasets=datasets, policy=policy, run={"patience_seconds": 600})
    return files
