"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["AsJson", "Key", "Party", "Person", "Reason", "StudyName"]

Party = Annotated[
    Path,
    typer.Option("--party", metavar="DIR", envvar="MPCSTATS_PARTY", help="The party's directory.", show_envvar=True),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="Number, name or id, as in `mpcstats inbox`.")]
Person = Annotated[str | None, typer.Option("--as", metavar="PERSON", help="Who decides, as named in policy.toml.")]
Key = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="The person's key; default: keys/people of the party.")
]
Reason = Annotated[str, typer.Option(help="Why; all parties see it.")]
