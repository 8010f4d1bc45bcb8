"""Signed entries: every act on a study, by whom, when. Each party's entries form a chain, so that none can be left out.

An entry holds for one consortium and one roster, names its predecessor in the chain of its party, and is signed with
the party's Ed25519 key. Two entries of a party with the same number are a fork: somebody signed two histories.
"""

from __future__ import annotations

import functools
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from mpcstats.errors import AuditBroken, SignatureInvalid
from mpcstats.study.canonical import document_digest
from mpcstats.study.signing import SigningKey, verify

__all__ = ["ACTIONS", "Action", "Entry", "SignedEntry", "check_chain", "sign_entry"]

Action = Literal[
    "join",  # the party takes part in the roster
    "rotate",  # the old key of a party names the new one
    "revoke-key",  # the key of a party, or of a person, holds no longer
    "propose",
    "approve",
    "reject",
    "comment",
    "withdraw",  # the proposal, or the own approval
    "computed",  # a run ended at this party; its result is sealed
    "release",
    "withhold",
    "released",  # a result was opened; has its certificate's signature
    "pause",  # a schedule
    "resume",
    "held",  # a scheduled run did not happen, or its result was held back
    "missing",  # a run begins without parties that this one does not reach; counts when all others say so
]
ACTIONS: tuple[str, ...] = get_args(Action)

KIND = "entry"
_HEX = r"^[0-9a-f]{64}$"


class Entry(BaseModel):
    """One act of one party.

    Attributes
    ----------
    consortium, roster : str
        Name, and digest of the roster (hex) under which the party acts.
    party : str
    number : int
        From 1, without gaps: place in this party's chain.
    previous : str
        Digest (hex) of the party's entry before; zeros for the first.
    action : str
    study : str
        The study's id (hex); "" where the act is about no study. Of a proposal it is the digest of the body.
    person : str
        Who did it at the party; "" for the node itself.
    time : str
        By the party's own clock, as `mpcstats.study.canonical.moment` writes it.
    body : dict
        What belongs to the action. Never a record's value, never a result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    apiVersion: Literal["mpcstats/v1"] = "mpcstats/v1"
    kind: Literal["Entry"] = "Entry"
    consortium: str = Field(min_length=1, max_length=64)
    roster: str = Field(pattern=_HEX)
    party: str = Field(min_length=1, max_length=64)
    number: int = Field(ge=1, lt=1 << 53)
    previous: str = Field(pattern=_HEX)
    action: Action
    study: str = Field(pattern=r"^([0-9a-f]{64})?$")
    person: str = Field(default="", max_length=200)
    time: str = Field(max_length=40)
    body: dict[str, Any] = {}

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical entry (hex), without its signature."""
        return document_digest(KIND, self).hex()


class SignedEntry(BaseModel):
    """An entry with its party's signature."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    entry: Entry
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")

    @property
    def digest(self) -> str:
        """Of the entry (hex)."""
        return self.entry.digest

    def check(self, public: bytes) -> None:
        """Verify the signature with the party's public signing key.

        Raises
        ------
        SignatureInvalid
            It does not hold.
        """
        entry = self.entry
        what = f"{entry.action} (entry {entry.number} of {entry.party})"
        verify(public, KIND, entry, bytes.fromhex(self.signature), what=what, party=entry.party)


def sign_entry(entry: Entry, key: SigningKey) -> SignedEntry:
    """Sign an entry with its party's key."""
    return SignedEntry(entry=entry, signature=key.sign(KIND, entry).hex())


def check_chain(entries: list[SignedEntry], public: bytes) -> None:
    """Check the whole chain of one party, in order from its first entry: signatures, numbers, predecessors.

    Raises
    ------
    AuditBroken
        An entry is missing, changed, repeated or out of order; says which.
    """
    previous = "0" * 64
    for number, signed in enumerate(entries, start=1):
        entry = signed.entry
        try:
            signed.check(public)
        except SignatureInvalid as error:
            raise AuditBroken(error.message, party=entry.party) from None
        if entry.number != number or entry.previous != previous:
            raise AuditBroken(
                f"entry {entry.number} does not follow entry {number - 1}: one is missing, or was changed",
                party=entry.party,
            )
        previous = signed.digest
