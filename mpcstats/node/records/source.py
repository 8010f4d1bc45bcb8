"""A party's own records: what a statistician names (`Dataset`), loaded and checked (`Records`)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mpcstats.errors import DataError
from mpcstats.node.genotypes import Genotypes, open_genotypes
from mpcstats.node.genotypes.harmonise import MatchBy
from mpcstats.node.genotypes.harmonised import harmonised
from mpcstats.node.genotypes.study_list import read_study_list
from mpcstats.node.records.consent import Consent
from mpcstats.node.records.mapping import load_mapping
from mpcstats.node.records.parquet import ParquetTable, identifies_rows, open_parquet
from mpcstats.node.records.tables import MAX_ROWS, check_names, read_text_table
from mpcstats.node.records.view import with_consent, with_mapping
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.values import as_numbers, as_text, kind_of

__all__ = ["Dataset", "Records", "load", "load_genotypes"]

ID_NAMES = ("iid", "id", "sample_id", "sample", "person_id")
_PLINK_IDS = ("FID", "IID")
_WHITE_SPACE = (".txt", ".phe", ".pheno", ".cov", ".covar")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Where one party's records are.

    Parameters
    ----------
    table : DataFrame or path
        One row per person (or per record, see `Dictionary.unit_of_count`). Files: .csv, .tsv, .parquet; .txt, .phe,
        .pheno, .cov, .covar (tabs or white space, as PLINK writes). A header without rows is an empty site. Cells with
        NA, NaN, "." or nothing are missing; -9 is a number, refused where the dictionary does not allow it.
    genotypes : path, optional
        PLINK 1 or 2 prefix (bed, bim, fam or pgen, pvar, psam files of the same name), or a .vcf, .vcf.gz or .bcf file.
    id : str, optional
        Column that identifies the rows: no value may be missing or repeated. It links the table to the genotypes;
        without it, the columns FID and IID or IID do, or the first of id, sample_id, sample, person_id.
    variants : path, optional
        The study's public list of variants, the same file at every party (`mpcstats variants make`), onto which the
        genotypes are mapped here. Without it, all parties need the same variants in the same order.
    variant_match : {"position", "id"}
        How variants are found in that list: by chromosome, position and alleles (and by id where that fails), or by id
        alone, for genotypes of another genome build.
    consent : Consent, optional
        Which rows may be used; the others are left out before anything else.
    mapping : path, optional
        `mapping.toml`: own names and codes, and what the dictionary calls them. `id` is a name after it.
    """

    table: pd.DataFrame | str | Path
    genotypes: str | Path | None = None
    id: str | None = None
    variants: str | Path | None = None
    variant_match: MatchBy = "position"
    consent: Consent | None = None
    mapping: str | Path | None = None


@dataclass(frozen=True, eq=False)
class Records:
    """Records at their owner: a table in memory, or a file whose columns are read when they are needed.

    Attributes
    ----------
    source : DataFrame or ParquetTable
        The table; identifiers are text.
    genotypes : Genotypes or None
    id_column : str or None
        Column that identifies the rows.
    family_column : str or None
        "FID" if people are identified by family and individual id together.
    variants : DataFrame or None
        The study's variants: its list, or those of the genotypes without one.
    without_consent : int
        Rows of the table that were left out first of all.
    """

    source: pd.DataFrame | ParquetTable
    genotypes: Genotypes | None = None
    id_column: str | None = None
    family_column: str | None = None
    variants: pd.DataFrame | None = None
    without_consent: int = 0

    @property
    def names(self) -> list[str]:
        """Column names."""
        return [str(name) for name in (self.source if isinstance(self.source, pd.DataFrame) else self.source.types)]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.source) if isinstance(self.source, pd.DataFrame) else self.source.rows

    def columns(self, names: Sequence[str]) -> pd.DataFrame:
        """Some columns; of a file, these alone are read."""
        if isinstance(self.source, ParquetTable):
            return self.source.read(names)
        return self.source[list(names)]

    @functools.cached_property
    def frame(self) -> pd.DataFrame:
        """The whole table, in memory from now on."""
        return self.columns(self.names) if isinstance(self.source, ParquetTable) else self.source


def load(
    dataset: Dataset | pd.DataFrame | str | Path,
    party: str,
    dictionary: Dictionary | None = None,
    cache: Path | None = None,
    check_ids: bool = True,
) -> Records:
    """Read and check a party's records.

    Parameters
    ----------
    dataset : Dataset, DataFrame or path
    party : str
        Owner, named in errors.
    dictionary : Dictionary, optional
        Its category and date columns are read as text, whatever they look like (codes such as 1, 2), its numeric
        columns as numbers (007 is 7). Without it, a column of a text file whose numbers have leading zeros is text.
    cache : Path, optional
        See `open_genotypes`.
    check_ids : bool
        Refuse missing and repeated ids.

    Raises
    ------
    ConfigurationError
        `mapping.toml` is wrong, or leads to what the dictionary does not have.
    DataError
        Unreadable file, no header, duplicate column names or ids, infinite numbers (of a Parquet file, in columns that
        are used), genotype files that do not fit. The message has names and counts, never a record's value.
    """
    if not isinstance(dataset, Dataset):
        dataset = Dataset(dataset)
    described = dictionary.columns if dictionary else ()
    names_of_ids = [*_PLINK_IDS, *([dataset.id] if dataset.id is not None else [])]
    as_written = [*names_of_ids, *(column.name for column in described if column.type in {"category", "date"})]
    numbers = [column.name for column in described if column.is_number]
    mapping = None if dataset.mapping is None else load_mapping(Path(dataset.mapping))
    if mapping is not None:
        if dictionary is not None:
            mapping.check(dictionary)
        own = {common: name for name, common in mapping.columns.items()}
        as_written = [own.get(name, name) for name in (*as_written, *mapping.values)]
        numbers = [own.get(name, name) for name in numbers]
    source, where = _open_table(dataset.table, party, as_written, numbers)
    source, left_out = with_consent(source, dataset.consent, where, party)
    source = with_mapping(source, mapping, dictionary, where, party)
    genotypes, variants = load_genotypes(dataset, party, cache)
    id_column, family_column = _find_ids(
        list(source.types if isinstance(source, ParquetTable) else source.columns), dataset, where, party
    )
    ids = {*names_of_ids, *([id_column] if id_column else [])}
    if isinstance(source, ParquetTable):
        source = replace(source, text=ids)
    else:
        for name in ids & set(source.columns):
            source[name] = as_text(source[name])
        _refuse_infinite(source, where, party)
    records = Records(source, genotypes, id_column, family_column, variants, left_out)
    if check_ids:
        _check_ids(records, where, party)
    return records


def load_genotypes(dataset: Dataset, party: str, cache: Path | None) -> tuple[Genotypes | None, pd.DataFrame | None]:
    """A data set's genotypes, mapped onto the study's list if there is one; the study's variants.

    Raises
    ------
    DataError
        Files that cannot be used, a list that fits them nowhere or is of another genome build.
    """
    genotypes = open_genotypes(dataset.genotypes, party, cache) if dataset.genotypes is not None else None
    if dataset.variants is None:
        return genotypes, None if genotypes is None else genotypes.variants
    study = read_study_list(Path(dataset.variants), party).variants
    return None if genotypes is None else harmonised(genotypes, study, dataset.variant_match), study


def _open_table(table: Any, party: str, text: list[str], numbers: list[str]) -> tuple[pd.DataFrame | ParquetTable, str]:
    """A table of our own (the caller's frame is not changed), and its name for messages."""
    if isinstance(table, pd.DataFrame):
        check_names(list(table.columns), "the table", party)
        if len(table) > MAX_ROWS:
            raise DataError(f"the table has {len(table):,} rows; at most {MAX_ROWS:,} are allowed", party=party)
        return table.reset_index(drop=True), "the table"
    if not isinstance(table, str | Path):
        raise DataError(f"a table is a DataFrame or a path, not {type(table).__name__}", party=party)
    path = Path(table)
    readers: dict[str, Callable[[], pd.DataFrame | ParquetTable]] = {
        ".csv": lambda: read_text_table(path, party, text, numbers),
        ".tsv": lambda: read_text_table(path, party, text, numbers),
        **dict.fromkeys(_WHITE_SPACE, lambda: read_text_table(path, party, text, numbers)),
        ".parquet": lambda: open_parquet(path, party),
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


def _check_ids(records: Records, where: str, party: str) -> None:
    if records.id_column is None:
        return
    key = [records.id_column] if records.family_column is None else [records.family_column, records.id_column]
    if isinstance(records.source, ParquetTable) and identifies_rows(records.source, key):
        return
    frame = records.columns(key)
    missing = int(frame.isna().any(axis=1).sum())
    if missing:
        raise DataError(f"{where}: {missing} rows have no id in column {records.id_column!r}", party=party)
    repeated = int(frame.duplicated().sum())
    if repeated:
        raise DataError(
            f"{where}: {repeated} rows repeat an id of column {records.id_column!r}",
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
