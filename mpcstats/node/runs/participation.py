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
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from mpcstats.errors import DeadlineExceeded, Divergence, FrameRejected, MpcStatsError, NotApproved
from mpcstats.node.auditing.certify import Certifying
from mpcstats.node.governance import absence
from mpcstats.node.governance.permit import Permit
from mpcstats.node.runs.guard import RunGuard
from mpcstats.node.runs.house import Ended, House
from mpcstats.node.runs.lineup import Lineup
from mpcstats.node.runs.plan_codec import plan_from_json, plan_to_plain
from mpcstats.node.runs.record import RunRecord
from mpcstats.node.runs.terms import preset_rules, rules_from_json, study_digest
from mpcstats.node.settings.limits import check_disk
from mpcstats.node.site import Prepared
from mpcstats.stats.contributions import Plan
from mpcstats.study.analyses import analysis_of, parse_spec
from mpcstats.study.policy import strictest
from mpcstats.study.spec import AnalysisSpec, canonical_json, digest
from mpcstats.transport.grpc_channel import SESSION_ID_BYTES, GrpcChannel
from mpcstats.transport.journal import Journal
from mpcstats.types import DisclosureRules
from mpcstats.version import __version__
from mpcstats.wire.node_pb2 import Accepted, Begin, Reserve

__all__ = ["RUN_ID_BYTES", "Participation"]

RUN_ID_BYTES = 16


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
        self._channel: GrpcChannel | None = None
        self._lineup = Lineup(house.roster)
        self.record = RunRecord(house, coordinator)
        """What is written down of the run here."""

    @property
    def permit(self) -> Permit | None:
        """The approved study that the run belongs to; `reserve` finds it."""
        return self.record.permit

    async def __aenter__(self) -> Participation:
        return self

    async def __aexit__(self, *reason: Any) -> None:
        # a failure that was answered on the wire is one for the counters, too
        if self._channel is not None:
            for peer, count in self._channel.bytes_sent.items():
                self._house.meter.sent(self._lineup.names[peer - 1], count)
        failure = self.record.failure
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
        self._request, record = request, self.record
        record.run, record.asked = request.run_id.hex(), True
        record.log = house.log.bind(run=record.run, coordinator=self._coordinator)
        self._check_versions(request)
        self._spec = parse_spec(request.spec_json)
        record.analysis, record.dataset = self._spec.type, self._spec.dataset
        preset_rules(self._spec)
        proposed = plan_from_json(request.plan_json, self._coordinator)
        if not isinstance(proposed, analysis_of(self._spec).plan_type):
            raise FrameRejected("sent the plan of another analysis", party=self._coordinator)
        self.record.log.info("reserve", analysis=self._spec.type, dataset=self._spec.dataset, study=request.study)
        self._lineup = Lineup.asked(house.roster, request.without, house.name, self._coordinator)
        house.site.check_permission(self._spec)
        record.permit = await self._permission(request)
        if self.permit is not None and self.permit.begins_without:
            await absence.require_absent(house.network, self._lineup, house.name)
        if house.office is not None:
            policy, run = house.site.policy(self._spec), record.run
            await asyncio.to_thread(house.office.check_budget, policy, self._spec.dataset, run)
            await asyncio.to_thread(house.office.check_budget, house.site.policy(self._spec), self._spec.dataset)
        if house.scratch is not None:
            check_disk(house.bounds, house.scratch.parent, house.name)
        if house.jobs.busy:
            self.record.log.info("queued", behind=house.jobs.current)
            on_queued()
        await self._slot.enter_async_context(house.jobs.slot(request.run_id.hex(), house.limits.queue_seconds))
        if self.permit is not None and house.office is not None:
            await asyncio.to_thread(house.office.unfinished.check, self.permit, self._coordinator)
        self._prepared = await self._prepare(proposed)
        if self._prepared.report is not None:
            self.record.log.info("prepared", **self._prepared.report.counts())
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
            self.record.permit = replace(permit, state=state)
            self.record.log.info("without", parties=list(permit.without), run=permit.run, study=permit.study)

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
        expected = set(house.roster.data_parties) | set(preset_rules(self._spec))
        presets = preset_rules(self._spec)
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
        await self.record.note("running", session=request.study_digest.hex(), **resumed)
        await self.record.write_down("run-started", **resumed)
        self.record.began = True
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
            self.record.log.info("session", session=request.session_id.hex(), threshold=house.roster.threshold)
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
                results=None if house.scratch is None else house.scratch / f"{self.record.run}.arrow",
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
        # a coordinator that hangs up from here on takes nothing back
        await self.record.ended(request.study_digest, result)
        sent = {self._lineup.names[peer - 1]: count for peer, count in channel.bytes_sent.items()}
        self.record.log.info("finished", **{f"bytes_to_{name}": count for name, count in sent.items()})
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

    def _certifying(self) -> Certifying | None:
        """What the run's certificate needs."""
        auditing = self._house.auditing
        if auditing is None:
            return None
        return auditing.certifying(self.permit, self.record.run, self._prepared.commitment)

    async def stop(self, error: MpcStatsError) -> None:
        """End a run from outside: what waits in it raises `error`, and the other parties are told."""
        if self._channel is not None:
            await self._channel.abort(error)

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
