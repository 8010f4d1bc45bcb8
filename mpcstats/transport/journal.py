"""What a party keeps of a run so that it can be replayed: its coins, what it received, and what it sent, as digests.

A journal is as secret as the shares that it brings back: with the party's own data it determines everything that this
party knew in the run. t journals together tell nothing that t parties did not know in the run; t + 1 tell everything.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Protocol

from mpcstats.transport.channel import Buffer

__all__ = ["SEED_BYTES", "Journal", "MemoryJournal"]

SEED_BYTES = 32


class Journal(Protocol):
    """Append-only. What is entered twice with another content is an error of the caller, who looks first."""

    @property
    def seed(self) -> bytes:
        """32 random bytes, made when the journal was begun: all coins that this party draws by itself."""
        ...

    def received(self, sender: int) -> Mapping[int, bytes]:
        """SHA-256 of every message that was received from a party, by step."""
        ...

    def message(self, sender: int, step: int) -> Buffer | None:
        """A message that was received; None: it was not."""
        ...

    def record(self, sender: int, step: int, payload: Buffer) -> None:
        """Enter a message that arrived, before it is used."""
        ...

    def sent(self, receiver: int) -> Mapping[int, bytes]:
        """SHA-256 of every message to a party, by step."""
        ...

    def record_sent(self, receiver: int, step: int, digest: bytes) -> None:
        """Enter the digest of a message, before it is sent."""
        ...

    def noted(self, label: str) -> bytes | None:
        """What was noted under a label."""
        ...

    def note(self, label: str, data: bytes) -> None:
        """Enter something else that the run depends on, once for each label."""
        ...

    def seal(self) -> bytes:
        """Everything is where a loss of power leaves it; returns the digest of all that was entered so far."""
        ...

    def close(self) -> None:
        """Nothing more is entered. Idempotent."""
        ...

    def discard(self) -> None:
        """Forget everything for good."""
        ...


class MemoryJournal:
    """A journal in memory; a `Journal`. It ends with the process.

    Parameters
    ----------
    seed : 32 bytes, optional
        Fresh by default.
    """

    def __init__(self, seed: bytes | None = None) -> None:
        self._seed = secrets.token_bytes(SEED_BYTES) if seed is None else seed
        self._messages: dict[tuple[int, int], bytes] = {}
        self._received: dict[int, dict[int, bytes]] = {}
        self._sent: dict[int, dict[int, bytes]] = {}
        self._notes: dict[str, bytes] = {}
        self._digest = hashlib.sha256(b"mpcstats/v1/journal" + self._seed)

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
        return self._messages.get((sender, step))

    def record(self, sender: int, step: int, payload: Buffer) -> None:
        """See `Journal.record`."""
        digest = hashlib.sha256(payload).digest()
        self._messages[sender, step] = bytes(payload)
        self._received.setdefault(sender, {})[step] = digest
        self._enter(f"received {sender} {step}", digest)

    def sent(self, receiver: int) -> Mapping[int, bytes]:
        """See `Journal.sent`."""
        return self._sent.get(receiver, {})

    def record_sent(self, receiver: int, step: int, digest: bytes) -> None:
        """See `Journal.record_sent`."""
        self._sent.setdefault(receiver, {})[step] = digest
        self._enter(f"sent {receiver} {step}", digest)

    def noted(self, label: str) -> bytes | None:
        """See `Journal.noted`."""
        return self._notes.get(label)

    def note(self, label: str, data: bytes) -> None:
        """See `Journal.note`."""
        self._notes[label] = data
        self._enter(f"note {label}", hashlib.sha256(data).digest())

    def seal(self) -> bytes:
        """See `Journal.seal`."""
        return self._digest.copy().digest()

    def close(self) -> None:
        """See `Journal.close`."""

    def discard(self) -> None:
        """See `Journal.discard`."""
        for part in (self._messages, self._received, self._sent, self._notes):
            part.clear()
        self._seed = b""

    def _enter(self, what: str, digest: bytes) -> None:
        self._digest.update(f"{what}\n".encode() + digest)
