"""Lagrange vectors, from MPyC: the weights that turn values at some points into the value at another point."""

from __future__ import annotations

import functools
import logging
import os
import sys
from types import ModuleType

from mpcstats.field.prime import PrimeField

__all__ = ["import_mpyc", "lagrange", "mpyc_field"]


@functools.cache
def import_mpyc(name: str) -> ModuleType:
    """Import a module of MPyC without its side effects.

    While it is imported MPyC reads `sys.argv`, logs, sets the level of the root logger and an environment variable,
    and makes a global runtime; with READTHEDOCS in the environment it leaves the runtime out.
    """
    import importlib

    kept, disabled, level = sys.argv, logging.root.manager.disable, logging.root.level
    handlers, environment = logging.root.handlers[:], dict(os.environ)
    sys.argv = [""]
    logging.disable(logging.CRITICAL)
    os.environ["READTHEDOCS"] = "True"
    try:
        return importlib.import_module(name)
    finally:
        sys.argv = kept
        logging.disable(disabled)
        logging.root.setLevel(level)
        logging.root.handlers[:] = handlers
        os.environ.clear()
        os.environ.update(environment)


@functools.cache
def mpyc_field(field: PrimeField) -> type:
    """MPyC's finite field type of the same order."""
    return import_mpyc("mpyc.finfields").GF(modulus=field.modulus)  # type: ignore[no-any-return]


@functools.cache
def lagrange(field: PrimeField, points: tuple[int, ...], at: int) -> tuple[int, ...]:
    """Weights w with f(at) = sum of w_i f(points_i) for every polynomial f of degree below len(points).

    Parameters
    ----------
    points : tuple of int
        Distinct, in [0, p).
    at : int
        In [0, p).
    """
    if at in points:
        return tuple(int(point == at) for point in points)
    thresha = import_mpyc("mpyc.thresha")
    return tuple(int(w) for w in thresha._recombination_vector(mpyc_field(field), points, at))
