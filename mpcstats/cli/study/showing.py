"""`study show`, `diff` and `status`."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from mpcstats.cli.options import AsJson, Party, StudyName

__all__ = ["diff", "show", "status"]


def show(study: StudyName, party: Party, as_json: AsJson = False) -> None:
    """Show a study: what it asks, what would be opened under which rule and why, who decided what."""
    from mpcstats.sdk.connect import NodeClient

    shown = NodeClient(party).govern("show", study=study)
    if as_json:
        typer.echo(json.dumps(shown, indent=2))
        return
    from mpcstats.cli.study.lines import status_line

    typer.echo(status_line(shown))
    typer.echo(f"id          {shown['id']}")
    proposed = shown["proposed"]
    typer.echo(f"proposed    {proposed['time']} by {proposed['person']} at {proposed['party']}")
    for name, value in shown["study"].items():
        if name not in {"apiVersion", "kind", "id", "data", "analysis"}:
            typer.echo(f"{name:<11} {_plain(value)}")
    for name, value in shown["lock"]["spec"].items():
        if value not in (None, [], ""):
            typer.echo(f"  {name:<22} {_plain(value)}")
    _manifest(shown)
    for decision in shown["decisions"]:
        reason = f": {decision['reason']}" if decision["reason"] else ""
        typer.echo(f"{decision['party']}  {decision['decision']}  {decision['person']}  {decision['time']}{reason}")
    for run in shown["runs"]:
        if run["without"]:
            typer.echo(f"run {run['run'][:12]} is without {', '.join(run['without'])}: lost, as all others signed")
    for said in shown["comments"]:
        typer.echo(f"{said['party']}  {said['person']}  {said['time']}: {said['text']}")


def diff(
    study: StudyName,
    party: Party,
    since: Annotated[str, typer.Option(metavar="STUDY", help="The earlier study.")],
) -> None:
    """Show what differs between two proposals, field by field."""
    from mpcstats.sdk.connect import NodeClient

    client = NodeClient(party)
    old, new = (_fields(client.govern("show", study=name)) for name in (since, study))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    for name in names:
        typer.echo(f"{name}: {old.get(name, '(nothing)')} -> {new.get(name, '(nothing)')}")
    if not names:
        typer.echo("the two proposals are equal")


def status(study: StudyName, party: Party, as_json: AsJson = False) -> None:
    """Show how far a study is, and whom it waits for."""
    from mpcstats.cli.study.lines import status_line
    from mpcstats.sdk.connect import NodeClient

    client = NodeClient(party)
    client.govern("sync")
    shown = client.govern("show", study=study)
    typer.echo(json.dumps(shown, indent=2) if as_json else status_line(shown))


def _manifest(shown: dict[str, Any]) -> None:
    lock, rules = shown["lock"], shown["rules"]
    cost = lock["cost"]
    typer.echo(f"opens, to {', '.join(lock['recipients'])}:")
    for entry in lock["manifest"]:
        kind = "while computing" if entry["kind"] == "decision" else "result"
        typer.echo(f"  {entry['limit']:>8} x {entry['name']} ({kind}): {entry['why']}")
    typer.echo("rules in force:")
    for name, rule in rules.items():
        typer.echo(f"  {name:<28} {rule['value']!s:<8} because of {rule['owner']}")
    rounds = f"{cost['rounds']:,} rounds" if cost["exact"] else f"at most {cost['rounds']:,} rounds"
    sent = max(cost["bytes_sent"].values(), default=0)
    members = ", ".join(lock["committee"])
    typer.echo(f"computed by {members}: any {lock['threshold']} of them together learn nothing beyond the result")
    typer.echo(f"cost        {rounds}, {sent / 1e6:,.1f} MB from each party, about {cost['seconds']} s")


def _fields(shown: dict[str, Any]) -> dict[str, str]:
    plain = {"study": shown["study"], "lock": shown["lock"]}
    return dict(_leaves("", plain))


def _leaves(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(f"{name}.{key}" if name else key, part)
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        for place, part in enumerate(value):
            label = part.get("name", place) if isinstance(part, dict) else place
            yield from _leaves(f"{name}[{label}]", part)
    else:
        yield name, _plain(value)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
