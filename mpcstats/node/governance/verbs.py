"""What an operator, or a person through the operator's node, can ask about studies: `Control.Govern`, verb by verb.

Every verb takes plain JSON values and gives some back; the command line and the SDK are clients of this and nothing
else.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc

from mpcstats.errors import NotApproved, PartyUnreachable, SpecError
from mpcstats.node.consortium.joining import joined
from mpcstats.node.consortium.terms import parse_terms
from mpcstats.node.failures import from_peer_failure
from mpcstats.node.governance.permit import Permit
from mpcstats.node.runs.coordinator import Errand, coordinate
from mpcstats.node.runs.house import House
from mpcstats.node.runs.taking_up import Choice, run_study
from mpcstats.study.analyses import parse_spec
from mpcstats.study.lifecycle import RunState, StudyState
from mpcstats.study.lock import parse_proposal
from mpcstats.study.missing import can_do_without
from mpcstats.study.schedule import parse_schedule
from mpcstats.study.spec import canonical_json
from mpcstats.wire.node_pb2 import TermsRequest

__all__ = ["Verbs"]

Progress = Callable[[str], None]
Answer = dict[str, Any]

_TERMS_SECONDS = 60.0


class Verbs:
    """The verbs of one node.

    Parameters
    ----------
    house : House
        With an office.
    """

    def __init__(self, house: House) -> None:
        assert house.office is not None
        self._house, self._office = house, house.office
        self._running = asyncio.Lock()

    async def call(self, verb: str, arguments: dict[str, Any], progress: Progress) -> Answer:
        """Do what a verb says.

        Raises
        ------
        SpecError
            No such verb, or other arguments than it takes.
        MpcStatsError
            What the verb raises.
        """
        method: Callable[..., Awaitable[Answer]] | None = (
            getattr(self, f"do_{verb}", None) if verb.isidentifier() else None
        )
        if method is None:
            raise SpecError(f"there is no verb {verb[:40]!r}")
        try:
            bound = inspect.signature(method).bind(progress, **arguments)
        except TypeError as error:
            raise SpecError(f"{verb}: {error}") from None
        return await method(*bound.args, **bound.kwargs)

    # --- reading ----------------------------------------------------------------------------------------------------

    async def do_inbox(self, _progress: Progress) -> Answer:
        """All studies this node knows, with what is waited for."""
        studies = await asyncio.to_thread(self._office.desk.studies)
        return {"studies": [self._line(number, state) for number, state in reversed(studies)]}

    async def do_show(self, _progress: Progress, study: str) -> Answer:
        """Everything about one study."""
        state = await asyncio.to_thread(self._office.desk.study, study)
        number = await asyncio.to_thread(self._office.desk.number, state.id)
        lock, (rules, owner) = state.proposal.lock, state.proposal.lock.effective
        return self._line(number, state) | {
            "study": state.proposal.study,
            "lock": lock.model_dump(mode="json"),
            "rules": {name: {"value": getattr(rules, name), "owner": who} for name, who in owner.items()},
            "decisions": [
                {
                    "party": d.party,
                    "decision": d.kind,
                    "person": d.entry.person,
                    "time": d.entry.time,
                    "reason": d.reason,
                }
                for d in state.decisions.values()
            ],
            "comments": [
                {"party": e.party, "person": e.person, "time": e.time, "text": str(e.body.get("text", ""))}
                for e in state.comments
            ],
            "runs": [self._run_line(state, run) for run in state.runs.values()],
            "paused_by": state.paused_by,
            "proposed": {"party": state.proposer, "person": state.proposed.person, "time": state.proposed.time},
        }

    async def do_entries(self, _progress: Progress, study: str) -> Answer:
        """The signed entries of a study, for its bundle."""
        found = await asyncio.to_thread(self._office.desk.entries_of, self._office.desk.study_id(study))
        return {"entries": [signed.model_dump(mode="json") for signed in found]}

    async def do_consortium(self, _progress: Progress) -> Answer:
        """Who has signed the roster."""
        found = await asyncio.to_thread(joined, self._office.desk)
        return {
            "signed": list(found),
            "entries": {name: signed.model_dump(mode="json") for name, signed in found.items()},
        }

    async def do_terms(self, progress: Progress, spec: dict[str, Any]) -> Answer:
        """The terms of every party for an analysis; a refusal is an error that names the party."""
        request = parse_spec(spec)
        house = self._house
        progress("asking all parties for their terms")
        names = [name for name in house.roster.names if name != house.name]
        found = await asyncio.gather(*(self._terms_of(name, canonical_json(request).decode()) for name in names))
        own = await asyncio.to_thread(house.site.terms, request)
        return {"terms": {house.name: own, **dict(zip(names, found, strict=True))}}

    async def do_vitals(self, _progress: Progress) -> Answer:
        """Studies, schedules, disk, database, certificate and memory of this node in numbers."""
        return await asyncio.to_thread(self._house.vitals)

    async def do_sync(self, _progress: Progress) -> Answer:
        """Exchange entries with all parties now."""
        return {"problems": await self._sync()}

    async def do_schedules(self, _progress: Progress) -> Answer:
        """All schedules: calendars, bounds, who paused them, the last occurrence and the next due time."""
        return {"schedules": await asyncio.to_thread(self._office.calendar.lines)}

    async def do_schedule_history(self, _progress: Progress, study: str) -> Answer:
        """What became of a schedule's runs, with the released counts that this party keeps."""
        return await asyncio.to_thread(self._office.calendar.history, study)

    # --- deciding ---------------------------------------------------------------------------------------------------

    async def do_propose(self, progress: Progress, proposal: dict[str, Any], person: str = "") -> Answer:
        """Sign a proposal and send it to all parties."""
        parsed = parse_proposal(proposal)
        if parsed.schedule is not None:
            parse_schedule(parsed.schedule)
        office = self._office
        unsigned = set(self._house.roster.names) - set(await asyncio.to_thread(joined, office.desk))
        if unsigned:
            raise NotApproved(
                f"the roster is not signed by all parties: waiting for {', '.join(sorted(unsigned))}",
                hint="mpcstats consortium join ROSTER --party DIR at each of them",
            )
        if parsed.lock.roster != self._house.roster.digest.hex():
            raise SpecError("the study was planned with another roster", hint="mpcstats study plan")
        if office.desk.number(parsed.id):
            raise SpecError(f"study {parsed.name} is proposed already, exactly like this", hint="mpcstats study show")
        signed = await asyncio.to_thread(
            office.desk.write,
            "propose",
            parsed.id,
            parsed.model_dump(mode="json"),
            person or str(parsed.study["principal"]),
        )
        progress("sending the proposal to all parties")
        problems = await self._sync()
        return {
            "study": parsed.id,
            "number": office.desk.number(parsed.id),
            "entry": signed.digest,
            "problems": problems,
        }

    async def do_decide(
        self,
        progress: Progress,
        study: str,
        decision: str,
        reason: str = "",
        statement: dict[str, Any] | None = None,
    ) -> Answer:
        """Approve, reject, release or withhold; the last release of all opens the result."""
        if decision not in {"approve", "reject", "release", "withhold"}:
            raise SpecError(f"{decision[:40]!r} is no decision")
        office = self._office
        await self._sync()
        state = await asyncio.to_thread(office.desk.study, study)
        if decision == "approve":
            await asyncio.to_thread(office.check_proposal, state)
        done = await asyncio.to_thread(office.decide, state.id, decision, reason, statement)
        problems = await self._sync()
        if decision == "release" and "entry" in done:
            await self._open_when_released(state.id, progress)
        state = await asyncio.to_thread(office.desk.study, state.id)
        return done | self._line(office.desk.number(state.id), state) | {"problems": problems}

    async def do_comment(self, _progress: Progress, study: str, text: str, person: str = "") -> Answer:
        """Say something about a study to all parties."""
        if not 0 < len(text) <= 4000:
            raise SpecError("a comment has 1 to 4,000 letters")
        state = await asyncio.to_thread(self._office.desk.study, study)
        await asyncio.to_thread(self._office.desk.write, "comment", state.id, {"text": text}, person)
        return {"problems": await self._sync()}

    async def do_withdraw(self, _progress: Progress, study: str, reason: str = "", person: str = "") -> Answer:
        """Take back the own proposal, or the own approval."""
        office = self._office
        state = await asyncio.to_thread(office.desk.study, study)
        state.require_open()
        if self._house.name not in {state.proposer, *state.approvals}:
            raise SpecError(f"{self._house.name} neither proposed study {state.proposal.name} nor approved it")
        what = "proposal" if state.proposer == self._house.name else "approval"
        await asyncio.to_thread(office.desk.write, "withdraw", state.id, {"what": what, "reason": reason}, person)
        return {"what": what, "problems": await self._sync()}

    async def do_pause(self, _progress: Progress, study: str, reason: str = "", person: str = "") -> Answer:
        """Stop a schedule for all, until the same party resumes it."""
        return await self._switch("pause", study, reason, person)

    async def do_resume(self, _progress: Progress, study: str, reason: str = "", person: str = "") -> Answer:
        """Let a schedule go on that this party paused."""
        return await self._switch("resume", study, reason, person)

    async def _switch(self, action: Any, study: str, reason: str, person: str) -> Answer:
        state = await asyncio.to_thread(self._office.desk.study, study)
        if state.proposal.schedule is None:
            raise SpecError(f"study {state.proposal.name} has no schedule")
        if (action == "pause") == (self._house.name in state.paused_by):
            raise SpecError(f"{self._house.name} has {'paused it already' if action == 'pause' else 'not paused it'}")
        await asyncio.to_thread(self._office.desk.write, action, state.id, {"reason": reason}, person)
        return {"problems": await self._sync()}

    # --- running ----------------------------------------------------------------------------------------------------

    async def do_run(
        self,
        progress: Progress,
        study: str,
        resume: bool = False,
        afresh: bool = False,
        without: Sequence[str] = (),
    ) -> Answer:
        """Compute an approved study; its result stays sealed, or is opened where every party releases beforehand.

        A run that broke off is gone on with, if all parties can: `resume` wants that or nothing, `afresh` a new run.
        `without` names parties that are lost for good and have no data: a new run, which all others must agree to.
        """
        if resume and afresh:
            raise SpecError("a run is resumed or begun afresh, not both")
        if resume and without:
            raise SpecError("a run without a party begins afresh: it cannot be resumed")
        if isinstance(without, str) or not all(isinstance(name, str) for name in without):
            raise SpecError("run: without is a list of names")
        await self._sync()
        state = await asyncio.to_thread(self._office.desk.study, study)
        state.require_approved()
        async with self._running:
            choice: Choice = "resume" if resume else "afresh" if afresh else "either"
            try:
                await run_study(self._house, state, progress, choice=choice, without=without)
            except PartyUnreachable as error:
                raise _way_out(state, error) from None
        await self._sync()
        if state.proposal.lock.release != "auto":
            await self._open_when_released(state.id, progress)
        state = await asyncio.to_thread(self._office.desk.study, state.id)
        return self._line(self._office.desk.number(state.id), state)

    async def do_review(self, _progress: Progress, study: str) -> Answer:
        """What is known of a sealed result: which checks it passed, and what a release would open."""
        state = await asyncio.to_thread(self._office.desk.study, study)
        run = state.latest
        if run is None:
            raise NotApproved(f"study {state.proposal.name} has no result yet: it is {state.status}")
        entries = await asyncio.to_thread(self._office.desk.entries_of, state.id)
        decisions = [
            name
            for signed in entries
            if signed.entry.action == "computed" and signed.entry.party == self._house.name
            for name in signed.entry.body.get("decisions", [])
            if signed.entry.body.get("run") == run.run
        ]
        opens = [entry for entry in state.proposal.lock.manifest if entry["kind"] == "result"]
        recipients = list(state.proposal.lock.recipients)
        return self._run_line(state, run) | {"decisions": decisions, "opens": opens, "recipients": recipients}

    async def do_result(self, progress: Progress, study: str, run: str = "") -> Answer:
        """Where the released result is; opens it first if all have released it and nobody has opened it yet."""
        state = await asyncio.to_thread(self._office.desk.study, study)
        wanted = state.runs.get(run) if run else state.latest
        if wanted is None:
            raise NotApproved(
                f"study {state.proposal.name} has no result: it is {state.status}", hint="mpcstats study run"
            )
        path = self._office.results / f"{wanted.run}.outcome"
        if not path.exists():
            await self._sync()
            await self._open(state.id, wanted.run, progress)
        if not path.exists():
            recipients = ", ".join(state.proposal.lock.recipients)
            raise NotApproved(f"the result is not opened to {self._house.name} (recipients: {recipients})")
        return {"path": str(path), "run": wanted.run, "study": state.id}

    async def _open_when_released(self, study: str, progress: Progress) -> None:
        """Open the result if this was the last release; a party that is away is no error here."""
        state = await asyncio.to_thread(self._office.desk.study, study)
        run = state.latest
        if run is None or set(run.released_by) < set(state.proposal.lock.data_parties) or run.opened:
            return
        if self._house.name in run.without:
            return
        await self._open(study, run.run, progress)

    async def _open(self, study: str, run: str, progress: Progress) -> None:
        state = await asyncio.to_thread(self._office.desk.study, study)
        without = state.runs[run].without
        if self._house.name in without:
            raise NotApproved(
                f"run {run[:12]} was made without {self._house.name}, which the others took for lost",
                hint="ask another party for the result's bundle",
            )
        # asked here first: this node says why, another one only that
        permit = Permit(state, "release", run, without=without)
        permit.check_request(state.proposal.lock.request, self._house.roster)
        progress("all parties released the result: opening it")
        async with self._running:
            occurrence = state.runs[run].occurrence
            errand = Errand(state.id, "release", sealed_run=run, occurrence=occurrence, without=without)
            await coordinate(self._house, state.proposal.lock.request, progress, errand)
        await self._sync()

    # --- helpers ----------------------------------------------------------------------------------------------------

    async def _sync(self) -> dict[str, str]:
        courier = self._office.courier
        return {} if courier is None else await courier.exchange_all()

    async def _terms_of(self, name: str, spec_json: str) -> Answer:
        house = self._house
        courier = self._office.courier
        if courier is None:
            raise PartyUnreachable("this node is not connected", party=house.name)
        request = TermsRequest(spec_json=spec_json, roster_digest=house.roster.digest)
        try:
            reply = await courier.stub(name).Terms(request, timeout=_TERMS_SECONDS)
        except grpc.RpcError:
            raise PartyUnreachable("cannot be reached", party=name, hint="mpcstats party status DIR") from None
        if reply.HasField("refused"):
            raise from_peer_failure(reply.refused, name, house.roster.names)
        return parse_terms(reply.terms_json, name)

    def _line(self, number: int, state: StudyState) -> Answer:
        lock = state.proposal.lock
        run = state.latest
        return {
            "number": number,
            "id": state.id,
            "name": state.proposal.name,
            "title": state.proposal.study["title"],
            "analysis": lock.spec["type"],
            "proposer": state.proposer,
            "principal": state.proposal.study["principal"],
            "expires": state.proposal.study["expires"],
            "status": state.status,
            "why": (state.closed_because or ("", ""))[1],
            "approvals": list(state.approvals),
            "waiting_for": list(state.waiting_for),
            "approvals_needed": len(lock.data_parties),
            "run": None if run is None else self._run_line(state, run),
            "scheduled": state.proposal.schedule is not None,
            "recipients": list(lock.recipients),
        }

    @staticmethod
    def _run_line(state: StudyState, run: RunState) -> Answer:
        waiting = [name for name in state.proposal.lock.data_parties if name not in run.released_by]
        return {
            "run": run.run,
            "occurrence": run.occurrence,
            "status": state.status_of(run),
            "computed": list(run.computed),
            "released_by": list(run.released_by),
            "waiting_for": waiting,
            "withheld_by": dict(run.withheld_by),
            "opened": list(run.opened),
            "without": list(run.without),
        }


def _way_out(state: StudyState, error: PartyUnreachable) -> PartyUnreachable:
    """The same error; of a party that the study can do without, with what can be done if it never comes back."""
    if error.party is None or not can_do_without(state.proposal, (error.party,)):
        return error
    again = f"mpcstats study run {state.proposal.name} --without {error.party}"
    return PartyUnreachable(error.message, party=error.party, hint=f"{error.hint}; if it is lost for good: {again}")
