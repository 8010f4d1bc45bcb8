"""Counts of cells under disclosure control in few rounds: thresholds on what the parties deal, rounding by remainders.

A count rounded to multiples of a base is the sum of the parties' quotients by the base, and what their remainders add
up to: 0 to as many as there are parties. So every decision about a cell is a threshold on a sum of small numbers that
the parties know (`mpcstats.protocols.thresholds`), and all of them are taken in one batch. The rules are those of
`disclosure.release_counts`, which serves counts that nobody knows a part of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import RangeError
from mpcstats.field import M61
from mpcstats.protocols import multiply, sum_of_inputs
from mpcstats.protocols.bits import all_ones, all_ones_work, stack
from mpcstats.protocols.boolean import Coins
from mpcstats.protocols.declare import Case
from mpcstats.protocols.thresholds import coins_work, deal_sums, deal_sums_work, reached_work
from mpcstats.protocols.work import Work, call, open_full
from mpcstats.runtime import BooleanShared, Session, Shared, concatenate, open_declared
from mpcstats.runtime.lanes import side_by_side
from mpcstats.runtime.opening import open_bits
from mpcstats.sharing import boolean
from mpcstats.types import LARGEST_COUNT, DisclosureRules

__all__ = ["Cells", "judge_cells", "release_cells", "release_cells_work"]

Counts = NDArray[np.int64]


async def release_cells(
    session: Session, own: Counts | None, dealers: tuple[int, ...], cells: int, name: str, rules: DisclosureRules
) -> tuple[Counts, NDArray[np.bool_]]:
    """Open pooled counts under `minimum_count`, `rounding_base` and `small_remainders`.

    Parameters
    ----------
    own : int64 (cells,), or None at a party without data
        People of each cell at this party, below 2^29.
    dealers : tuple of int
        Parties with data.
    name : str
        Declared for as many values.

    Returns
    -------
    (int64, bool)
        Counts as `disclosure.release_counts` gives them (0 where hidden), and where they are released. Without
        `small_remainders` a count is also hidden where what all parties but one put in is 1 to `minimum_count` - 1.

    Notes
    -----
    Reveals visible * rounded(count). Three parties under `standard`: 10 rounds; see docs/adr/0013.
    """
    if rules.minimum_count == 0 and rules.rounding_base == 1:
        mine = None if own is None else M61.from_int64(_checked(own))
        pooled = await sum_of_inputs(session, M61, mine, dealers, (cells,))
        exact = M61.to_int64(await open_declared(session, pooled, name))
        return exact, np.ones(cells, np.bool_)
    judged = await judge_cells(session, own, dealers, cells, rules)
    _, shown = await judged.converted(session)
    opened = M61.to_int64(await open_declared(session, shown, name))
    return opened, opened > 0 if rules.minimum_count else np.ones(cells, np.bool_)


def release_cells_work(c: Case, dealers: int, rules: DisclosureRules) -> Work:
    """Cost of `release_cells` for `c.size` cells, where the rules ask for more than a sum."""
    problems = _problems(tuple(range(1, dealers + 1)), rules)
    width = _width([problem.bound for problem in problems], dealers)
    steps = sum(problem.adds for problem in problems)
    coins = steps + (rules.minimum_count > 0)
    decide = reached_work(c, dealers, width, len(problems)) + all_ones_work(c, 1 + (len(problems) - steps) // 2)
    prepare = coins_work(c, coins)
    if rules.minimum_count:
        prepare += call("multiply", replace(c, field=M61, size=coins * c.size))
    convert = Work(1, coins * c.open_plane)
    beside = Work(max(decide.rounds, prepare.rounds), decide.bytes_sent + prepare.bytes_sent)
    return deal_sums_work(c, dealers, width, len(problems), coins, c.size) + beside + convert + open_full(c)


@dataclass(frozen=True)
class Cells:
    """Pooled cells on shares.

    Attributes
    ----------
    visible : BooleanShared (1, words), or None
        Which may be released; None without a threshold.
    steps : BooleanShared (planes, words), or None
        Bits that are added to the quotients: carries of the remainders, and one where a count is raised to the
        smallest multiple that is released.
    quotients : Shared (cells,)
        Sums of the parties' quotients.
    coins : Coins
        Random bits r: of the steps, and of `visible`, which is the last plane.
    products : Shared (planes, cells), or None
        Of r of `visible` with r of each step, then with the quotients: after the bits are opened under r, nothing is
        left to multiply.
    """

    visible: BooleanShared | None
    steps: BooleanShared | None
    quotients: Shared
    coins: Coins
    products: Shared | None
    base: int

    async def converted(self, session: Session) -> tuple[Shared, Shared]:
        """(rounded counts, and the same with 0 where a cell may not be released); one round."""
        parts = [part for part in (self.steps, self.visible) if part is not None]
        if not parts:
            rounded = self.quotients.times_int(self.base)
            return rounded, rounded
        flips = await open_bits(session, stack(*parts) ^ self.coins.packed, session.label("convert"))
        drawn, last = self.coins.elements, self.coins.elements.shape[0] - (self.visible is not None)
        steps = _where(drawn[:last], flips[:last])
        rounded = self.quotients + steps.sum(0)
        if self.products is None:
            return rounded.times_int(self.base), rounded.times_int(self.base)
        # (r xor flip) rounded = r rounded or rounded - r rounded; and r step likewise
        once, quotients = drawn[last:], self.products[last]
        with_steps = _where(self.products[:last], flips[:last], once)
        seen = quotients + with_steps.sum(0)
        shown = _where(seen.reshape(1, seen.size), flips[last:], rounded.reshape(1, rounded.size))[0]
        return rounded.times_int(self.base), shown.times_int(self.base)


def _where(x: Shared, flips: boolean.Words, whole: Shared | None = None) -> Shared:
    """x, and whole - x where a public bit is one; `whole` is 1 when left out. (planes, cells), local."""
    ones = boolean.unpack(flips, x.shape[1]).astype(np.bool_)
    other = (-x).plus_int(1) if whole is None else whole - x
    return replace(x, values=np.where(ones, other.values, x.values))


async def judge_cells(
    session: Session, own: Counts | None, dealers: tuple[int, ...], cells: int, rules: DisclosureRules
) -> Cells:
    """Decide about every cell on shares, and prepare its release beside. Reveals nothing."""
    problems = _problems(dealers, rules)
    base = rules.rounding_base
    width = _width([problem.bound for problem in problems], len(dealers))
    mine = quotients = None
    if own is not None:
        checked = _checked(own)
        quotients = checked // base
        mine = np.stack([problem.dealt(checked, session.index, dealers, width, base) for problem in problems])
    adding = [k for k, problem in enumerate(problems) if problem.adds]
    planes = len(adding) + (rules.minimum_count > 0)
    dealt = await deal_sums(session, mine, dealers, width, (len(problems), cells), planes, quotients, cells)

    async def decide(lane: Session) -> tuple[BooleanShared | None, BooleanShared | None]:
        reached = await dealt.reached(lane)
        raised = reached.planes(adding) if adding else None
        if raised is not None and rules.minimum_count and _regular(rules) > rules.minimum_count:
            raised = _flipped(lane, raised, [len(adding) - 1])
        return await _visible(lane, reached, problems), raised

    async def prepare(lane: Session) -> tuple[Coins, Shared | None]:
        coins = await dealt.coins(lane)
        if not rules.minimum_count:
            return coins, None
        last = coins.elements[planes - 1 :]
        others = concatenate([coins.elements[: planes - 1], dealt.total.reshape(1, cells)])
        return coins, await multiply(lane, last, others)

    (visible, raised), (coins, products) = await side_by_side(session, decide, prepare)
    return Cells(visible, raised, dealt.total, coins, products, base)


# --- thresholds of one cell -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Problem:
    """Whether the sum of what some parties have in a cell reaches a bound.

    Attributes
    ----------
    bound : int
        At least 1.
    without : int or None
        A party whose numbers are left out.
    remainders : bool
        Of the division by the rounding base, not the counts themselves.
    adds : bool
        The answer is added to the quotient.
    """

    bound: int
    without: int | None = None
    remainders: bool = False
    adds: bool = False

    def dealt(self, counts: Counts, me: int, dealers: tuple[int, ...], width: int, base: int) -> Counts:
        """What a party deals: its numbers, clipped, and at the first dealer the rest up to 2^width."""
        numbers = counts % base if self.remainders else counts
        clipped = np.minimum(numbers, self.bound) if self.without != me else np.zeros_like(counts)
        return clipped + ((1 << width) - self.bound if me == dealers[0] else 0)


def _problems(dealers: tuple[int, ...], rules: DisclosureRules) -> list[_Problem]:
    least, base = rules.minimum_count, rules.rounding_base
    problems = []
    if least:
        problems.append(_Problem(least))
        if least > 1 and not rules.small_remainders and len(dealers) > 1:
            problems += [_Problem(bound, without=d) for d in dealers for bound in (1, least)]
    half = base // 2
    most = (half + len(dealers) * (base - 1)) // base
    problems += [_Problem(base * step - half, remainders=True, adds=True) for step in range(1, most + 1)]
    if least and _regular(rules) > least:
        problems.append(_Problem(_regular(rules), adds=True))
    return problems


def _regular(rules: DisclosureRules) -> int:
    """Counts from here on are released as the nearest multiple of the base, smaller ones as the next one up."""
    lowest = -(-rules.minimum_count // rules.rounding_base) * rules.rounding_base
    return max(rules.minimum_count, lowest - rules.rounding_base // 2)


def _width(bounds: Sequence[int], dealers: int) -> int:
    """Bits such that clipped numbers of all dealers and 2^width - bound stay below 2^(width+1)."""
    largest = max(bounds)
    return max(1, (largest * (dealers - 1)).bit_length(), (largest - 1).bit_length())


async def _visible(session: Session, reached: BooleanShared, problems: list[_Problem]) -> BooleanShared | None:
    """A cell has enough people, and so has what each party cannot subtract, unless nobody is left."""
    counted = [k for k, problem in enumerate(problems) if not problem.adds]
    if not counted:
        return None
    first, *others = counted
    if not others:
        return reached.planes([first])
    # neither of two thresholds, or both: 1 to minimum_count - 1 people reach the lower one alone
    some, enough = reached.planes(others[0::2]), reached.planes(others[1::2])
    fine = some ^ enough
    return await all_ones(session, stack(reached.planes([first]), _flipped(session, fine)))


def _flipped(session: Session, bits: BooleanShared, planes: Sequence[int] | None = None) -> BooleanShared:
    """1 - bit, in all planes or in some."""
    ones = np.zeros(bits.words.shape[1:], np.uint64)
    ones[slice(None) if planes is None else list(planes)] = np.uint64(2**64 - 1)
    return replace(bits, words=boolean.add_public(session.committee, session.point, bits.words, ones))


def _checked(own: Counts) -> Counts:
    counts = np.asarray(own, np.int64).reshape(-1)
    if counts.size and not 0 <= int(counts.min()) <= int(counts.max()) < LARGEST_COUNT:
        raise RangeError(f"a count of people is not within 0 to {LARGEST_COUNT - 1}")
    return counts
