"""Scores of people on public loadings, at their site: nothing is shared.

A loading belongs to a variant by chromosome, position and alleles, or by its id where no position agrees. Alleles may
be exchanged (the loading then counts the other one) or those of the other strand. Where both alleles are each other's
complement (A and T, C and G), the strand cannot be told: the variant is left out, or taken as it is named.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.stats.association.standardised import standardised

__all__ = ["Matched", "match_loadings", "project_calls", "score_columns"]

Floats = NDArray[np.float64]

_COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "ALT_FREQ")
_COMPLEMENT = str.maketrans("ACGT", "TGCA")
_LEAST_SHARE = 0.5
_BLOCK = 2048


@dataclass(frozen=True)
class Matched:
    """Loadings of variants that the site has.

    Attributes
    ----------
    index : int64 (variants,)
        Positions in the site's variant table, ascending.
    frequency : float64 (variants,)
        Of the site's ALT in the cohort of the loadings.
    loadings : float64 (variants, components)
        Per standardised copy of the site's ALT.
    """

    index: NDArray[np.int64]
    frequency: Floats
    loadings: Floats


def score_columns(loadings: pd.DataFrame) -> tuple[str, ...]:
    """Names of the components: the columns behind #CHROM, POS, ID, REF, ALT, ALT_FREQ.

    Raises
    ------
    DataError
        A column is missing, or not of numbers.
    """
    absent = [name for name in _COLUMNS if name not in loadings.columns]
    names = tuple(str(name) for name in loadings.columns if name not in _COLUMNS)
    if absent or not names:
        raise DataError(f"the table of loadings has no column {', '.join(absent) or 'of a component'}")
    numbers = loadings[["ALT_FREQ", *names]]
    if not all(kind.kind in "fiu" for kind in numbers.dtypes) or not np.isfinite(numbers.to_numpy(np.float64)).all():
        raise DataError("the table of loadings has columns of numbers that are not numbers", hint="ALT_FREQ, PC1, ...")
    return names


def match_loadings(loadings: pd.DataFrame, variants: pd.DataFrame, keep_ambiguous: bool = False) -> Matched:
    """Find the variants of a table of loadings in a site's own.

    Parameters
    ----------
    loadings : DataFrame
        #CHROM, POS, ID, REF, ALT, ALT_FREQ, and a column for each component.
    variants : DataFrame
        chrom, pos, id, ref, alt.
    keep_ambiguous : bool
        Take alleles as they are named where the strand cannot be told.

    Raises
    ------
    DataError
        Less than half of the loadings have a variant here: scores would be those of something else.
    """
    names = score_columns(loadings)
    places = _places(variants)
    by_id = {str(name): k for k, name in enumerate(variants["id"]) if str(name) != "."}
    alleles = [(str(r).upper(), str(a).upper()) for r, a in zip(variants["ref"], variants["alt"], strict=True)]
    found: dict[int, tuple[int, bool]] = {}
    keys = zip(loadings["#CHROM"], loadings["POS"], loadings["ID"], loadings["REF"], loadings["ALT"], strict=True)
    for row, (chrom, pos, name, ref, alt) in enumerate(keys):
        here = places.get((_chromosome(chrom), int(pos)), [])
        for k in here or [by_id[n] for n in (str(name),) if n in by_id]:
            exchanged = _exchanged((str(ref).upper(), str(alt).upper()), alleles[k], keep_ambiguous)
            if exchanged is not None and k not in found:
                found[k] = (row, exchanged)
                break
    if len(found) < _LEAST_SHARE * len(loadings) or not found:
        raise DataError(
            f"{len(found):,} of {len(loadings):,} loadings have a variant here; at least half are needed",
            hint="compare genome build, chromosome names and alleles of both tables",
        )
    index = np.array(sorted(found), np.int64)
    rows = np.array([found[k][0] for k in index])
    swapped = np.array([found[k][1] for k in index])
    frequency = loadings["ALT_FREQ"].to_numpy(np.float64)[rows]
    weights = loadings[list(names)].to_numpy(np.float64)[rows]
    usable = (frequency > 0) & (frequency < 1)
    frequency, weights = np.where(swapped, 1 - frequency, frequency), np.where(swapped[:, None], -weights, weights)
    return Matched(index[usable], frequency[usable], weights[usable])


def _places(variants: pd.DataFrame) -> dict[tuple[str, int], list[int]]:
    places: dict[tuple[str, int], list[int]] = {}
    for k, (chrom, pos) in enumerate(zip(variants["chrom"], variants["pos"], strict=True)):
        places.setdefault((_chromosome(chrom), int(pos)), []).append(k)
    return places


def _chromosome(name: object) -> str:
    return str(name).lower().removeprefix("chr")


def _exchanged(theirs: tuple[str, str], ours: tuple[str, str], keep_ambiguous: bool) -> bool | None:
    """Whether REF and ALT are exchanged here; None where the alleles are others, or the strand cannot be told."""
    other = (theirs[0].translate(_COMPLEMENT), theirs[1].translate(_COMPLEMENT))
    if other == theirs[::-1]:
        if not keep_ambiguous:
            return None
        other = theirs
    if ours in (theirs, other):
        return False
    return True if ours[::-1] in (theirs, other) else None


def project_calls(read: Callable[[int, int], NDArray[np.int8]], people: int, matched: Matched) -> Floats:
    """Scores (people, components); missing calls count 0, as in the components themselves.

    Parameters
    ----------
    read : function (start, stop) -> int8 (people, stop - start)
        Copies of ALT, -1 where the call is missing.
    """
    scores = np.zeros((people, matched.loadings.shape[1]))
    if not matched.index.size:
        return scores
    for start in range(0, int(matched.index[-1]) + 1, _BLOCK):
        low, high = np.searchsorted(matched.index, (start, start + _BLOCK))
        if low < high:
            stop = int(matched.index[high - 1]) + 1
            calls = read(start, stop)[:, matched.index[low:high] - start]
            scores += standardised(calls, matched.frequency[low:high]) @ matched.loadings[low:high]
    return scores
