"""Newton's method from opened scores and informations; the step is halved by the score alone.

All parties must find the same coefficients, to the last bit: they enter what is computed on shares. The steps are
therefore solved in plain Python floats, and coefficients are multiples of 2^-40.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import SpecError

__all__ = ["EVALUATIONS", "Fit", "cholesky", "inverse", "newton", "solve"]

Floats = NDArray[np.float64]
Evaluate = Callable[[Floats], Awaitable[tuple[Floats, Floats]]]

EVALUATIONS = 30
"""Coefficient vectors at which score and information may be opened, at most."""

_STEPS = 30
_TOLERANCE = 1e-5
"""Of the last step, in standard errors. Newton's error after a step is of the size of its square."""

_MONOTONE_INFORMATION = 1e-2
"""Over the whole range of a column: its log hazard ratio then has a standard error of 10. One event in a group is 1."""


@dataclass
class Fit:
    """Where the iteration ended, on the standardised scale.

    Attributes
    ----------
    beta : float64 (p,)
    score, information : at beta = 0
    iterations, halvings : int
    converged : bool
    monotone : list of int
        Columns whose coefficients grow without bound.
    """

    beta: Floats
    score: Floats
    information: Floats
    iterations: int = 0
    halvings: int = 0
    converged: bool = False
    monotone: list[int] = field(default_factory=list)


async def newton(evaluate: Evaluate, names: Sequence[str], widths: Floats, rounding: float, noise: float) -> Fit:
    """Maximise the partial likelihood.

    Parameters
    ----------
    evaluate : function of beta -> (score, information)
    names : columns, for messages
    widths : float64 (p,)
        Widths of the columns' ranges.
    rounding : float
        Coefficients are multiples of it.
    noise : float
        Relative error of the information: columns that are collinear up to this are refused.

    Raises
    ------
    SpecError
        Columns are collinear among the people at risk; they are named.
    """
    beta = np.zeros(len(names))
    score, information = await evaluate(beta)
    _refuse_collinear(information, names, noise)
    fit = Fit(beta, score, information)
    used, lengths = 1, []
    for _ in range(_STEPS):
        step = solve(information, score)
        lengths.append(step)
        fit.iterations += 1
        if float(np.max(np.abs(step) * np.sqrt(np.diag(information)))) < _TOLERANCE:
            fit.converged = True
            fit.beta = _rounded(fit.beta + step, rounding)
            return fit
        small = np.diag(information) * widths**2 < _MONOTONE_INFORMATION
        small |= np.diag(information) < 10 * noise * np.diag(fit.information)
        fit.monotone = _monotone(small, lengths)
        if fit.monotone or used >= EVALUATIONS:
            return fit
        while used < EVALUATIONS:
            beta = _rounded(fit.beta + step, rounding)
            new_score, new_information = await evaluate(beta)
            used += 1
            # past the maximum and back at a steeper place: the step was too long
            overshoot = float(new_score @ step) < -0.5 * abs(float(score @ step))
            if not overshoot and cholesky(new_information.tolist()) is not None:
                fit.beta, score, information = beta, new_score, new_information
                break
            step = step / 2
            fit.halvings += 1
    return fit


def inverse(information: Floats) -> Floats:
    """Inverse of a positive definite matrix, scaled first; NaN where there is none."""
    spread = np.sqrt(np.maximum(np.diag(information), np.finfo(float).tiny))
    try:
        result = np.linalg.inv(information / np.outer(spread, spread)) / np.outer(spread, spread)
    except np.linalg.LinAlgError:
        return np.full(information.shape, np.nan)
    return np.asarray((result + result.T) / 2)


def cholesky(matrix: list[list[float]]) -> list[list[float]] | None:
    """Cholesky factor, None if not positive definite.

    One Python float at a time: every machine gets the same bits, which compiled linear algebra does not promise.
    """
    order = len(matrix)
    lower = [[0.0] * order for _ in range(order)]
    for i in range(order):
        for j in range(i + 1):
            left = matrix[i][j]
            for k in range(j):
                left -= lower[i][k] * lower[j][k]
            if i != j:
                lower[i][j] = left / lower[j][j]
            elif left > 0:
                lower[i][i] = math.sqrt(left)
            else:
                return None
    return lower


def solve(information: Floats, score: Floats) -> Floats:
    """Newton's step; the information is positive definite."""
    lower = cholesky(information.tolist())
    assert lower is not None
    x = score.tolist()
    for i in range(len(x)):
        for k in range(i):
            x[i] -= lower[i][k] * x[k]
        x[i] /= lower[i][i]
    for i in reversed(range(len(x))):
        for k in range(i + 1, len(x)):
            x[i] -= lower[k][i] * x[k]
        x[i] /= lower[i][i]
    return np.array(x)


def _rounded(beta: Floats, unit: float) -> Floats:
    return np.asarray(np.rint(beta / unit) * unit)


def _monotone(small: NDArray[np.bool_], steps: list[Floats]) -> list[int]:
    """Columns whose information vanishes while their steps keep sign and length: the estimate is not finite."""
    if len(steps) < 4:
        return []
    recent = np.array(steps[-3:])
    steady = (np.sign(recent) == np.sign(recent[-1])).all(axis=0)
    steady &= np.abs(recent[-1]) > 0.5 * np.abs(recent[0])
    return [int(k) for k in np.flatnonzero(steady & small)]


def _refuse_collinear(information: Floats, names: Sequence[str], noise: float) -> None:
    spread = np.diag(information)
    least = noise * float(np.max(spread, initial=0.0))
    constant = [name for name, s in zip(names, spread, strict=True) if not s > least]
    if constant:
        raise SpecError(
            f"no difference among the people at risk at any event: {', '.join(constant)}",
            hint="leave the column out",
        )
    root = np.sqrt(spread)
    values, vectors = np.linalg.eigh(information / np.outer(root, root))
    if values[0] > noise * len(names):
        return
    vector = np.abs(vectors[:, 0])
    involved = [name for name, v in zip(names, vector, strict=True) if v > 0.05 * vector.max()]
    raise SpecError(
        f"the covariates {', '.join(involved)} are collinear among the people at risk",
        hint="leave one of them out",
    )
