"""What the survival benchmark is measured on: synthetic people, and the data of MPyC's Kaplan-Meier demonstrations."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from mpcstats.sdk.sandbox import PartyFiles
from mpcstats.study.dictionary import infer_dictionary

__all__ = ["COVARIATES", "LAST", "demonstration_data", "party_files", "simulate", "sites"]

SEED = 20240229
EFFECTS = (0.3, -0.2, 0.1, 0.0, 0.25, -0.25, 0.15, -0.1, 0.05, 0.2)
COVARIATES = tuple(f"x{k + 1}" for k in range(len(EFFECTS)))
"""The first half is 0/1, the second half has two decimals."""

LAST = pd.DataFrame(
    {"time": [1, 2, 3, 4, 5, 6, 7], "event": [1, 1, 1, 1, 0, 1, 1], "group": [1, 2, 1, 2, 1, 2, 1]},
)
"""Seven people; the last one at risk has the event. R's survdiff: chi-square 0.3651."""


def simulate(people: int, points: int) -> pd.DataFrame:
    """People with time (1 to `points`), event, group (0/1, without effect given the rest) and the covariates."""
    rng = np.random.default_rng(SEED)
    half = len(EFFECTS) // 2
    binary = rng.integers(0, 2, (people, half))
    normal = np.round(np.clip(rng.normal(size=(people, len(EFFECTS) - half)), -4, 4), 2)
    predictor = binary @ EFFECTS[:half] + normal @ EFFECTS[half:]
    life = rng.exponential(points * np.exp(-predictor))
    censoring = np.minimum(rng.uniform(0, 2 * points, people), points)
    columns = {
        "time": np.maximum(1, np.ceil(np.minimum(life, censoring))).astype(np.int64),
        "event": (life <= censoring).astype(np.int64),
        "group": rng.integers(0, 2, people),
    }
    columns |= {name: (binary.T if k < half else normal.T)[k % half] for k, name in enumerate(COVARIATES)}
    return pd.DataFrame(columns)


def demonstration_data(checkout: Path) -> dict[str, pd.DataFrame]:
    """The data of MPyC's demonstrations with the columns time, event, group: `aml` from its files, `lung` from
    lifelines."""
    from lifelines.datasets import load_lung

    aml = pd.read_csv(checkout / "demos" / "data" / "surv" / "aml.csv")
    return {
        "aml": aml.rename(columns={"cens": "event"})[["time", "event", "group"]],
        "lung": load_lung().rename(columns={"status": "event", "sex": "group"})[["time", "event", "group"]].astype(int),
    }


def sites(frame: pd.DataFrame, number: int) -> list[pd.DataFrame]:
    """Every `number`-th row to the same site, as MPyC's demonstrations split their data."""
    return [frame.iloc[k::number].reset_index(drop=True) for k in range(number)]


def party_files(folder: Path, names: tuple[str, ...], tables: Mapping[str, pd.DataFrame]) -> dict[str, PartyFiles]:
    """Write each party's rows of each table as CSV, and the dictionaries; what `make_party_directories` takes.

    The policy is open: requests for what deployed parties allow name the stricter preset.
    """
    datasets: dict[str, dict[str, dict[str, str]]] = {name: {} for name in names}
    for table, frame in tables.items():
        dictionary = folder / f"{table}.dictionary.toml"
        dictionary.write_text(_dictionary(table, frame), encoding="utf-8")
        for name, part in zip(names, sites(frame, len(names)), strict=True):
            file = folder / f"{table}.{name}.csv"
            part.to_csv(file, index=False)
            datasets[name][table] = {"table": str(file), "dictionary": str(dictionary)}
    policy = 'apiVersion = "mpcstats/v1"\nkind = "Policy"\nextends = "open"\n'
    return {name: PartyFiles(datasets=datasets[name], policy=policy, run={"patience_seconds": 600}) for name in names}


def _dictionary(name: str, frame: pd.DataFrame) -> str:
    lines = ['apiVersion = "mpcstats/v1"', 'kind = "Dictionary"', f'id = "{name}"', "version = 1"]
    for column in infer_dictionary({"all": frame}).columns:
        lines += ["[[column]]", f'name = "{column.name}"', f'type = "{column.type}"']
        lines += [f"{key} = {json.dumps(value)}" for key in ("levels", "range") if (value := getattr(column, key))]
    return "\n".join(lines) + "\n"
