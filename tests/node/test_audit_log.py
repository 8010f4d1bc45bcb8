"""The audit log of a node in SQLite and PostgreSQL: appending, tampering with the database, witnesses."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import delete, text, update

from mpcstats.errors import AuditBroken, ConfigurationError, SignatureInvalid
from mpcstats.node.auditing.log import AuditLog
from mpcstats.node.state.database import Database
from mpcstats.node.state.tables import AuditRow, CheckpointRow, RunRow
from mpcstats.study.audit import log_root, record_leaf
from mpcstats.study.merkle import verify_consistency, verify_inclusion
from mpcstats.study.signing import SigningKey

KEYS = {n: SigningKey(bytes([i]) * 32) for i, n in enumerate(("westbay", "lakeside", "northfield"), start=1)}
PUBLIC = {name: key.public for name, key in KEYS.items()}
NOON = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC)


def open_log(database: Database, party: str = "westbay") -> AuditLog:
    return AuditLog(database, "test", party, KEYS[party], lambda: NOON)


def memory(party: str) -> AuditLog:
    return open_log(Database.in_memory(party), party)


def fill(log: AuditLog, count: int) -> AuditLog:
    for number in range(count):
        log.append("run-finished", "node", run=f"{number:032x}", values_opened=number)
    return log


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'state.db'}" if sqlite else str(request.getfixturevalue("postgres_url"))
    opened = Database(url, "westbay")
    yield opened
    opened.close()


def test_records_are_there_after_a_restart_and_the_log_holds(database: Database) -> None:
    log = fill(open_log(database), 4)
    log.append("study-approved", "dpo@westbay.example", "ab" * 32, entry="cd" * 32)
    assert log.checkpoint() == log.checkpoint()
    again = open_log(database)
    assert again.append("node-started", "node").index == 5
    assert again.verify(PUBLIC) == again.size == 6
    assert [record.index for record in again.records(2, 5)] == [2, 3, 4]
    point = again.checkpoint().checkpoint
    assert verify_inclusion(record_leaf(again.records()[1]), 1, 6, again.inclusion(1, 6), bytes.fromhex(point.root))


def test_threads_and_connections_append_one_after_the_other(database: Database) -> None:
    logs = [open_log(database), open_log(database)]

    def write(number: int) -> None:
        logs[number % 2].append("run-finished", "node", number=number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(16)))
    assert logs[0].verify(PUBLIC) == 16
    assert {record.conditions["number"] for record in logs[0].records()} == set(range(16))


def test_a_record_is_written_with_what_it_tells_or_not_at_all(database: Database) -> None:
    log = open_log(database)
    run = RunRow(run="aa" * 16, study="b" * 64, state="running", changed="t")
    with database.transaction() as session:
        session.add(run)
        log.append("run-started", "node", session=session, run="aa" * 16)

    def twice() -> None:
        with database.transaction() as session:
            log.append("run-started", "node", session=session, run="aa" * 16)
            session.add(RunRow(run="aa" * 16, study="b" * 64, state="running", changed="t"))

    with pytest.raises(ConfigurationError):
        twice()
    assert log.verify(PUBLIC) == 1


def _document(number: int, change: Callable[[dict], None]) -> Callable[[Database], None]:
    def tamper(database: Database) -> None:
        with database.transaction() as session:
            row = session.get(AuditRow, number)
            plain = json.loads(row.document)
            change(plain)
            row.document = json.dumps(plain)

    return tamper


def _sql(statement: object) -> Callable[[Database], None]:
    def tamper(database: Database) -> None:
        with database.transaction() as session:
            session.execute(statement)

    return tamper


TAMPERINGS = {
    "modified": (_document(2, lambda plain: plain["conditions"].update(values_opened=0)), 2),
    "not readable": (_document(2, lambda plain: plain.pop("actor")), 2),
    "deleted": (_sql(delete(AuditRow).where(AuditRow.number == 2)), 2),
    "the last one deleted": (_sql(delete(AuditRow).where(AuditRow.number == 4)), 4),
    "all deleted": (_sql(delete(AuditRow)), 0),
    "its hash replaced": (_sql(update(AuditRow).where(AuditRow.number == 2).values(hash="12" * 32)), 2),
    "moved": (_sql(update(AuditRow).where(AuditRow.number == 2).values(number=9)), 2),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_with_the_database_is_named_by_index(name: str) -> None:
    tamper, index = TAMPERINGS[name]
    database = Database.in_memory("westbay")
    log = fill(open_log(database), 5)
    tamper(database)
    with pytest.raises(AuditBroken, match=f"audit record {index} ") as caught:
        log.verify(PUBLIC)
    assert caught.value.party == "westbay"


def test_no_checkpoint_of_a_log_that_was_cut() -> None:
    database = Database.in_memory("westbay")
    log = fill(open_log(database), 5)
    _sql(delete(AuditRow).where(AuditRow.number == 4))(database)
    with pytest.raises(AuditBroken, match="audit record 4 is missing"):
        log.checkpoint()


def test_a_log_cut_with_its_head_is_found_by_its_checkpoint() -> None:
    database = Database.in_memory("westbay")
    log = fill(open_log(database), 5)
    log.checkpoint()
    last = log.records(2, 3)[0].hash
    with database.transaction() as session:
        session.execute(delete(AuditRow).where(AuditRow.number >= 3))
        session.execute(text("UPDATE audit_head SET size = 3, hash = :h"), {"h": last})
    with pytest.raises(AuditBroken, match="audit record 3 is missing"):
        log.verify(PUBLIC)


def test_witnesses_sign_what_continues_what_they_saw() -> None:
    log, witness = fill(memory("westbay"), 3), memory("lakeside")
    for size in (3, 8, 8):
        fill(log, size - log.size)
        signed = log.checkpoint()
        last = witness.last_seen("westbay")
        proof = [] if last is None else log.consistency(last.checkpoint.size, size)
        signature = witness.witness(signed, 0 if last is None else last.checkpoint.size, proof, PUBLIC)
        log.add_witness(size, "lakeside", signature, PUBLIC)
    assert set(log.checkpoint().witnesses) == {"lakeside"}
    assert log.verify(PUBLIC) == 8
    assert witness.verify(PUBLIC) == 0
    seen = witness.last_seen("westbay")
    assert seen is not None
    assert seen.checkpoint.size == 8
    log.check_own(seen, PUBLIC)


def test_a_rollback_is_refused_and_kept_as_evidence() -> None:
    witness = memory("lakeside")
    witness.witness(fill(memory("westbay"), 5).checkpoint(), 0, [], PUBLIC)
    cut = fill(memory("westbay"), 3)
    with pytest.raises(AuditBroken, match="record 3 is missing, 5 records were signed") as caught:
        witness.witness(cut.checkpoint(), 0, [], PUBLIC)
    assert caught.value.party == "westbay"
    assert witness.last_seen("westbay").checkpoint.size == 5
    with pytest.raises(AuditBroken, match="signed two histories"):
        witness.verify(PUBLIC)
    with pytest.raises(AuditBroken, match="audit record 3 is missing"):
        cut.check_own(witness.last_seen("westbay"), PUBLIC)


@pytest.mark.parametrize("size", [5, 9])
def test_a_split_view_is_refused(size: int) -> None:
    witness, log = memory("lakeside"), fill(memory("westbay"), 5)
    witness.witness(log.checkpoint(), 0, [], PUBLIC)
    other = memory("westbay")
    other.append("node-started", "node")
    fill(other, size - 1)
    with pytest.raises(AuditBroken, match="different histories"):
        witness.witness(other.checkpoint(), 5, other.consistency(5, size), PUBLIC)
    for _ in range(2):  # one proof is enough: a peer cannot fill the database
        with pytest.raises(AuditBroken):
            witness.witness(fill(other, 1).checkpoint(), 5, [], PUBLIC)


def test_messages_that_overtake_each_other_are_no_contradiction() -> None:
    log, witness = fill(memory("westbay"), 3), memory("lakeside")
    old = log.checkpoint()
    new = fill(log, 2).checkpoint()  # the clock stands still: checkpoints get later all the same
    assert witness.witness(new, 0, [], PUBLIC)
    assert witness.witness(old, 0, [], PUBLIC) is None
    newest = fill(log, 2).checkpoint()
    assert witness.witness(newest, 3, log.consistency(3, 7), PUBLIC) is None
    assert witness.witness(newest, 5, log.consistency(5, 7), PUBLIC)
    assert witness.verify(PUBLIC) == 0


def test_no_signature_for_strangers_and_for_what_is_not_signed() -> None:
    witness, log = memory("lakeside"), fill(memory("westbay"), 2)
    signed = log.checkpoint()
    with pytest.raises(SignatureInvalid):
        witness.witness(signed, 0, [], {"lakeside": PUBLIC["lakeside"]})
    changed = signed.checkpoint.model_copy(update={"size": 3})
    with pytest.raises(SignatureInvalid):
        witness.witness(signed.model_copy(update={"checkpoint": changed}), 0, [], PUBLIC)
    elsewhere = AuditLog(Database.in_memory("westbay"), "other", "westbay", KEYS["westbay"])
    with pytest.raises(AuditBroken, match="another log"):
        witness.witness(fill(elsewhere, 1).checkpoint(), 0, [], PUBLIC)
    with pytest.raises(AuditBroken, match="another log"):
        log.witness(signed, 0, [], PUBLIC)
    with pytest.raises(SignatureInvalid):
        log.add_witness(2, "lakeside", signed.signature, PUBLIC)


def test_checkpoints_in_the_database_are_checked() -> None:
    database = Database.in_memory("westbay")
    log = fill(open_log(database), 2)
    log.checkpoint()
    with database.transaction() as session:
        row = session.query(CheckpointRow).one()
        row.document = row.document.replace('"size":2', '"size":1')
    with pytest.raises((AuditBroken, SignatureInvalid), match=r"checkpoint"):
        log.verify(PUBLIC)


def test_consistency_between_any_two_sizes() -> None:
    log = fill(memory("westbay"), 6)
    records = log.records()
    for first in range(1, 7):
        assert verify_consistency(first, 6, log_root(records[:first]), log_root(records), log.consistency(first, 6))
    assert log.consistency(0, 6) == []
