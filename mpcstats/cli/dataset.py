"""`mpcstats dataset`: register a party's data, describe and check it, publish what it means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mpcstats.cli.options import AsJson, Party
from mpcstats.errors import ConfigurationError

if TYPE_CHECKING:
    from mpcstats.node.datasets.column_check import Finding

__all__ = ["app"]

app = typer.Typer(
    help="Register, describe, check and publish data sets. Nothing leaves the house.",
    no_args_is_help=True,
    add_completion=False,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the data set.")]
_MARKS = {"ok": "ok ", "warning": "!  ", "problem": "x  "}


@app.command()
def add(
    name: Name,
    party: Party,
    csv: Annotated[Path | None, typer.Option(help="A table: .csv, .tsv, .txt, .phe, .cov.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="A table: .parquet.")] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="URL", help="sqlite:///FILE, duckdb:///FILE, postgresql://user@host/db."),
    ] = None,
    query: Annotated[Path | None, typer.Option(metavar="FILE", help="With --from: a file with one SELECT.")] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(help="With --from: file (mode 0600) with the password; or MPCSTATS_DATABASE_PASSWORD."),
    ] = None,
    genotypes: Annotated[str | None, typer.Option(metavar="PREFIX", help="PLINK 1 or 2 prefix, or a VCF file.")] = None,
    id_column: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="Column that identifies the rows.")
    ] = None,
    dictionary: Annotated[Path | None, typer.Option(help="The data dictionary, if there is one already.")] = None,
    variants: Annotated[Path | None, typer.Option(help="The study's list of variants.")] = None,
    mapping: Annotated[Path | None, typer.Option(help="mapping.toml: own names and codes.")] = None,
    consent_column: Annotated[str | None, typer.Option(help="Column that says who consented.")] = None,
    consent_allow: Annotated[
        list[str] | None, typer.Option(help="Its values that allow the use; may be repeated.")
    ] = None,
) -> None:
    """Register a data set in party.toml. With --from, the rows of a query are frozen into a snapshot."""
    from mpcstats.node.datasets.registry import NewDataset, add_dataset
    from mpcstats.node.settings.config import PartyDirectory

    if csv is not None and parquet is not None:
        raise ConfigurationError("a data set has one table: --csv FILE or --parquet FILE")
    if parquet is not None and parquet.suffix.lower() != ".parquet":
        raise ConfigurationError(f"{parquet} is not named .parquet", hint="--csv reads delimited text")
    directory = PartyDirectory(party)
    new = NewDataset(
        name=name,
        table=csv or parquet,
        source=source,
        query=query,
        password_file=password_file,
        dictionary=dictionary,
        genotypes=None if genotypes is None else Path(genotypes),
        id=id_column,
        variants=variants,
        mapping=mapping,
        consent_column=consent_column,
        consent_allow=tuple(consent_allow or ()),
    )
    config = add_dataset(directory, new)
    typer.echo(f"added [datasets.{name}] to {directory.config_file}: {config.table}")
    if dictionary is None:
        typer.echo(f"next: mpcstats dataset describe {name} --party {party} -o {party / config.dictionary}")
    else:
        typer.echo(f"next: mpcstats dataset check {name} --party {party}, and restart the node if it runs")


@app.command()
def refresh(name: Name, party: Party) -> None:
    """Take a new snapshot of a data set that comes from a database."""
    from mpcstats.node.datasets.registry import refresh_dataset
    from mpcstats.node.settings.config import PartyDirectory

    before, after = refresh_dataset(PartyDirectory(party), name)
    typer.echo(f"{after.source}: {after.rows:,} rows at {after.extracted}")
    if before is not None:
        typer.echo(f"  before: {before.rows:,} rows at {before.extracted}")
        if before.query != after.query:
            typer.echo("  the query has changed since")
    typer.echo(f"next: mpcstats dataset check {name} --party {party}")


@app.command()
def describe(
    name: Name,
    party: Party,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write the draft; default: show it.")
    ] = None,
    person: Annotated[
        str | None, typer.Option(help="Column that tells people apart, if one may have several rows.")
    ] = None,
) -> None:
    """Draft the data dictionary from the table, for people to complete. No value of a few people gets into it."""
    from dataclasses import replace

    from mpcstats.node.datasets.describe import LEAST_PEOPLE, draft_dictionary
    from mpcstats.node.records.source import load
    from mpcstats.node.settings.config import PartyDirectory
    from mpcstats.node.site import source_of

    directory = PartyDirectory(party)
    if output is not None and output.exists():
        raise ConfigurationError(f"{output} exists", hint="choose another name with -o")
    source = replace(source_of(directory.dataset(name)), genotypes=None, variants=None)
    own = directory.config.name
    policy = directory.policy(name)
    least = max(LEAST_PEOPLE, policy.rules.minimum_count if policy is not None else 0)
    draft = draft_dictionary(name, load(source, own), own, least, person)
    if output is None:
        typer.echo(draft.text, nl=False)
    else:
        output.write_text(draft.text, encoding="utf-8")
        typer.echo(f"wrote {output}", err=True)
    for remark in draft.notes:
        typer.echo(f"  {remark}", err=True)
    typer.echo(
        f"next: complete it with the other parties, then mpcstats dataset check {name} --party {party}", err=True
    )


@app.command()
def check(
    name: Name,
    party: Party,
    against: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Dictionary; default: the data set's own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check columns, types, ranges, codes, ids and genotypes against the dictionary. Exit code 1 with problems."""
    from mpcstats.node.datasets.check import check_dataset
    from mpcstats.node.datasets.registry import note_check
    from mpcstats.node.settings.config import PartyDirectory

    directory = PartyDirectory(party)
    report = check_dataset(directory, name, against)
    note_check(directory, name, report.dictionary, report.problems)
    if as_json:
        typer.echo(json.dumps(report.to_plain(), indent=2))
    else:
        for finding in report.findings:
            typer.echo(_line(finding))
        typer.echo(f"{report.rows:,} rows, {report.problems} problems, dictionary {report.dictionary[:16]}")
        if not report.problems:
            typer.echo(f"next: mpcstats dataset publish {name} --party {party}")
    if report.problems:
        raise typer.Exit(1)


@app.command()
def publish(name: Name, party: Party, as_json: AsJson = False) -> None:
    """Record the dictionary's version as the published one, and show what the others get to see. No counts."""
    from mpcstats.node.datasets.registry import publish_dataset
    from mpcstats.node.settings.config import PartyDirectory

    dictionary, digest = publish_dataset(PartyDirectory(party), name)
    if as_json:
        content = dictionary.model_dump(mode="json", exclude={"unusable"})
        typer.echo(json.dumps({"dataset": name, "digest": digest, "dictionary": content}, indent=2))
        return
    typer.echo(f"published {dictionary.id} version {dictionary.version}, digest {digest[:16]}")
    typer.echo("the others see this and nothing else of the data set:")
    if dictionary.unit_of_count is not None:
        typer.echo(f"  counts count people, by {dictionary.unit_of_count}")
    for column in dictionary.columns:
        typer.echo(f"  {column.name:<24} {column.type:<9} {_allowed(column)}")


@app.command(name="list")
def show_list(party: Party, as_json: AsJson = False) -> None:
    """List the data sets, and how far each is: registered, checked, published."""
    from mpcstats.node.datasets.registry import list_datasets
    from mpcstats.node.settings.config import PartyDirectory

    rows = list_datasets(PartyDirectory(party))
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    typer.echo(f"{'data set':<20} {'state':<13} {'dictionary':<24} table")
    for row in rows:
        version = "missing" if row["id"] is None else f"{row['id']} v{row['version']} {row['digest'][:8]}"
        extracted = f" ({row['extracted']})" if row["extracted"] else ""
        typer.echo(f"{row['name']:<20} {row['state']:<13} {version:<24} {row['table']}{extracted}")
    if not rows:
        typer.echo(f"next: mpcstats dataset add NAME --party {party} --csv FILE")


def _end(end: object) -> str:
    return f"{end:g}" if isinstance(end, float) else str(end)


def _line(finding: Finding) -> str:
    code = f" [{finding.code}]" if finding.code else ""
    hint = f"\n     {finding.hint}" if finding.hint else ""
    return f" {_MARKS[finding.status]}{finding.what}{code}{hint}"


def _allowed(column: object) -> str:
    """Levels or range, unit and whether values may be missing."""
    from mpcstats.study.dictionary import Column

    assert isinstance(column, Column)
    if column.levels is not None:
        what = ", ".join(map(str, column.levels[:12])) + (", ..." if len(column.levels) > 12 else "")
    else:
        ends = column.range or column.days
        what = "" if ends is None else f"{_end(ends[0])} to {_end(ends[1])}"
    return " ".join(filter(None, [what, column.unit, "" if column.missing == "allowed" else "(never missing)"]))
