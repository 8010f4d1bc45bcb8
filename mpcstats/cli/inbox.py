"""`mpcstats inbox`: the studies this node knows, and what this party should do about them."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mpcstats.cli.options import AsJson, Party

__all__ = ["inbox"]


def inbox(
    party: Party,
    everything: Annotated[bool, typer.Option("--all", help="Studies that are over, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List studies, newest first, with what is waited for."""
    from mpcstats.cli.study.lines import need, waits
    from mpcstats.sdk.connect import NodeClient

    client = NodeClient(party)
    studies = client.govern("inbox")["studies"]
    over = {"released", "rejected", "withdrawn", "revoked", "expired", "withheld"}
    shown = [line for line in studies if everything or line["status"] not in over]
    if as_json:
        typer.echo(json.dumps(shown, indent=2))
        return
    if not shown:
        hidden = len(studies) - len(shown)
        typer.echo("nothing is open" + (f"; {hidden} studies are over: --all shows them" if hidden else ""))
    for line in shown:
        typer.echo(
            f"#{line['number']} {line['name']}  {line['analysis']}  from {line['principal']} at {line['proposer']}  "
            f"expires {line['expires'][:10]}  {line['status']}"
        )
        for text in (waits(line), need(line, client.name)):
            if text:
                typer.echo(f"    {text}")
