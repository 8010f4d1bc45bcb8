"""People who are in a party's table and in its genotypes: which rows they are, and their calls."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.node.genotypes import Genotypes
from mpcstats.node.genotypes.harmonised import HarmonisedGenotypes
from mpcstats.node.records.rows import Preparation
from mpcstats.node.records.source import Records
from mpcstats.study.values import as_text
from mpcstats.study.variants import variant_digest

__all__ = ["IdMatch", "LinkedPeople", "linked_people", "match_ids"]


@dataclass(frozen=True)
class LinkedPeople:
    """People with a genotype sample and a complete row.

    Attributes
    ----------
    rows : intp (people,)
        Their rows of the table, in the genotype file's order.
    read : function (start, stop) -> int8 (people, stop - start)
        Copies of ALT for a range of variants: 0, 1, 2, or -1 where the call is missing.
    report : Preparation
    origin : bytes
        SHA-256 over whose calls `read` reads, and from which state of the file.
    """

    rows: NDArray[np.intp]
    read: Callable[[int, int], NDArray[np.int8]]
    report: Preparation
    origin: bytes = b""


@dataclass(frozen=True)
class IdMatch:
    """How the ids of a table and of its genotypes fit together.

    Attributes
    ----------
    row_ids, sample_ids : Index
        What is compared.
    samples : intp (rows,)
        For each row its sample, -1 where none has its id.
    nearly : int
        Rows without a sample that would have one but for letter case, leading zeros or the family id.
    """

    row_ids: pd.Index[Any]
    sample_ids: pd.Index[Any]
    samples: NDArray[np.intp]
    nearly: int


def match_ids(records: Records, genotypes: Genotypes, party: str) -> IdMatch:
    """Compare the ids of a table with those of genotypes, as `linked_people` does.

    Raises
    ------
    DataError
        No column links the two, or ids are repeated.
    """
    own, known = _ids(records, genotypes, party)
    samples = np.asarray(known.get_indexer(own), dtype=np.intp)
    return IdMatch(own, known, samples, _nearly(records, genotypes, samples < 0))


def linked_people(frame: pd.DataFrame, records: Records, digest: str, variant_count: int, party: str) -> LinkedPeople:
    """Link the rows of a table to the samples of its genotypes.

    Parameters
    ----------
    frame : DataFrame
        The columns that the analysis reads; rows with a missing value are left out.
    records : Records
        The whole table, with genotypes; an empty table needs none.
    digest, variant_count
        Of the study's variants.

    Raises
    ------
    DataError
        There are no genotypes, their variants are others, ids do not match.
    """
    genotypes = records.genotypes
    if genotypes is None:
        if len(frame):
            hint = 'name the files, for example ms.Dataset("traits.csv", genotypes="chr10", id="IID")'
            raise DataError("the data set has no genotypes at this party", party=party, hint=hint)
        nobody = np.zeros(0, dtype=np.intp)
        return LinkedPeople(nobody, _nothing, Preparation(0, 0, 0, 0, 0, 0))
    if variant_digest(genotypes.variants) != digest:
        raise DataError(
            f"{genotypes.variant_file}'s {len(genotypes.variants):,} variants are not the study's {variant_count:,}: "
            "chromosome, position, id and alleles must agree row by row",
            party=party,
            hint="agree on a list of variants: mpcstats variants make, and variants = FILE in every data set",
        )
    match = match_ids(records, genotypes, party)
    sample, nearly = match.samples, match.nearly
    linked = sample >= 0
    if len(frame) and not linked.any():
        samples = len(genotypes.samples)
        problem = f"none of the {len(frame):,} table rows has an id among the {samples:,} genotype samples"
        raise DataError(problem, party=party, hint=_explanation(records, genotypes, nearly, len(frame)))
    rows = np.flatnonzero(linked & frame.notna().all(axis=1).to_numpy())
    rows = rows[np.argsort(sample[rows], kind="stable")]
    people = sample[rows]

    def read(start: int, stop: int) -> NDArray[np.int8]:
        return genotypes.read(start, stop, people)

    absent = len(genotypes.samples) - int(linked.sum())
    incomplete = int(linked.sum()) - len(rows)
    mapped = genotypes.report if isinstance(genotypes, HarmonisedGenotypes) else None
    without = int((~linked).sum())
    report = Preparation(len(frame), len(frame), incomplete, without, absent, len(rows), nearly, mapped)
    return LinkedPeople(rows, read, report, _origin(genotypes, people))


def _origin(genotypes: Genotypes, people: NDArray[np.intp]) -> bytes:
    head = genotypes.state() + f" {len(people)} ".encode()
    return hashlib.sha256(head + np.ascontiguousarray(people, np.int64).tobytes()).digest()


def _nothing(start: int, stop: int) -> NDArray[np.int8]:
    return np.zeros((0, stop - start), dtype=np.int8)


def _ids(records: Records, genotypes: Genotypes, party: str) -> tuple[pd.Index[Any], pd.Index[Any]]:
    """What rows and samples are matched by: both ids, or the individual's where a side has no families.

    A family id "0" means none, as in PLINK; so a side whose family ids are all "0" has none.
    """
    if records.id_column is None:
        raise DataError("no column links the table to the genotypes", party=party, hint='name it: ms.Dataset(id="IID")')
    family = records.family_column
    table = records.columns([name for name in (family, records.id_column) if name is not None])
    if family is not None and _families(table[family]) and _families(genotypes.samples["fid"]):
        own: pd.Index[Any] = pd.MultiIndex.from_frame(table[[family, records.id_column]].astype(object))
        return own, pd.MultiIndex.from_frame(genotypes.samples[["fid", "iid"]])
    own = pd.Index(as_text(table[records.id_column]), dtype=object)
    known: pd.Index[Any] = pd.Index(genotypes.samples["iid"], dtype=object)
    hint = "give both table and genotypes the columns FID and IID, and name no id"
    repeated = int(known.duplicated().sum())
    if repeated:
        problem = (
            f"{repeated} samples of {genotypes.sample_file} repeat an individual id, and the table has no family id"
        )
        raise DataError(problem, party=party, hint=hint)
    repeated = int(own.duplicated().sum())
    if repeated:
        problem = (
            f"{repeated} rows repeat an individual id of column {records.id_column!r}, and {genotypes.sample_file} has "
            "no family ids"
        )
        raise DataError(problem, party=party, hint=hint)
    return own, known


def _families(names: pd.Series[Any]) -> bool:
    return bool((names != "0").any())


def _nearly(records: Records, genotypes: Genotypes, unlinked: NDArray[np.bool_]) -> int:
    """Rows without a sample that would have one but for spelling."""
    if not unlinked.any():
        return 0
    names = [name for name in (records.family_column, records.id_column) if name is not None]
    frame = records.columns(names)[unlinked]
    ids = pd.Series(as_text(frame[records.id_column]), dtype=object)
    samples = genotypes.samples
    joined = samples["fid"] + "_" + samples["iid"]  # what plink2 --export vcf names a sample
    known = pd.concat([_plain(samples["iid"]), _plain(joined)])
    found = _plain(ids).isin(known)
    if records.family_column is not None:
        families = pd.Series(as_text(frame[records.family_column]), dtype=object)
        found |= _plain(families + "_" + ids).isin(known)
    return int(found.sum())


def _plain(names: pd.Series[Any]) -> pd.Series[Any]:
    return names.str.casefold().str.replace(r"(?<!\d)0+(?=\d)", "", regex=True)


def _explanation(records: Records, genotypes: Genotypes, nearly: int, rows: int) -> str:
    where = f"ids come from column {records.id_column!r} and {genotypes.sample_file}"
    if not nearly:
        return where
    return f"{where}; {nearly:,} of {rows:,} would match but for letter case, leading zeros or the family id"
