"""`mpcstats study lint`: does a study fit, and who would refuse it."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict
from pathlib import Path

import typer

from mpcstats.cli.options import AsJson, Party
from mpcstats.cli.study.drafting import File, draft_of

__all__ = ["lint"]

_SIGNS = {"error": "✗", "warning": "!", "fine": "✓"}


def lint(file: File = Path("study.toml"), party: Party = Path(), as_json: AsJson = False) -> None:
    """Check a study against this party's dictionary, policy and roster. Nothing is sent; exit code 2 if refused."""
    findings = draft_of(file, party).lint(datetime.datetime.now(datetime.UTC))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        for finding in findings:
            typer.echo(f" {_SIGNS[finding.level]} {finding.who}: {finding.text}")
            if finding.next:
                typer.echo(f"     next: {finding.next}")
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(2)
    if not as_json:
        typer.echo(f"next: mpcstats study rehearse {file} --party {party}")
