"""The only place where shares of several parties are put together.

Three kinds of opening: values that the manifest declares; numbers hidden under a mask (drawn and added here, so
that none can be forgotten or reused); bits hidden under a random bit. Every opened byte enters the session's digest,
which all parties compare before a result is used (`confirm`).
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import Divergence, InconsistentShares, RangeError
from mpcstats.field import M127, Elements, WordSource
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import BooleanShared, Shared
from mpcstats.sharing import blocks, boolean, prss, shamir
from mpcstats.sharing.committee import Subset
from mpcstats.transport.channel import Buffer

__all__ = [
    "confirm",
    "open_bits",
    "open_declared",
    "open_declared_bits",
    "open_masked_bounded",
    "open_masked_full",
    "open_masked_parts",
    "open_masked_products",
    "open_to",
]


async def open_declared(session: Session, x: Shared, name: str) -> Elements:
    """Open values that the manifest declares under `name`. One round; degree t only.

    Results of a session with `recipients` are opened to these alone: zeros at all others.

    Raises
    ------
    UndeclaredOpening
        Before anything is sent.
    InconsistentShares
        The shares do not lie on one polynomial.
    """
    session.openings.allow(name, x.size)
    if x.degree > session.committee.t:
        # a sharing of degree 2t may tell about the factors, and cannot be checked
        raise RangeError("only sharings of degree t are opened; products are reshared first")
    return await _combine(session, x, name, declared=True)


async def open_to(session: Session, x: Shared, name: str, receiver: int) -> Elements | None:
    """Open values that the manifest declares under `name` to one party alone; None at all others. One round.

    The others send their shares to the receiver and hear nothing. Degree t only; the receiver checks that the shares
    lie on one polynomial. What only one party knows is in nobody's digest but by its name.

    Raises
    ------
    UndeclaredOpening, InconsistentShares
        As `open_declared`.
    """
    session.openings.allow(name, x.size)
    if x.degree > session.committee.t:
        raise RangeError("only sharings of degree t are opened; products are reshared first")
    mine = session.index == receiver
    outgoing = {} if mine or session.is_guest else {receiver: x}
    senders = [j for j in session.peers if j in session.committee.members] if mine else ()
    received = await session.exchange_elements(x.field, outgoing, senders, x.shape, guests=True)
    session.openings.record(f"{name} to {receiver}", b"", declared=True)
    if not mine:
        return None
    shares = _with_own(session, x, received)
    return _checked(x, shares, name)


async def open_masked_full(session: Session, x: Shared, label: str) -> tuple[Elements, dict[Subset, Elements]]:
    """Open c = x + r for a fresh uniform r: perfectly hiding, no statistical loss. One round.

    Returns
    -------
    (c, parts)
        parts: r_A for each subset of this party; r is the sum over all subsets.
    """
    parts = prss.draw_uniform(x.field, session.committee, session.point, session.randomness, label, x.shape)
    mask = prss.combine(x.field, session.committee, session.point, parts)
    return await _combine(session, _rerandomised(session, x.plus(mask), label), label), parts


async def open_masked_parts(session: Session, x: Shared, factor: int, label: str) -> tuple[Elements, Elements]:
    """Open c = factor x + r for a fresh uniform r = S_1 + ... + S_(t+1), x flat and of degree t. One round.

    Perfectly hiding, no statistical loss. Each subset's part of the mask is accounted for by one party i <= t, or by
    all of the last subset {t+1..m}, whose members all hold it: S_i is the sum of the parts of i.

    Returns
    -------
    (c, -S_i)
        i = this party's number, or t + 1 if that is smaller.
    """
    field, committee, me = x.field, session.committee, session.point
    subsets = committee.subsets_of(me)
    group = min(me, committee.t + 1)
    row = [factor, *(committee.prss_weight(field, A, me) for A in subsets)]
    negated = [0, *(-1 if committee.mask_holder(A) == group else 0 for A in subsets)]
    streams = [session.randomness.subset(A, label) for A in subsets]
    masked, own = blocks.blend(field, x.values, streams, [row, negated])
    return await _combine(session, replace(x, values=masked, fraction_bits=0), label), own


async def open_masked_bounded(
    session: Session, x: Shared, label: str, bits: int
) -> tuple[Elements, dict[Subset, Elements]]:
    """Open c = x + r for r = sum of r_A, each uniform in [0, 2^bits). Costs statistical security. One round.

    The caller vouches that 0 <= x < 2^(bits - kappa) and that x + r does not reach p.
    """
    session.spend_masks(x.size)
    parts = prss.draw_bounded(x.field, session.committee, session.point, session.randomness, label, x.shape, bits)
    mask = prss.combine(x.field, session.committee, session.point, parts)
    return await _combine(session, _rerandomised(session, x.plus(mask), label), label), parts


@dataclass(frozen=True)
class MaskedProduct:
    """A batch of products to be opened under fresh bounded masks, in blocks. M127, m = 2t + 1 parties.

    Attributes
    ----------
    x, y : Elements
        Flat shares of the factors, of degree t.
    offset : int
        Public number added to every product before it is opened.
    bits : int
        Width of each part of a mask.
    shift : int
        Bits, 1 to 126, by which the opened numbers and the parts of the masks are shifted right.
    minus : int
        Public number taken off afterwards.
    """

    x: Elements
    y: Elements
    offset: int
    bits: int
    shift: int
    minus: int


async def open_masked_products(session: Session, batch: MaskedProduct, label: str) -> Elements:
    """Open products under bounded masks and fresh sharings of zero; the fused form of `open_masked_bounded`.

    One round in blocks. The degree is 2t and all m = 2t + 1 shares are needed: as for every such opening nothing is
    checked here but the digest.

    Returns
    -------
    Elements
        Shares, of degree t, of (opened >> shift) - minus - (sum of the parts, each >> shift).
    """
    from mpcstats.field import fused_fixed

    field, others = M127, session.others
    assert session.committee.m == 2 * session.committee.t + 1
    count = field.shape(batch.x)[0]
    session.spend_masks(count)
    spans, masks = blocks.spans(field, count), _ProductMasks.of(session, batch, label)
    # at zero a polynomial of degree 2t is a sum of its values at 1..m with binomial coefficients
    weights = np.array([(-1) ** j * math.comb(session.committee.m, j + 1) for j in range(session.committee.m)])
    offset, minus = field.constant(batch.offset), field.constant(batch.minus)
    result, pending = np.empty((count, 2), np.uint64), {}
    opened = np.empty((max((span.stop - span.start for span in spans), default=0), 2), np.uint64)
    shares = np.empty((len(weights), min(fused_fixed.CHUNK, len(opened)), 2), np.uint64)

    def produce(block: int) -> dict[int, memoryview]:
        span = spans[block]
        pending[block] = out = np.empty((span.stop - span.start, 2), np.uint64)
        masks.add(batch.x[span], batch.y[span], out, result[span])
        return dict.fromkeys(others, field.to_bytes(out))

    def expected(block: int) -> dict[int, int]:
        return dict.fromkeys(others, (spans[block].stop - spans[block].start) * field.item_bytes)

    def consume(block: int, messages: Mapping[int, Buffer]) -> None:
        high = result[spans[block]]
        size = len(high)
        received = {session.point: pending.pop(block)}
        received |= {j: np.frombuffer(data, "<u8").reshape(size, 2) for j, data in messages.items()}
        for start in range(0, size, shares.shape[1]):
            at = slice(start, min(size, start + shares.shape[1]))
            part = shares[:, : at.stop - start]
            for j, share in received.items():
                part[j - 1] = share[at]
            if fused_fixed.opened127(part, weights, offset, batch.shift, minus, opened[at], high[at]):
                raise RangeError("a field element is not below the modulus")
        session.openings.record(label, field.to_bytes(opened[:size]))

    await session.pipeline(len(spans), produce, expected, consume)
    return result


@dataclass(frozen=True)
class _ProductMasks:
    """The streams of bounded masks and of sharings of zero, with this party's weights."""

    batch: MaskedProduct
    bounded: list[WordSource]
    uniform: list[WordSource]
    weights: Elements
    mask: Elements
    coins: Elements

    @classmethod
    def of(cls, session: Session, batch: MaskedProduct, label: str) -> _ProductMasks:
        from mpcstats.field.fused_fixed import CHUNK
        from mpcstats.sharing import blocks

        committee, me, coins = session.committee, session.point, session.randomness
        subsets, powers = committee.subsets_of(me), range(1, committee.t + 1)
        bounded = [coins.subset(A, label) for A in subsets]
        uniform = [coins.subset(A, f"{label}/zero{power}") for A in subsets for power in powers]
        weights = [committee.prss_weight(M127, A, me) for A in subsets]
        zeros = [pow(me, power, M127.modulus) * w for w in weights for power in powers]
        return cls(
            batch,
            bounded,
            uniform,
            M127.from_ints([*weights, *zeros]),
            blocks.bounded_masks(M127, 1, batch.bits)[0],
            np.empty((len(bounded) + len(uniform), min(CHUNK, M127.shape(batch.x)[0]), 2), np.uint64),
        )

    def add(self, x: Elements, y: Elements, out: Elements, high: Elements) -> None:
        """out = x y + masks; high = the parts of the bounded mask, shifted."""
        from mpcstats.field.fused_fixed import masked127
        from mpcstats.sharing import blocks

        step, bounded = self.coins.shape[1], len(self.bounded)
        for start in range(0, len(out), step):
            at = slice(start, min(len(out), start + step))
            coins = self.coins[:, : at.stop - start]
            for row, stream in zip(coins, [*self.bounded, *self.uniform], strict=True):
                stream.fill(row)
            masked = (x[at], y[at], coins, bounded, self.mask, self.weights, self.batch.shift, out[at], high[at])
            if masked127(*masked):
                coins[bounded:, :, 1] &= np.uint64((1 << 63) - 1)
                blocks.redraw(M127, self.uniform, coins[bounded:])
                masked127(*masked)


async def open_bits(session: Session, bits: BooleanShared, label: str) -> NDArray[np.uint64]:
    """Open boolean shares of bits that the caller has hidden under random bits. One round.

    Each party sends, to each party that lacks shares, the XOR of those that it is first to hold.

    Returns
    -------
    uint64 (bits, words)
    """
    committee, me = session.committee, session.point
    subsets = committee.subsets_of(me)

    def first_of(subset: Subset) -> int:
        return subset[0]

    outgoing = {}
    for j in session.others:
        rows = [row for row, A in enumerate(subsets) if j not in A and first_of(A) == me]
        if rows:
            outgoing[j] = np.bitwise_xor.reduce(bits.words[rows], axis=0)
    senders = {first_of(A) for A in committee.subsets if me not in A}
    shape = bits.words.shape[1:]
    size = 8 * int(np.prod(shape, dtype=np.int64))
    messages = {j: words.data.cast("B") for j, words in outgoing.items()}
    received = await session.exchange(messages, dict.fromkeys(senders, size))
    total: NDArray[np.uint64] = np.bitwise_xor.reduce(bits.words, axis=0)
    for data in received.values():
        total = total ^ np.frombuffer(data, "<u8").reshape(shape)
    session.openings.record(label, np.ascontiguousarray(total).data.cast("B"))
    return total


async def open_declared_bits(session: Session, bits: BooleanShared, name: str) -> NDArray[np.uint8]:
    """Open shared bits that the manifest declares under `name`, one value for each bit and lane. One round.

    Lanes behind `bits.count` stay closed, whatever is in them.

    Every member that has a share sends it to all that lack it: with m = 2t + 1 each share comes from t + 1 parties, so
    that up to t wrong ones are noticed. A coalition of t parties lacks one share, which follows from its own and the
    bits.

    Returns
    -------
    uint8 (bits, values)

    Raises
    ------
    UndeclaredOpening
        Before anything is sent.
    InconsistentShares
        Two parties sent different shares.
    """
    committee, me = session.committee, session.index
    planes, lanes = bits.words.shape[1:]
    session.openings.allow(name, planes * bits.count)
    subsets = committee.subsets_of(me)
    shown = bits.words & boolean.pack_bits(np.ones((1, bits.count), np.uint8))
    for_some = session.openings.for_some(name)
    outgoing: dict[int, Buffer] = {}
    for j in () if session.is_guest else session.peers:
        rows = [row for row, A in enumerate(subsets) if j not in A]
        if not for_some or session.receives(j):
            outgoing[j] = np.ascontiguousarray(shown[rows], "<u8").data.cast("B")
    if for_some and session.blind:
        await session.exchange(outgoing, {}, guests=True)
        session.openings.record_size(name, planes * bits.count)
        return np.zeros((planes, bits.count), np.uint8)
    members = [j for j in session.peers if j in committee.members]
    lacking = {j: [A for A in committee.subsets_of(j) if me not in A] for j in members}
    size = 8 * planes * lanes
    received = await session.exchange(outgoing, {j: size * len(sets) for j, sets in lacking.items()}, guests=True)
    shares: dict[Subset, NDArray[np.uint64]] = {}
    for j, sets in lacking.items():
        sent = np.frombuffer(received.get(j, b""), "<u8").reshape(len(sets), planes, lanes)
        for A, share in zip(sets, sent, strict=True):
            if not np.array_equal(shares.setdefault(A, share), share):
                raise _inconsistent(name, "two parties sent different shares of the same bits")
    total: NDArray[np.uint64] = np.bitwise_xor.reduce(shown[: 0 if session.is_guest else None], axis=0)
    for share in shares.values():
        total = total ^ share
    opened = boolean.unpack(total, bits.count)
    if for_some:
        session.openings.record_size(name, opened.size)
    data = np.ascontiguousarray(opened).data.cast("B")
    session.openings.record(name, data, declared=True, seen_by_some=for_some)
    return opened


async def confirm(session: Session) -> None:
    """Compare the digests of everything opened; with guests, of what is opened by declaration. One round, 32 bytes to
    each party; recipients also compare what they alone have seen.

    Raises
    ------
    Divergence
        Names the first party that opened other values than this one.
    """
    log, guests = session.openings, session.guests
    ours = {j: log.declared_digest if session.is_guest or j in guests else log.digest for j in session.peers}
    if session.recipients is not None and not session.blind:
        ours |= {j: digest + log.seen_digest for j, digest in ours.items() if session.receives(j)}
    theirs = await session.exchange(ours, {j: len(digest) for j, digest in ours.items()}, guests=True)
    for j, digest in sorted(theirs.items()):
        if not hmac.compare_digest(bytes(digest), ours[j]):
            raise Divergence("opened other values than this party; the result is not used", party=session.name(j))


def _rerandomised(session: Session, x: Shared, label: str) -> Shared:
    """Add a fresh sharing of zero to a sharing of degree 2t: its other coefficients are products of secrets."""
    if x.degree <= session.committee.t:
        return x
    zero = prss.zero_share(x.field, session.committee, session.point, session.randomness, f"{label}/zero", x.shape)
    return replace(x, values=x.field.add(x.values, zero))


async def _combine(session: Session, x: Shared, label: str, declared: bool = False) -> Elements:
    """Open to all members, and what is declared to guests, too: these get every member's share, and send nothing.

    Where results are for some parties, shares of them go to these alone; all enter the size in the digest, recipients
    the values in one of their own.
    """
    field, receivers = x.field, session.peers if declared else session.others
    for_some = declared and session.openings.for_some(label)
    blind = for_some and session.blind
    members = [] if blind else [j for j in receivers if j in session.committee.members]
    outgoing = {} if session.is_guest else {j: x for j in receivers if not for_some or session.receives(j)}
    received = await session.exchange_elements(field, outgoing, members, x.shape, guests=declared)
    if for_some:
        session.openings.record_size(label, x.size)
    if blind or (session.is_guest and not declared):
        return field.zeros(x.shape)
    value = _checked(x, _with_own(session, x, received), label)
    session.openings.record(label, field.to_bytes(value), declared, for_some)
    return value


def _with_own(session: Session, x: Shared, received: Mapping[int, Shared]) -> dict[int, Elements]:
    """The members' shares, with this party's own if it is one."""
    shares = {j: share.values for j, share in received.items()}
    return shares if session.is_guest else {session.index: x.values, **shares}


def _checked(x: Shared, shares: Mapping[int, Elements], label: str) -> Elements:
    value = shamir.reconstruct_checked(x.field, shares, x.degree)
    if value is None:
        raise _inconsistent(
            label, f"they do not lie on one polynomial of degree {x.degree}: a party sent a wrong share"
        )
    return value


def _inconsistent(label: str, problem: str) -> InconsistentShares:
    return InconsistentShares(
        f"the shares of {label.rsplit('/', 1)[-1]!r} are wrong: {problem}",
        hint="repeat the run; if it happens again, compare the parties' versions and logs",
    )
