"""Robust standard errors of a Fine-Gray regression: a sum of squared influences over people, given pooled curves.

The inverse information is no variance of a Fine-Gray model: the weights are not those of independent people. R
prints two different sandwiches. `cmprsk::crr` squares the influence of each person, with the term for estimating the
censoring distribution (Fine and Gray 1999, section 3). `coxph` on the rows of `survival::finegray` squares the
influence of each row: a person with a competing event is one row until the next censoring time and then one row per
interval between censoring times.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Curves", "curves_of_sums", "influence_of_people", "influence_of_rows"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Curves:
    """Curves of all people of a risk set, on the lattice. They tell of single people where few are at risk.

    A tied event is a row with hazard h = 1 / (S0 - c A0) and mean m = (S1 - c A1) h; Breslow's c is 0, Efron's l / d.

    Attributes
    ----------
    censoring : float64 (T+1,)
        G(t-).
    hazard : float64 (1 + p, T+1)
        Sums over rows of h and of h m.
    mean : float64 (p, T+1)
        Mean of m over rows.
    tied : float64 (1 + p, T+1)
        Sums over rows of c h and of c h m.
    censored, at_risk : float64 (T+1,)
    rivals : float64 (1 + p, T+1)
        Pooled sums of e^(x b) / G(exit-), and of x times this, over competing events before each time.
    """

    censoring: Floats
    hazard: Floats
    mean: Floats
    tied: Floats
    censored: Floats
    at_risk: Floats
    rivals: Floats

    def completed(self, censored: NDArray[np.generic], at_risk: NDArray[np.generic], rivals: Floats) -> Curves:
        """With what `curves_of_sums` does not know."""
        lost, left = (np.asarray(x, dtype=np.float64) for x in (censored, at_risk))
        return replace(self, censored=lost, at_risk=left, rivals=rivals)


def curves_of_sums(times: Ints, events: Ints, risk: Floats, failing: Floats, ties: str, censoring: Floats) -> Curves:
    """Curves from pooled sums at the final coefficients.

    Parameters
    ----------
    times, events : int64 (cells,)
    risk, failing : float64 (1 + p, cells)
        S0 and S1 of the weighted risk set, A0 and A1 of the people with the event.
    """
    row = np.repeat(np.arange(len(times)), events)
    first = np.repeat(np.cumsum(events) - events, events)
    c = (np.arange(len(row)) - first) / events[row] if ties == "efron" else np.zeros(len(row))
    left = risk[:, row] - c * failing[:, row]
    h = 1 / left[0]
    m = left[1:] * h
    size, at = len(censoring), times[row]

    def total(values: Floats) -> Floats:
        return np.stack([np.bincount(at, value, minlength=size) for value in values])

    count = np.maximum(np.bincount(at, minlength=size), 1)
    nothing = np.zeros(size)
    return Curves(
        censoring,
        hazard=total(np.vstack([h, h * m])),
        mean=total(m) / count,
        tied=total(c * np.vstack([h, h * m])),
        censored=nothing,
        at_risk=nothing,
        rivals=np.zeros((len(risk), size)),
    )


def influence_of_people(x: Floats, time: Ints, case: Flags, rival: Flags, size: Floats, curves: Curves) -> Floats:
    """Sum over people of (eta + psi)(eta + psi)', (p, p): the middle of `crr`'s sandwich.

    eta is a person's own part of the score, psi the effect of a censoring on the estimate of G.

    Parameters
    ----------
    x : float64 (people, p)
    time : int64 (people,), case, rival : bool (people,)
    size : float64 (people,)
        e^(x b).
    """
    eta = _score_parts(x, time, case, size, curves, time)
    late = curves.censoring * curves.hazard
    after = np.cumsum(late[:, ::-1], axis=1)[:, ::-1] - late
    ahead = after[:, time[rival]] / curves.censoring[time[rival]]
    eta[rival] -= size[rival, None] * (x[rival] * ahead[0][:, None] - ahead[1:].T)
    # q(u): what a change of G from u on does to the score, per person censored at u among those at risk
    remaining = after + late
    q = curves.rivals[1:] * remaining[0] - curves.rivals[0] * remaining[1:]
    known = curves.at_risk > 0
    per_person = np.divide(q, curves.at_risk, out=np.zeros_like(q), where=known)
    hazard = np.divide(curves.censored, curves.at_risk, out=np.zeros_like(curves.censored), where=known)
    psi = -np.cumsum(per_person * hazard, axis=1)[:, time].T
    lost = ~(case | rival)
    psi[lost] += per_person[:, time[lost]].T
    influence = eta + psi
    return np.asarray(influence.T @ influence)


def influence_of_rows(x: Floats, time: Ints, case: Flags, rival: Flags, size: Floats, curves: Curves) -> Floats:
    """Sum over the rows that `survival::finegray` makes of these people of their squared influence, (p, p).

    Rows of a person share e^(x b) and x, so their sum of squares needs sums over intervals of the curves only.
    """
    # intervals (a, b] between times with censorings; the first row of a person lasts to the end of its interval
    number: Ints = np.cumsum(curves.censored > 0, dtype=np.int64) - (curves.censored > 0)
    count = int(number[-1]) + 1
    ends = np.searchsorted(number, np.arange(count), side="right") - 1
    last = np.where(rival, ends[number[time]], time)
    eta = _score_parts(x, time, case, size, curves, last)
    inside = np.zeros((count, len(curves.hazard)))
    np.add.at(inside, number, (curves.censoring * curves.hazard).T)
    products = inside[:, :, None] * inside[:, None, :]
    later = np.cumsum(products[::-1], axis=0)[::-1] - products  # all intervals after each
    scale = (size[rival] / curves.censoring[time[rival]]) ** 2
    squares, own = later[number[time[rival]]], x[rival]
    total = np.einsum("n,na,nb,n->ab", scale, own, own, squares[:, 0, 0])
    mixed = np.einsum("n,na,nb->ab", scale, own, squares[:, 0, 1:])
    total += np.einsum("n,nab->ab", scale, squares[:, 1:, 1:]) - mixed - mixed.T
    return np.asarray(eta.T @ eta + total)


def _score_parts(x: Floats, time: Ints, case: Flags, size: Floats, curves: Curves, last: Ints) -> Floats:
    """A person's part of the score while it has weight 1, until lattice time `last`: (people, p)."""
    until = np.cumsum(curves.hazard, axis=1)
    eta = -size[:, None] * (x * until[0, last][:, None] - until[1:, last].T)
    at = time[case]
    eta[case] += x[case] - curves.mean[:, at].T
    eta[case] += size[case, None] * (x[case] * curves.tied[0, at][:, None] - curves.tied[1:, at].T)
    return np.asarray(eta)
