"""The only place where shares of several parties are put together.

Three kinds of opening: values that the manifest declares; numbers hidden under a mask (drawn and added here, so
that none can be forgotten or reused); bits hidden under a random bit. Every opened byte enters the session's digest,
which all parties compare before a result is used (`confirm`).
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import Divergence, InconsistentShares, RangeError
from mpcstats.field import M127, Elements, lagrange
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import BooleanShared, Shared
from mpcstats.sharing import blocks, prss, shamir
from mpcstats.sharing.committee import Subset
from mpcstats.transport.channel import Buffer

__all__ = [
    "confirm",
    "open_bits",
    "open_declared",
    "open_masked_bounded",
    "open_masked_full",
    "open_masked_parts",
    "open_masked_products",
]


async def open_declared(session: Session, x: Shared, name: str) -> Elements:
    """Open values that the manifest declares under `name`. One round; degree t only.

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
    return await _combine(session, x, name)


async def open_masked_full(session: Session, x: Shared, label: str) -> tuple[Elements, dict[Subset, Elements]]:
    """Open c = x + r for a fresh uniform r: perfectly hiding, no statistical loss. One round.

    Returns
    -------
    (c, parts)
        parts: r_A for each subset of this party; r is the sum over all subsets.
    """
    parts = prss.draw_uniform(x.field, session.committee, session.index, session.randomness, label, x.shape)
    mask = prss.combine(x.field, session.committee, session.index, parts)
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
    field, committee, me = x.field, session.committee, session.index
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
    parts = prss.draw_bounded(x.field, session.committee, session.index, session.randomness, label, x.shape, bits)
    mask = prss.combine(x.field, session.committee, session.index, parts)
    return await _combine(session, _rerandomised(session, x.plus(mask), label), label), parts


@dataclass(frozen=True)
class MaskedProduct:
    """A batch of products to be opened under fresh bounded masks, in blocks. M127, m = 2t + 1 parties.

    Attributes
    ----------
    x, y : Elements
        Flat shares of the factors, of degree t.
    offset : int
        Public number added to every product.
    bits : int
        Width of each part of a mask.
    shift : int
        `take` also gets this party's share of the sum of the parts, each shifted right by so many bits.
    take : function (span, opened, high)
        Called for every block with the opened numbers x y + offset + mask, and with the shares of the shifted mask.
    """

    x: Elements
    y: Elements
    offset: int
    bits: int
    shift: int
    take: Callable[[slice, Elements, Elements], None]


async def open_masked_products(session: Session, batch: MaskedProduct, label: str) -> None:
    """Open products under bounded masks and fresh sharings of zero; the fused form of `open_masked_bounded`.

    One round in blocks. The degree is 2t and all m = 2t + 1 shares are needed: as for every such opening nothing is
    checked here but the digest.
    """
    from mpcstats.field import fused

    field, committee, me = M127, session.committee, session.index
    assert committee.m == 2 * committee.t + 1
    count = field.shape(batch.x)[0]
    session.spend_masks(count)
    subsets = committee.subsets_of(me)
    bounded = [session.randomness.subset(A, label) for A in subsets]
    powers = range(1, committee.t + 1)
    uniform = [session.randomness.subset(A, f"{label}/zero{power}") for A in subsets for power in powers]
    weights = [committee.prss_weight(field, A, me) for A in subsets]
    zero_weights = [pow(me, power, field.modulus) * w for w in weights for power in powers]
    row = field.from_ints([[1, *weights, *zero_weights]])
    cut = blocks.bounded_masks(field, len(bounded), batch.bits), blocks.uniform_masks(field, len(uniform))
    masks = np.concatenate(cut)
    at_zero = {j: blocks.weight(field, w) for j, w in enumerate(lagrange(field, tuple(committee.members), 0), 1)}
    spans, offset = blocks.spans(field, count), field.constant(batch.offset)
    pending: dict[int, tuple[Elements, Elements]] = {}

    def produce(block: int) -> dict[int, memoryview]:
        span = spans[block]
        coins = blocks.draw(field, [*bounded, *uniform], span.stop - span.start)
        out, high = field.zeros((1, coins.shape[1])), field.zeros((coins.shape[1],))
        if fused.mix127(batch.x[span], batch.y[span], coins, masks, row, out):
            blocks.redraw(field, uniform, coins[len(bounded) :])
            fused.mix127(batch.x[span], batch.y[span], coins, masks, row, out)
        fused.shifted127(coins[: len(bounded)], row[0, 1 : 1 + len(bounded)], batch.shift, high)
        pending[block] = out[0], high
        data = field.to_bytes(out[0])
        return dict.fromkeys(session.others, data)

    def expected(block: int) -> dict[int, int]:
        return dict.fromkeys(session.others, (spans[block].stop - spans[block].start) * field.item_bytes)

    def consume(block: int, messages: Mapping[int, Buffer]) -> None:
        own, high = pending.pop(block)
        total = np.broadcast_to(offset, own.shape).copy()
        fused.accumulate127(total, own, at_zero[me])
        for j, data in messages.items():
            fused.accumulate127(total, field.from_bytes(data, field.shape(own)), at_zero[j])
        session.openings.record(label, field.to_bytes(total))
        batch.take(spans[block], total, high)

    await session.pipeline(len(spans), produce, expected, consume)


async def open_bits(session: Session, bits: BooleanShared, label: str) -> NDArray[np.uint64]:
    """Open boolean shares of bits that the caller has hidden under random bits. One round.

    Each party sends, to each party that lacks shares, the XOR of those that it is first to hold.

    Returns
    -------
    uint64 (bits, words)
    """
    committee, me = session.committee, session.index
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


async def confirm(session: Session) -> None:
    """Compare the digests of everything opened. One round, 32 bytes to each party.

    Raises
    ------
    Divergence
        Names the first party that opened other values than this one.
    """
    ours = session.openings.digest
    theirs = await session.exchange(dict.fromkeys(session.others, ours), dict.fromkeys(session.others, len(ours)))
    for j, digest in sorted(theirs.items()):
        if not hmac.compare_digest(bytes(digest), ours):
            raise Divergence("opened other values than this party; the result is not used", party=session.name(j))


def _rerandomised(session: Session, x: Shared, label: str) -> Shared:
    """Add a fresh sharing of zero to a sharing of degree 2t: its other coefficients are products of secrets."""
    if x.degree <= session.committee.t:
        return x
    zero = prss.zero_share(x.field, session.committee, session.index, session.randomness, f"{label}/zero", x.shape)
    return replace(x, values=x.field.add(x.values, zero))


async def _combine(session: Session, x: Shared, label: str) -> Elements:
    field = x.field
    received = await session.exchange_elements(field, dict.fromkeys(session.others, x), session.others, x.shape)
    shares: Mapping[int, Elements] = {session.index: x.values, **{j: s.values for j, s in received.items()}}
    value = shamir.reconstruct_checked(field, shares, x.degree)
    if value is None:
        raise InconsistentShares(
            f"the shares of {label.rsplit('/', 1)[-1]!r} do not lie on one polynomial of degree {x.degree}: "
            "a party sent a wrong share",
            hint="repeat the run; if it happens again, compare the parties' versions and logs",
        )
    session.openings.record(label, field.to_bytes(value))
    return value
