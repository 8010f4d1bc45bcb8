"""A first draft of a data dictionary from a party's own table, for people to complete.

The dictionary becomes public, so nothing in the draft may come from a few people: a level is written where enough
people have it, a range comes from values that enough people reach on either side, widened and rounded outward. Whether
there are other values is told to the owner, not to the file.
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.node.records.source import Records
from mpcstats.study.files.writing import toml_scalar
from mpcstats.study.values import Kind, as_days, as_numbers, as_text, day_of_number, kind_of

__all__ = ["LEAST_PEOPLE", "Draft", "draft_dictionary"]

LEAST_PEOPLE = 11
"""People behind a level or an end of a range, at least; more where the party's policy says so."""

_MAX_INTEGER_LEVELS = 20
_MAX_LEVELS = 1000
_DAY_YEARS = 10

_HEAD = """\
# Draft of a data dictionary. It becomes public: every party uses the same one.
# Check every column: its meaning, unit, levels and range. Levels and ranges say what is possible, not what the records
# hold. Levels below are those of at least {least} people here; ranges were made wider than what most people have.
apiVersion = "mpcstats/v1"
kind = "Dictionary"
id = {id}
version = 1
"""


@dataclass(frozen=True)
class Draft:
    """A drafted dictionary.

    Attributes
    ----------
    text : str
        The content of dictionary.toml.
    notes : list of str
        For the owner alone: where the draft does not cover the own records, and what could not be described.
    """

    text: str
    notes: list[str]


def draft_dictionary(
    name: str, records: Records, party: str, least: int = LEAST_PEOPLE, person: str | None = None
) -> Draft:
    """Draft the dictionary of a table.

    Parameters
    ----------
    name : str
        Of the data set; becomes the dictionary's id.
    records : Records
        Read without a dictionary.
    least : int
        People behind each level and each end of a range.
    person : str, optional
        Column that tells people apart where they may have several rows; default the id column.

    Raises
    ------
    DataError
        There is no such column.
    """
    person = person or records.id_column
    if person is not None and person not in records.names:
        raise DataError(f"the table has no column {person!r}, which was named as the one of people", party=party)
    people = _people(records, person)
    parts, notes = [_HEAD.format(least=least, id=toml_scalar(name))], []
    if person is None:
        parts.append(
            '# unit_of_count = "person_id"    # the column that identifies people, where they may have several rows\n'
        )
    else:
        parts.append(f"unit_of_count = {toml_scalar(person)}\n")
    for column in records.names:
        is_id = column in {person, records.id_column, records.family_column}
        lines, remark = _column(column, records.columns([column])[column], people, least, is_id)
        parts.append("\n" + "\n".join(lines) + "\n")
        if remark:
            notes.append(f"column {column!r}: {remark}")
    return Draft("".join(parts), notes)


def _people(records: Records, person: str | None) -> NDArray[np.int64]:
    """The number of each row's person, -1 where it has none."""
    if person is None:
        return np.arange(records.rows, dtype=np.int64)
    return pd.factorize(as_text(records.columns([person])[person]))[0].astype(np.int64)


def _column(
    name: str, cells: pd.Series[Any], people: NDArray[np.int64], least: int, is_id: bool
) -> tuple[list[str], str]:
    """Lines of the file, and a remark for the owner."""
    head = ["[[column]]", f"name = {toml_scalar(name)}"]
    if is_id:
        return [*head, 'type = "category"', 'missing = "refused"', 'description = "Identifies people"'], ""
    kind = kind_of(cells)
    if kind in {"mixed", "other"}:
        what = "text among numbers" if kind == "mixed" else "neither numbers, text nor dates"
        return ["# " + line for line in [*head, f"# holds {what}: not usable as it is"]], f"holds {what}: left out"
    if kind == "empty":
        return [*head, 'type = "category"    # no value here: choose the type', *_tail("")], "holds no value"
    return _described(head, cells, kind, people, least)


def _described(
    head: list[str], cells: pd.Series[Any], kind: Kind, people: NDArray[np.int64], least: int
) -> tuple[list[str], str]:
    if kind == "boolean":
        return [*head, 'type = "boolean"', *_tail("")], ""
    if kind in {"integer", "decimal"}:
        return _numbers(head, as_numbers(cells), kind == "integer", people, least)
    days, wrong = as_days(cells)
    return _texts(head, cells, people, least) if wrong.any() else _dates(head, days, people, least)


def _tail(unit: str) -> list[str]:
    return [*([f"unit = {toml_scalar(unit)}    # UCUM, such as a, d, kg, mm[Hg]"] if unit else []), 'description = "?"']


def _texts(head: list[str], cells: pd.Series[Any], people: NDArray[np.int64], least: int) -> tuple[list[str], str]:
    texts = pd.Series(as_text(cells), dtype=object)
    levels = _common(texts, people, least)
    others = int(texts.notna().sum() - texts.isin(levels).sum())
    lines = [*head, 'type = "category"', _levels_line([toml_scalar(str(level)) for level in levels]), *_tail("")]
    return lines, _remark(others, "none of the drafted levels")


def _numbers(
    head: list[str], values: NDArray[np.float64], whole: bool, people: NDArray[np.int64], least: int
) -> tuple[list[str], str]:
    finite = np.isfinite(values)
    kind = "integer" if whole else "decimal"
    levels = _common(pd.Series(values), people, least) if whole else []
    others = int(finite.sum() - np.isin(values, np.array(levels, dtype=np.float64)).sum())
    # codes, not measurements: few values that most people have (how many others there are hangs on single people)
    if 0 < len(levels) <= _MAX_INTEGER_LEVELS and 2 * others <= finite.sum():
        lines = [*head, f"type = {toml_scalar(kind)}", _levels_line([str(int(level)) for level in levels]), *_tail("")]
        return lines, _remark(others, "none of the drafted levels")
    ends = _ends(values, people, least)
    if ends is None:
        lines = [*head, f"type = {toml_scalar(kind)}", "# range = [0, 100]    # what is possible", *_tail("?")]
        return lines, f"fewer than {least} people have a value: no range was drafted"
    low, high = _outward(*ends)
    others = int(((values[finite] < low) | (values[finite] > high)).sum())
    shown = f"range = [{_plain(low)}, {_plain(high)}]    # set it to what is possible"
    extra = [] if whole else ["# resolution = 0.1    # if every value is a whole multiple of it"]
    lines = [*head, f"type = {toml_scalar(kind)}", shown, *extra, *_tail("?")]
    return lines, _remark(others, "outside the drafted range")


def _dates(head: list[str], days: NDArray[np.float64], people: NDArray[np.int64], least: int) -> tuple[list[str], str]:
    ends = _ends(days, people, least)
    lines = [*head, 'type = "date"']
    if ends is None:
        lines += ['# range = ["2000-01-01", "2029-12-31"]    # what is possible', *_tail("")]
        return lines, f"fewer than {least} people have a date: no range was drafted"
    first = day_of_number(int(ends[0])).year // _DAY_YEARS * _DAY_YEARS
    last = min(day_of_number(int(ends[1])).year // _DAY_YEARS * _DAY_YEARS + _DAY_YEARS - 1, datetime.MAXYEAR)
    begin, end = datetime.date(max(first, 1), 1, 1), datetime.date(last, 12, 31)
    known = days[~np.isnan(days)]
    epoch = datetime.date(1970, 1, 1)
    others = int(((known < (begin - epoch).days) | (known > (end - epoch).days)).sum())
    lines += [f'range = ["{begin}", "{end}"]    # set it to what is possible', *_tail("")]
    return lines, _remark(others, "outside the drafted range")


def _levels_line(levels: list[str]) -> str:
    if not levels:
        return (
            "# levels = [...]    # all that the study allows, in the order of tables; without levels no breakdown by it"
        )
    return f"levels = [{', '.join(levels)}]    # all that the study allows, in the order of tables"


def _remark(rows: int, what: str) -> str:
    return f"{rows:,} rows hold values that are {what}" if rows else ""


def _common(cells: pd.Series[Any], people: NDArray[np.int64], least: int) -> list[Any]:
    """The values of at least `least` people, sorted; none of a column with very many."""
    pairs = pd.DataFrame({"cell": cells.to_numpy(), "person": people}).dropna()
    pairs = pairs[pairs["person"] >= 0].drop_duplicates()
    counts = pairs["cell"].value_counts()
    found = sorted(counts.index[counts >= least].tolist())
    return found if len(found) <= _MAX_LEVELS else []


def _ends(values: NDArray[np.float64], people: NDArray[np.int64], least: int) -> tuple[float, float] | None:
    """A value that `least` people are at or below, and one that as many are at or above; None with fewer people."""
    frame = pd.DataFrame({"value": values, "person": people})
    frame = frame[np.isfinite(values) & (people >= 0)]
    by_person = frame.groupby("person")["value"]
    lowest, highest = np.sort(by_person.min().to_numpy()), np.sort(by_person.max().to_numpy())
    if len(lowest) < least:
        return None
    low, high = float(lowest[least - 1]), float(highest[-least])
    return min(low, high), max(low, high)


def _outward(low: float, high: float) -> tuple[float, float]:
    """Both ends moved out by half their distance, to a multiple of 1, 2 or 5 times a power of ten, not across zero."""
    room = (high - low) / 2 or max(abs(high), 1.0)
    step = _step(room)
    wide_low, wide_high = math.floor((low - room) / step) * step, math.ceil((high + room) / step) * step
    return (0.0 if low >= 0 > wide_low else wide_low), (0.0 if high <= 0 < wide_high else wide_high)


def _step(size: float) -> float:
    power = 10.0 ** math.floor(math.log10(size))
    return next(factor * power for factor in (5.0, 2.0, 1.0) if factor * power <= size)


def _plain(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else f"{number:.12g}"
