"""Delimited text and Parquet files as columns, strictly: nothing is guessed, repaired or dropped in silence.

Error messages name the file, columns and counts, never the content of a cell.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd

from mpcstats.errors import DataError

__all__ = [
    "MAX_COLUMNS",
    "MAX_FIELD",
    "MAX_ROWS",
    "check_names",
    "read_text_rows",
    "read_text_table",
    "unreadable",
]

MAX_ROWS = 50_000_000
MAX_COLUMNS = 10_000
MAX_FIELD = 10_000
MISSING = ("", "NA", "NaN", ".")
_MAX_HEADER = 4_000_000
_NUMBER = r"^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?)$"
_LEADING_ZERO = r"^[+-]?0\d"
_BOOLEAN = r"^(?:true|True|TRUE|false|False|FALSE)$"


def read_text_table(
    path: Path, party: str, text_columns: Collection[str] = (), number_columns: Collection[str] = ()
) -> pd.DataFrame:
    """Read a table with a header line.

    Parameters
    ----------
    path : Path
        .csv: commas; .tsv: tabs; others: tabs if the header has one, else any white space (PLINK style).
    party : str
        For errors.
    text_columns : collection of str
        Columns that are kept as text, whatever they look like.
    number_columns : collection of str
        Columns in which 007 is the number 7.

    Returns
    -------
    DataFrame
        A column is numeric only if every cell is a number, boolean only if every cell is true or false, else text
        as written; numbers with leading zeros (codes) stay text; dates stay text. float64 is the nearest to the
        digits in the file. Empty cells, NA, NaN and "." are missing.

    Raises
    ------
    DataError
        Unreadable, not UTF-8, no header, rows of another length than the header, or above the limits.
    """
    header = _read_header(path, party)
    delimiter, names = _parse_header(path, header, party)
    if delimiter == " ":
        data: Any = _tabs_for_white_space(_read_bytes(path, party))
        table = read_text_rows(data, names, path, party, skip=1)
    else:
        table = read_text_rows(path, names, path, party, skip=1, delimiter=delimiter, quoted=True)
    columns = {name: _typed(table[name], name in text_columns, name in number_columns) for name in names}
    return pd.DataFrame(columns, columns=names)


def read_text_rows(
    source: Any,
    names: list[str],
    path: Path,
    party: str,
    *,
    skip: int = 0,
    delimiter: str = "\t",
    quoted: bool = False,
    missing: tuple[str, ...] = MISSING,
    only: list[str] | None = None,
) -> Any:
    """Read rows of text cells.

    Parameters
    ----------
    source : Path or bytes
    names : list of str
        One per column; a row with another number of fields is an error.
    path : Path
        For errors.
    skip : int
        Lines before the first row.
    missing : tuple of str
        Cells that are missing.
    only : list of str, optional
        Columns that are kept; default: all.

    Returns
    -------
    pyarrow.Table
        All columns of type string; missing cells are null.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    wrong: list[int] = []

    def count(row: Any) -> str:
        wrong.append(int(row.number))
        return "skip"

    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(source) if isinstance(source, bytes) else source,
            read_options=arrow_csv.ReadOptions(column_names=names, skip_rows=skip, use_threads=False),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, quote_char='"' if quoted else False, invalid_row_handler=count
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                strings_can_be_null=True,
                null_values=list(missing),
                include_columns=only or [],
            ),
        )
    except OSError as error:
        unreadable(path, error, party)
    except pa.ArrowInvalid as error:
        table = _after_failure(str(error), names, path, party)
    if wrong:
        raise DataError(
            f"{path.name}: {len(wrong)} rows do not have {len(names)} fields; the first is line {wrong[0]}", party=party
        )
    if table.num_rows > MAX_ROWS:
        raise DataError(f"{path.name} has {table.num_rows:,} rows; at most {MAX_ROWS:,} are allowed", party=party)
    _check_field_lengths(table, path, party)
    return table


def check_names(names: list[Any], where: str, party: str) -> None:
    """Column names are texts of 1 to 256 characters, each used once, at most 10,000 of them."""
    if not names:
        raise DataError(f"{where} has no columns", party=party, hint="give it a header line with column names")
    if len(names) > MAX_COLUMNS:
        raise DataError(f"{where} has {len(names):,} columns; at most {MAX_COLUMNS:,} are allowed", party=party)
    for number, name in enumerate(names, start=1):
        if not isinstance(name, str) or not 1 <= len(name.strip()) <= 256:
            raise DataError(
                f"{where}: column {number} has no usable name (a text of 1 to 256 characters)",
                party=party,
                hint="name it in the header; R writes an unnamed column unless row.names = FALSE",
            )
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if first.setdefault(name, number) != number:
            # by number: were the header line forgotten, the name would be a record's value
            raise DataError(f"{where}: columns {first[name]} and {number} have the same name", party=party)


def _read_header(path: Path, party: str) -> str:
    try:
        if os.stat(path).st_size == 0:
            raise DataError(f"{path.name} is empty", party=party, hint="a header line with column names is needed")
        with path.open(encoding="utf-8-sig") as file:
            return file.readline(_MAX_HEADER).rstrip("\n")
    except UnicodeDecodeError:
        raise DataError(f"{path.name} is not UTF-8 text", party=party, hint="save it as CSV in UTF-8") from None
    except OSError as error:
        unreadable(path, error, party)


def _parse_header(path: Path, header: str, party: str) -> tuple[str, list[str]]:
    """Delimiter (" " for any white space) and column names."""
    delimiter = {".csv": ",", ".tsv": "\t"}.get(path.suffix.lower(), "\t" if "\t" in header else " ")
    if delimiter == " ":
        names = header.split()
    elif header.count('"') % 2:
        raise DataError(f"{path.name}: a quote in the header line is not closed", party=party)
    else:
        names = next(csv.reader([header], delimiter=delimiter), [])
    if names and delimiter != ",":
        names[0] = names[0].removeprefix("#")  # PLINK 2 marks its header line so
    if not header.strip() or any(_is_number(name) for name in names):
        problem = f"{path.name}: the first line is not a header line (a field is empty or a number)"
        raise DataError(problem, party=party, hint="add a header line with column names")
    check_names(names, path.name, party)
    if len(names) == 1 and delimiter == "," and (";" in header or "\t" in header):
        raise DataError(f"{path.name}: fields must be separated by commas", party=party, hint="use .tsv for tabs")
    return delimiter, names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.strip() == ""
    return True


def _read_bytes(path: Path, party: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        unreadable(path, error, party)


def _tabs_for_white_space(data: bytes) -> bytes:
    return b"".join(b"\t".join(line.split()) + b"\n" for line in data.splitlines())


def unreadable(path: Path, error: OSError, party: str) -> NoReturn:
    """Raise DataError for a file that the operating system does not let us read."""
    # not strerror: Arrow puts whole sentences there
    reason = os.strerror(error.errno) if error.errno else "input/output error"
    problem = f"{path} cannot be read: {reason}"
    raise DataError(problem, party=party, hint="check the path and the permissions") from None


def _after_failure(message: str, names: list[str], path: Path, party: str) -> Any:
    """Arrow refuses a file that ends with its header line; everything else is an error (its text may hold cells)."""
    import pyarrow as pa

    if "Could not skip initial" in message or "Empty CSV file" in message:
        return pa.table({name: pa.array([], pa.string()) for name in names})
    if "UTF8" in message:
        raise DataError(f"{path.name} is not UTF-8 text", party=party, hint="save it in UTF-8") from None
    if "straddling" in message:
        problem = f"{path.name} has a line that is too long, or a quote that is never closed"
        raise DataError(problem, party=party) from None
    raise DataError(f"{path.name} is not a readable table", party=party) from None


def _check_field_lengths(table: Any, path: Path, party: str) -> None:
    from pyarrow import compute

    for name in table.column_names:
        longest = compute.max(compute.binary_length(table[name])).as_py()
        if longest is not None and longest > MAX_FIELD:
            raise DataError(
                f"{path.name}: column {name!r} has a field of {longest:,} bytes; at most {MAX_FIELD:,} are allowed",
                party=party,
            )


def _typed(cells: Any, keep_text: bool, is_number: bool) -> pd.Series[Any]:
    """The narrowest type that holds every cell exactly as written."""
    import pyarrow as pa
    from pyarrow import compute

    def every(pattern: str) -> bool:
        return bool(compute.all(compute.match_substring_regex(cells, pattern)).as_py())

    if cells.null_count == len(cells):
        return pd.Series(np.full(len(cells), np.nan), dtype=object if keep_text else np.float64)
    if not keep_text and every(_NUMBER):
        if not is_number and compute.any(compute.match_substring_regex(cells, _LEADING_ZERO)).as_py():
            keep_text = True
        elif every(r"^[+-]?\d{1,18}$") and cells.null_count == 0:
            return pd.Series(cells.cast(pa.int64()).to_numpy())
        elif is_number or not compute.any(compute.match_substring_regex(cells, r"^[+-]?\d{17,}$")).as_py():
            return pd.Series(cells.cast(pa.float64()).to_numpy())
        # whole numbers that float64 cannot hold are identifiers: text as written
    elif not keep_text and every(_BOOLEAN):
        truth = compute.equal(compute.utf8_lower(cells), "true")
        return pd.Series(truth.to_pandas(), dtype="boolean" if cells.null_count else "bool")
    return pd.Series(cells.to_numpy(), dtype=object)
