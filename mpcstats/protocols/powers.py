"""Powers of two and signs as field elements, from shared bits of their exponents.

Modulo p = 2^n - 1 the number 2 has order n. So an exponent e is masked by uniform rho_1 + ... + rho_(t+1) modulo n,
each known to one party (the last one to a whole subset), in an adder of a few bit planes; c = e + rho_1 + ... modulo n
is opened, which tells nothing, and

    2^(k e) = 2^(k c) * product of 2^(-k rho_i)

whose last factors their holders deal as field elements. Signs (-1)^b go along: the parts of the mask of b are signs.
A conversion bit by bit (`to_arithmetic`) and a tree of products would cost as much for each bit of e.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import RangeError
from mpcstats.field import Elements, PrimeField, small_field
from mpcstats.protocols.arithmetic import deal, multiply
from mpcstats.protocols.bits import add_bits, add_bits_work, carry_save, share_groups, stack
from mpcstats.protocols.declare import Case
from mpcstats.protocols.work import Work, call
from mpcstats.runtime.opening import open_bits
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import BooleanShared, Shared, concatenate
from mpcstats.sharing import boolean

__all__ = ["Power", "exponent_bits", "powers", "powers_work"]


@dataclass(frozen=True)
class Power:
    """One wanted number, 2^(scale e) (-1)^b.

    Attributes
    ----------
    scale : int
        Any sign; 0 for a sign alone.
    sign : int, optional
        Which of the shared signs; None for no sign.
    """

    scale: int
    sign: int | None = None


def exponent_bits(field: PrimeField) -> int:
    """Planes of an exponent modulo n.

    Raises
    ------
    RangeError
        p = 2^n - 1 with n = 2^k - 1 is not so: of the production fields it is in M127.
    """
    bits = field.bits.bit_length()
    if not field.is_mersenne or field.bits + 1 != 1 << bits:
        raise RangeError(f"powers of two from shared exponents need the field M127, not {field}")
    return bits


def powers_work(c: Case, signs: int, wanted: int) -> Work:
    """Cost of `powers`."""
    t, k = c.committee.t, exponent_bits(c.field)
    total, parts = Work(2, t * ((k + signs) * c.deal_plane + wanted * c.deal)) if t else Work(), t + 1
    while parts > 1:
        total, parts = total + call("multiply", c).wide(wanted * (parts // 2)), parts - parts // 2
    adder = call("bit_and", c).wide(k) * t + add_bits_work(c, k, tuple(range(k)))
    return total + adder + Work(1, (k + signs) * c.open_plane)


async def powers(
    session: Session, field: PrimeField, exponent: BooleanShared, signs: BooleanShared, wanted: Sequence[Power]
) -> list[Shared]:
    """Flat arrays of 2^(scale e) (-1)^b for each of `wanted`, all in the same rounds. Reveals nothing.

    Parameters
    ----------
    exponent : BooleanShared
        Bits of e < n, lowest first; at most `exponent_bits(field)` planes.
    signs : BooleanShared
        Planes of b.

    Notes
    -----
    5 + t + log2(t + 1) + log2(k) rounds for n = 2^k - 1: 10 in M127 at m = 3.
    """
    k, count = exponent_bits(field), exponent.count
    mask, masked = _draw_mask(session, field, signs.words.shape[1], count)
    shared = await share_groups(session, masked, count)
    factors = await _products(session, field, _factors(field, mask, wanted))
    missing = k - exponent.words.shape[1]
    x = replace(exponent, words=np.pad(exponent.words, ((0, 0), (0, missing), (0, 0))))
    y = shared[0].planes(slice(0, k))
    # no operand is n itself, so no two numbers that are left are both n: the sum is opened in [0, n)
    for z in shared[1:]:
        x, y, _ = await carry_save(session, x, y, z.planes(slice(0, k)))
    total, _ = await add_bits(session, x, y, tuple(range(k)))
    for z in shared:
        signs = signs ^ z.planes(slice(k, None))
    opened = await open_bits(session, stack(total, signs), session.label("powers"))
    public = _Mask.read(boolean.unpack(opened, count), k)
    return [factors[j].times(public.power(field, w.scale, w.sign)) for j, w in enumerate(wanted)]


@dataclass(frozen=True)
class _Mask:
    """An exponent modulo n and signs, in the clear: one part of a mask, or what was opened."""

    exponent: NDArray[np.uint8]
    signs: NDArray[np.uint8]

    @classmethod
    def read(cls, planes: NDArray[np.uint8], k: int) -> _Mask:
        """From zeros and ones (planes, count)."""
        exponent = planes[0].copy()
        for i in range(1, k):
            exponent |= planes[i] << np.uint8(i)
        return cls(exponent, planes[k:])

    def power(self, field: PrimeField, scale: int, sign: int | None) -> Elements:
        """2^(scale e) (-1)^b."""
        signed = np.uint8(field.bits + 1)
        index = self.exponent if sign is None else self.exponent + signed * self.signs[sign]
        return _table(field, scale).take(index, axis=0)  # ten times as fast as by brackets


@functools.cache
def _table(field: PrimeField, scale: int) -> Elements:
    """2^(scale e) for e = 0..n, then their negatives."""
    plain = [pow(2, scale * e % field.bits, field.modulus) for e in range(field.bits + 1)]
    return field.from_ints([*plain, *(-v for v in plain)])


def _draw_mask(session: Session, field: PrimeField, signs: int, count: int) -> tuple[_Mask, boolean.Words]:
    """This party's part of the mask, and its planes."""
    committee, me, label = session.committee, session.point, session.label("powers")
    last = tuple(range(committee.t + 1, committee.m + 1))
    coins = session.randomness.private(label) if me <= committee.t else session.randomness.subset(last, label)
    small, k = small_field(field.bits), exponent_bits(field)
    exponent = small.uniform(coins, (count,))
    planes = np.empty((k + signs, boolean.lanes(count)), np.uint64)
    planes[:k] = boolean.pack(small, exponent)
    planes[k:] = boolean.draw_words(coins, (signs, planes.shape[1]))
    return _Mask(exponent.astype(np.uint8), boolean.unpack(planes[k:], count)), planes


def _factors(field: PrimeField, mask: _Mask, wanted: Sequence[Power]) -> Elements:
    return np.stack([mask.power(field, -w.scale, w.sign) for w in wanted])


async def _products(session: Session, field: PrimeField, own: Elements) -> Shared:
    """Products over the groups of one array each: parties 1..t deal theirs, all of the last subset know theirs."""
    committee, me, t = session.committee, session.point, session.committee.t
    dealers, last, shape = tuple(range(1, t + 1)), tuple(range(t + 1, committee.m + 1)), field.shape(own)
    common = field.zeros(shape) if me in dealers else field.scale(own, committee.prss_weight(field, last, me))
    parts = [Shared(field, common, t)]
    if dealers:
        parts += (await deal(session, field, own if me in dealers else None, dealers, shape)).values()
    while len(parts) > 1:
        half = len(parts) // 2
        if half == 1:
            done = [await multiply(session, parts[0], parts[1])]
        else:
            both = await multiply(session, concatenate(parts[:half]), concatenate(parts[half : 2 * half]))
            done = [both[j * shape[0] : (j + 1) * shape[0]] for j in range(half)]
        parts = done + parts[2 * half :]
    return parts[0]
