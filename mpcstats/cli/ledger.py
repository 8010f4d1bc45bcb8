"""`mpcstats ledger`: what this party remembers of the counts that were released."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="See what this party remembers of released counts.", no_args_is_help=True, add_completion=False)

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The party's directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def show(directory: Directory, as_json: AsJson = False) -> None:
    """List the releases that new counts are compared with; without anybody in them."""
    from mpcstats.node.ledger.care import ledger_lines
    from mpcstats.node.settings.config import PartyDirectory

    lines = ledger_lines(PartyDirectory(directory))
    if as_json:
        typer.echo(json.dumps([asdict(line) for line in lines], indent=2))
        return
    for line in lines:
        shown = "not known yet" if line.released is None else f"{line.released} released"
        known = "none of this party" if line.known_by is None else f"known by {line.known_by}"
        noise = "" if line.epsilon is None else f", epsilon {line.epsilon}"
        typer.echo(f"{line.id[:16]}  {line.dataset:<16} {line.cells} cells, {shown:<14} {known}{noise}")
    typer.echo(f"{len(lines)} releases")


@app.command()
def prune(directory: Directory, as_json: AsJson = False) -> None:
    """Delete who was in releases of tables that are gone. The releases stay; no other deletion is safe."""
    from mpcstats.node.ledger.care import prune_ledger
    from mpcstats.node.settings.config import PartyDirectory

    found = prune_ledger(PartyDirectory(directory))
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for dataset, number in found.items():
        typer.echo(f"{dataset}: people of {number} releases deleted")
    typer.echo(f"{sum(found.values())} releases pruned")
