"""`mpcstats schedule`: counts that repeat themselves under one standing approval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mpcstats.cli.options import AsJson, Party, Reason
from mpcstats.errors import SpecError

if TYPE_CHECKING:
    import datetime

    from mpcstats.study.schedule import Schedule

__all__ = ["app"]

app = typer.Typer(help="Counts that repeat themselves under one approval.", no_args_is_help=True, add_completion=False)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the schedule, or of its study's id the beginning.")]
Person = Annotated[str, typer.Option("--as", metavar="PERSON", help="Who does it.")]

_SHOWN = 3


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits, '-'.")],
    study: Annotated[Path, typer.Option(metavar="STUDY", help="study.toml, or its folder.")],
    cron: Annotated[str, typer.Option(help="Minute, hour, day, month, weekday by name: '0 6 1 * *'.")],
    tz: Annotated[str, typer.Option(help="Time zone, such as Europe/Stockholm.")],
    until: Annotated[str, typer.Option(help="Last day, or moment.")],
    starts: Annotated[str | None, typer.Option(help="First day, or moment; default: today.")] = None,
    max_runs: Annotated[int | None, typer.Option(help="Runs at most; default: as many as are due.")] = None,
    catch_up: Annotated[str, typer.Option(help="Runs that could not start in time: latest, all, or none.")] = "latest",
    grace_minutes: Annotated[int, typer.Option(help="How late a run may start and still be in time.")] = 60,
) -> None:
    """Write a schedule into a study, before it is planned and proposed: every party approves it with the study."""
    import datetime

    from mpcstats.node.schedules.file import study_file, write_schedule

    schedule = write_schedule(
        study,
        {
            "name": name,
            "cron": cron,
            "tz": tz,
            "starts": _date(starts) or datetime.datetime.now(datetime.UTC).date(),
            "until": _date(until),
            "max_runs": max_runs,
            "catch_up": catch_up,
            "grace_minutes": grace_minutes,
        },
    )
    typer.echo(f"wrote [schedule] into {study_file(study)}")
    _show_due(schedule, schedule.starts, _SHOWN)
    typer.echo("next: mpcstats study plan, and propose it: the schedule is part of what is approved")


@app.command("list")
def list_schedules(party: Party = Path(), as_json: AsJson = False) -> None:
    """Show all schedules that this party's node knows."""
    lines = _lines(party)
    if as_json:
        typer.echo(json.dumps(lines, indent=2))
        return
    if not lines:
        typer.echo("no schedules")
    for line in lines:
        typer.echo(f"{line['name']:<24} {_state(line):<28} {_bounded(line):<14} next {line['next'] or '-'}")


@app.command()
def show(name: Name, party: Party = Path(), as_json: AsJson = False) -> None:
    """Show one schedule: its calendar, bounds, who paused it, the last run."""
    line = _find(_lines(party), name)
    if as_json:
        typer.echo(json.dumps(line, indent=2))
        return
    plain, last = line["schedule"], line["last"]
    typer.echo(f"schedule   {line['name']} of study {line['study'][:16]}, started by {line['proposer']}")
    typer.echo(f"state      {_state(line)}")
    for who, why in line["paused"].items():
        typer.echo(f"paused     by {who}{f': {why}' if why else ''}")
    typer.echo(f"due        {plain['cron']} ({plain['tz']}), from {plain['starts']} to {plain['until']}")
    typer.echo(f"late runs  {plain['catch_up']}, after {plain['grace_minutes']} minutes")
    typer.echo(f"runs       {_bounded(line)}")
    if last is not None:
        typer.echo(f"last       {last['due']} {last['state']}{': ' + last['reason'] if last['reason'] else ''}")
    typer.echo(f"next       {line['next'] or 'none'}")


@app.command("next")
def next_runs(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the schedule, or path of a study.toml.")],
    party: Party = Path(),
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=1000, help="How many.")] = 5,
) -> None:
    """Show when a schedule is due next; of a study.toml without a node."""
    import datetime

    from mpcstats.node.schedules.file import study_schedule
    from mpcstats.study.schedule import parse_schedule

    if Path(name).exists():
        schedule = study_schedule(Path(name))
    else:
        line = _find(_lines(party), name)
        schedule = parse_schedule(line["schedule"])
        if line["paused"] or line["status"] != "approved":
            typer.echo(f"{line['name']} is {_state(line)}", err=True)
    _show_due(schedule, datetime.datetime.now(datetime.UTC), count)


@app.command()
def pause(name: Name, party: Party = Path(), reason: Reason = "", person: Person = "") -> None:
    """Stop a schedule for all parties, until this one resumes it."""
    _switch("pause", name, party, reason, person)
    typer.echo(f"paused {name}: nothing of it runs at any party")
    typer.echo(f"next: mpcstats schedule resume {name} --party {party}")


@app.command()
def resume(name: Name, party: Party = Path(), reason: Reason = "", person: Person = "") -> None:
    """Let a schedule go on that this party paused."""
    _switch("resume", name, party, reason, person)
    typer.echo(f"resumed {name}")


@app.command()
def history(
    name: Name,
    party: Party = Path(),
    out: Annotated[
        Path | None, typer.Option("--out", metavar="PREFIX", help="Write PREFIX.csv, PREFIX.png and PREFIX.svg.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what became of each run, with the released counts that this node keeps."""
    from mpcstats.sdk.schedule_history import ScheduleHistory

    line = _find(_lines(party), name)
    answer = _client(party).govern("schedule_history", study=line["study"])
    found = ScheduleHistory(answer)
    typer.echo(json.dumps(answer, indent=2) if as_json else found.summary(), nl=as_json)
    if out is not None:
        for path in found.save(out):
            typer.echo(f"wrote {path}", err=True)


def _client(party: Path) -> Any:
    from mpcstats.sdk.connect import NodeClient

    return NodeClient(party)


def _lines(party: Path) -> list[dict[str, Any]]:
    return list(_client(party).govern("schedules")["schedules"])


def _find(lines: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The schedule of this name; of several the one that is not over."""
    found = [line for line in lines if line["name"] == name] or [
        line for line in lines if len(name) >= 4 and line["study"].startswith(name)
    ]
    if len(found) > 1:
        found = [line for line in found if line["status"] in {"in review", "approved"}] or found
    if not found:
        known = ", ".join(sorted({line["name"] for line in lines})) or "none"
        raise SpecError(f"no schedule is called {name!r} (schedules: {known})", hint="mpcstats schedule list")
    if len(found) > 1:
        ids = ", ".join(line["study"][:12] for line in found)
        raise SpecError(f"{len(found)} studies have a schedule {name!r}", hint=f"give the beginning of an id: {ids}")
    return found[0]


def _switch(verb: str, name: str, party: Path, reason: str, person: str) -> None:
    line = _find(_lines(party), name)
    answer = _client(party).govern(verb, study=line["study"], reason=reason, person=person)
    for who, problem in answer.get("problems", {}).items():
        typer.echo(f"{who} has not heard of it yet: {problem}", err=True)


def _state(line: dict[str, Any]) -> str:
    return f"paused by {', '.join(line['paused'])}" if line["paused"] else str(line["status"])


def _bounded(line: dict[str, Any]) -> str:
    most = line["schedule"]["max_runs"]
    return f"{line['runs']} of {most} runs" if most else f"{line['runs']} runs"


def _date(text: str | None) -> datetime.date | None:
    """A date, or a moment with or without time zone."""
    if text is None:
        return None
    import datetime

    try:
        return datetime.date.fromisoformat(text) if len(text) == 10 else datetime.datetime.fromisoformat(text)
    except ValueError:
        raise SpecError(f"{text!r} is no date", hint="write 2027-12-31 or 2027-12-31T06:00:00Z") from None


def _show_due(schedule: Schedule, after: datetime.datetime, count: int) -> None:
    import datetime

    from mpcstats.study.schedule import due_times

    dues = due_times(schedule, after - datetime.timedelta(seconds=1), schedule.until)
    for due in dues[:count]:
        typer.echo(f"  {schedule.local(due)}")
    most = f", {schedule.max_runs} of them at most" if schedule.max_runs is not None else ""
    if len(dues) > count:
        typer.echo(f"  and {len(dues) - count} more, the last one {schedule.local(dues[-1])}{most}")
    elif not dues:
        typer.echo("  nothing is due any more")
