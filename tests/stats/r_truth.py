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


@cache
def _read(file: str) -> pd.DataFrame:
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


def at_risk(events: np.ndarray, censored: np.ndarray) -> np.ndarray:
    return np.cumsum((events + censored)[..., ::-1], axis=-1)[..., ::-1]


def same(ours: Any, theirs: list[Any], rtol: float = 1e-12) -> None:
    """Equal to R, NaN where R has NA. Limits next to 0 carry R's own rounding of 1 - (1 - x): 1e-15 absolute."""
    np.testing.assert_allclose(np.asarray(ours, dtype=float), numbers(theirs), rtol=rtol, atol=1e-15, equal_nan=True)
