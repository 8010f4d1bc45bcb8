"""One site's own linear regressions, variant by variant, in the clear: complete cases, as PLINK."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SiteEstimates", "estimate"]

Floats = NDArray[np.float64]

LEAST_DEGREES = 10
"""Degrees of freedom below which a standard error says little, and a site stays out."""

_RANK = 1e-8
"""Of a column's length: what is left of it after the others, for it to count."""

_SOUND = 1e-6
"""Least eigenvalue of the design's products over the people with a call, 1 where nobody's is missing."""

_ROUNDING = 1e-24
"""Of the phenotype's sum of squares: a residual below it is that of a constant."""

_NOTHING = 1e-10
"""Of a sum of squares: what is left of it is rounding."""


@dataclass(frozen=True)
class SiteEstimates:
    """Of V variants; numbers mean something where `usable`.

    Attributes
    ----------
    effect, standard_error : float64 (V,)
        Per copy of ALT, in units of the phenotype.
    people : int64 (V,)
        With a call.
    usable : bool (V,)
        The variant varies, and there are degrees of freedom.
    """

    effect: Floats
    standard_error: Floats
    people: NDArray[np.int64]
    usable: NDArray[np.bool_]


def estimate(phenotype: Floats, covariates: Floats, calls: NDArray[np.int8]) -> SiteEstimates:
    """Regress the phenotype on intercept, covariates and each variant.

    Covariates that are constant at this site, or follow from others here, are left out.

    Parameters
    ----------
    phenotype : float64 (people,)
    covariates : float64 (people, c), without intercept
    calls : int8 (people, V)
        Copies of ALT, -1 where the call is missing.
    """
    count = calls.shape[1]
    found = SiteEstimates(
        np.zeros(count), np.ones(count), (calls >= 0).sum(axis=0).astype(np.int64), np.zeros(count, np.bool_)
    )
    design = np.column_stack([np.ones(len(phenotype)), covariates])
    if len(phenotype) <= LEAST_DEGREES:
        return found
    basis = _basis(design)
    residual = _residual(phenotype, basis)
    missing = calls < 0
    gram = _products(basis, missing)
    # with so many of a level without a call that little of it is left, the design has another rank
    sound = np.linalg.eigvalsh(gram)[:, 0] > _SOUND
    _fill_sound(found, np.flatnonzero(sound), gram[sound], basis, residual, calls[:, sound])
    for k in np.flatnonzero(~sound & (found.people > LEAST_DEGREES)):
        called = ~missing[:, k]
        own = _basis(design[called])
        rest = _residual(phenotype[called], own)
        _fill_sound(found, np.array([k]), np.eye(own.shape[1])[None], own, rest, calls[called, k : k + 1])
    return found


def _basis(design: Floats) -> Floats:
    """Orthonormal columns that span the design."""
    length = np.sqrt((design**2).sum(axis=0))
    u, s, _ = np.linalg.svd(design / np.where(length > 0, length, 1.0), full_matrices=False)
    return np.asarray(u[:, s > _RANK * max(float(s[0]), 1.0)])


def _residual(phenotype: Floats, basis: Floats) -> Floats:
    """Of the regression on the basis; zeros where nothing but rounding is left."""
    residual = phenotype - basis @ (basis.T @ phenotype)
    left = float(residual @ residual) > _ROUNDING * float(phenotype @ phenotype)
    return np.asarray(residual) if left else np.zeros_like(residual)


def _products(basis: Floats, missing: NDArray[np.bool_]) -> Floats:
    """B'B over the people with a call: (V, r, r)."""
    size = basis.shape[1]
    one, other = np.triu_indices(size)
    lost = ((basis[:, one] * basis[:, other]).T @ missing.astype(np.float64)).T
    gram = np.empty((missing.shape[1], size, size))
    gram[:, one, other] = gram[:, other, one] = (one == other) - lost
    return gram


def _fill_sound(
    found: SiteEstimates,
    where: NDArray[np.int64],
    gram: Floats,
    basis: Floats,
    residual: Floats,
    calls: NDArray[np.int8],
) -> None:
    """Estimates of the variants `where` from B'B over the people with a call; `residual` is orthogonal to B."""
    called = (calls >= 0).astype(np.float64)
    g = np.maximum(calls, 0).astype(np.float64)
    sides = np.stack([(basis.T @ g).T, ((basis * residual[:, None]).T @ called).T], axis=2)
    solved = np.linalg.solve(gram, sides)
    gg = (g**2).sum(axis=0)
    xx = gg - (sides[:, :, 0] * solved[:, :, 0]).sum(axis=1)
    xy = g.T @ residual - (sides[:, :, 1] * solved[:, :, 0]).sum(axis=1)
    all_yy = (residual**2) @ called
    yy = all_yy - (sides[:, :, 1] * solved[:, :, 1]).sum(axis=1)
    degrees = called.sum(axis=0) - basis.shape[1] - 1
    usable = (degrees >= LEAST_DEGREES) & (xx > _NOTHING * np.maximum(gg, 1.0)) & (yy > 0)
    rest = yy - xy**2 / np.where(usable, xx, 1.0)
    usable &= rest > _NOTHING * yy
    kept = where[usable]
    found.effect[kept] = xy[usable] / xx[usable]
    found.standard_error[kept] = np.sqrt(rest[usable] / degrees[usable] / xx[usable])
    found.usable[kept] = True
