"""`study run`: compute an approved study."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mpcstats.cli.options import AsJson, Party, StudyName

__all__ = ["run"]


_RESUME = Annotated[bool, typer.Option("--resume", help="Only go on with a run that broke off.")]
_AFRESH = Annotated[
    bool, typer.Option("--afresh", help="Begin a new run with new keys; forget the one that broke off.")
]
_WITHOUT = Annotated[
    list[str] | None,
    typer.Option(
        "--without", metavar="PARTY", help="Begin a new run without a party that has no data and is lost for good."
    ),
]


def run(
    study: StudyName,
    party: Party,
    as_json: AsJson = False,
    resume: _RESUME = False,
    afresh: _AFRESH = False,
    without: _WITHOUT = None,
) -> None:
    """Compute an approved study with all parties. Its result stays sealed until every party releases it.

    A run that broke off is gone on with where every party kept its part of it. A party that only computes and is lost
    for good can be left out, if no other party reaches it and enough members are left.
    """
    from mpcstats.cli.progress import progress_lines
    from mpcstats.cli.study.lines import status_line
    from mpcstats.sdk.connect import NodeClient

    with progress_lines() as tell:
        lost = without or []
        answer = NodeClient(party).govern("run", tell, study=study, resume=resume, afresh=afresh, without=lost)
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    typer.echo(status_line(answer))
    if answer["status"] == "computed":
        typer.echo(f"next, at every institution: mpcstats result review {answer['name']}; mpcstats result release ...")
    else:
        typer.echo(f"next: mpcstats result get {answer['name']} --out PREFIX")
