"""What leaves a test on shares: one bit before it, and chi-square after it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.protocols import at_least, multiply
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.disclosure import (
    Ruling,
    enough_without_each,
    number_bits,
    open_counts,
    release_numbers,
    require_all,
)
from mpcstats.stats.logrank import GROUP_COLUMNS, PAIRWISE_COLUMNS
from mpcstats.stats.p_adjust import p_adjust
from mpcstats.stats.secure_logrank.verdict import Verdict
from mpcstats.stats.tails import log_chi_square_tail

__all__ = [
    "declare_test",
    "group_table",
    "open_chi_square",
    "open_freedom",
    "pairs_table",
    "require_groups",
    "values_of_test",
]

_BIT, _GROUPS, _EXISTS, _STATISTIC = "test can be released", "groups in the test", "test exists", "chi-square"
_HINT = "join groups, or leave small ones out with `where`"


def declare_test(session: Session, tests: int) -> None:
    """Enter what a test opens in the manifest."""
    declare = session.openings.declare
    declare(_BIT, 1, "whether all groups have enough people and events, also without any one party", decision=True)
    declare(_GROUPS, tests, "groups in which events are expected, where the rules do not make sure of it")
    declare(_EXISTS, tests, "whether groups are at risk together at an event")
    declare(_STATISTIC, 2 * tests, "the statistic, rounded: mantissa and exponent")


async def require_groups(session: Session, people: list[Shared], events: list[Shared], ruling: Ruling) -> Shared | None:
    """Open one bit: every group has `minimum_count` people and `step_minimum` events, both also without any one party.

    Parameters
    ----------
    people, events : one Shared (G,) per data party

    Returns
    -------
    Shared (G,) or None
        Ones: every group takes part in the test. None where the rules do not make sure that each group has events.

    Raises
    ------
    DisclosureRefused
        The bit is 0; nothing else was opened.
    """
    rules = ruling.rules
    bits = []
    for parts, minimum in (
        (people, rules.minimum_count),
        (events, rules.step_minimum if rules.step_minimum > 1 else 0),
    ):
        if not minimum:
            continue
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        bits.append(await at_least(session, total, minimum))
        if not rules.small_remainders:
            bits.append(await enough_without_each(session, parts, minimum))
    if not bits:
        return None
    await require_all(session, concatenate(bits), _BIT, _refusal(ruling), hint=_HINT)
    session.progress("the test may be released; computing on shares")
    return bits[0].times_int(0).plus_int(1) if rules.step_minimum > 1 else None


def _refusal(ruling: Ruling) -> str:
    names = ["minimum_count", "step_minimum", *([] if ruling.rules.small_remainders else ["small_remainders"])]
    return (
        "a group of the test has too few people or events, or too few remain when one party subtracts its own ("
        + "; ".join(ruling.cite(name) for name in names)
        + ")"
    )


async def open_freedom(session: Session, taking_part: Shared) -> int:
    """Degrees of freedom, from how many groups take part, which is opened."""
    return max(int((await open_counts(session, taking_part.sum(0).reshape(1), _GROUPS))[0]) - 1, 0)


async def open_chi_square(session: Session, verdict: Verdict, ruling: Ruling) -> float:
    """Chi-square, NaN where it is not defined; then its number stays closed."""
    exists = (-verdict.undefined).plus_int(1)
    number = await multiply(session, exists, verdict.chi_square.with_fraction_bits(0))
    number = number.with_fraction_bits(verdict.chi_square.fraction_bits)
    found = int((await open_counts(session, exists, _EXISTS))[0])
    chi_square = await release_numbers(session, number, _STATISTIC, number_bits(ruling.rules))
    return float(chi_square[0]) if found else math.nan


def values_of_test(prefix: str, chi_square: float, degrees: int) -> dict[str, Any]:
    """Entries of an outcome's values; chi-square is 0 and p is 1 where no degree of freedom is left."""
    if not degrees:
        chi_square, log_p = 0.0, 0.0
    else:
        log_p = math.nan if math.isnan(chi_square) else log_chi_square_tail(chi_square, degrees)
    return {
        f"{prefix}chi_square": chi_square,
        f"{prefix}degrees_of_freedom": degrees,
        f"{prefix}p_value": math.exp(log_p),
        f"{prefix}log_p_value": log_p,
    }


def pairs_table(names: Sequence[str], tests: dict[tuple[int, int], dict[str, Any]], adjust: str) -> pd.DataFrame:
    """A row per pair of groups, with the columns of the tests from counts; a pair without a test is not counted."""
    rows = []
    for (g, h), values in tests.items():
        degrees = values["degrees_of_freedom"]
        numbers = [values[name] if degrees else math.nan for name in ("chi_square", "p_value", "log_p_value")]
        rows.append((names[g], names[h], numbers[0], degrees, *numbers[1:]))
    table = pd.DataFrame(rows, columns=list(PAIRWISE_COLUMNS[:6]))
    table["p_adjusted"] = p_adjust(table["p_value"], adjust)
    table["log_p_adjusted"] = p_adjust(table["log_p_value"], adjust, log=True)
    return table


def group_table(names: Sequence[str], numbers: NDArray[np.float64] | None = None) -> pd.DataFrame:
    """The table of groups with the columns of the test from counts; `numbers` are observed and expected (2, G)."""
    missing = np.full(len(names), np.nan)
    observed, expected = (missing, missing) if numbers is None else numbers
    square = np.divide((observed - expected) ** 2, expected, out=missing.copy(), where=expected > 0)
    people = pd.array([pd.NA] * len(names), dtype="Int64")
    columns = (list(names), people, observed, expected, square, missing)
    return pd.DataFrame(dict(zip(GROUP_COLUMNS, columns, strict=True)))
