"""Arguments and options of the verbs before a study is proposed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mpcstats.node.planning.drafts import Draft

__all__ = ["File", "Rows", "draft_of"]

File = Annotated[Path, typer.Argument(metavar="FILE", help="The study file, such as study.toml.")]
Rows = Annotated[int, typer.Option(min=2, max=1_000_000, help="People of each party, about.")]


def draft_of(file: Path, party: Path) -> Draft:
    """The study of a file, at a party; with the terms of the others where the node runs and can ask them."""
    from mpcstats.errors import PartyUnreachable
    from mpcstats.node.planning.drafts import Draft
    from mpcstats.node.settings.config import PartyDirectory
    from mpcstats.sdk.connect import NodeClient

    draft = Draft(file, PartyDirectory(party))
    try:
        terms = NodeClient(party).govern("terms", spec=draft.spec.model_dump(mode="json"))["terms"]
    except PartyUnreachable as error:
        typer.echo(f"{error.party} {error.message}: the rules of the others are not known", err=True)
        return draft
    terms.pop(draft.party)
    return Draft(file, PartyDirectory(party), terms)
