"""`mpcstats schema`: the JSON Schema of a kind of file."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["KINDS", "schema", "text_of"]


class Kind(StrEnum):
    """Files with a published schema."""

    study = "study"
    lock = "lock"
    dictionary = "dictionary"
    policy = "policy"
    roster = "roster"
    party = "party"
    card = "card"


KINDS = tuple(kind.value for kind in Kind)


def schema(kind: Annotated[Kind, typer.Argument(help="Of which file.")]) -> None:
    """Print the JSON Schema of a file, for editors that complete and check it; docs/schemas has them all."""
    typer.echo(text_of(kind.value), nl=False)


def text_of(kind: str) -> str:
    """The text of docs/schemas/KIND.schema.json."""
    from mpcstats.node.consortium.roster import Card, Roster
    from mpcstats.node.settings.config import PartyConfig
    from mpcstats.study.dictionary import Dictionary
    from mpcstats.study.files.schema import schema_text
    from mpcstats.study.files.study import Study
    from mpcstats.study.lock import Lock
    from mpcstats.study.policy import Policy

    models: dict[str, type[BaseModel]] = {
        "study": Study,
        "lock": Lock,
        "dictionary": Dictionary,
        "policy": Policy,
        "roster": Roster,
        "party": PartyConfig,
        "card": Card,
    }
    return schema_text(kind, models[kind])
