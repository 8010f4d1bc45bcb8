"""Merging sorted lists, and sorting by merging: Batcher's network with all comparators of a level in one batch."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import RangeError
from mpcstats.protocols.arithmetic import multiply
from mpcstats.protocols.compare import is_negative
from mpcstats.protocols.declare import Case
from mpcstats.protocols.work import Work, call, declared
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared, concatenate

__all__ = ["merge", "merge_work", "sort"]

Wires = NDArray[np.intp]


@dataclass(frozen=True)
class Network:
    """Comparators, level by level, and where the sorted rows end up.

    Attributes
    ----------
    levels : tuple of (low, high)
        Wires compared at the same time; the smaller row goes to `low`.
    order : wires of the first, second, ... row of the result
    """

    levels: tuple[tuple[Wires, Wires], ...]
    order: Wires


def _beside(parts: Sequence[tuple[tuple[Wires, Wires], ...]]) -> list[tuple[Wires, Wires]]:
    """Levels of independent networks at the same time."""
    depth = max((len(levels) for levels in parts), default=0)
    return [
        (
            np.concatenate([levels[k][0] for levels in parts if k < len(levels)]),
            np.concatenate([levels[k][1] for levels in parts if k < len(levels)]),
        )
        for k in range(depth)
    ]


def _moved(network: Network, wires: Wires) -> Network:
    return Network(tuple((wires[low], wires[high]) for low, high in network.levels), wires[network.order])


@functools.lru_cache(maxsize=256)
def _two(first: int, second: int) -> Network:
    """Merge of two sorted lists on wires 0..first-1 and first..first+second-1 (Batcher 1968; any lengths: Knuth 5.3.4).

    The elements with even places and those with odd places are merged; then the i-th of the odd ones meets the
    (i+1)-th of the even ones.
    """
    wires = np.arange(first + second, dtype=np.intp)
    if not first or not second:
        return Network((), wires)
    if first == second == 1:
        return Network(((wires[:1], wires[1:]),), wires)
    a, b = wires[:first], wires[first:]
    halves = [(a[k::2], b[k::2]) for k in (0, 1)]
    even, odd = (_moved(_two(len(p), len(q)), np.concatenate([p, q])) for p, q in halves)
    paired = min(len(odd.order), len(even.order) - 1)
    low, high = odd.order[:paired], even.order[1 : paired + 1]
    middle = np.stack([low, high], axis=1).ravel()
    order = np.concatenate([even.order[:1], middle, odd.order[paired:], even.order[paired + 1 :]])
    return Network((*_beside([even.levels, odd.levels]), (low, high)), order)


@functools.lru_cache(maxsize=32)
def network(lengths: tuple[int, ...]) -> Network:
    """Merge of sorted lists that lie one after the other: neighbours in pairs, in a tree."""
    starts = np.cumsum([0, *lengths])
    lists = [np.arange(starts[k], starts[k + 1], dtype=np.intp) for k in range(len(lengths))]
    levels: list[tuple[Wires, Wires]] = []
    while len(lists) > 1:
        pairs = [
            _moved(_two(len(a), len(b)), np.concatenate([a, b])) for a, b in zip(lists[::2], lists[1::2], strict=False)
        ]
        levels += _beside([pair.levels for pair in pairs])
        lists = [pair.order for pair in pairs] + (lists[-1:] if len(lists) % 2 else [])
    return Network(tuple(levels), lists[0])


def merge_work(c: Case, lengths: Sequence[int], columns: int) -> Work:
    """Cost of `merge` of lists of these lengths with rows of so many columns."""
    total = Work()
    for low, _ in network(tuple(lengths)).levels:
        total += call("is_negative", c, len(low)) + call("multiply", c, len(low) * (columns + 1))
    return total


def _halves(size: int) -> tuple[int, int]:
    return (size - size // 2, size // 2)


@declared(
    lambda c: merge_work(c, _halves(c.size), 1),
    source="Batcher 1968; declared for two lists of one column, as long as each other",
)
async def merge(session: Session, lists: Sequence[Shared]) -> Shared:
    """One sorted list from several sorted ones. Reveals nothing but the lengths, which are public.

    Parameters
    ----------
    lists : sequence of Shared (rows, columns)
        Each sorted by its first column, ascending; any lengths, also 0. The other columns are swapped along. All of
        one format. For descending order negate the keys.

    Returns
    -------
    Shared (all rows, columns)
        Stable: rows with equal keys stay in the order of the lists, and within a list in its own order.

    Notes
    -----
    Keys are compared as key * N + place, N rows in all, place the row's first position: |key| < p / (4 N) - 1 is
    promised. Batcher's network alone is not stable; distinct keys make it so, for one more swapped column.
    Cost (`merge_work`): per level one comparison and one product with (columns + 1) elements for each comparator;
    two lists of n/2: log2 n levels, about n/2 log2 n comparators; L lists: log2 L times as many.

    Raises
    ------
    RangeError
        The rows are not of the shape above, or so many that keys have no room. Nothing was sent.
    """
    rows = _joined(lists)
    count = rows.shape[0]
    if 8 * count > rows.field.modulus:
        raise RangeError(f"{count} rows leave no room for their keys in {rows.field}")
    plan = network(tuple(part.shape[0] for part in lists))
    table = concatenate([_keys(rows), rows], axis=1)
    values = table.values.copy()
    for low, high in plan.levels:
        a, b = replace(table, values=values[low]), replace(table, values=values[high])
        swap = await is_negative(session, b[:, 0] - a[:, 0])
        moved = await multiply(session, swap.reshape(swap.size, 1), b - a)
        values[low], values[high] = (a + moved).values, (b - moved).values
    return replace(table, values=values[plan.order])[:, 1:]


def _joined(lists: Sequence[Shared]) -> Shared:
    if not lists or any(len(part.shape) != 2 or not part.shape[1] for part in lists):
        raise RangeError("lists to merge are tables of rows with a key in their first column")
    if len({part.shape[1] for part in lists}) > 1:
        raise RangeError("lists to merge have different numbers of columns")
    return concatenate(list(lists))


def _keys(rows: Shared) -> Shared:
    """key * N + place, in one column: distinct, and in the order asked for."""
    field, count = rows.field, rows.shape[0]
    place = field.reshape(field.from_int64(np.arange(count, dtype=np.int64)), (count, 1))
    return rows[:, :1].times_int(count).plus(place)


@declared(lambda c: merge_work(c, (1,) * c.size, 1), source="Batcher 1968; declared for one column")
async def sort(session: Session, rows: Shared) -> Shared:
    """Rows (rows, columns) sorted by their first column, ascending and stable, by merging. Reveals nothing.

    (log2 n)(log2 n + 1)/2 levels and about n/4 (log2 n)^2 comparators: for small n. Sites that sort their own rows
    and `merge` are log2(n / sites) times cheaper. Promise and errors as for `merge`.
    """
    if len(rows.shape) != 2:
        raise RangeError("rows to sort are a table with a key in its first column")
    if not rows.shape[0]:
        return rows
    return await merge(session, [rows[k : k + 1] for k in range(rows.shape[0])])
