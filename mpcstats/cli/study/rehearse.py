"""`mpcstats study rehearse`: the whole study on dummy records, with all parties in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mpcstats.cli.options import AsJson, Party
from mpcstats.cli.study.drafting import File, Rows, draft_of
from mpcstats.errors import DisclosureRefused

__all__ = ["rehearse"]

Out = Annotated[Path | None, typer.Option("--out", metavar="PREFIX", help="Write tables, plots and report PREFIX.*")]


def rehearse(
    file: File = Path("study.toml"), party: Party = Path(), out: Out = None, rows: Rows = 600, as_json: AsJson = False
) -> None:
    """Run a study on dummy records made from the data dictionary. No record is read, and nothing is sent."""
    from mpcstats.cli.progress import progress_lines
    from mpcstats.sdk.results import wrap

    draft = draft_of(file, party)
    with progress_lines() as tell:
        rehearsal = draft.rehearse(rows, tell)
    if rehearsal.outcome is None:
        raise DisclosureRefused(
            f"a result of {rehearsal.rows:,} dummy people at each party is refused: {rehearsal.refused}",
            hint="--rows with more people, or ask for less; the same rules hold for the real records",
        )
    result = wrap(rehearsal.outcome)
    typer.echo(rehearsal.outcome.to_json() if as_json else result.summary())
    if out is None:
        return
    from mpcstats.sdk.report import write_report

    title = f"DUMMY DATA: {draft.study.title}"
    report = write_report(out.with_name(f"{out.name}.report.html"), title, [(result.heading, result, "")], {})
    for path in [*result.save(out), report]:
        typer.echo(f"wrote {path}", err=True)
