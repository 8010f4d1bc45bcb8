"""Where rounded curves are shown: on the policy's grid, whatever unit a request asks for."""

from __future__ import annotations

import numpy as np
import pytest

from mpcstats.stats.curve_release import release_grid


@pytest.mark.parametrize(
    ("horizon", "unit", "edges", "times"),
    [
        (100, 1.0, [30, 60, 90, 100], [30, 60, 90, 120]),
        (90, 1.0, [30, 60, 90], [30, 60, 90]),
        (14, 7.0, [4, 8, 12, 14], [30, 60, 90, 120]),
        (200, 0.5, [60, 120, 180, 200], [30, 60, 90, 120]),
        (3, 365.0, [1, 2, 3], [365, 730, 1095]),
        (0, 1.0, [0], [30]),
        (900, 0.1, [300, 600, 900], [30, 60, 90]),
    ],
)
def test_points(horizon: int, unit: float, edges: list[int], times: list[float]) -> None:
    found, points = release_grid(horizon, unit, 30)
    assert found.tolist() == edges
    np.testing.assert_allclose(points, times)


def test_requests_with_other_units_show_no_further_points() -> None:
    """Times recorded in weeks may be counted in weeks, days or half days: 35 days would be a point beside 30."""
    rng = np.random.default_rng(1)
    weeks = rng.integers(0, 60, 300)
    shown = set()
    for unit in (0.5, 1.0, 3.5, 7.0):
        horizon = int(60 * 7 / unit)
        cumulative = np.bincount((weeks * 7 / unit).astype(int), minlength=horizon + 1).cumsum()
        edges, times = release_grid(horizon, unit, 30)
        shown.add((tuple(times), tuple(cumulative[edges])))
    assert len(shown) == 1
