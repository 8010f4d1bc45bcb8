"""PLINK 2 genotypes (pgen, pvar, psam): hard calls; dosages and phase in the file are not used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.node.genotypes.base import GenotypeFiles, sibling, size_and_time
from mpcstats.node.genotypes.lists import read_psam, read_pvar
from mpcstats.node.records.tables import unreadable

__all__ = ["PgenGenotypes", "open_pgen"]

_MAGIC = b"\x6c\x1b"


@dataclass(frozen=True, eq=False)
class PgenGenotypes(GenotypeFiles):
    """See `Genotypes`."""

    prefix: Path
    fingerprint: tuple[int, int]
    """Size and time of change when the file was opened: pgenlib would read another file's bytes as calls."""

    def state(self) -> bytes:
        """See `Genotypes.state`."""
        size, changed = self.fingerprint
        return f"{size} {changed}".encode()

    def _calls(self, variants: slice | NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.int8]:
        pgen = sibling(self.prefix, ".pgen")
        if size_and_time(pgen, self.party) != self.fingerprint:
            raise DataError(f"{pgen.name} changed while it was used", party=self.party)
        people, back = np.unique(rows, return_inverse=True)
        if isinstance(variants, slice):
            calls = np.empty((variants.stop - variants.start, len(people)), dtype=np.int8)
        else:
            calls = np.empty((len(variants), len(people)), dtype=np.int8)
        try:
            with _reader(pgen, len(self.samples), len(self.variants), people) as file:
                if isinstance(variants, slice):
                    file.read_range(variants.start, variants.stop, calls)
                else:
                    file.read_list(variants.astype(np.uint32), calls)
        except (OSError, ValueError, RuntimeError):
            raise DataError(f"{pgen.name} cannot be read", party=self.party) from None
        calls[calls < 0] = -1
        return calls.T if np.array_equal(back, np.arange(len(rows))) else calls.T[back]


def open_pgen(prefix: Path, party: str) -> PgenGenotypes:
    """Check a PLINK 2 file set; `prefix` is the path without .pgen, .pvar (or .pvar.zst), .psam."""
    pgen, psam = sibling(prefix, ".pgen"), sibling(prefix, ".psam")
    pvar = sibling(prefix, ".pvar")
    if not pvar.is_file() and sibling(prefix, ".pvar.zst").is_file():
        pvar = sibling(prefix, ".pvar.zst")
    absent = [file.name for file in (pgen, pvar, psam) if not file.is_file()]
    if absent:
        raise DataError(
            f"genotype files are missing in {prefix.parent}: {', '.join(absent)}",
            party=party,
            hint="genotypes are given as a PLINK 2 prefix: the path without .pgen, .pvar, .psam",
        )
    samples = read_psam(psam, party)
    variants = read_pvar(pvar, party)
    for file, table in ((psam, samples), (pvar, variants)):
        if table.empty:
            raise DataError(f"{file.name} lists nothing", party=party)
    _check_content(pgen, len(samples), len(variants), party)
    return PgenGenotypes(samples, variants, party, "the psam file", "the pvar file", prefix, size_and_time(pgen, party))


def _reader(pgen: Path, people: int, variants: int, subset: NDArray[np.intp]) -> Any:
    import pgenlib

    return pgenlib.PgenReader(
        str(pgen).encode(), raw_sample_ct=people, variant_ct=variants, sample_subset=subset.astype(np.uint32)
    )


def _check_content(pgen: Path, people: int, variants: int, party: str) -> None:
    """The numbers in its header, and that its last variant can be read: a truncated file ends before."""
    try:
        with pgen.open("rb") as file:
            start = file.read(12)
    except OSError as error:
        unreadable(pgen, error, party)
    if start[:2] != _MAGIC or len(start) < 12:
        raise DataError(f"{pgen.name} is not a pgen file (its first bytes are wrong)", party=party)
    if start[2] == 1:
        raise DataError(f"{pgen.name} is a PLINK 1 bed file under another name", party=party, hint="rename it to .bed")
    held = int.from_bytes(start[3:7], "little"), int.from_bytes(start[7:11], "little")
    if held != (variants, people):
        raise DataError(
            f"{pgen.name} holds {held[0]:,} variants of {held[1]:,} people, but the pvar file lists {variants:,} and "
            f"the psam file {people:,}: the three files do not belong together",
            party=party,
            hint="copy all three files again from where they were made",
        )
    try:
        with _reader(pgen, people, variants, np.zeros(1, dtype=np.intp)) as file:
            file.read(variants - 1, np.empty(1, dtype=np.int8))
    except (OSError, ValueError, RuntimeError):
        raise DataError(
            f"{pgen.name} cannot be read to its end: it may be truncated, or needs a newer pgenlib",
            party=party,
            hint="plink2 --pfile PREFIX --validate says more",
        ) from None
