"""What z and the area under the curve tell about tables of two groups: all tables of small groups, listed."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from mpcstats.stats.rank.sums import FEW_VALUES


def compositions(people: int, values: int) -> np.ndarray:
    """All ways to spread people over values."""
    bars = combinations(range(people + values - 1), values - 1)
    return np.array([np.diff([-1, *bar, people + values - 1]) - 1 for bar in bars], dtype=np.int16)


def forced(first: int, second: int, values: int) -> float:
    """Share of tables in which U and the tie term force a cell of 1 to 10 people, exact sizes known."""
    a, b = compositions(first, values), compositions(second, values)
    doubled_u = a.astype(np.int64) @ (2 * np.cumsum(b, 1) - b).T.astype(np.int64)
    cubes = sum((a[:, None, v].astype(np.int64) + b[None, :, v]) ** 3 for v in range(values))
    key = (doubled_u * (first + second) ** 3 * 2 + cubes).ravel()
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(key[order]) != 0])
    tables = np.diff(np.r_[starts, key.size])
    known = np.zeros(starts.size, np.bool_)
    for cells in (a[order // len(b)], b[order % len(b)]):
        least, most = np.minimum.reduceat(cells, starts), np.maximum.reduceat(cells, starts)
        known |= ((least == most) & (least > 0) & (least < 11)).any(1)
    return float(tables[known].sum() / tables.sum())


def test_tables_of_few_values_are_told_by_the_statistics() -> None:
    assert forced(12, 13, 2) > 0.95
    assert forced(12, 13, 3) > 0.3
    assert forced(9, 9, FEW_VALUES) > 1e-3


@pytest.mark.long
def test_tables_of_more_values_hardly_ever_are() -> None:
    assert forced(12, 13, 4) == pytest.approx(0.046, abs=0.001)
    assert forced(11, 12, 5) == pytest.approx(0.0021, abs=0.0001)
    assert forced(11, 11, FEW_VALUES + 1) < 1e-4
