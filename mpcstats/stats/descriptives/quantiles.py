"""Order statistics of pooled values: where the number of people up to a value reaches a rank, found on shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M61
from mpcstats.protocols import sum_of_inputs
from mpcstats.runtime import Session, Shared
from mpcstats.stats.descriptives.ranks import place_of
from mpcstats.stats.locate import declare_search, locate
from mpcstats.stats.number_coding import DoubleKeys, Keys

__all__ = ["BITS", "Search", "Wanted", "order_statistics", "quantiles_of_ranks"]

BITS = "bits of quantiles"
_WHY = "whether a quantile is at or below a public value; functions of the quantiles"

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Wanted:
    """The cell of a search, and the rank that the number of people up to the value must reach.

    Attributes
    ----------
    column, group : int
    rank : int
        Public.
    share : Fraction or None
        Instead of a rank: this share of the cell's people, whose number is secret.
    """

    column: int
    group: int
    rank: int = 0
    share: Fraction | None = None


@dataclass(frozen=True)
class Search:
    """Values in which quantiles are looked for.

    Attributes
    ----------
    keys : of each column
    own : list of list of int64, or None
        This site's keys of each column and group, in order; None without data.
    """

    keys: Sequence[Keys]
    own: list[list[Ints]] | None


async def order_statistics(
    session: Session, search: Search, wanted: Sequence[Wanted], dealers: tuple[int, ...], people: Shared | None = None
) -> dict[Wanted, float]:
    """The smallest values up to which there are as many people as wanted.

    Parameters
    ----------
    people : Shared (columns, groups) in M61, optional
        Needed for shares of people.

    Reveals
    -------
    The values, by bits that are functions of them.
    """
    wanted = list(dict.fromkeys(wanted))
    lengths = [search.keys[w.column].count for w in wanted]
    declare_search(session, BITS, lengths, _WHY)
    factors = [1 if w.share is None else w.share.denominator for w in wanted]
    missing = _needed(wanted, people)

    async def numbers(probes: list[list[int]]) -> Shared:
        mine = None if search.own is None else M61.from_int64(_people_up_to(search, wanted, probes))
        up_to = await sum_of_inputs(session, M61, mine, dealers, (len(wanted), len(probes[0])))
        return missing(up_to.times(M61.reshape(M61.from_ints(factors), (len(factors), 1))))

    found = await locate(session, lengths, numbers, BITS) if wanted else []
    return {w: search.keys[w.column].value(place) for w, place in zip(wanted, found, strict=True)}


def _needed(wanted: Sequence[Wanted], people: Shared | None) -> Callable[[Shared], Shared]:
    """Takes from people up to some values, (searches, probes), what must be reached."""
    ranks = M61.from_ints([[-w.rank] for w in wanted])
    if people is None:
        return lambda up_to: up_to.plus(ranks)
    chosen = people[[w.column for w in wanted], [w.group for w in wanted]].reshape(len(wanted), 1)
    factors = M61.from_ints([[0 if w.share is None else w.share.numerator] for w in wanted])
    least = chosen.times(factors)
    return lambda up_to: up_to.plus(ranks) - least


def _people_up_to(search: Search, wanted: Sequence[Wanted], probes: list[list[int]]) -> Ints:
    """This site's people with values up to each probe."""
    assert search.own is not None
    counts = np.zeros((len(wanted), len(probes[0])), np.int64)
    for k, (w, places) in enumerate(zip(wanted, probes, strict=True)):
        keys = search.keys[w.column]
        first = int(keys.encode(np.array([keys.low]))[0]) if isinstance(keys, DoubleKeys) else 0
        bounds = np.array([place + first for place in places], np.int64)
        counts[k] = np.searchsorted(search.own[w.column][w.group], bounds, side="right")
    return counts


async def quantiles_of_ranks(
    session: Session, search: Search, people: Ints, shares: Sequence[float], kind: int, dealers: tuple[int, ...]
) -> Floats:
    """Quantiles of cells whose numbers of people are public, (shares, columns, groups); NaN where nobody is."""
    places = {
        (q, c, g): place_of(int(n), p, kind)
        for q, p in enumerate(shares)
        for (c, g), n in np.ndenumerate(people)
        if n > 0
    }
    wanted = [Wanted(c, g, rank) for (_, c, g), at in places.items() for rank in (at.low, at.high)]
    values = await order_statistics(session, search, wanted, dealers)
    found = np.full((len(shares), *people.shape), np.nan)
    for (q, c, g), at in places.items():
        low, high = values[Wanted(c, g, at.low)], values[Wanted(c, g, at.high)]
        found[q, c, g] = low if low == high else (1 - at.weight) * low + at.weight * high
    return found
