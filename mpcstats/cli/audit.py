"""`mpcstats audit`: show, check and export the audit log of a party."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from mpcstats.study.audit import AuditRecord

__all__ = ["app"]

app = typer.Typer(help="Show, check and export a party's audit log.", no_args_is_help=True, add_completion=False)

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The party's directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file.")]
Format = Annotated[Literal["csv", "json"], typer.Option("--format", help="csv: a table; json: one document per line.")]


@app.command()
def show(
    directory: Directory,
    last: Annotated[int, typer.Option(help="How many records, from the end.")] = 20,
    study: Annotated[str, typer.Option(help="Only of this study: its id, or how it begins.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show the last records: when, who, what, under which conditions."""
    from mpcstats.node.settings.config import PartyDirectory
    from mpcstats.sdk.audit import own_log
    from mpcstats.study.audit import records_to_json

    with own_log(PartyDirectory(directory)) as (log, _):
        records = [record for record in log.records() if record.study.startswith(study)][-max(0, last) :]
    if as_json:
        typer.echo(records_to_json(records), nl=False)
        return
    for record in records:
        typer.echo(_line(record))


@app.command()
def head(directory: Directory, as_json: AsJson = False) -> None:
    """Show the signed state of the log, and which parties co-signed it."""
    from mpcstats.node.settings.config import PartyDirectory
    from mpcstats.sdk.audit import own_log

    with own_log(PartyDirectory(directory)) as (log, _):
        signed = log.checkpoint()
    if as_json:
        typer.echo(json.dumps(signed.model_dump(mode="json"), indent=2))
        return
    point = signed.checkpoint
    typer.echo(f"log        {point.consortium}/{point.party}, {point.size} records, {point.time}")
    typer.echo(f"root       {point.root}")
    typer.echo(f"head       {point.head}")
    typer.echo(f"witnesses  {', '.join(signed.witnesses) or 'none yet'}")


@app.command()
def verify(
    directory: Directory,
    peers: Annotated[bool, typer.Option("--peers", help="Compare with the other parties, too.")] = False,
) -> None:
    """Check every record, checkpoint and signature; with --peers what the other parties saw. Exit code 6: broken."""
    from mpcstats.errors import PartyUnreachable
    from mpcstats.node.settings.config import PartyDirectory
    from mpcstats.sdk.audit import compare_with_peers, own_log

    party = PartyDirectory(directory)
    with own_log(party) as (log, keys):
        size = log.verify(keys)
    typer.echo(f"{party.config.name:<20} {size} records, whole and unchanged")
    if not peers:
        return
    found = compare_with_peers(party)
    for name, error in found.items():
        said = "agrees: it signed this head, and its own continues what was seen"
        typer.echo(f"{name:<20} {said if error is None else error.message}")
    broken = [error for error in found.values() if error is not None and not isinstance(error, PartyUnreachable)]
    for error in (*broken, *(error for error in found.values() if error is not None)):
        raise error


@app.command()
def export(directory: Directory, form: Format = "csv", output: Output = None) -> None:
    """Print all records as a table or as JSON, after they were checked."""
    from mpcstats.node.settings.config import PartyDirectory
    from mpcstats.sdk.audit import own_log

    with own_log(PartyDirectory(directory)) as (log, keys):
        log.verify(keys)
        records = log.records()
    _write(records, form, output)


@app.command()
def key(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put the keys.")],
    name: Annotated[str, typer.Option(help="The auditor's name: lower-case letters, digits, '-'.")],
) -> None:
    """Make an auditor's key. Its certificate goes to the operators: mpcstats party auditor add."""
    from mpcstats.node.identity.keys import create_identity, fingerprint_words

    pair = create_identity(folder, name)
    typer.echo(f"made the keys of {name} in {folder / 'keys'}")
    typer.echo(f"fingerprint  {fingerprint_words(pair.certificate_pem)}")
    typer.echo(
        f"next, at each party: mpcstats party auditor add DIR {name} --certificate {folder / 'keys' / 'node.crt'}"
    )


@app.command()
def read(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The auditor's folder, from `audit key`.")],
    name: Annotated[str, typer.Option(help="The auditor's name.")],
    roster: Annotated[Path, typer.Option(help="The consortium's roster.")],
    party: Annotated[str, typer.Option(help="Whose log.")],
    form: Format = "csv",
    output: Output = None,
) -> None:
    """As an auditor: read a party's log from its node, check it, and print it."""
    from mpcstats.node.consortium.roster import load_roster
    from mpcstats.sdk.audit import read_as_auditor

    records, signed = read_as_auditor(folder, name, load_roster(roster), party)
    witnesses = ", ".join(signed.witnesses) or "nobody yet"
    typer.echo(f"{party}: {len(records)} records, whole; co-signed by {witnesses}", err=True)
    _write(records, form, output)


def _write(records: list[AuditRecord], form: str, output: Path | None) -> None:
    from mpcstats.study.audit import records_to_csv, records_to_json

    text = records_to_csv(records) if form == "csv" else records_to_json(records)
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        typer.echo(f"wrote {len(records)} records to {output}", err=True)


def _line(record: AuditRecord) -> str:
    conditions = " ".join(f"{name}={_short(value)}" for name, value in record.conditions.items())
    study = f" study={record.study[:12]}" if record.study else ""
    return f"{record.index:>6} {record.time:<27} {record.actor:<16} {record.event:<16}{study} {conditions}".rstrip()


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    text = text if len(text) <= 40 else text[:12] + "..."
    return text if text.isprintable() else repr(text)
