"""People at risk, late entry and grids, against the definitions person by person."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import RangeError, SpecError
from mpcstats.stats.lattice import at_risk_before, at_risk_counts, grid_edges, on_grid

PEOPLE = st.lists(st.tuples(st.integers(0, 11), st.integers(1, 12), st.booleans()), min_size=1, max_size=40)


def tally(times: list[int], length: int) -> np.ndarray:
    return np.bincount(np.array(times, dtype=int), minlength=length)


def cohort(people: list[tuple[int, int, bool]]) -> tuple[list[int], list[int], np.ndarray, np.ndarray, np.ndarray]:
    """Entry and exit of people with entry < exit, and their counts on 0..23: entered, events, censored."""
    entry, leave = [e for e, _, _ in people], [e + stay for e, stay, _ in people]
    events = tally([t for t, (_, _, event) in zip(leave, people, strict=True) if event], 24)
    return entry, leave, tally(entry, 24), events, tally(leave, 24) - events


@settings(derandomize=True, deadline=None)
@given(PEOPLE)
def test_at_risk_are_those_with_entry_before_and_exit_not_before(people: list[tuple[int, int, bool]]) -> None:
    entry, leave, entered, events, censored = cohort(people)
    n = at_risk_counts(events, censored, entered)
    assert n.tolist() == [sum(e < t <= x for e, x in zip(entry, leave, strict=True)) for t in range(24)]
    times = [0, 0.5, 1, 3.7, 11, 23, 23.5]
    expected = [sum(e < t <= x for e, x in zip(entry, leave, strict=True)) for t in times]
    assert at_risk_before(n, times).tolist() == expected
    assert at_risk_before(n, [t / 10 for t in times], 0.1).tolist() == expected


@settings(derandomize=True, deadline=None)
@given(PEOPLE, st.sampled_from([1, 2.5, 3, 5, 30]))
def test_a_grid_moves_exits_up_and_entries_down(people: list[tuple[int, int, bool]], width: float) -> None:
    entry, leave, entered, events, censored = cohort(people)
    d, c, a = on_grid(events, censored, width, entered=entered)
    assert a is not None
    bins = [max(1, math.ceil(x / width)) for x in leave]
    starts = [math.floor(e / width) for e in entry]
    assert (d + c).tolist() == tally(bins, d.size).tolist()
    assert a.tolist() == tally(starts, d.size).tolist()
    at_risk = [sum(e < k <= x for e, x in zip(starts, bins, strict=True)) for k in range(d.size)]
    assert at_risk_counts(d, c, a).tolist() == at_risk
    everybody, nobody, none = on_grid(events, censored, width)
    assert none is None
    np.testing.assert_array_equal(everybody, d)
    np.testing.assert_array_equal(nobody, c)


def test_without_late_entry_everybody_is_at_risk_from_the_start() -> None:
    assert at_risk_counts([2, 0, 1, 0], [0, 1, 0, 3]).tolist() == [7, 5, 4, 3]


def test_at_risk_falls_to_zero_and_grows_again() -> None:
    n = at_risk_counts([0, 0, 1, 0, 0, 1], [0, 0, 1, 0, 0, 0], [2, 0, 0, 1, 0, 0])
    assert n.tolist() == [0, 2, 2, 0, 1, 1]


def test_time_zero_belongs_to_the_first_interval() -> None:
    assert on_grid([3, 1, 0, 0], [1, 0, 0, 2], 2)[0].tolist() == [0, 4, 0]
    assert on_grid([3], [0], 7)[0].tolist() == [0, 3]


def test_interval_bounds_on_decimal_units() -> None:
    """0.9 / 0.3 is 3.0000000000000004 in doubles; the time 0.9 ends the third interval all the same."""
    assert grid_edges(12, 0.3, 0.1).tolist() == [3, 6, 9, 12]
    assert grid_edges(1022, 91.3125).tolist()[:3] == [91, 182, 273]
    assert grid_edges(0, 30).tolist() == [0]
    long = grid_edges(3_650_000, 0.7, 0.1)
    assert long[:-1].tolist() == (np.arange(1, long.size) * 7).tolist()


def test_people_that_cannot_be_are_refused() -> None:
    with pytest.raises(RangeError, match="3 people enter and 2 leave"):
        at_risk_counts([0, 1, 1], [0, 0, 0], [3, 0, 0])
    with pytest.raises(RangeError, match="entry < exit"):
        at_risk_counts([0, 1, 1], [0, 0, 0], [0, 1, 1])
    with pytest.raises(RangeError, match="one shape"):
        at_risk_counts([0, 1], [0, 0, 1])
    with pytest.raises(RangeError, match="one shape"):
        at_risk_counts([0, 1], [0, -1])
    with pytest.raises(SpecError, match="positive width"):
        grid_edges(10, 0)
