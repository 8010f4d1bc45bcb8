"""The certificate of a run: what was computed on which inputs, what was opened, what came out. Signed by every party.

Every party builds the document by itself, from what it knows, and signs nothing that another one built. It has digests,
names and numbers of values; no result.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mpcstats.errors import AuditBroken, Divergence, SignatureInvalid
from mpcstats.study.audit import AuditRecord, record_leaf
from mpcstats.study.canonical import document_digest, normalised
from mpcstats.study.merkle import MAX_PROOF, verify_inclusion
from mpcstats.study.signing import SigningKey, verify

__all__ = [
    "Certificate",
    "Evidence",
    "LogState",
    "OpenedName",
    "RuleInForce",
    "RunIdentity",
    "SignedCertificate",
    "build_certificate",
    "check_certificate",
    "check_evidence",
    "misfit",
    "request_digest",
    "sign_certificate",
]

KIND = "certificate"

Hex32 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
MaybeHex32 = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OpenedName(_Part):
    """What was opened under one name of the manifest.

    Attributes
    ----------
    declared, opened : int
        Values that might be opened, and that were.
    """

    name: str = Field(min_length=1, max_length=200)
    kind: Literal["decision", "result"]
    declared: int = Field(ge=0)
    opened: int = Field(ge=0)
    why: str = Field(max_length=2000)


class RuleInForce(_Part):
    """One disclosure rule and the party whose policy set it."""

    value: bool | int | str
    owner: str = Field(max_length=200)


class LogState(_Part):
    """A party's audit log after it wrote this run down: number of records, Merkle root."""

    size: int = Field(ge=1)
    root: Hex32


class RunIdentity(_Part):
    """Which run of what, by whom.

    Attributes
    ----------
    consortium : str
    roster : str
        Its digest (hex).
    roster_version : int
    study, lock : str
        Digests of the proposal and its lock (hex); "" for a run that needed no study.
    run : str
        Its id (hex).
    occurrence : str
        When a scheduled run was due; "" for others.
    """

    consortium: Name
    roster: Hex32
    roster_version: int = Field(ge=1)
    study: MaybeHex32 = ""
    lock: MaybeHex32 = ""
    run: str = Field(pattern=r"^[0-9a-f]{1,64}$")
    occurrence: str = Field(default="", max_length=40)
    software: dict[str, str] = Field(default={}, max_length=20)


class Certificate(RunIdentity):
    """What all parties sign.

    Attributes
    ----------
    session : str
        Digest of what the parties agreed on before the run (hex); it is in the session's keys.
    analysis : str
    request : str
        Digest of the request (hex).
    parties, data_parties : tuple of str
    threshold : int
    rules : dict of name to RuleInForce
    snapshots : dict of party to str
        Commitment to the columns that each party with data read (hex).
    manifest : tuple of OpenedName
    openings : str
        Digest of every opened value, masked ones included (hex).
    outcome : str
        Digest of the released result (hex), see `mpcstats.stats.outcome_digest`.
    masked_openings : int
    kappa_total : str
        Bits of statistical security left after all bounded masks, two decimals; "" where none was used.
    audit : dict of party to LogState
    """

    apiVersion: Literal["mpcstats/v1"] = "mpcstats/v1"
    kind: Literal["Certificate"] = "Certificate"
    session: Hex32
    analysis: Name
    request: Hex32
    parties: tuple[Name, ...] = Field(min_length=1)
    data_parties: tuple[Name, ...] = Field(min_length=1)
    threshold: int = Field(ge=0)
    rules: dict[str, RuleInForce]
    snapshots: dict[str, Hex32]
    manifest: tuple[OpenedName, ...]
    openings: Hex32
    outcome: Hex32
    masked_openings: int = Field(ge=0)
    kappa_total: str = Field(pattern=r"^([0-9]{1,4}\.[0-9]{2})?$")
    audit: dict[str, LogState]

    @property
    def digest(self) -> str:
        """SHA-256 of the certificate (hex)."""
        return document_digest(KIND, self).hex()


class Evidence(_Part):
    """That a party wrote the run into its audit log: the record, and the way from it to the root in the certificate."""

    record: AuditRecord
    proof: tuple[Hex32, ...] = Field(max_length=MAX_PROOF)


class SignedCertificate(_Part):
    """A certificate with the signature and the evidence of every party, by name."""

    certificate: Certificate
    signatures: dict[str, Hex64]
    evidence: dict[str, Evidence] = {}


def build_certificate(
    identity: RunIdentity,
    account: Mapping[str, Any],
    *,
    openings: str,
    snapshots: Mapping[str, str],
    outcome: str,
    audit: Mapping[str, LogState],
) -> Certificate:
    """The certificate of a run, from what every party has after it.

    Parameters
    ----------
    identity : RunIdentity
    account : mapping
        `Outcome.run` of the run.
    openings : str
        Digest of the opened values (hex), of those who saw them all.
    snapshots : mapping of party to commitment (hex)
    outcome : str
        Digest of the result (hex).
    audit : mapping of party to LogState
    """
    kappa = account["kappa_total"]
    return Certificate(
        **identity.model_dump(),
        session=account["study_digest"],
        analysis=account["request"]["type"],
        request=request_digest(account["request"]),
        parties=tuple(account["parties"]),
        data_parties=tuple(account["data_parties"]),
        threshold=account["threshold"],
        rules={name: RuleInForce(**rule) for name, rule in account["rules"].items()},
        snapshots=dict(snapshots),
        manifest=tuple(
            OpenedName(
                name=row["name"],
                kind=row.get("kind", "result"),
                declared=row["declared"],
                opened=row["values"],
                why=row["why"],
            )
            for row in account["opened"]
        ),
        openings=openings,
        outcome=outcome,
        masked_openings=account["masked_openings"],
        kappa_total="" if kappa is None else f"{kappa:.2f}",
        audit=dict(audit),
    )


def request_digest(spec: Mapping[str, Any]) -> str:
    """SHA-256 of a request in full (hex)."""
    return document_digest("request", normalised(dict(spec))).hex()


def sign_certificate(key: SigningKey, certificate: Certificate) -> str:
    """This party's signature (hex)."""
    return key.sign(KIND, certificate).hex()


def check_certificate(certificate: Certificate, signatures: Mapping[str, str], keys: Mapping[str, bytes]) -> None:
    """Check that every party signed this certificate, and that it fits itself.

    Parameters
    ----------
    keys : mapping of party to public signing key
        Of the roster that the certificate names.

    Raises
    ------
    SignatureInvalid
        A signature is missing or does not hold; names the party.
    Divergence
        Names the field that does not fit the others.
    """
    field = misfit(certificate, signatures, keys)
    if field:
        raise Divergence(f"the certificate's {field} does not fit its other fields and the roster")
    for name in certificate.parties:
        if name not in signatures:
            raise SignatureInvalid("did not sign the certificate", party=name)
        what = f"the certificate of run {certificate.run[:12]}"
        verify(keys[name], KIND, certificate, bytes.fromhex(signatures[name]), what=what, party=name)


def misfit(certificate: Certificate, signatures: Mapping[str, str], keys: Mapping[str, bytes]) -> str:
    """The first field that contradicts the others or the roster; "" where there is none."""
    fine = {
        "parties": set(certificate.parties) == set(keys) and len(certificate.parties) == len(keys),
        "data_parties": set(certificate.data_parties) <= set(certificate.parties),
        "snapshots": set(certificate.snapshots) == set(certificate.data_parties),
        "audit": set(certificate.audit) in (set(), set(certificate.parties)),
        "signatures": set(signatures) <= set(certificate.parties),
        "manifest": all(entry.opened <= entry.declared for entry in certificate.manifest),
    }
    return next((field for field, fits in fine.items() if not fits), "")


def check_evidence(certificate: Certificate, party: str, evidence: Evidence) -> None:
    """Check that a party wrote this run into the audit log whose state is in the certificate.

    Raises
    ------
    AuditBroken
        The record is of another run or party, was changed, or is not in that log.
    """
    record, state = evidence.record, certificate.audit.get(party)
    if state is None:
        raise AuditBroken("has no audit log in the certificate", party=party)
    expected = {
        "run": certificate.run,
        "study_digest": certificate.session,
        "values_opened": sum(entry.opened for entry in certificate.manifest),
    }
    wrong = [
        name
        for name, fine in {
            "party": record.party == party,
            "event": record.event == "run-certified",
            "study": record.study == certificate.study,
            "hash": record.hash == record.computed_hash(),
            **{name: record.conditions.get(name) == value for name, value in expected.items()},
        }.items()
        if not fine
    ]
    if wrong:
        raise AuditBroken(
            f"audit record {record.index} is not of run {certificate.run[:12]}: {', '.join(wrong)}", party=party
        )
    proof = [bytes.fromhex(part) for part in evidence.proof]
    if not verify_inclusion(record_leaf(record), record.index, state.size, proof, bytes.fromhex(state.root)):
        raise AuditBroken(
            f"audit record {record.index} is not in the log of {state.size} records that was signed", party=party
        )
