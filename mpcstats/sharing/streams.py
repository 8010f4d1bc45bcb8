"""Randomness: AES-128 in counter mode, one fresh stream per key and use.

A stream's key is derived by HKDF-SHA256 from a long key and a label that names session, use and dealer, so no two
uses share a counter space. The parties that hold the same long key derive the same stream without communication.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from numpy.typing import NDArray

from mpcstats.errors import ProtocolError
from mpcstats.field import WordSource
from mpcstats.sharing.committee import Committee, Subset

__all__ = ["KeyRing", "Randomness", "Stream"]

_ZEROS = memoryview(bytes(1 << 16))


class Stream:
    """Uniform words from one derived key."""

    def __init__(self, key: bytes, label: str) -> None:
        info = b"mpcstats/v1/stream/" + label.encode()
        seed = HKDFExpand(algorithm=hashes.SHA256(), length=32, info=info).derive(key)
        self._encryptor = Cipher(algorithms.AES(seed[:16]), modes.CTR(seed[16:])).encryptor()

    def words(self, count: int) -> NDArray[np.uint64]:
        """The next `count` uniform 64-bit words."""
        out: NDArray[np.uint64] = np.empty(count, "<u8")
        self.fill(out)
        return out

    def fill(self, out: NDArray[np.uint64]) -> None:
        """Fill a contiguous array with the next uniform words."""
        if not out.size:
            return  # an empty buffer cannot be cast
        view = out.data.cast("B")
        for start in range(0, len(view), len(_ZEROS)):
            chunk = view[start : start + len(_ZEROS)]
            self._encryptor.update_into(_ZEROS[: len(chunk)], chunk)


class Randomness(Protocol):
    """Where a party's coins come from. Production uses `KeyRing`; exhaustive tests script every coin."""

    def private(self, label: str) -> WordSource:
        """Coins of this party alone."""
        ...

    def subset(self, members: Subset, label: str) -> WordSource:
        """Coins common to the members of a subset of m - t parties."""
        ...

    def pair(self, one: int, other: int, label: str) -> WordSource:
        """Coins common to two parties."""
        ...


class KeyRing:
    """The keys that one party holds in one epoch of one session.

    Parameters
    ----------
    committee : Committee
    index : int
        This party: 1..m, or a guest.
    subset_keys : dict of subset to 32 bytes
        One for each of `committee.keys_of(index, guests)`.
    pair_keys : dict of int to 32 bytes
        One for each other party; at a guest for each member.
    private_key : 32 bytes, optional
        For coins of this party alone; fresh by default.
    guests : sequence of int
        Parties outside of the committee.

    Notes
    -----
    A guest computes on placeholders: coins that members have in common without it are coins of its own there.
    """

    def __init__(
        self,
        committee: Committee,
        index: int,
        subset_keys: dict[Subset, bytes],
        pair_keys: dict[int, bytes],
        private_key: bytes | None = None,
        guests: Sequence[int] = (),
    ) -> None:
        partners = {*committee.members, *(() if index in guests else guests)} - {index}
        if set(subset_keys) != set(committee.keys_of(index, guests)) or set(pair_keys) != partners:
            raise ProtocolError("the key ring does not hold exactly the keys of its party")
        self._index = index
        self._is_guest = index in guests
        self._subset_keys = subset_keys
        self._pair_keys = pair_keys
        self._private_key = secrets.token_bytes(32) if private_key is None else private_key
        self._used: set[tuple[object, str]] = set()

    def __repr__(self) -> str:
        return f"<KeyRing of party {self._index}>"

    def _once(self, holder: object, label: str) -> None:
        # reusing a stream would reuse masks: a bug in a protocol, never a matter of input
        if (holder, label) in self._used:
            raise ProtocolError(f"randomness {label!r} was asked for twice")
        self._used.add((holder, label))

    def private(self, label: str) -> Stream:
        """Coins of this party alone."""
        self._once("private", label)
        return Stream(self._private_key, label)

    def subset(self, members: Subset, label: str) -> Stream:
        """Coins common to the members of a subset."""
        self._once(members, label)
        if self._is_guest and self._index not in members:
            return Stream(self._private_key, f"placeholder/{members}/{label}")
        return Stream(self._subset_keys[members], label)

    def pair(self, one: int, other: int, label: str) -> Stream:
        """Coins common to this party and another."""
        peer = other if one == self._index else one
        self._once((one, other), label)
        if self._is_guest and self._index not in (one, other):
            return Stream(self._private_key, f"placeholder/{one},{other}/{label}")
        return Stream(self._pair_keys[peer], f"{label}/from{one}")
