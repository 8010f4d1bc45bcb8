"""How studies are told about in lines and tables."""

from __future__ import annotations

from typing import Any

import typer

__all__ = ["need", "problems", "status_line", "waits"]


def status_line(line: dict[str, Any]) -> str:
    """One sentence: how far a study is, and whom it waits for."""
    why = f": {line['why']}" if line["why"] else ""
    text = f"#{line['number']} {line['name']}: {line['status']}{why}"
    return f"{text}; {waits(line)}" if waits(line) else text


def waits(line: dict[str, Any]) -> str:
    """Whom a study waits for; "" for nobody."""
    if line["status"] == "in review":
        done = len(line["approvals"])
        return f"approvals {done} of {line['approvals_needed']}, waiting for {', '.join(line['waiting_for'])}"
    run = line["run"]
    if line["status"] == "computed" and run is not None and run["waiting_for"]:
        waiting, parties = run["waiting_for"], line["approvals_needed"]
        return f"sealed; released by {parties - len(waiting)} of {parties}, waiting for {', '.join(waiting)}"
    if line["status"] == "computed":
        return "released by all: `mpcstats result get` opens it"
    return ""


def need(line: dict[str, Any], party: str) -> str:
    """What this party should do next; "" for nothing."""
    if line["status"] == "in review" and party in line["waiting_for"]:
        return f"mpcstats study show {line['number']}, then approve or reject"
    if line["status"] == "computed" and line["run"] is not None and party in line["run"]["waiting_for"]:
        return f"mpcstats result review {line['number']}, then release or withhold"
    return ""


def problems(answer: dict[str, Any]) -> None:
    """Say which parties have not heard yet."""
    for name, problem in answer.get("problems", {}).items():
        typer.echo(f"{name} {problem}: it will hear of this as soon as it is back", err=True)
