"""Firth's logistic regression with hat values, person by person (Heinze, Schemper 2002): an independent twin."""

from __future__ import annotations

import numpy as np


def firth(y: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    """Coefficient and standard error of the last column."""
    beta = np.zeros(x.shape[1])
    for _ in range(500):
        p = 1 / (1 + np.exp(-x @ beta))
        w = p * (1 - p)
        inverse = np.linalg.inv((x * w[:, None]).T @ x)
        hat = w * np.einsum("ij,jk,ik->i", x, inverse, x)
        step = inverse @ (x.T @ (y - p + hat * (0.5 - p)))
        # half steps: one carrier alone makes whole ones go back and forth for ever
        beta += step / 2
        if np.abs(step).max() < 1e-13:
            break
    p = 1 / (1 + np.exp(-x @ beta))
    information = (x * (p * (1 - p))[:, None]).T @ x
    return float(beta[-1]), float(np.sqrt(np.linalg.inv(information)[-1, -1]))
