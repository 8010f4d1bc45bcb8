"""Runs of studies that broke off at this party: which can be taken up again, and when what is kept of them goes.

A run is unfinished until every party told that it came to its end. Its journal makes it one that can be gone on with,
by the same bytes; a run that begins afresh has new keys, and ends what was kept of the ones before.
"""

from __future__ import annotations

import json
import time
from typing import Any

from mpcstats.errors import FrameRejected, JournalMismatch, NothingToResume, ProtocolError, StudyError
from mpcstats.node.governance.desk import Desk
from mpcstats.node.governance.permit import Permit
from mpcstats.node.governance.vault import Vault
from mpcstats.node.ledger.releases import ReleaseLedger
from mpcstats.node.observing.logs import Log
from mpcstats.node.state.tables import RunRow
from mpcstats.study.lifecycle import StudyState, parties_of

__all__ = ["KEPT_SECONDS", "Unfinished"]

KEPT_SECONDS = 7 * 24 * 3600.0
"""How long the journal of a run that nobody takes up again is kept."""


class Unfinished:
    """The unfinished runs of one party. Its functions may be called from threads.

    Parameters
    ----------
    desk : Desk
    vault : Vault
    log : Log
    """

    def __init__(self, desk: Desk, vault: Vault, log: Log) -> None:
        self._desk, self._vault, self._log = desk, vault, log

    def of(self, state: StudyState, occurrence: str = "") -> str | None:
        """The run of a study that broke off last and can be taken up again (hex); None: there is none here."""
        return next((run for run in self._all(state, occurrence) if self._vault.has(run)), None)

    def study_of(self, run: str) -> str:
        """The study of a run (hex); "" for one that never began here."""
        with self._desk.database.transaction() as session:
            row = session.get(RunRow, run)
            return "" if row is None else row.study

    def check(self, permit: Permit, coordinator: str) -> None:
        """Before a run is prepared: one that is taken up again must be kept here, a new one must not.

        Raises
        ------
        NothingToResume
            This party has no journal of it.
        FrameRejected
            A run with the id of another one.
        """
        if permit.phase == "release":
            return
        kept = self._vault.has(permit.run) and self.study_of(permit.run) == permit.study
        if permit.resume and not kept:
            raise NothingToResume(
                f"this party keeps no journal of run {permit.run[:12]}",
                party=self._desk.party,
                hint=f"mpcstats study run {permit.state.proposal.name} --afresh",
            )
        if not permit.resume and self._vault.has(permit.run):
            raise FrameRejected("asked for a new run with the id of an earlier one", party=coordinator)
        if permit.resume:
            self._log.info("resuming", run=permit.run, study=permit.study)

    def begins(self, permit: Permit, ledger: ReleaseLedger | None) -> None:
        """A new run begins: what was kept of unfinished ones in its place goes."""
        for run in self._all(permit.state, permit.occurrence):
            if run != permit.run and run in self._vault.runs():
                self._forget(run, permit.study, ledger)

    def broke_off(self, permit: Permit, error: BaseException, *, began: bool) -> None:
        """A run ended here by an error: what would end the same way again is not kept."""
        if permit.phase == "release":
            return
        # another party's error, a lost connection and a stop say nothing about this party's own part
        same_again = isinstance(error, StudyError | ProtocolError) and not isinstance(error, JournalMismatch)
        reserved_only = not began and not self._vault.has(permit.run)
        if reserved_only or (began and same_again and not self._computed(permit)):
            self._vault.forget(permit.run)

    def _computed(self, permit: Permit) -> bool:
        """Whether this party has told that it came to the end of a run, in an earlier attempt."""
        known = self._desk.study(permit.study).runs.get(permit.run)
        return known is not None and self._desk.party in known.computed

    def tidy(self, run: str, study: str, ledger: ReleaseLedger | None, now: float | None = None) -> None:
        """Forget a run that never began here, whose study is over, or that nobody took up again for long."""
        if not study:
            if not self._vault.has(run):
                self._vault.forget(run)
            return
        state = self._desk.study(study)
        if run not in self._vault.runs() or self._finished(state, run):
            return
        known = state.runs.get(run)
        over = (bool(state.closed_because) and not (known and known.opened)) or self._left_out(state)
        now = time.time() if now is None else now
        if over or now - self._vault.last_used(run) > KEPT_SECONDS:
            self._forget(run, study, ledger)

    def _left_out(self, state: StudyState) -> bool:
        """Whether the others have come to the end of a run without this party, which they took for lost."""
        without = [run for run in state.runs.values() if self._desk.party in run.without]
        return any(state.status_of(run) in {"computed", "released"} for run in without)

    def _all(self, state: StudyState, occurrence: str) -> list[str]:
        """Runs of a study, or of one occurrence, that began here and did not end everywhere; the last one first."""
        from sqlalchemy import select

        query = select(RunRow.run).where(RunRow.study == state.id, RunRow.occurrence == occurrence)
        with self._desk.database.transaction() as session:
            runs = session.execute(query.order_by(RunRow.changed.desc())).scalars().all()
        return [run for run in runs if not self._finished(state, run)]

    def _finished(self, state: StudyState, run: str) -> bool:
        """Whether all parties told that they computed it, or have its result; or one withholds it."""
        known = state.runs.get(run)
        if known is None:
            return False
        told = known.opened if state.proposal.lock.release == "auto" else known.computed
        return bool(known.withheld_by) or set(told) >= set(parties_of(state.proposal.lock, known))

    def _forget(self, run: str, study: str, ledger: ReleaseLedger | None) -> None:
        detail = self._detail(run)
        # of a run that opens its results by itself, some may be out
        book = ledger if detail.get("phase") == "compute" else None
        self._vault.forget(run, book, str(detail.get("session", "")))
        self._log.info("unfinished_run_forgotten", run=run, study=study)

    def _detail(self, run: str) -> dict[str, Any]:
        with self._desk.database.transaction() as session:
            row = session.get(RunRow, run)
            detail: dict[str, Any] = {} if row is None else json.loads(row.detail)
        return detail
