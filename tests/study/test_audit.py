"""The audit log: every way to tamper with it is refused, with the index."""

from __future__ import annotations

import csv
import io
import json

import pytest
from pydantic import ValidationError

from mpcstats.errors import AuditBroken, SignatureInvalid
from mpcstats.study.audit import (
    NO_HASH,
    AuditRecord,
    Checkpoint,
    SignedCheckpoint,
    check_records,
    cosign,
    log_root,
    make_checkpoint,
    next_record,
    records_to_csv,
    records_to_json,
    verify_log,
)
from mpcstats.study.signing import SigningKey

KEYS = {name: SigningKey(bytes([number]) * 32) for number, name in enumerate(("westbay", "lakeside"), start=1)}
PUBLIC = {name: key.public for name, key in KEYS.items()}


def log(count: int, party: str = "westbay", salt: str = "") -> list[AuditRecord]:
    records: list[AuditRecord] = []
    for number in range(count):
        records.append(
            next_record(
                number,
                records[-1].hash if records else NO_HASH,
                party=party,
                time=f"2026-11-22T10:00:{number:02d}Z",
                actor="node",
                event="run-finished",
                study="ab" * 32,
                conditions={"run": f"{number:032x}", "values_opened": number, "note": salt, "names": ("n", "p")},
            )
        )
    return records


def checkpoint(records: list[AuditRecord], party: str = "westbay", witness: str | None = None) -> SignedCheckpoint:
    point = Checkpoint(
        consortium="test",
        party=party,
        size=len(records),
        head=records[-1].hash if records else "0" * 64,
        root=log_root(records).hex(),
        time="2026-11-22T11:00:00Z",
    )
    signed = make_checkpoint(KEYS[party], point)
    if witness:
        signed = signed.model_copy(update={"witnesses": {witness: cosign(KEYS[witness], point)}})
    return signed


def test_a_log_and_its_checkpoints_hold() -> None:
    records = log(7)
    verify_log(records, "westbay", [checkpoint(records[:n], witness="lakeside") for n in (0, 3, 7)], PUBLIC)
    verify_log([], "westbay")


FIELDS = ["time", "actor", "event", "study", "conditions", "previous", "party", "index", "hash"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("index", [0, 2, 4])
def test_a_changed_field_is_named_by_the_index_of_its_record(field: str, index: int) -> None:
    records = log(5)
    other = {
        "time": "2026-11-22T10:00:59Z",
        "actor": "somebody",
        "event": "run-failed",
        "study": "cd" * 32,
        "conditions": {"values_opened": 99},
        "previous": "12" * 32,
        "party": "lakeside",
        "index": 17,
        "hash": "34" * 32,
    }
    records[index] = records[index].model_copy(update={field: other[field]})
    with pytest.raises(AuditBroken, match=rf"audit record {index} "):
        verify_log(records, "westbay")


@pytest.mark.parametrize(
    ("name", "order", "index", "problem"),
    [
        ("deleted", [0, 1, 3, 4], 2, "missing"),
        ("first deleted", [1, 2, 3, 4], 0, "missing"),
        ("reordered", [0, 2, 1, 3, 4], 1, "out of order"),
        ("replayed", [0, 1, 2, 1, 3, 4], 3, "repeated"),
        ("replayed at the end", [0, 1, 2, 3, 4, 4], 5, "repeated"),
    ],
)
def test_records_deleted_swapped_or_played_again(name: str, order: list[int], index: int, problem: str) -> None:
    records = log(5)
    with pytest.raises(AuditBroken, match=f"audit record {index} .*{problem}") as caught:
        check_records([records[number] for number in order], "westbay")
    assert caught.value.party == "westbay"


def test_a_record_that_was_changed_with_its_hash_does_not_fit_the_next_one() -> None:
    records = log(5)
    forged = records[2].model_copy(update={"actor": "somebody"})
    records[2] = forged.model_copy(update={"hash": forged.computed_hash()})
    with pytest.raises(AuditBroken, match="audit record 3 does not follow"):
        check_records(records, "westbay")


def test_a_cut_log_is_found_by_its_checkpoint() -> None:
    records = log(5)
    check_records(records[:3], "westbay")  # the chain alone cannot tell
    with pytest.raises(AuditBroken, match="audit record 3 is missing: the log was cut, 5 records were signed"):
        verify_log(records[:3], "westbay", [checkpoint(records)], PUBLIC)


def test_a_forked_log_is_found_by_its_checkpoints_between_which_it_left() -> None:
    records = log(6)
    signed = [checkpoint(records[:2]), checkpoint(records)]
    fork = records[:3]
    for number in range(3, 6):
        fork.append(
            next_record(
                number,
                fork[-1].hash,
                party="westbay",
                time="2026-11-22T10:00:09Z",
                actor="node",
                event="node-started",
                study="",
                conditions={"number": number},
            )
        )
    check_records(fork, "westbay")
    with pytest.raises(AuditBroken, match="audit record 2 or one up to 5 is another than was signed"):
        verify_log(fork, "westbay", signed, PUBLIC)


@pytest.mark.parametrize("field", ["consortium", "party", "size", "head", "root", "time"])
def test_a_changed_checkpoint_is_refused(field: str) -> None:
    records = log(3)
    signed = checkpoint(records, witness="lakeside")
    other = {
        "consortium": "other",
        "party": "lakeside",
        "size": 2,
        "head": "12" * 32,
        "root": "12" * 32,
        "time": "2026-11-22T11:00:01Z",
    }
    changed = signed.model_copy(update={"checkpoint": signed.checkpoint.model_copy(update={field: other[field]})})
    with pytest.raises((AuditBroken, SignatureInvalid), match=r"checkpoint"):
        verify_log(records, "westbay", [changed], PUBLIC)


def test_signatures_of_others_or_of_strangers_are_refused() -> None:
    records = log(3)
    signed = checkpoint(records)
    with pytest.raises(SignatureInvalid, match="has no key in the roster"):
        verify_log(records, "westbay", [signed], {"lakeside": PUBLIC["lakeside"]})
    own = signed.model_copy(update={"witnesses": {"lakeside": signed.signature}})
    with pytest.raises(SignatureInvalid, match="lakeside as witness"):
        verify_log(records, "westbay", [own], PUBLIC)
    with pytest.raises(SignatureInvalid):
        verify_log(records, "westbay", [signed], {"westbay": PUBLIC["lakeside"]})


def test_no_values_in_a_record() -> None:
    for value in (1.5, [1.5], {"a": 1}, "x" * 501, b"raw"):
        with pytest.raises(ValidationError):
            next_record(
                0,
                NO_HASH,
                party="westbay",
                time="t",
                actor="node",
                event="run-failed",
                study="",
                conditions={"v": value},
            )
    with pytest.raises(ValidationError):
        next_record(0, NO_HASH, party="westbay", time="t", actor="node", event="else", study="", conditions={})  # type: ignore[arg-type]


def test_exports() -> None:
    evil = next_record(
        0,
        NO_HASH,
        party="westbay",
        time="2026-11-22T10:00:00Z",
        actor="=HYPERLINK(1)",
        event="run-failed",
        study="",
        conditions={"reason": 'a,b\n"c"'},
    )
    rows = list(csv.DictReader(io.StringIO(records_to_csv([evil]))))
    assert rows[0]["actor"] == "'=HYPERLINK(1)"
    assert json.loads(rows[0]["conditions"]) == {"reason": 'a,b\n"c"'}
    again = [AuditRecord.model_validate_json(line) for line in records_to_json(log(3)).splitlines()]
    assert again == log(3)
    check_records(again, "westbay")


@pytest.mark.parametrize("start", ["=1", "+1", "-1", "@x", "\t=1", "  =1", "|x"])
def test_no_formula_in_a_table(start: str) -> None:
    record = next_record(
        0, NO_HASH, party="westbay", time="t", actor=start, event="run-failed", study="", conditions={"a": 1}
    )
    assert next(csv.DictReader(io.StringIO(records_to_csv([record]))))["actor"].startswith("'")
