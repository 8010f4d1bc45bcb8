#!/usr/bin/env python3
"""Write the data of the three institutions in parties/ and the pooled tables in tests/data, from their sources.

    python scripts/make_parties.py DIRECTORY_OF_REGENIE_EXAMPLE [--root DIRECTORY] [--check]

The survival records come from the installed lifelines package, the genotypes from the `example` directory of the
regenie repository (example.bed, example.bim, example.fam, phenotype.txt, covariates.txt). Nothing is drawn at random:
the same sources give the same bytes. With --check nothing is written, and differences end in exit code 1.
"""

from __future__ import annotations

import argparse
import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

PARTIES = ("northfield", "lakeside", "westbay")
PEOPLE = (200, 170, 130)
TRAITS = ("Y1", "Y2")
COVARIATES = ("V1", "V2", "V3")


def fold_institutions(institutions: pd.Series) -> list[pd.Series]:
    """Whole institutions to three parties: the largest first, each to the party with the fewest people so far.

    Rows without institution count as one more institution. Returns a boolean selection of rows per party.
    """
    sizes = institutions.fillna(-1).value_counts()
    order = sorted(sizes.index, key=lambda institution: (-sizes[institution], institution))
    members: list[list[float]] = [[] for _ in PARTIES]
    totals = [0] * len(PARTIES)
    for institution in order:
        smallest = totals.index(min(totals))
        members[smallest].append(institution)
        totals[smallest] += int(sizes[institution])
    return [institutions.fillna(-1).isin(group) for group in members]


def lung() -> pd.DataFrame:
    """The lung table of lifelines; whole numbers are written without decimal point, missing cells stay empty."""
    from lifelines.datasets import load_lung

    return load_lung().astype("Int64")


def write_survival(root: Path) -> None:
    """lung.csv of each party, and the pooled table."""
    table = lung()
    for name, rows in zip(PARTIES, fold_institutions(table["inst"]), strict=True):
        write_table(table[rows], root / "parties" / name / "data" / "lung.csv")
    write_table(table, root / "tests" / "data" / "lung.csv")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """CSV with Unix line ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, lineterminator="\n")


def write_genetics(source: Path, root: Path) -> None:
    """traits.csv and variants.bed/bim/fam of each party, and the pooled files. Digits are copied, not re-printed."""
    traits = pd.read_csv(source / "phenotype.txt", sep=" ", dtype=str)
    covariates = pd.read_csv(source / "covariates.txt", sep=" ", dtype=str)
    if not traits["IID"].equals(covariates["IID"]) or len(traits) != sum(PEOPLE):
        raise SystemExit("phenotype.txt and covariates.txt do not list the same 500 people")
    table = pd.concat([traits[["IID", *TRAITS]], covariates[list(COVARIATES)]], axis=1)
    write_table(table, root / "tests" / "data" / "regenie_traits.csv")
    for suffix in (".bed", ".bim", ".fam"):
        shutil.copyfile(source / f"example{suffix}", root / "tests" / "data" / f"regenie{suffix}")
    stop = 0
    for name, people in zip(PARTIES, PEOPLE, strict=True):
        start, stop = stop, stop + people
        data = root / "parties" / name / "data"
        write_table(table.iloc[start:stop], data / "traits.csv")
        write_genotypes(source / "example", data / "variants", slice(start, stop))


def write_genotypes(source: Path, target: Path, people: slice) -> None:
    """Some people of a PLINK 1 file set. The fam file's phenotype column is -9 (the traits are in traits.csv)."""
    from bed_reader import open_bed, to_bed

    with open_bed(source.with_suffix(".bed")) as bed:
        counts = bed.read(index=np.s_[people, :], dtype="int8")
    fam = [line.split() for line in source.with_suffix(".fam").read_text().splitlines()][people]
    to_bed(target.with_suffix(".bed"), counts, properties={"iid": [line[1] for line in fam]})
    target.with_suffix(".fam").write_text("".join("\t".join([*line[:5], "-9"]) + "\n" for line in fam))
    shutil.copyfile(source.with_suffix(".bim"), target.with_suffix(".bim"))


def write_all(source: Path, root: Path) -> None:
    """Everything."""
    write_survival(root)
    write_genetics(source, root)


def differences(source: Path, root: Path) -> list[str]:
    """Files under `root` that are not what this script writes."""
    with tempfile.TemporaryDirectory() as scratch:
        write_all(source, Path(scratch))
        written = sorted(path for path in Path(scratch).rglob("*") if path.is_file())
        names = [path.relative_to(scratch) for path in written]
        return [
            str(name)
            for name, path in zip(names, written, strict=True)
            if not (root / name).is_file() or not filecmp.cmp(path, root / name, shallow=False)
        ]


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="directory with regenie's example.bed, phenotype.txt, ...")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parent.parent)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    options = parser.parse_args()
    if options.check:
        found = differences(options.source, options.root)
        print("\n".join(f"differs: {name}" for name in found) or "all files are as this script writes them")
        return 1 if found else 0
    write_all(options.source, options.root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
