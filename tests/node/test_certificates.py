"""Certificates of whole runs in this process: every party makes the same, signs it, and checks everybody's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import AuditBroken, Divergence, FrameRejected, MpcStatsError, SignatureInvalid
from mpcstats.node.auditing.certify import Certifying, _written_down
from mpcstats.node.auditing.log import AuditLog
from mpcstats.node.auditing.snapshots import commitment, snapshot_salt
from mpcstats.node.records.source import Records
from mpcstats.node.runs.execution import execute
from mpcstats.node.state.database import Database
from mpcstats.sharing.committee import Committee
from mpcstats.stats.contributions.counts import CountContribution, CountPlan
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.outcome_codec import outcome_from_bytes, outcome_pieces
from mpcstats.stats.outcome_digest import outcome_digest
from mpcstats.stats.stored_table import Tables, TableWriter
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.certificate import RunIdentity, SignedCertificate, check_certificate, check_evidence
from mpcstats.study.policy import Policy, strictest
from mpcstats.study.signing import SigningKey
from mpcstats.transport.memory import MemoryNetwork
from tests.node.in_memory import Parties

NAMES = ("westbay", "lakeside", "northfield")
KEYS = {name: SigningKey(bytes([number]) * 32) for number, name in enumerate(NAMES, start=1)}
PUBLIC = {name: key.public for name, key in KEYS.items()}
IDENTITY = RunIdentity(consortium="test", roster="ab" * 32, roster_version=1, run="cd" * 16)


def certifying(name: str) -> Certifying:
    data = name != "northfield"
    return Certifying(
        KEYS[name],
        PUBLIC,
        IDENTITY,
        AuditLog(Database.in_memory(name), "test", name, KEYS[name]),
        (lambda: name.encode().ljust(32, b".")) if data else None,
    )


def run_count(change: Callable[[str, Certifying], Certifying | None] = lambda _name, usual: usual) -> list[Any]:
    """Outcome, or error, of each party."""
    rules, owner = strictest(dict.fromkeys(NAMES[:2], Policy.preset("standard").rules))
    network = MemoryNetwork(NAMES, 20.0)

    async def party(index: int) -> Outcome:
        name, channel = NAMES[index - 1], network.channel(index)
        try:
            return await execute(
                channel,
                spec=CountSpec(),
                plan=CountPlan((), (), dictionary="00" * 32),
                contribution=None if name == "northfield" else CountContribution(np.array(40)),
                study_digest=bytes(32),
                data_parties=NAMES[:2],
                rules=replace(rules, minimum_parties=2),
                rules_owner=owner,
                variants=None,
                progress=lambda _text: None,
                certifying=change(name, certifying(name)),
            )
        except Exception as error:
            await channel.abort(error)
            raise

    async def everybody() -> list[Any]:
        return await asyncio.gather(*(party(index) for index in (1, 2, 3)), return_exceptions=True)

    return asyncio.run(everybody())


def test_every_party_has_the_same_certificate_with_all_signatures() -> None:
    outcomes = run_count()
    found = [SignedCertificate.model_validate(outcome.run["certificate"]) for outcome in outcomes]
    assert found[0] == found[1] == found[2]
    certificate = found[0].certificate
    check_certificate(certificate, found[0].signatures, PUBLIC)
    for name in NAMES:
        check_evidence(certificate, name, found[0].evidence[name])
    assert certificate.outcome == outcome_digest(outcomes[2]).hex()
    assert set(certificate.snapshots) == set(NAMES[:2])
    assert certificate.rules["minimum_count"].value == 11
    assert sum(entry.opened for entry in certificate.manifest) > 0


@pytest.mark.parametrize("field", ["run", "roster", "study", "software"])
def test_who_would_certify_something_else_is_named(field: str) -> None:
    other = {"run": "ef" * 16, "roster": "12" * 32, "study": "34" * 32, "software": {"mpcstats": "9"}}[field]

    def change(name: str, usual: Certifying) -> Certifying:
        if name != "lakeside":
            return usual
        return replace(usual, identity=IDENTITY.model_copy(update={field: other}))

    results = run_count(change)
    assert isinstance(results[0], SignatureInvalid)
    assert results[0].party == "lakeside"
    assert all(isinstance(result, MpcStatsError) for result in results)


def test_a_signature_with_another_key_is_named() -> None:
    forger = SigningKey(b"x" * 32)
    results = run_count(lambda name, usual: replace(usual, key=forger) if name == "lakeside" else usual)
    assert isinstance(results[0], SignatureInvalid)
    assert results[0].party == "lakeside"


def test_a_party_without_log_or_commitment_is_named() -> None:
    results = run_count(lambda name, usual: replace(usual, audit=None) if name == "lakeside" else usual)
    assert isinstance(results[0], AuditBroken)
    assert results[0].party == "lakeside"
    results = run_count(lambda name, usual: replace(usual, commitment=None) if name == "lakeside" else usual)
    assert isinstance(results[0], FrameRejected)
    assert results[0].party == "lakeside"


def test_another_result_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import mpcstats.node.auditing.certify as module

    digests = iter([b"a" * 32, b"b" * 32, b"a" * 32])
    monkeypatch.setattr(module, "outcome_digest", lambda _outcome: next(digests))
    results = run_count()
    assert any(isinstance(result, Divergence) and "another result" in result.message for result in results)


def test_a_run_without_audit_logs_is_certified_without_evidence() -> None:
    outcomes = run_count(lambda _name, usual: replace(usual, audit=None))
    signed = SignedCertificate.model_validate(outcomes[0].run["certificate"])
    assert signed.evidence == {}
    check_certificate(signed.certificate, signed.signatures, PUBLIC)


def test_guests_of_a_committee_sign_and_check_as_all_others_do() -> None:
    names = ("a1", "b2", "c3", "guest1", "guest2")
    keys = {name: SigningKey(bytes([number]) * 32) for number, name in enumerate(names, start=1)}
    public = {name: key.public for name, key in keys.items()}
    frame = pd.DataFrame({"sex": ["F"] * 20 + ["M"] * 15})
    tables = {name: None if name == "c3" else frame for name in names}
    parties = Parties(CountSpec(by=("sex",)), tables)

    def more(name: str) -> dict[str, Any]:
        log = AuditLog(Database.in_memory(name), "test", name, keys[name])
        own = None if name == "c3" else (lambda: name.encode().ljust(32, b"."))
        return {"committee": Committee(3, 1), "certifying": Certifying(keys[name], public, IDENTITY, log, own)}

    outcomes = parties.run(more)
    found = [SignedCertificate.model_validate(outcome.run["certificate"]) for outcome in outcomes]
    assert all(signed == found[0] for signed in found)
    check_certificate(found[4].certificate, found[4].signatures, public)
    assert set(found[4].evidence) == set(names)


def test_a_run_that_is_taken_up_again_has_the_record_it_had() -> None:
    log = AuditLog(Database.in_memory("westbay"), "test", "westbay", KEYS["westbay"])
    account = {"study_digest": "12" * 32, "openings_digest": "34" * 32, "opened": [{"values": 3}]}
    first = _written_down(log, IDENTITY, account)
    log.append("node-started", "node")
    assert _written_down(log, IDENTITY, account) == first
    other = _written_down(log, IDENTITY, account | {"study_digest": "56" * 32})
    assert (first[1].size, other[1].size, log.size) == (1, 3, 3)


# ---- digests of results ----------------------------------------------------------------------------------------------

TABLE = pd.DataFrame(
    {"name": ["a", "b", None], "n": [1, 2, 3], "p": [0.1, np.nan, -0.0], "held": pd.array([1, None, 3], "Int64")}
)


def test_the_digest_is_of_the_content() -> None:
    outcome = Outcome("count", {"cells": TABLE}, {"x": 1.5, "y": np.float64(2)}, {"ties": "efron"}, ["one"])
    digest = outcome_digest(outcome)
    assert outcome_digest(replace(outcome, run={"seconds": 1})) == digest
    assert outcome_digest(Outcome.from_json(outcome.to_json())) == digest
    assert outcome_digest(outcome_from_bytes(b"".join(outcome_pieces(outcome)))) == digest
    others = [
        replace(outcome, analysis="crosstab"),
        replace(outcome, values={"x": 1.5, "y": 2.0000000000000004}),
        replace(outcome, conventions={"ties": "breslow"}),
        replace(outcome, withheld=[]),
        replace(outcome, tables={"other": TABLE}),
        replace(outcome, tables={"cells": TABLE.iloc[:2]}),
        replace(outcome, tables={"cells": TABLE.rename(columns={"n": "m"})}),
        replace(outcome, tables={"cells": TABLE[["n", "name", "p", "held"]]}),
        *(replace(outcome, tables={"cells": changed}) for changed in _each_cell_changed()),
    ]
    assert len({digest, *(outcome_digest(other) for other in others)}) == len(others) + 1


def _each_cell_changed() -> list[pd.DataFrame]:
    found = []
    for row in range(3):
        for name, value in {"name": "z", "n": 9, "p": 0.7, "held": 9}.items():
            changed = TABLE.copy()
            changed.loc[row, name] = value
            found.append(changed)
    return found


def test_a_table_in_a_file_has_the_digest_of_one_in_memory(tmp_path: Any) -> None:
    rows = 5000
    table = pd.DataFrame({"id": [f"rs{n}" for n in range(rows)], "p": np.arange(rows) / 7, "n": np.arange(rows)})
    table.loc[17, "p"] = np.nan
    writer = TableWriter(tmp_path / "t.arrow")
    for start in (0, 2000, 4321):
        stop = {0: 2000, 2000: 4321, 4321: rows}[start]
        writer.append(table.iloc[start:stop])
    stored = Outcome("association", Tables({"variants": writer.finish()}))
    assert stored.stored("variants") is not None
    digest = outcome_digest(stored)
    assert digest == outcome_digest(Outcome("association", {"variants": table}))
    assert digest == outcome_digest(outcome_from_bytes(b"".join(outcome_pieces(stored))))


# ---- commitments to records ------------------------------------------------------------------------------------------


def records(frame: pd.DataFrame) -> Records:
    return Records(frame)


def test_equal_columns_have_equal_commitments_at_one_party_only() -> None:
    frame = pd.DataFrame({"age": [50, 60, 70], "sex": ["F", None, "M"], "x": [0.5, np.nan, -0.0]})
    salt = b"s" * 32
    own = commitment(records(frame), ["age", "sex", "x"], salt)
    assert own == commitment(records(frame[["x", "sex", "age"]]), ["sex", "x", "age", "elsewhere"], salt)
    assert own == commitment(records(frame.astype({"age": float})), ["age", "sex", "x"], salt)
    assert own == commitment(records(frame.assign(x=[0.5, np.nan, 0.0])), ["age", "sex", "x"], salt)
    assert own != commitment(records(frame), ["age", "sex", "x"], b"t" * 32)
    others = [frame.iloc[[1, 0, 2]], frame.iloc[:2], frame.rename(columns={"age": "years"})]
    for row in range(3):
        for name, value in {"age": 99, "sex": "X", "x": 9.5}.items():
            changed = frame.copy()
            changed.loc[row, name] = value
            others.append(changed)
    changed = {
        commitment(records(other.reset_index(drop=True)), ["age", "years", "sex", "x"], salt) for other in others
    }
    assert len(changed) == len(others)
    assert own not in changed
    assert commitment(records(frame), [], salt) != commitment(records(frame.iloc[:2]), [], salt)


def test_values_of_different_kinds_are_different() -> None:
    salt = b"s" * 32
    kinds = [["1"], [1], [True], [2**53 + 1], [2**53], ["1.0"], [None], [""], ["nan"]]
    found = {commitment(records(pd.DataFrame({"x": pd.Series(value, dtype=object)})), ["x"], salt) for value in kinds}
    assert len(found) == len(kinds)
    large = [pd.DataFrame({"x": [2**53 + n]}) for n in range(3)]
    assert len({commitment(records(frame), ["x"], salt) for frame in large}) == 3


def test_blocks_do_not_matter_to_the_reader_but_every_row_counts() -> None:
    frame = pd.DataFrame({"x": np.arange(3000)})
    salt, found = b"s" * 32, set()
    for row in (0, 1023, 1024, 2047, 2999):
        changed = frame.copy()
        changed.loc[row, "x"] = -1
        found.add(commitment(records(changed), ["x"], salt))
    assert len(found) == 5


def test_the_salt_is_kept_and_its_owners(tmp_path: Any) -> None:
    (tmp_path / "keys").mkdir()
    salt = snapshot_salt(tmp_path)
    assert len(salt) == 32
    assert snapshot_salt(tmp_path) == salt
    assert (tmp_path / "keys" / "snapshot.salt").stat().st_mode & 0o077 == 0


@pytest.mark.long
def test_a_million_rows_of_ten_columns_take_seconds() -> None:
    rows = 10**6
    numbers = np.random.default_rng(1)
    frame = pd.DataFrame({f"x{n}": numbers.normal(size=rows) for n in range(7)})
    for name in ("sex", "stage"):
        frame[name] = numbers.choice(["a", "b", "c"], rows).astype(object)
    frame["id"] = np.arange(rows).astype(str).astype(object)
    start = time.monotonic()
    commitment(records(frame), list(frame.columns), b"s" * 32)
    assert time.monotonic() - start < 15  # two on a free machine
