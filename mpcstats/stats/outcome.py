"""What an analysis gives back: tables of numbers, the conventions behind them, and what was withheld."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from mpcstats.stats.stored_table import StoredTable, Tables

__all__ = ["Outcome", "plain_value"]


@dataclass(frozen=True)
class Outcome:
    """The released result of one analysis; the same at every party.

    Attributes
    ----------
    analysis : str
        The analysis' name, e.g. "kaplan-meier".
    tables : dict of str to DataFrame
        Released tables by name. The first one is the main table.
    values : dict
        Single released numbers and texts, e.g. {"chi_square": 10.3, "degrees_of_freedom": 1}.
    conventions : dict of str to str
        Every choice that changes a digit: interval type, ties, treatment of missing values.
    withheld : list of str
        One sentence for each thing that disclosure control did not let out, naming rule and number.
    run : dict
        How it was computed: parties, threshold, rounds, bytes sent per party, opened values, kappa_total, policy.
    """

    analysis: str
    tables: dict[str, pd.DataFrame]
    values: dict[str, Any] = field(default_factory=dict)
    conventions: dict[str, str] = field(default_factory=dict)
    withheld: list[str] = field(default_factory=list)
    run: dict[str, Any] = field(default_factory=dict)

    def stored(self, name: str) -> StoredTable | None:
        """The file of a large table that nobody has looked at."""
        return self.tables.stored(name) if isinstance(self.tables, Tables) else None

    def discard_files(self) -> None:
        """Delete the files of tables that nobody has looked at."""
        if isinstance(self.tables, Tables):
            self.tables.discard()

    def to_json(self) -> str:
        """Serialise. Doubles survive to the last bit; NaN is null, infinities are "Infinity" and "-Infinity"."""
        return json.dumps(
            {
                "analysis": self.analysis,
                "tables": {name: _table_to_plain(table) for name, table in self.tables.items()},
                "values": plain_value(self.values),
                "conventions": self.conventions,
                "withheld": self.withheld,
                "run": plain_value(self.run),
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """Parse what `to_json` wrote."""
        plain = json.loads(text)
        return cls(
            analysis=plain["analysis"],
            tables={name: _table_from_plain(table) for name, table in plain["tables"].items()},
            values=_restored(plain["values"]),
            conventions=plain["conventions"],
            withheld=plain["withheld"],
            run=_restored(plain["run"]),
        )


def _table_to_plain(table: pd.DataFrame) -> dict[str, Any]:
    return {
        "columns": [str(name) for name in table.columns],
        "dtypes": [str(kind) for kind in table.dtypes],
        "data": [[plain_value(value) for value in table[name].tolist()] for name in table.columns],
    }


def _table_from_plain(plain: dict[str, Any]) -> pd.DataFrame:
    series = {}
    for name, kind, data in zip(plain["columns"], plain["dtypes"], plain["data"], strict=True):
        values = [_restored(value) for value in data]
        if kind.startswith("float"):
            values = [math.nan if value is None else value for value in values]
        series[name] = pd.Series(values, dtype=kind)
    return pd.DataFrame(series, columns=plain["columns"])


def plain_value(value: Any) -> Any:
    """JSON values: NaN and what is missing become None, infinities text."""
    if isinstance(value, dict):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    if value is pd.NA or value is None:
        return None
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return value


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _restored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_restored(item) for item in value]
    return {"Infinity": math.inf, "-Infinity": -math.inf}.get(value, value) if isinstance(value, str) else value
