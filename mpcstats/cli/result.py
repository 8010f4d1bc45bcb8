"""`mpcstats result`: look at what a study computed, let it out or not, and fetch it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from mpcstats.cli.options import AsJson, Key, Party, Person, Reason, StudyName
from mpcstats.cli.study.deciding import decide
from mpcstats.errors import ConfigurationError

__all__ = ["app"]

app = typer.Typer(
    help="Review, release and fetch results.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def review(study: StudyName, party: Party, as_json: AsJson = False) -> None:
    """Show what is sealed: the checks that passed, and what a release would open. Never a value."""
    from mpcstats.cli.study.lines import status_line
    from mpcstats.sdk.connect import NodeClient

    client = NodeClient(party)
    shown = client.govern("show", study=study)
    found = client.govern("review", study=study)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    typer.echo(status_line(shown))
    typer.echo(f"run         {found['run'][:16]} {found['occurrence']}".rstrip())
    typer.echo(f"computed    at {', '.join(found['computed'])}")
    for name in found["decisions"]:
        typer.echo(f"passed      {name}")
    values = sum(entry["limit"] for entry in found["opens"])
    typer.echo(f"a release opens at most {values:,} values to {', '.join(found['recipients'])}:")
    for entry in found["opens"]:
        typer.echo(f"  {entry['limit']:>8} x {entry['name']}: {entry['why']}")


@app.command()
def release(
    study: StudyName, party: Party, person: Person = None, key: Key = None, reason: Reason = "", as_json: AsJson = False
) -> None:
    """Release a sealed result for this party. The last release of all opens it."""
    decide(party, study, "release", person, key, reason, as_json)


@app.command()
def withhold(
    study: StudyName, party: Party, person: Person = None, key: Key = None, reason: Reason = "", as_json: AsJson = False
) -> None:
    """Keep a sealed result closed for good."""
    decide(party, study, "withhold", person, key, reason, as_json)


@app.command()
def get(
    study: StudyName,
    party: Party,
    out: Annotated[Path, typer.Option("--out", metavar="PREFIX", help="Write tables, plots and report PREFIX.*")],
    run: Annotated[str, typer.Option(help="A run of a schedule; default: the latest.")] = "",
) -> None:
    """Fetch a released result: tables, plots, report, and the bundle that others can verify."""
    from mpcstats.cli.progress import progress_lines
    from mpcstats.sdk.connect import NodeClient
    from mpcstats.sdk.studies import save_result

    if out.is_dir():
        raise ConfigurationError(f"{out} is a folder, and --out is the beginning of file names", hint=f"--out {out}/x")
    out.parent.mkdir(parents=True, exist_ok=True)
    with progress_lines() as tell:
        result, files = save_result(NodeClient(party), study, run, out, tell)
    typer.echo(result.summary())
    for path in files:
        typer.echo(f"wrote {path}", err=True)
