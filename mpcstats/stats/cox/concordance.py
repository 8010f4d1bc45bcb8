"""Harrell's concordance, and its standard error by the infinitesimal jackknife as R's `concordance`.

With a stratum per site the sites count their own pairs. With pooled risk sets linear predictors are put into public
bins: pairs within a bin count as ties, and how many these are bounds the error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M127
from mpcstats.protocols import multiply, sum_of_inputs
from mpcstats.protocols.arithmetic import local_product, reshare
from mpcstats.runtime import Session, Shared, concatenate, local, open_declared
from mpcstats.stats.contributions.cox import CoxContribution
from mpcstats.stats.cox.dominance import comparisons
from mpcstats.stats.cox.sites import Cells, SiteRisk
from mpcstats.stats.disclosure import EXACT_BITS, release_numbers

__all__ = ["Concordance", "binned", "declare", "exact_by_site"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PAIRS, _SQUARE = "pairs", "squared influence on concordance"
_SOMER_BITS = 24
_MOST_CELLS = 1 << 19
_MOST_BINS = 512


@dataclass(frozen=True)
class Concordance:
    """The result.

    Attributes
    ----------
    value, standard_error : float
        NaN without pairs; the standard error also where people enter late and risk sets are pooled.
    bins : int or None
    error : float
        Bound of |value - exact value|, from the pairs within bins; 0 without bins.
    """

    value: float
    standard_error: float
    bins: int | None = None
    error: float = 0.0


def declare(session: Session) -> None:
    """Enter what is opened in the manifest."""
    kinds = "with concordant, discordant and equal predicted risk"
    session.openings.declare(_PAIRS, 6, f"pooled numbers of pairs of people {kinds}; rounded: mantissa and exponent")
    session.openings.declare(_SQUARE, 2, "sum over people, for the standard error of the concordance; rounded likewise")


async def exact_by_site(
    session: Session, score: Floats | None, own: CoxContribution | None, dealers: tuple[int, ...], bits: int
) -> Concordance:
    """Pairs within sites and strata; numbers are opened with so many significant `bits`."""
    counts = None
    if own is not None and score is not None:
        counts = await local(session, comparisons, score, own.time, own.event, own.stratum, own.entry)
    mine = None if counts is None else M127.from_int64(counts.sum(axis=1) // 2)
    pairs = await _pairs(session, await sum_of_inputs(session, M127, mine, dealers, (3,)), bits)
    somer = _somer(pairs)
    mine = None
    if counts is not None:
        influence = (counts[0] - counts[1]) * (1 << _SOMER_BITS) - somer * counts.sum(axis=0)
        mine = M127.from_ints([await local(session, _square_sum, influence)])
    square = await sum_of_inputs(session, M127, mine, dealers, (1,))
    return await _result(session, pairs, square, None, bits)


def _square_sum(values: Ints) -> int:
    return sum(v**2 for v in values.tolist())


def _somer(pairs: Ints) -> int:
    """(concordant - discordant) / all, with _SOMER_BITS fraction bits."""
    total = int(pairs.sum())
    return round((int(pairs[0]) - int(pairs[1])) / total * (1 << _SOMER_BITS)) if total else 0


async def _pairs(session: Session, pairs: Shared, bits: int) -> Ints:
    return np.rint(await _open(session, pairs, _PAIRS, bits)).astype(np.int64)


async def _open(session: Session, numbers: Shared, name: str, bits: int) -> Floats:
    """All digits where `bits` are those of exact numbers."""
    if bits >= EXACT_BITS:
        return np.asarray(M127.to_signed(await open_declared(session, numbers, name)), np.float64)
    return await release_numbers(session, numbers, name, bits)


async def _result(session: Session, pairs: Ints, square: Shared | None, bins: int | None, bits: int) -> Concordance:
    total = int(pairs.sum())
    if square is not None:
        opened = await _open(session, square, _SQUARE, bits)
    if not total:
        return Concordance(np.nan, np.nan, bins)
    value = (int(pairs[0]) + int(pairs[2]) / 2) / total
    error = 0.0 if square is None else float(opened[0]) ** 0.5 / (1 << _SOMER_BITS) / total / 2
    bound = int(pairs[2]) / total / 2 if bins else 0.0
    return Concordance(value, np.nan if square is None else error, bins, bound)


# --- pooled --------------------------------------------------------------------------------------------------------


async def binned(
    session: Session,
    own: SiteRisk | None,
    dealers: tuple[int, ...],
    cells: Cells,
    beta: Floats,
    deviation: float,
    late_entries: bool,
    bits: int,
) -> Concordance:
    """Pairs between bins of the linear predictor, pooled.

    Parameters
    ----------
    deviation : float
        Public scale of the linear predictor around 0; the bins are normal quantiles of it.
    late_entries : bool
        Whether people enter after time 0: their influence is no function of one cell, so there is no standard error.
    bits : int
        Significant bits of opened numbers.
    """
    from scipy.special import ndtri

    bins = int(np.clip(_MOST_CELLS // cells.size, 8, _MOST_BINS))
    edges = deviation * ndtri(np.arange(1, bins) / bins)
    mine = None if own is None else M127.from_int64(_tables(own, np.searchsorted(edges, beta @ own.z), bins))
    kinds = 3 if late_entries else 2
    if mine is not None:
        mine = mine[:kinds]
    tables = await sum_of_inputs(session, M127, mine, dealers, (kinds, bins, cells.size))
    failing, leaving = tables[0], tables[1]
    # who counts as a survivor after each cell's events
    after = _backward(_shifted(failing, cells) + leaving, cells)
    if late_entries:
        after = after - _backward(tables[2], cells)
    lower, higher = _below(after), _above(after)
    found = [local_product(failing, side).sum(-1).sum(-1).reshape(1) for side in (lower, higher, after)]
    pairs = await _pairs(session, await reshare(session, concatenate(found)), bits)
    if late_entries:
        return await _result(session, pairs, None, bins, bits)
    square = await _squared_influence(session, failing, leaving, lower - higher, after, cells, _somer(pairs))
    return await _result(session, pairs, square, bins, bits)


def _tables(own: SiteRisk, place: Ints, bins: int) -> Ints:
    """Events, censorings and late entries per bin and last cell: (3, bins, cells)."""
    size = own.cells.size

    def table(who: NDArray[np.bool_], last: Ints) -> Ints:
        who = who & (last >= 0)
        flat = np.bincount(place[who] * size + last[who], minlength=bins * size)
        return flat.reshape(bins, size).astype(np.int64)

    return np.stack([table(own.event, own.last), table(~own.event, own.last), table(own.entered >= 0, own.entered)])


async def _squared_influence(
    session: Session, failing: Shared, leaving: Shared, difference: Shared, after: Shared, cells: Cells, somer: int
) -> Shared:
    """Sum of squares over people of (concordant - discordant) - somer * all, with 2 _SOMER_BITS fraction bits."""
    unit = 1 << _SOMER_BITS
    # as the one with the event
    first = difference.times_int(unit) - _every(after).times_int(somer)
    # as the survivor of all events up to the last cell
    earlier = _forward(failing, cells)
    second = (_above(earlier) - _below(earlier)).times_int(unit) - _every(earlier).times_int(somer)
    # people with an event survive the cells before theirs
    influence = [first + _delayed(second, cells), second]
    total: Shared | None = None
    for people, each in zip((failing, leaving), influence, strict=True):
        squares = local_product(people, await multiply(session, each, each)).sum(-1).sum(-1)
        total = squares if total is None else total + squares
    assert total is not None
    return (await reshare(session, total.reshape(1))).with_fraction_bits(0)


def _with(x: Shared, values: NDArray[np.uint64]) -> Shared:
    return Shared(x.field, values, x.degree, x.fraction_bits)


def _per_stratum(x: Shared, cells: Cells, kind: str) -> Shared:
    """Running sums from the start or the end of each stratum, or shifts by one cell, over the last axis."""
    values, out = x.values, x.field.zeros(x.shape)
    for span in cells.spans():
        part = values[:, span]
        if kind == "forward":
            out[:, span] = x.field.cumsum(part, -1)
        elif kind == "backward":
            out[:, span] = x.field.cumsum(np.ascontiguousarray(part[:, ::-1]), -1)[:, ::-1]
        elif kind == "earlier":
            out[:, span][:, :-1] = part[:, 1:]
        else:
            out[:, span][:, 1:] = part[:, :-1]
    return _with(x, out)


def _forward(x: Shared, cells: Cells) -> Shared:
    return _per_stratum(x, cells, "forward")


def _backward(x: Shared, cells: Cells) -> Shared:
    return _per_stratum(x, cells, "backward")


def _shifted(x: Shared, cells: Cells) -> Shared:
    """Counts of the next cell: people with an event there have survived this one."""
    return _per_stratum(x, cells, "earlier")


def _delayed(x: Shared, cells: Cells) -> Shared:
    """Numbers of the cell before."""
    return _per_stratum(x, cells, "later")


def _below(x: Shared) -> Shared:
    """Sums over the bins below each."""
    return x.cumsum(0) - x


def _above(x: Shared) -> Shared:
    return _every(x) - x.cumsum(0)


def _every(x: Shared) -> Shared:
    """Sums over all bins, repeated."""
    total = np.broadcast_to(x.sum(0).values[None], x.values.shape)
    return _with(x, np.ascontiguousarray(total))
