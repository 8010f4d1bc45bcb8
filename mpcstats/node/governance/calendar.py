"""The schedules of approved studies at one party: what it starts, what it lets others start, what it remembers."""

from __future__ import annotations

import datetime
from typing import Any

from mpcstats.errors import DisclosureRefused, MpcStatsError, NotApproved, NotPermitted, SpecError
from mpcstats.node.governance.desk import Desk
from mpcstats.node.governance.permit import Permit
from mpcstats.node.observing.logs import Log
from mpcstats.node.schedules.answers import history_answer, schedule_line
from mpcstats.node.schedules.book import OccurrenceBook, ResultFolder, Verdict
from mpcstats.node.schedules.engine import Fired, Standing
from mpcstats.node.settings.quiet import LimitsConfig
from mpcstats.stats.outcome_codec import outcome_from_bytes
from mpcstats.study.canonical import moment, parse_moment
from mpcstats.study.entries import SignedEntry
from mpcstats.study.lifecycle import StudyState, parties_of
from mpcstats.study.schedule import Schedule, parse_schedule

__all__ = ["Calendar"]


class Calendar:
    """See the module. Its functions may be called from threads.

    Parameters
    ----------
    desk : Desk
    results : ResultFolder
    limits : LimitsConfig
        This party's quiet hours.
    log : Log
    """

    def __init__(self, desk: Desk, results: ResultFolder, limits: LimitsConfig, log: Log) -> None:
        self._desk, self.results, self._limits, self._log = desk, results, limits, log
        self.book = OccurrenceBook(desk.database)
        desk.on_entry.append(self._noted)

    # --- for the engine ---------------------------------------------------------------------------------------------

    def standings(self) -> list[Standing]:
        """Schedules of approved studies that this party proposed, so that it starts their runs."""
        found = []
        for _, state in self._desk.studies():
            if state.proposer != self._desk.party or state.closed_because or state.waiting_for:
                continue
            schedule = _schedule(state)
            if schedule is not None:
                found.append(Standing(state.id, schedule, approved(state)))
        return found

    def closed(self, study: str) -> str | None:
        """Why a study is over, or not approved; None while it holds."""
        state = self._desk.study(study)
        if state.closed_because:
            return ": ".join(filter(None, state.closed_because))
        return f"waiting for approval by {', '.join(state.waiting_for)}" if state.waiting_for else None

    def paused(self, study: str) -> list[tuple[str, str]]:
        """Parties that paused a schedule, with reasons."""
        return list(self._desk.study(study).paused_by.items())

    def quiet(self) -> list[tuple[str, datetime.datetime]]:
        """This party, while it is in its quiet hours."""
        end = self._limits.quiet_until(self._desk.now())
        return [] if end is None else [(self._desk.party, end)]

    def resolve(self, standing: Standing, due: datetime.datetime) -> Fired | None:
        """What the entries say about a run that was under way when this node stopped."""
        state = self._desk.study(standing.study)
        for run in state.runs.values():
            if run.occurrence == moment(due):
                if run.opened:
                    return Fired()
                if set(run.computed) >= set(parties_of(state.proposal.lock, run)) and not run.withheld_by:
                    return Fired(sealed=True)
        return None

    # --- for runs ---------------------------------------------------------------------------------------------------

    def admit(self, permit: Permit, coordinator: str) -> None:
        """Whether this party takes part in a scheduled run now; written down if so.

        Raises
        ------
        NotApproved, NotPermitted, StudyError
            Paused, in the quiet hours, not due, over, released already: see
            `mpcstats.study.occurrences.check_occurrence`.
        """
        if not permit.occurrence or permit.phase == "release":
            return
        state, now, party = permit.state, self._desk.now(), self._desk.party
        if permit.resume and permit.own_run is not None and party in permit.own_run.computed:
            return  # at its end here already; another party needs the last messages once more
        schedule = _schedule(state)
        if schedule is None:
            raise SpecError(f"study {state.proposal.name} has no schedule")
        if coordinator != state.proposer:
            raise NotApproved(f"the runs of a schedule are started by {state.proposer}", party=coordinator)
        if state.paused_by:
            raise NotApproved(f"{schedule.name} is paused by {', '.join(state.paused_by)}")
        quiet = self._limits.quiet_until(now)
        if quiet is not None:
            raise NotPermitted(f"quiet hours until {moment(quiet)}", party=party)
        due = parse_moment(permit.occurrence)
        if coordinator != party:
            self.book.admit(state.id, schedule, due, now, approved(state))
        elif not any(row.due == due and row.state == "running" for row in self.book.open(state.id)):
            raise SpecError(f"the run due {permit.occurrence} was not started by the schedule")

    def failed(self, permit: Permit, error: BaseException) -> None:
        """A scheduled run ended here without a result: one that the ledger holds back is not tried again."""
        if permit.occurrence and permit.phase != "release" and isinstance(error, DisclosureRefused):
            due = parse_moment(permit.occurrence)
            if permit.state.proposer != self._desk.party:
                self.book.finish(permit.study, [Verdict(due, "held", str(error.message))], self._desk.now())

    # --- for people -------------------------------------------------------------------------------------------------

    def lines(self) -> list[dict[str, Any]]:
        """All schedules of studies that this party knows."""
        found = []
        for _, state in self._desk.studies():
            schedule = _schedule(state)
            if schedule is not None:
                line = schedule_line(
                    state.id,
                    schedule,
                    self.book,
                    self._desk.now(),
                    proposer=state.proposer,
                    status=state.status,
                    paused=state.paused_by,
                )
                found.append(line)
        return found

    def history(self, study: str) -> dict[str, Any]:
        """What became of a schedule's runs.

        Raises
        ------
        SpecError
            The study has none.
        """
        state = self._desk.study(study)
        schedule = _schedule(state)
        if schedule is None:
            raise SpecError(f"study {state.proposal.name} has no schedule")
        return history_answer(state.id, schedule, self.book, self.results)

    # --- by itself --------------------------------------------------------------------------------------------------

    def _noted(self, signed: SignedEntry) -> None:
        entry = signed.entry
        try:
            if entry.action in {"computed", "released"} and entry.party == self._desk.party:
                occurrence = str(entry.body.get("occurrence", ""))
                if occurrence:
                    self._own_step(entry.action, entry.study, parse_moment(occurrence), str(entry.body["run"]))
            elif entry.action == "withhold":
                self._withheld(entry.study, str(entry.body.get("run", "")), entry.party)
        except MpcStatsError as error:
            self._log.warning("occurrence_not_noted", study=entry.study, code=error.code, reason=error.message)

    def _own_step(self, action: str, study: str, due: datetime.datetime, run: str) -> None:
        now = self._desk.now()
        if action == "computed":
            self.book.seal(study, due, "computed: its result waits for releases", now)
            return
        verdict = Verdict(due, "released")
        outcome = self.results.released(run)
        if outcome is not None:
            file, digest = self.results.keep(study, due, outcome_from_bytes(outcome))
            verdict = Verdict(due, "released", "", outcome_from_bytes(outcome).run.get("rounds"), digest, file)
        self.book.finish(study, [verdict], now)

    def _withheld(self, study: str, run: str, party: str) -> None:
        known = self._desk.study(study).runs.get(run)
        if known is not None and known.occurrence:
            reason = known.withheld_by.get(party, "")
            text = f"withheld by {party}{f': {reason}' if reason else ''}"
            self.book.finish(study, [Verdict(parse_moment(known.occurrence), "held", text)], self._desk.now())


def approved(state: StudyState) -> datetime.datetime:
    """When the last of the approvals that a study needs was signed; without any, when it was proposed."""
    times = [state.decisions[name].entry.time for name in state.approvals]
    return max(parse_moment(time) for time in [state.proposed.time, *times])


def _schedule(state: StudyState) -> Schedule | None:
    plain = state.proposal.schedule
    if plain is None:
        return None
    try:
        return parse_schedule(plain)
    except SpecError:
        return None  # nobody here can approve it: `mpcstats.node.governance.office` checks
