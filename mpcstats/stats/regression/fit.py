"""Fisher scoring from opened sums, as R's `glm`: the same start, and the information of the last step at the end.

All parties must find the same coefficients, to the last bit: each forms its sums at them. Steps are therefore solved
in plain Python floats.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import SpecError
from mpcstats.stats.cox.newton import cholesky, solve

__all__ = ["Fit", "Sums", "scoring"]

Floats = NDArray[np.float64]

_TOLERANCE = 1e-14
"""Of the deviance: what the next step would take away."""

_RISE = 1e-6
"""Of the deviance: a step after which it is that much larger is halved."""

_VANISHED = 1e-6
"""Where the information in some direction has shrunk to this part of that at the start, outcomes are separated."""

_VANISHING = 1e-4
"""The same, where the iteration has not converged."""


@dataclass(frozen=True)
class Sums:
    """Pooled sums at some coefficients: score (q,), information (q, q), deviance."""

    score: Floats
    information: Floats
    deviance: float


@dataclass
class Fit:
    """Where the iteration ended, on the standardised scale.

    Attributes
    ----------
    gamma : float64 (q,)
    information : float64 (q, q)
        With which the last step was made.
    deviance : float
    start : Sums
        Of the first step.
    iterations, halvings : int
    """

    gamma: Floats
    information: Floats
    deviance: float
    start: Sums
    iterations: int = 1
    halvings: int = 0


async def scoring(
    evaluate: Callable[[Floats | None], Awaitable[Sums]],
    names: Sequence[str],
    evaluations: int,
    noise: float,
    begin: Floats | None = None,
) -> Fit:
    """Maximise the likelihood.

    Parameters
    ----------
    evaluate : function of the coefficients, or of None for the start
    names : coefficients, for messages
    evaluations : int
        At most so many.
    noise : float
        Relative error of the information: columns that are collinear up to this are refused.
    begin : float64 (q,), optional
        Coefficients to start from; None: R's start.

    Raises
    ------
    SpecError
        Collinear columns, outcomes that the columns separate, or no convergence.
    """
    start = await evaluate(begin)
    _refuse_collinear(start.information, names, noise)
    first, deviance = (np.zeros(len(names)), np.inf) if begin is None else (begin, start.deviance)
    fit = Fit(first, start.information, deviance, start)
    step = solve(start.information, start.score)
    for _ in range(1, evaluations):
        trial = fit.gamma + step
        sums = await evaluate(trial)
        rose = sums.deviance > fit.deviance + _RISE * (abs(fit.deviance) + 0.1)
        if rose or not np.isfinite(sums.information).all() or cholesky(sums.information.tolist()) is None:
            step, fit.halvings = step / 2, fit.halvings + 1
            continue
        fit.gamma, fit.information, fit.deviance = trial, sums.information, sums.deviance
        _refuse_separated(fit, names, _VANISHED)
        step = solve(sums.information, sums.score)
        if float(sums.score @ step) < _TOLERANCE * (abs(fit.deviance) + 0.1):
            fit.gamma = fit.gamma + step
            fit.iterations += 1
            return fit
        fit.iterations += 1
    _refuse_separated(fit, names, _VANISHING)
    raise SpecError(
        f"the iteration did not converge in {evaluations} steps",
        hint="look for extreme values in the columns, or leave some out",
    )


def _refuse_collinear(information: Floats, names: Sequence[str], noise: float) -> None:
    """By the condition number of the information, its columns scaled to length 1."""
    spread = np.diag(information)
    nothing = [name for name, s in zip(names, spread, strict=True) if not s > noise * float(spread.max())]
    if nothing:
        raise SpecError(
            f"nobody has anything but 0 in: {', '.join(nothing)}",
            hint="leave the column out, or a level that nobody has",
        )
    root = np.sqrt(spread)
    values, vectors = np.linalg.eigh(information / np.outer(root, root))
    if values[0] > noise * len(names):
        return
    condition = f"above {1 / (noise * len(names)):.1e}"
    raise SpecError(
        f"the columns {', '.join(_involved(vectors[:, 0], names))} are collinear in the pooled data "
        f"(condition number {condition})",
        hint="leave one of them out, or a level that nobody has",
    )


def _refuse_separated(fit: Fit, names: Sequence[str], least: float) -> None:
    """Where the information about some combination of coefficients vanishes, the likelihood has no maximum."""
    spread = np.sqrt(np.diag(fit.start.information))
    root = np.linalg.inv(np.linalg.cholesky(fit.start.information / np.outer(spread, spread)))
    now = root @ (fit.information / np.outer(spread, spread)) @ root.T
    values, vectors = np.linalg.eigh((now + now.T) / 2)
    if values[0] > least:
        return
    direction = (vectors[:, 0] @ root) / spread
    involved = _involved(direction * np.sqrt(np.diag(fit.start.information)), names)
    raise SpecError(
        f"the columns {', '.join(involved)} separate the outcomes: the likelihood grows without end, and after "
        f"{fit.iterations} steps {values[0]:.1e} of the information is left in one direction",
        hint="leave out a column of which a value, or a combination with others, occurs with one outcome only",
    )


def _involved(direction: Floats, names: Sequence[str]) -> list[str]:
    size = np.abs(direction)
    return [name for name, s in zip(names, size, strict=True) if s > 0.05 * size.max()]
