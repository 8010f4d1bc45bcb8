"""Joint cross-tabulations: cells under disclosure control, and margins that give none of the hidden ones away."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused
from mpcstats.protocols import sums_reach
from mpcstats.protocols.bits import all_ones
from mpcstats.runtime import BooleanShared, Session, open_declared, open_declared_bits
from mpcstats.sharing.boolean import lanes
from mpcstats.stats.cell_release import Cells, judge_cells, release_cells
from mpcstats.stats.complementary import Suppression, choose
from mpcstats.stats.contributions.crosstab import CrosstabContribution, CrosstabPlan
from mpcstats.stats.disclosure import Ruling, size_rules
from mpcstats.stats.noisy_cells import describe_noise, noisy_words, release_noisy_cells
from mpcstats.stats.outcome import Outcome
from mpcstats.types import DisclosureRules

__all__ = ["NOT_AVAILABLE", "RELEASED", "SUM", "SUPPRESSED", "joint_crosstab", "refuse_noisy_margins"]

Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]

RELEASED, SUPPRESSED, NOT_AVAILABLE = "released", "suppressed", "not available"
SUM = "sum of released cells"
"""Status of a number: `SUPPRESSED` is too small, `NOT_AVAILABLE` would tell about one that is."""

_WIDE = 48
"""Bits of weighted sums of cells."""


@dataclass(frozen=True)
class _Margins:
    """Margins of a table, and which of them are released: rows, columns, and the total as arrays of one axis."""

    rows: Counts
    columns: Counts
    total: Counts
    row_open: Mask
    column_open: Mask
    total_open: Mask
    status: str = RELEASED


def refuse_noisy_margins(plan: CrosstabPlan, ruling: Ruling) -> None:
    """Pooled margins are chosen by exact cells, and are further numbers about the same people.

    Raises
    ------
    DisclosureRefused
        The rules ask for noise, and the request for pooled margins.
    """
    if ruling.rules.noise_scale and plan.margins == "pooled":
        raise DisclosureRefused(
            f"pooled margins are not released with noise ({ruling.cite('noise_scale')})",
            hint='margins="released": sums of the released cells',
        )


async def joint_crosstab(
    session: Session,
    plan: CrosstabPlan,
    own: CrosstabContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    noise: bytes | None = None,
) -> Outcome:
    """Pooled people per cell of a table of two columns, with margins.

    Parameters
    ----------
    noise : bytes, optional
        Where this party's part of the noise comes from, if the rules ask for noise (`release_noisy_cells`).

    Reveals
    -------
    visible * rounded(count) of each cell: `counts`. With pooled margins also: which cells are visible, before anything
    else (`visible cells`); of those that stay visible the rounded count, and rounded margins (`counts`); which margins
    that were chosen can be released (`margins`). With `noise_scale` cells have noise, as those of a count have.

    Cost
    ----
    10 rounds with three parties under `standard`; up to 23 with pooled margins.

    Notes
    -----
    Which cells are hidden for the sake of others: `mpcstats.stats.complementary`.
    """
    refuse_noisy_margins(plan, ruling)
    table = None if own is None else np.asarray(own.counts, np.int64).reshape(plan.shape)
    session.progress("thresholds and rounding of the cells on shares, before anything is opened")
    if plan.margins == "pooled":
        return await _with_pooled_margins(session, plan, table, dealers, ruling)
    cells = plan.shape[0] * plan.shape[1]
    done = noisy_words(ruling.rules)
    session.openings.declare("counts", cells, f"people per cell, pooled over all parties, {done}; 0 where suppressed")
    mine = None if table is None else table.reshape(cells)
    if ruling.rules.noise_scale:
        counts, shown = await release_noisy_cells(session, mine, dealers, cells, "counts", ruling.rules, noise)
    else:
        counts, shown = await release_cells(session, mine, dealers, cells, "counts", ruling.rules)
    counts, shown = counts.reshape(plan.shape), shown.reshape(plan.shape)
    margins = None
    if plan.margins == "released":
        margins = _Margins(
            counts.sum(axis=1),
            counts.sum(axis=0),
            counts.reshape(1, -1).sum(axis=1),
            np.asarray(shown.any(axis=1)),
            np.asarray(shown.any(axis=0)),
            np.asarray(shown.reshape(1, -1).any(axis=1)),
            SUM,
        )
    outcome = _outcome(plan, counts, ~shown, np.zeros_like(shown), margins, ruling)
    return replace(outcome, conventions={**outcome.conventions, **describe_noise(session, ruling)})


# --- pooled margins -------------------------------------------------------------------------------------------------


async def _with_pooled_margins(
    session: Session, plan: CrosstabPlan, table: Counts | None, dealers: tuple[int, ...], ruling: Ruling
) -> Outcome:
    rows, columns = plan.shape
    cells, lines = rows * columns, rows + columns + 1
    rules = ruling.rules
    session.openings.declare(
        "counts", cells + lines, "people per cell and margin, pooled over all parties, rounded; those that are released"
    )
    if not rules.minimum_count:
        counts, _ = await release_cells(session, _extended(table), dealers, cells + lines, "counts", rules)
        choice = choose(np.zeros(plan.shape, np.bool_))
        return _pooled_outcome(plan, choice, np.ones(cells + lines, np.bool_), counts, ruling)
    judged = await judge_cells(session, _extended(table), dealers, cells + lines, rules)
    choice = choose(await _small(session, judged, plan.shape))
    session.progress("margins that can be released are chosen; their guards are compared on shares")
    shown = _shown(choice, await _guards_hold(session, choice, table, dealers, rules))
    rounded, _ = await judged.converted(session)
    opened = rounded.field.to_int64(await open_declared(session, rounded[np.flatnonzero(shown)], "counts"))
    counts = np.zeros(cells + lines, np.int64)
    counts[shown] = opened
    return _pooled_outcome(plan, choice, shown, counts, ruling)


def _extended(table: Counts | None) -> Counts | None:
    """Cells, then margins of rows, columns, and the total."""
    if table is None:
        return None
    return np.concatenate([table.reshape(-1), table.sum(axis=1), table.sum(axis=0), [table.sum()]])


async def _small(session: Session, judged: Cells, shape: tuple[int, int]) -> Mask:
    """Open which cells are too small; of the margins nothing."""
    cells = shape[0] * shape[1]
    session.openings.declare("visible cells", cells, "1 where a cell is large enough to be released")
    assert judged.visible is not None
    bits = BooleanShared(judged.visible.words[:, :, : lanes(cells)], cells)
    return np.asarray((await open_declared_bits(session, bits, "visible cells"))[0] == 0).reshape(shape)


async def _guards_hold(
    session: Session,
    choice: Suppression,
    table: Counts | None,
    dealers: tuple[int, ...],
    rules: DisclosureRules,
) -> Mask:
    """Which guards are large enough, also without any one party; and last whether the corner is.

    The corner's is opened only where all others are, else it is False.
    """
    guards = [*choice.guards, *([choice.corner] if choice.corner else [])]
    if not guards:
        return np.ones(1, np.bool_)
    count, words = len(choice.guards), lanes(len(choice.guards))
    # the corner has a word of its own, which is opened on its own
    at = np.array([*range(count), *([64 * words] if choice.corner else [])], np.intp)
    size = int(at[-1]) + 1
    bounds = np.array([guard.bound(rules.minimum_count) for guard in guards])
    left_out = [None, *(dealers if not rules.small_remainders and len(dealers) > 1 else ())]
    width = _WIDE if choice.corner else max(1, (int(bounds.max()) * len(dealers)).bit_length())
    own = None
    if table is not None:
        sums = np.array([guard.of(table) for guard in guards])
        # weighted sums may be negative, and are not clipped; they are the corner's alone
        sums[:count] = np.minimum(sums[:count], bounds[:count])
        own = np.zeros((len(left_out), size), np.int64)
        for row, party in enumerate(left_out):
            own[row, at] = (0 if party == session.index else sums) + (
                (1 << width) - bounds if session.index == dealers[0] else 0
            )
    shape = (len(left_out), size)
    holds = (await all_ones(session, await sums_reach(session, own, dealers, width, shape))).words
    session.openings.declare("margins", len(guards), "1 where a margin that was chosen can be released")
    bits = np.zeros(count, np.bool_)
    if count:
        bits = (await open_declared_bits(session, BooleanShared(holds[:, :, :words], count), "margins"))[0] == 1
    corner = np.zeros(1, np.bool_)
    if choice.corner and bits.all():
        corner = (await open_declared_bits(session, BooleanShared(holds[:, :, words:], 1), "margins"))[0] == 1
    return np.concatenate([bits, corner if choice.corner else [bool(bits.all())]])


def _shown(choice: Suppression, holds: Mask) -> Mask:
    """Which cells and margins are released, in the order of `_extended`."""
    rows, columns = choice.free_rows.copy(), choice.free_columns.copy()
    guarded = int(choice.guarded_rows.sum())
    rows[choice.guarded_rows] = holds[:guarded]
    columns[choice.guarded_columns] = holds[guarded:-1]
    total = choice.total == "free" or (choice.total != "hidden" and bool(holds.all()))
    if choice.through_corner and total:
        rows[choice.through_corner[0]] = columns[choice.through_corner[1]] = True
    return np.concatenate([~choice.hidden.reshape(-1), rows, columns, [total]])


def _pooled_outcome(plan: CrosstabPlan, choice: Suppression, shown: Mask, counts: Counts, ruling: Ruling) -> Outcome:
    rows, columns = plan.shape
    cells = rows * columns
    ends = [cells, cells + rows, cells + rows + columns]
    table, in_rows, in_columns, in_all = np.split(counts, ends)
    _, row_open, column_open, total_open = np.split(shown, ends)
    margins = _Margins(in_rows, in_columns, in_all, row_open, column_open, total_open)
    return _outcome(plan, table.reshape(plan.shape), choice.small, choice.added, margins, ruling)


# --- the result -----------------------------------------------------------------------------------------------------


def _outcome(
    plan: CrosstabPlan, counts: Counts, small: Mask, added: Mask, margins: _Margins | None, ruling: Ruling
) -> Outcome:
    index = pd.MultiIndex.from_product([plan.row_levels, plan.column_levels], names=[plan.rows, plan.columns])
    cells = index.to_frame(index=False)
    hidden = small | added
    cells["count"] = _integers(counts, ~hidden)
    cells["status"] = np.where(small, SUPPRESSED, np.where(added, NOT_AVAILABLE, RELEASED)).reshape(-1)
    tables = {"cells": cells}
    if margins is not None:
        whole = ~hidden if margins.status == SUM else np.ones_like(hidden)
        for name, sums, shown, axis in (
            ("row_percent", margins.rows[:, None], margins.row_open[:, None], 1),
            ("column_percent", margins.columns[None], margins.column_open[None], 0),
        ):
            cells[name] = _percent(counts, ~hidden, sums, shown & whole.all(axis=axis, keepdims=True))
        tables |= {
            "row_margins": _margin(plan.rows, plan.row_levels, margins.rows, margins.row_open, margins.status),
            "column_margins": _margin(
                plan.columns, plan.column_levels, margins.columns, margins.column_open, margins.status
            ),
            "total": _margin("total", ("all",), margins.total, margins.total_open, margins.status),
        }
    return Outcome(
        "crosstab",
        tables,
        {"rows": plan.rows, "columns": plan.columns, "margins": plan.margins},
        _conventions(plan, ruling),
        _withheld(small, added, margins, ruling),
    )


def _integers(counts: Counts, shown: Mask) -> pd.api.extensions.ExtensionArray:
    found = pd.array(counts.reshape(-1), dtype="Int64")
    found[~shown.reshape(-1)] = pd.NA
    return found


def _percent(counts: Counts, shown: Mask, sums: Counts, where: Mask) -> NDArray[np.float64]:
    """Of released margins; rounded numbers may exceed their rounded sum."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = 100 * counts / sums
    return np.where(shown & where & (sums > 0), shares, np.nan).reshape(-1)


def _margin(name: str, levels: tuple[object, ...], sums: Counts, shown: Mask, status: str) -> pd.DataFrame:
    table = pd.DataFrame({name: list(levels)})
    table["count"] = _integers(sums, shown)
    table["status"] = np.where(shown, status, NOT_AVAILABLE)
    return table


def _conventions(plan: CrosstabPlan, ruling: Ruling) -> dict[str, str]:
    texts = {
        "count": "people in the pooled data; rows without a value in one of the columns are in no cell",
        "margins": {
            "released": "sums of the released cells, not of all people",
            "pooled": "people in all cells of a line, hidden ones included; one in several cells counts in each",
            "none": "none",
        }[plan.margins],
    }
    if ruling.rules.rounding_base > 1 and plan.margins == "pooled":
        texts["rounding"] = "each number by itself, so that cells need not add up to their margin"
    if plan.margins != "none":
        texts["percentages"] = "of the margins, as released; missing where those leave hidden people out"
    return texts


def _withheld(small: Mask, added: Mask, margins: _Margins | None, ruling: Ruling) -> list[str]:
    withheld = []
    if hidden := int(small.sum()):
        withheld.append(f"{hidden} of {small.size} cells hidden ({size_rules(ruling)}); zeros are hidden, too")
    if more := int(added.sum()):
        withheld.append(f"{more} larger cells not available: with the margins they would tell the hidden ones")
    if margins is not None and margins.status == RELEASED:
        shown = np.concatenate([margins.row_open, margins.column_open, margins.total_open])
        if closed := int((~shown).sum()):
            withheld.append(
                f"{closed} of {len(shown)} margins not available: with the cells they would tell hidden ones"
            )
    if ruling.rules.noise_scale:
        withheld.append(f"counts have noise ({ruling.cite('noise_scale')})")
    if ruling.rules.rounding_base > 1:
        withheld.append(f"counts are rounded to multiples ({ruling.cite('rounding_base')})")
    return withheld
