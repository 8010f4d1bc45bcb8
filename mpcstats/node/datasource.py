"""A party's own records: what a statistician names (`Dataset`), loaded and checked (`Records`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mpcstats.errors import DataError
from mpcstats.node.genotypes import Genotypes, open_genotypes
from mpcstats.node.tables import MAX_ROWS, check_names, read_parquet, read_text_table
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.values import as_numbers, as_text, kind_of

__all__ = ["Dataset", "Records", "load"]

ID_NAMES = ("iid", "id", "sample_id", "sample", "person_id")
_PLINK_IDS = ("FID", "IID")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Where one party's records are.

    Parameters
    ----------
    table : DataFrame or path
        One row per person (or per record, see `Dictionary.unit_of_count`). Files: .csv, .tsv, .txt (tabs or white
        space, as PLINK writes), .parquet. A header without rows is an empty site.
    genotypes : path, optional
        PLINK 1 prefix: bed, bim and fam files of the same name.
    id : str, optional
        Column that identifies the rows: no value may be missing or repeated. It links the table to the genotypes;
        without it, the columns FID and IID or IID do, or the first of id, sample_id, sample, person_id.
    """

    table: pd.DataFrame | str | Path
    genotypes: str | Path | None = None
    id: str | None = None


@dataclass(frozen=True, eq=False)
class Records:
    """Records in memory at their owner.

    Attributes
    ----------
    frame : DataFrame
        The table; identifiers are text.
    genotypes : Genotypes or None
    id_column : str or None
        Column that identifies the rows.
    family_column : str or None
        "FID" if people are identified by family and individual id together.
    """

    frame: pd.DataFrame
    genotypes: Genotypes | None = None
    id_column: str | None = None
    family_column: str | None = None


def load(dataset: Dataset | pd.DataFrame | str | Path, party: str, dictionary: Dictionary | None = None) -> Records:
    """Read and check a party's records.

    Parameters
    ----------
    dataset : Dataset, DataFrame or path
    party : str
        Owner, named in errors.
    dictionary : Dictionary, optional
        Its category columns are read as text, whatever they look like (codes such as 1, 2), its numeric columns as
        numbers (007 is 7). Without it, a column of a text file whose numbers have leading zeros is text.

    Raises
    ------
    DataError
        Unreadable file, no header, duplicate column names or ids, infinite numbers, genotype files that do not fit.
        The message has names and counts, never a record's value.
    """
    if not isinstance(dataset, Dataset):
        dataset = Dataset(dataset)
    described = dictionary.columns if dictionary else ()
    names_of_ids = [*_PLINK_IDS, *([dataset.id] if dataset.id is not None else [])]
    as_written = [*names_of_ids, *(column.name for column in described if column.type == "category")]
    frame, where = _read_frame(dataset.table, party, as_written, [c.name for c in described if c.is_number])
    genotypes = open_genotypes(dataset.genotypes, party) if dataset.genotypes is not None else None
    id_column, family_column = _find_ids(list(frame.columns), dataset, where, party)
    for name in dict.fromkeys([*names_of_ids, *([id_column] if id_column else [])]):
        if name in frame.columns:
            frame[name] = as_text(frame[name])
    _check_ids(frame, id_column, family_column, where, party)
    _refuse_infinite(frame, where, party)
    return Records(frame=frame, genotypes=genotypes, id_column=id_column, family_column=family_column)


def _read_frame(table: Any, party: str, text: list[str], numbers: list[str]) -> tuple[pd.DataFrame, str]:
    """A frame of our own (the caller's is not changed), and its name for messages."""
    if isinstance(table, pd.DataFrame):
        check_names(list(table.columns), "the table", party)
        if len(table) > MAX_ROWS:
            raise DataError(f"the table has {len(table):,} rows; at most {MAX_ROWS:,} are allowed", party=party)
        return table.reset_index(drop=True), "the table"
    if not isinstance(table, str | Path):
        raise DataError(f"a table is a DataFrame or a path, not {type(table).__name__}", party=party)
    path = Path(table)
    readers: dict[str, Callable[[], pd.DataFrame]] = {
        ".csv": lambda: read_text_table(path, party, text, numbers),
        ".tsv": lambda: read_text_table(path, party, text, numbers),
        ".txt": lambda: read_text_table(path, party, text, numbers),
        ".parquet": lambda: read_parquet(path, party),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path.name}: tables are read from {', '.join(readers)} files", party=party)
    return reader(), path.name


def _find_ids(names: list[str], dataset: Dataset, where: str, party: str) -> tuple[str | None, str | None]:
    if dataset.id is not None:
        if dataset.id not in names:
            raise DataError(f"{where} has no column {dataset.id!r}, which was named as id", party=party)
        return dataset.id, None
    if dataset.genotypes is None:
        return None, None
    if "IID" in names:
        return "IID", "FID" if "FID" in names else None
    folded = {name.casefold(): name for name in reversed(names)}
    found = next((folded[name] for name in ID_NAMES if name in folded), None)
    if found is None:
        raise DataError(
            f"{where} has no column that links its rows to the genotypes",
            party=party,
            hint='name it, for example ms.Dataset(..., id="IID")',
        )
    return found, None


def _check_ids(frame: pd.DataFrame, id_column: str | None, family_column: str | None, where: str, party: str) -> None:
    if id_column is None:
        return
    key = [id_column] if family_column is None else [family_column, id_column]
    missing = int(frame[key].isna().any(axis=1).sum())
    if missing:
        raise DataError(f"{where}: {missing} rows have no id in column {id_column!r}", party=party)
    repeated = int(frame.duplicated(key).sum())
    if repeated:
        raise DataError(
            f"{where}: {repeated} rows repeat an id of column {id_column!r}",
            party=party,
            hint="keep one row per person; in a table of several rows per person name the person column as "
            "unit_of_count in the dictionary, not as id",
        )


def _refuse_infinite(frame: pd.DataFrame, where: str, party: str) -> None:
    for name in frame.columns:
        if kind_of(frame[name]) in {"integer", "decimal"}:
            infinite = int(np.isinf(as_numbers(frame[name])).sum())
            if infinite:
                problem = f"{where}: column {name!r} has {infinite} infinite numbers"
                raise DataError(problem, party=party, hint="leave the cells empty")
