"""What a node tells its operator about schedules, as plain values for the command line and the SDK."""

from __future__ import annotations

import datetime
from typing import Any

import pandas as pd

from mpcstats.node.schedules.book import OccurrenceBook, ResultFolder
from mpcstats.stats.outcome import Outcome
from mpcstats.study.canonical import moment, parse_moment
from mpcstats.study.schedule import Schedule, next_due

__all__ = ["history_answer", "schedule_line"]


def schedule_line(
    study: str,
    schedule: Schedule,
    book: OccurrenceBook,
    now: datetime.datetime,
    *,
    proposer: str,
    status: str,
    paused: dict[str, str],
) -> dict[str, Any]:
    """One schedule: what it is, who has paused it, the last occurrence and the next due time.

    Parameters
    ----------
    study : str
        Its id (hex).
    proposer : str
        The party that starts the runs.
    status : str
        Of the study.
    paused : dict of party to reason
    """
    rows = book.rows(study)
    bounds = {"starts": moment(schedule.starts), "until": moment(schedule.until)}
    upcoming = next_due(schedule, now) if status == "approved" else None
    return {
        "name": schedule.name,
        "study": study,
        "proposer": proposer,
        "status": status,
        "paused": paused,
        "schedule": schedule.model_dump(mode="json") | bounds,
        "next": None if upcoming is None else moment(upcoming),
        "runs": sum(row["attempts"] > 0 for row in rows),
        "last": {key: rows[-1][key] for key in ("due", "state", "reason")} if rows else None,
    }


def history_answer(study: str, schedule: Schedule, book: OccurrenceBook, results: ResultFolder) -> dict[str, Any]:
    """All occurrences of a study at this node, with the released numbers that it keeps.

    A row has due, started, state, reason, attempts, rounds, and cells: of each cell of the count label, count (None
    where it is suppressed) and status; no cells where nothing was released.
    """
    rows = []
    for row in book.rows(study):
        kept = {key: row[key] for key in ("due", "started", "state", "reason", "attempts", "rounds")}
        outcome = None
        if row["state"] == "released" and row["file"]:
            outcome = results.read(study, parse_moment(row["due"]), row["digest"])
        rows.append(kept | {"cells": [] if outcome is None else _cells(outcome)})
    return {"name": schedule.name, "study": study, "tz": schedule.tz, "cron": schedule.cron, "rows": rows}


def _cells(outcome: Outcome) -> list[dict[str, Any]]:
    table = next(iter(outcome.tables.values()), pd.DataFrame())
    if not {"count", "status"} <= set(table.columns):
        return []
    by = [name for name in table.columns if name not in {"count", "status"}]
    labels = [", ".join(str(value) for value in row) for row in table[by].itertuples(index=False)] if by else ["count"]
    return [
        {"cell": label, "count": None if pd.isna(count) else int(count), "status": str(status)}
        for label, count, status in zip(labels, table["count"], table["status"], strict=True)
    ]
