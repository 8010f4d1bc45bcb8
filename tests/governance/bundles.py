"""A released run of an approved study in this process, and its bundle."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from mpcstats.node.auditing.certify import Certifying
from mpcstats.node.auditing.log import AuditLog, roster_keys
from mpcstats.node.auditing.snapshots import commitment
from mpcstats.node.bundles.archive import read_zip, write_zip
from mpcstats.node.bundles.parts import INDEX, BundleIndex, BundleParts, field_digests, make_bundle, pretty_json
from mpcstats.node.consortium.roster import Roster, make_roster
from mpcstats.node.governance.permit import software
from mpcstats.node.runs.plan_codec import plan_to_plain
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.settings.setup import create_party, make_card
from mpcstats.node.state.database import Database
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.canonical import document_digest
from mpcstats.study.certificate import RunIdentity, SignedCertificate
from mpcstats.study.entries import Entry, SignedEntry, sign_entry
from mpcstats.study.lock import Cost, Lock, Proposal
from mpcstats.study.policy import Policy, strictest
from mpcstats.study.signing import SigningKey
from mpcstats.study.spec import digest
from tests.node.in_memory import Parties

NAMES = ("westbay", "lakeside", "northfield")
LOST = "delta"
"""A fourth party that only computes, of which the others say that it is lost."""

RUN = "cd" * 16
STUDY_TOML = """\
apiVersion = "mpcstats/v1"
kind = "Study"
id = "how-many"
title = "How many people"
principal = "anna@example.org"
purpose = "a test"   # of bundles
consortium = "test"
expires = 2099-01-31T00:00:00Z

[analysis]
type = "count"
by = ["sex"]
"""


@dataclass
class Released:
    """All documents of one released run."""

    outcome: Outcome
    certificate: SignedCertificate
    roster: Roster
    keys: dict[str, SigningKey]
    entries: list[SignedEntry]
    parts: BundleParts = field(init=False)

    def __post_init__(self) -> None:
        self.parts = BundleParts(
            self.outcome, self.certificate, self.roster, self.entries, STUDY_TOML, {"plots/plot.png": b"\x89PNG"}
        )

    @functools.cached_property
    def bundle(self) -> bytes:
        return make_bundle(self.parts, self.keys["westbay"], "westbay")

    def repacked(self, name: str, content: bytes | None, party: str = "westbay") -> bytes:
        """The bundle with one file replaced, as a party would write it that signs whatever it likes."""
        files = read_zip(self.bundle)
        del files[INDEX]
        if content is None:
            del files[name]
        else:
            files[name] = content
        index = BundleIndex(
            party=party,
            files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
            fields={name: found for name, content in files.items() if (found := field_digests(name, content))},
        )
        signature = self.keys[party].sign("bundle", index).hex()
        return write_zip({INDEX: pretty_json(index.model_dump(mode="json") | {"signature": signature}), **files})


def make_keys(folder: Path, names: tuple[str, ...] = NAMES) -> tuple[Roster, dict[str, SigningKey]]:
    for name in names:
        role = "compute" if name in {"northfield", LOST} else "data"
        create_party(folder / name, name=name, listen="127.0.0.1:4710", advertise=f"{name}.example:4710", role=role)
    roster = make_roster("test", [make_card(folder / name) for name in names])
    return roster, {name: PartyDirectory(folder / name).signing_key() for name in names}


class Writer:
    """The chains of all parties."""

    def __init__(self, roster: Roster, keys: dict[str, SigningKey]) -> None:
        self.roster, self.keys = roster, keys
        self.entries: list[SignedEntry] = []
        self._heads: dict[str, tuple[int, str]] = {}

    def write(self, party: str, action: Any, study: str, body: dict[str, Any], person: str = "") -> None:
        number, previous = self._heads.get(party, (0, "0" * 64))
        entry = Entry(
            consortium=self.roster.consortium,
            roster=self.roster.digest.hex(),
            party=party,
            number=number + 1,
            previous=previous,
            action=action,
            study=study,
            person=person,
            time="2026-11-22T10:00:00Z",
            body=body,
        )
        self._heads[party] = (number + 1, entry.digest)
        self.entries.append(sign_entry(entry, self.keys[party]))


@functools.cache
def released(release: str = "manual", without: tuple[str, ...] = ()) -> Released:
    """Join, propose, approve, run, release; where somebody is lost, the others say so and run it by themselves."""
    with tempfile.TemporaryDirectory() as folder:
        roster, keys = make_keys(Path(folder), (*NAMES, *without))
    frame = pd.DataFrame({"sex": ["F"] * 20 + ["M"] * 15})
    rules = dict.fromkeys(NAMES[:2], replace(Policy.preset("standard").rules, minimum_parties=2))
    effective, owner = strictest(rules)
    parties = Parties(CountSpec(by=("sex",)), {"westbay": frame, "lakeside": frame, "northfield": None}, effective)
    (rehearsed, *_) = parties.run(lambda _name: {"rules_owner": owner})
    lock = Lock(
        spec=parties.spec.model_dump(mode="json"),
        plan=digest(plan_to_plain(parties.plan)).hex(),
        roster=roster.digest.hex(),
        parties=roster.names,
        data_parties=roster.data_parties,
        committee=roster.committee,
        threshold=roster.threshold,
        rules={name: rule.__dict__ for name, rule in rules.items()},
        manifest=[
            {"name": row["name"], "limit": row["declared"], "kind": row["kind"], "why": row["why"]}
            for row in rehearsed.run["opened"]
        ],
        recipients=roster.names,
        release=release,  # type: ignore[arg-type]
        cost=Cost(rounds=rehearsed.run["rounds"]),
        software=software(),
    )
    import tomllib

    proposal = Proposal(study=tomllib.loads(STUDY_TOML), lock=lock)
    writer = Writer(roster, keys)
    for name in roster.names:
        writer.write(name, "join", "", {"version": 1})
    writer.write("lakeside", "propose", proposal.id, json.loads(proposal.model_dump_json()), "anna@example.org")
    for name in NAMES[:2]:
        writer.write(name, "approve", proposal.id, {"statements": [], "policy": "ab" * 32}, f"dpo@{name}.example")
    for name in NAMES if without else ():
        writer.write(name, "missing", proposal.id, {"run": RUN, "without": list(without)})
    identity = RunIdentity(
        consortium="test",
        roster=roster.digest.hex(),
        roster_version=roster.version,
        study=proposal.id,
        lock=document_digest("lock", lock).hex(),
        run=RUN,
        software=software(),
    )

    public = {name: key for name, key in roster_keys(roster).items() if name not in without}

    def certifying(name: str) -> dict[str, Any]:
        log = AuditLog(Database.in_memory(name), "test", name, keys[name])
        log.append("node-started", "node")
        here = parties.records.get(name)
        read: Callable[[], bytes] | None = None if here is None else (lambda: commitment(here, ["sex"], b"s" * 32))
        return {
            "rules_owner": owner,
            "approved": lock.reveals,
            "certifying": Certifying(keys[name], public, identity, log, read),
        }

    outcomes = parties.run(certifying)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    certificate = SignedCertificate.model_validate(outcomes[0].run["certificate"])
    for name in NAMES:
        writer.write(name, "computed", proposal.id, {"run": RUN, "occurrence": ""})
    for name in NAMES[:2]:
        writer.write(name, "release", proposal.id, {"run": RUN, "statements": []}, f"dpo@{name}.example")
    return Released(outcomes[0], certificate, roster, keys, writer.entries)
