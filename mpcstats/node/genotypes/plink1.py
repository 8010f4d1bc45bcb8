"""PLINK 1 genotypes (bed, bim, fam), checked before use and read in blocks of variants."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.node.genotypes.base import GenotypeFiles, sibling, size_and_time
from mpcstats.node.genotypes.lists import read_bim, read_fam
from mpcstats.node.records.tables import unreadable

__all__ = ["BedGenotypes", "open_bed", "write_bed"]

_START = b"\x6c\x1b\x01"  # magic, then "variant by variant"
_CHECKED = 500
_MISSING = -127  # bed-reader's int8 code
_CODES = np.array([1, 3, 2, 0], dtype=np.uint8)  # of -1, 0, 1, 2 copies


@dataclass(frozen=True, eq=False)
class BedGenotypes(GenotypeFiles):
    """See `Genotypes`; alt is the bim file's A1."""

    prefix: Path

    def state(self) -> bytes:
        """See `Genotypes.state`."""
        size, changed = size_and_time(sibling(self.prefix, ".bed"), self.party)
        return f"{size} {changed}".encode()

    def _calls(self, variants: slice | NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.int8]:
        import bed_reader

        bed = sibling(self.prefix, ".bed")
        _check_size(bed, len(self.samples), len(self.variants), self.party)
        try:
            # properties of the fam and bim files were read and checked here already
            with bed_reader.open_bed(bed, iid_count=len(self.samples), sid_count=len(self.variants)) as file:
                values: NDArray[np.int8] = file.read(index=(rows, variants), dtype="int8")
        except (OSError, ValueError, RuntimeError, IndexError):
            raise DataError(f"{bed.name} cannot be read", party=self.party) from None
        values[values == _MISSING] = -1
        return values


def open_bed(prefix: Path, party: str) -> BedGenotypes:
    """Check a PLINK 1 file set; `prefix` is the path without .bed, .bim, .fam."""
    bed, bim, fam = (sibling(prefix, suffix) for suffix in (".bed", ".bim", ".fam"))
    absent = [file.name for file in (bed, bim, fam) if not file.is_file()]
    if absent:
        raise DataError(
            f"genotype files are missing in {prefix.parent}: {', '.join(absent)}",
            party=party,
            hint="genotypes are given as a prefix (the path without .bed, .bim, .fam or .pgen, .pvar, .psam), or as a "
            ".vcf, .vcf.gz or .bcf file",
        )
    samples = read_fam(fam, party)
    variants = read_bim(bim, party)
    _check_magic(bed, party)
    _check_size(bed, len(samples), len(variants), party)
    _check_padding(bed, len(samples), len(variants), party)
    return BedGenotypes(samples, variants, party, "the fam file", "the bim file", prefix)


def write_bed(calls: NDArray[np.int8]) -> bytes:
    """The bytes of a bed file for some variants, without the three bytes at its start.

    Parameters
    ----------
    calls : int8 (variants, people)
        Copies of A1: 0, 1, 2, or -1.
    """
    variants, people = calls.shape
    codes = np.zeros((variants, 4 * math.ceil(people / 4)), dtype=np.uint8)
    codes[:, :people] = _CODES[calls + 1]
    quads = codes.reshape(variants, -1, 4)
    packed = quads[..., 0] | quads[..., 1] << 2 | quads[..., 2] << 4 | quads[..., 3] << 6
    return bytes(packed.astype(np.uint8).tobytes())


def _check_magic(bed: Path, party: str) -> None:
    try:
        with bed.open("rb") as file:
            start = file.read(3)
    except OSError as error:
        unreadable(bed, error, party)
    if start[:2] != _START[:2]:
        raise DataError(f"{bed.name} is not a PLINK 1 bed file (its first bytes are wrong)", party=party)
    if start != _START:
        problem = f"{bed.name} is stored person by person, which is not supported"
        raise DataError(problem, party=party, hint="plink --make-bed converts it")


def _check_size(bed: Path, people: int, variants: int, party: str) -> None:
    expected = len(_START) + math.ceil(people / 4) * variants
    found, _ = size_and_time(bed, party)
    if found != expected:
        raise DataError(
            f"{bed.name} has {found:,} bytes, but {people:,} people in the fam file and {variants:,} variants in the "
            f"bim file need {expected:,}: the three files do not belong together, or the bed file is truncated",
            party=party,
            hint="copy all three files again from where they were made",
        )


def _check_padding(bed: Path, people: int, variants: int, party: str) -> None:
    """Four people share a byte, so the size tells their number to within three. What is beyond the last one is zero by
    the format: if it is not, people are missing in the list. Some variants are enough to see it."""
    left = people % 4
    if not left or not variants:
        return
    try:
        with bed.open("rb") as file:
            content = np.memmap(file, np.uint8, "r", len(_START), (variants, math.ceil(people / 4)))
            some = np.unique(np.linspace(0, variants - 1, min(variants, _CHECKED)).astype(np.intp))
            more = int(np.count_nonzero(content[some, -1] >> 2 * left))
    except OSError as error:
        unreadable(bed, error, party)
    if more:
        raise DataError(
            f"{bed.name} has calls of more than the {people:,} people in the fam file: the three files do not belong "
            "together",
            party=party,
            hint="copy all three files again from where they were made",
        )
