"""What a node remembers of the counts that were released: who was in which cell, for the comparison with later ones.

One SQLite file in the node's state folder, readable by its owner alone. An entry is written before anything is opened,
so that a run which breaks off cannot be forgotten, and completed once it is known what was shown.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mpcstats.errors import ConfigurationError
from mpcstats.stats.differencing import Members, Release

__all__ = ["FORGOTTEN", "ROWS", "YEAR", "Account", "Entry", "ReleaseLedger", "Snapshot", "Spending"]

ROWS = "rows"
"""People are known by the number of their row, which holds for one state of the table only."""

FORGOTTEN = "rows of a table that is gone"
"""Who the people were was deleted: no later table can be compared."""

YEAR = 365 * 86_400
"""Seconds after which a release does not count in the budget of noise any more."""

_KEY = """
CREATE TABLE IF NOT EXISTS noise_key (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), key BLOB NOT NULL)
"""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS released (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    dataset TEXT NOT NULL,
    public TEXT NOT NULL,
    keyed_by TEXT,
    snapshot TEXT,
    people BLOB,
    digest TEXT NOT NULL
)
"""


@dataclass(frozen=True, repr=False)
class Snapshot:
    """This party's people of one request, and the state of its table.

    Attributes
    ----------
    members : Members
    keyed_by : str
        `ROWS`, or the column that tells who is a person.
    content : str
        Digest of the table.
    several : bool
        A person can have several rows, and be in several cells. Public; not kept, since the entry says it.
    """

    members: Members
    keyed_by: str
    content: str
    several: bool = False

    def comparable(self, other: Snapshot) -> bool:
        """Whether the same person has the same key in both."""
        return self.keyed_by == other.keyed_by and (self.keyed_by != ROWS or self.content == other.content)


@dataclass(frozen=True)
class Spending:
    """What a release with noise costs.

    Attributes
    ----------
    epsilon : Fraction
    at : int
        When it was entered; seconds since 1970.
    """

    epsilon: Fraction
    at: int


@dataclass(frozen=True)
class Account:
    """A party's budget of noise for one data set.

    Attributes
    ----------
    used : Fraction
        Epsilon of its releases in the last `YEAR` seconds, added up.
    budget : Fraction or None
        None: no limit.
    now : int
        Seconds since 1970.
    """

    used: Fraction
    budget: Fraction | None
    now: int

    def allows(self, epsilon: Fraction) -> bool:
        """Whether a release of this epsilon is within the budget."""
        return self.budget is None or self.used + epsilon <= self.budget


@dataclass(frozen=True, repr=False)
class Entry:
    """One release.

    Attributes
    ----------
    id : str
        Digest of the run (hex).
    dataset : str
    request : str
        Digest of the request, the rules and the parties with data (hex).
    parties : tuple of str
        Parties with data.
    release : Release
    own : Snapshot or None
        None at a party without data.
    spending : Spending or None
        Of a release with noise.
    """

    id: str
    dataset: str
    request: str
    parties: tuple[str, ...]
    release: Release
    own: Snapshot | None
    spending: Spending | None = None


class ReleaseLedger:
    """The releases that one party took part in.

    Parameters
    ----------
    path : Path or None
        Its file, made when it is first written; None: in memory.
    party : str
        Owner, named in errors.
    clock : function
        Seconds since 1970.
    """

    def __init__(self, path: Path | None, party: str, clock: Callable[[], float] = time.time) -> None:
        self._path, self._party, self._clock = path, party, clock
        # one run at a time uses it, each in a thread of its own
        self._memory = None if path else sqlite3.connect(":memory:", check_same_thread=False)

    def entries(self, dataset: str) -> list[Entry]:
        """All releases of a data set, oldest first.

        Raises
        ------
        ConfigurationError
            The file cannot be read, or is not what was written.
        """
        query = "SELECT id, dataset, public, keyed_by, snapshot, people, digest FROM released WHERE dataset = ? "
        with self._connected() as database:
            rows = database.execute(query + "ORDER BY number", (dataset,)).fetchall()
        return [self._entry(row) for row in rows]

    def account(self, dataset: str, budget: Fraction | None) -> Account:
        """What releases with noise have used of a budget.

        All of them count, of whatever state of the table: the same people are in all states.
        """
        now = int(self._clock())
        spent = [entry.spending for entry in self.entries(dataset) if entry.spending is not None]
        return Account(sum((one.epsilon for one in spent if one.at > now - YEAR), Fraction(0)), budget, now)

    def noise_seed(self, entry: Entry) -> bytes:
        """Where this party's part of the noise of a release comes from: always the same for one entry.

        The key is in the file of the entries: who restores one restores the other.
        """
        with self._connected() as database:
            database.execute(_KEY)
            database.execute("INSERT OR IGNORE INTO noise_key VALUES (1, ?)", (secrets.token_bytes(32),))
            ((key,),) = database.execute("SELECT key FROM noise_key").fetchall()
        info = b"mpcstats/v1/noise/" + entry.request.encode()
        return HKDF(algorithm=hashes.SHA256(), length=32, salt=entry.id.encode(), info=info).derive(key)

    def datasets(self) -> list[str]:
        """Data sets with releases."""
        with self._connected() as database:
            rows = database.execute("SELECT DISTINCT dataset FROM released ORDER BY dataset").fetchall()
        return [name for (name,) in rows]

    def prune(self, dataset: str, content: str) -> int:
        """Delete who was in releases that know people by rows of another table than this one; how many these are.

        The entries themselves stay: other parties remember them, too. They could not be compared any more, unless the
        table of then came back.
        """
        gone = [
            entry
            for entry in self.entries(dataset)
            if entry.own is not None and entry.own.keyed_by == ROWS and entry.own.content != content
        ]
        nobody = Members(np.zeros(0, np.uint64), np.zeros(0, np.int64))
        with self._connected() as database:
            for entry in gone:
                assert entry.own is not None
                row = _row(replace(entry, own=replace(entry.own, members=nobody, keyed_by=FORGOTTEN)))
                database.execute(
                    "UPDATE released SET keyed_by = ?, people = ?, digest = ? WHERE id = ?",
                    (row[3], row[5], row[6], entry.id),
                )
        if gone and self._memory is None:
            # what was deleted must not be readable in free pages of the file
            with self._opened() as database:
                database.execute("VACUUM")
        return len(gone)

    def begin(self, entry: Entry) -> None:
        """Keep a release that is about to be opened.

        Raises
        ------
        ConfigurationError
            The file cannot be written; nothing may be opened.
        """
        row = _row(entry)
        with self._connected() as database:
            database.execute(
                "INSERT INTO released (id, dataset, public, keyed_by, snapshot, people, digest) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )

    def finish(self, entry: Entry) -> None:
        """Complete an entry, once it is known what was shown."""
        row = _row(entry)
        with self._connected() as database:
            database.execute("UPDATE released SET public = ?, digest = ? WHERE id = ?", (row[2], row[6], entry.id))

    def withdraw(self, identity: str) -> None:
        """Take out an entry of which nothing was opened and nothing will be; a completed one stays."""
        with self._connected() as database:
            row = database.execute("SELECT public FROM released WHERE id = ?", (identity,)).fetchone()
            if row is not None and json.loads(row[0])["shown"] is None:
                database.execute("DELETE FROM released WHERE id = ?", (identity,))

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it is written, or nothing."""
        try:
            if self._memory is not None:
                with self._memory:
                    self._memory.execute(_SCHEMA)
                    yield self._memory
                return
            with self._opened() as database, database:
                database.execute(_SCHEMA)
                yield database
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # the last for text that is none
            raise self._broken(str(error)) from None

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        assert self._path is not None
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        with contextlib.closing(sqlite3.connect(self._path)) as database:
            yield database

    def _entry(self, row: tuple[str, str, str, str | None, str | None, bytes | None, str]) -> Entry:
        identity, dataset, public, keyed_by, snapshot, people, digest = row
        try:
            if _digest(row[:6]) != digest:
                raise ValueError("an entry is not as it was written")
            plain = json.loads(public)
            release = Release(
                tuple(plain["sizes"]), plain["overlapping"], _shown(plain["shown"]), tuple(plain.get("axes", ()))
            )
            own = None
            if keyed_by is not None and snapshot is not None and people is not None:
                own = Snapshot(_members(people), keyed_by, snapshot)
            parties, spending = tuple(plain["parties"]), None
            if "epsilon" in plain:
                spending = Spending(Fraction(plain["epsilon"]), int(plain["at"]))
            return Entry(identity, dataset, plain["request"], parties, release, own, spending)
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            raise self._broken(str(error)) from None

    def _broken(self, problem: str) -> ConfigurationError:
        return ConfigurationError(
            f"the ledger of released counts, {self._path}, cannot be used: {problem}",
            party=self._party,
            hint="restore it from a backup; without it nothing protects from comparing counts with earlier ones",
        )


def _row(entry: Entry) -> tuple[str, str, str, str | None, str | None, bytes | None, str]:
    release = entry.release
    public = {
        "request": entry.request,
        "parties": list(entry.parties),
        "sizes": list(release.sizes),
        "overlapping": release.overlapping,
        "axes": list(release.axes),
        "shown": None if release.shown is None else "".join("01"[shown] for shown in release.shown),
    }
    if entry.spending is not None:
        public |= {"epsilon": str(entry.spending.epsilon), "at": entry.spending.at}
    own = (None, None, None) if entry.own is None else (entry.own.keyed_by, entry.own.content, _packed(entry.own))
    row = (entry.id, entry.dataset, json.dumps(public, sort_keys=True), *own)
    return (*row, _digest(row))


def _shown(text: str | None) -> tuple[bool, ...] | None:
    return None if text is None else tuple(bit == "1" for bit in text)


def _packed(own: Snapshot) -> bytes:
    members = own.members
    return zlib.compress(members.keys.astype("<u8").tobytes() + members.sets.astype("<i4").tobytes())


def _members(people: bytes) -> Members:
    data = zlib.decompress(people)
    count = len(data) // 12
    keys = np.frombuffer(data, "<u8", count).astype(np.uint64)
    return Members(keys, np.frombuffer(data, "<i4", count, 8 * count).astype(np.int64))


def _digest(row: tuple[str | bytes | None, ...]) -> str:
    total = hashlib.sha256(b"mpcstats/v1/released")
    for part in row:
        data = part if isinstance(part, bytes) else (part or "").encode()
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()
