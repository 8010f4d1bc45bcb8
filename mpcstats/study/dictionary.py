"""The data dictionary: names, types, levels and ranges of the columns that all parties agreed on. It is public."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, field_validator, model_validator

from mpcstats.errors import SpecError
from mpcstats.study.files.reading import read_toml, validated
from mpcstats.study.spec import Level, digest
from mpcstats.study.values import EXACT_INTEGER, Kind, as_days, as_numbers, day_of_number, kind_of, parse_day

__all__ = ["Column", "Dictionary", "infer_dictionary", "load_dictionary", "parse_dictionary"]

_DAYS = 'the range of a date column must be two days, for example ["1900-01-01", "2030-12-31"]'
INFERRED_INTEGER_LEVELS = 50
INFERRED_CATEGORY_LEVELS = 1000
INFERRED_DECIMALS = 6
_MAX_NAME = 256


class Column(BaseModel):
    """One column.

    Attributes
    ----------
    name : str
    type : "integer", "decimal", "category" (text), "boolean" or "date" (days, YYYY-MM-DD)
    levels : tuple, optional
        All values that may occur, in the order of tables: text for a category, whole numbers for an integer column.
        A boolean column has the levels false, true. Without levels a column cannot make a breakdown.
    range : (low, high), optional
        Both ends included; numbers only. The range of a time column fixes the length of survival curves. The range of a
        date column is written so, too, as two days, and is kept in `days`.
    days : (first, last), optional
        The range of a date column, both ends included.
    resolution : float, optional
        Every value is a whole multiple of this, e.g. 0.5: times are then on a known lattice. Default 1 for integers.
    unit : str
        UCUM code, e.g. "d" or "mm[Hg]".
    missing : "allowed" or "refused"
        What a cell without value means for the party that holds it.
    description : str
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(min_length=1, max_length=_MAX_NAME)
    type: Literal["integer", "decimal", "category", "boolean", "date"]
    levels: tuple[Level, ...] | None = Field(default=None, max_length=100_000)
    range: tuple[float, float] | None = None
    days: tuple[datetime.date, datetime.date] | None = None
    resolution: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    unit: str = ""
    missing: Literal["allowed", "refused"] = "allowed"
    description: str = ""

    @model_validator(mode="before")
    @classmethod
    def _boolean_levels(cls, plain: Any) -> Any:
        if isinstance(plain, dict) and plain.get("type") == "boolean" and plain.get("levels") is None:
            return {**plain, "levels": (False, True)}
        return plain

    @model_validator(mode="before")
    @classmethod
    def _range_of_days(cls, plain: Any) -> Any:
        if not isinstance(plain, dict) or plain.get("type") != "date" or plain.get("range") is None:
            return plain
        ends = plain["range"]
        if not isinstance(ends, list | tuple):
            raise ValueError(_DAYS)
        return {**plain, "range": None, "days": tuple(ends)}

    @field_validator("days", mode="before")
    @classmethod
    def _days_as_written(cls, ends: Any) -> Any:
        if ends is None:
            return None
        if not isinstance(ends, list | tuple) or len(ends) != 2:
            raise ValueError(_DAYS)
        days = tuple(parse_day(end) if isinstance(end, str) else end for end in ends)
        if any(type(day) is not datetime.date for day in days):
            raise ValueError(_DAYS)
        return days

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.days is not None:
            _check_days(self)
        if self.range is not None:
            _check_range(self)
        if self.levels is not None:
            _check_levels(self)
        if self.resolution is not None and not self.is_number:
            raise ValueError(f"{self.title} has a resolution, but only integer and decimal columns have one")
        return self

    @property
    def step(self) -> float | None:
        """All values are whole multiples of this; None where the dictionary does not say."""
        return 1.0 if self.resolution is None and self.type == "integer" else self.resolution

    @property
    def is_number(self) -> bool:
        """True for integer and decimal columns."""
        return self.type in {"integer", "decimal"}

    @property
    def title(self) -> str:
        """Name and type for messages, e.g. "column 'stage' (category)"."""
        return f"column {self.name!r} ({self.type})"


class Dictionary(BaseModel):
    """All columns of a data set, the same at every party.

    Attributes
    ----------
    unit_of_count : str, optional
        Column that identifies people; counts then count people. None: every row is one person.
    unusable : dict
        Columns that an embedded session found but cannot use, with the reason.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    apiVersion: Literal["mpcstats/v1"] = "mpcstats/v1"
    kind: Literal["Dictionary"] = "Dictionary"
    id: str = Field(min_length=1, max_length=_MAX_NAME)
    version: int = Field(default=1, ge=1)
    unit_of_count: str | None = None
    columns: tuple[Column, ...] = Field(
        default=(), max_length=10_000, validation_alias=AliasChoices("column", "columns")
    )
    unusable: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names = [column.name for column in self.columns]
        repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        if repeated:
            raise ValueError(f"columns are described twice: {', '.join(repeated)}")
        if self.unit_of_count is not None and self.unit_of_count not in names:
            raise ValueError(f"unit_of_count names {self.unit_of_count!r}, which is not among the columns")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column of this name.

        Raises
        ------
        SpecError
            There is none; the message proposes the nearest names.
        """
        for column in self.columns:
            if column.name == name:
                return column
        if name in self.unusable:
            raise SpecError(f"column {name!r} cannot be used: {self.unusable[name]}")
        raise SpecError(f"the data dictionary {self.id!r} has no column {name[:_MAX_NAME]!r}", hint=self._nearest(name))

    def digest(self) -> bytes:
        """SHA-256 of the content (32 bytes); the same text in another order of keys gives the same digest."""
        return digest(self)

    def _nearest(self, name: str) -> str:
        folded = {known.casefold(): known for known in self.names}
        near = difflib.get_close_matches(name[:_MAX_NAME].casefold(), list(folded), n=3, cutoff=0.6)
        if near:
            return "did you mean " + " or ".join(repr(folded[match]) for match in near) + "?"
        shown = ", ".join(self.names[:30]) + (", ..." if len(self.names) > 30 else "")
        return f"columns: {shown or 'none'}"


def parse_dictionary(plain: Mapping[str, Any], source: str = "dictionary", text: str | None = None) -> Dictionary:
    """Validate a dictionary; `source` names the file in errors, `text` (the file's) gives them lines.

    Raises
    ------
    ConfigurationError
        Names every field that is wrong.
    """
    return validated(Dictionary, plain, source, text)


def load_dictionary(path: Path | str) -> Dictionary:
    """Read `dictionary.toml` (one `[[column]]` table per column).

    Raises
    ------
    ConfigurationError
        The file cannot be read, or a field is wrong.
    """
    plain, text = read_toml(Path(path))
    return parse_dictionary(plain, str(path), text)


def infer_dictionary(frames: Mapping[str, pd.DataFrame], id_column: str | None = None) -> Dictionary:
    """Describe the tables of an embedded session, where one process sees all of them.

    Parameters
    ----------
    frames : mapping of party name to DataFrame
    id_column : str, optional
        Column that identifies people (becomes `unit_of_count`); it gets neither levels nor range.

    Returns
    -------
    Dictionary
        Levels are the sorted union over the parties for text (up to 1,000 values), booleans, and integers with at most
        50 values; ranges are smallest to largest value over the parties; the resolution of decimal numbers is the
        largest that fits them as written, if they have at most 6 decimals. Columns that hold dates, mix text and
        numbers, or differ in type between parties are listed as unusable.
        50 values; ranges are smallest to largest value over the parties. Text is a date where every cell at every party
        is a day YYYY-MM-DD. Columns that hold times of day, mix text and numbers, or differ in type between parties
        are listed as unusable.
    """
    names = dict.fromkeys(str(name) for frame in frames.values() for name in frame.columns)
    columns, unusable = [], {}
    for name in names:
        parts = {party: frame[name] for party, frame in frames.items() if name in frame.columns}
        result = _infer_column(name, parts, is_id=name == id_column)
        if isinstance(result, Column):
            columns.append(result)
        else:
            unusable[name] = result
    if id_column is not None and id_column not in {column.name for column in columns}:
        raise SpecError(f"no table has the id column {id_column!r}")
    return Dictionary(id="embedded", unit_of_count=id_column, columns=tuple(columns), unusable=unusable)


def _infer_column(name: str, parts: Mapping[str, pd.Series[Any]], is_id: bool) -> Column | str:
    """The column, or the reason why it cannot be used."""
    if not 1 <= len(name) <= _MAX_NAME:
        return f"column names have 1 to {_MAX_NAME} characters"
    kinds = {party: kind_of(part) for party, part in parts.items()}
    for party, kind in kinds.items():
        if kind in {"mixed", "other"}:
            what = "text among numbers" if kind == "mixed" else "neither numbers, text nor dates"
            return f"it holds {what} at party {party}"
    used = {party: (kinds[party], part) for party, part in parts.items() if kinds[party] != "empty"}
    found = {kind for kind, _ in used.values()}
    if found & {"text", "date"} or not found:
        return _infer_text(name, used, is_id)
    return _infer_numeric(name, found, [part for _, part in used.values()], is_id)


def _infer_text(name: str, parts: Mapping[str, tuple[Kind, pd.Series[Any]]], is_id: bool) -> Column | str:
    """As `_infer_column`, for text and dates."""
    found = {kind for kind, _ in parts.values()}
    dates = _infer_dates(name, parts) if found and found <= {"text", "date"} and not is_id else None
    if dates is not None:
        return dates
    if len(found) > 1:
        where = ", ".join(f"{kind} at {party}" for party, (kind, _) in parts.items())
        return f"its type differs between parties: {where}"
    if found == {"date"}:
        return Column(name=name, type="date")
    return Column(name=name, type="category", levels=None if is_id else _text_levels([p for _, p in parts.values()]))


def _infer_dates(name: str, parts: Mapping[str, tuple[Kind, pd.Series[Any]]]) -> Column | str | None:
    """The column if every cell is a date, None if a text is none, or what is wrong with a cell that is no text."""
    ends: list[float] = []
    for party, (kind, part) in parts.items():
        days, wrong = as_days(part)
        if wrong.any():
            return None if kind == "text" else f"it holds times of day, or time zones, at party {party}"
        ends += [np.nanmin(days), np.nanmax(days)]
    return Column(name=name, type="date", days=(day_of_number(int(min(ends))), day_of_number(int(max(ends)))))


def _infer_numeric(name: str, found: set[Any], parts: list[pd.Series[Any]], is_id: bool) -> Column:
    values = np.unique(np.concatenate([as_numbers(part) for part in parts]))
    values = values[np.isfinite(values)]
    if "boolean" in found and set(values.tolist()) <= {0.0, 1.0}:
        return Column(name=name, type="boolean")
    whole = found <= {"boolean", "integer"} and bool(np.all(np.abs(values) <= EXACT_INTEGER))
    if is_id or values.size == 0:
        return Column(name=name, type="integer" if whole else "decimal")
    few = whole and values.size <= INFERRED_INTEGER_LEVELS
    return Column(
        name=name,
        type="integer" if whole else "decimal",
        levels=tuple(int(value) for value in values) if few else None,
        range=(float(values[0]), float(values[-1])),
        resolution=None if whole else _decimals(values),
    )


def _decimals(values: NDArray[np.float64]) -> float | None:
    """The largest number of which all values are whole multiples, as they were written; None beyond 6 decimals."""
    for decimals in range(INFERRED_DECIMALS + 1):
        scale = 10**decimals
        units = np.rint(values * scale)
        if bool(np.all(units / scale == values) and np.all(np.abs(units) <= EXACT_INTEGER)):
            return int(np.gcd.reduce(units.astype(np.int64))) / scale or None
    return None


def _text_levels(parts: list[pd.Series[Any]]) -> tuple[str, ...] | None:
    values: set[str] = set()
    for part in parts:
        values.update(str(value) for value in part.dropna().unique())
        if len(values) > INFERRED_CATEGORY_LEVELS:
            return None
    return tuple(sorted(values))


def _check_days(column: Column) -> None:
    first, last = column.days or (datetime.date.min, datetime.date.max)
    if column.type != "date":
        raise ValueError(f"{column.title} has days, but only date columns have them")
    if first > last:
        raise ValueError(f"{column.title}: the range must be two days [first, last], first day first")


def _check_range(column: Column) -> None:
    assert column.range is not None
    low, high = column.range
    if not column.is_number:
        raise ValueError(f"{column.title} has a range, but only integer, decimal and date columns have one")
    if not (np.isfinite(low) and np.isfinite(high) and low <= high):
        raise ValueError(f"{column.title}: the range must be two finite numbers [low, high], low first")
    if column.type == "integer" and max(abs(low), abs(high)) > EXACT_INTEGER:
        raise ValueError(f"{column.title}: whole numbers may not exceed 2^53")


def _check_levels(column: Column) -> None:
    levels = column.levels or ()
    expected = {"category": str, "integer": int, "boolean": bool}.get(column.type)
    if expected is None:
        raise ValueError(f"{column.title} has levels; {column.type} columns have a range instead")
    if any(type(level) is not expected for level in levels):
        kind = {"category": "text in quotes", "integer": "whole numbers", "boolean": "false and true"}[column.type]
        raise ValueError(f"{column.title}: the levels must be {kind}")
    if len(set(levels)) != len(levels):
        raise ValueError(f"{column.title}: a level is listed twice")
    if column.type == "boolean" and levels != (False, True):
        raise ValueError(f"{column.title}: the levels of a boolean column are false, true")
    if column.type == "integer":
        low, high = column.range or (-EXACT_INTEGER, EXACT_INTEGER)
        if not all(low <= float(level) <= high for level in levels):
            raise ValueError(f"{column.title}: a level lies outside the range")
