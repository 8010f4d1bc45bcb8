"""What leaves a rank test: whether its groups are large enough, their sizes, and then sums or the statistic."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.disclosure import Ruling, enough_people, release_counts, require_all, size_rules
from mpcstats.stats.rank.sums import FEW_VALUES, total_of

__all__ = ["Mode", "declare_sizes", "mode_of", "release_sizes", "sums_are_let_out"]

Mode = Literal["auto", "table", "statistic"]

_BIT, _SIZES = "test can be released", "people in groups"


def sums_are_let_out(ruling: Ruling) -> bool:
    """Whether exact sums over people may be opened."""
    rules = ruling.rules
    return rules.exact_curve and rules.minimum_count == 0 and rules.rounding_base == 1


def mode_of(wanted: Mode, ruling: Ruling) -> Literal["table", "statistic"]:
    """ "table" from opened exact sums, "statistic" on shares; "auto" takes the table where the rules let it out.

    Raises
    ------
    DisclosureRefused
        The table was asked for, and the rules do not let it out. Nothing was shared.
    """
    if wanted == "table" and not sums_are_let_out(ruling):
        rules = [ruling.cite(name) for name in ("minimum_count", "rounding_base", "exact_curve")]
        raise DisclosureRefused(
            f"exact sums are not let out ({'; '.join(rules)})",
            hint='mode="auto" or "statistic": sums stay on shares and only the statistic is opened',
        )
    if wanted == "auto":
        return "table" if sums_are_let_out(ruling) else "statistic"
    return wanted


def declare_sizes(session: Session, groups: int) -> None:
    """Enter what `release_sizes` opens in the manifest."""
    session.openings.declare(
        _BIT, 1, "whether all groups (and few values) have enough people, also without any one party", decision=True
    )
    session.openings.declare(_SIZES, groups, "people of each group, rounded")


async def release_sizes(
    session: Session, parts: list[Shared], ruling: Ruling, cells: list[Shared] | None = None
) -> NDArray[np.int64]:
    """Open one bit: all groups have `minimum_count` people, also without any one party; then the rounded sizes.

    Parameters
    ----------
    parts : one Shared (G,) per data party
    cells : one Shared (k,) per data party, optional
        Parts of groups, by values, that must all have `minimum_count` people, too.

    Raises
    ------
    DisclosureRefused
        The bit is 0; nothing else was opened.
    """
    tested = parts if cells is None else [concatenate(list(both)) for both in zip(parts, cells, strict=True)]
    enough = await enough_people(session, tested, ruling.rules)
    if enough is not None:
        message = (
            "a group of the test"
            + ("" if cells is None else f", or a value of a column with at most {FEW_VALUES} of them,")
            + f" has too few people, or too few remain when one party subtracts its own ({size_rules(ruling)})"
        )
        await require_all(session, enough, _BIT, message, hint="join groups, or leave small ones out with `where`")
    return (await release_counts(session, total_of(parts), _SIZES, ruling.rules))[0]
