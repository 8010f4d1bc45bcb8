"""Packed boolean shares: bits of many values side by side in 64-bit words, replicated over subsets.

A bit b is the XOR of one share b_A per subset A of m - t parties; every member of A holds b_A. A party's share of a
batch is a uint64 array (subsets of the party, bits, words): 64 values per word, one plane per bit position. XOR and
AND with public bits are local; a product of two shared bits costs one exchange (see protocols.boolean).
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import Elements, PrimeField, WordSource
from mpcstats.sharing.committee import Committee
from mpcstats.sharing.streams import Randomness

__all__ = [
    "Words",
    "add_correction",
    "add_public",
    "cross_terms",
    "deal_bits",
    "deal_bits_outside",
    "flip",
    "lanes",
    "pack",
    "place_common",
    "receive_bits",
    "redeal",
    "to_field",
    "unpack",
]

Words = NDArray[np.uint64]
Planes = NDArray[np.int64]
_FAST_FROM = 256
"""Values from which the compiled transposition pays."""


def lanes(count: int) -> int:
    """Words that hold one bit of `count` values."""
    return -(-count // 64)


def pack(field: PrimeField, a: Elements) -> Words:
    """Bit planes of a flat element array: (field.bits, words)."""
    count = field.shape(a)[0]
    if count >= _FAST_FROM:
        return _pack_fast(field, a)
    bytes_per = field.item_bytes
    raw = np.ascontiguousarray(a, "<u8").view(np.uint8).reshape(count, bytes_per)
    bits = np.unpackbits(raw, axis=1, bitorder="little")[:, : field.bits]
    return pack_bits(bits.T)


def _pack_fast(field: PrimeField, a: Elements) -> Words:
    """`pack` by transposing 64 numbers at a time; the other way is its slow twin."""
    from mpcstats.field.bitslice import planes

    count = field.shape(a)[0]
    out = np.empty((64 * field.limbs, lanes(count)), np.uint64)
    for limb in range(field.limbs):
        words = a if field.limbs == 1 else a[:, limb]
        planes(np.ascontiguousarray(words), out[64 * limb : 64 * (limb + 1)])
    return out[: field.bits]


def pack_bits(bits: NDArray[np.uint8]) -> Words:
    """Words (planes, words) from zeros and ones (planes, values)."""
    packed = np.packbits(bits, axis=1, bitorder="little")
    padded = np.zeros((bits.shape[0], 8 * lanes(bits.shape[1])), np.uint8)
    padded[:, : packed.shape[1]] = packed
    return padded.view("<u8")


def to_field(field: PrimeField, planes: Words, count: int) -> Elements:
    """Field elements 0 and 1 (planes, count) from words (planes, words)."""
    bits = unpack(planes, count)
    if field.limbs == 1:
        return bits.astype(np.uint64)
    out = field.zeros(bits.shape)
    out[..., 0] = bits
    return out


def flip(field: PrimeField, shares: Elements, public: Words) -> Elements:
    """Shares of b XOR e for shared b in {0, 1} and public bits e: 1 - b where e is one. (planes, count)."""
    if field.modulus <= 2**60:
        ones = unpack(public, field.shape(shares)[1]).astype(np.bool_)
        return np.where(ones, field.sub(field.constant(1), shares), shares)
    from mpcstats.field import gates

    out = np.empty_like(shares)
    (gates.flip61 if field.limbs == 1 else gates.flip127)(np.ascontiguousarray(shares), public, out)
    return out


def unpack(planes: Words, count: int) -> NDArray[np.uint8]:
    """Zeros and ones (planes, count) from words (planes, words)."""
    raw = np.ascontiguousarray(planes, "<u8").view(np.uint8)
    return np.unpackbits(raw, axis=1, bitorder="little")[:, :count]


def draw_words(coins: WordSource, shape: tuple[int, ...]) -> Words:
    """Uniform words."""
    return coins.words(int(np.prod(shape, dtype=np.int64))).reshape(shape)


def deal_bits(committee: Committee, dealer: int, secret: Words, coins: Randomness, label: str) -> tuple[Words, Words]:
    """A dealer's boolean shares of its own bits, and the one share it must send.

    All shares b_A come from subset keys, except the one of the correction subset, which makes the XOR right; it goes
    to that subset's other members. A coalition of t parties misses either that share or one of the keyed ones.

    Returns
    -------
    (shares, correction)
        shares: (subsets of the dealer, *secret.shape); correction: secret.shape.
    """
    special = committee.correction_subset(dealer)
    subsets = committee.subsets_of(dealer)
    shares = np.empty((len(subsets), *secret.shape), np.uint64)
    correction = secret.copy()
    for row, A in enumerate(subsets):
        if special != A:
            shares[row] = draw_words(coins.subset(A, f"{label}/bits{dealer}"), secret.shape)
            correction ^= shares[row]
    shares[subsets.index(special)] = correction
    return shares, correction


def deal_bits_outside(committee: Committee, dealer: int, secret: Words, coins: Randomness, label: str) -> Words:
    """What a guest sends to all of its correction subset: with it, the coins that it has with each other subset share
    its bits.

    A coalition of t members is in no subset of its complement: it misses the coins, or the correction, of that one.
    """
    special = committee.correction_subset(dealer)
    correction = secret.copy()
    for A in committee.subsets:
        if special != A:
            correction ^= draw_words(coins.subset((*A, dealer), f"{label}/bits{dealer}"), secret.shape)
    return correction


def receive_bits(
    committee: Committee,
    dealer: int,
    index: int,
    shape: tuple[int, ...],
    correction: Words | None,
    coins: Randomness,
    label: str,
) -> Words:
    """A receiver's boolean shares of bits dealt by another party, a member or a guest."""
    special = committee.correction_subset(dealer)
    subsets = committee.subsets_of(index)
    outside = dealer not in committee.members
    shares = np.zeros((len(subsets), *shape), np.uint64)
    for row, A in enumerate(subsets):
        if special == A:
            assert correction is not None
            shares[row] = correction
        elif outside or dealer in A:
            holders = (*A, dealer) if outside else A
            shares[row] = draw_words(coins.subset(holders, f"{label}/bits{dealer}"), shape)
    return shares


def place_common(committee: Committee, index: int, common: Words | None, shape: tuple[int, ...]) -> Words:
    """Shares of bits that all of the last subset {t+1..m} know and nobody else: no communication."""
    last = tuple(range(committee.t + 1, committee.m + 1))
    subsets = committee.subsets_of(index)
    shares = np.zeros((len(subsets), *shape), np.uint64)
    if last in subsets:
        assert common is not None
        shares[subsets.index(last)] = common
    return shares


def add_public(committee: Committee, index: int, shares: Words, public: Words) -> Words:
    """XOR with public bits: they go into the share of the first subset."""
    first = committee.subsets[0]
    subsets = committee.subsets_of(index)
    out = shares.copy()
    if first in subsets:
        out[subsets.index(first)] ^= public
    return out


def cross_terms(committee: Committee, index: int, x: Words, left: Planes, y: Words, right: Planes) -> Words:
    """This party's part of the AND of planes left[k] of x and right[k] of y: the XOR over all parties is the product.

    Returns
    -------
    uint64 (len(left), words)
    """
    from mpcstats.field import gates

    partners, counts = _partners(committee, index)
    out = np.empty((len(left), x.shape[2]), np.uint64)
    gates.cross_terms(np.ascontiguousarray(x), np.ascontiguousarray(y), left, right, partners, counts, out)
    return out


@functools.cache
def _partners(committee: Committee, index: int) -> tuple[Planes, Planes]:
    """For each share x_A of a party the rows of all y_B that it multiplies with it, and how many these are."""
    subsets = committee.subsets_of(index)
    table, counts = np.zeros((len(subsets),) * 2, np.int64), np.zeros(len(subsets), np.int64)
    for row, A in enumerate(subsets):
        chosen = [k for k, B in enumerate(subsets) if committee.and_assignment[A, B] == index]
        table[row, : len(chosen)], counts[row] = chosen, len(chosen)
    return table, counts


def redeal(committee: Committee, index: int, secret: Words, coins: Randomness, label: str, shares: Words) -> Words:
    """Shares of the XOR of what all parties deal, as far as keys give them, and this party's correction.

    The same as `deal_bits` at home and `receive_bits` from everybody else, added up in place: what is missing in the
    result are the corrections of the others, which `add_correction` puts in.

    Parameters
    ----------
    secret : Words
        Becomes the correction, which is also returned.
    shares : Words, (subsets of the party, *secret.shape)
        Filled here.
    """
    subsets = committee.subsets_of(index)
    special = committee.correction_subset(index)
    scratch = None
    for row, A in enumerate(subsets):
        dealers = [dealer for dealer in A if committee.correction_subset(dealer) != A]
        for k, dealer in enumerate(dealers):
            stream = coins.subset(A, f"{label}/bits{dealer}")
            if k == 0:
                drawn = shares[row]
            else:
                scratch = drawn = np.empty_like(secret) if scratch is None else scratch
            _fill(stream, drawn)
            if dealer == index:
                secret ^= drawn
            if k:
                shares[row] ^= drawn
        if not dealers:
            shares[row] = 0
    shares[subsets.index(special)] ^= secret
    return secret


def _fill(coins: WordSource, out: Words) -> None:
    """Fill planes with uniform words."""
    coins.fill(out.reshape(-1))


def add_correction(committee: Committee, index: int, shares: Words, dealer: int, correction: Words) -> None:
    """Add another dealer's correction to the shares, in place."""
    shares[committee.subsets_of(index).index(committee.correction_subset(dealer))] ^= correction
