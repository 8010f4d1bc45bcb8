"""The state of a study: what follows from its signed entries, the same at every party whatever order they arrived in.

    proposed -> in review (i of N) -> approved -> computed (sealed) -> released
    and out of it: rejected, withdrawn, revoked, expired, withheld

Entries of one party are in order (their chain); entries of different parties have none, and none is needed: a refusal
always wins over what it competes with.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mpcstats.errors import NotApproved, SpecError, StudyClosed
from mpcstats.study.canonical import parse_moment
from mpcstats.study.entries import Entry, SignedEntry
from mpcstats.study.lock import Lock, Proposal, parse_proposal
from mpcstats.study.missing import agreed, renounced

__all__ = ["Decision", "RunState", "StudyState", "parties_of", "state_of"]


@dataclass(frozen=True)
class Decision:
    """What a party said last about a proposal.

    Attributes
    ----------
    party : str
    kind : "approve", "reject" or "withdraw"
    entry : Entry
    """

    party: str
    kind: str
    entry: Entry

    @property
    def reason(self) -> str:
        """Why, in the party's words."""
        return str(self.entry.body.get("reason", ""))

    def holds(self, now: datetime.datetime) -> bool:
        """Whether an approval has not run out by itself."""
        until = self.entry.body.get("until")
        return not until or now < parse_moment(until)


@dataclass(frozen=True)
class RunState:
    """One run of a study.

    Attributes
    ----------
    run : str
        Its id (hex).
    occurrence : str
        When it was due; "" for a run that somebody started.
    computed, released_by, opened : tuple of str
        Parties that hold its sealed result, that release it, that have seen it opened.
    withheld_by : dict of party to reason
    without : tuple of str
        Parties that are lost, as all others have said: the run is made without them.
    """

    run: str
    occurrence: str = ""
    computed: tuple[str, ...] = ()
    released_by: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()
    withheld_by: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()


def parties_of(lock: Lock, run: RunState | None) -> tuple[str, ...]:
    """Who takes part in a run; None: in one of which nothing is known."""
    without = () if run is None else run.without
    return tuple(name for name in lock.parties if name not in without)


@dataclass(frozen=True)
class StudyState:
    """See the module.

    Attributes
    ----------
    id : str
    proposal : Proposal
    proposer : str
        Party.
    proposed : Entry
    decisions : dict of party to Decision
        The last one of each party.
    runs : dict of id to RunState
    paused_by : dict of party to reason
        Of a schedule.
    withdrawn : str
        The proposer's reason; "" while the proposal stands.
    comments : tuple of Entry
    now : datetime
    """

    id: str
    proposal: Proposal
    proposer: str
    proposed: Entry
    decisions: dict[str, Decision]
    runs: dict[str, RunState]
    paused_by: dict[str, str]
    withdrawn: str | None
    comments: tuple[Entry, ...]
    now: datetime.datetime

    @property
    def approvals(self) -> tuple[str, ...]:
        """Parties with data whose approval holds."""
        return tuple(name for name in self.proposal.lock.data_parties if self._approves(name))

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """Parties with data whose decision is open."""
        return tuple(name for name in self.proposal.lock.data_parties if name not in self.approvals)

    @property
    def latest(self) -> RunState | None:
        """The run whose result is waiting or out; None before."""
        computed = [run for run in self.runs.values() if run.computed]
        if self.proposal.schedule is None:  # there is one result; clocks may differ, so the order tells nothing
            computed = [run for run in computed if self.status_of(run) != "approved"] or computed
        return computed[-1] if computed else None

    @property
    def status(self) -> str:
        """One word, or "in review"."""
        closed = self.closed_because
        if closed:
            return closed[0]
        if self.waiting_for:
            return "in review"
        run = self.latest
        if run is None or self.proposal.schedule is not None:
            return "approved"
        return self.status_of(run)

    def status_of(self, run: RunState) -> str:
        """One word on a run."""
        if run.opened:
            return "released"
        if run.withheld_by:
            return "withheld"
        if not set(run.computed) >= set(parties_of(self.proposal.lock, run)):
            return "approved"  # it broke off at the end, and can be repeated
        return "computed"

    @property
    def closed_because(self) -> tuple[str, str] | None:
        """(status, sentence) when the study is over without a result; None while it is open."""
        if self.withdrawn is not None:
            return "withdrawn", f"{self.proposer} withdrew it: {self.withdrawn or 'no reason given'}"
        for decision in self.decisions.values():
            if decision.kind == "reject":
                return "rejected", f"{decision.party} rejected it: {decision.reason or 'no reason given'}"
            if decision.kind == "withdraw":
                return "revoked", f"{decision.party} revoked its approval: {decision.reason or 'no reason given'}"
        done = any(run.opened for run in self.runs.values()) and self.proposal.schedule is None
        if self.now >= self.proposal.expires and not done:
            return "expired", f"it expired at {self.proposal.study['expires']}"
        return None

    def require_open(self) -> None:
        """Refuse what is over.

        Raises
        ------
        StudyClosed
            Says since when and by whom.
        """
        closed = self.closed_because
        if closed:
            raise StudyClosed(f"study {self.proposal.name} is {closed[0]}: {closed[1]}", hint="propose a new study")

    def require_approved(self) -> None:
        """Refuse what is over, and what not all parties with data have approved.

        Raises
        ------
        StudyClosed, NotApproved
        """
        self.require_open()
        if self.waiting_for:
            raise NotApproved(
                f"study {self.proposal.name} has {len(self.approvals)} of {len(self.proposal.lock.data_parties)} "
                f"approvals: waiting for {', '.join(self.waiting_for)}",
                hint=f"mpcstats study approve {self.id[:12]} at {', '.join(self.waiting_for)}",
            )

    def _approves(self, party: str) -> bool:
        decision = self.decisions.get(party)
        return decision is not None and decision.kind == "approve" and decision.holds(self.now)


def state_of(entries: Iterable[SignedEntry], now: datetime.datetime) -> StudyState:
    """The state of one study.

    Parameters
    ----------
    entries : signed entries of this study, signatures checked
        Any order between parties; of each party in order.

    Raises
    ------
    SpecError
        There is no proposal among them, or one that is not valid.
    """
    ordered = sorted((signed.entry for signed in entries), key=lambda entry: (entry.party, entry.number))
    proposals = [entry for entry in ordered if entry.action == "propose"]
    if not proposals:
        raise SpecError("there is no proposal of this study at this party", hint="mpcstats inbox")
    first = min(proposals, key=lambda entry: (entry.time, entry.party, entry.number))
    proposal = parse_proposal(first.body)
    if proposal.id != first.study:
        raise SpecError("the study's id is not the digest of its proposal")
    members = set(proposal.lock.parties)
    decisions: dict[str, Decision] = {}
    withdrawn: str | None = None
    for entry in ordered:
        if entry.party not in members or entry.roster != proposal.lock.roster:
            continue  # an entry of a stranger, or made under another roster, says nothing
        if entry.action == "withdraw" and entry.party == first.party and entry.body.get("what") == "proposal":
            withdrawn = str(entry.body.get("reason", ""))
        elif entry.action in {"approve", "reject", "withdraw"} and not _final(decisions.get(entry.party)):
            decisions[entry.party] = Decision(entry.party, entry.action, entry)
    known = [entry for entry in ordered if entry.party in members and entry.roster == proposal.lock.roster]
    return StudyState(
        id=proposal.id,
        proposal=proposal,
        proposer=first.party,
        proposed=first,
        decisions=decisions,
        runs=_runs(known, agreed(known, proposal)),
        paused_by=_paused(known),
        withdrawn=withdrawn,
        comments=tuple(entry for entry in known if entry.action == "comment"),
        now=now,
    )


def _final(decision: Decision | None) -> bool:
    """A party that has said no stays with it: what follows needs a new proposal."""
    return decision is not None and decision.kind != "approve"


def _paused(entries: list[Entry]) -> dict[str, str]:
    paused: dict[str, str] = {}
    for entry in entries:
        if entry.action == "pause":
            paused[entry.party] = str(entry.body.get("reason", ""))
        elif entry.action == "resume":
            paused.pop(entry.party, None)
    return paused


def _runs(entries: list[Entry], without: Mapping[str, tuple[str, ...]]) -> dict[str, RunState]:
    """By id, in the order of their first sealing."""
    found: dict[str, dict[str, Any]] = {}
    taken_back = renounced(entries, without)
    for entry in sorted(entries, key=lambda entry: (entry.time, entry.party, entry.number)):
        run = entry.body.get("run")
        if entry.action not in {"computed", "release", "withhold", "released", "missing"} or not isinstance(run, str):
            continue
        parts = found.setdefault(run, {"computed": {}, "release": {}, "withhold": {}, "released": {}, "occurrence": ""})
        number, instead = taken_back.get(entry.party, (0, run))
        if entry.action == "missing" or (entry.action == "computed" and run != instead and entry.number < number):
            continue
        parts[entry.action][entry.party] = str(entry.body.get("reason", ""))
        if entry.action == "computed":
            parts["occurrence"] = str(entry.body.get("occurrence", ""))
    return {
        run: RunState(
            run,
            parts["occurrence"],
            tuple(sorted(parts["computed"])),
            tuple(sorted(parts["release"])),
            tuple(sorted(parts["released"])),
            dict(parts["withhold"]),
            without.get(run, ()),
        )
        for run, parts in found.items()
    }
