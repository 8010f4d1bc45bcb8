"""PLINK 1 genotypes (bed, bim, fam) of one party, checked before use and read in blocks of variants."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.node.tables import read_text_rows, unreadable
from mpcstats.study.variants import variant_digest

__all__ = ["Genotypes", "open_genotypes", "variant_digest"]

_MAGIC = b"\x6c\x1b"
_VARIANT_MAJOR = b"\x01"
_BIM = ["chrom", "id", "cm", "pos", "a1", "a2"]
_FAM = ["fid", "iid", "father", "mother", "sex", "phenotype"]
_MISSING = -127  # bed-reader's int8 code


@dataclass(frozen=True, eq=False)
class Genotypes:
    """One party's genotypes; nothing is held in memory but the lists of people and variants.

    Attributes
    ----------
    prefix : Path
        The files are prefix.bed, prefix.bim, prefix.fam.
    samples : DataFrame
        fid, iid (text) per person, in the order of the fam file. The phenotype column of the fam file is not used.
    variants : DataFrame
        chrom (text), pos (int64), id, ref, alt (text) per variant: the bim file's A1 is alt, A2 is ref.
    party : str
        Owner, for errors.
    """

    prefix: Path
    samples: pd.DataFrame
    variants: pd.DataFrame
    party: str

    def read(self, start: int, stop: int, rows: NDArray[np.intp]) -> NDArray[np.int8]:
        """Copies of alt for variants start <= v < stop.

        Parameters
        ----------
        rows : integer array (people,)
            Positions in `samples`.

        Returns
        -------
        int8 (people, stop - start)
            0, 1, 2, or -1 where the call is missing.

        Raises
        ------
        DataError
            The file changed or cannot be read any more.
        """
        if not 0 <= start <= stop <= len(self.variants):
            raise ValueError(f"variants {start} to {stop} are not within 0 to {len(self.variants)}")
        if len(rows) == 0 or start == stop:
            return np.zeros((len(rows), stop - start), dtype=np.int8)
        counts = self._read_bed(start, stop, np.asarray(rows, dtype=np.intp))
        counts[counts == _MISSING] = -1
        return counts

    def _read_bed(self, start: int, stop: int, rows: NDArray[np.intp]) -> NDArray[np.int8]:
        import bed_reader

        bed = _file(self.prefix, ".bed")
        _check_size(bed, len(self.samples), len(self.variants), self.party)
        try:
            # properties of the fam and bim files were read and checked here already
            with bed_reader.open_bed(bed, iid_count=len(self.samples), sid_count=len(self.variants)) as file:
                values: NDArray[np.int8] = file.read(index=(rows, np.s_[start:stop]), dtype="int8")
        except (OSError, ValueError, RuntimeError, IndexError):
            raise DataError(f"{bed.name} cannot be read", party=self.party) from None
        return values


def open_genotypes(prefix: Path | str, party: str) -> Genotypes:
    """Check a PLINK 1 file set and list its people and variants.

    Parameters
    ----------
    prefix : path
        Without ".bed", ".bim", ".fam" (a trailing ".bed" is accepted).
    party : str
        Owner, for errors.

    Raises
    ------
    DataError
        A file is missing or malformed, the three files do not belong together, or people or variants repeat.
    """
    prefix = Path(prefix)
    if prefix.suffix in {".bed", ".bim", ".fam"}:
        prefix = prefix.with_suffix("")
    absent = [_file(prefix, suffix).name for suffix in (".bed", ".bim", ".fam") if not _file(prefix, suffix).is_file()]
    if absent:
        raise DataError(
            f"genotype files are missing in {prefix.parent}: {', '.join(absent)}",
            party=party,
            hint="genotypes are given as a PLINK 1 prefix: the path without .bed, .bim, .fam",
        )
    samples = _read_samples(_file(prefix, ".fam"), party)
    variants = _read_variants(_file(prefix, ".bim"), party)
    _check_magic(_file(prefix, ".bed"), party)
    _check_size(_file(prefix, ".bed"), len(samples), len(variants), party)
    return Genotypes(prefix=prefix, samples=samples, variants=variants, party=party)


def _file(prefix: Path, suffix: str) -> Path:
    return prefix.with_name(prefix.name + suffix)  # with_suffix would cut "chr1.clean" short


def _read_lines(path: Path, names: list[str], party: str) -> Any:
    try:
        data = path.read_bytes()
    except OSError as error:
        unreadable(path, error, party)
    if b" " in data:  # PLINK accepts blanks and tabs
        data = b"".join(b"\t".join(line.split()) + b"\n" for line in data.splitlines())
    if not data.strip():
        raise DataError(f"{path.name} is empty", party=party)
    return read_text_rows(data, names, path, party, missing=("",))


def _read_samples(path: Path, party: str) -> pd.DataFrame:
    table = _read_lines(path, _FAM, party)
    _refuse_missing(table, ["fid", "iid"], path, party)
    samples = pd.DataFrame({name: table[name].to_pandas().astype(object) for name in ("fid", "iid")})
    _refuse_repeated(samples, "people (family and individual id)", path, party)
    return samples


def _read_variants(path: Path, party: str) -> pd.DataFrame:
    from pyarrow import compute

    table = _read_lines(path, _BIM, party)
    _refuse_missing(table, _BIM, path, party)
    good = compute.match_substring_regex(table["pos"], r"^\d{1,18}$")
    bad = table.num_rows - int(compute.sum(good).as_py() or 0)
    if bad:
        problem = f"{path.name}: {bad} of {table.num_rows} positions are not whole numbers from 0 up"
        raise DataError(problem, party=party)
    text = {name: table[name].to_pandas().astype(object) for name in ("chrom", "id", "a2", "a1")}
    variants = pd.DataFrame(
        {
            "chrom": text["chrom"],
            "pos": table["pos"].cast("int64").to_numpy(),
            "id": text["id"],
            "ref": text["a2"],
            "alt": text["a1"],
        }
    )
    _refuse_repeated(variants, "variants (chromosome, position, id and alleles)", path, party)
    return variants


def _refuse_missing(table: Any, names: list[str], path: Path, party: str) -> None:
    for name in names:
        if table[name].null_count:
            raise DataError(f"{path.name}: {table[name].null_count} rows have no {name}", party=party)


def _refuse_repeated(table: pd.DataFrame, what: str, path: Path, party: str) -> None:
    repeated = int(table.duplicated().sum())
    if repeated:
        raise DataError(f"{path.name}: {repeated} of {len(table)} {what} are duplicates of earlier rows", party=party)


def _check_magic(bed: Path, party: str) -> None:
    try:
        with bed.open("rb") as file:
            start = file.read(3)
    except OSError as error:
        unreadable(bed, error, party)
    if start[:2] != _MAGIC:
        raise DataError(f"{bed.name} is not a PLINK 1 bed file (its first bytes are wrong)", party=party)
    if start[2:] != _VARIANT_MAJOR:
        problem = f"{bed.name} is stored person by person, which is not supported"
        raise DataError(problem, party=party, hint="plink --make-bed converts it")


def _check_size(bed: Path, people: int, variants: int, party: str) -> None:
    expected = 3 + math.ceil(people / 4) * variants
    try:
        found = bed.stat().st_size
    except OSError as error:
        unreadable(bed, error, party)
    if found != expected:
        raise DataError(
            f"{bed.name} has {found:,} bytes, but {people:,} people in the fam file and {variants:,} variants in the "
            f"bim file need {expected:,}: the three files do not belong together, or the bed file is truncated",
            party=party,
        )
