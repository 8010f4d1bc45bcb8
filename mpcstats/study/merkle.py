"""Merkle trees over a growing list (RFC 6962, RFC 9162 section 2.1): one short number stands for all of it, that an
item is in it and that a longer list continues a shorter one are shown with a few hashes.

Leaves are given as bytes of any length; a leaf and an inner node never have the same hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

__all__ = [
    "MAX_PROOF",
    "GrowingTree",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "root_of",
    "verify_consistency",
    "verify_inclusion",
]

MAX_PROOF = 64
"""Hashes of the longest proof: lists have fewer than 2^63 items."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of one item (32 bytes)."""
    return hashlib.sha256(b"\0" + data).digest()


class GrowingTree:
    """The root of a list that grows, in memory of its logarithm."""

    def __init__(self) -> None:
        self._stack: list[tuple[int, bytes]] = []  # full subtrees, largest first: (height, root)

    def add(self, leaf: bytes) -> None:
        """Append a leaf hash."""
        height, node = 0, leaf
        while self._stack and self._stack[-1][0] == height:
            node = _parent(self._stack.pop()[1], node)
            height += 1
        self._stack.append((height, node))

    @property
    def root(self) -> bytes:
        """The root of all so far (32 bytes); of none the SHA-256 of nothing."""
        if not self._stack:
            return hashlib.sha256().digest()
        root = self._stack[-1][1]
        for _, node in reversed(self._stack[:-1]):
            root = _parent(node, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root of a list of leaf hashes (32 bytes). Reads them once."""
    tree = GrowingTree()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from leaf `index` to the root, from the bottom (RFC 9162, 2.1.3.1)."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_proof(leaves[:split], index), root_of(leaves[split:])]
    return [*inclusion_proof(leaves[split:], index - split), root_of(leaves[:split])]


def consistency_proof(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """The hashes that show that the first `first` leaves are the start of all (RFC 9162, 2.1.4.1); 0 < first."""
    if not 0 < first <= len(leaves):
        raise IndexError(first)
    return _subproof(leaves, first, True)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a leaf hash is number `index` (from 0) of the list of `size` with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or len(proof) > MAX_PROOF:
        return False
    place, last, node = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            node = _parent(other, node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            node = _parent(node, other)
        place, last = place >> 1, last >> 1
    return last == 0 and node == root


def verify_consistency(first: int, second: int, first_root: bytes, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the list of `second` leaves begins with the one of `first` (RFC 9162, 2.1.4.2); 0 < first <= second."""
    if not 0 < first <= second or len(proof) > MAX_PROOF:
        return False
    if first == second:
        return not proof and first_root == root
    path = [*([first_root] if first & (first - 1) == 0 else []), *proof]
    if not path:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = _parent(other, old), _parent(other, new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            new = _parent(new, other)
        place, last = place >> 1, last >> 1
    return last == 0 and old == first_root and new == root


def _subproof(leaves: Sequence[bytes], first: int, whole: bool) -> list[bytes]:
    """`whole`: the verifier knows the root of the first leaves."""
    if first == len(leaves):
        return [] if whole else [root_of(leaves)]
    split = _split(len(leaves))
    if first <= split:
        return [*_subproof(leaves[:split], first, whole), root_of(leaves[split:])]
    return [*_subproof(leaves[split:], first - split, False), root_of(leaves[:split])]


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
