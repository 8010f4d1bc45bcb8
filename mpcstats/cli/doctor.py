"""`mpcstats doctor`: what is wrong here or on the way to the others, whose fault it is, and what helps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpcstats.cli.options import AsJson, Party

if TYPE_CHECKING:
    from mpcstats.node.doctor.findings import Finding

__all__ = ["doctor"]

_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def doctor(
    party: Party,
    peers: Annotated[bool, typer.Option("--peers", help="Also walk the way to every other party.")] = False,
    patience: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds for each step of the way.")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Look at this party's files, keys and machine, and with --peers at the way to every other party.

    Exit code 0: no problem; 1: a problem here; 5: a peer cannot be reached; 6: a key is not the one it should be.
    """
    from mpcstats.node.doctor.findings import exit_code, to_plain
    from mpcstats.node.doctor.local import check_house
    from mpcstats.node.doctor.peers import check_peers

    findings, directory = check_house(party)
    if peers and directory is not None:
        findings = list(dict.fromkeys([*findings, *check_peers(directory, patience)]))
    if as_json:
        typer.echo(json.dumps(to_plain(findings), indent=2))
    else:
        _show(findings)
    code = exit_code(findings)
    if code:
        raise typer.Exit(code)


def _show(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=None, pad_edge=False, expand=False)
    for title in ("party", "check", "", "found"):
        table.add_column(title, no_wrap=title != "found", overflow="fold")
    for finding in findings:
        table.add_row(finding.party or "(us)", finding.check, _mark(finding), _words(finding))
    console.print(table)
    counts = {status: sum(finding.status == status for finding in findings) for status in _STYLES}
    console.print(f"{counts['ok']} ok, {counts['warning']} warnings, {counts['problem']} problems")


def _mark(finding: Finding) -> Any:
    from rich.text import Text

    return Text(finding.status, style=_STYLES[finding.status])


def _words(finding: Finding) -> Any:
    """What was found, its code, and whose it is to do what."""
    from rich.text import Text

    text = Text(finding.what)
    if finding.code:
        text.append(f" [{finding.code}]", style="dim")
    if finding.status != "ok" and (finding.whose or finding.next):
        text.append(f"\n{finding.whose}: {finding.next}" if finding.next else f"\n{finding.whose}", style="italic")
    return text
