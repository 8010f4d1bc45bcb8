"""Whether a run may happen under a study: what every party checks by itself before it reads a record.

The study must be open and approved by all parties with data; the run must be exactly what was approved: request, plan,
roster, software, rules, manifest. What is in no approved study does not run, unless a party's policy says that such an
analysis needs nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mpcstats.errors import Divergence, NotApproved, NotPermitted, SpecError, StudyClosed
from mpcstats.node.consortium.roster import Roster
from mpcstats.node.runs.plan_codec import plan_to_plain
from mpcstats.node.runs.sealing import Phase
from mpcstats.runtime.manifest import Manifest
from mpcstats.stats.contributions import Plan
from mpcstats.study.analyses import ANALYSES
from mpcstats.study.canonical import document_digest
from mpcstats.study.lifecycle import RunState, StudyState, parties_of
from mpcstats.study.lock import Lock
from mpcstats.study.missing import check_without
from mpcstats.study.policy import Policy, strictest
from mpcstats.study.spec import AnalysisSpec, digest
from mpcstats.types import DisclosureRules
from mpcstats.version import __version__

__all__ = ["Permit", "check_unapproved", "registry_digest", "software"]


def registry_digest() -> str:
    """SHA-256 over all registered analyses and the fields of their requests (hex)."""
    return document_digest(
        "registry", {name: analysis.spec.model_json_schema() for name, analysis in ANALYSES.items()}
    ).hex()


def software() -> dict[str, str]:
    """What a lock says about the software."""
    return {"mpcstats": __version__, "registry": registry_digest()}


@dataclass(frozen=True)
class Permit:
    """One run of an approved study.

    Attributes
    ----------
    state : StudyState
    phase : "whole", "compute" or "release"
    run : str
        The run's id; of "release" the id of the run that is released (hex).
    occurrence : str
        When it was due; "" where nobody scheduled it.
    resume : bool
        The run broke off and is taken up again.
    without : tuple of str
        Parties that are lost for good and do not take part.
    """

    state: StudyState
    phase: Phase
    run: str
    occurrence: str = ""
    resume: bool = False
    without: tuple[str, ...] = ()

    @property
    def begins_without(self) -> bool:
        """Whether this is a new run without a party, of which all others have still to say so."""
        return bool(self.without) and self.phase != "release" and not self.resume

    @property
    def lock(self) -> Lock:
        """What was approved."""
        return self.state.proposal.lock

    @property
    def study(self) -> str:
        """The study's id (hex)."""
        return self.state.id

    @property
    def manifest(self) -> Manifest:
        """What may be opened."""
        return self.lock.reveals

    @property
    def own_run(self) -> RunState | None:
        """What is known about this very run."""
        return self.state.runs.get(self.run)

    def check_request(self, spec: AnalysisSpec, roster: Roster) -> None:
        """Check the request, before anything is prepared.

        Raises
        ------
        NotApproved, StudyClosed
            The study is not approved, or over, or has its result.
        Divergence
            The request is not the approved one; names the field.
        """
        self.state.require_approved()
        lock = self.lock
        asked = spec.model_dump(mode="json")
        for field in sorted(set(asked) | set(lock.spec)):
            if asked.get(field) != lock.spec.get(field):
                raise Divergence(f"the request differs from the approved study in {field!r}")
        for name, mine, approved in (
            ("roster", roster.digest.hex(), lock.roster),
            ("parties", roster.names, lock.parties),
            ("data_parties", roster.data_parties, lock.data_parties),
            ("committee", roster.committee, lock.committee),
            ("threshold", roster.threshold, lock.threshold),
            ("software", software(), lock.software),
        ):
            if mine != approved:
                hint = "plan and propose the study again"
                raise Divergence(f"the {name} here is not the one of the approved study", hint=hint)
        self._check_without()
        self._check_phase()

    def _check_without(self) -> None:
        """Check that a new run can do without those it leaves out, and that an earlier one is without the same."""
        if self.begins_without:
            check_without(self.state.proposal, self.without)
        elif (() if self.own_run is None else self.own_run.without) != self.without:
            raise Divergence("the run is without other parties than all have agreed on")

    def _check_phase(self) -> None:
        """Check that this step of the study is due."""
        lock, state = self.lock, self.state
        if self.phase == "whole" and lock.release != "auto":
            raise NotApproved("the study's results are sealed until every party releases them")
        if self.phase == "release":
            self._check_release()
        elif state.proposal.schedule is None:
            if self.occurrence:
                raise SpecError("the study has no schedule")
            run = state.latest
            if self.resume and run is not None and run.run == self.run and not run.withheld_by:
                return  # some parties came to its end, others did not
            if run is not None and self.begins_without and self._counts_on_lost(run):
                return
            if run is not None and state.status_of(run) in {"computed", "released", "withheld"}:
                raise StudyClosed(
                    f"study {state.proposal.name} has its result: it is {state.status_of(run)}",
                    hint=f"mpcstats result get {state.proposal.name}",
                )
        elif not self.occurrence:
            raise SpecError("the study is run by its schedule", hint="mpcstats schedule next")

    def _counts_on_lost(self, run: RunState) -> bool:
        """Whether a result is sealed that cannot be opened, as a party of it is lost."""
        return self.state.status_of(run) == "computed" and bool(set(self.without) - set(run.without))

    def _check_release(self) -> None:
        run, lock = self.own_run, self.lock
        if run is None or not set(run.computed) >= set(parties_of(lock, run)):
            broke_off = run is not None and lock.release == "auto"
            raise NotApproved(
                "there is no sealed result of this run at all parties",
                hint=f"mpcstats study run {self.state.proposal.name} --resume" if broke_off else None,
            )
        if run.withheld_by:
            party, reason = next(iter(run.withheld_by.items()))
            raise StudyClosed(f"{party} withholds the result: {reason or 'no reason given'}")
        missing = [name for name in lock.data_parties if name not in run.released_by]
        if missing:
            raise NotApproved(
                f"the result is released by {len(lock.data_parties) - len(missing)} of {len(lock.data_parties)} "
                f"parties: waiting for {', '.join(missing)}",
                hint=f"mpcstats result release {self.state.proposal.name} at {', '.join(missing)}",
            )

    def check_plan(self, plan: Plan) -> None:
        """Check the plan that this party's dictionary leads to.

        Raises
        ------
        Divergence
            It is not the approved one.
        """
        if digest(plan_to_plain(plan)).hex() != self.lock.plan:
            raise Divergence(
                "the dictionary or variant list here leads to another plan than the approved study's",
                hint="publish the dictionary's new version and propose the study again",
            )

    def check_rules(self, rules: Mapping[str, DisclosureRules]) -> None:
        """Check the rules of all parties, as they are now, against the approved ones.

        Raises
        ------
        NotPermitted
            A party has become stricter since.
        """
        approved, owner = self.lock.effective
        now, _ = strictest({**rules, "the study": approved})
        for name, value in asdict(approved).items():
            if getattr(now, name) != value:
                who = next(party for party, rule in rules.items() if getattr(rule, name) == getattr(now, name))
                raise NotPermitted(
                    f"{name} is {value} in the approved study (because of {owner[name]}) and {getattr(now, name)} now",
                    party=who,
                    hint="plan and propose the study again",
                )

    def digest_parts(self) -> dict[str, Any]:
        """What binds a session to the study; the same when a result is sealed and when it is released."""
        return {"study": self.study, "sealed": self.phase != "whole", "occurrence": self.occurrence}


def check_unapproved(policy: Policy | None, spec: AnalysisSpec, rules: DisclosureRules | None, party: str) -> None:
    """Whether an analysis may run without a study.

    Parameters
    ----------
    rules : DisclosureRules or None
        The effective ones; None while they are not known: then only whether it is possible at all is checked.

    Raises
    ------
    NotApproved
        This party's policy wants people to approve it.
    """
    if policy is None:
        return
    fine = bool(policy.approval.auto) if rules is None else policy.approval.needs_nobody(spec.type, rules)
    if not fine:
        raise NotApproved(
            f"{spec.type} needs an approved study (auto-approval: {', '.join(policy.approval.auto) or 'nothing'})",
            party=party,
            hint=f"mpcstats study new my-study --template {spec.type}",
        )
