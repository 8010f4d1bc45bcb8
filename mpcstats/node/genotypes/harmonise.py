"""One list of variants onto another: by position and alleles or by id, with swapped alleles and the other strand.

Everything here is about lists of variants; calls are turned by `mpcstats.node.genotypes.harmonised`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.node.genotypes.builds import builds_of, chromosome_code, looks_like

__all__ = ["Harmonisation", "Mapping", "MatchBy", "allele_codes", "harmonise", "same_variant", "strand_ambiguous"]

MatchBy = Literal["position", "id"]
_NO_ID = (".", "0", "")
_NO_ALLELE = (".", "0")
_UNKNOWN = -1  # allele that nobody at the site carries
_FOREIGN = -2  # complement of what is no single base
_MOVED = 0.1  # ids are trusted across positions where no larger part of them has moved


@dataclass(frozen=True)
class Harmonisation:
    """How one list maps onto another: counts of variants.

    Attributes
    ----------
    study, own : int
        Lengths of the two lists.
    matched : int
        Study variants found in the own list: by_position and by_id.
    flipped : int
        Of the matched: with ref and alt swapped (copies of alt become 2 - copies).
    complemented : int
        Of the matched: on the other strand.
    one_allele : int
        Of the matched: the own list names one allele only ("0" or "."), because nobody carries the other.
    repeated : int
        Study variants that several own rows fit equally well: none of them is taken.
    other_alleles : int
        Study variants whose position is in the own list with other alleles only.
    absent : int
        Study variants that are not matched at all, those of the two lines above among them: all calls are missing.
    unused : int
        Own variants that no study variant asks for.
    """

    study: int
    own: int
    matched: int
    by_position: int
    by_id: int
    flipped: int
    complemented: int
    one_allele: int
    repeated: int
    other_alleles: int
    absent: int
    unused: int

    def __str__(self) -> str:
        return (
            f"{self.matched:,} of {self.study:,} variants matched ({self.by_id:,} by id, {self.flipped:,} with swapped "
            f"alleles, {self.complemented:,} on the other strand, {self.one_allele:,} with one allele), "
            f"{self.absent:,} absent ({self.other_alleles:,} with other alleles, {self.repeated:,} repeated)"
        )


@dataclass(frozen=True, eq=False)
class Mapping:
    """Where each study variant is in the own list.

    Attributes
    ----------
    position : intp (study,)
        Row of the own list, -1 where there is none.
    flipped : bool (study,)
        Copies of the own alt are copies of the study's ref.
    report : Harmonisation
    """

    position: NDArray[np.intp]
    flipped: NDArray[np.bool_]
    report: Harmonisation


@dataclass(frozen=True, eq=False)
class _Alleles:
    """ref and alt as numbers: A, C, G, T are 0 to 3, -1 is unknown, others from 4 up."""

    ref: NDArray[np.int64]
    alt: NDArray[np.int64]
    swappable: NDArray[np.bool_]

    def take(self, rows: NDArray[np.intp]) -> _Alleles:
        return _Alleles(self.ref[rows], self.alt[rows], self.swappable[rows])


def harmonise(
    own: pd.DataFrame,
    study: pd.DataFrame,
    where: str,
    party: str,
    match: MatchBy = "position",
    *,
    may_differ: bool = False,
) -> Mapping:
    """Map a site's variants onto the study's.

    A variant fits by chromosome, position and alleles; where no row does, by its id on the same chromosome, if ids name
    the same positions elsewhere in the lists (all but a tenth). Alleles may be swapped, single bases may be those of
    the other strand. Insertions and deletions are never swapped: the swapped one is another variant. Strand-ambiguous
    variants (A/T, C/G) are taken as written: a study list has them only if its makers chose to keep them. The order of
    the lists plays no part.

    Parameters
    ----------
    own, study : DataFrame
        chrom, pos, id, ref, alt; the study's hold no variant twice.
    where : str
        Name of the own list, for errors.
    party : str
        Owner, for errors.
    match : {"position", "id"}
        "id" leaves positions aside: for files of another genome build.
    may_differ : bool
        Lists with no common variant are no error.

    Raises
    ------
    DataError
        No variant matches, or the lists are of different builds.
    """
    codes, study_codes = allele_codes([own, study])
    chroms = pd.factorize(pd.concat([chromosome_code(own["chrom"]), chromosome_code(study["chrom"])]))[0]
    own_chrom, study_chrom = chroms[: len(own)], chroms[len(own) :]
    ids = _id_pairs(own, study)
    moved = _moved(own, study, own_chrom, study_chrom, ids)
    position = np.full(len(study), -1, dtype=np.intp)
    relation = np.full(len(study), -1, dtype=np.int8)
    repeated = other = np.zeros(len(study), dtype=np.bool_)
    if match == "position":
        pairs = _position_pairs(own, study, own_chrom, study_chrom)
        position, relation, repeated, other = _best(pairs, codes, study_codes, own, study)
        _refuse_other_build(own, study, moved, len(ids[0]), int((position >= 0).sum()), where, party)
    else:
        repeated = _repeated_ids(own, study)
    by_position = int((position >= 0).sum())
    if match == "id" or moved <= _MOVED * len(ids[0]):
        _match_ids(ids, position, relation, (own_chrom, study_chrom), (codes, study_codes), repeated)
    found = position >= 0
    if len(study) and not found.any() and not may_differ:
        raise DataError(
            f"none of the study's {len(study):,} variants is among the {len(own):,} of {where}",
            party=party,
            hint="compare names of chromosomes, positions and ids of the two lists",
        )
    taken = position[found]
    one = (codes.ref[taken] == _UNKNOWN) | (codes.alt[taken] == _UNKNOWN)
    report = Harmonisation(
        study=len(study),
        own=len(own),
        matched=int(found.sum()),
        by_position=by_position,
        by_id=int(found.sum()) - by_position,
        flipped=int((relation[found] & 1).sum()),
        complemented=int((relation[found] >> 1).sum()),
        one_allele=int(one.sum()),
        repeated=int(repeated.sum()),
        other_alleles=int((other & ~found).sum()),
        absent=int((~found).sum()),
        unused=len(own) - len(np.unique(taken)),
    )
    return Mapping(position, found & ((relation & 1) == 1), report)


def allele_codes(tables: list[pd.DataFrame]) -> list[_Alleles]:
    """Alleles of some lists in one numbering; letters of bases may be small."""
    cells = pd.concat([table[name] for table in tables for name in ("ref", "alt")], ignore_index=True)
    numbers, names = pd.factorize(cells)
    texts = pd.Series(names, dtype=object).str.upper()
    bases = {base: k for k, base in enumerate("ACGT")} | dict.fromkeys(_NO_ALLELE, _UNKNOWN)
    kinds = pd.factorize(texts)[0] + 4  # equal but for the case: the same number
    coded = np.array([bases.get(text, kind) for text, kind in zip(texts, kinds, strict=True)], dtype=np.int64)
    length = np.where(texts.str.fullmatch("[ACGTN]+"), texts.str.len(), 0).astype(np.int64)
    found, start = [], 0
    for table in tables:
        ref, alt = numbers[start : start + len(table)], numbers[start + len(table) : start + 2 * len(table)]
        start += 2 * len(table)
        sequences = (length[ref] > 0) & (length[alt] > 0)
        found.append(_Alleles(coded[ref], coded[alt], ~sequences | (length[ref] == length[alt])))
    return found


def strand_ambiguous(table: pd.DataFrame) -> NDArray[np.bool_]:
    """A/T and C/G: the same letters on both strands."""
    (codes,) = allele_codes([table])
    ambiguous: NDArray[np.bool_] = _complement(codes.ref) == codes.alt
    return ambiguous


def same_variant(table: pd.DataFrame) -> NDArray[np.int64]:
    """A number per row, the same for rows that are one variant up to swapped alleles and strand."""
    (codes,) = allele_codes([table])
    ref, alt = codes.ref, codes.alt
    low, high = np.minimum(ref, alt), np.maximum(ref, alt)
    base = (low >= 0) & (high < 4)
    other_low, other_high = np.where(base, 3 - high, low), np.where(base, 3 - low, high)
    swap = (other_low < low) | ((other_low == low) & (other_high < high))
    first = np.where(codes.swappable, np.where(swap, other_low, low), ref)
    second = np.where(codes.swappable, np.where(swap, other_high, high), alt)
    keys = pd.DataFrame(
        {"chrom": chromosome_code(table["chrom"]), "pos": table["pos"], "first": first, "second": second}
    )
    return keys.groupby(list(keys.columns), sort=False).ngroup().to_numpy().astype(np.int64)


def _complement(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where(codes == _UNKNOWN, _UNKNOWN, np.where((codes >= 0) & (codes < 4), 3 - codes, _FOREIGN))


def _relation(own: _Alleles, study: _Alleles) -> NDArray[np.int8]:
    """0 the same, 1 swapped, 2 other strand, 3 both, -1 another variant; pair by pair."""

    def fit(x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.bool_]:
        fits: NDArray[np.bool_] = (x == y) | (x == _UNKNOWN)
        return fits

    found = np.full(len(own.ref), -1, dtype=np.int8)
    other_ref, other_alt = _complement(own.ref), _complement(own.alt)
    strands = _complement(study.ref) != study.alt  # else taken as written
    found[strands & study.swappable & fit(other_ref, study.alt) & fit(other_alt, study.ref)] = 3
    found[strands & fit(other_ref, study.ref) & fit(other_alt, study.alt)] = 2
    found[study.swappable & fit(own.ref, study.alt) & fit(own.alt, study.ref)] = 1
    found[fit(own.ref, study.ref) & fit(own.alt, study.alt)] = 0
    return found


def _position_pairs(
    own: pd.DataFrame, study: pd.DataFrame, own_chrom: NDArray[np.intp], study_chrom: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows (own, study) of the same chromosome and position."""
    left = pd.DataFrame({"c": study_chrom, "p": study["pos"].to_numpy(), "study": np.arange(len(study))})
    right = pd.DataFrame({"c": own_chrom, "p": own["pos"].to_numpy(), "own": np.arange(len(own))})
    both = left.merge(right[right["p"] > 0], on=["c", "p"])  # position 0: not known
    return both["own"].to_numpy(np.intp), both["study"].to_numpy(np.intp)


def _best(
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]],
    codes: _Alleles,
    study_codes: _Alleles,
    own: pd.DataFrame,
    study: pd.DataFrame,
) -> tuple[NDArray[np.intp], NDArray[np.int8], NDArray[np.bool_], NDArray[np.bool_]]:
    """The own row of each study variant, its relation; repeated (a draw); other alleles at its position."""
    mine, theirs = pairs
    relation = _relation(codes.take(mine), study_codes.take(theirs))
    other = np.zeros(len(study), dtype=np.bool_)
    other[theirs[relation < 0]] = True
    mine, theirs, relation = mine[relation >= 0], theirs[relation >= 0], relation[relation >= 0]
    unknown = (codes.ref[mine] == _UNKNOWN) | (codes.alt[mine] == _UNKNOWN)
    renamed = own["id"].to_numpy()[mine] != study["id"].to_numpy()[theirs]
    cost = 8 * unknown + 4 * renamed + relation  # both alleles known first, then the same id, then as written
    order = np.lexsort((cost, theirs))
    mine, theirs, relation, cost = mine[order], theirs[order], relation[order], cost[order]
    first = np.ones(len(theirs), dtype=np.bool_)
    first[1:] = theirs[1:] != theirs[:-1]
    draw = np.zeros(len(theirs), dtype=np.bool_)
    draw[:-1] = first[:-1] & (theirs[1:] == theirs[:-1]) & (cost[1:] == cost[:-1])
    repeated = np.zeros(len(study), dtype=np.bool_)
    repeated[theirs[draw]] = True
    position = np.full(len(study), -1, dtype=np.intp)
    relations = np.full(len(study), -1, dtype=np.int8)
    chosen = first & ~draw
    position[theirs[chosen]] = mine[chosen]
    relations[theirs[chosen]] = relation[chosen]
    return position, relations, repeated, other


def _id_pairs(own: pd.DataFrame, study: pd.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows (own, study) of the same id, which no other row of either list has."""
    mine, theirs = (
        table.loc[~table["id"].isin(_NO_ID) & ~table["id"].duplicated(keep=False), "id"].reset_index()
        for table in (own.reset_index(drop=True), study.reset_index(drop=True))
    )
    both = mine.merge(theirs, on="id", suffixes=("_own", "_study"))
    return both["index_own"].to_numpy(np.intp), both["index_study"].to_numpy(np.intp)


def _repeated_ids(own: pd.DataFrame, study: pd.DataFrame) -> NDArray[np.bool_]:
    """Study variants whose id several rows of a list have: ids alone do not tell which."""
    several = set(own.loc[own["id"].duplicated(), "id"]) - set(_NO_ID)
    twice: NDArray[np.bool_] = (study["id"].isin(several) | study["id"].duplicated(keep=False)).to_numpy()
    return twice & ~study["id"].isin(_NO_ID).to_numpy() & study["id"].isin(own["id"]).to_numpy()


def _moved(
    own: pd.DataFrame,
    study: pd.DataFrame,
    own_chrom: NDArray[np.intp],
    study_chrom: NDArray[np.intp],
    ids: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> int:
    """How many common ids name another position."""
    mine, theirs = ids
    same = (own_chrom[mine] == study_chrom[theirs]) & (own["pos"].to_numpy()[mine] == study["pos"].to_numpy()[theirs])
    return int((~same).sum())


def _refuse_other_build(
    own: pd.DataFrame, study: pd.DataFrame, moved: int, common: int, matched: int, where: str, party: str
) -> None:
    """By ids that have moved; without common ids, by positions that no build of the other list has."""
    if moved > common / 2 and moved > matched:
        problem = (
            f"{moved:,} of the {common:,} variant ids that {where} shares with the study name another position there"
        )
    elif 2 * matched < min(len(own), len(study)) and _disjoint(builds_of(own), builds_of(study)):
        problem = f"{matched:,} of the study's {len(study):,} variants are at the positions of {where}'s {len(own):,}"
    else:
        return
    raise DataError(
        f"{problem}: the positions of {where} look like {looks_like(own)}, the study's like {looks_like(study)}",
        party=party,
        hint='lift the file over to the study\'s build, or, if ids are to be trusted, set variant_match = "id" for the '
        "data set (variants make: --match id)",
    )


def _disjoint(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Both are known, and none is in both."""
    return bool(one and other) and not set(one) & set(other)


def _match_ids(
    ids: tuple[NDArray[np.intp], NDArray[np.intp]],
    position: NDArray[np.intp],
    relation: NDArray[np.int8],
    chroms: tuple[NDArray[np.intp], NDArray[np.intp]],
    codes: tuple[_Alleles, _Alleles],
    repeated: NDArray[np.bool_],
) -> None:
    """Fill what has no position yet; an own row serves once."""
    mine, theirs = ids
    used = np.zeros(len(codes[0].ref), dtype=np.bool_)
    used[position[position >= 0]] = True
    free = (position[theirs] < 0) & ~repeated[theirs] & ~used[mine] & (chroms[0][mine] == chroms[1][theirs])
    mine, theirs = mine[free], theirs[free]
    fits = _relation(codes[0].take(mine), codes[1].take(theirs))
    good = fits >= 0
    position[theirs[good]] = mine[good]
    relation[theirs[good]] = fits[good]
