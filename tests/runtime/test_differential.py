"""MPyC computes the same results from the same shares, primitive by primitive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from mpcstats import protocols
from mpcstats.field import M61, M127, PrimeField
from mpcstats.runtime import Session, Shared, confirm
from mpcstats.runtime.mpyc import run_mpyc
from mpcstats.sharing.committee import Committee
from mpcstats.testing.network import run_parties
from tests.protocols.kit import dealt, integers, opened

COMMITTEES = [Committee(3, 1), pytest.param(Committee(5, 2), marks=pytest.mark.long)]
X = [0, 1, -1, 5, -7, 2**14, -(2**15) + 1, 100]
Y = [0, -1, -1, 3, 9, -(2**14), 2**15 - 1, 100]
POSITIVE = [1, 2, 3, 255, 256, 2**14, 2**15 - 1, 100]


@dataclass(frozen=True)
class Pair:
    """One primitive, in our protocols and in MPyC's."""

    ours: Callable[[Session, Shared, Shared], Awaitable[Shared]]
    theirs: Callable[[Any, Any, Any], Any]
    field: PrimeField = M127
    fraction_bits: int = 0
    inputs: tuple[list[int], list[int]] = (X, Y)
    bits: int | None = None
    """Width that MPyC is promised; what it compares or divides costs in proportion."""
    units: int = 0
    """Difference allowed, in units of the last place: both round at random."""


async def _local(x: Shared) -> Shared:
    return x


async def _value(checked: Awaitable[Any]) -> Shared:
    result: Shared = (await checked).value
    return result


async def _sorted(session: Session, x: Shared) -> Shared:
    rows = await protocols.sort(session, x.reshape(x.size, 1))
    return rows.reshape(x.size)


async def _running_products(mpc: Any, x: Any, y: Any) -> Any:
    products = [x[0]]
    for k in range(1, 4):
        products.append(products[-1] * x[k])
    return mpc.np_fromlist(products)


def _outer(x: Shared, y: Shared) -> tuple[Shared, Shared]:
    """Two matrices, 4 x 2 and 2 x 4, made equal in size for an inner product over the middle."""
    return x.reshape(4, 1, 2), y.reshape(1, 4, 2)


PAIRS: dict[str, Pair] = {
    "multiply": Pair(protocols.multiply, lambda mpc, x, y: x * y),
    "multiply, M61": Pair(protocols.multiply, lambda mpc, x, y: x * y, M61),
    "inner product": Pair(protocols.inner_product, lambda mpc, x, y: x @ y),
    "inner product, M61": Pair(protocols.inner_product, lambda mpc, x, y: x @ y, M61),
    "matrix product": Pair(
        lambda s, x, y: protocols.inner_product(s, *_outer(x, y)),
        lambda mpc, x, y: x.reshape(4, 2) @ y.reshape(4, 2).T,
    ),
    "sum": Pair(lambda s, x, y: _local(x.sum()), lambda mpc, x, y: mpc.np_sum(x)),
    "running sum": Pair(lambda s, x, y: _local(protocols.prefix_sum(x)), lambda mpc, x, y: mpc.np_cumsum(x)),
    "running product": Pair(lambda s, x, y: protocols.cumulative_product(s, x[:4]), _running_products),
    "sign bit": Pair(lambda s, x, y: protocols.is_negative(s, x), lambda mpc, x, y: x < 0, bits=18),
    "less": Pair(protocols.less, lambda mpc, x, y: x < y, bits=18),
    "at least": Pair(lambda s, x, y: protocols.at_least(s, x, 5), lambda mpc, x, y: x >= 5, bits=18),
    "equal": Pair(protocols.equal, lambda mpc, x, y: x == y, bits=18),
    "equal, M61": Pair(protocols.equal, lambda mpc, x, y: x == y, M61),
    "equal to zero": Pair(lambda s, x, y: protocols.equal_zero(s, x), lambda mpc, x, y: x == 0, bits=18),
    "sign": Pair(lambda s, x, y: protocols.sign(s, x), lambda mpc, x, y: mpc.np_sgn(x), bits=18),
    "absolute": Pair(lambda s, x, y: protocols.absolute(s, x), lambda mpc, x, y: mpc.np_absolute(x), bits=18),
    "minimum": Pair(protocols.minimum, lambda mpc, x, y: mpc.np_minimum(x, y), bits=18),
    "maximum": Pair(protocols.maximum, lambda mpc, x, y: mpc.np_maximum(x, y), bits=18),
    "smallest": Pair(lambda s, x, y: protocols.amin(s, x), lambda mpc, x, y: mpc.np_amin(x), bits=18),
    "largest": Pair(lambda s, x, y: protocols.amax(s, x), lambda mpc, x, y: mpc.np_amax(x), bits=18),
    "sort": Pair(lambda s, x, y: _sorted(s, x), lambda mpc, x, y: mpc.np_sort(x), bits=18),
    "select": Pair(
        lambda s, x, y: protocols.select(s, x, y, y[::-1]),
        lambda mpc, x, y: mpc.np_where(x, y, y[::-1]),
        inputs=([0, 1, 1, 0, 1, 0, 0, 1], Y),
    ),
    "bits": Pair(
        lambda s, x, y: protocols.bit_decompose(s, x, 0, 16),
        lambda mpc, x, y: mpc.np_to_bits(x).T[:16],
        inputs=(POSITIVE, POSITIVE),
        bits=18,
    ),
    "lowest bit": Pair(
        lambda s, x, y: protocols.bit_decompose(s, x, 0, 1),
        lambda mpc, x, y: mpc.np_lsb(x).reshape(1, 8),
        inputs=(POSITIVE, POSITIVE),
        bits=18,
    ),
    "fixed-point multiply": Pair(
        lambda s, x, y: protocols.multiply_fixed(s, x, y, 30), lambda mpc, x, y: x * y, fraction_bits=8, units=3
    ),
    "fixed-point sum": Pair(
        lambda s, x, y: _local((x + y).sum()), lambda mpc, x, y: mpc.np_sum(x + y), fraction_bits=8
    ),
    "fixed-point less": Pair(protocols.less, lambda mpc, x, y: x < y, fraction_bits=8, bits=18),
    "reciprocal": Pair(
        lambda s, x, y: _value(protocols.reciprocal(s, x, 8)),
        lambda mpc, x, y: 1 / x,
        fraction_bits=12,
        inputs=([4096, 8192, 12345, 2**19, -4096, -(2**18), 5000, 4097], POSITIVE),
        bits=24,  # MPyC's division needs bits <= 2 f + 1
        units=8,
    ),
    "divide": Pair(
        lambda s, x, y: _value(protocols.divide(s, y, x, 8)),
        lambda mpc, x, y: y / x,
        fraction_bits=12,
        inputs=([4096, 8192, 12345, 2**19, -4096, -(2**18), 5000, 4097], X),
        bits=24,  # MPyC's division needs bits <= 2 f + 1
        units=80,
    ),
}


SLOW = (
    "sort",
    "largest",
    "maximum",
    "absolute",
    "lowest bit",
    "sign",
    "at least",
    "equal to zero",
    "fixed-point less",
    "divide",
)
"""What takes long in MPyC, and is made of what the others show."""


@pytest.mark.parametrize("committee", COMMITTEES, ids=str)
@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.long] if n in SLOW else []) for n in PAIRS])
def test_mpyc_agrees(name: str, committee: Committee) -> None:
    pair = PAIRS[name]

    async def program(session: Session) -> list[Any]:
        x, y = [await dealt(session, pair.field, integers(pair.field, v), 1, pair.fraction_bits) for v in pair.inputs]
        ours = await pair.ours(session, x, y)
        theirs = await run_mpyc(session, pair.theirs, x, y, bits=pair.bits)
        assert isinstance(theirs, Shared)
        assert (theirs.shape, theirs.field, theirs.degree) == (ours.shape, ours.field, committee.t)
        await confirm(session)
        # MPyC's bits of fixed-point numbers are fixed-point numbers
        digits = max(ours.fraction_bits, theirs.fraction_bits)
        return [pair.field.to_signed(await opened(session, r.shifted(digits))) for r in (ours, theirs)]

    for ours, theirs in run_parties(committee, program, kappa=40, kappa_floor=20):
        assert np.abs(np.ravel(ours - theirs)).max() <= pair.units, (ours, theirs)
