"""The result bundle: everything that a reader needs to check a released result, in one file, offline.

bundle.json        SHA-256 of every file and of every field of its documents; signed by the party that wrote it
roster.toml        who took part, with which keys
entries.json       signed entries: the roster's, the proposal, approvals, releases
study.toml         as people wrote it; study.lock: what was approved
certificate.json   signed by every party
outcome.json       the result and the account of its run
tables/, methods.md    made from these, and compared when the bundle is checked
plots/, report.html    for people
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from mpcstats.errors import SpecError
from mpcstats.node.bundles.archive import write_zip
from mpcstats.node.bundles.methods import methods_text
from mpcstats.node.consortium.roster import Roster
from mpcstats.stats.outcome import Outcome
from mpcstats.study.canonical import canonical_bytes, normalised
from mpcstats.study.certificate import SignedCertificate
from mpcstats.study.entries import SignedEntry
from mpcstats.study.lock import Proposal, parse_proposal
from mpcstats.study.signing import SigningKey

__all__ = [
    "INDEX",
    "BundleIndex",
    "BundleParts",
    "field_digests",
    "index_signature_kind",
    "make_bundle",
    "parse_document",
    "pretty_json",
    "proposal_of",
    "table_files",
]

INDEX = "bundle.json"
_KIND = "bundle"
_FIELDS = 4000
"""Fields of one document that the index tells apart."""

_Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class BundleIndex(BaseModel):
    """`bundle.json` without its signature.

    Attributes
    ----------
    party : str
        Who wrote the bundle.
    files : dict of name to SHA-256 (hex)
    fields : dict of name to dict of field to the first 8 digits of its SHA-256
        To name what was changed in a document.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    apiVersion: Literal["mpcstats/v1"] = "mpcstats/v1"
    kind: Literal["Bundle"] = "Bundle"
    party: str = Field(min_length=1, max_length=64)
    files: dict[str, _Hash]
    fields: dict[str, dict[str, str]]


@dataclass(frozen=True)
class BundleParts:
    """What goes into a bundle.

    Attributes
    ----------
    outcome : Outcome
        With its run's account.
    certificate : SignedCertificate
    roster : Roster
    entries : sequence of SignedEntry
        Those that join the roster, and those of the study; empty for a run that needed no study.
    study_toml : str
        The study as people wrote it; "" where it is not at hand.
    shown : mapping of name to bytes
        Plots and report.
    """

    outcome: Outcome
    certificate: SignedCertificate
    roster: Roster
    entries: Sequence[SignedEntry] = ()
    study_toml: str = ""
    shown: Mapping[str, bytes] = field(default_factory=dict)


def make_bundle(parts: BundleParts, key: SigningKey, party: str) -> bytes:
    """The bundle as the bytes of a zip file; the same for the same parts.

    Parameters
    ----------
    key : SigningKey
        Of the party that writes it.
    party : str

    Raises
    ------
    BundleInvalid
        It would be too large.
    """
    outcome = replace(parts.outcome, run={k: v for k, v in parts.outcome.run.items() if k != "certificate"})
    proposal = proposal_of(parts.entries, parts.certificate.certificate.study)
    files: dict[str, bytes] = {
        "roster.toml": parts.roster.to_toml().encode(),
        "entries.json": pretty_json([entry.model_dump(mode="json") for entry in parts.entries]),
        "certificate.json": pretty_json(parts.certificate.model_dump(mode="json")),
        "outcome.json": outcome.to_json().encode() + b"\n",
    }
    if proposal is not None:
        files["study.lock"] = pretty_json(proposal.lock.model_dump(mode="json"))
    if parts.study_toml:
        files["study.toml"] = parts.study_toml.encode()
    files |= table_files(outcome)
    files["methods.md"] = methods_text(parts.certificate.certificate, outcome, proposal).encode()
    files |= parts.shown
    index = BundleIndex(
        party=party,
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        fields={name: found for name, content in files.items() if (found := field_digests(name, content))},
    )
    signature = key.sign(_KIND, index).hex()
    return write_zip({INDEX: pretty_json(index.model_dump(mode="json") | {"signature": signature}), **files})


def index_signature_kind() -> str:
    """Under which kind the index is signed."""
    return _KIND


def proposal_of(entries: Sequence[SignedEntry], study: str) -> Proposal | None:
    """The proposal of a study among its entries; None where there is none.

    Raises
    ------
    SpecError
        It is not valid.
    """
    for signed in entries:
        if signed.entry.action == "propose" and signed.entry.study == study:
            return parse_proposal(signed.entry.body)
    return None


def table_files(outcome: Outcome) -> dict[str, bytes]:
    """The tables of a result as CSV files; doubles keep all their digits."""
    return {
        f"tables/{_plain_name(name)}.csv": outcome.tables[name]
        .to_csv(index=False, na_rep="NA", lineterminator="\n")
        .encode()
        for name in outcome.tables
    }


def parse_document(name: str, content: bytes) -> Any:
    """A JSON or TOML file of a bundle as plain values.

    Raises
    ------
    ValueError, SpecError
        It cannot be read.
    """
    if name.endswith(".toml"):
        return normalised(tomllib.loads(content.decode("utf-8")))
    return json.loads(content.decode("utf-8"))


def field_digests(name: str, content: bytes) -> dict[str, str]:
    """The first digits of the digest of each field of a document, by its path; {} for other files and large ones."""
    if not name.endswith((".json", ".toml", ".lock")):
        return {}
    try:
        plain = parse_document(name, content)
    except (ValueError, RecursionError, SpecError):
        return {}
    found: dict[str, str] = {}
    for path, value in _leaves(plain, ""):
        if len(found) >= _FIELDS:
            return {}
        found[path] = hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]
    return found


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _leaves(part, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for place, part in enumerate(value):
            yield from _leaves(part, f"{path}[{place}]")
    else:
        yield path or "document", value


def pretty_json(plain: Any) -> bytes:
    """JSON that people can read; which numbers and texts are in it, `canonical_bytes` checks."""
    canonical_bytes(plain)
    return json.dumps(plain, indent=1, ensure_ascii=False, sort_keys=True).encode() + b"\n"


def _plain_name(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name) or "table"
