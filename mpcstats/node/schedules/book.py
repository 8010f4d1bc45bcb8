"""What a node remembers of scheduled runs: one row per due time, claimed once, and the files of released outcomes."""

from __future__ import annotations

import datetime
import hashlib
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpcstats.errors import ConfigurationError, SpecError
from mpcstats.node.state.database import Database
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.outcome_codec import outcome_from_bytes, outcome_pieces
from mpcstats.study.canonical import moment, parse_moment
from mpcstats.study.occurrences import Occurrence, State, check_occurrence
from mpcstats.study.schedule import Schedule

__all__ = ["OccurrenceBook", "Open", "ResultFolder", "Verdict"]

_STUDY = re.compile(r"[0-9a-f]{64}")
_RUN = re.compile(r"[0-9a-f]{1,64}")


@dataclass(frozen=True)
class Open:
    """An own occurrence that is planned or running."""

    study: str
    due: datetime.datetime
    state: str
    reason: str
    obstacle: str
    attempts: int
    not_before: datetime.datetime | None


@dataclass(frozen=True)
class Verdict:
    """What became of an occurrence."""

    due: datetime.datetime
    state: State
    reason: str = ""
    rounds: int | None = None
    digest: str = ""
    file: str = ""


class OccurrenceBook:
    """The occurrences of one node, in its state database. Safe to call from threads.

    Parameters
    ----------
    database : Database
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.RLock()

    def cursors(self) -> dict[str, datetime.datetime]:
        """The last due time that was noted, of each study that this node starts."""
        from sqlalchemy import func, select

        from mpcstats.node.state.schedule_tables import OccurrenceRow as Row

        with self._database.transaction() as session:
            found = session.execute(select(Row.study, func.max(Row.due)).where(Row.own == 1).group_by(Row.study))
            return {study: parse_moment(due) for study, due in found}

    def note(self, study: str, schedule: str, dues: Sequence[datetime.datetime], now: datetime.datetime) -> None:
        """Write down due times that have come; those that are known stay as they are."""
        from mpcstats.node.state.schedule_tables import OccurrenceRow as Row

        with self._lock, self._database.transaction() as session:
            known = {row.due for row in self._rows(session, study, dues)}
            for due in map(moment, dues):
                if due not in known:
                    session.add(
                        Row(study=study, schedule=schedule, due=due, state="planned", own=1, changed=moment(now))
                    )

    def open(self, study: str | None = None) -> list[Open]:
        """Own occurrences that are planned or running, of one study or all, by due time."""
        from sqlalchemy import select

        from mpcstats.node.state.schedule_tables import OccurrenceRow as Row

        query = select(Row).where(Row.own == 1, Row.state.in_(("planned", "running"))).order_by(Row.due)
        if study is not None:
            query = query.where(Row.study == study)
        with self._database.transaction() as session:
            return [
                Open(
                    row.study,
                    parse_moment(row.due),
                    row.state,
                    row.reason,
                    row.obstacle,
                    row.attempts,
                    parse_moment(row.not_before) if row.not_before else None,
                )
                for row in session.scalars(query)
            ]

    def history(self, study: str) -> list[Occurrence]:
        """What the rules need to know, by due time."""
        with self._database.transaction() as session:
            return [Occurrence(parse_moment(row.due), row.state, row.attempts) for row in self._rows(session, study)]

    def rows(self, study: str) -> list[dict[str, Any]]:
        """Everything about a study's occurrences, by due time, as plain values."""
        names = ("due", "started", "state", "reason", "attempts", "rounds", "digest", "file")
        with self._database.transaction() as session:
            return [{name: getattr(row, name) for name in names} for row in self._rows(session, study)]

    def claim(self, study: str, due: datetime.datetime, now: datetime.datetime) -> bool:
        """Make a planned occurrence running; False when it is not planned (any more). One caller gets True."""
        from sqlalchemy import update

        from mpcstats.node.state.schedule_tables import OccurrenceRow as Row

        change = (
            update(Row)
            .where(Row.study == study, Row.due == moment(due), Row.state == "planned", Row.own == 1)
            .values(
                state="running",
                attempts=Row.attempts + 1,
                started=moment(now),
                changed=moment(now),
                obstacle="",
                reason="",
                not_before="",
            )
        )
        with self._database.transaction() as session:
            return bool(session.execute(change).rowcount == 1)

    def block(self, study: str, obstacle: str, reason: str, now: datetime.datetime) -> bool:
        """Everything planned and due has to wait, and why; whether that is news."""
        from sqlalchemy import or_, update

        from mpcstats.node.state.schedule_tables import OccurrenceRow as Row

        change = (
            update(Row)
            .where(Row.study == study, Row.state == "planned", Row.own == 1, Row.due <= moment(now))
            .where(or_(Row.obstacle != obstacle, Row.reason != reason[:500]))
            .values(obstacle=obstacle, reason=reason[:500], not_before="", changed=moment(now))
        )
        with self._database.transaction() as session:
            return bool(session.execute(change).rowcount)

    def wait(
        self,
        study: str,
        due: datetime.datetime,
        obstacle: str,
        reason: str,
        now: datetime.datetime,
        not_before: datetime.datetime | None = None,
        *,
        counted: bool = True,
    ) -> None:
        """A planned or running occurrence has to wait, and why; not `counted`: it was no start after all."""
        with self._lock, self._database.transaction() as session:
            row = self._row(session, study, due)
            if row is not None and row.state in {"planned", "running"}:
                row.state, row.obstacle, row.reason = "planned", obstacle, reason[:500]
                row.not_before = "" if not_before is None else moment(not_before)
                row.attempts -= not counted
                row.changed = moment(now)

    def finish(self, study: str, verdicts: Sequence[Verdict], now: datetime.datetime) -> None:
        """Write down what became of occurrences; what is over already stays as it is."""
        with self._lock, self._database.transaction() as session:
            rows = {row.due: row for row in self._rows(session, study, [verdict.due for verdict in verdicts])}
            for verdict in verdicts:
                row = rows.get(moment(verdict.due))
                if row is not None and row.state in {"planned", "running"}:
                    row.state, row.reason, row.obstacle = verdict.state, verdict.reason[:500], ""
                    row.rounds, row.digest, row.file = verdict.rounds, verdict.digest, verdict.file
                    row.changed = moment(now)

    def seal(self, study: str, due: datetime.datetime, reason: str, now: datetime.datetime) -> None:
        """A running occurrence is computed, and its result sealed: it stays running until `finish`."""
        with self._lock, self._database.transaction() as session:
            row = self._row(session, study, due)
            if row is not None and row.state == "running":
                row.reason, row.changed = reason[:500], moment(now)

    def admit(
        self,
        study: str,
        schedule: Schedule,
        due: datetime.datetime,
        now: datetime.datetime,
        approved: datetime.datetime | None = None,
    ) -> None:
        """Take part in another party's scheduled run: checked against all that this node knows, and written down.

        Raises
        ------
        StudyError
            See `mpcstats.study.occurrences.check_occurrence`; or the run is under way here already.
        """
        from mpcstats.node.state.schedule_tables import OccurrenceRow as Row

        with self._lock:
            check_occurrence(schedule, due, now, self.history(study), approved=approved)
            with self._database.transaction() as session:
                for other in self._rows(session, study):
                    if other.state == "running" and not other.own and other.due < moment(due) and not other.reason:
                        other.state, other.reason, other.changed = "failed", "the run did not end", moment(now)
                row = self._row(session, study, due)
                if row is None:
                    row = Row(study=study, schedule=schedule.name, due=moment(due), own=0, attempts=0)
                    session.add(row)
                elif row.own:
                    raise SpecError(f"the run due {moment(due)} is this party's own to start")
                row.state, row.attempts, row.reason = "running", row.attempts + 1, ""
                row.started = row.changed = moment(now)

    def breaks_off(self, now: datetime.datetime) -> None:
        """At the start of a node: runs of others in which it took part are over."""
        from sqlalchemy import select

        from mpcstats.node.state.schedule_tables import OccurrenceRow as Row

        with self._lock, self._database.transaction() as session:
            for row in session.scalars(select(Row).where(Row.own == 0, Row.state == "running", Row.reason == "")):
                row.state, row.reason, row.changed = "failed", "this node stopped during the run", moment(now)

    def _rows(self, session: Any, study: str, around: Sequence[datetime.datetime] | None = None) -> list[Any]:
        """Rows of a study; or those that are due from the first to the last of `around`."""
        from sqlalchemy import select

        from mpcstats.node.state.schedule_tables import OccurrenceRow as Row

        query = select(Row).where(Row.study == study).order_by(Row.due)
        if around is not None:
            if not around:
                return []
            query = query.where(Row.due.between(moment(min(around)), moment(max(around))))
        return list(session.scalars(query))

    def _row(self, session: Any, study: str, due: datetime.datetime) -> Any:
        from sqlalchemy import select

        from mpcstats.node.state.schedule_tables import OccurrenceRow as Row

        return session.scalar(select(Row).where(Row.study == study, Row.due == moment(due)))


class ResultFolder:
    """Released outcomes of scheduled runs: `<study>/<due>.outcome`, readable by the owner only.

    Parameters
    ----------
    folder : Path
        state/results of the party's directory.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def name(self, study: str, due: datetime.datetime) -> str:
        """The file of an occurrence, relative to the folder: no ":" in it."""
        if not _STUDY.fullmatch(study):
            raise SpecError("a study's id has 64 hexadecimal digits")
        return f"{study}/{due.astimezone(datetime.UTC):%Y-%m-%dT%H%M%SZ}.outcome"

    def keep(self, study: str, due: datetime.datetime, outcome: Outcome) -> tuple[str, str]:
        """Write an outcome, whole or not at all; its file's name and SHA-256 (hex).

        Raises
        ------
        ConfigurationError
            It cannot be written.
        """
        name = self.name(study, due)
        path, content = self._folder / name, b"".join(outcome_pieces(outcome))
        partial = path.with_suffix(".partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be written: {error.strerror}", hint="check free space and permissions"
            ) from None
        return name, hashlib.sha256(content).hexdigest()

    def released(self, run: str) -> bytes | None:
        """The result of a run as the office keeps it, `<run>.outcome`; None when this party is no recipient."""
        try:
            return (self._folder / f"{run}.outcome").read_bytes() if _RUN.fullmatch(run) else None
        except OSError:
            return None

    def digest(self, study: str, due: datetime.datetime) -> str | None:
        """SHA-256 (hex) of the file of an occurrence; None when there is none."""
        try:
            return hashlib.sha256((self._folder / self.name(study, due)).read_bytes()).hexdigest()
        except OSError:
            return None

    def read(self, study: str, due: datetime.datetime, digest: str = "") -> Outcome | None:
        """The outcome of an occurrence; None when it is not here.

        Raises
        ------
        ConfigurationError
            The file is not the one that was kept.
        """
        path = self._folder / self.name(study, due)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        if digest and hashlib.sha256(content).hexdigest() != digest:
            raise ConfigurationError(f"{path} is not what was kept", hint="restore it from a backup")
        return outcome_from_bytes(content)
