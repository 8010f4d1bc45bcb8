"""What a party writes down of a run: its diary, counters, audit log and log, and why one did not happen."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from mpcstats.errors import MpcStatsError
from mpcstats.node.governance.permit import Permit
from mpcstats.node.observing.logs import where_from
from mpcstats.node.runs.house import Ended, House
from mpcstats.node.runs.sealing import SealedRun
from mpcstats.study.audit import AuditEvent, Condition

__all__ = ["RunRecord"]


class RunRecord:
    """Where one run at this party stands, and everything that is written down of it.

    Parameters
    ----------
    house : House
    coordinator : str
        The party that asked.
    """

    def __init__(self, house: House, coordinator: str) -> None:
        self._house = house
        self._coordinator = coordinator
        self.log = house.log
        self.run = ""
        """Hexadecimal, of the request; the run of a study has the permit's."""
        self.analysis = "unknown"
        self.dataset = ""
        self.permit: Permit | None = None
        """The approved study that the run belongs to."""
        self.asked = self.began = self.over = False
        self.failure: BaseException | None = None

    async def note(self, state: str, **detail: Any) -> None:
        """Write this run down in the office's diary."""
        office, permit = self._house.office, self.permit
        self._house.meter.run(self.analysis, state, detail.get("rounds", 0))
        if office is not None:
            run, study, occurrence = self.run, "", ""
            if permit is not None:
                run, study, occurrence = permit.run, permit.study, permit.occurrence
                detail |= {"phase": permit.phase}
            detail |= {"dataset": self.dataset, "analysis": self.analysis}
            await asyncio.to_thread(functools.partial(office.note_run, run, study, state, occurrence, **detail))

    async def ended(self, session: bytes, result: Ended) -> None:
        """Write down how the run ended, which it has then; keep and tell what belongs to a study."""
        office, permit = self._house.office, self.permit
        if isinstance(result, SealedRun):
            await self.note("sealed", rounds=result.rounds, journal=result.journal)
            await self.write_down("run-sealed", decisions=len(result.decisions))
        else:
            await self.note("released", **({} if result is None else {"rounds": result.run["rounds"]}))
            opened = [] if result is None else result.run["opened"]
            names = tuple(f"{row['name']}: {row['values']}"[:500] for row in opened)
            await self.write_down("run-finished", values_opened=sum(row["values"] for row in opened), opened=names)
        if office is not None and permit is not None:
            await asyncio.to_thread(office.ended, permit, session, result)
        self.over = True

    async def write_down(self, event: AuditEvent, **conditions: Condition) -> None:
        """Write this run into the audit log."""
        auditing, permit = self._house.auditing, self.permit
        if auditing is not None:
            run = self.run if permit is None else permit.run
            conditions |= {"run": run, "analysis": self.analysis, "dataset": self.dataset}
            await auditing.note(event, self._coordinator, "" if permit is None else permit.study, **conditions)

    def failed(self, error: BaseException) -> None:
        """Write down why the run did not happen, with all that may be known in this house."""
        self.failure = error
        office, code = self._house.office, getattr(error, "code", type(error).__name__)
        if not self.over:
            self._house.meter.run(self.analysis, "failed" if self.began else "refused")
        if office is not None and self.began:
            office.note_run(self.run, "", "failed", error=code)
        if office is not None and self.permit is not None:
            office.unfinished.broke_off(self.permit, error, began=self.began)
            office.calendar.failed(self.permit, error)
        if self.asked and not self.over:
            self._audit_failure(error, code)
        self._log_failure(error)

    def _audit_failure(self, error: BaseException, code: str) -> None:
        auditing = self._house.auditing
        if auditing is None:
            return
        study = "" if self.permit is None else self.permit.study
        run, party = self.run[:64], getattr(error, "party", None) or ""
        if self.began or self._coordinator == self._house.name:
            auditing.log.append("run-failed", self._coordinator, study, run=run, code=code, party=party)
        else:
            auditing.refused_run(self._coordinator, study, run=run, code=code, party=party)

    def _log_failure(self, error: BaseException) -> None:
        if isinstance(error, MpcStatsError):
            self.log.error("run_failed", code=error.code, party=error.party or "", reason=error.message)
        elif isinstance(error, asyncio.CancelledError):
            who = "operator" if self._coordinator == self._house.name else "coordinator"
            self.log.error("run_failed", code="cancelled", party=self._coordinator, reason=f"the {who} is gone")
        else:
            self.log.error("run_failed", code=type(error).__name__, party=self._house.name, where=where_from(error))
