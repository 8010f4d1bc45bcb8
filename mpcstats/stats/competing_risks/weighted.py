"""What one site adds up for a Fine-Gray regression: risk sets that keep those who had a competing event, with weights.

At time t a person with a competing event at T < t counts as G(t-) / G(T-), G being the distribution of the time to
censoring (Fine and Gray 1999). Everything else is Cox regression, so these sums go into its secure scores and
informations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.stats.competing_risks.robust import Curves, curves_of_sums, influence_of_people, influence_of_rows
from mpcstats.stats.cox.partial import OwnLikelihood
from mpcstats.stats.cox.pooled import PREDICTOR_LIMIT
from mpcstats.stats.cox.sites import Cells, SiteRisk, Sums, pairs

__all__ = ["OwnFineGray", "WeightedRisk"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


class WeightedRisk(SiteRisk):
    """The people of one site on given cells, those with a competing event weighted after it.

    Parameters
    ----------
    z : float64 (people, p)
        Standardised covariates.
    time : int64 (people,)
        Lattice time of the exit.
    event, rival : bool (people,)
        Who had the event, who a competing one; all others were censored.
    censoring : float64 (T+1,)
        G(t-) on the lattice, from `censoring_survival`.
    cells : Cells
        Times of one stratum.
    """

    def __init__(self, z: Floats, time: Ints, event: Flags, rival: Flags, censoring: Floats, cells: Cells) -> None:
        super().__init__(z, time, event, np.zeros(len(time), np.int64), None, cells)
        self.time, self.case, self.rival = time, event, rival
        self.censoring = censoring
        self._rivals = np.flatnonzero(rival)
        self._inverse = 1 / censoring[time[self._rivals]]
        self._after = self.last[self._rivals] + 1  # the first cell after the exit

    def risk(self, weights: Floats, moments: int = 2) -> Sums:
        """Sums over the weighted risk set of every cell; see `SiteRisk.risk`."""
        total = super().risk(weights, moments)
        size = weights[self._rivals] * self._inverse
        z = self.z[:, self._rivals]
        at_cells = self.censoring[self.cells.time]
        total.zeroth += at_cells * self._since(size)
        for k in range(len(total.first)):
            total.first[k] += at_cells * self._since(size * z[k])
        if len(total.second):
            for place, (k, other) in enumerate(zip(*pairs(self.order), strict=True)):
                total.second[place] += at_cells * self._since(size * z[k] * z[other])
        return total

    def _since(self, values: Floats) -> Floats:
        """Sums over the people whose competing event came before each cell."""
        return np.cumsum(np.bincount(self._after, values, minlength=self.cells.size + 1)[: self.cells.size])

    def sizes(self, beta: Floats) -> Floats:
        """e^(predictor) of everybody."""
        return np.exp(self.predictor(beta, PREDICTOR_LIMIT))


class OwnFineGray(OwnLikelihood):
    """One site's own weighted risk sets: a stratum of its own, with its own distribution of censorings.

    Parameters
    ----------
    rule : "crr" or "finegray"
        Which of R's two robust variances.
    """

    def __init__(
        self, z: Floats, time: Ints, event: Flags, rival: Flags, censoring: Floats, ties: str, rule: str
    ) -> None:
        super().__init__(z, time, event, np.zeros(len(time), np.int64), None, ties)
        self.weighted_risk = WeightedRisk(z, time, event, rival, censoring, self.cells)
        self.risk = self.weighted_risk
        self.rule = rule

    def residual_products(self, beta: Floats) -> Floats:
        """Sum of squared influences: (p, p), the middle of the sandwich."""
        risk = self.weighted_risk
        curves = own_curves(risk, beta, self.ties)
        influence = influence_of_people if self.rule == "crr" else influence_of_rows
        return influence(risk.z.T, risk.time, risk.case, risk.rival, risk.sizes(beta), curves)


def own_curves(risk: WeightedRisk, beta: Floats, ties: str) -> Curves:
    """Curves of one site's people alone."""
    sizes, horizon = risk.sizes(beta), len(risk.censoring) - 1
    leaving = np.bincount(risk.time, minlength=horizon + 1)
    lost = np.bincount(risk.time[~(risk.case | risk.rival)], minlength=horizon + 1)
    at_risk = np.cumsum(leaving[::-1])[::-1]
    sums = [np.vstack([s.zeroth[None], s.first]) for s in (risk.risk(sizes, 1), risk.failing(sizes, 1))]
    curves = curves_of_sums(risk.cells.time, risk.events, sums[0], sums[1], ties, risk.censoring)
    return curves.completed(lost, at_risk, rival_sums(risk, beta))


def rival_sums(risk: WeightedRisk, beta: Floats) -> Floats:
    """This site's sums of e^(x b) / G(exit-) and x e^(x b) / G(exit-) over competing events before each lattice time.

    Float64 (1 + p, T+1).
    """
    who = risk.rival
    size = risk.sizes(beta)[who] / risk.censoring[risk.time[who]]
    steps = np.zeros((1 + risk.order, len(risk.censoring)))
    np.add.at(steps.T, risk.time[who], np.vstack([size, size * risk.z[:, who]]).T)
    return np.cumsum(steps, axis=1) - steps
