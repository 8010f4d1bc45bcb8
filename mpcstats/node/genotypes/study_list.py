"""The study's public list of variants: a file that all parties agree on, as they do on the data dictionary.

It is public because a site's own list is not: which variants a site has sequenced can tell about its people, so nodes
never exchange theirs. The file is a pvar: lines that begin with ##, a header, tabs.

    ##mpcstats=variants/1
    ##ambiguous=drop
    #CHROM	POS	ID	REF	ALT
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.node.genotypes.builds import chromosome_code, looks_like
from mpcstats.node.genotypes.harmonise import Harmonisation, MatchBy, harmonise, same_variant, strand_ambiguous
from mpcstats.node.genotypes.lists import as_text, read_bim, read_pvar
from mpcstats.study.variants import VARIANT_COLUMNS

__all__ = [
    "Ambiguous",
    "ListReport",
    "StudyList",
    "make_study_list",
    "read_list",
    "read_study_list",
    "write_study_list",
]

Ambiguous = Literal["drop", "keep"]
_RULE = re.compile(rb"^##ambiguous=(.*?)\s*$", re.MULTILINE)
_NO_ALLELE = (".", "0")


@dataclass(frozen=True, eq=False)
class StudyList:
    """A study's variants.

    Attributes
    ----------
    variants : DataFrame
        chrom, pos, id, ref, alt, in the file's order.
    ambiguous : "drop" or "keep"
        Strand-ambiguous variants (A/T, C/G) are left out ("drop", the default of a file), or taken as written.
    dropped : int
        How many were left out.
    """

    variants: pd.DataFrame
    ambiguous: Ambiguous
    dropped: int


@dataclass(frozen=True)
class ListReport:
    """What became of one list in a study list.

    Attributes
    ----------
    name : str
    variants : int
    build : str
        The builds that hold all its positions.
    ambiguous, repeated, one_allele : int
        Rows that were not offered: strand-ambiguous, the same variant as another row, one allele only.
    harmonisation : Harmonisation
        The list onto the finished study list.
    """

    name: str
    variants: int
    build: str
    ambiguous: int
    repeated: int
    one_allele: int
    harmonisation: Harmonisation


def read_study_list(path: Path, party: str) -> StudyList:
    """Read and check a study list.

    Raises
    ------
    DataError
        Malformed, empty, a variant twice (also with swapped alleles or of the other strand), a variant with one allele.
    """
    table = _read_any(path, party)
    rule = _rule(path, party)
    known = _known_alleles(table)
    if not known.all():
        problem = f"{path.name}: {int((~known).sum())} variants have one allele only"
        raise DataError(problem, party=party, hint="mpcstats variants make leaves such variants out")
    repeated = int(pd.Series(same_variant(table)).duplicated().sum())
    if repeated:
        raise DataError(
            f"{path.name}: {repeated} variants are others of the list with alleles swapped or of the other strand",
            party=party,
            hint="mpcstats variants make leaves one of each",
        )
    dropped = strand_ambiguous(table) if rule == "drop" else np.zeros(len(table), dtype=np.bool_)
    variants = table[~dropped].reset_index(drop=True)
    if variants.empty:
        raise DataError(f"{path.name} has no variants that can be used", party=party)
    return StudyList(variants, rule, int(dropped.sum()))


def make_study_list(
    lists: Sequence[tuple[str, pd.DataFrame]],
    keep: Literal["intersection", "union"] = "intersection",
    ambiguous: Ambiguous = "drop",
    match: MatchBy = "position",
) -> tuple[StudyList, list[ListReport]]:
    """A study list from public lists of variants.

    Parameters
    ----------
    lists : sequence of (name, DataFrame)
        Where lists differ in ids, order of alleles, strand or (match "id") positions, the first one wins.
    keep : {"intersection", "union"}
        Variants that all lists have, or that one has.
    ambiguous : {"drop", "keep"}
        What becomes of strand-ambiguous variants.

    Raises
    ------
    DataError
        Lists of different builds, nothing in common.
    """
    offers = [_offer(table, ambiguous) for _, table in lists]
    study = pd.concat([offers[0][0]], ignore_index=True)
    for (name, _), (offer, _) in zip(lists[1:], offers[1:], strict=True):
        position = harmonise(offer, study, name, "", match, may_differ=keep == "union").position
        new = np.ones(len(offer), dtype=np.bool_)
        new[position[position >= 0]] = False
        study = _once(pd.concat([study, offer[new]], ignore_index=True))
    reports = []
    everywhere = np.ones(len(study), dtype=np.bool_)
    for name, table in lists:
        everywhere &= harmonise(table, study, name, "", match, may_differ=True).position >= 0
    if keep == "intersection":
        study = study[everywhere]
    study = _sorted(study)
    if study.empty:
        raise DataError("no variant is in all lists", hint="--keep union takes those of each list")
    for (name, table), (_, counts) in zip(lists, offers, strict=True):
        own = harmonise(table, study, name, "", match, may_differ=True).report
        reports.append(ListReport(name, len(table), looks_like(table), *counts, harmonisation=own))
    return StudyList(study, ambiguous, sum(report.ambiguous for report in reports)), reports


def read_list(path: Path) -> tuple[str, pd.DataFrame]:
    """A public list: .bim, .pvar, .pvar.zst, or a study list; its name and variants."""
    return path.name, _read_any(path, "")


def write_study_list(study: StudyList, path: Path) -> None:
    """Write the file; an existing one is replaced."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"##mpcstats=variants/1\n##ambiguous={study.ambiguous}\n#CHROM\tPOS\tID\tREF\tALT\n")
        study.variants.to_csv(file, sep="\t", header=False, index=False, columns=list(VARIANT_COLUMNS))


def _read_any(path: Path, party: str) -> pd.DataFrame:
    return as_text(read_bim(path, party) if path.suffix.lower() == ".bim" else read_pvar(path, party))


def _rule(path: Path, party: str) -> Ambiguous:
    if path.suffix.lower() in {".bim", ".zst"}:
        return "drop"
    with path.open("rb") as file:
        found = _RULE.search(file.read(1 << 16).partition(b"\n#CHROM")[0])
    if found is None:
        return "drop"
    for rule in ("drop", "keep"):
        if found[1] == rule.encode():
            return rule
    raise DataError(f"{path.name}: ##ambiguous= must be drop or keep", party=party)


def _known_alleles(table: pd.DataFrame) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = ~(table["ref"].isin(_NO_ALLELE) | table["alt"].isin(_NO_ALLELE)).to_numpy()
    return known


def _offer(table: pd.DataFrame, ambiguous: Ambiguous) -> tuple[pd.DataFrame, tuple[int, int, int]]:
    """Rows of a list that a study list may take; how many not (ambiguous, repeated, one allele)."""
    unclear = strand_ambiguous(table) if ambiguous == "drop" else np.zeros(len(table), dtype=np.bool_)
    known = _known_alleles(table)
    rest = table[known & ~unclear]
    offer = _once(_sorted(rest))
    return offer, (int((unclear & known).sum()), len(rest) - len(offer), int((~known).sum()))


def _once(table: pd.DataFrame) -> pd.DataFrame:
    return table[~pd.Series(same_variant(table)).duplicated().to_numpy()].reset_index(drop=True)


def _sorted(table: pd.DataFrame) -> pd.DataFrame:
    """By chromosome (numbers, then names) and position, whatever the order of the file."""
    code = chromosome_code(table["chrom"])
    number = pd.to_numeric(code, errors="coerce").fillna(np.inf)
    keys: dict[str, Any] = {"number": number, "code": code}
    order = table.assign(**keys).sort_values(["number", "code", "pos", "ref", "alt", "id"], kind="stable").index
    return table.loc[order].reset_index(drop=True)
