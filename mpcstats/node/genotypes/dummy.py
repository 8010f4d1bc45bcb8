"""Made-up genotypes for the study's public variants, in memory: for rehearsals."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.node.genotypes.base import GenotypeFiles
from mpcstats.study.dummy import dummy_calls

__all__ = ["DummyGenotypes", "dummy_genotypes"]


@dataclass(frozen=True, eq=False)
class DummyGenotypes(GenotypeFiles):
    """See `Genotypes`; calls are drawn when they are first read."""

    seed: str = ""
    trait: NDArray[np.float64] | None = None

    @functools.cached_property
    def _all(self) -> NDArray[np.int8]:
        return dummy_calls(len(self.variants), len(self.samples), self.seed, self.trait)

    def state(self) -> bytes:
        """See `Genotypes.state`."""
        return f"dummy {self.seed} {len(self.samples)}".encode()

    def _calls(self, variants: slice | NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.int8]:
        return np.ascontiguousarray(self._all[variants][:, rows].T)


def dummy_genotypes(
    ids: list[str], variants: pd.DataFrame, party: str, seed: str, trait: NDArray[np.float64] | None = None
) -> DummyGenotypes:
    """Genotypes of made-up people.

    Parameters
    ----------
    ids : list of str
        Individual ids of the people.
    variants : DataFrame
        The study's public list: chrom, pos, id, ref, alt.
    trait : float64 (people,), optional
        See `dummy_calls`.
    """
    samples = pd.DataFrame({"fid": ["0"] * len(ids), "iid": ids}, dtype=object)
    return DummyGenotypes(samples, variants, party, "dummy samples", "dummy variants", seed, trait)
