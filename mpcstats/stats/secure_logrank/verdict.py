"""From score and covariance on shares to chi-square on shares: k groups, or a trend over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mpcstats.errors import SpecError
from mpcstats.field import Elements
from mpcstats.protocols import at_least, multiply
from mpcstats.protocols.quadratic import quadratic_form
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.disclosure import all_of
from mpcstats.stats.secure_logrank.lattice import row
from mpcstats.stats.secure_logrank.moments import Moments

__all__ = ["LARGEST_SCORE", "Verdict", "check_trend", "compare_groups", "trend_over_groups"]

LARGEST_SCORE = 1000


@dataclass(frozen=True)
class Verdict:
    """A test, on shares.

    Attributes
    ----------
    chi_square : Shared (1,)
    undefined : Shared (1,)
        1 where no test exists: no two groups are ever at risk together at an event time.
    """

    chi_square: Shared
    undefined: Shared


def check_trend(scores: Sequence[float], groups: int) -> tuple[int, ...]:
    """Scores of a trend as whole numbers.

    Raises
    ------
    SpecError
        Not one for each group, not whole, beyond 1000, or all equal.
    """
    whole = [round(score) for score in scores if abs(score) <= LARGEST_SCORE and score == round(score)]
    if len(whole) != groups or len(scores) != groups or len(set(whole)) < 2:
        raise SpecError(
            f"a trend on shares needs {groups} whole scores from -{LARGEST_SCORE} to {LARGEST_SCORE}, not all equal, "
            f"instead of {', '.join(f'{score:g}' for score in scores)}",
            hint="multiply the scores by a common factor: the test does not change",
        )
    return tuple(whole)


async def compare_groups(session: Session, moments: Moments, expected: Shared) -> Verdict:
    """Chi-square of all groups.

    Parameters
    ----------
    expected : Shared (G,)
        1 where the group takes part: events are expected in it.

    Notes
    -----
    One group is redundant; the one with the most people at risk at events is left out, which keeps the rest well
    conditioned. About 90 rounds with two groups, and 105 more for each further group. Reveals nothing.
    """
    groups = moments.score.shape[0]
    score, variance, wanted = moments.score, moments.variance, expected
    if groups > 2:
        score, variance, wanted = await _largest_last(session, moments, expected)
    else:
        # either of two can go; a test needs both
        wanted = await multiply(session, expected[:1], expected[1:])
    rest = groups - 1
    form = await quadratic_form(session, score[:rest], variance[:rest, :rest], wanted[:rest])
    return Verdict(form.value.reshape(1), form.undefined.reshape(1))


async def _largest_last(session: Session, moments: Moments, expected: Shared) -> tuple[Shared, Shared, Shared]:
    """Score, covariance and who takes part, with the group that has met most events in the last place."""
    groups = moments.score.shape[0]
    first, second = np.triu_indices(groups, 1)
    wins = await at_least(session, moments.met[first] - moments.met[second], 0)
    table = [[_one(wins) for _ in range(groups)] for _ in range(groups)]
    for k, (g, h) in enumerate(zip(first, second, strict=True)):
        table[g][h], table[h][g] = wins[k : k + 1], (-wins[k : k + 1]).plus_int(1)
    columns = [concatenate(line).reshape(groups, 1) for line in table]
    largest = await all_of(session, concatenate(columns, axis=1))
    # the last one goes where the largest was; the largest, now redundant, is left out
    place = largest[: groups - 1]
    lines = concatenate(
        [row(moments.score.with_fraction_bits(0)), row(expected), moments.variance.with_fraction_bits(0)]
    )
    lines = await _moved(session, lines, place)
    square = await _moved(session, _turned(lines[2:]), place)
    score = lines[0].with_fraction_bits(moments.score.fraction_bits)
    return score, square.with_fraction_bits(moments.variance.fraction_bits), lines[1]


async def _moved(session: Session, lines: Shared, place: Shared) -> Shared:
    """The last column into the place that is marked: one column less."""
    rest = lines.shape[1] - 1
    change = lines[:, rest:] - lines[:, :rest]
    return lines[:, :rest] + await multiply(session, change, place.reshape(1, rest))


def _turned(x: Shared) -> Shared:
    turned: Elements = np.ascontiguousarray(np.swapaxes(x.values, 0, 1))
    return Shared(x.field, turned, x.degree, x.fraction_bits)


def _one(like: Shared) -> Shared:
    return like[:1].times_int(0).plus_int(1)


async def trend_over_groups(session: Session, moments: Moments, expected: Shared, scores: tuple[int, ...]) -> Verdict:
    """Chi-square, on one degree of freedom, of the trend over groups with these scores: (c'U)^2 / c'Vc."""
    field = moments.score.field
    c = field.from_ints(list(scores))
    line = field.reshape(c, (1, len(scores)))
    score = moments.score.times(c).sum(0).reshape(1)
    variance = moments.variance.times(line).sum(1).times(c).sum(0).reshape(1, 1)
    none = await all_of(session, (-expected).plus_int(1))
    form = await quadratic_form(session, score, variance, (-none).plus_int(1).reshape(1))
    return Verdict(form.value.reshape(1), form.undefined.reshape(1))
