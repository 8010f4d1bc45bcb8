"""What leaves a test of a contingency table in mode "statistic": one bit about its cells, then the statistic."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.field import M127
from mpcstats.protocols import deal
from mpcstats.runtime import Session, Shared
from mpcstats.stats import table_shares
from mpcstats.stats.contributions.table_test import TableTestContribution, TableTestPlan
from mpcstats.stats.disclosure import Ruling, enough_people, number_bits, open_counts, require_all, size_rules
from mpcstats.stats.rank.sums import total_of
from mpcstats.stats.scaled import Scaled, release_scaled
from mpcstats.stats.tails import chi_square_tail

__all__ = ["STATISTIC_TESTS", "Mode", "no_statistic", "refuse_narrow", "statistic_values", "table_or_statistic"]

Mode = Literal["auto", "table", "statistic"]

STATISTIC_TESTS = ("chi-square", "mcnemar", "trend", "mantel-haenszel")
"""Tests whose statistic is computed on shares; the others need the counts."""

_BIT, _LEVELS, _STATISTIC = "test can be released", "rows and columns with people", "statistic"


def table_or_statistic(test: str, wanted: Mode, ruling: Ruling) -> Literal["table", "statistic"]:
    """ "table" from opened exact counts, "statistic" on shares; "auto" takes the table where counts leave unrounded.

    Raises
    ------
    SpecError
        The test has no mode "statistic".
    DisclosureRefused
        The test is to be computed from the table, and counts leave rounded. Nothing was shared.
    """
    on_shares = test in STATISTIC_TESTS
    if wanted == "statistic" and not on_shares:
        raise no_statistic(test)
    exact = ruling.rules.rounding_base == 1
    if wanted == "statistic" or (wanted == "auto" and on_shares and not exact):
        return "statistic"
    if exact:
        return "table"
    raise DisclosureRefused(
        f"the test {test} needs the exact table, and counts leave rounded ({ruling.cite('rounding_base')}); "
        "tests are not computed from rounded numbers",
        hint='mode="auto" or "statistic": counts stay on shares and only the statistic is opened'
        if on_shares
        else "agree on a policy with rounding_base = 1, or use chi_square, whose statistic is computed on shares",
    )


def no_statistic(test: str) -> SpecError:
    """Fisher's test and ratios are functions of single cells."""
    return SpecError(
        f"the test {test} has no mode statistic: what it computes depends on the counts of single cells",
        hint=f"the tests {', '.join(STATISTIC_TESTS)} have it",
    )


def refuse_narrow(rows: int, columns: int) -> None:
    """A table of one row or one column has no test.

    Raises
    ------
    SpecError
        With the numbers of rows and columns with people.
    """
    if min(rows, columns) < 2:
        raise SpecError(f"the test needs two rows and two columns with people, and the table has {rows} and {columns}")


async def statistic_values(
    session: Session,
    plan: TableTestPlan,
    own: TableTestContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
) -> dict[str, Any]:
    """The test's numbers by name, from counts on shares.

    Reveals
    -------
    With `minimum_count`, one bit: all cells have so many people, also without any one party. Without, for chi-square
    and trend, how many rows and columns have people. Then chi-square, also with correction (Mantel-Haenszel: also the
    common odds ratio and the variance of its logarithm), rounded (`number_bits`).

    Raises
    ------
    DisclosureRefused
        A cell has too few people; nothing else was opened.
    SpecError
        Fewer than two rows or columns have people.

    Notes
    -----
    Numbers that R gives as NaN or infinite are NaN. Corrections are those of plans of two by two, whatever levels turn
    out to be empty. Relative error about 1e-11. About 200 rounds; Mantel-Haenszel 490.
    """
    size, counted = int(np.prod(plan.shape, dtype=np.int64)), plan.test in {"chi-square", "trend"}
    sure, names = ruling.rules.minimum_count > 0, _names(plan)
    if sure:
        session.openings.declare(
            _BIT, 1, "whether all cells have enough people, also without any one party", decision=True
        )
    elif counted:
        session.openings.declare(_LEVELS, 2, "how many rows and columns have people")
    session.openings.declare(_STATISTIC, 3 * len(names), "rounded: mantissa and exponent; whether it exists")
    mine = None if own is None else M127.from_int64(np.asarray(own.counts, np.int64).reshape(size))
    dealt = await deal(session, M127, mine, dealers, (size,))
    parts = [dealt[d] for d in dealers]
    await _require_cells(session, parts, ruling)
    cells = total_of(parts).reshape(*plan.shape)
    rows, columns = plan.shape[:2]
    if counted and not sure:
        rows, columns = (int(n) for n in await open_counts(session, await table_shares.levels(session, cells), _LEVELS))
    if counted:
        refuse_narrow(rows, columns)
    found = await release_scaled(session, await _on_shares(session, plan, cells), _STATISTIC, number_bits(ruling.rules))
    return _values(plan, dict(zip(names, map(float, found), strict=True)), rows, columns)


async def _require_cells(session: Session, parts: list[Shared], ruling: Ruling) -> None:
    enough = await enough_people(session, parts, ruling.rules)
    if enough is not None:
        message = (
            "a cell of the table has too few people, or too few remain when one party subtracts its own "
            f"({size_rules(ruling)}); beside released counts the statistic would tell how many"
        )
        await require_all(session, enough, _BIT, message, hint="join levels, or leave small ones out with `where`")


async def _on_shares(session: Session, plan: TableTestPlan, cells: Shared) -> Scaled:
    if plan.test == "trend":
        return await table_shares.trend(session, cells, plan.scores or range(1, plan.shape[0] + 1))
    statistics = {
        "chi-square": table_shares.chi_square,
        "mcnemar": table_shares.mcnemar,
        "mantel-haenszel": table_shares.mantel_haenszel,
    }
    return await statistics[plan.test](session, cells)


def _names(plan: TableTestPlan) -> list[str]:
    small = plan.shape[:2] == (2, 2)
    return {
        "chi-square": ["chi_square", *(["chi_square_yates"] if small else [])],
        "mcnemar": ["chi_square", *(["chi_square_corrected"] if small else [])],
        "trend": ["chi_square"],
        "mantel-haenszel": ["chi_square", "chi_square_corrected", "common_odds_ratio", "variance"],
    }[plan.test]


def _values(plan: TableTestPlan, found: dict[str, float], rows: int, columns: int) -> dict[str, Any]:
    degrees = {"chi-square": (rows - 1) * (columns - 1), "mcnemar": rows * (rows - 1) // 2}.get(plan.test, 1)
    statistics = [name for name in found if name.startswith("chi_square")]
    values: dict[str, Any] = {}
    for name in statistics:
        values[name] = found[name]
        values["p_value" + name.removeprefix("chi_square")] = chi_square_tail(found[name], degrees)
    values["degrees_of_freedom"] = degrees
    if plan.test == "mantel-haenszel":
        from scipy.special import ndtri

        odds, error = found["common_odds_ratio"], math.sqrt(found["variance"])
        reach = float(np.exp(float(ndtri((1 + plan.conf_level) / 2)) * error))
        values |= {"common_odds_ratio": odds, "log_odds_ratio_standard_error": error}
        values |= {"lower": odds / reach, "upper": odds * reach}
    return values
