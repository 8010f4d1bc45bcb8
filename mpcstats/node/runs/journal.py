"""A run's journal on disk: encrypted, append-only, chained.

The file is a row of segments. Each begins with a magic word and a random salt: the key of its records is
HKDF-SHA256(storage key, salt, run id), so that no key is used on two streams of records, also after a crash. A record
is its length (4 bytes, little endian) and AES-256-GCM over kind, numbers and content; the nonce counts records from 0,
and what is authenticated beside is the SHA-256 of everything before it. So a record that was changed, moved, taken from
another run or left out in the middle is noticed. An end that is missing is not: a record that was not written whole is
dropped, and the channel above compares with what the other parties hold.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mpcstats.errors import ConfigurationError, JournalMismatch, RangeError
from mpcstats.node.identity.passphrase import like_node_key, unlocked
from mpcstats.transport.channel import Buffer
from mpcstats.transport.journal import SEED_BYTES

__all__ = ["FileJournal", "storage_key"]

_MAGIC = b"mpcstats journal 1\n"
_KEY, _SALT, _TAG = 32, 32, 16
_HEADER = len(_MAGIC) + _SALT
_LONGEST = 1 << 30
"""Bytes of a record."""

_RECEIVED, _SENT, _NOTE, _SEED = range(4)
_HEAD = struct.Struct("<BHQ")
"""Kind, party (or length of a label), step."""


def storage_key(directory: Path) -> bytes:
    """The key of everything that a node keeps of unfinished runs: `directory`/keys/storage.key, made on demand (0600).

    Raises
    ------
    ConfigurationError
        It cannot be read or made, or is not a key.
    """
    file = directory / "keys" / "storage.key"
    try:
        with contextlib.suppress(FileNotFoundError):
            key = unlocked(file, file.read_bytes(), directory)
            if len(key) != _KEY:
                raise ConfigurationError(
                    f"{file} is not a storage key", hint="restore it from a backup; sealed results need it"
                )
            return key
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return unlocked(file, _made(file, directory), directory)
    except OSError as error:
        raise ConfigurationError(f"the storage key cannot be used: {error}") from None


def _made(file: Path, directory: Path) -> bytes:
    """A fresh key that appears whole or not at all; another one that was made meanwhile is kept."""
    partial = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(like_node_key(secrets.token_bytes(_KEY), file.name, directory))
            out.flush()
            os.fsync(out.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(partial, file)
        _sync_folder(file.parent)
    finally:
        partial.unlink()
    return file.read_bytes()


class _Place(NamedTuple):
    """Where a message is in the file, and what it takes to read it."""

    cipher: AESGCM
    at: int
    size: int
    nonce: int
    before: bytes


@dataclass
class _Chain:
    """The state of reading or writing: key, number of the next record, digest of everything before."""

    cipher: AESGCM
    nonce: int
    digest: bytes

    def over(self, data: bytes) -> None:
        self.digest = hashlib.sha256(self.digest + hashlib.sha256(data).digest()).digest()


class FileJournal:
    """A `Journal` in a file of its own; made by `open`.

    Parameters
    ----------
    path : Path
        state/journals/RUN.journal, by custom.
    key : 32 bytes
        See `storage_key`.
    run_id : bytes
        A journal can be read as that of this run only.
    party : str
        Owner, named in errors.
    """

    def __init__(self, path: Path, key: bytes, run_id: bytes, party: str | None = None) -> None:
        self._path, self._key, self._run_id, self._party = path, key, run_id, party
        self._messages: dict[tuple[int, int], _Place] = {}
        self._received: dict[int, dict[int, bytes]] = {}
        self._sent: dict[int, dict[int, bytes]] = {}
        self._notes: dict[str, bytes] = {}
        self._seed = b""
        self._file: BinaryIO | None = None
        self._chain: _Chain | None = None
        self._end = 0
        self._digest = hashlib.sha256(_MAGIC).digest()
        self._passed = {self._digest}

    @classmethod
    def open(
        cls, path: Path, key: bytes, run_id: bytes, *, party: str | None = None, sealed: bytes | None = None
    ) -> FileJournal:
        """Begin a journal, or go on with the one that is there.

        Parameters
        ----------
        sealed : 32 bytes, optional
            What `seal` returned: the journal must be there and reach at least as far.

        Raises
        ------
        JournalMismatch
            A record was changed, moved or left out; or the journal does not reach as far as it was sealed.
        ConfigurationError
            The file cannot be read or written.
        """
        self = cls(path, key, run_id, party)
        with self._as_configuration():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = _opened(path)
            try:
                self._begin(sealed)
            except BaseException:
                self.close()
                raise
        return self

    @staticmethod
    def remove(path: Path) -> None:
        """Delete a journal, also one that cannot be read any more. Its salts are overwritten first: without them the
        keys of its records are gone, too, whatever a file system keeps of the rest."""
        with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
            data, at = file.read(), -1
            while (at := data.find(_MAGIC, at + 1)) >= 0:
                file.seek(at)
                file.write(bytes(min(_HEADER, len(data) - at)))
            file.flush()
            os.fsync(file.fileno())
        path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            _sync_folder(path.parent)

    def __repr__(self) -> str:
        return f"<journal of {len(self._messages)} messages>"

    @property
    def seed(self) -> bytes:
        """See `Journal.seed`."""
        return self._seed

    def received(self, sender: int) -> Mapping[int, bytes]:
        """See `Journal.received`."""
        return self._received.get(sender, {})

    def message(self, sender: int, step: int) -> Buffer | None:
        """See `Journal.message`."""
        place = self._messages.get((sender, step))
        if place is None:
            return None
        with self._as_configuration():
            self._out.seek(place.at)
            record = self._out.read(place.size)
        try:
            plain = place.cipher.decrypt(_nonce(place.nonce), record, place.before)
        except InvalidTag:
            raise self._mismatch("was changed while it was in use") from None
        return memoryview(plain)[_HEAD.size :]

    def record(self, sender: int, step: int, payload: Buffer) -> None:
        """See `Journal.record`."""
        with self._as_configuration():
            place = self._append(_HEAD.pack(_RECEIVED, sender, step), payload)
        self._messages[sender, step] = place
        self._received.setdefault(sender, {})[step] = hashlib.sha256(payload).digest()

    def sent(self, receiver: int) -> Mapping[int, bytes]:
        """See `Journal.sent`."""
        return self._sent.get(receiver, {})

    def record_sent(self, receiver: int, step: int, digest: bytes) -> None:
        """See `Journal.record_sent`."""
        with self._as_configuration():
            self._append(_HEAD.pack(_SENT, receiver, step), digest)
        self._sent.setdefault(receiver, {})[step] = digest

    def noted(self, label: str) -> bytes | None:
        """See `Journal.noted`."""
        return self._notes.get(label)

    def note(self, label: str, data: bytes) -> None:
        """See `Journal.note`."""
        name = label.encode()
        with self._as_configuration():
            self._append(_HEAD.pack(_NOTE, len(name), 0), name + data)
        self._notes[label] = data

    def seal(self) -> bytes:
        """See `Journal.seal`."""
        with self._as_configuration():
            os.fsync(self._out.fileno())
        return self._digest

    def close(self) -> None:
        """See `Journal.close`."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """See `Journal.discard`, and `remove`."""
        self.close()
        with self._as_configuration():
            self.remove(self._path)
        for part in (self._messages, self._received, self._sent, self._notes):
            part.clear()
        self._seed = b""

    def _begin(self, sealed: bytes | None) -> None:
        self._read_all()
        if sealed is not None and sealed not in self._passed:
            raise self._mismatch("is not as it was sealed: it is an old copy, or lost its end")
        self._passed.clear()
        if not self._seed:
            seed = secrets.token_bytes(SEED_BYTES)
            self._append(_HEAD.pack(_SEED, 0, 0), seed)
            self._seed = seed
            os.fsync(self._out.fileno())
            _sync_folder(self._path.parent)

    # --- the file ---------------------------------------------------------------------------------------------------

    @property
    def _out(self) -> BinaryIO:
        if self._file is None:
            raise ConfigurationError("the journal of a run is closed", party=self._party)
        return self._file

    def _append(self, head: bytes, content: Buffer) -> _Place:
        """A record goes to the operating system at once: it outlasts the process."""
        out = self._out
        out.seek(self._end)
        if self._chain is None:
            out.truncate(self._end)  # what was not written whole
            salt = secrets.token_bytes(_SALT)
            _write(out, _MAGIC + salt)
            self._chain = self._segment(salt)
        # a record that was written in part gives its nonce up, with the key
        chain, self._chain = self._chain, None
        if len(head) + len(content) + _TAG > _LONGEST:
            raise RangeError(f"a message of {len(content):,} bytes is longer than a record of the journal")
        sealed = chain.cipher.encrypt(_nonce(chain.nonce), head + bytes(content), chain.digest)
        place = _Place(chain.cipher, self._end + 4, len(sealed), chain.nonce, chain.digest)
        _write(out, len(sealed).to_bytes(4, "little") + sealed)
        self._advance(chain, sealed)
        self._chain = chain
        return place

    def _advance(self, chain: _Chain, sealed: bytes) -> None:
        chain.over(sealed)
        chain.nonce += 1
        self._end += 4 + len(sealed)
        self._digest = chain.digest

    def _segment(self, salt: bytes) -> _Chain:
        info = b"mpcstats/v1/journal/" + self._run_id
        key = HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(self._key)
        chain = _Chain(AESGCM(key), 0, self._digest)
        chain.over(salt)
        self._end += _HEADER
        return chain

    def _read_all(self) -> None:
        """Everything that was written whole; the next record begins a new segment."""
        size = os.fstat(self._out.fileno()).st_size
        chain: _Chain | None = None
        while self._end < size:
            self._out.seek(self._end)
            head = self._out.read(_HEADER)
            if head.startswith(_MAGIC) and len(head) == _HEADER:
                chain = self._segment(head[len(_MAGIC) :])
                continue
            length = int.from_bytes(head[:4], "little")
            if self._unfinished(head, length, size):
                break
            if chain is None or not _TAG + _HEAD.size <= length <= _LONGEST:
                raise self._mismatch("was changed: a record is not one")
            self._take(chain, length)
            self._passed.add(chain.digest)

    def _unfinished(self, head: bytes, length: int, size: int) -> bool:
        """Whether what begins here is the record, or the header, that was being written when the process ended."""
        if len(head) < _HEADER and (_MAGIC + bytes(_SALT)).startswith(head[: len(_MAGIC)]):
            return True
        if not any(head):
            return True  # blocks that a file system had set aside when power was lost
        return len(head) < 4 or (length <= _LONGEST and self._end + 4 + length > size)

    def _take(self, chain: _Chain, length: int) -> None:
        at, nonce, before = self._end + 4, chain.nonce, chain.digest
        self._out.seek(at)
        sealed = self._out.read(length)
        try:
            plain = chain.cipher.decrypt(_nonce(nonce), sealed, before)
        except InvalidTag:
            raise self._mismatch("was changed, or is of another run or another storage key") from None
        self._advance(chain, sealed)
        kind, number, step = _HEAD.unpack_from(plain)
        content = plain[_HEAD.size :]
        if kind == _RECEIVED:
            self._messages[number, step] = _Place(chain.cipher, at, length, nonce, before)
            self._received.setdefault(number, {})[step] = hashlib.sha256(content).digest()
        elif kind == _SENT:
            self._sent.setdefault(number, {})[step] = content
        elif kind == _NOTE:
            self._notes[content[:number].decode()] = content[number:]
        else:
            self._seed = content

    def _mismatch(self, problem: str) -> JournalMismatch:
        return JournalMismatch(
            f"the journal {self._path.name} {problem}",
            party=self._party,
            hint="run the study again from the start; look who had access to the state folder",
        )

    @contextlib.contextmanager
    def _as_configuration(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigurationError(f"the journal {self._path} cannot be used: {error}", party=self._party) from None


def _opened(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    return os.fdopen(descriptor, "r+b", buffering=0)


def _write(out: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[out.write(view) :]


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "little")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
