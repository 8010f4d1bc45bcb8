"""Starting a session: the parties agree on the study and make fresh keys.

Every party sends every other a fresh 32-byte contribution for each subset that holds both, and one for their pair. A
key is HKDF-SHA256 over the contributions of all its holders in order, bound to the session, the study and the subset.
Tags of all keys are compared before their first use. Two rounds.

A guest, outside of the committee, has a pair key with each member, and a key with each subset for the bits it deals.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mpcstats.errors import Divergence
from mpcstats.runtime.session import Session
from mpcstats.sharing.committee import Subset
from mpcstats.sharing.streams import KeyRing

__all__ = ["agree_on_keys"]

_KEY = 32
_TAG = 16


async def agree_on_keys(session: Session, study_digest: bytes, seed: bytes | None = None) -> None:
    """Give the session its keys.

    Parameters
    ----------
    study_digest : 32 bytes
        Everything that must be equal at all parties: session, roster, spec, plan, rules.
    seed : 32 bytes, optional
        Where all coins of this party alone come from: random, secret, and for one study digest only. Fresh by default;
        from a journal in a run that can be replayed.

    Raises
    ------
    Divergence
        A party runs another study, or holds other keys; it is named.
    """
    committee, me = session.committee, session.index
    subsets = committee.keys_of(me, session.guests)
    groups: list[Subset] = [*subsets, *((min(me, j), max(me, j)) for j in session.peers)]
    # a subset of two members and the same two as a pair get different keys: the kind is part of the name
    kinds = ["subset"] * len(subsets) + ["pair"] * len(session.peers)
    seed = secrets.token_bytes(_KEY) if seed is None else seed
    mine = [_own(seed, study_digest, f"{kind}/{','.join(map(str, g))}") for kind, g in zip(kinds, groups, strict=True)]

    def common(j: int) -> list[int]:
        return [k for k, group in enumerate(groups) if j in group]

    outgoing = {j: study_digest + b"".join(mine[k] for k in common(j)) for j in session.peers}
    received = await session.exchange(outgoing, {j: len(outgoing[j]) for j in session.peers}, guests=True)
    contributions = [{me: own} for own in mine]
    for j, data in received.items():
        if not hmac.compare_digest(bytes(data[: len(study_digest)]), study_digest):
            raise Divergence("runs another study, roster, plan or set of rules than this party", party=session.name(j))
        for place, k in enumerate(common(j)):
            start = len(study_digest) + place * _KEY
            contributions[k][j] = bytes(data[start : start + _KEY])
    keys = [
        _derive(kind, group, parts, study_digest)
        for kind, group, parts in zip(kinds, groups, contributions, strict=True)
    ]
    await _confirm_keys(session, keys, {j: common(j) for j in session.peers})
    count = len(subsets)
    session.randomness = KeyRing(
        committee,
        me,
        dict(zip(groups[:count], keys[:count], strict=True)),
        dict(zip(session.peers, keys[count:], strict=True)),
        _own(seed, study_digest, "private"),
        session.guests,
    )


def _own(seed: bytes, study_digest: bytes, use: str) -> bytes:
    """This party's own contribution to a key, or its private key."""
    info = f"mpcstats/v1/own/{use}".encode()
    return HKDF(algorithm=hashes.SHA256(), length=_KEY, salt=study_digest, info=info).derive(seed)


def _derive(kind: str, group: Subset, contributions: dict[int, bytes], study_digest: bytes) -> bytes:
    material = b"".join(contributions[j] for j in sorted(contributions))
    info = f"mpcstats/v1/{kind}/{','.join(map(str, group))}".encode()
    return HKDF(algorithm=hashes.SHA256(), length=_KEY, salt=study_digest, info=info).derive(material)


async def _confirm_keys(session: Session, keys: list[bytes], common: dict[int, list[int]]) -> None:
    def tag(k: int, sender: int) -> bytes:
        return hmac.new(keys[k], b"mpcstats/v1/confirm/%d" % sender, hashlib.sha256).digest()[:_TAG]

    outgoing = {j: b"".join(tag(k, session.index) for k in common[j]) for j in session.peers}
    received = await session.exchange(outgoing, {j: len(outgoing[j]) for j in session.peers}, guests=True)
    for j, data in received.items():
        expected = b"".join(tag(k, j) for k in common[j])
        if not hmac.compare_digest(bytes(data), expected):
            raise Divergence("holds other keys than this party after the key agreement", party=session.name(j))
