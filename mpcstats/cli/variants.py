"""`mpcstats variants`: the public list of variants that a genetic study is about."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from mpcstats.errors import ConfigurationError

__all__ = ["app"]

app = typer.Typer(
    help="Make a study's public list of variants, and see how own genotypes map on it.",
    no_args_is_help=True,
    add_completion=False,
)


class _Keep(StrEnum):
    intersection = "intersection"
    union = "union"


class _Ambiguous(StrEnum):
    drop = "drop"
    keep = "keep"


class _Match(StrEnum):
    position = "position"
    id = "id"


@app.command()
def make(
    lists: Annotated[list[Path], typer.Argument(metavar="LIST...", help="Public lists: .bim, .pvar, .pvar.zst, .tsv.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the study list.")],
    keep: Annotated[_Keep, typer.Option(help="Variants that all lists have, or that one has.")] = _Keep.intersection,
    ambiguous: Annotated[
        _Ambiguous, typer.Option(help="Strand-ambiguous variants (A/T, C/G): leave out, or trust them as written.")
    ] = _Ambiguous.drop,
    match: Annotated[
        _Match, typer.Option(help="Compare by position and alleles, or by id alone (lists of different builds).")
    ] = _Match.position,
) -> None:
    """Make a study list. The lists become public by it: give those of arrays and panels, or that sites agreed to show.

    Where lists differ in ids, order of alleles or strand, the first one wins.
    """
    from mpcstats.node.genotypes.study_list import make_study_list, read_list, write_study_list
    from mpcstats.study.variants import variant_digest

    if out.exists():
        raise ConfigurationError(f"{out} exists", hint="choose another name with --out")
    study, reports = make_study_list([read_list(path) for path in lists], keep.value, ambiguous.value, match.value)
    for report in reports:
        typer.echo(f"{report.name}: {report.variants:,} variants, positions of {report.build}")
        typer.echo(
            f"  {report.ambiguous:,} strand-ambiguous left out, {report.repeated:,} repeated, "
            f"{report.one_allele:,} with one allele"
        )
        typer.echo(f"  {report.harmonisation}, {report.harmonisation.unused:,} not in the study")
    write_study_list(study, out)
    typer.echo(f"wrote {out}: {len(study.variants):,} variants, digest {variant_digest(study.variants)[:16]}")
    typer.echo(f'next: give {out} to every party, name it in its data set (variants = "{out.name}"), and')
    typer.echo("      mpcstats variants check DIR")


@app.command()
def check(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The party's directory.")],
    dataset: Annotated[str, typer.Option(help="The data set.")] = "main",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Report how a party's genotypes map on the study list of its data set. Nothing leaves this machine."""
    from mpcstats.node.genotypes.harmonised import HarmonisedGenotypes
    from mpcstats.node.records.source import Dataset, load_genotypes
    from mpcstats.node.settings.config import PartyDirectory
    from mpcstats.study.variants import variant_digest

    party = PartyDirectory(directory)
    files = party.dataset(dataset)
    if files.genotypes is None or files.variants is None:
        raise ConfigurationError(
            f"data set {dataset!r} names no {'genotypes' if files.genotypes is None else 'variants'}",
            party=party.config.name,
            hint=f'genotypes = "..." and variants = "study.tsv" under [datasets.{dataset}] of {party.config_file}',
        )
    source = Dataset(files.table, files.genotypes, files.id, files.variants, files.variant_match)
    genotypes, study = load_genotypes(source, party.config.name, party.genotype_cache)
    assert isinstance(genotypes, HarmonisedGenotypes)
    assert study is not None
    counts = asdict(genotypes.report)
    digest = variant_digest(study)
    if as_json:
        typer.echo(json.dumps({"people": len(genotypes.samples), "digest": digest, **counts}, indent=2))
        return
    typer.echo(f"{len(genotypes.samples):,} people in {genotypes.sample_file}")
    typer.echo(f"study list of {len(study):,} variants, digest {digest[:16]} (the same at every party?)")
    for name, what in _LINES.items():
        typer.echo(f"{counts[name]:>12,}  {what}")


_LINES = {
    "own": "variants in the genotype files",
    "matched": "study variants found",
    "by_id": "of them by id, at another position",
    "flipped": "of them with swapped alleles: calls are turned",
    "complemented": "of them on the other strand",
    "one_allele": "of them with one allele only in the files",
    "absent": "study variants not found: all calls count as missing",
    "other_alleles": "of them because the files have other alleles there",
    "repeated": "of them because several rows of the files fit",
    "unused": "variants of the files that the study does not ask for",
}
