"""Descriptions where counts are thresholded and rounded: what one person could change is not opened (ADR 0015).

Nothing is divided: a released mean or standard deviation is the answer of a search, whose comparisons are of whole
numbers on shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M61, M127, Elements
from mpcstats.protocols import at_least, deal, multiply
from mpcstats.protocols.normalise import product_trees
from mpcstats.runtime import Session, Shared, concatenate, local
from mpcstats.stats.contributions.values import ValuesContribution, ValuesPlan
from mpcstats.stats.descriptives.cells import Cells
from mpcstats.stats.descriptives.quantiles import Search, Wanted, order_statistics
from mpcstats.stats.disclosure import Ruling, enough_people, enough_without_each, least_people, release_counts
from mpcstats.stats.locate import declare_search, locate
from mpcstats.stats.number_coding import Coding, Keys, coding, rounded_keys
from mpcstats.types import DisclosureRules

__all__ = [
    "MOST_POINTS",
    "TABLE_VALUES",
    "Pool",
    "mean_grid_bits",
    "pool",
    "rounded_cells",
    "rounded_quantiles",
    "sd_bits",
]

CODING_BITS = 23
TABLE_VALUES = 10
"""A column with so many possible values or fewer is shown where each of them has enough people."""

MOST_POINTS = 4096
"""A released quantile is one of at most so many public values."""

_PEOPLE, _SD, _MEAN = "people and missing values", "bits of standard deviations", "bits of means"
_MOST_SD_BITS = 20

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Pool:
    """Pooled numbers of the cells, on shares, flat.

    Attributes
    ----------
    people, missing : Shared (cells,) in M61
    wide : Shared (cells,) in M127
        People once more.
    total : Shared (cells,) in M127
        Sum of u.
    spread : Shared (cells,) in M127
        n sum(u^2) - sum(u)^2 = n (n - 1) variance.
    allowed : Shared (cells,) in M61 or None
        1 where the cell may be shown; None where the rules have no threshold.
    missing_allowed : Shared (cells,) in M61 or None
    """

    people: Shared
    missing: Shared
    wide: Shared
    total: Shared
    spread: Shared
    allowed: Shared | None
    missing_allowed: Shared | None


def rounded_codings(plan: ValuesPlan) -> list[Coding]:
    """The coding of each column."""
    return [coding(low, high, plan.step(c), CODING_BITS) for c, (low, high) in enumerate(plan.ranges)]


async def pool(
    session: Session, plan: ValuesPlan, own: ValuesContribution | None, dealers: tuple[int, ...], rules: DisclosureRules
) -> Pool:
    """Sum over the sites, and decide on shares which cells may be shown. Opens nothing."""
    cells = plan.shape[0] * plan.shape[1]
    mine = sums = None
    if own is not None:
        mine = M61.from_int64(np.concatenate([own.people().ravel(), own.missing().ravel(), _must_be_large(plan, own)]))
        exact = await local(session, own.sums, rounded_codings(plan))
        counts = own.people().astype(object)[None]
        sums = M127.from_ints(np.concatenate([counts, exact]).reshape(3, cells))
    width = 2 * cells + plan.groups * sum(map(len, plan.possible))
    parts = list((await deal(session, M61, mine, dealers, (width,))).values())
    wide = _added(list((await deal(session, M127, sums, dealers, (3, cells))).values()))
    products = await multiply(session, concatenate([wide[0], wide[1]]), concatenate([wide[2], wide[1]]))
    spread = products[:cells] - products[cells:]
    people = _added([part[:cells] for part in parts])
    missing = _added([part[cells : 2 * cells] for part in parts])
    allowed = missing_allowed = None
    if rules.minimum_count:
        allowed = await _allowed(session, plan, parts, spread, rules)
        missing_allowed = people.times_int(0).plus_int(1)
        if not rules.small_remainders:
            gone = [part[cells : 2 * cells] for part in parts]
            missing_allowed = await enough_without_each(session, gone, rules.minimum_count)
    return Pool(people, missing, wide[0], wide[1], spread, allowed, missing_allowed)


def _must_be_large(plan: ValuesPlan, own: ValuesContribution) -> Counts:
    """Numbers of people that must be large, for each possible value of columns with few: (columns, groups, values).

    Mean and standard deviation of a column with very few values are a table of counts: people who have the value. With
    a few more: people who have another.
    """
    people, found = own.people(), [np.zeros(0, np.int64)]
    for c, values in enumerate(plan.possible):
        if values:
            here = own.holding(c, values)
            found.append((here if len(values) <= TABLE_VALUES else people[c][:, None] - here).ravel())
    return np.concatenate(found)


async def _allowed(
    session: Session, plan: ValuesPlan, parts: Sequence[Shared], spread: Shared, rules: DisclosureRules
) -> Shared:
    """1 for cells with enough people that are not all alike."""
    columns, groups = plan.shape
    cells = columns * groups
    kept = [concatenate([part[:cells], part[2 * cells :]]) for part in parts]
    enough = await enough_people(session, kept, rules)
    assert enough is not None
    varied = await at_least(session, spread, 1, M61)
    per_column = []
    start = cells
    for c, values in enumerate(plan.possible):
        here = [enough[c * groups : (c + 1) * groups].reshape(1, groups)]
        if values:
            stop = start + groups * len(values)
            block = enough[start:stop].reshape(groups, len(values))
            here += [block[:, k].reshape(1, groups) for k in range(len(values))]
            start = stop
        else:
            here.append(varied[c * groups : (c + 1) * groups].reshape(1, groups))
        per_column.append(concatenate(here))
    return concatenate(await product_trees(session, per_column))


def _added(parts: Sequence[Shared]) -> Shared:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


# --- moments -------------------------------------------------------------------------------------------------------


def sd_bits(people: int, rules: DisclosureRules) -> int:
    """Significant bits of a released standard deviation: about what `rounding_base` people can change."""
    return min(max(int(2 * people / rules.rounding_base).bit_length() - 1, 1), _MOST_SD_BITS)


def mean_grid_bits(sd: Fraction, people: int, rules: DisclosureRules) -> int:
    """The released mean is a multiple of 2^-this, in units of the coding: rounding_base sd / n, rounded down."""
    if sd == 0:
        return 0
    ratio = sd * rules.rounding_base / people
    size = ratio.numerator.bit_length() - ratio.denominator.bit_length()
    if Fraction(2) ** size > ratio:
        size -= 1
    return -size


@dataclass(frozen=True)
class _Ladder:
    """Public numbers with `bits` significant bits, in units of 2^(1 - fraction), and below 2^bits units all."""

    bits: int
    fraction: int
    length: int

    @classmethod
    def of(cls, bits: int, code: Coding) -> _Ladder:
        fraction = min(20, 30 - code.bits)
        top = 3 << (code.bits + fraction)  # beyond any standard deviation
        ladder = cls(bits, fraction, 0)
        length = 2
        while ladder.units(length - 1) < top:
            length += 1 << (bits - 1)
        return cls(bits, fraction, length)

    def units(self, place: int) -> int:
        """The number at a place, in units of 2^-fraction, times 2: a whole number."""
        step = 1 << (self.bits - 1)
        if place < 2 * step:
            return 2 * place
        exponent = place // step - 1
        return (place % step + step) << (exponent + 1)

    def value(self, place: int) -> Fraction:
        """The number at a place, in units of the coding."""
        return Fraction(self.units(place), 1 << self.fraction)

    def bound(self, place: int) -> int:
        """Halfway to the next place, in units of 2^-fraction."""
        return (self.units(place) + self.units(place + 1)) // 2


async def rounded_cells(session: Session, plan: ValuesPlan, pooled: Pool, ruling: Ruling) -> Cells:
    """Open people, missing values, standard deviations and means of the cells that may be shown, rounded."""
    rules = ruling.rules
    count = plan.shape[0] * plan.shape[1]
    session.openings.declare(_PEOPLE, 2 * count, "per group, pooled over all parties, rounded; 0 where suppressed")
    allowed = None
    if pooled.allowed is not None and pooled.missing_allowed is not None:
        allowed = concatenate([pooled.allowed, pooled.missing_allowed])
    both, seen = await release_counts(session, concatenate([pooled.people, pooled.missing]), _PEOPLE, rules, allowed)
    people, shown = both[:count], seen[:count]
    codings = [code for code in rounded_codings(plan) for _ in range(plan.groups)]
    cells = [k for k in range(count) if shown[k] and people[k] > 1]
    sds = await _standard_deviations(session, pooled, cells, people, codings, rules)
    means = await _means(session, pooled, cells, people, codings, sds, rules)
    table = np.full((2, count), np.nan)
    for k, sd, mean in zip(cells, sds, means, strict=True):
        code = codings[k]
        table[:, k] = float(code.center + mean * code.unit), float(sd * code.unit)
    mean_table, sd_table = table.reshape(2, *plan.shape)
    nothing = np.full(plan.shape, np.nan)
    return Cells(
        people.reshape(plan.shape),
        shown.reshape(plan.shape),
        both[count:].reshape(plan.shape),
        seen[count:].reshape(plan.shape),
        nothing,
        mean_table,
        sd_table**2,
        sd_table,
    )


def _column(numbers: list[int] | list[list[int]]) -> Elements:
    return M127.from_ints(numbers)


async def _standard_deviations(
    session: Session,
    pooled: Pool,
    cells: Sequence[int],
    people: Counts,
    codings: Sequence[Coding],
    rules: DisclosureRules,
) -> list[Fraction]:
    """sd <= s exactly where n (n - 1) s^2 >= spread."""
    if not cells:
        return []
    ladders = [_Ladder.of(sd_bits(int(people[k]), rules), codings[k]) for k in cells]
    declare_search(session, _SD, [ladder.length for ladder in ladders], "rounded standard deviations, bit by bit")
    n = pooled.wide[list(cells)]
    pairs = await multiply(session, n, n.plus_int(-1))
    spread = pooled.spread[list(cells)].times(_column([1 << (2 * ladder.fraction) for ladder in ladders]))

    async def numbers(probes: list[list[int]]) -> Shared:
        squares = _column([[la.bound(at) ** 2 for at in row] for la, row in zip(ladders, probes, strict=True)])
        size = len(cells)
        return pairs.reshape(size, 1).times(squares) - spread.reshape(size, 1)

    places = await locate(session, [ladder.length for ladder in ladders], numbers, _SD)
    return [ladder.value(place) for ladder, place in zip(ladders, places, strict=True)]


async def _means(
    session: Session,
    pooled: Pool,
    cells: Sequence[int],
    people: Counts,
    codings: Sequence[Coding],
    sds: Sequence[Fraction],
    rules: DisclosureRules,
) -> list[Fraction]:
    """mean <= (k + 1/2) grid exactly where n (2 k + 1) grid - 2 sum >= 0."""
    if not cells:
        return []
    grids = [mean_grid_bits(sd, int(people[k]), rules) for sd, k in zip(sds, cells, strict=True)]
    ends = [_places(codings[k], bits) for k, bits in zip(cells, grids, strict=True)]
    lengths = [2 * end + 1 for end in ends]
    declare_search(session, _MEAN, lengths, "rounded means, bit by bit")
    n, total = pooled.wide[list(cells)], pooled.total[list(cells)]
    up = _column([1 << max(bits, 0) for bits in grids])
    down = [1 << max(-bits, 0) for bits in grids]
    size = len(cells)
    scaled = total.times(up).times_int(2).reshape(size, 1)

    async def numbers(probes: list[list[int]]) -> Shared:
        factors = [
            [(2 * (at - end) + 1) * factor for at in row] for row, end, factor in zip(probes, ends, down, strict=True)
        ]
        return n.reshape(size, 1).times(_column(factors)) - scaled

    places = await locate(session, lengths, numbers, _MEAN)
    return [Fraction(at - end) / Fraction(2) ** bits for at, end, bits in zip(places, ends, grids, strict=True)]


def _places(code: Coding, bits: int) -> int:
    """Grid points from 0 to beyond the largest u."""
    return (1 << code.bits << bits if bits >= 0 else (1 << code.bits) >> -bits) + 1


# --- quantiles -----------------------------------------------------------------------------------------------------


def rounded_key_values(plan: ValuesPlan) -> list[Keys]:
    """The values among which quantiles are looked for."""
    return [rounded_keys(low, high, plan.step(c), MOST_POINTS) for c, (low, high) in enumerate(plan.ranges)]


def has_enough_beside(people: int, share: float, rules: DisclosureRules) -> bool:
    """Whether `minimum_count` people are certainly on each side of a quantile, by what is released."""
    least = int(least_people(np.array([people], np.int64), rules)[0])
    return least * min(_fraction(share), 1 - _fraction(share)) >= rules.minimum_count


def _fraction(share: float) -> Fraction:
    return Fraction(str(share)).limit_denominator(10**6)


async def rounded_quantiles(
    session: Session,
    plan: ValuesPlan,
    own: ValuesContribution | None,
    pooled: Pool,
    cells: Cells,
    shares: Sequence[float],
    dealers: tuple[int, ...],
    ruling: Ruling,
) -> tuple[Floats, Bools]:
    """Quantiles of type 1, (shares, columns, groups); NaN and False where too few people are on a side.

    Interpolation would need the number of people, of which only a rounded one is public.
    """
    keys = rounded_key_values(plan)
    wanted = {
        (q, c, g): Wanted(c, g, share=_fraction(p))
        for q, p in enumerate(shares)
        for (c, g), n in np.ndenumerate(cells.people)
        if cells.shown[c, g] and n > 0 and has_enough_beside(int(n), p, ruling.rules)
    }
    mine = None if own is None else [own.keys(c, key) for c, key in enumerate(keys)]
    people = pooled.people.reshape(*plan.shape)
    values = await order_statistics(session, Search(keys, mine), list(wanted.values()), dealers, people)
    found = np.full((len(shares), *plan.shape), np.nan)
    for place, want in wanted.items():
        found[place] = values[want]
    return found, ~np.isnan(found)
