"""Dummy records, made from a data dictionary alone: what a study is rehearsed with before anybody opens a file.

No number here comes from a record. Values are drawn from what the dictionary allows, independently of each other, so a
result of dummy records looks like a result and means nothing. The same dictionary, seed and number of rows give the
same records on every machine.
"""

from __future__ import annotations

import datetime
import hashlib
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.filter_rows import evaluate_filter
from mpcstats.study.filters import parse_filter
from mpcstats.study.spec import AnalysisSpec
from mpcstats.study.values import day_number

__all__ = ["WATERMARK", "Uniform", "Wanted", "dummy_calls", "dummy_records", "wanted_by"]

WATERMARK = "DUMMY DATA: made from the data dictionary, no person is in these numbers"
"""What every result of dummy records says first."""

MISSING = 0.02
"""Share of missing cells where the dictionary allows them."""

EVENTS = 0.6
"""Share of events among dummy times."""

MOST_FILTERED = 50
"""Rows that are made for one that a filter selects, at most."""

_KINDS, _RARE, _HITS, _INCOMPLETE = 16, 3, (1, 2), (0, 2)
"""Kinds of dummy variants, by their number in sixteen."""

_FREE_NUMBERS = (0.0, 100.0)
_FREE_DAYS = (datetime.date(2000, 1, 1), datetime.date(2024, 12, 31))
_FREE_TEXTS = 10


class Uniform:
    """Numbers from 0 to 1 that depend on the seed and the label alone (SHAKE-256)."""

    def __init__(self, seed: str, label: str) -> None:
        self._name = f"mpcstats/v1/dummy/{seed}/{label}".encode()
        self._drawn = 0

    def __call__(self, count: int) -> NDArray[np.float64]:
        """The next `count` numbers, 0 <= u < 1."""
        self._drawn += 1
        data = hashlib.shake_256(self._name + b"/%d" % self._drawn).digest(8 * count)
        return np.asarray((np.frombuffer(data, "<u8") >> np.uint64(11)) * 2.0**-53, dtype=np.float64)

    def below(self, limits: int, count: int) -> NDArray[np.int64]:
        """Whole numbers from 0 to limits - 1."""
        return np.minimum((self(count) * limits).astype(np.int64), limits - 1)


@dataclass(frozen=True)
class Wanted:
    """What a request expects of records beyond the dictionary.

    Attributes
    ----------
    times : tuple of str
        Columns with times to an event: many short ones, few long ones.
    events : dict of str to values
        Columns that say what happened, with the values that mean an event, () where that is not said.
    entry : (str, str), optional
        Column with the time of entry, and the column with the time that comes after it.
    complete : frozenset of str
        Columns without missing values, since the request refuses them.
    most_rows : int, optional
        Rows of a party that the request has room for.
    """

    times: tuple[str, ...] = ()
    events: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    entry: tuple[str, str] | None = None
    complete: frozenset[str] = frozenset()
    most_rows: int | None = None


def wanted_by(spec: AnalysisSpec) -> Wanted:
    """What a request says about its columns, by the names of its fields."""
    time, event = getattr(spec, "time", None), getattr(spec, "event", None)
    entry, rows = getattr(spec, "entry", None), getattr(spec, "rows", None)
    names = {name for name in (time, event, entry) if isinstance(name, str)}
    refuses = getattr(spec, "missing", None) == "refuse"
    values = getattr(spec, "event_values", None) or ()
    return Wanted(
        times=(time,) if isinstance(time, str) else (),
        events={event: tuple(values)} if isinstance(event, str) else {},
        entry=(entry, time) if isinstance(entry, str) and isinstance(time, str) else None,
        complete=frozenset(names if refuses else ()),
        most_rows=rows if isinstance(rows, int) else None,
    )


def dummy_records(
    dictionary: Dictionary,
    rows: int,
    seed: str = "dummy",
    wanted: Wanted | None = None,
    id_column: str | None = None,
    where: str | None = None,
) -> pd.DataFrame:
    """A table of made-up people.

    Parameters
    ----------
    dictionary : Dictionary
    rows : int
        People; with `where`, so many people that it selects, as far as they turn up among fifty times as many.
    seed : str
        Another text gives other people; name the party in it.
    wanted : Wanted, optional
        What the request expects, see `wanted_by`.
    id_column : str, optional
        Column of identifiers that is filled, or added where the dictionary does not have it.
    where : str, optional
        The request's filter.

    Returns
    -------
    DataFrame
        Numbers as float64 or int64 without missing cells, booleans, text, dates as text YYYY-MM-DD. No missing
        identifier, and none twice. Times and entries fit each other.
    """
    wanted = wanted or Wanted()
    table = _table(dictionary, rows, seed, wanted, id_column)
    if where is None:
        return table
    condition = parse_filter(where)
    chosen = evaluate_filter(condition, table)
    for factor in (5, MOST_FILTERED):
        if chosen.sum() < rows:
            table = _table(dictionary, rows * factor, seed, wanted, id_column)
            chosen = evaluate_filter(condition, table)
    first = np.concatenate([np.flatnonzero(chosen), np.flatnonzero(~chosen)])[:rows]
    return table.iloc[np.sort(first)].reset_index(drop=True)


def dummy_calls(
    variants: int, people: int, seed: str = "dummy", trait: NDArray[np.float64] | None = None
) -> NDArray[np.int8]:
    """Made-up genotypes, int8 (variants, people): 0, 1, 2 copies of ALT, or -1 where a call is missing.

    Of every sixteen variants one has missing calls, one is rare, one goes with the trait, and one goes with it and has
    missing calls: a scan then takes every way that it takes with other calls, in each of its blocks.

    Parameters
    ----------
    trait : float64 (people,), optional
        What the hits go with; missing numbers count as its mean.
    """
    calls = np.empty((variants, people), np.int8)
    upper = np.zeros(people, np.bool_)
    if trait is not None and not np.isnan(trait).all():
        upper = trait > np.nanmean(trait)
    for number in range(variants):
        draw, kind = Uniform(seed, f"variant {number}"), number % _KINDS
        frequency = np.full(people, 0.2 + 0.3 * float(Uniform("all sites", f"variant {number}")(1)[0]))
        if kind in _HITS:
            frequency = np.where(upper, 0.6, 0.3)
        if kind == _RARE:
            frequency = np.full(people, 0.002)
        copies = (draw(people) < frequency).astype(np.int8) + (draw(people) < frequency).astype(np.int8)
        calls[number] = np.where(draw(people) < 1 / 50, -1, copies) if kind in _INCOMPLETE else copies
    return calls


def _table(dictionary: Dictionary, rows: int, seed: str, wanted: Wanted, id_column: str | None) -> pd.DataFrame:
    ids = {name for name in (dictionary.unit_of_count, id_column) if name is not None}
    made: dict[str, Any] = {}
    for column in dictionary.columns:
        draw = Uniform(seed, column.name)
        cells = _ids(column, rows, seed) if column.name in ids else _cells(column, rows, draw, wanted)
        may_miss = column.missing == "allowed" and column.name not in ids | wanted.complete
        made[column.name] = _with_missing(cells, draw(rows) < MISSING) if may_miss else cells
    for name in sorted(ids - set(made)):
        made[name] = _texts(rows, seed)
    if wanted.entry is not None:
        _enter_before(made, dictionary, *wanted.entry)
    return pd.DataFrame(made, index=range(rows))


def _cells(column: Column, rows: int, draw: Uniform, wanted: Wanted) -> Any:
    """One column, complete."""
    if column.name in wanted.events:
        return _events(column, rows, draw, wanted.events[column.name])
    if column.type == "date":
        return _dates(column, rows, draw)
    if column.levels:
        return _levels(column, draw.below(len(column.levels), rows))
    if column.type == "category":
        return np.array([f"text {k}" for k in range(1, _FREE_TEXTS + 1)], object)[draw.below(_FREE_TEXTS, rows)]
    if column.name in wanted.times:
        return _numbers(column, _short_times(draw(rows)), positive=True)
    return _numbers(column, draw(rows))


def _events(column: Column, rows: int, draw: Uniform, values: tuple[Any, ...]) -> Any:
    """More events than not, where the values of the column can be told apart."""
    levels = column.levels or ()
    happened = draw(rows) < EVENTS
    place = draw.below(max(1, len(levels) - 1), rows)
    if len(levels) < 2:
        return (
            _numbers(column, happened.astype(np.float64)) if not levels else _levels(column, np.zeros(rows, np.int64))
        )
    texts = [str(level) for level in levels]
    meant = [texts.index(str(value)) for value in values if str(value) in texts] or list(range(1, len(levels)))
    others = [k for k in range(len(levels)) if k not in meant] or meant
    chosen = np.where(happened, np.array(meant)[place % len(meant)], np.array(others)[place % len(others)])
    return _levels(column, chosen)


def _levels(column: Column, place: NDArray[np.int64]) -> Any:
    kind = {"category": object, "boolean": np.bool_, "integer": np.int64}[column.type]
    return np.array(column.levels, dtype=kind)[place]


def _short_times(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shares of the range: exponential, cut at 1."""
    steep = 3.0
    return np.asarray(-np.log1p(-u * -math.expm1(-steep)) / steep, dtype=np.float64)


def _numbers(column: Column, share: NDArray[np.float64], positive: bool = False) -> Any:
    """Numbers of the column's range, at these shares of it, on its lattice."""
    low, high = column.range or _FREE_NUMBERS
    if positive:
        low = max(low, 0.0)
    step = column.step
    if step is None:
        return low + share * (high - low)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if positive and last > first:
        first = max(first, 1)
    places = np.minimum(first + np.floor(share * (last - first + 1)), last)
    # k times a step such as 0.1 may be beyond the end of the range by the last bit
    values = np.clip(places * step, low, high)
    return values.astype(np.int64) if column.type == "integer" else values


def _dates(column: Column, rows: int, draw: Uniform) -> Any:
    first, last = column.days or _FREE_DAYS
    start = day_number(first)
    days = draw.below(day_number(last) - start + 1, rows)
    return (days + start).astype("datetime64[D]").astype(str).astype(object)


def _ids(column: Column, rows: int, seed: str) -> Any:
    """Identifiers, each once; those of two parties differ, as far as the column's range has room."""
    if column.is_number:
        step = column.step or 1.0
        low, high = column.range or (0.0, 2.0**50)
        room = int((high - low) / step) + 1
        start = int(Uniform(seed, "ids")(1)[0] * max(0, room - rows))
        return _numbers_from(column, low, step, start, rows)
    if column.levels:
        return _levels(column, np.arange(rows, dtype=np.int64) % len(column.levels))
    return _texts(rows, seed)


def _numbers_from(column: Column, low: float, step: float, start: int, rows: int) -> Any:
    values = (math.ceil(low / step - 1e-9) + start + np.arange(rows, dtype=np.float64)) * step
    return values.astype(np.int64) if column.type == "integer" else values


def _texts(rows: int, seed: str) -> Any:
    return np.array([f"dummy-{seed}-{k}" for k in range(rows)], dtype=object)


def _with_missing(cells: Any, missing: NDArray[np.bool_]) -> Any:
    """With missing cells, whole numbers are floating point numbers, as pandas has them."""
    if not missing.any():
        return cells
    if cells.dtype == np.bool_:
        cells = cells.astype(object)
    if cells.dtype == object:
        return np.where(missing, None, cells)
    return np.where(missing, np.nan, cells.astype(np.float64))


def _enter_before(made: dict[str, Any], dictionary: Dictionary, entry: str, time: str) -> None:
    """Put every entry before its time: whoever would be late comes at the beginning."""
    column = dictionary.column(entry)
    entries, times = (np.asarray(made[name], dtype=np.float64) for name in (entry, time))
    first = max(0.0, (column.range or _FREE_NUMBERS)[0])
    spread = np.floor((entries - first) / 4 / (column.step or 1e-9)) * (column.step or 1e-9) + first
    made[entry] = np.where(np.isnan(spread) | (spread < times), spread, first)
