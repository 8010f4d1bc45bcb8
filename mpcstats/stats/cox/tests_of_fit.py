"""Tables of a fitted model from its public numbers: coefficients, whole-model tests, proportional hazards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from mpcstats.stats.cox.newton import inverse
from mpcstats.stats.tails import chi_square_tail, log_chi_square_tail, log_normal_two_sided, normal_two_sided

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
        half = float(ndtri(0.5 + conf_level / 2)) * used
        table = {
            "term": list(names),
            "coef": coef,
            "exp_coef": np.exp(coef),
            "se_coef": se,
            **({} if robust is None else {"robust_se": used}),
            "z": z,
            "p_value": normal_two_sided(z),
            "log_p_value": log_normal_two_sided(z),
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
    pairs = list(zip((value for _, value in rows), freedom, strict=True))
    return pd.DataFrame(
        {
            label: [name for name, _ in rows],
            "chi_square": [value for value, _ in pairs],
            "degrees_of_freedom": list(freedom),
            "p_value": [chi_square_tail(value, df) for value, df in pairs],
            "log_p_value": [log_chi_square_tail(value, df) for value, df in pairs],
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


def proportional_hazards(
    information: Floats, times: TimeScores, terms: Sequence[tuple[str, tuple[int, ...]]], noise: float
) -> pd.DataFrame:
    """Test of each term, and of all, for a coefficient that changes with g(t): R's `cox.zph` (survival 3).

    NaN where g does not vary enough over the events for a test, given the relative error `noise` of the informations.
    Grambsch, Therneau 1994; the score test of the interaction at the fitted model.
    """
    everything = tuple(range(len(times.score)))
    base = inverse(information)
    rows, freedom = [], []
    for name, columns in [*terms, ("GLOBAL", everything)]:
        at = list(columns)
        own = times.own[np.ix_(at, at)]
        left = own - times.cross[at] @ base @ times.cross[:, at]
        size = np.sqrt(np.maximum(np.diag(own), np.finfo(float).tiny))
        testable = float(np.linalg.eigvalsh(left / np.outer(size, size)).min()) > 10 * noise
        statistic = max(0.0, float(times.score[at] @ inverse(left) @ times.score[at])) if testable else math.nan
        rows.append((name, statistic))
        freedom.append(len(at))
    return _tests("term", rows, freedom)
