"""Tables of quality control and of contingency tests: columns of PLINK from opened counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.stats.association.exact_tests import hardy_exact

__all__ = ["genotype_table", "hardy_table", "rarer_first"]

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def rarer_first(counts: Counts, labels: pd.DataFrame) -> tuple[Counts, NDArray[np.object_], NDArray[np.object_]]:
    """Counts (G, 3, V) by copies of A1, the rarer allele in the pooled data (ALT in a tie, as PLINK 1.9), A1 and A2."""
    pooled = counts.sum(axis=0)
    alt_is_common = pooled[2] > pooled[0]
    ref, alt = labels["REF"].to_numpy(), labels["ALT"].to_numpy()
    turned = np.where(alt_is_common, counts[:, ::-1], counts)
    return turned, np.where(alt_is_common, ref, alt), np.where(alt_is_common, alt, ref)


def genotype_table(counts: Counts, people: int, labels: pd.DataFrame) -> pd.DataFrame:
    """Counts, frequency of ALT and rate of missing calls of everybody, in the names of PLINK 2.

    Parameters
    ----------
    counts : int (G, 3, V)
        People with 0, 1, 2 copies of ALT.
    people : int
        Of all groups, missing calls included.
    """
    n = counts.sum(axis=0)
    called = n.sum(axis=0)
    return labels.assign(
        HOM_REF_CT=n[0],
        HET_REF_ALT_CTS=n[1],
        TWO_ALT_GENO_CTS=n[2],
        MISSING_CT=people - called,
        OBS_CT=called,
        ALT_FREQ=_ratio(n[1] + 2 * n[2], 2 * called),
        F_MISS=(people - called) / people,
    )


def hardy_table(counts: Counts, labels: pd.DataFrame) -> pd.DataFrame:
    """Hardy-Weinberg equilibrium as PLINK 1.9's `--hardy`: ALL, and with two groups (controls, cases) AFF and UNAFF."""
    turned, a1, a2 = rarer_first(counts, labels)
    tests = {"ALL": turned.sum(axis=0)}
    if len(turned) == 2:
        tests |= {"AFF": turned[1], "UNAFF": turned[0]}
    parts = [_hardy_rows(name, n, a1, a2, labels) for name, n in tests.items()]
    # all tests of a variant stand together
    order = np.arange(len(parts) * len(labels)).reshape(len(parts), -1).T.ravel()
    return pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True)


def _hardy_rows(
    name: str, n: Counts, a1: NDArray[np.object_], a2: NDArray[np.object_], labels: pd.DataFrame
) -> pd.DataFrame:
    called = n.sum(axis=0)
    frequency = _ratio(n[1] + 2 * n[2], 2 * called)
    return pd.DataFrame(
        {
            "#CHROM": labels["#CHROM"],
            "ID": labels["ID"],
            "TEST": name,
            "A1": a1,
            "A2": a2,
            "HOM_A1_CT": n[2],
            "HET_CT": n[1],
            "HOM_A2_CT": n[0],
            "O(HET)": _ratio(n[1], called),
            "E(HET)": 2 * frequency * (1 - frequency),
            "P": hardy_exact(n[0], n[1], n[2]),
        }
    )


def _ratio(a: Counts, b: Counts) -> Floats:
    return np.asarray(np.divide(a, b, out=np.full(len(b), np.nan), where=b > 0))
