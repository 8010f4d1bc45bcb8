"""`mpcstats study new`: a study file to fill in."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from mpcstats.errors import ConfigurationError

__all__ = ["new"]


def new(
    name: Annotated[str, typer.Argument(metavar="ID", help="Short name: lower-case letters, digits and '-'.")],
    template: Annotated[str, typer.Option("--template", help="An analysis: count, kaplan-meier, cox, gwas and so on.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it; default ID.study.toml.")
    ] = None,
    party: Annotated[
        Path | None,
        typer.Option(
            "--party",
            metavar="DIR",
            envvar="MPCSTATS_PARTY",
            help="A party: its consortium and data set are filled in.",
        ),
    ] = None,
) -> None:
    """Write a study file with all fields of an analysis, and what they mean."""
    from mpcstats.study.files.template import new_study

    file = output or Path(f"{name}.study.toml")
    if file.exists():
        raise ConfigurationError(f"{file} exists", hint="choose another name with -o")
    consortium, dataset = _at(party)
    today = datetime.datetime.now(datetime.UTC).date()
    file.write_text(new_study(name, template, consortium=consortium, dataset=dataset, today=today), encoding="utf-8")
    typer.echo(f"wrote {file}")
    typer.echo(f"next: fill it in, and mpcstats study lint {file} --party {party or 'DIR'}")


def _at(party: Path | None) -> tuple[str, str]:
    """Consortium and first data set of a party."""
    if party is None:
        return "consortium", "main"
    from mpcstats.node.consortium.roster import load_roster
    from mpcstats.node.settings.config import PartyDirectory

    directory = PartyDirectory(party)
    consortium = load_roster(directory.roster_file).consortium if directory.roster_file.exists() else "consortium"
    return consortium, next(iter(directory.config.datasets), "main")
