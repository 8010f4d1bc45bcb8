"""A site's genotypes as calls of the study's variants."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.node.genotypes.base import GenotypeFiles, Genotypes
from mpcstats.node.genotypes.harmonise import Harmonisation, MatchBy, harmonise
from mpcstats.node.genotypes.lists import as_text

__all__ = ["HarmonisedGenotypes", "harmonised"]


@dataclass(frozen=True, eq=False)
class HarmonisedGenotypes(GenotypeFiles):
    """See `Genotypes`: `variants` are the study's, calls of those that the site lacks are missing."""

    own: Genotypes
    position: NDArray[np.intp]
    flipped: NDArray[np.bool_]
    report: Harmonisation

    def state(self) -> bytes:
        """See `Genotypes.state`; the lists may change where the calls do not."""
        mapping = hashlib.sha256(self.position.astype(np.int64).tobytes() + self.flipped.tobytes())
        return self.own.state() + mapping.digest()

    def _calls(self, variants: slice | NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.int8]:
        position = self.position[variants]
        present = position >= 0
        calls = self.own.read_list(position[present], rows)
        turn = self.flipped[variants][present]
        turned = calls[:, turn]
        calls[:, turn] = np.where(turned < 0, turned, 2 - turned)
        if present.all():
            return calls
        found = np.full((len(rows), len(position)), -1, dtype=np.int8, order="F")
        found[:, present] = calls
        return found


def harmonised(own: Genotypes, study: pd.DataFrame, match: MatchBy = "position") -> HarmonisedGenotypes:
    """Map genotypes onto the study's variants; see `harmonise`."""
    mapping = harmonise(as_text(own.variants), study, own.variant_file, own.party, match)
    return HarmonisedGenotypes(
        own.samples,
        study,
        own.party,
        own.sample_file,
        "the study list",
        own=own,
        position=mapping.position,
        flipped=mapping.flipped,
        report=mapping.report,
    )
