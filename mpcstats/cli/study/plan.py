"""`mpcstats study plan`: what a study will open and cost, before anybody approves it."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mpcstats.cli.options import AsJson, Party
from mpcstats.cli.study.drafting import File, Rows, draft_of

if TYPE_CHECKING:
    from mpcstats.study.study_plan import StudyPlan

__all__ = ["plan", "plan_text"]


def plan(
    file: File = Path("study.toml"),
    party: Party = Path(),
    rows: Rows = 600,
    rtt: Annotated[float, typer.Option(min=0, help="Round trip between parties, in ms.")] = 20.0,
    bandwidth: Annotated[float, typer.Option(min=0.001, help="Of each party, in Mbit/s.")] = 100.0,
    as_json: AsJson = False,
) -> None:
    """Show every value that a study can open, the rules that decide, and the cost; write study.lock beside the file.

    Exit code 3, and no lock, where the rules refuse even dummy people; no lock, either, where the own node does not run
    and cannot ask the other parties for their rules.
    """
    from mpcstats.cli.progress import progress_lines
    from mpcstats.sdk.studies import lock_file

    draft = draft_of(file, party)
    with progress_lines() as tell:
        planned = draft.plan(rows, rtt, bandwidth, tell)
    if as_json:
        typer.echo(json.dumps(planned.to_plain(), indent=2, ensure_ascii=False))
    else:
        typer.echo(plan_text(planned, draft.unknown))
    if planned.refused:
        # nobody can approve what is not known: the openings behind the refusal
        raise typer.Exit(3)
    if draft.unknown:
        # a proposal states the rules of all; a lock without them would be one that nobody can approve
        typer.echo(f"no lock was written: the rules of {', '.join(draft.unknown)} are not known", err=True)
        typer.echo(f"next: mpcstats party start {party}, here and there, and plan again", err=True)
        return
    lock = lock_file(file)
    lock.write_text(json.dumps(draft.lock(planned), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    typer.echo(f"wrote {lock}", err=True)


def plan_text(planned: StudyPlan, unknown: tuple[str, ...] = ()) -> str:
    """The plan for people.

    Parameters
    ----------
    unknown : tuple of str
        Parties with data whose rules are not known.
    """
    lines = [*_openings(planned), "", *_rules(planned, unknown), "", *_cost(planned)]
    if planned.refused:
        lines += ["", f"Dummy records were refused: {planned.refused}", "Openings and cost are those up to there."]
    return "\n".join(lines)


def _openings(planned: StudyPlan) -> list[str]:
    results = [x for x in planned.openings if x.kind == "result"]
    decisions = [x for x in planned.openings if x.kind != "result"]
    to = ", ".join(results[0].recipients) if results else "nobody"
    lines = [f"Opens at most {planned.values:,} values to {to}"]
    for title, some in (
        ("", results),
        ("Opens while computing, to all parties: bits that decide whether it goes on", decisions),
    ):
        lines += [title] if title and some else []
        for x in some:
            lines += _wrapped(f"{x.limit:>10,}  {x.name}: {x.why}", 14)
            lines += [line for rule in x.rules for line in _wrapped(f"{'':12}{rule}", 14)]
    return lines


def _rules(planned: StudyPlan, unknown: tuple[str, ...]) -> list[str]:
    owners: dict[str, list[str]] = {}
    for name, rule in planned.rules.items():
        owners.setdefault(rule["owner"], []).append(f"{name} = {rule['value']}")
    lines = ["Rules in force"]
    for owner, rules in owners.items():
        lines += _wrapped(f"  {owner}: {', '.join(rules)}", 4)
    if unknown:
        lines += _wrapped(
            f"  Not known here: rules of {', '.join(unknown)}. They can only make this stricter or refuse it.", 4
        )
    return lines


def _cost(planned: StudyPlan) -> list[str]:
    sent = ", ".join(f"{name} {_bytes(count)}" for name, count in planned.bytes_sent.items())
    lines = ["Cost"]
    if planned.exact:
        lines += [f"  {planned.rounds:,} rounds, exactly", *_wrapped(f"  sent: {sent}", 4)]
    else:
        most = max(planned.bytes_at_most.values(), default=0)
        lines.append(f"  about {planned.rounds:,} rounds, at most {planned.rounds_at_most:,}")
        lines += _wrapped(f"  sent, about: {sent}; at most {_bytes(most)} each", 4)
        for text in planned.depends_on:
            lines += _wrapped(f"  depends on {text}", 4)
    lines.append(
        f"  about {planned.seconds:,.0f} s at {planned.round_trip_ms:g} ms round trip and {planned.megabits:g} Mbit/s, "
        f"{planned.compute_seconds:.1f} s of them computing"
    )
    if planned.kappa_total is not None:
        lines.append(f"  {planned.masked_openings:,} bounded masks leave {planned.kappa_total:.1f} bits")
    lines += _wrapped(f"  planned with {planned.rows:,} dummy people of each of {', '.join(planned.data_parties)}", 4)
    for note in planned.notes:
        lines += _wrapped(f"  {note}", 4)
    return lines


def _bytes(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B"


def _wrapped(text: str, indent: int) -> list[str]:
    return textwrap.wrap(text, 110, subsequent_indent=" " * indent, drop_whitespace=True) or [""]
