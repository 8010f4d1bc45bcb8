"""R's answers: the entries that ship with the tests, and all of `../shared/truth` where it is beside the repository."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

SHIPPED = Path(__file__).parents[1] / "data" / "truth"
SHARED = Path(__file__).parents[2].parent / "shared"


def shipped(name: str) -> list[Any]:
    """Parameters for the entries in tests/data/truth."""
    entries = json.loads((SHIPPED / name).read_text(encoding="utf-8"))["entries"]
    return [pytest.param(entry, id=label(entry)) for entry in entries]


def everything(name: str) -> list[Any]:
    """Parameters for all entries of the shared folder; one that skips where the folder is absent."""
    path = SHARED / "truth" / name
    if not path.exists():
        reason = "the shared truth folder is not beside the repository"
        return [pytest.param(None, id="absent", marks=pytest.mark.skip(reason=reason))]
    entries = json.loads(path.read_text(encoding="utf-8"))["entries"]
    groups = {entry["id"]: entry["group"] for entry in entries if entry.get("group")}
    for entry in entries:  # rows are complete cases on the grouping column, for the whole cohort too
        entry["complete_on"] = groups.get(entry["id"])
    return [pytest.param(entry, id=label(entry)) for entry in entries]


def label(entry: dict[str, Any]) -> str:
    parts = [entry["id"], entry.get("group"), entry.get("group_value"), entry.get("width")]
    return "-".join(text(part) for part in parts if part is not None)


def text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def numbers(values: list[Any]) -> np.ndarray:
    """JSON numbers: null is NaN, "Infinity" is inf."""
    return np.array([math.nan if value is None else float(value) for value in values])


def records(entry: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """time, event (bool) and group (text) of an entry's people, from the CSV in the clear."""
    frame = _read(entry["file"])
    for column, value in (entry.get("filter") or {}).items():
        frame = frame[frame[column] == value]
    grouping = entry.get("group") or entry.get("complete_on")
    needed = [
        entry["time"],
        entry["event"],
        *([grouping] if grouping else []),
        *([entry["strata"]] if entry.get("strata") else []),
    ]
    frame = frame[needed].dropna()
    assert len(frame) == entry["rows_used"]
    group = frame[grouping].map(text).to_numpy(dtype=str) if grouping else np.full(len(frame), "all")
    if entry.get("group_value") is not None:
        frame, group = frame[group == text(entry["group_value"])], group[group == text(entry["group_value"])]
    return frame[entry["time"]].to_numpy(float), frame[entry["event"]].isin(entry["event_values"]).to_numpy(), group


def shipped_counts(entry: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Events and censorings per group and time of a shipped log-rank entry, from R's curves of its single groups."""
    levels = entry["group_levels"]
    curves = {
        text(p.values[0]["group_value"]): p.values[0]["result"]["table"]
        for p in shipped("survfit.json")
        if p.values[0]["id"] == entry["id"] and "group_value" in p.values[0]
    }
    times = np.unique(np.concatenate([numbers(curves[level]["time"]) for level in levels]))
    events, censored = np.zeros((2, len(levels), len(times)), dtype=np.int64)
    for row, level in enumerate(levels):
        place = np.searchsorted(times, numbers(curves[level]["time"]))
        events[row, place], censored[row, place] = curves[level]["n_event"], curves[level]["n_censor"]
    return events, censored


def strata_of(entry: dict[str, Any]) -> np.ndarray:
    """The stratum (text) of each of the people of `records`."""
    needed = [entry["time"], entry["event"], entry["group"], entry["strata"]]
    return _read(entry["file"])[needed].dropna()[entry["strata"]].map(text).to_numpy(dtype=str)


def entries_of(entry: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """entry, time (int) and event (bool) of the people of a left-truncated cohort."""
    frame = _read(entry["file"])[[entry["entry"], entry["time"], entry["event"], entry["group"]]].dropna()
    frame = frame[frame[entry["time"]] > frame[entry["entry"]]]
    assert len(frame) == entry["rows_used"]
    event = frame[entry["event"]].isin(entry["event_values"]).to_numpy()
    return frame[entry["entry"]].to_numpy(int), frame[entry["time"]].to_numpy(int), event


@cache
def _read(file: str) -> pd.DataFrame:
    """A data set of the shared folder; the lung cohort ships with the tests, its events coded 0 and 1."""
    if file == "survival_lung.csv":
        return pd.read_csv(SHIPPED.parent / "lung.csv").assign(status=lambda frame: frame["status"] + 1)
    return pd.read_csv(SHARED / "data" / "clinical" / file)


def counts(
    time: np.ndarray, event: np.ndarray, group: np.ndarray, levels: list[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct times, and events and censorings per group and time."""
    times, place = np.unique(time, return_inverse=True)
    events = np.zeros((len(levels), len(times)), dtype=np.int64)
    censored = np.zeros_like(events)
    for row, level in enumerate(levels):
        np.add.at(events[row], place[(group == level) & event], 1)
        np.add.at(censored[row], place[(group == level) & ~event], 1)
    return times, events, censored


def stratified_counts(
    time: np.ndarray, event: np.ndarray, group: np.ndarray, stratum: np.ndarray, levels: list[str], strata: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Events and censorings per stratum, group and distinct time."""
    times = np.unique(time)
    cells = np.zeros((2, len(strata), len(levels), len(times)), dtype=np.int64)
    places = (
        np.where(event, 0, 1),
        [strata.index(name) for name in stratum],
        [levels.index(name) for name in group],
        np.searchsorted(times, time),
    )
    np.add.at(cells, places, 1)
    return cells[0], cells[1]


def at_risk(events: np.ndarray, censored: np.ndarray) -> np.ndarray:
    return np.cumsum((events + censored)[..., ::-1], axis=-1)[..., ::-1]


def same(ours: Any, theirs: list[Any], rtol: float = 1e-12) -> None:
    """Equal to R, NaN where R has NA. Limits next to 0 carry R's own rounding of 1 - (1 - x): 1e-15 absolute."""
    np.testing.assert_allclose(np.asarray(ours, dtype=float), numbers(theirs), rtol=rtol, atol=1e-15, equal_nan=True)
