"""The journal of a run on disk: what comes back, what is noticed, what is never written twice under one nonce."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mpcstats.errors import ConfigurationError, JournalMismatch
from mpcstats.node.runs import journal as module
from mpcstats.node.runs.journal import FileJournal, storage_key
from mpcstats.testing.attempts import Attempts, Killed
from mpcstats.transport.journal import Journal, MemoryJournal
from tests.transport.test_journaled import NAMES, parts

OPEN: list[FileJournal] = []


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while OPEN:
        OPEN.pop().close()


def opened(path: Path, key: bytes, run: bytes, **more: Any) -> FileJournal:
    OPEN.append(FileJournal.open(path, key, run, **more))
    return OPEN[-1]


KEY, RUN = hashlib.sha256(b"storage").digest(), b"run-1"


def fill(journal: Journal) -> bytes:
    journal.record(2, 0, b"two, zero")
    journal.record_sent(3, 5, bytes(range(32)))
    journal.note("ledger", b"[]")
    journal.record(2, 7, memoryview(b"two, seven"))
    journal.record(3, 7, bytearray(b"three, seven" * 1000))
    return journal.seal()


def same(one: Journal, other: Journal) -> None:
    assert one.seed == other.seed
    for j in (1, 2, 3):
        assert dict(one.received(j)) == dict(other.received(j))
        assert dict(one.sent(j)) == dict(other.sent(j))
        for step in one.received(j):
            assert bytes(one.message(j, step) or b"") == bytes(other.message(j, step) or b"")
    assert one.noted("ledger") == other.noted("ledger")


def test_everything_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "journals" / "run.journal"
    journal = opened(path, KEY, RUN)
    fill(journal)
    memory = MemoryJournal(journal.seed)
    fill(memory)
    same(journal, memory)
    journal.close()
    again = opened(path, KEY, RUN)
    same(again, memory)
    assert again.message(2, 1) is None
    assert again.noted("other") is None
    # and goes on
    for each in (again, memory):
        each.record(1, 9, b"one, nine")
    again.close()
    same(opened(path, KEY, RUN), memory)


def test_only_the_owner_reads_it_and_nothing_stands_in_the_clear(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    journal = opened(path, KEY, RUN)
    fill(journal)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    data = path.read_bytes()
    assert b"seven" not in data
    assert b"ledger" not in data
    assert journal.seed not in data
    assert journal.seed.hex() not in repr(journal)


@pytest.mark.parametrize(("key", "run"), [(bytes(32), RUN), (KEY, b"run-2")])
def test_another_key_or_run_reads_nothing(tmp_path: Path, key: bytes, run: bytes) -> None:
    path = tmp_path / "run.journal"
    fill(opened(path, KEY, RUN))
    with pytest.raises(JournalMismatch, match="another run or another storage key"):
        opened(path, key, run)


def records(data: bytes) -> list[tuple[int, int]]:
    """Start and end of each header and record."""
    at, found = 0, []
    while at < len(data):
        header = data[at:].startswith(module._MAGIC)
        size = module._HEADER if header else 4 + int.from_bytes(data[at : at + 4], "little")
        found.append((at, at + size))
        at += size
    return found


def test_a_changed_bit_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    journal = opened(path, KEY, RUN)
    journal.record(2, 0, b"two")
    sealed = journal.seal()
    journal.close()
    journal = opened(path, KEY, RUN)
    journal.record(3, 0, b"three")
    sealed = journal.seal()
    journal.close()
    data = path.read_bytes()
    assert len(records(data)) == 5
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        path.write_bytes(changed)
        # a changed length may look like a record that was not written whole: an end that is missing, see below
        with pytest.raises(JournalMismatch):
            opened(path, KEY, RUN, sealed=sealed)
    path.write_bytes(data)
    opened(path, KEY, RUN, sealed=sealed)


def test_records_cannot_be_moved_left_out_or_repeated(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    fill(opened(path, KEY, RUN))
    data = path.read_bytes()
    parts_of = [data[start:end] for start, end in records(data)]
    assert len(parts_of) == 7
    orders = [
        [0, 1, 3, 2, 4, 5, 6],
        [0, 1, 3, 4, 5, 6],
        [0, 1, 2, 2, 3, 4, 5, 6],
        [1, 2, 3],
        [0, 2, 1],
        [0, 1, 2, 0, 3],
    ]
    for order in orders:
        path.write_bytes(b"".join(parts_of[k] for k in order))
        with pytest.raises(JournalMismatch):
            opened(path, KEY, RUN)


def test_the_end_may_be_missing_and_a_torn_record_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    journal = opened(path, KEY, RUN)
    sealed = fill(journal)
    data, seed = path.read_bytes(), journal.seed
    ends = [end for _, end in records(data)]
    cuts = {cut for end in ends for cut in (end, end - 1, end - 15, end - 17, end + 1, end + 3, end + 5)}
    for cut in sorted(cut for cut in cuts if module._HEADER + 4 < cut < len(data)):
        for tail in (b"", bytes(64)):
            path.write_bytes(data[:cut] + tail * (cut in ends))
            short = opened(path, KEY, RUN)
            whole = sum(end <= cut for end in ends) - 1
            assert len(short._messages) + len(short.sent(3)) + len(short._notes) == max(whole - 1, 0)
            assert (short.seed == seed) == (whole >= 1)
            short.note("after", b"the crash")
            short.close()
            assert opened(path, KEY, RUN).noted("after") == b"the crash"
            # but not of a journal that was sealed
            with pytest.raises(JournalMismatch, match="not as it was sealed"):
                opened(path, KEY, RUN, sealed=sealed)
    path.write_bytes(data)
    assert opened(path, KEY, RUN, sealed=sealed).seed == seed


def test_no_key_and_nonce_serve_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither after a restart, nor after a torn record, nor after a full disk."""
    used: list[tuple[bytes, bytes]] = []

    class Cipher:
        def __init__(self, key: bytes) -> None:
            self.name, self.inner = key, original(key)

        def encrypt(self, nonce: bytes, data: bytes, beside: bytes) -> bytes:
            used.append((self.name, nonce))
            return self.inner.encrypt(nonce, data, beside)

        def decrypt(self, nonce: bytes, data: bytes, beside: bytes) -> bytes:
            return self.inner.decrypt(nonce, data, beside)

    original = module.AESGCM
    monkeypatch.setattr(module, "AESGCM", Cipher)
    path = tmp_path / "run.journal"
    journal = opened(path, KEY, RUN)
    fill(journal)
    path.write_bytes(path.read_bytes()[:-5])
    journal = opened(path, KEY, RUN)
    journal.note("a", b"1")
    write = module._write

    def full(out: Any, data: bytes) -> None:
        write(out, data[:9])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", full)
    with pytest.raises(ConfigurationError, match="No space left"):
        journal.note("b", b"2")
    monkeypatch.setattr(module, "_write", write)
    journal.note("c", b"3")
    journal.close()
    journal = opened(path, KEY, RUN)
    assert [journal.noted(label) for label in "abc"] == [b"1", None, b"3"]
    assert len(used) == len(set(used)) >= 9
    # a journal of the same run that is begun anew has other keys
    journal.discard()
    fill(opened(path, KEY, RUN))
    assert len(used) == len(set(used))


def test_a_discarded_journal_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    journal = opened(path, KEY, RUN)
    fill(journal)
    seed = journal.seed
    journal.discard()
    assert not path.exists()
    assert journal.seed == b""
    assert journal.message(2, 0) is None
    with pytest.raises(ConfigurationError, match="closed"):
        journal.note("more", b"")
    assert opened(path, KEY, RUN).seed != seed
    journal.discard()


def test_a_journal_that_cannot_be_read_can_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    for _ in range(2):
        journal = opened(path, KEY, RUN)
        journal.note(secrets.token_hex(4), b"")
        journal.close()
    broken = bytearray(path.read_bytes())
    broken[70] ^= 1
    path.write_bytes(broken)
    with pytest.raises(JournalMismatch):
        opened(path, KEY, RUN)
    left = tmp_path / "copy"
    os.link(path, left)  # what a file system may keep
    FileJournal.remove(path)
    assert not path.exists()
    salts = [broken[at + len(module._MAGIC) : end] for at, end in records(bytes(broken)) if end - at == module._HEADER]
    assert len(salts) == 2
    assert not any(salt in left.read_bytes() for salt in salts)
    FileJournal.remove(path)
    FileJournal.remove(tmp_path / "nowhere" / "run.journal")


def test_a_folder_that_cannot_be_written_is_a_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError):
        opened(tmp_path / "file" / "run.journal", KEY, RUN)


def test_the_storage_key_is_made_once(tmp_path: Path) -> None:
    key = storage_key(tmp_path)
    file = tmp_path / "keys" / "storage.key"
    assert storage_key(tmp_path) == key == file.read_bytes()
    assert len(key) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["storage.key"]
    assert storage_key(tmp_path / "other") != key
    file.write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="not a storage key"):
        storage_key(tmp_path)


@pytest.mark.parametrize("victim", [1, 3])
def test_processes_may_die_and_go_on_from_their_files(tmp_path: Path, victim: int) -> None:
    for at in range(4 + victim, 46, 13):
        attempts = Attempts(NAMES)
        for kill in (victim, None):
            journals = [opened(tmp_path / f"{at}-{i}.journal", KEY, RUN) for i in range(3)]
            results = attempts.attempt(parts(journals), kill, at, after=bool(at % 2))
            assert kill is None or isinstance(results[kill - 1], Killed)
            for journal in journals:
                journal.close()
        assert results == [[0, 18]] * 3
        assert attempts.ambiguous == []


def test_a_journal_is_used_by_one_loop(tmp_path: Path) -> None:
    """Reads between writes: the place of the next record is kept."""

    async def run() -> None:
        journal = opened(tmp_path / "run.journal", KEY, RUN)
        for step in range(20):
            journal.record(2, step, bytes([step]) * (step + 1))
            for before in range(step + 1):
                assert bytes(journal.message(2, before) or b"") == bytes([before]) * (before + 1)

    asyncio.run(run())
