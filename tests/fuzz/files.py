"""Targets: a party's own files, which come from other programs. Tables, genotypes, journals, the ledger."""

from __future__ import annotations

import functools

import numpy as np

from mpcstats.node.genotypes import open_genotypes
from mpcstats.node.genotypes.study_list import read_study_list
from mpcstats.node.ledger.releases import ReleaseLedger
from mpcstats.node.records.source import Dataset, load
from mpcstats.node.runs.journal import FileJournal
from tests.fuzz.documents import folder, on_disk
from tests.fuzz.target import CORPUS, Target

__all__ = ["TARGETS"]

RUN, STORAGE_KEY = b"r" * 16, b"k" * 32


def table(suffix: str, data: bytes) -> None:
    _ = load(Dataset(on_disk(f"table{suffix}", data)), "lakeside").frame


def genotypes(part: str, others: tuple[str, ...], data: bytes) -> None:
    """A file set of which one file is anything."""
    for other in others:
        (seed,) = (CORPUS / other).iterdir()
        on_disk(f"set{seed.suffix}", seed.read_bytes())
    path = on_disk(f"set.{part}", data)
    opened = open_genotypes(path, "lakeside")
    opened.read(0, len(opened.variants), np.arange(len(opened.samples)))


def vcf(suffix: str, data: bytes) -> None:
    opened = open_genotypes(on_disk(f"calls{suffix}", data), "lakeside")
    opened.read(0, len(opened.variants), np.arange(len(opened.samples)))


def journal(data: bytes) -> None:
    path = on_disk("run.journal", data)
    here = FileJournal.open(path, STORAGE_KEY, RUN, party="lakeside")
    try:
        for sender in (1, 2, 3):
            for step in here.received(sender):
                here.message(sender, step)
    finally:
        here.close()


def ledger(data: bytes) -> None:
    here = ReleaseLedger(on_disk("released.sqlite", data), "lakeside")
    for name in here.datasets():
        here.entries(name)
    here.withdraw("ab" * 32)


TARGETS = (
    Target("csv", functools.partial(table, ".csv"), "text"),
    Target("tsv", functools.partial(table, ".tsv"), "text"),
    Target("white_space", functools.partial(table, ".txt"), "text"),
    Target("parquet", functools.partial(table, ".parquet"), "bytes"),
    Target("bed", functools.partial(genotypes, "bed", ("bim", "fam")), "bytes"),
    Target("bim", functools.partial(genotypes, "bim", ("bed", "fam")), "text"),
    Target("fam", functools.partial(genotypes, "fam", ("bed", "bim")), "text"),
    Target("pgen", functools.partial(genotypes, "pgen", ("pvar", "psam")), "bytes"),
    Target("pvar", functools.partial(genotypes, "pvar", ("pgen", "psam")), "text"),
    Target("pvar_zst", functools.partial(genotypes, "pvar.zst", ("pgen", "psam")), "bytes"),
    Target("psam", functools.partial(genotypes, "psam", ("pgen", "pvar")), "text"),
    Target("vcf", functools.partial(vcf, ".vcf"), "text"),
    Target("vcf_gz", functools.partial(vcf, ".vcf.gz"), "bytes"),
    Target("study_list", lambda data: read_study_list(on_disk("study.tsv", data), "lakeside"), "text"),
    Target("journal", journal, "bytes"),
    Target("ledger", ledger, "bytes"),
)
_ = folder
