"""One party's part in one run: reserve, then begin. The coordinator's own party takes part the same way.

Rules, in this order
* the same software and the same roster, or no;
* the analysis is one that this party's policy allows, or no;
* the slot is free, or a bounded wait for it;
* the party's data can be used for the request, and lead to the plan that was proposed, or no;
* what begins is what was reserved: own rules unchanged, the rules of nobody else's invention, the same study digest.
Only then does a share leave the house.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mpcstats.errors import DeadlineExceeded, Divergence, FrameRejected, MpcStatsError, NotApproved
from mpcstats.node.auditing.certify import Certifying
from mpcstats.node.auditing.node import Auditing
from mpcstats.node.consortium.roster import Roster
from mpcstats.node.governance import absence
from mpcstats.node.governance.office import Office
from mpcstats.node.governance.permit import Permit
from mpcstats.node.ledger.releases import ReleaseLedger
from mpcstats.node.observing.logs import Log, where_from
from mpcstats.node.observing.meter import Meter
from mpcstats.node.runs.guard import RunGuard
from mpcstats.node.runs.jobs import Jobs
from mpcstats.node.runs.lineup import Lineup
from mpcstats.node.runs.plan_codec import plan_from_json, plan_to_plain
from mpcstats.node.runs.sealing import SealedRun
from mpcstats.node.settings.config import RunConfig
from mpcstats.node.settings.limits import Limits, check_disk
from mpcstats.node.site import Prepared, Site
from mpcstats.stats.contributions import Plan
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses import analysis_of, parse_spec
from mpcstats.study.audit import AuditEvent, Condition
from mpcstats.study.policy import Policy, strictest
from mpcstats.study.spec import AnalysisSpec, canonical_json, digest
from mpcstats.transport.grpc_channel import SESSION_ID_BYTES, GrpcChannel
from mpcstats.transport.journal import Journal
from mpcstats.transport.network import PeerNetwork
from mpcstats.types import DisclosureRules
from mpcstats.version import __version__
from mpcstats.wire.node_pb2 import Accepted, Begin, Reserve

__all__ = [
    "RUN_ID_BYTES",
    "Ended",
    "House",
    "Participation",
    "all_rules",
    "rules_from_json",
    "rules_to_json",
    "study_digest",
]

RUN_ID_BYTES = 16

Ended = Outcome | SealedRun | None
"""What a run leaves at a party: the outcome, a sealed one, or nothing where others are the recipients."""


@dataclass(frozen=True)
class House:
    """What all runs of a node share."""

    name: str
    roster: Roster
    site: Site
    network: PeerNetwork
    jobs: Jobs
    limits: RunConfig
    log: Log
    execute: Callable[..., Awaitable[Ended]]
    """`mpcstats.node.execution.execute`."""
    scratch: Path | None = None
    """Folder for what interrupted runs need not do again."""
    ledger: ReleaseLedger | None = None
    """Released counts."""
    office: Office | None = None
    """Studies; without it only what needs no approval runs."""
    auditing: Auditing | None = None
    """The audit log; without it runs are not certified."""
    bounds: Limits = field(default_factory=Limits)
    """How much of everything this party takes."""
    meter: Meter = field(default_factory=Meter)
    """What is counted for metrics."""
    vitals: Callable[[], dict[str, Any]] = dict
    """`mpcstats.node.vitals.Vitals.read`."""


class Participation:
    """This party in one run.

    Parameters
    ----------
    house : House
    coordinator : str
        The party that asked; named when the request itself is at fault.
    """

    def __init__(self, house: House, coordinator: str) -> None:
        self._house = house
        self._coordinator = coordinator
        self._slot = contextlib.AsyncExitStack()
        self._request: Reserve
        self._spec: AnalysisSpec
        self._prepared: Prepared
        self._rules: dict[str, DisclosureRules]
        self._log = house.log
        self._channel: GrpcChannel | None = None
        self._failure: BaseException | None = None
        self._asked = self._ended = False
        self._began = False
        self._analysis = "unknown"
        self._lineup = Lineup(house.roster)
        self.permit: Permit | None = None
        """The approved study that the run belongs to; set by `reserve`."""

    async def __aenter__(self) -> Participation:
        return self

    async def __aexit__(self, *reason: Any) -> None:
        # a failure that was answered on the wire is one for the counters, too
        if self._channel is not None:
            for peer, count in self._channel.bytes_sent.items():
                self._house.meter.sent(self._lineup.names[peer - 1], count)
        failure = self._failure
        await self._slot.__aexit__(*(reason if failure is None else (type(failure), failure, failure.__traceback__)))

    async def release(self) -> None:
        """Give the slot back: the run is finished here."""
        await self._slot.aclose()

    async def reserve(self, request: Reserve, on_queued: Callable[[], None]) -> Accepted:
        """Check the request, take the slot, prepare the data.

        Raises
        ------
        Divergence, NotPermitted, PeerRefused, DataError, SpecError, DeadlineExceeded
            Why this party does not take part.
        PartyNeeded, PartyPresent
            It does not take part without a party that is needed, or that answers.
        LimitExceeded
            It would be over a limit of this party.
        """
        house = self._house
        self._check_budget()
        self._log = house.log.bind(run=request.run_id.hex(), coordinator=self._coordinator)
        self._request = request
        self._asked = True
        self._check_versions(request)
        self._spec = parse_spec(request.spec_json)
        self._analysis = self._spec.type
        _preset_rules(self._spec)
        proposed = plan_from_json(request.plan_json, self._coordinator)
        if not isinstance(proposed, analysis_of(self._spec).plan_type):
            raise FrameRejected("sent the plan of another analysis", party=self._coordinator)
        self._log.info("reserve", analysis=self._spec.type, dataset=self._spec.dataset, study=request.study)
        self._lineup = Lineup.asked(house.roster, request.without, house.name, self._coordinator)
        house.site.check_permission(self._spec)
        self.permit = await self._permission(request)
        if self.permit is not None and self.permit.begins_without:
            await absence.require_absent(house.network, self._lineup, house.name)
        if house.office is not None:
            policy, run = house.site.policy(self._spec), request.run_id.hex()
            await asyncio.to_thread(house.office.check_budget, policy, self._spec.dataset, run)
            await asyncio.to_thread(house.office.check_budget, house.site.policy(self._spec), self._spec.dataset)
        if house.scratch is not None:
            check_disk(house.bounds, house.scratch.parent, house.name)
        if house.jobs.busy:
            self._log.info("queued", behind=house.jobs.current)
            on_queued()
        await self._slot.enter_async_context(house.jobs.slot(request.run_id.hex(), house.limits.queue_seconds))
        if self.permit is not None and house.office is not None:
            await asyncio.to_thread(house.office.unfinished.check, self.permit, self._coordinator)
        self._prepared = await self._prepare(proposed)
        if self._prepared.report is not None:
            self._log.info("prepared", **self._prepared.report.counts())
        if plan_to_plain(self._prepared.plan) != plan_to_plain(proposed):
            raise Divergence(
                f"the dictionary or variant list here leads to another plan than at {self._coordinator}",
                party=house.name,
                hint="compare dictionary and variant list (bim file, or the data set's variants) of the two parties; "
                "where genotypes differ: mpcstats variants make",
            )
        if self.permit is not None:
            self.permit.check_plan(self._prepared.plan)
        if self.permit is not None and self.permit.begins_without and house.office is not None:
            await asyncio.to_thread(absence.say, house.office.desk, self.permit, self._coordinator)
        rules = self._prepared.rules
        return Accepted(
            rules_json="" if rules is None else canonical_json(asdict(rules)).decode(),
            plan_digest=digest(plan_to_plain(self._prepared.plan)),
        )

    async def agree(self) -> None:
        """Of a new run without a party that is lost: hear that all others have said so. Comes before `check_begin`.

        Raises
        ------
        PartyNeeded
            One has not.
        StudyClosed
            The study is over since.
        """
        permit, office = self.permit, self._house.office
        if permit is not None and office is not None and permit.begins_without:
            state = await absence.hear(office, self._lineup, permit.study, permit.run)
            self.permit = replace(permit, state=state)
            self._log.info("without", parties=list(permit.without), run=permit.run, study=permit.study)

    def check_begin(self, request: Begin) -> None:
        """Check that what begins is what was reserved.

        Raises
        ------
        Divergence, FrameRejected
            It is not; names the coordinator.
        """
        if len(request.session_id) != SESSION_ID_BYTES:
            raise FrameRejected("sent a malformed session id", party=self._coordinator)
        rules = rules_from_json(request.rules_json, self._coordinator)
        house = self._house
        expected = set(house.roster.data_parties) | set(_preset_rules(self._spec))
        presets = _preset_rules(self._spec)
        if set(rules) != expected or any(rules[owner] != preset for owner, preset in presets.items()):
            raise Divergence("begins with the rules of other parties than the roster's", party=self._coordinator)
        if self._prepared.rules is not None and rules[house.name] != self._prepared.rules:
            raise Divergence("begins with rules that are not this party's", party=self._coordinator)
        if self.permit is not None:
            self.permit.check_rules(rules)
        else:
            house.site.check_unapproved(self._spec, strictest(rules)[0])
        own = study_digest(self._request.run_id, self._spec, self._prepared.plan, rules, house.roster, self.permit)
        if own != request.study_digest:
            raise Divergence("begins another study than the one it asked for", party=self._coordinator)
        self._rules = rules

    async def compute(self, request: Begin, progress: Callable[[str], None]) -> Ended:
        """Open the session and compute; `check_begin` comes first. A SealedRun where the result waits for release.

        Raises
        ------
        MpcStatsError
            Names the party at fault.
        """
        house = self._house
        guard = RunGuard(house.bounds, house.name)
        # where a study was approved, the rules of that day are in force: nobody has become stricter since
        effective, owner = strictest(self._rules) if self.permit is None else self.permit.lock.effective
        resumed: dict[str, Any] = {} if self.permit is None or not self.permit.resume else {"resumed": True}
        resumed |= {"without": self._lineup.without} if self._lineup.without else {}
        await self._note("running", session=request.study_digest.hex(), **resumed)
        await self._write_down("run-started", **resumed)
        self._began = True
        async with contextlib.AsyncExitStack() as stack:
            journal = await self._journal(stack)
            limits = house.limits
            channel = await stack.enter_async_context(
                house.network.session(
                    request.session_id, patience_seconds=limits.patience_seconds, without=self._lineup.lost
                )
            )
            self._channel = channel
            await channel.wait_attached()
            self._log.info("session", session=request.session_id.hex(), threshold=house.roster.threshold)
            work: Awaitable[Ended] = house.execute(
                channel,
                observe=guard.observe,
                spec=self._spec,
                plan=self._prepared.plan,
                contribution=self._prepared.contribution,
                study_digest=request.study_digest,
                data_parties=house.roster.data_parties,
                rules=effective,
                rules_owner=owner,
                variants=self._prepared.variants,
                progress=progress,
                committee=self._lineup.computing,
                scratch=house.scratch,
                results=None if house.scratch is None else house.scratch / f"{self._request.run_id.hex()}.arrow",
                ledger=house.ledger,
                people=self._prepared.people,
                noise_budget=self._noise_budget(),
                approved=None if self.permit is None else self.permit.manifest,
                recipients=None if self.permit is None else self._lineup.numbers(self.permit.lock.recipients),
                phase="whole" if self.permit is None else self.permit.phase,
                journal=journal,
                certifying=self._certifying(),
            )
            result = await guard.watch(work)
        await self._note_result(request.study_digest, result)
        self._ended = True  # a coordinator that hangs up from here on takes nothing back
        sent = {self._lineup.names[peer - 1]: count for peer, count in channel.bytes_sent.items()}
        self._log.info("finished", **{f"bytes_to_{name}": count for name, count in sent.items()})
        return result

    async def _journal(self, stack: contextlib.AsyncExitStack) -> Journal | None:
        """The journal of a study's run; closed at the end, and kept."""
        permit, office = self.permit, self._house.office
        if permit is None or office is None:
            return None
        sealed = office.run_detail(permit.run).get("journal", "") if permit.phase == "release" else ""
        if permit.phase != "release" and not permit.resume:
            await asyncio.to_thread(office.unfinished.begins, permit, office.ledger)
        journal = await asyncio.to_thread(office.vault.journal, permit.run, sealed)
        stack.callback(journal.close)
        return journal

    def _noise_budget(self) -> Fraction | None:
        """Epsilon that releases of the data set may use in a year; None: no limit, or no data here."""
        policy = self._house.site.policy(self._spec)
        return None if policy is None else policy.budget.epsilon

    async def _permission(self, request: Reserve) -> Permit | None:
        """The approved study that the request belongs to; None where it names none and needs none."""
        house = self._house
        if not request.study:
            if request.resume or request.without:
                what = "go on with a run" if request.resume else "leave out a party"
                raise FrameRejected(f"asked to {what} of no study", party=self._coordinator)
            house.site.check_unapproved(self._spec, None)
            return None
        if house.office is None:
            raise NotApproved("this node keeps no studies", party=house.name)
        permit = await house.office.permit(request, self._coordinator)
        permit.check_request(self._spec, house.roster)
        await asyncio.to_thread(house.office.calendar.admit, permit, self._coordinator)
        return permit

    async def _note(self, state: str, **detail: Any) -> None:
        """Write this run down in the office's diary."""
        office, permit = self._house.office, self.permit
        self._house.meter.run(self._analysis, state, detail.get("rounds", 0))
        if office is not None:
            run, study, occurrence = self._request.run_id.hex(), "", ""
            if permit is not None:
                run, study, occurrence = permit.run, permit.study, permit.occurrence
                detail |= {"phase": permit.phase}
            detail |= {"dataset": self._spec.dataset, "analysis": self._spec.type}
            await asyncio.to_thread(functools.partial(office.note_run, run, study, state, occurrence, **detail))

    async def _note_result(self, session: bytes, result: Ended) -> None:
        """Write down how the run ended; keep and tell what belongs to a study."""
        office, permit = self._house.office, self.permit
        if isinstance(result, SealedRun):
            await self._note("sealed", rounds=result.rounds, journal=result.journal)
            await self._write_down("run-sealed", decisions=len(result.decisions))
        else:
            await self._note("released", **({} if result is None else {"rounds": result.run["rounds"]}))
            opened = [] if result is None else result.run["opened"]
            names = tuple(f"{row['name']}: {row['values']}"[:500] for row in opened)
            await self._write_down("run-finished", values_opened=sum(row["values"] for row in opened), opened=names)
        if office is not None and permit is not None:
            await asyncio.to_thread(office.ended, permit, session, result)

    async def _write_down(self, event: AuditEvent, **conditions: Condition) -> None:
        """Write this run into the audit log."""
        auditing, permit = self._house.auditing, self.permit
        if auditing is not None:
            run = self._request.run_id.hex() if permit is None else permit.run
            conditions |= {"run": run, "analysis": self._spec.type, "dataset": self._spec.dataset}
            await auditing.note(event, self._coordinator, "" if permit is None else permit.study, **conditions)

    def _certifying(self) -> Certifying | None:
        """What the run's certificate needs."""
        auditing = self._house.auditing
        if auditing is None:
            return None
        return auditing.certifying(self.permit, self._request.run_id.hex(), self._prepared.commitment)

    async def stop(self, error: MpcStatsError) -> None:
        """End a run from outside: what waits in it raises `error`, and the other parties are told."""
        if self._channel is not None:
            await self._channel.abort(error)

    def log_failure(self, error: BaseException) -> None:
        """Write down why the run did not happen, with all that may be known in this house."""
        self._failure = error
        office = self._house.office
        if not self._ended:
            self._house.meter.run(self._analysis, "failed" if self._began else "refused")
        if office is not None and self._began:
            office.note_run(
                self._request.run_id.hex(), "", "failed", error=getattr(error, "code", type(error).__name__)
            )
        if office is not None and self.permit is not None:
            office.unfinished.broke_off(self.permit, error, began=self._began)
            office.calendar.failed(self.permit, error)
        auditing = self._house.auditing
        if auditing is not None and self._asked and not self._ended:
            code, party = getattr(error, "code", type(error).__name__), getattr(error, "party", None) or ""
            study = "" if self.permit is None else self.permit.study
            run = self._request.run_id.hex()[:64]
            if self._began or self._coordinator == self._house.name:
                auditing.log.append("run-failed", self._coordinator, study, run=run, code=code, party=party)
            else:
                auditing.refused_run(self._coordinator, study, run=run, code=code, party=party)
        if isinstance(error, MpcStatsError):
            self._log.error("run_failed", code=error.code, party=error.party or "", reason=error.message)
        elif isinstance(error, asyncio.CancelledError):
            who = "operator" if self._coordinator == self._house.name else "coordinator"
            self._log.error("run_failed", code="cancelled", party=self._coordinator, reason=f"the {who} is gone")
        else:
            self._log.error("run_failed", code=type(error).__name__, party=self._house.name, where=where_from(error))

    def _check_budget(self) -> None:
        """Whoever asks for run after run that is refused has to wait; nothing is done for the next one."""
        auditing = self._house.auditing
        if auditing is not None and self._coordinator != self._house.name:
            auditing.check_budget(self._coordinator)

    def _check_versions(self, request: Reserve) -> None:
        house = self._house
        if len(request.run_id) != RUN_ID_BYTES:
            raise FrameRejected("sent a malformed run id", party=self._coordinator)
        if request.version != __version__:
            raise Divergence(
                f"this party runs mpcstats {__version__}, {self._coordinator} another version",
                party=house.name,
                hint="install the same version everywhere",
            )
        if request.roster_digest != house.roster.digest:
            raise Divergence(
                f"the roster here is not the one of {self._coordinator}",
                party=house.name,
                hint="mpcstats consortium join ROSTER --party DIR, with the same file everywhere",
            )

    async def _prepare(self, proposed: Plan) -> Prepared:
        house = self._house
        seconds = house.limits.preparation_seconds
        try:
            async with asyncio.timeout(seconds):
                reading = asyncio.to_thread(house.site.prepare, self._spec, proposed, self._snapshot())
                return await RunGuard(house.bounds, house.name).watch(reading)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the data were not ready within {seconds:g} s",
                party=self._house.name,
                hint="raise run.preparation_seconds in party.toml",
            ) from None

    def _snapshot(self) -> Path | None:
        """Where the table of a study's run is kept."""
        permit, office = self.permit, self._house.office
        if permit is None or office is None:
            return None
        return office.vault.snapshot(permit.run)


def all_rules(spec: AnalysisSpec, by_party: dict[str, DisclosureRules]) -> dict[str, DisclosureRules]:
    """The rules of the parties with data, and of the preset that the request names."""
    return {**by_party, **_preset_rules(spec)}


def study_digest(
    run_id: bytes,
    spec: AnalysisSpec,
    plan: Plan,
    rules: dict[str, DisclosureRules],
    roster: Roster,
    permit: Permit | None = None,
) -> bytes:
    """SHA-256 over everything the parties agreed on (32 bytes); it enters the session's keys.

    Of an approved study it is the same when its result is sealed and when it is released.
    """
    lineup = Lineup(roster, () if permit is None else permit.without)
    return digest(
        {
            "study": None if permit is None else permit.digest_parts(),
            "run_id": run_id.hex() if permit is None else permit.run,
            "spec": spec.model_dump(mode="json"),
            "plan": plan_to_plain(plan),
            "rules": _rules_to_plain(rules if permit is None else permit.lock.all_rules),
            "roster": roster.digest.hex(),
            "data_parties": list(roster.data_parties),
            "committee": list(lineup.committee),
            "threshold": roster.threshold,
            **({"without": list(lineup.without)} if lineup.without else {}),
        }
    )


def rules_to_json(rules: dict[str, DisclosureRules]) -> str:
    """Rules by owner as canonical JSON."""
    return canonical_json(_rules_to_plain(rules)).decode()


def rules_from_json(text: str, sender: str) -> dict[str, DisclosureRules]:
    """Parse what `rules_to_json` wrote.

    Raises
    ------
    FrameRejected
        Something else; names `sender`.
    """
    try:
        plain = json.loads(text)
        rules = {owner: _RULES.validate_json(json.dumps(rule), strict=True) for owner, rule in plain.items()}
        if rules_to_json(rules) != text:
            raise ValueError("not what rules_to_json writes")
    except (ValueError, AttributeError, TypeError, RecursionError, ValidationError):
        raise FrameRejected("sent rules that are not valid", party=sender) from None
    return rules


def _rules_to_plain(rules: dict[str, DisclosureRules]) -> dict[str, Any]:
    return {owner: asdict(rule) for owner, rule in rules.items()}


def _preset_rules(spec: AnalysisSpec) -> dict[str, DisclosureRules]:
    return {} if spec.policy is None else {f"preset {spec.policy}": Policy.preset(spec.policy).rules}


_RULES = TypeAdapter(DisclosureRules)
