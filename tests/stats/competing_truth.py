"""R's answers for competing risks, and the counts and people behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from .r_truth import SHARED, numbers


@dataclass(frozen=True)
class Cohort:
    """Complete cases of an entry.

    Attributes
    ----------
    times : distinct times; `time` and all counts refer to positions in it
    time, status, group : (n,), status 0 is censored and k + 1 is cause k
    covariates : (n, p), NaN columns where the fixture does not have them
    """

    times: np.ndarray
    time: np.ndarray
    status: np.ndarray
    group: np.ndarray
    covariates: np.ndarray
    causes: list[str]
    levels: list[int]

    def counts(self, rows: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Events (K, G, T) and censorings (G, T) of some people."""
        chosen = np.ones(len(self.time), bool) if rows is None else rows
        shape = (len(self.causes) + 1, len(self.levels), len(self.times))
        cells = np.zeros(shape, np.int64)
        np.add.at(cells, (self.status[chosen], self.group[chosen], self.time[chosen]), 1)
        return cells[1:], cells[0]


def cohort(entry: dict[str, Any]) -> Cohort:
    """From the counts in the entry, or from the CSV beside the repository."""
    causes = [str(value) for value in entry["cause_values"]]
    if "counts" in entry:
        return _from_counts(entry, causes)
    columns = list(dict.fromkeys([entry["time"], entry["status"], entry["group"], *entry["covariates"]]))
    frame = pd.read_csv(SHARED / "data" / "clinical" / entry["file"])[columns].dropna()
    assert len(frame) == entry["rows_used"]
    times, time = np.unique(frame[entry["time"]], return_inverse=True)
    levels, group = np.unique(frame[entry["group"]], return_inverse=True)
    codes = {value: k + 1 for k, value in enumerate(entry["cause_values"])} | {entry["censor_value"]: 0}
    status = frame[entry["status"]].map(codes).to_numpy()
    covariates = frame[entry["covariates"]].to_numpy(float)
    return Cohort(times.astype(float), time, status, group, covariates, causes, levels.tolist())


def _from_counts(entry: dict[str, Any], causes: list[str]) -> Cohort:
    counts = entry["counts"]
    cells = np.concatenate([[counts["censored"]], counts["events"]])  # (K+1, G, T)
    status, group, time = (np.repeat(place, cells.ravel()) for place in (x.ravel() for x in np.indices(cells.shape)))
    levels = counts["groups"]
    covariates = np.full((len(time), len(entry["covariates"])), np.nan)
    for column, name in enumerate(entry["covariates"]):
        if name == entry["group"]:
            covariates[:, column] = np.array(levels)[group]
    assert len(time) == entry["rows_used"]
    return Cohort(numbers(counts["times"]), time, status, group, covariates, causes, levels)


def columns_of(table: list[list[Any]], columns: list[int]) -> list[list[Any]]:
    """Some columns of a truth matrix, one list each."""
    return [[row[column] for row in table] for column in columns]
