"""Pooled sums of a batch of variants at public coefficients, on shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M127
from mpcstats.protocols import sum_of_inputs
from mpcstats.runtime import Session, Shared, local
from mpcstats.sharing.fixedpoint import encode
from mpcstats.stats.association.logistic_null import LogisticNull
from mpcstats.stats.association.logistic_sums import Points, own_sums, symmetric_indices

__all__ = ["Batch", "Wanted", "share_sums"]

Floats = NDArray[np.float64]

_INTEGER = 34
"""One site's sums are below 2^34; what is pooled is checked on shares."""


@dataclass(frozen=True)
class Batch:
    """What all steps of a batch of variants have in common.

    Attributes
    ----------
    session : Session
    null : LogisticNull
    calls : int8 (own people, V) or None
        Copies of ALT, -1 where missing; None without data.
    dealers : tuple of int
        Who has data.
    """

    session: Session
    null: LogisticNull
    calls: NDArray[np.int8] | None
    dealers: tuple[int, ...]

    @property
    def size(self) -> int:
        """Covariates, intercept and variant."""
        return self.null.order + 1


@dataclass(frozen=True)
class Wanted:
    """Sums of products of `power` columns with so many fraction bits, times 2^-exponents per variant."""

    power: int
    fraction_bits: int
    exponents: NDArray[np.int64] | None = None


async def share_sums(batch: Batch, index: NDArray[np.int64], points: Points, wanted: Sequence[Wanted]) -> list[Shared]:
    """Pooled sums (V, different elements) of the variants `index`, in the order of `wanted`. One round each."""
    own: dict[int, Floats] | None = None
    if batch.calls is not None:
        powers = sorted({w.power for w in wanted})
        own = await local(batch.session, own_sums, batch.null, batch.calls[:, index], points, powers)
    shared = []
    for w in wanted:
        shape = (index.size, len(symmetric_indices(batch.size, w.power)))
        mine = None
        if own is not None:
            values = own[w.power]
            if w.exponents is not None:
                values = np.ldexp(values, -w.exponents[:, None])
            mine = encode(M127, values, w.fraction_bits, _INTEGER)
        shared.append(await sum_of_inputs(batch.session, M127, mine, batch.dealers, shape, w.fraction_bits))
    return shared
