"""Checking a result bundle offline: every file, every signature, and that all parts belong together.

Nothing in a bundle is believed. What is checked first is what the later checks stand on; where one fails, those that
stand on it are not made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from mpcstats.errors import BundleInvalid, ConfigurationError, MpcStatsError, SignatureInvalid
from mpcstats.node.bundles.archive import compare_zip, read_zip
from mpcstats.node.bundles.methods import methods_text
from mpcstats.node.bundles.parts import (
    INDEX,
    BundleIndex,
    field_digests,
    index_signature_kind,
    parse_document,
    pretty_json,
    proposal_of,
    table_files,
)
from mpcstats.node.consortium.roster import Roster, past_roster
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.outcome_digest import outcome_digest
from mpcstats.study.canonical import canonical_bytes, document_digest, normalised, parse_moment
from mpcstats.study.certificate import (
    Certificate,
    RunIdentity,
    SignedCertificate,
    build_certificate,
    check_certificate,
    check_evidence,
    misfit,
    request_digest,
)
from mpcstats.study.entries import SignedEntry
from mpcstats.study.lifecycle import StudyState, state_of
from mpcstats.study.lock import Proposal
from mpcstats.study.signing import verify

__all__ = ["Check", "check_bundle", "failures"]

_M = TypeVar("_M", bound=BaseModel)


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes
    ----------
    name : str
        What was checked.
    passed : bool or None
        None: not made, because something before it failed.
    file, field : str
        What is off, where something is.
    detail : str
    """

    name: str
    passed: bool | None
    detail: str = ""
    file: str = ""
    field: str = ""


@dataclass
class _Bundle:
    """What was read so far."""

    files: dict[str, bytes] = field(default_factory=dict)
    index: BundleIndex | None = None
    roster: Roster | None = None
    keys: dict[str, bytes] = field(default_factory=dict)
    entries: list[SignedEntry] = field(default_factory=list)
    proposal: Proposal | None = None
    signed: SignedCertificate | None = None
    outcome: Outcome | None = None
    without: tuple[str, ...] = ()
    """Parties of the roster that the certificate lacks; whether the others agreed on that, the entries tell."""

    @property
    def certificate(self) -> Certificate:
        assert self.signed is not None
        return self.signed.certificate


class _Wrong(Exception):
    """A check failed: file, field, what."""

    def __init__(self, file: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.file, self.field, self.detail = file, field, detail


def check_bundle(data: bytes, roster: Roster | None = None) -> list[Check]:
    """Check a bundle.

    Parameters
    ----------
    data : bytes
        The zip file.
    roster : Roster, optional
        As the reader got it from somebody trusted. Without it the roster in the bundle vouches for itself alone:
        that its keys belong to these institutions must be seen to otherwise.

    Returns
    -------
    list of Check
        All lines, those that failed and those that could not be made included. Never raises on content.
    """
    bundle, checks, failed = _Bundle(), list[Check](), False
    for name, check in _steps(data, roster):
        if failed:
            checks.append(Check(name, None, "not checked"))
            continue
        try:
            checks.append(Check(name, True, check(bundle)))
        except _Wrong as wrong:
            checks.append(Check(name, False, wrong.detail, wrong.file, wrong.field))
            failed = True
        except Exception as error:  # whatever a part that is wrong leads to, it is the bundle's fault
            checks.append(Check(name, False, _said(error), _FILES.get(name, "")))
            failed = True
    return checks


_FILES = {
    "index": INDEX,
    "roster": "roster.toml",
    "roster co-signed": "entries.json",
    "entries": "entries.json",
    "certificate": "certificate.json",
    "approvals": "entries.json",
    "releases": "entries.json",
    "complete": "certificate.json",
    "study": "entries.json",
    "certificate and study": "certificate.json",
    "result": "outcome.json",
    "audit": "certificate.json",
}


def _steps(data: bytes, roster: Roster | None) -> list[tuple[str, Callable[[_Bundle], str]]]:
    return [
        ("zip", lambda bundle: _zip(bundle, data)),
        ("index", _index),
        ("files", _files),
        ("roster", lambda bundle: _roster(bundle, roster)),
        ("index signed", _index_signed),
        ("certificate", _certificate),
        ("audit", _audit),
        ("entries", _entries),
        ("roster co-signed", _co_signed),
        ("study", _study),
        ("approvals", _approvals),
        ("releases", _releases),
        ("complete", _complete),
        ("certificate and study", _matches_study),
        ("result", _result),
        ("tables and methods", _derived),
    ]


def _zip(bundle: _Bundle, data: bytes) -> str:
    try:
        bundle.files = read_zip(data)
        compare_zip(data, bundle.files)
    except BundleInvalid as error:
        name, _, rest = error.message.partition(": ")
        raise _Wrong(name.strip("'"), _where(bundle.files, name), rest or error.message) from None
    return f"{len(bundle.files)} files, {len(data):,} bytes"


def _where(files: Mapping[str, bytes], name: str) -> str:
    """The field of a changed member, as far as the index is there to tell."""
    if name == INDEX or name not in files:
        return ""
    try:
        plain = parse_document(INDEX, files.get(INDEX, b""))
        index = BundleIndex.model_validate({key: value for key, value in plain.items() if key != "signature"})
    except (ValueError, AttributeError, RecursionError):
        return ""
    return _changed_field(name, files[name], index)


def _index(bundle: _Bundle) -> str:
    plain = _json(bundle, INDEX)
    plain.pop("signature", None)
    bundle.index = _model(BundleIndex, plain, INDEX)
    return f"written by {bundle.index.party}"


def _files(bundle: _Bundle) -> str:
    assert bundle.index is not None
    listed = bundle.index.files
    for name, content in bundle.files.items():
        if name == INDEX:
            continue
        if name not in listed:
            raise _Wrong(name, "", "is not in the index")
        if hashlib.sha256(content).hexdigest() != listed[name]:
            raise _Wrong(name, _changed_field(name, content, bundle.index), "is not what the index says")
    missing = sorted(set(listed) - set(bundle.files))
    if missing:
        raise _Wrong(missing[0], "", "is missing")
    return f"SHA-256 of {len(listed)} files"


def _changed_field(name: str, content: bytes, index: BundleIndex) -> str:
    if hashlib.sha256(content).hexdigest() == index.files.get(name):
        return ""
    due, found = index.fields.get(name, {}), field_digests(name, content)
    if not due or not found:
        return ""
    changed = [path for path in (*due, *found) if due.get(path) != found.get(path)]
    return changed[0] if changed else "spelling"


def _roster(bundle: _Bundle, trusted: Roster | None) -> str:
    text = _file(bundle, "roster.toml").decode("utf-8")
    try:
        bundle.roster = past_roster(text, "roster.toml")
        bundle.keys = {member.name: member.signing_public for member in bundle.roster.party}
    except ConfigurationError as error:
        raise _Wrong("roster.toml", "", error.message) from None
    if trusted is None:
        return f"{bundle.roster.consortium}, version {bundle.roster.version}; not compared: give --roster"
    if trusted.digest != bundle.roster.digest:
        raise _Wrong("roster.toml", _difference(trusted, bundle.roster), "is not the roster given with --roster")
    return f"{trusted.consortium}, version {trusted.version}: the one given"


def _index_signed(bundle: _Bundle) -> str:
    assert bundle.index is not None
    plain = _json(bundle, INDEX)
    if pretty_json(plain) != bundle.files[INDEX]:
        raise _Wrong(INDEX, "spelling", "is not written as an index is")
    party = bundle.index.party
    if party not in bundle.keys:
        raise _Wrong(INDEX, "party", f"{party} is not in the roster")
    try:
        signature = bytes.fromhex(plain.get("signature", ""))
        verify(bundle.keys[party], index_signature_kind(), bundle.index, signature, what="the index", party=party)
    except (SignatureInvalid, ValueError, TypeError):
        raise _Wrong(INDEX, "signature", f"the signature of {party} does not hold for this index") from None
    return f"by {party}"


def _certificate(bundle: _Bundle) -> str:
    bundle.signed = _model(SignedCertificate, _json(bundle, "certificate.json"), "certificate.json")
    certificate, roster = bundle.certificate, bundle.roster
    assert roster is not None
    if certificate.study:  # of a run without a study, nobody can be left out
        bundle.without = tuple(name for name in roster.names if name not in certificate.parties)
    keys = {name: key for name, key in bundle.keys.items() if name not in bundle.without}
    for name, due, found in (
        ("consortium", roster.consortium, certificate.consortium),
        ("roster", roster.digest.hex(), certificate.roster),
        ("roster_version", roster.version, certificate.roster_version),
        ("parties", tuple(name for name in roster.names if name in keys), certificate.parties),
        ("data_parties", roster.data_parties, certificate.data_parties),
        ("threshold", roster.threshold, certificate.threshold),
    ):
        if due != found:
            raise _Wrong("certificate.json", f"certificate.{name}", "is not the roster's")
    odd = misfit(certificate, bundle.signed.signatures, keys)
    if odd:
        raise _Wrong("certificate.json", f"certificate.{odd}", "does not fit its other fields and the roster")
    try:
        check_certificate(certificate, bundle.signed.signatures, keys)
    except SignatureInvalid as error:
        raise _Wrong("certificate.json", f"signatures.{error.party}", error.message) from None
    return f"signed by {', '.join(certificate.parties)}"


def _entries(bundle: _Bundle) -> str:
    rows = TypeAdapter(list[Any]).validate_python(_json(bundle, "entries.json"))
    bundle.entries = [_model(SignedEntry, row, "entries.json", f"[{place}]") for place, row in enumerate(rows)]
    roster, seen = bundle.roster, dict[tuple[str, int], str]()
    assert roster is not None
    for place, signed in enumerate(bundle.entries):
        entry, where = signed.entry, f"[{place}].entry"
        if entry.consortium != roster.consortium or entry.roster != roster.digest.hex():
            raise _Wrong("entries.json", f"{where}.roster", "belongs to another consortium or roster")
        if entry.party not in bundle.keys:
            raise _Wrong("entries.json", f"{where}.party", f"{entry.party} is not in the roster")
        try:
            signed.check(bundle.keys[entry.party])
        except SignatureInvalid as error:
            raise _Wrong("entries.json", f"[{place}].signature", error.message) from None
        if seen.setdefault((entry.party, entry.number), signed.digest) != signed.digest:
            raise _Wrong("entries.json", f"{where}.number", f"{entry.party} signed two entries {entry.number}")
        before = seen.get((entry.party, entry.number - 1))
        if before is not None and before != entry.previous:
            raise _Wrong("entries.json", f"{where}.previous", f"does not follow entry {entry.number - 1}")
    if len(seen) != len(bundle.entries):
        raise _Wrong("entries.json", "", "an entry is there twice")
    return f"{len(rows)} signed entries"


def _co_signed(bundle: _Bundle) -> str:
    joined = {signed.entry.party for signed in bundle.entries if signed.entry.action == "join"}
    missing = sorted(set(bundle.keys) - joined)
    if missing:
        raise _Wrong("entries.json", "", f"{', '.join(missing)} did not sign the roster (join)")
    return f"by {', '.join(bundle.keys)}"


def _study(bundle: _Bundle) -> str:
    study = bundle.certificate.study
    if not study:
        if any(name in bundle.files for name in ("study.toml", "study.lock")):
            raise _Wrong("certificate.json", "certificate.study", "names no study, and the bundle has one")
        return "none: the policies of all parties allow the run without"
    bundle.proposal = proposal_of(bundle.entries, study)
    if bundle.proposal is None:
        raise _Wrong("entries.json", "", f"there is no proposal of study {study[:12]}")
    if bundle.proposal.id != study:
        raise _Wrong("entries.json", "", "the study's id is not the digest of its proposal")
    _same("study.lock", bundle, bundle.proposal.lock.model_dump(mode="json"))
    if "study.toml" in bundle.files:
        _same("study.toml", bundle, normalised(bundle.proposal.study))
    return f"{bundle.proposal.name}, {study[:12]}"


def _approvals(bundle: _Bundle) -> str:
    state = _state(bundle)
    if state is None:
        return "none needed"
    lock = state.proposal.lock
    if state.closed_because is not None and state.closed_because[0] != "expired":
        raise _Wrong("entries.json", "", f"the study is {state.closed_because[0]}: {state.closed_because[1]}")
    missing = [name for name in lock.data_parties if name not in state.approvals]
    if missing:
        raise _Wrong("entries.json", "", f"no approval of {', '.join(missing)} held when the run was certified")
    if state.now >= state.proposal.expires:
        raise _Wrong("entries.json", "", f"the study had expired ({state.proposal.study['expires']})")
    return f"by {', '.join(state.approvals)}"


def _releases(bundle: _Bundle) -> str:
    state = _state(bundle)
    if state is None or state.proposal.lock.release == "auto":
        return "by the policies of all parties"
    run = state.runs.get(bundle.certificate.run)
    released = () if run is None else run.released_by
    missing = [name for name in state.proposal.lock.data_parties if name not in released]
    if missing or (run is not None and run.withheld_by):
        who = ", ".join(missing) or ", ".join(run.withheld_by if run else ())
        raise _Wrong("entries.json", "", f"run {bundle.certificate.run[:12]} was not released by {who}")
    return f"by {', '.join(released)}"


def _complete(bundle: _Bundle) -> str:
    """The certificate lacks exactly those parties of whom all others have signed that they are lost."""
    state = _state(bundle)
    run = None if state is None else state.runs.get(bundle.certificate.run)
    agreed = () if run is None else run.without
    if agreed != bundle.without:
        who = ", ".join(bundle.without) or ", ".join(agreed)
        odd = "took part" if agreed and not bundle.without else "is missing"
        detail = f"{who} {odd}, and the other parties signed something else"
        raise _Wrong("certificate.json", "certificate.parties", detail)
    if agreed:
        return f"all but {', '.join(agreed)}, which the others took for lost"
    return "all parties"


def _matches_study(bundle: _Bundle) -> str:
    certificate, proposal = bundle.certificate, bundle.proposal
    if proposal is None:
        if certificate.lock:
            raise _Wrong("certificate.json", "certificate.lock", "there is no study")
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
            raise _Wrong("certificate.json", f"certificate.{name}", "is not what was approved")
    approved = {entry.name: entry for entry in lock.reveals.entries}
    for entry in certificate.manifest:
        limit = approved.get(entry.name)
        if limit is None or entry.opened > limit.limit or entry.kind != limit.kind:
            raise _Wrong("certificate.json", f"certificate.manifest {entry.name!r}", "is beyond the approved manifest")
    if bool(certificate.occurrence) != (proposal.schedule is not None):
        raise _Wrong("certificate.json", "certificate.occurrence", "does not fit the study's schedule")
    return "request, rules, manifest, software as approved"


def _result(bundle: _Bundle) -> str:
    try:
        bundle.outcome = Outcome.from_json(_file(bundle, "outcome.json").decode("utf-8"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _Wrong("outcome.json", "", f"is no result ({type(error).__name__})") from None
    certificate = bundle.certificate
    digest = outcome_digest(bundle.outcome).hex()
    if digest != certificate.outcome:
        raise _Wrong("outcome.json", "", "is not the result that was certified")
    rebuilt = build_certificate(
        RunIdentity(**{name: getattr(certificate, name) for name in RunIdentity.model_fields}),
        bundle.outcome.run,
        openings=bundle.outcome.run["openings_digest"],
        snapshots=certificate.snapshots,
        outcome=digest,
        audit=certificate.audit,
    )
    assert bundle.roster is not None
    committee = [name for name in bundle.roster.committee if name not in bundle.without]
    if bundle.outcome.run.get("committee", committee) != committee:
        raise _Wrong("outcome.json", "run.committee", "is not the roster's")
    if rebuilt != certificate:
        raise _Wrong("outcome.json", f"run ({_difference(certificate, rebuilt)})", "is not what was certified")
    return f"{certificate.analysis}, {sum(entry.opened for entry in certificate.manifest):,} values opened"


def _derived(bundle: _Bundle) -> str:
    assert bundle.outcome is not None
    due = table_files(bundle.outcome)
    due["methods.md"] = methods_text(bundle.certificate, bundle.outcome, bundle.proposal).encode()
    for name, content in due.items():
        if bundle.files.get(name) != content:
            raise _Wrong(name, "", "does not follow from result and certificate")
    known = {INDEX, "roster.toml", "entries.json", "certificate.json", "outcome.json", "study.lock", "study.toml"}
    shown = sorted(set(bundle.files) - set(due) - known)
    odd = [name for name in shown if name != "report.html" and not name.startswith("plots/")]
    if odd:
        raise _Wrong(odd[0], "", "does not belong into a bundle")
    assert bundle.index is not None
    note = f"; {len(shown)} plots and reports as {bundle.index.party} made them" if shown else ""
    return f"{len(due)} files{note}"


def _audit(bundle: _Bundle) -> str:
    assert bundle.signed is not None
    evidence = bundle.signed.evidence
    if set(evidence) != set(bundle.certificate.audit):
        raise _Wrong("certificate.json", "evidence", "is not of the parties whose audit logs are in the certificate")
    for party in evidence:
        try:
            check_evidence(bundle.certificate, party, evidence[party])
        except MpcStatsError as error:
            raise _Wrong("certificate.json", f"evidence.{party}", error.message) from None
    return f"the run is in the logs of {', '.join(evidence)}" if evidence else "the parties keep no logs"


# --- helpers ----------------------------------------------------------------------------------------------------------


def _state(bundle: _Bundle) -> StudyState | None:
    """The study as it was when the run was certified, by the latest of the parties' clocks."""
    if bundle.proposal is None:
        return None
    assert bundle.signed is not None
    times = [parse_moment(evidence.record.time) for evidence in bundle.signed.evidence.values()]
    if not times:
        raise _Wrong("certificate.json", "evidence", "no audit log tells when the run was certified")
    study = bundle.certificate.study
    return state_of([signed for signed in bundle.entries if signed.entry.study == study], max(times))


def _file(bundle: _Bundle, name: str) -> bytes:
    if name not in bundle.files:
        raise _Wrong(name, "", "is missing")
    return bundle.files[name]


def _json(bundle: _Bundle, name: str) -> Any:
    try:
        plain = parse_document(name, _file(bundle, name))
    except (ValueError, RecursionError):
        raise _Wrong(name, "", "cannot be read") from None
    if not isinstance(plain, dict | list):
        raise _Wrong(name, "", "cannot be read")
    return plain


def _model(model: type[_M], plain: Any, file: str, where: str = "") -> _M:
    try:
        return model.model_validate_json(json.dumps(plain))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise _Wrong(file, f"{where}.{path}".strip("."), first["msg"]) from None


def _same(name: str, bundle: _Bundle, due: Any) -> None:
    """A file says what the signed proposal says."""
    found = _json(bundle, name)
    if canonical_bytes(found) != canonical_bytes(due):
        raise _Wrong(name, _first_difference(due, found, ""), "is not what was proposed and approved")


def _first_difference(one: Any, other: Any, path: str) -> str:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in (*one, *(key for key in other if key not in one)):
            if one.get(key) != other.get(key):
                return _first_difference(one.get(key), other.get(key), f"{path}.{key}" if path else str(key))
    if _is_list(one) and _is_list(other) and len(one) == len(other):
        for place, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            if mine != theirs:
                return _first_difference(mine, theirs, f"{path}[{place}]")
    return path


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _difference(one: BaseModel, other: BaseModel) -> str:
    return _first_difference(one.model_dump(mode="json"), other.model_dump(mode="json"), "")


def _said(error: BaseException) -> str:
    if isinstance(error, MpcStatsError):
        who = f"{error.party}: " if error.party else ""
        return f"{who}{error.message}"
    return f"cannot be read ({type(error).__name__})"


def failures(checks: Iterable[Check]) -> list[Check]:
    """Those that did not pass."""
    return [check for check in checks if check.passed is False]
