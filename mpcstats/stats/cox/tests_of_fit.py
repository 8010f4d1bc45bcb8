"""Tables of a fitted model from its public numbers: coefficients, whole-model tests, proportional hazards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaincc, log_ndtr, ndtri

from mpcstats.stats.cox.newton import inverse
from mpcstats.stats.cox.plan import Term
from mpcstats.stats.logrank import log_chi_square_tail

__all__ = ["TimeScores", "coefficient_table", "model_tests", "proportional_hazards"]

Floats = NDArray[np.float64]


def coefficient_table(
    names: Sequence[str], coef: Floats, covariance: Floats, conf_level: float, robust: Floats | None = None
) -> pd.DataFrame:
    """One row per column of the model, as R's `summary` and lifelines' `summary` give them.

    z and p are from the robust standard errors where there are any; infinite coefficients have none.
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        se = np.sqrt(np.diag(covariance))
        used = se if robust is None else np.sqrt(np.diag(robust))
        z = coef / used
        log_p = math.log(2) + log_ndtr(-np.abs(z))
        half = float(ndtri(0.5 + conf_level / 2)) * used
        table = {
            "term": list(names),
            "coef": coef,
            "exp_coef": np.exp(coef),
            "se_coef": se,
            **({} if robust is None else {"robust_se": used}),
            "z": z,
            "p_value": np.exp(log_p),
            "log_p_value": log_p,
            "coef_lower": coef - half,
            "coef_upper": coef + half,
            "exp_coef_lower": np.exp(coef - half),
            "exp_coef_upper": np.exp(coef + half),
        }
    return pd.DataFrame(table)


def model_tests(ratio: float, wald: float, score: float, freedom: int, robust: float | None = None) -> pd.DataFrame:
    """Likelihood-ratio, Wald and score (log-rank) tests of all coefficients."""
    rows = [("likelihood ratio", ratio), ("Wald", wald), ("score", score)]
    if robust is not None:
        rows.append(("robust Wald", robust))
    return _tests("test", rows, [freedom] * len(rows))


def _tests(label: str, rows: Sequence[tuple[str, float]], freedom: Sequence[int]) -> pd.DataFrame:
    values = np.array([value for _, value in rows])
    half = np.array(freedom) / 2
    return pd.DataFrame(
        {
            label: [name for name, _ in rows],
            "chi_square": values,
            "degrees_of_freedom": list(freedom),
            "p_value": gammaincc(half, np.where(values < 0, 0.0, values) / 2),
            "log_p_value": [
                log_chi_square_tail(value, df) if math.isfinite(value) else math.nan
                for value, df in zip(values.tolist(), freedom, strict=True)
            ],
        }
    )


@dataclass(frozen=True)
class TimeScores:
    """Score of covariate times g(t) at the fitted coefficients, and its information blocks.

    Attributes
    ----------
    score : float64 (p,)
    cross, own : float64 (p, p)
        Sums of g V and g^2 V, V the information of each event.
    """

    score: Floats
    cross: Floats
    own: Floats


def proportional_hazards(information: Floats, times: TimeScores, terms: Sequence[Term], noise: float) -> pd.DataFrame:
    """Test of each term, and of all, for a coefficient that changes with g(t): R's `cox.zph` (survival 3).

    NaN where g does not vary enough over the events for a test, given the relative error `noise` of the informations.
    Grambsch, Therneau 1994; the score test of the interaction at the fitted model.
    """
    everything = tuple(range(len(times.score)))
    base = inverse(information)
    rows, freedom = [], []
    for name, columns in [*((t.name, t.columns) for t in terms), ("GLOBAL", everything)]:
        at = list(columns)
        own = times.own[np.ix_(at, at)]
        left = own - times.cross[at] @ base @ times.cross[:, at]
        size = np.sqrt(np.maximum(np.diag(own), np.finfo(float).tiny))
        testable = float(np.linalg.eigvalsh(left / np.outer(size, size)).min()) > 10 * noise
        rows.append((name, float(times.score[at] @ inverse(left) @ times.score[at]) if testable else math.nan))
        freedom.append(len(at))
    return _tests("term", rows, freedom)
