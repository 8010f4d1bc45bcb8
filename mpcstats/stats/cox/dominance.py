"""How many of the people at risk with an event have a lower or higher risk score: exact counts at one site.

Offline queries on a Fenwick tree over the ranks of the scores (Fenwick 1994): O(n log n). Compiled on first use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["comparisons"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def comparisons(
    score: Floats, time: Ints, event: NDArray[np.bool_], stratum: Ints, entry: Ints | None
) -> NDArray[np.int64]:
    """Pairs of each person: (3, people), with concordant, discordant and tied scores, in either role.

    A pair is a person with an event at t and one of the same stratum who is at risk then and survives it: entry < t
    and exit > t, or exit = t without an event. It is concordant when the score of the first is higher.
    """
    result = np.zeros((3, len(score)), np.int64)
    for s in np.unique(stratum[event]):
        who = np.flatnonzero(stratum == s)
        ranks = np.unique(score[who], return_inverse=True)[1].astype(np.int64) + 1
        # two positions per time: an event at t comes before a censoring at t
        exits = 2 * time[who] + ~event[who]
        starts = np.full(len(who), -1, np.int64) if entry is None else 2 * entry[who] + 1
        result[:, who] = _stratum(ranks, exits, starts, event[who])
    return result


def _stratum(ranks: Ints, exits: Ints, starts: Ints, event: NDArray[np.bool_]) -> Ints:
    by_exit, by_start = np.argsort(exits, kind="stable"), np.argsort(starts, kind="stable")
    failures = by_exit[event[by_exit]]
    counts = np.zeros((3, len(ranks)), np.int64)
    # as the one with the event at x: survivors with start < x < exit, which is exits beyond less starts not before
    kernel = _kernel()
    at = exits[failures]
    for members, keys, sign in ((by_exit, exits, 1), (by_start, starts, -1)):
        first = np.searchsorted(keys[members], at, side="right" if sign > 0 else "left")
        lower, equal, total = kernel(ranks[members][::-1].copy(), ranks[failures], len(members) - first)
        counts[0, failures] += sign * lower
        counts[1, failures] += sign * (total - lower - equal)
        counts[2, failures] += sign * equal
    # as the survivor: events with start < x < exit
    for keys, sign in ((exits, 1), (starts, -1)):
        until = np.searchsorted(at, keys, side="left" if sign > 0 else "right")
        order = np.argsort(until, kind="stable")
        lower, equal, total = kernel(ranks[failures], ranks[order], until[order])
        counts[1, order] += sign * lower
        counts[0, order] += sign * (total - lower - equal)
        counts[2, order] += sign * equal
    return counts


def _compile() -> Any:
    from numba import njit

    @njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
    def count(inserted: Ints, asked: Ints, prefix: Ints) -> tuple[Ints, Ints, Ints]:
        """For each query: how many of the first `prefix` inserted ranks are lower than, or equal to, the asked one."""
        size = 1
        for r in inserted:
            size = max(size, r + 1)
        for r in asked:
            size = max(size, r + 1)
        tree, exact = np.zeros(size + 1, np.int64), np.zeros(size + 1, np.int64)
        lower, equal, total = np.zeros_like(asked), np.zeros_like(asked), np.zeros_like(asked)
        order = np.argsort(prefix)
        done = 0
        for q in order:
            while done < prefix[q]:
                r = inserted[done]
                exact[r] += 1
                while r <= size:
                    tree[r] += 1
                    r += r & -r
                done += 1
            r = asked[q] - 1
            while r > 0:
                lower[q] += tree[r]
                r -= r & -r
            equal[q], total[q] = exact[asked[q]], done
        return lower, equal, total

    return count


_compiled: list[Any] = []


def _kernel() -> Any:
    if not _compiled:
        _compiled.append(_compile())
    return _compiled[0]
