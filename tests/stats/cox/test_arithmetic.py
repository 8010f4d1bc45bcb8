"""Reciprocals and logarithms of numbers of any size, and formats that cannot overflow."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpcstats.errors import RangeError
from mpcstats.field import M127
from mpcstats.protocols import sum_of_inputs
from mpcstats.runtime import Session, open_declared
from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.stats.cox import scaling
from mpcstats.stats.cox.formats import Bounds, Formats
from mpcstats.testing.network import run_parties

WIDTH = 80


@pytest.mark.parametrize("m", [1, 3, pytest.param(5, marks=pytest.mark.long), pytest.param(7, marks=pytest.mark.long)])
def test_reciprocals_and_logarithms_of_all_sizes(m: int) -> None:
    rng = np.random.default_rng(m)
    numbers = [0, 1, 2, 3, 2**80 - 1, 2**79, *(int(2**v) for v in rng.uniform(0, 79.9, 60))]

    async def program(session: Session) -> tuple[list[np.ndarray], int, int]:
        session.openings.declare("test", 4 * len(numbers), "")
        own = M127.from_ints(numbers) if session.index == 1 else None
        s = await sum_of_inputs(session, M127, own, (1,), (len(numbers),))
        scale = await scaling.scaled(session, s, WIDTH)
        before = session.accounts.masked_openings
        y = await scaling.reciprocal(session, scale.number, 40)
        assert session.accounts.masked_openings - before == scaling.masks(len(numbers))
        log = await scaling.logarithm(session, scale.number)
        opened = [M127.to_signed(await open_declared(session, x, "test")) for x in (scale.factor, scale.shift, y, log)]
        return opened, log.fraction_bits, session.accounts.masked_openings - before

    (factor, shift, y, log), bits, masked = run_parties(
        Committee(m, default_threshold(m)), program, patience_seconds=300
    )[0]
    assert masked == scaling.masks(len(numbers))
    assert factor[0] == 0
    for k, number in enumerate(numbers[1:], 1):
        assert factor[k] == 1 << int(shift[k])
        assert 2 ** (WIDTH - 1) <= number * int(factor[k]) < 2**WIDTH
        inverse = Fraction(int(factor[k]) * int(y[k]), 2 ** (WIDTH + 40))
        assert abs(float(inverse * number - 1)) < 2.0**-37
        found = float(Fraction(int(log[k]), 2**bits)) + (WIDTH - int(shift[k])) * math.log(2)
        assert found == pytest.approx(math.log(number), abs=2.0**-41)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    people=st.integers(2, 29),
    events=st.integers(1, 29),
    spread=st.integers(0, 14),
    ties=st.integers(1, 5000),
    largest=st.floats(0, 20),
    most=st.integers(30, 48),
)
def test_formats_leave_room_for_the_largest_numbers(
    people: int, events: int, spread: int, ties: int, largest: float, most: int
) -> None:
    """Largest possible values of everything that is multiplied, in exact arithmetic."""
    try:
        f = Formats.choose(Bounds(people, events, spread, ties), largest, most)
    except RangeError:
        # only where the bounds are extreme together
        assert people + 2 * spread + events + largest / math.log(2) + ties.bit_length() > 60
        return
    # the sum over people below 2^people with weights below e^largest, times d, as an integer below 2^width
    assert 2.0**people * math.exp(largest) * ties * 2.0**f.fraction < 2.0**f.width
    limit = 2.0**125
    assert 2.0**spread * 2.0 ** (f.width + f.precision + 1) <= limit  # S1 g y
    assert 2.0**events * 4.0**spread * 2.0 ** (2 * f.mean) <= limit  # sum of d m m
    assert 2.0**events * 4.0**spread * 2.0**f.moment_fraction <= limit  # sum of d S2 g y
    assert 0 < f.second_precision <= f.precision
    assert f.drop > 0
    assert min(f.mean, f.fraction) >= 16


def test_formats_refuse_ranges_that_cost_all_digits() -> None:
    with pytest.raises(RangeError, match="too few digits"):
        Formats.choose(Bounds(29, 29, 30, 1), 20.0, 44)
