"""`study approve`, `reject`, `comment`, `withdraw`, and what `result release` and `withhold` share with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpcstats.cli.options import AsJson, Key, Party, Person, Reason, StudyName

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["approve", "comment", "decide", "reject", "withdraw"]


def approve(
    study: StudyName, party: Party, person: Person = None, key: Key = None, reason: Reason = "", as_json: AsJson = False
) -> None:
    """Approve a study for this party; where the policy names people, as one of them."""
    decide(party, study, "approve", person, key, reason, as_json)


def reject(
    study: StudyName, party: Party, person: Person = None, key: Key = None, reason: Reason = "", as_json: AsJson = False
) -> None:
    """Reject a study. One no is the party's, and ends the proposal."""
    decide(party, study, "reject", person, key, reason, as_json)


def comment(
    study: StudyName,
    text: Annotated[str, typer.Argument(help="What to say.")],
    party: Party,
    person: Person = None,
) -> None:
    """Say something about a study to all parties."""
    from mpcstats.cli.study.lines import problems
    from mpcstats.sdk.connect import NodeClient

    problems(NodeClient(party).govern("comment", study=study, text=text, person=person or ""))


def withdraw(study: StudyName, party: Party, reason: Reason = "") -> None:
    """Take back the own proposal, or the own approval; the study is over then."""
    from mpcstats.cli.study.lines import problems
    from mpcstats.sdk.connect import NodeClient

    answer = NodeClient(party).govern("withdraw", study=study, reason=reason)
    typer.echo(f"withdrew the {answer['what']}")
    problems(answer)


def decide(
    party: Path, study: str, decision: str, person: str | None, key: Path | None, reason: str, as_json: bool
) -> None:
    """Send a decision to the node, signed by a person where one is named; say what is waited for."""
    from mpcstats.cli.progress import progress_lines
    from mpcstats.cli.study.lines import problems, status_line
    from mpcstats.sdk.connect import NodeClient

    client = NodeClient(party)
    statement = None if person is None else _statement(client, study, decision, person, key, reason)
    with progress_lines() as tell:
        answer = client.govern("decide", tell, study=study, decision=decision, reason=reason, statement=statement)
    if as_json:
        typer.echo(json.dumps(answer, indent=2))
        return
    if "entry" not in answer:
        said, needed = answer["people"], answer["needed"]
        typer.echo(f"noted: {', '.join(said)} ({len(said)} of {needed} people who must {decision})")
    typer.echo(status_line(answer))
    problems(answer)


def _statement(client: Any, study: str, decision: str, person: str, key: Path | None, reason: str) -> dict[str, Any]:
    from mpcstats.node.governance.desk import utc_now
    from mpcstats.node.governance.people import SignedStatement, Statement, person_key
    from mpcstats.study.canonical import moment

    shown = client.govern("show", study=study)
    subject = "approval"
    if decision in {"release", "withhold"}:
        run = shown["run"]
        subject = f"release {run['run'] if run else ''}".strip()
    said = Statement(
        party=client.name,
        person=person,
        study=shown["id"],
        subject=subject,
        decision=decision,
        reason=reason,
        time=moment(utc_now()),
    )
    signed = SignedStatement.make(said, person_key(client.directory.path, person, key))
    plain: dict[str, Any] = json.loads(signed.model_dump_json())
    return plain
