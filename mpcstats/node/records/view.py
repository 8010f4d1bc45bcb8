"""A table as its party lets it be seen: without the rows that lack consent, under the dictionary's names and codes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from mpcstats.node.records.consent import Consent
from mpcstats.node.records.mapping import ColumnMapping
from mpcstats.node.records.parquet import ParquetTable, is_text
from mpcstats.study.dictionary import Column, Dictionary

__all__ = ["with_consent", "with_mapping"]

_Table = pd.DataFrame | ParquetTable


def with_consent(source: _Table, consent: Consent | None, where: str, party: str) -> tuple[_Table, int]:
    """The rows that may be used, and how many may not.

    Raises
    ------
    DataError
        The column that says so is not there.
    """
    if consent is None:
        return source, 0
    if isinstance(source, ParquetTable):
        return _parquet_with_consent(source, consent, where, party)
    consent.require_column(list(source.columns), where, party)
    kept = consent.allowed(source[consent.column])
    return source[kept].reset_index(drop=True), int((~kept).sum())


def with_mapping(
    source: _Table, mapping: ColumnMapping | None, dictionary: Dictionary | None, where: str, party: str
) -> _Table:
    """The table under the dictionary's names and codes.

    Raises
    ------
    DataError
        A column that is renamed or mapped is not there, or a new name is taken.
    """
    if mapping is None:
        return source
    columns = {column.name: column for column in (dictionary.columns if dictionary is not None else ())}

    def mapped(name: str, cells: pd.Series[Any]) -> pd.Series[Any]:
        return mapping.apply(name, cells, columns.get(name))

    if isinstance(source, ParquetTable):
        own = list(source.types)
        names = mapping.names(own, where, party)
        types = dict(zip(names, source.types.values(), strict=True))
        own_names = {new: old for new, old in zip(names, own, strict=True) if new != old}
        rules = [mapping.digest, *(_rule(columns.get(name)) for name in mapping.values)]
        view = " ".join([*filter(None, [source.view]), *rules])
        return replace(source, types=types, own_names=own_names, cells=mapped, view=view)
    frame = source.set_axis(mapping.names(list(source.columns), where, party), axis="columns")
    for name in mapping.values:
        frame[name] = mapped(name, frame[name])
    return frame


def _rule(column: Column | None) -> str:
    """What decides about the type that mapped cells get."""
    return "" if column is None else column.type


def _parquet_with_consent(source: ParquetTable, consent: Consent, where: str, party: str) -> tuple[ParquetTable, int]:
    import pyarrow as pa

    consent.require_column(list(source.types), where, party)
    cells = source.read([consent.column])[consent.column]
    kept = consent.allowed(cells)
    physical = source.types[consent.column]
    in_words = None
    if "\0" not in consent.column and (
        is_text(physical) or pa.types.is_integer(physical) or pa.types.is_boolean(physical)
    ):
        plain = physical.value_type if pa.types.is_dictionary(physical) else physical
        values = [cell for cell in cells[kept].unique() if not pd.isna(cell)]
        in_words = (consent.column, pa.array(values, plain))
    left_out = int((~kept).sum())
    view = " ".join([*filter(None, [source.view]), consent.digest])
    return replace(source, rows=source.rows - left_out, kept=kept, kept_values=in_words, view=view), left_out
