"""What a node does about studies: decisions of its people and of its policy, permits for runs, its diary of runs."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast, get_args

from mpcstats.errors import FrameRejected, MpcStatsError, NotApproved, NotPermitted, SpecError
from mpcstats.node.governance.calendar import Calendar
from mpcstats.node.governance.courier import Courier
from mpcstats.node.governance.desk import Desk
from mpcstats.node.governance.people import OPERATOR, SignedStatement, check_statement
from mpcstats.node.governance.permit import Permit
from mpcstats.node.governance.unfinished import Unfinished
from mpcstats.node.governance.vault import Vault
from mpcstats.node.ledger.releases import ReleaseLedger
from mpcstats.node.observing.logs import Log
from mpcstats.node.runs.sealing import Phase, SealedRun
from mpcstats.node.schedules.book import ResultFolder
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.state.tables import RunRow, StatementRow
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.outcome_codec import outcome_pieces
from mpcstats.study.canonical import canonical_bytes, moment, parse_moment
from mpcstats.study.entries import SignedEntry
from mpcstats.study.lifecycle import StudyState, parties_of
from mpcstats.study.policy import Approval, Policy
from mpcstats.study.schedule import parse_schedule
from mpcstats.wire.node_pb2 import Reserve

__all__ = ["Office"]

_DECISIONS = {"approval": {"approve", "reject"}, "release": {"release", "withhold"}}


class Office:
    """The governance of one party.

    Parameters
    ----------
    directory : PartyDirectory
    desk : Desk
    log : Log

    Attributes
    ----------
    courier : Courier or None
        Set when the node serves.
    ledger : ReleaseLedger or None
        Released counts; set when the node serves.
    """

    def __init__(self, directory: PartyDirectory, desk: Desk, log: Log) -> None:
        self.directory, self.desk, self.log = directory, desk, log
        self.courier: Courier | None = None
        self.vault = Vault(directory.path, directory.state, desk.party)
        self.unfinished = Unfinished(desk, self.vault, log)
        self.ledger: ReleaseLedger | None = None
        desk.on_entry.append(self._noted)
        self.calendar = Calendar(desk, ResultFolder(directory.results), directory.config.limits, log)

    @property
    def party(self) -> str:
        """This party."""
        return self.desk.party

    def policy(self, state: StudyState) -> Policy | None:
        """This party's policy for a study; None without data."""
        return self.directory.policy(state.proposal.lock.request.dataset)

    # --- decisions --------------------------------------------------------------------------------------------------

    def decide(self, study: str, decision: str, reason: str, statement: Mapping[str, Any] | None) -> dict[str, Any]:
        """Take down what somebody at this party decides; the policy's rule makes the party's decision of it.

        Parameters
        ----------
        decision : "approve", "reject", "release" or "withhold"
        statement : mapping, optional
            `SignedStatement`; where the policy names people. A no of one person is the party's.

        Returns
        -------
        dict
            people so far, people needed, and the party's entry when this decided.
        """
        subject = next(name for name, known in _DECISIONS.items() if decision in known)
        state = self.desk.study(study)
        if subject == "release":
            run = state.latest
            if run is None:
                raise NotApproved(f"study {state.proposal.name} has no result yet", hint="mpcstats study run")
            subject = f"release {run.run}"
        self._check_due(state, decision)
        policy = self.policy(state)
        approval = Approval() if policy is None else policy.approval
        if not approval.people:
            return self._act(state, decision, subject, reason, [], OPERATOR) | {"people": [OPERATOR], "needed": 1}
        signed = self._statement(statement, state, subject, decision, approval)
        said = self._keep(state.id, subject, signed)
        agreeing = [other for other in said if other.statement.decision == decision]
        people = [other.statement.person for other in agreeing]
        no = decision in {"reject", "withhold"}
        done: dict[str, Any] = {}
        if no or len(agreeing) >= approval.needed:
            done = self._act(state, decision, subject, reason, agreeing, ", ".join(people))
        return done | {"people": people, "needed": 1 if no else approval.needed}

    def _check_due(self, state: StudyState, decision: str) -> None:
        state.require_open()
        if decision in {"approve", "reject"}:
            if self.party in state.decisions and decision == "approve" and self.party in state.approvals:
                raise SpecError(f"{self.party} has approved study {state.proposal.name}", party=self.party)
            return
        run = state.latest
        status = "" if run is None else state.status_of(run)
        if status != "computed":
            raise NotApproved(f"study {state.proposal.name} has no sealed result: it is {status or state.status}")

    def _statement(
        self, statement: Mapping[str, Any] | None, state: StudyState, subject: str, decision: str, approval: Approval
    ) -> SignedStatement:
        people = ", ".join(approval.people)
        if statement is None:
            raise NotPermitted(
                f"the policy names who decides: {people}",
                party=self.party,
                hint="mpcstats study approve ... --as PERSON",
            )
        signed = SignedStatement.model_validate(statement)
        said = signed.statement
        if (said.study, said.subject, said.decision) != (state.id, subject, decision):
            raise SpecError("the statement is about something else", party=self.party)
        check_statement(self.directory.path, signed, self.party, approval.people)
        principal = str(state.proposal.study["principal"])
        if approval.two_person and said.person in {principal, state.proposed.person}:
            raise NotPermitted(
                f"{said.person} proposed the study, and nobody decides about an own proposal (two_person)",
                party=self.party,
            )
        return signed

    def _keep(self, study: str, subject: str, signed: SignedStatement) -> list[SignedStatement]:
        """Keep a statement; the last one of each person on this subject."""
        from sqlalchemy import select

        said = signed.statement
        query = select(StatementRow).where(StatementRow.study == study, StatementRow.subject == subject)
        with self.desk.database.transaction() as session:
            rows = session.execute(query.order_by(StatementRow.key)).scalars().all()
            attempt = 1 + sum(row.person == said.person for row in rows)
            session.add(
                StatementRow(
                    study=study,
                    subject=subject,
                    person=said.person,
                    attempt=attempt,
                    decision=said.decision,
                    document=canonical_bytes(signed).decode(),
                )
            )
        known = [SignedStatement.model_validate(json.loads(row.document)) for row in rows] + [signed]
        return list({other.statement.person: other for other in known}.values())

    def _act(
        self,
        state: StudyState,
        decision: str,
        subject: str,
        reason: str,
        said: list[SignedStatement],
        person: str,
    ) -> dict[str, Any]:
        policy = self.policy(state)
        body: dict[str, Any] = {"statements": [one.model_dump(mode="json") for one in said]}
        if policy is not None:
            body["policy"] = policy.digest
        if reason:
            body["reason"] = reason
        if subject.startswith("release "):
            body["run"] = subject.removeprefix("release ")
        signed = self.desk.write(cast(Any, decision), state.id, body, person)
        return {"entry": signed.digest}

    # --- by itself --------------------------------------------------------------------------------------------------

    def _noted(self, signed: SignedEntry) -> None:
        """A new entry: what the policy has approved beforehand is approved now."""
        entry = signed.entry
        self.log.info("entry", action=entry.action, party=entry.party, number=entry.number, study=entry.study)
        try:
            if entry.action == "propose":
                self._auto_approve(entry.study)
            elif entry.action == "computed":
                self._auto_release(entry.study)
            elif entry.action in {"released", "withhold", "withdraw", "reject"}:
                self._tidy(entry.study)
        except MpcStatsError as error:
            self.log.warning("not_automatic", study=entry.study, code=error.code, reason=error.message)

    def _auto_approve(self, study: str) -> None:
        state = self.desk.study(study)
        policy = self.policy(state)
        if policy is None or self.party not in state.proposal.lock.data_parties:
            return
        request = state.proposal.lock.request
        if policy.approval.needs_nobody(request.type, state.proposal.lock.effective[0]) and not state.closed_because:
            self.check_proposal(state)
            self._act(state, "approve", "approval", "policy", [], "policy")

    def _auto_release(self, study: str) -> None:
        state = self.desk.study(study)
        run, policy = state.latest, self.policy(state)
        if policy is None or run is None or policy.release.rule != "auto" or self.party in run.released_by:
            return
        if state.status == "computed":
            self._act(state, "release", f"release {run.run}", "policy", [], "policy")

    def check_proposal(self, state: StudyState) -> None:
        """What a party checks of a proposal before its people are asked: that it fits this party.

        Raises
        ------
        NotPermitted
            The policy does not allow the analysis or a column, or is stricter than the lock says.
        """
        lock, policy = state.proposal.lock, self.policy(state)
        if state.proposal.schedule is not None:
            parse_schedule(state.proposal.schedule)
        if policy is None:
            return
        request = lock.request
        if request.type not in policy.analyses:
            raise NotPermitted(f"the policy does not allow {request.type}", party=self.party)
        from mpcstats.study.plan import columns_used

        policy.columns.check(columns_used(request), self.party)
        Permit(state, "compute", "").check_rules({self.party: policy.rules})

    # --- runs -------------------------------------------------------------------------------------------------------

    async def permit(self, request: Reserve, coordinator: str) -> Permit:
        """The study that a run belongs to, after the newest entries were fetched from who asks.

        Raises
        ------
        SpecError, FrameRejected
            It is not known here, or the request makes no sense.
        """
        import asyncio

        if request.phase not in get_args(Phase):
            raise FrameRejected("asked for an unknown phase of a run", party=coordinator)
        if self.courier is not None and coordinator != self.party:
            await self.courier.exchange(coordinator)
        state = await asyncio.to_thread(self.desk.study, request.study)
        if state.id != request.study:
            raise FrameRejected("named a study by something else than its id", party=coordinator)
        run = request.sealed_run if request.phase == "release" else request.run_id.hex()
        if request.resume and request.phase == "release":
            raise FrameRejected("asked to go on with a release, which always does", party=coordinator)
        without = tuple(request.without)
        return Permit(state, cast(Phase, request.phase), run, request.occurrence, request.resume, without)

    def note_run(self, run: str, study: str, state: str, occurrence: str = "", **detail: Any) -> None:
        """Write a run down, or what became of it."""
        with self.desk.database.transaction() as session:
            row = session.get(RunRow, run) or RunRow(run=run, study=study, occurrence=occurrence)
            row.state, row.changed = state, moment(self.desk.now())
            row.detail = json.dumps({**json.loads(row.detail or "{}"), **detail}, sort_keys=True)
            session.add(row)

    def run_detail(self, run: str) -> dict[str, Any]:
        """What was written down about a run; empty for an unknown one."""
        with self.desk.database.transaction() as session:
            row = session.get(RunRow, run)
            detail: dict[str, Any] = {} if row is None else json.loads(row.detail)
        return detail

    def ended(self, permit: Permit, session: bytes, result: Outcome | SealedRun | None) -> None:
        """A run of a study ended at this party: tell the others, and keep a result that was opened to it."""
        body: dict[str, Any] = {"run": permit.run, "occurrence": permit.occurrence, "session": session.hex()}
        known = permit.own_run
        computed = known is not None and self.party in known.computed
        if isinstance(result, SealedRun):
            if not computed:  # else an earlier attempt told so
                self.desk.write("computed", permit.study, body | {"decisions": list(result.decisions)})
            return
        if result is not None:
            self.keep_result(permit.run, result)
        if permit.phase == "whole" and not computed:
            self.desk.write("computed", permit.study, body)
        if known is None or self.party not in known.opened:
            self.desk.write("released", permit.study, body)

    def _tidy(self, study: str) -> None:
        """Delete what was kept of runs whose results are out, or will never be."""
        state = self.desk.study(study)
        for run in state.runs.values():
            released = set(run.opened) >= set(parties_of(state.proposal.lock, run))
            never = not run.opened and bool(state.closed_because or run.withheld_by)
            if released and self._retained(study, run.run):
                continue
            if (released or never) and run.run in self.vault.runs():
                self.vault.forget(run.run, self.ledger if never else None, self._session_of(study, run.run))
                self.log.info("shares_deleted", study=study, run=run.run)

    def tidy(self) -> None:
        """Delete what is kept of runs that are out, over, or abandoned. Not while a run is under way."""
        for run in self.vault.runs():
            study = self.unfinished.study_of(run)
            try:
                if study:
                    self._tidy(study)
                self.unfinished.tidy(run, study, self.ledger)
            except (MpcStatsError, OSError) as error:  # the others are looked at all the same
                self.log.warning("not_tidied", run=run, reason=str(error))

    def _retained(self, study: str, run: str) -> bool:
        """Whether the shares of a released run are still to be kept: [storage] retain_shares."""
        retention = self.directory.config.storage.retention
        if not retention:
            return False
        # the times of other parties are theirs to write: the own one says when it was opened here
        own = [
            signed.entry.time
            for signed in self.desk.entries_of(study)
            if (signed.entry.party, signed.entry.action) == (self.party, "released")
            and signed.entry.body.get("run") == run
        ]
        return bool(own) and self.desk.now() < parse_moment(min(own)) + retention

    def _session_of(self, study: str, run: str) -> str:
        """Digest (hex) under which this party computed a run; "" where it did not."""
        found = [
            str(signed.entry.body.get("session", ""))
            for signed in self.desk.entries_of(study)
            if signed.entry.action == "computed"
            and signed.entry.party == self.party
            and signed.entry.body.get("run") == run
        ]
        return found[-1] if found else ""

    def runs_this_month(self, dataset: str, but: str = "") -> int:
        """Runs on a data set, all but one, that were begun since the first of this month (UTC)."""
        from sqlalchemy import select

        first = self.desk.now().astimezone(datetime.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        query = select(RunRow.detail).where(
            RunRow.changed >= moment(first), RunRow.state != "failed", RunRow.run != but
        )
        with self.desk.database.transaction() as session:
            details = session.execute(query).scalars().all()
        return sum(json.loads(detail).get("dataset") == dataset for detail in details)

    def check_budget(self, policy: Policy | None, dataset: str, run: str = "") -> None:
        """Refuse a run beyond the policy's budget.

        Parameters
        ----------
        run : str
            Id (hex); one that is taken up again is not counted twice.

        Raises
        ------
        NotPermitted
            With the numbers.
        """
        most = None if policy is None else policy.budget.runs_per_month
        if most is None:
            return
        used = self.runs_this_month(dataset, run)
        if used >= most:
            raise NotPermitted(
                f"{used} runs on data set {dataset!r} this month, and the budget is {most}",
                party=self.party,
                hint="wait for next month, or ask for a larger [budget] in policy.toml",
            )

    @property
    def results(self) -> Path:
        """Folder of released results."""
        return self.directory.state / "results"

    def keep_result(self, run: str, outcome: Outcome) -> Path:
        """Keep a released result; its file."""
        self.results.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.results / f"{run}.outcome"
        partial = path.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for piece in outcome_pieces(outcome):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        return path
