"""Of the study behind a bundle: its signed entries, approvals and releases, and that what ran is what was approved."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from mpcstats.errors import SignatureInvalid
from mpcstats.node.bundles.opened import OpenedBundle, WrongPart, document, model_of, require_same
from mpcstats.node.bundles.parts import proposal_of
from mpcstats.study.canonical import document_digest, normalised, parse_moment
from mpcstats.study.certificate import request_digest
from mpcstats.study.entries import SignedEntry
from mpcstats.study.lifecycle import StudyState, state_of

__all__ = [
    "check_approvals",
    "check_as_approved",
    "check_co_signed",
    "check_complete",
    "check_entries",
    "check_releases",
    "check_study",
]


def check_entries(bundle: OpenedBundle) -> str:
    """The entries are signed, of this consortium, and each party has one chain of them."""
    rows = TypeAdapter(list[Any]).validate_python(document(bundle, "entries.json"))
    bundle.entries = [model_of(SignedEntry, row, "entries.json", f"[{place}]") for place, row in enumerate(rows)]
    roster, seen = bundle.roster, dict[tuple[str, int], str]()
    assert roster is not None
    for place, signed in enumerate(bundle.entries):
        entry, where = signed.entry, f"[{place}].entry"
        if entry.consortium != roster.consortium or entry.roster != roster.digest.hex():
            raise WrongPart("entries.json", f"{where}.roster", "belongs to another consortium or roster")
        if entry.party not in bundle.keys:
            raise WrongPart("entries.json", f"{where}.party", f"{entry.party} is not in the roster")
        try:
            signed.check(bundle.keys[entry.party])
        except SignatureInvalid as error:
            raise WrongPart("entries.json", f"[{place}].signature", error.message) from None
        if seen.setdefault((entry.party, entry.number), signed.digest) != signed.digest:
            raise WrongPart("entries.json", f"{where}.number", f"{entry.party} signed two entries {entry.number}")
        before = seen.get((entry.party, entry.number - 1))
        if before is not None and before != entry.previous:
            raise WrongPart("entries.json", f"{where}.previous", f"does not follow entry {entry.number - 1}")
    if len(seen) != len(bundle.entries):
        raise WrongPart("entries.json", "", "an entry is there twice")
    return f"{len(rows)} signed entries"


def check_co_signed(bundle: OpenedBundle) -> str:
    """Every party signed the roster."""
    joined = {signed.entry.party for signed in bundle.entries if signed.entry.action == "join"}
    missing = sorted(set(bundle.keys) - joined)
    if missing:
        raise WrongPart("entries.json", "", f"{', '.join(missing)} did not sign the roster (join)")
    return f"by {', '.join(bundle.keys)}"


def check_study(bundle: OpenedBundle) -> str:
    """The study is the one that was proposed."""
    study = bundle.certificate.study
    if not study:
        if any(name in bundle.files for name in ("study.toml", "study.lock")):
            raise WrongPart("certificate.json", "certificate.study", "names no study, and the bundle has one")
        return "none: the policies of all parties allow the run without"
    bundle.proposal = proposal_of(bundle.entries, study)
    if bundle.proposal is None:
        raise WrongPart("entries.json", "", f"there is no proposal of study {study[:12]}")
    if bundle.proposal.id != study:
        raise WrongPart("entries.json", "", "the study's id is not the digest of its proposal")
    require_same("study.lock", bundle, bundle.proposal.lock.model_dump(mode="json"))
    if "study.toml" in bundle.files:
        require_same("study.toml", bundle, normalised(bundle.proposal.study))
    return f"{bundle.proposal.name}, {study[:12]}"


def check_approvals(bundle: OpenedBundle) -> str:
    """Every party with data had approved, and nothing had ended the study."""
    state = _state(bundle)
    if state is None:
        return "none needed"
    lock = state.proposal.lock
    if state.closed_because is not None and state.closed_because[0] != "expired":
        raise WrongPart("entries.json", "", f"the study is {state.closed_because[0]}: {state.closed_because[1]}")
    missing = [name for name in lock.data_parties if name not in state.approvals]
    if missing:
        raise WrongPart("entries.json", "", f"no approval of {', '.join(missing)} held when the run was certified")
    if state.now >= state.proposal.expires:
        raise WrongPart("entries.json", "", f"the study had expired ({state.proposal.study['expires']})")
    return f"by {', '.join(state.approvals)}"


def check_releases(bundle: OpenedBundle) -> str:
    """The result was released as the study says."""
    state = _state(bundle)
    if state is None or state.proposal.lock.release == "auto":
        return "by the policies of all parties"
    run = state.runs.get(bundle.certificate.run)
    released = () if run is None else run.released_by
    missing = [name for name in state.proposal.lock.data_parties if name not in released]
    if missing or (run is not None and run.withheld_by):
        who = ", ".join(missing) or ", ".join(run.withheld_by if run else ())
        raise WrongPart("entries.json", "", f"run {bundle.certificate.run[:12]} was not released by {who}")
    return f"by {', '.join(released)}"


def check_complete(bundle: OpenedBundle) -> str:
    """The certificate lacks exactly those parties of whom all others have signed that they are lost."""
    state = _state(bundle)
    run = None if state is None else state.runs.get(bundle.certificate.run)
    agreed = () if run is None else run.without
    if agreed != bundle.without:
        who = ", ".join(bundle.without) or ", ".join(agreed)
        odd = "took part" if agreed and not bundle.without else "is missing"
        detail = f"{who} {odd}, and the other parties signed something else"
        raise WrongPart("certificate.json", "certificate.parties", detail)
    if agreed:
        return f"all but {', '.join(agreed)}, which the others took for lost"
    return "all parties"


def check_as_approved(bundle: OpenedBundle) -> str:
    """What ran and what was opened is what was approved."""
    certificate, proposal = bundle.certificate, bundle.proposal
    if proposal is None:
        if certificate.lock:
            raise WrongPart("certificate.json", "certificate.lock", "there is no study")
        return "no study"
    lock = proposal.lock
    rules, owners = lock.effective
    for name, due, found in (
        ("lock", document_digest("lock", lock).hex(), certificate.lock),
        ("roster", lock.roster, certificate.roster),
        ("parties", tuple(name for name in lock.parties if name not in bundle.without), certificate.parties),
        ("data_parties", lock.data_parties, certificate.data_parties),
        ("threshold", lock.threshold, certificate.threshold),
        ("analysis", lock.spec.get("type"), certificate.analysis),
        ("request", request_digest(lock.spec), certificate.request),
        ("software", lock.software, certificate.software),
        *(
            (f"rules.{rule}", (getattr(rules, rule, None), owners.get(rule)), (mine.value, mine.owner))
            for rule, mine in certificate.rules.items()
        ),
    ):
        if due != found:
            raise WrongPart("certificate.json", f"certificate.{name}", "is not what was approved")
    approved = {entry.name: entry for entry in lock.reveals.entries}
    for entry in certificate.manifest:
        limit = approved.get(entry.name)
        if limit is None or entry.opened > limit.limit or entry.kind != limit.kind:
            raise WrongPart(
                "certificate.json", f"certificate.manifest {entry.name!r}", "is beyond the approved manifest"
            )
    if bool(certificate.occurrence) != (proposal.schedule is not None):
        raise WrongPart("certificate.json", "certificate.occurrence", "does not fit the study's schedule")
    return "request, rules, manifest, software as approved"


def _state(bundle: OpenedBundle) -> StudyState | None:
    """The study as it was when the run was certified, by the latest of the parties' clocks."""
    if bundle.proposal is None:
        return None
    assert bundle.signed is not None
    times = [parse_moment(evidence.record.time) for evidence in bundle.signed.evidence.values()]
    if not times:
        raise WrongPart("certificate.json", "evidence", "no audit log tells when the run was certified")
    study = bundle.certificate.study
    return state_of([signed for signed in bundle.entries if signed.entry.study == study], max(times))
