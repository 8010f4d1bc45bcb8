"""Floor 1: arithmetic modulo a prime on arrays. Nothing here knows what a secret is."""

from __future__ import annotations

import numpy as np

from mpcstats.field.blas import one_blas_thread
from mpcstats.field.lagrange import import_mpyc, lagrange, mpyc_field
from mpcstats.field.prime import M61, M127, Elements, PrimeField, WordSource, small_field

__all__ = [
    "M61",
    "M127",
    "Elements",
    "PrimeField",
    "WordSource",
    "import_mpyc",
    "lagrange",
    "mpyc_field",
    "one_blas_thread",
    "small_field",
    "warm_up",
]


def warm_up() -> None:
    """Compile the kernels once, or load them from numba's cache (seconds the first time, then a blink)."""
    from mpcstats.field import bitslice, fused, fused_fixed, gates, kernels

    kernels.compile_all()
    fused.compile_all()
    fused_fixed.compile_all()
    gates.compile_all()
    bitslice.planes(np.zeros(1, np.uint64), np.zeros((64, 1), np.uint64))
    for field in (M61, M127):
        field.matmul(field.zeros((1, 1)), field.zeros((1, 1)))
    lagrange(M61, (1, 2), 0)
