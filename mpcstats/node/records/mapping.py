"""`mapping.toml`: a party's own names and codes, and what the data dictionary calls them. Private to the party.

    apiVersion = "mpcstats/v1"
    kind = "Mapping"

    [columns]                 # own name = name in the dictionary
    rr_sys = "sbp"

    [values.sex]              # column by its name in the dictionary: own code = code there
    "1" = "M"
    "2" = "F"

Applied when records are read. A code that is neither mapped nor in the dictionary stays as it is, and is refused by the
check against the dictionary; messages have the number of such codes, never a code.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, model_validator

from mpcstats.errors import ConfigurationError, DataError
from mpcstats.node.consortium.roster import parse_toml, read_model
from mpcstats.node.records.consent import code_text
from mpcstats.study.canonical import document_digest
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.values import parse_day

__all__ = ["ColumnMapping", "fits", "load_mapping"]

_Value = StrictBool | StrictInt | StrictFloat | str


class ColumnMapping(BaseModel):
    """Names and codes of one party.

    Attributes
    ----------
    columns : mapping of own column name to the dictionary's
    values : mapping of column (as in the dictionary) to own code -> code there
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    apiVersion: Literal["mpcstats/v1"] = "mpcstats/v1"
    kind: Literal["Mapping"] = "Mapping"
    columns: dict[str, str] = Field(default_factory=dict, max_length=10_000)
    values: dict[str, dict[str, _Value]] = Field(default_factory=dict, max_length=10_000)

    @model_validator(mode="after")
    def _unambiguous(self) -> ColumnMapping:
        targets = list(self.columns.values())
        twice = sorted({name for name in targets if targets.count(name) > 1})
        if twice:
            raise ValueError(f"several columns are renamed to {', '.join(map(repr, twice))}")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the content (hex)."""
        plain = {name: {code: str(value) for code, value in codes.items()} for name, codes in self.values.items()}
        return document_digest("mapping", {"columns": self.columns, "values": plain}).hex()

    def names(self, own: list[str], where: str, party: str) -> list[str]:
        """The table's column names after renaming, in its order.

        Raises
        ------
        DataError
            A column that is renamed, or whose codes are mapped, is not there; or a new name is taken.
        """
        absent = [name for name in self.columns if name not in own]
        if absent:
            raise DataError(
                f"{where} has no column {', '.join(map(repr, absent))}, which mapping.toml renames", party=party
            )
        renamed = [self.columns.get(name, name) for name in own]
        twice = sorted({name for name in renamed if renamed.count(name) > 1})
        if twice:
            raise DataError(
                f"{where}: mapping.toml renames a column to {', '.join(map(repr, twice))}, which the table has already",
                party=party,
            )
        unknown = [name for name in self.values if name not in renamed]
        if unknown:
            raise DataError(
                f"{where} has no column {', '.join(map(repr, unknown))}, whose codes mapping.toml maps", party=party
            )
        return renamed

    def check(self, dictionary: Dictionary) -> None:
        """Check names and codes on the right-hand sides.

        Raises
        ------
        ConfigurationError
            The dictionary does not have them.
        """
        known = set(dictionary.names)
        absent = sorted({*self.columns.values(), *self.values} - known)
        if absent:
            raise ConfigurationError(
                f"mapping.toml leads to {', '.join(map(repr, absent))}: the data dictionary has no such column",
                hint=f"columns: {', '.join(dictionary.names[:30])}",
            )
        for name, codes in self.values.items():
            column = dictionary.column(name)
            wrong = sum(not fits(value, column) for value in codes.values())
            if wrong:
                raise ConfigurationError(
                    f"mapping.toml, [values.{name}]: {wrong} of the codes on the right are none of {column.title}",
                    hint="the right side has the dictionary's codes, as it writes them (text in quotes, numbers not)",
                )

    def apply(self, name: str, cells: pd.Series[Any], column: Column | None) -> pd.Series[Any]:
        """The cells of a column (named as in the dictionary) with the dictionary's codes.

        Parameters
        ----------
        column : Column, optional
            Of the dictionary; without it the mapped values decide what the column holds.
        """
        codes = self.values.get(name)
        if codes is None:
            return cells
        places, found = pd.factorize(pd.Series(code_text(cells), dtype=object))
        mapped = [codes.get(text, text) for text in found]
        return _typed(mapped, places, column).set_axis(cells.index)


def load_mapping(path: Path) -> ColumnMapping:
    """Read `mapping.toml`.

    Raises
    ------
    ConfigurationError
        Names file and field.
    """
    return read_model(ColumnMapping, parse_toml(path), str(path))


def fits(value: bool | int | float | str, column: Column) -> bool:
    """Whether a value written in TOML is one that a column may hold."""
    if column.type == "category":
        return isinstance(value, str) and (column.levels is None or value in column.levels)
    if column.type == "boolean":
        return isinstance(value, bool)
    if column.type == "date":
        day = parse_day(value) if isinstance(value, str) else None
        first, last = column.days or (datetime.date.min, datetime.date.max)
        return day is not None and first <= day <= last
    if isinstance(value, bool | str) or (column.type == "integer" and not isinstance(value, int)):
        return False
    low, high = column.range or (-np.inf, np.inf)
    return low <= value <= high and (column.levels is None or value in column.levels)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _typed(mapped: list[Any], places: NDArray[np.intp], column: Column | None) -> pd.Series[Any]:
    """Cells of the type that the column has, where all of them can be."""
    if column is None:
        numbers = bool(mapped) and all(isinstance(value, int | float) for value in mapped)
    else:
        numbers = column.type not in {"category", "date"}
        mapped = [_as_number(value) for value in mapped] if numbers else mapped
        numbers = all(not isinstance(value, str) for value in mapped)
    if numbers:
        # the last one for code -1, missing
        return pd.Series(np.array([*map(float, mapped), np.nan])[places])
    cells = np.array([*mapped, None], dtype=object)
    if column is None or column.type in {"category", "date"}:
        cells = np.array([None if cell is None else _as_code(cell) for cell in cells], dtype=object)
    return pd.Series(cells[places], dtype=object)


def _as_number(value: Any) -> Any:
    """A text that is a number, or a truth value, as such; other text as it is."""
    if not isinstance(value, str):
        return value
    if value in {"true", "false"}:
        return value == "true"
    number = _number(value)
    return value if number is None else number


def _as_code(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
