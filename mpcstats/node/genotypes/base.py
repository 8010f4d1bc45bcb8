"""What every genotype format gives: people, variants, and calls in blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.node.records.tables import unreadable

__all__ = ["GenotypeFiles", "Genotypes", "sibling", "size_and_time"]


class Genotypes(Protocol):
    """One party's genotypes; nothing is held in memory but the lists of people and variants.

    Attributes
    ----------
    samples : DataFrame
        fid, iid (text) per person, in the file's order; fid is "0" where the file has no families. Phenotypes in
        genotype files are not used.
    variants : DataFrame
        chrom (text), pos (int64), id, ref, alt (text) per variant.
    party : str
        Owner, for errors.
    sample_file, variant_file : str
        Where people and variants are listed, for errors.
    """

    @property
    def samples(self) -> pd.DataFrame:
        """See above, as for the others."""
        ...

    @property
    def variants(self) -> pd.DataFrame:
        """chrom, pos, id, ref, alt."""
        ...

    @property
    def party(self) -> str:
        """The owner."""
        ...

    @property
    def sample_file(self) -> str:
        """The list of people."""
        ...

    @property
    def variant_file(self) -> str:
        """The list of variants."""
        ...

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
        ...

    def read_list(self, variants: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.int8]:
        """As `read`, for variants at any positions in `variants`, in any order."""
        ...

    def state(self) -> bytes:
        """Other bytes when calls may be others than before: a scan that was interrupted then starts anew."""
        ...


@dataclass(frozen=True, eq=False)
class GenotypeFiles(ABC):
    """Bounds and empty blocks; a format adds `_calls`. See `Genotypes`."""

    samples: pd.DataFrame
    variants: pd.DataFrame
    party: str
    sample_file: str
    variant_file: str

    def read(self, start: int, stop: int, rows: NDArray[np.intp]) -> NDArray[np.int8]:
        """See `Genotypes.read`."""
        if not 0 <= start <= stop <= len(self.variants):
            raise ValueError(f"variants {start} to {stop} are not within 0 to {len(self.variants)}")
        if len(rows) == 0 or start == stop:
            return np.zeros((len(rows), stop - start), dtype=np.int8)
        return self._calls(slice(start, stop), np.asarray(rows, dtype=np.intp))

    def read_list(self, variants: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.int8]:
        """See `Genotypes.read_list`."""
        variants = np.asarray(variants, dtype=np.intp)
        if len(variants) and not 0 <= variants.min() <= variants.max() < len(self.variants):
            raise ValueError(f"variants are not within 0 to {len(self.variants)}")
        if len(rows) == 0 or len(variants) == 0:
            return np.zeros((len(rows), len(variants)), dtype=np.int8)
        if variants[-1] - variants[0] == len(variants) - 1 and (np.diff(variants) == 1).all():
            return self.read(int(variants[0]), int(variants[-1]) + 1, rows)
        return self._calls(variants, np.asarray(rows, dtype=np.intp))

    @abstractmethod
    def state(self) -> bytes:
        """See `Genotypes.state`."""

    @abstractmethod
    def _calls(self, variants: slice | NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.int8]:
        """At least one variant and one person, all of them in the file."""


def size_and_time(file: Path, party: str) -> tuple[int, int]:
    """Bytes of a file, and when it was changed (ns)."""
    try:
        status = file.stat()
    except OSError as error:
        unreadable(file, error, party)
    return status.st_size, status.st_mtime_ns


def sibling(prefix: Path, suffix: str) -> Path:
    """The file of a set."""
    return prefix.with_name(prefix.name + suffix)  # with_suffix would cut "chr1.clean" short
