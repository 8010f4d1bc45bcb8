"""Missing values: a joint table of them, and how many people a model leaves out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mpcstats.field import M61
from mpcstats.protocols import deal
from mpcstats.runtime import Session, Shared
from mpcstats.stats.contributions.missingness import MissingnessContribution, MissingnessPlan
from mpcstats.stats.disclosure import Ruling, enough_people, enough_without_each, release_counts, size_rules
from mpcstats.stats.outcome import Outcome

__all__ = ["LeftOut", "joint_missingness", "release_left_out"]

_COUNTS, _LEFT_OUT = "people without a value", "people left out"


async def joint_missingness(
    session: Session,
    plan: MissingnessPlan,
    own: MissingnessContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
) -> Outcome:
    """Pooled people without a value of each column, of any of the columns, and with all of them.

    Reveals
    -------
    visible * rounded(count) of each; a group's number of people, too. People with all values are their difference,
    where both are shown.

    Cost
    ----
    About 40 rounds, whatever the number of columns and groups.
    """
    columns, groups = plan.shape
    session.openings.declare(_COUNTS, columns * groups, "people per column and group, rounded; 0 where suppressed")
    mine = None if own is None else M61.from_int64(np.asarray(own.counts, np.int64).reshape(columns * groups))
    parts = list((await deal(session, M61, mine, dealers, (columns * groups,))).values())
    allowed = await enough_people(session, parts, ruling.rules)
    counts, shown = await release_counts(session, _added(parts), _COUNTS, ruling.rules, allowed)
    return _outcome(plan, counts.reshape(columns, groups), shown.reshape(columns, groups), ruling)


def _added(parts: list[Shared]) -> Shared:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _outcome(plan: MissingnessPlan, counts: np.ndarray, shown: np.ndarray, ruling: Ruling) -> Outcome:
    groups = list(itertools.product(*plan.levels))
    missing = pd.DataFrame(
        [(name, *group) for name in plan.columns for group in groups], columns=["variable", *plan.by]
    )
    missing["missing"] = _known(counts[:-2], shown[:-2])
    missing["people"] = _known(np.tile(counts[-1], len(plan.columns)), np.tile(shown[-1], len(plan.columns)))
    share = missing["missing"].astype("Float64") / missing["people"].astype("Float64").where(missing["people"] > 0)
    missing["percent"] = (100 * share).to_numpy(dtype=np.float64, na_value=np.nan)
    cases = pd.DataFrame(groups, columns=list(plan.by)) if plan.by else pd.DataFrame(index=range(1))
    cases["people"] = _known(counts[-1], shown[-1])
    cases["incomplete"] = _known(counts[-2], shown[-2])
    cases["complete"] = (cases["people"] - cases["incomplete"]).clip(lower=0)
    hidden = int((~shown).sum())
    withheld = []
    if hidden:
        withheld.append(f"{hidden} of {shown.size} numbers hidden ({size_rules(ruling)}); zeros are hidden, too")
    if ruling.rules.rounding_base > 1:
        withheld.append(f"people are rounded to multiples ({ruling.cite('rounding_base')})")
    return Outcome(
        "missingness",
        {"missingness": missing, "cases": cases},
        values={"by": list(plan.by)},
        conventions={
            "missing": "people that `where` selects and that have no value in the column; those without a value in a "
            "column of `by` are in no group",
            "complete": "people with a value in every column of the table",
        },
        withheld=withheld,
    )


def _known(counts: np.ndarray, shown: np.ndarray) -> pd.Series:
    found = pd.Series(counts.ravel(), dtype="Int64")
    found[~shown.ravel()] = pd.NA
    return found


# --- models --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LeftOut:
    """People whom an analysis leaves out because a value is missing.

    Attributes
    ----------
    count : int or None
        None: hidden.
    text : str
        For conventions: "14 observations deleted due to missingness", or why the number is hidden.
    """

    count: int | None
    text: str


async def release_left_out(session: Session, own: int | None, dealers: tuple[int, ...], ruling: Ruling) -> LeftOut:
    """How many selected people the sites leave out: R's "observations deleted due to missingness".

    Parameters
    ----------
    own : int or None
        This site's number (`Preparation.incomplete`); None at a party without data.

    Reveals
    -------
    The pooled number, if it reaches `minimum_count` and no party is left with fewer by subtracting its own; rounded.

    Notes
    -----
    Declares its opening. About 40 rounds where there is a threshold, else two.
    """
    session.openings.declare(
        _LEFT_OUT, 1, "because a value is missing, pooled over all parties; rounded, or 0 if hidden"
    )
    mine = None if own is None else M61.from_int64(np.array([own], np.int64))
    parts = list((await deal(session, M61, mine, dealers, (1,))).values())
    rules = ruling.rules
    allowed = None
    if rules.minimum_count and not rules.small_remainders:
        allowed = await enough_without_each(session, parts, rules.minimum_count)
    counts, shown = await release_counts(session, _added(parts), _LEFT_OUT, rules, allowed)
    if not shown[0]:
        return LeftOut(None, f"observations deleted due to missingness: none or few, hidden ({size_rules(ruling)})")
    count = int(counts[0])
    about = f"about {count:,}" if rules.rounding_base > 1 else f"{count:,}"
    return LeftOut(count, f"{about} observation{'' if count == 1 else 's'} deleted due to missingness")
