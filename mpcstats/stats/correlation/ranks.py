"""Spearman's and Kendall's coefficients of one pair of columns, from counts on the lattices of both.

Twice a midrank less its mean, 2 c + t - n with c people below and t at a value, is linear in the counts of one column.
In mode "table" these counts are opened (they are what exact ranks are made of), and sites sum products of ranks of
their own people. In mode "statistic" they stay on shares, and so do the ranks: the sum over people of products of
ranks is r' N s with the pooled table N of both columns.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.field import M61, M127, PrimeField
from mpcstats.protocols import amax, deal, matmul, multiply, shuffle, sign, sum_of_inputs
from mpcstats.protocols.arithmetic import local_product, reshare
from mpcstats.runtime import Session, Shared, concatenate, local, open_declared
from mpcstats.stats.contributions.correlation import CorrelationContribution, CorrelationPlan
from mpcstats.stats.correlation.tables import Found, TieSums, kendall, of_square, signed_square
from mpcstats.stats.disclosure import Ruling, number_bits
from mpcstats.stats.scaled import quotient, release_scaled
from mpcstats.stats.tails import normal_two_sided

__all__ = ["MOST_ROWS", "MOST_SECRET_CELLS", "MOST_TABLE_CELLS", "check_rank_plan", "rank_correlation"]

MOST_VALUES = 1 << 17
"""Values of a lattice that is opened as a histogram; with more, the values that occur are listed."""

MOST_ROWS = 1 << 18
"""Rows of such a list: as many of each party, the largest table's made up to a power of two."""

MOST_TABLE_CELLS = 1 << 24
"""Cells of two columns' occupied values, for Kendall's coefficient from opened margins."""

MOST_SECRET_CELLS = 1 << 22
"""Cells of two columns' values where counts stay on shares."""

MOST_SECRET_PEOPLE = 1 << 20
"""For the variance of Kendall's coefficient on shares."""

_BLOCK = 1 << 18
_MARGINS, _CROSS, _SCORE, _SQUARE, _Z = "people at each value", "rank products", "score", "squared coefficients", "z"
_ROWS = "rows of the largest table"
_WIDTH = 124


@dataclass(frozen=True)
class Pair:
    """One pair of columns in one run."""

    plan: CorrelationPlan
    pair: int
    own: CorrelationContribution | None
    dealers: tuple[int, ...]

    @property
    def values(self) -> tuple[int, int]:
        """Sizes of both lattices."""
        i, j = self.plan.pairs[self.pair]
        return self.plan.values[i], self.plan.values[j]


def check_rank_plan(plan: CorrelationPlan) -> None:
    """Refuse tables of two columns that are too large on shares, with their cost.

    Raises
    ------
    SpecError
    """
    for i, j in plan.pairs:
        cells = plan.values[i] * plan.values[j]
        if cells > MOST_SECRET_CELLS:
            names = f"{plan.columns[i]!r} and {plan.columns[j]!r} have {plan.values[i]:,} and {plan.values[j]:,}"
            raise SpecError(
                f"columns {names} possible values: on shares a table of {cells:,} cells, {cells * 16 / 1e6:,.0f} MB of "
                f"each party; at most {MOST_SECRET_CELLS:,} cells",
                hint="agree on a coarser resolution or a narrower range of the columns in the dictionary",
            )


async def rank_correlation(
    session: Session, pair: Pair, people: int, ruling: Ruling, *, score: bool, secret: bool
) -> Found:
    """rho, or Kendall's tau-b where `score`; from opened margins, or on shares where `secret`.

    Reveals
    -------
    Not secret: people at each value of both columns, and the sum of products of ranks, or concordant less discordant
    pairs. Secret: the squared coefficient with its sign, for Kendall also z^2, rounded.
    """
    if secret:
        return await _on_shares(session, pair, people, ruling, score)
    (first, second) = [await _open_column(session, pair, k) for k in (0, 1)]
    n = int(first.people.sum())
    if score:
        ties = [TieSums(column.power(2), column.power(3)) for column in (first, second)]
        return kendall(await _open_score(session, pair, (first.places, second.places)), n, ties[0], ties[1])
    mine = None
    if pair.own is not None:
        cross = await local(session, pair.own.cross, pair.plan, pair.pair, first.scores(), second.scores())
        mine = M127.from_ints([cross])
    pooled = await sum_of_inputs(session, M127, mine, pair.dealers, (1,))
    session.openings.declare(f"{_CROSS} {pair.pair + 1}", 1, "sum of products of centred ranks")
    total = int(M127.to_signed(await open_declared(session, pooled, f"{_CROSS} {pair.pair + 1}"))[0])
    return of_square(signed_square(3 * total, n**3 - first.power(3), n**3 - second.power(3)), n, None)


@dataclass(frozen=True)
class _Column:
    """Values that occur, by place, and people at each."""

    places: NDArray[np.int64]
    people: NDArray[np.int64]

    def power(self, power: int) -> int:
        """Sum of t^power."""
        return sum(int(t) ** power for t in self.people)

    def scores(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places, and twice the midranks less n + 1."""
        return self.places, 2 * np.cumsum(self.people) - self.people - self.people.sum()


async def _open_column(session: Session, pair: Pair, which: int) -> _Column:
    """The people at each value of one column of the pair: a histogram, or in random order a list of the values."""
    size, name = pair.values[which], f"{_MARGINS} {pair.pair + 1}.{which + 1}"
    if size > MOST_VALUES:
        return await _open_list(session, pair, which, name)
    mine = None
    if pair.own is not None:
        mine = M61.from_int64(await local(session, pair.own.margin, pair.plan, pair.pair, which))
    pooled = await sum_of_inputs(session, M61, mine, pair.dealers, (size,))
    session.openings.declare(name, size, "counts of one column, which ranks are made of")
    opened = M61.to_int64(await open_declared(session, pooled, name))
    places = np.flatnonzero(opened)
    return _Column(places, opened[places])


async def _open_list(session: Session, pair: Pair, which: int, name: str) -> _Column:
    values = None if pair.own is None else pair.own.complete(*pair.plan.pairs[pair.pair])[which]
    own = None if values is None else M61.from_int64(np.array([1 << max(4, (values.size - 1).bit_length())]))
    sizes = list((await deal(session, M61, own, pair.dealers, (1,))).values())
    largest = await amax(session, concatenate(sizes))
    rows_name = f"{_ROWS} {pair.pair + 1}.{which + 1}"
    session.openings.declare(rows_name, 1, "so many rows are listed of each party")
    rows = int(M61.to_int64(await open_declared(session, largest.reshape(1), rows_name))[0])
    total = rows * len(pair.dealers)
    if total > MOST_ROWS:
        raise SpecError(
            f"a column with {pair.values[which]:,} possible values would be listed in {total:,} rows; "
            f"at most {MOST_ROWS:,}",
            hint="agree on a coarser resolution of the column in the dictionary",
        )
    mine = None
    if values is not None:
        mine = M61.from_int64(np.concatenate([values + 1, np.zeros(rows - values.size, np.int64)]))
    dealt = await deal(session, M61, mine, pair.dealers, (rows,))
    mixed = await shuffle(session, concatenate([dealt[d] for d in pair.dealers]))
    session.openings.declare(name, mixed.size, "values of one column, of all parties, in random order")
    opened = M61.to_int64(await open_declared(session, mixed, name))
    places, people = np.unique(opened[opened > 0] - 1, return_counts=True)
    return _Column(places, people)


async def _open_score(session: Session, pair: Pair, places: tuple[NDArray[np.int64], NDArray[np.int64]]) -> int:
    cells = places[0].size * places[1].size
    if cells > MOST_TABLE_CELLS:
        raise SpecError(
            f"the columns have {places[0].size:,} and {places[1].size:,} different values: {cells:,} cells, "
            f"{cells * 8 / 1e6:,.0f} MB of each party; at most {MOST_TABLE_CELLS:,}",
            hint="spearman needs no table of both columns; or agree on a coarser resolution in the dictionary",
        )
    score = await _score(session, pair, M61, places)
    session.openings.declare(f"{_SCORE} {pair.pair + 1}", 1, "concordant less discordant pairs of people")
    return int(M61.to_signed(await open_declared(session, score, f"{_SCORE} {pair.pair + 1}"))[0])


# --- the table of both columns, in blocks of rows ---------------------------------------------------------------------


async def _blocks(
    session: Session,
    pair: Pair,
    field: PrimeField,
    places: tuple[NDArray[np.int64], NDArray[np.int64]] | None,
) -> AsyncIterator[tuple[slice, Shared]]:
    rows, columns = pair.values if places is None else (places[0].size, places[1].size)
    height = max(1, _BLOCK // max(1, columns))
    for start in range(0, rows, height):
        stop = min(rows, start + height)
        mine = None
        if pair.own is not None:
            mine = field.from_int64(await local(session, pair.own.table, pair.plan, pair.pair, start, stop, places))
        yield slice(start, stop), await sum_of_inputs(session, field, mine, pair.dealers, (stop - start, columns))


async def _score(
    session: Session, pair: Pair, field: PrimeField, places: tuple[NDArray[np.int64], NDArray[np.int64]] | None
) -> Shared:
    """Concordant less discordant pairs, (1,): each person times those with a smaller first value, below less above."""
    total, carry = None, None
    async for _, counts in _blocks(session, pair, field, places):
        width = counts.shape[1]
        above = counts.cumsum(0) - counts
        if carry is not None:
            above = above + carry.reshape(1, width)
        up_to = above.cumsum(1)
        difference = up_to.times_int(2) - above - up_to[:, width - 1 :]
        found = await reshare(session, local_product(counts, difference).sum(1).sum(0).reshape(1))
        total = found if total is None else total + found
        carry = counts.sum(0) if carry is None else carry + counts.sum(0)
    if total is None:  # nobody
        return Shared(field, field.zeros((1,)), session.committee.t)
    return total


async def _cross(session: Session, pair: Pair, first: Shared, second: Shared) -> Shared:
    """Sum over people of products of shared scores of both values, (1,)."""
    total = None
    async for rows, counts in _blocks(session, pair, M127, None):
        sums = await matmul(session, counts, second.reshape(second.size, 1))
        found = await reshare(session, local_product(sums.reshape(sums.size), first[rows]).sum(0).reshape(1))
        total = found if total is None else total + found
    assert total is not None
    return total


# --- on shares --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Margin:
    """One column: centred doubled ranks, and sums of t^2 and t^3 (1,)."""

    ranks: Shared
    squares: Shared
    cubes: Shared


async def _margin(session: Session, counts: Shared, n: Shared) -> _Margin:
    square = await multiply(session, counts, counts)
    cubes = await reshare(session, local_product(square, counts).sum(0).reshape(1))
    return _Margin(counts.cumsum(0).times_int(2) - counts - n, square.sum(0).reshape(1), cubes)


async def _on_shares(session: Session, pair: Pair, people: int, ruling: Ruling, score: bool) -> Found:
    first = pair.values[0]
    mine = None
    if pair.own is not None:
        margins = [await local(session, pair.own.margin, pair.plan, pair.pair, which) for which in (0, 1)]
        mine = M127.from_int64(np.concatenate(margins))
    pooled = await sum_of_inputs(session, M127, mine, pair.dealers, (sum(pair.values),))
    n = pooled[:first].sum(0).reshape(1)
    x, y = await _margin(session, pooled[:first], n), await _margin(session, pooled[first:], n)
    square = await multiply(session, n, n)
    if not score:
        cross = await _cross(session, pair, x.ranks, y.ranks)
        cube = await multiply(session, square, n)
        spreads = [cube - x.cubes, cube - y.cubes]
        value = await _open_signed(session, pair, ruling, [cross, cross.times_int(9)], spreads, _SQUARE)
        return of_square(value, people, None)
    if people > MOST_SECRET_PEOPLE:
        raise SpecError(f"Kendall's coefficient on shares is of at most {MOST_SECRET_PEOPLE:,} people, not {people:,}")
    found = await _score(session, pair, M127, None)
    doubled = found.times_int(2)
    tau = await _open_signed(
        session, pair, ruling, [doubled, doubled], [square - x.squares, square - y.squares], _SQUARE
    )
    numerator, triples = await _variance(session, n, x, y)
    z = await _open_signed(session, pair, ruling, [found, found, triples.times_int(18)], [numerator], _Z)
    estimate, statistic = (math.copysign(math.sqrt(abs(value)), value) for value in (tau, z))
    return Found(estimate, statistic, float(normal_two_sided(statistic)))


async def _variance(session: Session, n: Shared, x: _Margin, y: _Margin) -> tuple[Shared, Shared]:
    """18 n (n-1) (n-2) times the variance of the score, and n (n-1) (n-2); see `tables.kendall`."""
    twos = [margin.squares - n for margin in (x, y)]
    threes = [margin.cubes - margin.squares.times_int(3) + n.times_int(2) for margin in (x, y)]
    pairs = await multiply(session, n, n.plus_int(-1))
    left = n.plus_int(-2)
    products = await multiply(
        session,
        concatenate([pairs, pairs, *twos[:1], *threes[:1]]),
        concatenate([left, n.times_int(2).plus_int(5), *twos[1:], *threes[1:]]),
    )
    triples, base, two, three = (products[k : k + 1] for k in range(4))
    base = base - (threes[0] + threes[1]).times_int(2) - (twos[0] + twos[1]).times_int(9)
    last = await multiply(session, concatenate([base, two]), concatenate([triples, left]))
    return last[:1] + last[1:].times_int(9) + three.times_int(2), triples


async def _open_signed(
    session: Session, pair: Pair, ruling: Ruling, over: list[Shared], under: list[Shared], name: str
) -> float:
    """A quotient with the sign of its first factor."""
    number = await quotient(session, over, under, _WIDTH, await sign(session, over[0]))
    full = f"{name} {pair.pair + 1}"
    session.openings.declare(full, 3, "rounded: mantissa and exponent; whether it exists")
    return float((await release_scaled(session, number, full, number_bits(ruling.rules)))[0])
