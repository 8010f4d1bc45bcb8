"""`study propose`: sign what was planned, and send it to all parties."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mpcstats.cli.options import Party

__all__ = ["propose"]


def propose(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The study; its lock is beside it.")] = Path(
        "study.toml"
    ),
    party: Party = Path(),
    person: Annotated[str, typer.Option("--as", metavar="PERSON", help="Who proposes; default: its principal.")] = "",
) -> None:
    """Sign a planned study and send it to all parties."""
    import json

    from mpcstats.cli.progress import progress_lines
    from mpcstats.cli.study.lines import problems
    from mpcstats.sdk.connect import NodeClient
    from mpcstats.sdk.studies import read_proposal

    client = NodeClient(party)
    proposal = read_proposal(file)
    plain = json.loads(proposal.model_dump_json())
    with progress_lines() as tell:
        answer = client.govern("propose", tell, proposal=plain, person=person)
    typer.echo(f"proposed {proposal.name} as #{answer['number']}, id {answer['study'][:12]}")
    problems(answer)
    typer.echo(f"next, at every institution: mpcstats inbox; mpcstats study approve {proposal.name}")
