"""Of the certificate in a bundle: signatures, audit logs, and that result, tables and methods are what it says."""

from __future__ import annotations

from mpcstats.errors import MpcStatsError, SignatureInvalid
from mpcstats.node.bundles.methods import methods_text
from mpcstats.node.bundles.opened import OpenedBundle, WrongPart, difference, document, member, model_of
from mpcstats.node.bundles.parts import INDEX, table_files
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.outcome_digest import outcome_digest
from mpcstats.study.certificate import (
    RunIdentity,
    SignedCertificate,
    build_certificate,
    check_certificate,
    check_evidence,
    misfit,
)

__all__ = ["check_audit", "check_derived", "check_result", "check_signatures"]


def check_signatures(bundle: OpenedBundle) -> str:
    """The certificate fits the roster and is signed by all of its parties."""
    bundle.signed = model_of(SignedCertificate, document(bundle, "certificate.json"), "certificate.json")
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
            raise WrongPart("certificate.json", f"certificate.{name}", "is not the roster's")
    odd = misfit(certificate, bundle.signed.signatures, keys)
    if odd:
        raise WrongPart("certificate.json", f"certificate.{odd}", "does not fit its other fields and the roster")
    try:
        check_certificate(certificate, bundle.signed.signatures, keys)
    except SignatureInvalid as error:
        raise WrongPart("certificate.json", f"signatures.{error.party}", error.message) from None
    return f"signed by {', '.join(certificate.parties)}"


def check_audit(bundle: OpenedBundle) -> str:
    """The run is in the parties' audit logs."""
    assert bundle.signed is not None
    evidence = bundle.signed.evidence
    if set(evidence) != set(bundle.certificate.audit):
        raise WrongPart("certificate.json", "evidence", "is not of the parties whose audit logs are in the certificate")
    for party in evidence:
        try:
            check_evidence(bundle.certificate, party, evidence[party])
        except MpcStatsError as error:
            raise WrongPart("certificate.json", f"evidence.{party}", error.message) from None
    return f"the run is in the logs of {', '.join(evidence)}" if evidence else "the parties keep no logs"


def check_result(bundle: OpenedBundle) -> str:
    """The result is the one that was certified."""
    try:
        bundle.outcome = Outcome.from_json(member(bundle, "outcome.json").decode("utf-8"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WrongPart("outcome.json", "", f"is no result ({type(error).__name__})") from None
    certificate = bundle.certificate
    digest = outcome_digest(bundle.outcome).hex()
    if digest != certificate.outcome:
        raise WrongPart("outcome.json", "", "is not the result that was certified")
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
        raise WrongPart("outcome.json", "run.committee", "is not the roster's")
    if rebuilt != certificate:
        raise WrongPart("outcome.json", f"run ({difference(certificate, rebuilt)})", "is not what was certified")
    return f"{certificate.analysis}, {sum(entry.opened for entry in certificate.manifest):,} values opened"


def check_derived(bundle: OpenedBundle) -> str:
    """Tables and methods follow from result and certificate, and nothing else is there."""
    assert bundle.outcome is not None
    due = table_files(bundle.outcome)
    due["methods.md"] = methods_text(bundle.certificate, bundle.outcome, bundle.proposal).encode()
    for name, content in due.items():
        if bundle.files.get(name) != content:
            raise WrongPart(name, "", "does not follow from result and certificate")
    known = {INDEX, "roster.toml", "entries.json", "certificate.json", "outcome.json", "study.lock", "study.toml"}
    shown = sorted(set(bundle.files) - set(due) - known)
    odd = [name for name in shown if name != "report.html" and not name.startswith("plots/")]
    if odd:
        raise WrongPart(odd[0], "", "does not belong into a bundle")
    assert bundle.index is not None
    note = f"; {len(shown)} plots and reports as {bundle.index.party} made them" if shown else ""
    return f"{len(due)} files{note}"
