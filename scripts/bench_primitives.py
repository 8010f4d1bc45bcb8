"""What the benchmark measures: each primitive with its inputs, which are dealt before the clock starts."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpcstats import protocols
from mpcstats.field import M61, M127, PrimeField
from mpcstats.protocols.arithmetic import local_product
from mpcstats.runtime import Session, Shared, open_declared
from mpcstats.sharing import prss
from mpcstats.stats.cell_release import release_cells
from mpcstats.study.policy import Policy

__all__ = ["PRIMITIVES", "Prepared", "Primitive", "title"]

CHEAP, HEAVY, HEAVIEST, ROUNDS, CELLS = 10**6, 10**5, 10**4, 200, 1000
"""Default sizes, such that a run takes two or three minutes."""

VECTOR = 100
"""Length of the vectors that are summed or multiplied up."""

SIDE = 256
"""Rows and columns of the matrices."""

INTEGER_BITS = 12


def fraction_bits(parties: int) -> int:
    """What fits M127 beside 12 integer bits at kappa = 64: more parties leave less headroom."""
    return 24 if parties == 3 else 20


Inputs = Callable[[Session, int], Awaitable[tuple[Shared, ...]]]


@dataclass(frozen=True)
class Prepared:
    """A primitive ready to run; what `run` returns is a list of seconds where single rounds are measured."""

    run: Callable[[], Awaitable[Any]]
    input_bytes: int


@dataclass(frozen=True)
class Primitive:
    """One row of the table.

    Attributes
    ----------
    title : str
        With F for the fraction bits.
    size : int
        Elements by default: results, or the elements that are summed, moved or ordered.
    inputs : async function of (session, size)
        Shared inputs.
    work : async function of (session, size, *inputs)
        What is measured.
    """

    title: str
    size: int
    inputs: Inputs
    work: Callable[..., Awaitable[Any]]

    async def prepare(self, session: Session, size: int) -> Prepared:
        """Deal the inputs."""
        shared = await self.inputs(session, size)
        return Prepared(lambda: self.work(session, size, *shared), sum(x.values.nbytes for x in shared))


# --- inputs ---------------------------------------------------------------------------------------------------------


def uniform(field: PrimeField, count: int, shape: Callable[[int], tuple[int, ...]] = lambda size: (size,)) -> Inputs:
    """`count` arrays of uniform values that nobody knows."""

    async def inputs(session: Session, size: int) -> tuple[Shared, ...]:
        return tuple(_random(session, field, shape(size)) for _ in range(count))

    return inputs


def integers(field: PrimeField, *ranges: tuple[int, int], fraction_bits: int = 0) -> Inputs:
    """One array for each range: random integers low <= v < high, dealt by party 1."""

    async def inputs(session: Session, size: int) -> tuple[Shared, ...]:
        rng = np.random.default_rng()
        return tuple([await _dealt(session, field, rng.integers(*r, size), fraction_bits) for r in ranges])

    return inputs


async def nothing(session: Session, size: int) -> tuple[Shared, ...]:
    """No inputs."""
    return ()


async def bits_and_pairs(session: Session, size: int) -> tuple[Shared, ...]:
    """Shared bits, and two arrays to choose from."""
    bits = await _dealt(session, M61, np.random.default_rng().integers(0, 2, size))
    return bits, _random(session, M61, (size,)), _random(session, M61, (size,))


async def two_sorted(session: Session, size: int) -> tuple[Shared, ...]:
    """Two sorted lists of one column, `size` rows together."""
    rng, lengths = np.random.default_rng(), (size - size // 2, size // 2)
    return tuple([await _dealt(session, M61, np.sort(rng.integers(0, 1 << 30, (n, 1)), axis=0)) for n in lengths])


async def fixed(session: Session, size: int) -> tuple[Shared, ...]:
    """Fixed-point numbers up to 32: squares are below 2^11."""
    f = fraction_bits(session.committee.m)
    return await integers(M127, (1 << (f - 14), 1 << (f + 5)), fraction_bits=f)(session, size)


async def squares(session: Session, size: int) -> tuple[Shared, ...]:
    """Products that still have twice the fraction bits, and the degree 2t."""
    (x,) = await fixed(session, size)
    return (local_product(x, x),)


signed = integers(M61, (-(1 << 59), 1 << 59))


def _random(session: Session, field: PrimeField, shape: tuple[int, ...]) -> Shared:
    label = session.label("bench")
    parts = prss.draw_uniform(field, session.committee, session.index, session.randomness, label, shape)
    return Shared(field, prss.combine(field, session.committee, session.index, parts), session.committee.t)


async def _dealt(session: Session, field: PrimeField, values: Any, fraction_bits: int = 0) -> Shared:
    own = field.from_int64(values) if session.index == 1 else None
    return (await protocols.deal(session, field, own, (1,), values.shape, fraction_bits))[1]


# --- work -----------------------------------------------------------------------------------------------------------


def call(function: Callable[..., Awaitable[Any]], *options: Any) -> Callable[..., Awaitable[Any]]:
    """A protocol with its options, as the work of a primitive."""
    return lambda session, size, *inputs: function(session, *inputs, *options)


async def rounds(session: Session, size: int) -> list[float]:
    """8 bytes to each party, `size` times: the seconds of every round."""
    seconds = []
    for _ in range(size):
        started = time.perf_counter()
        await session.exchange(dict.fromkeys(session.others, b"8 bytes!"), dict.fromkeys(session.others, 8))
        seconds.append(time.perf_counter() - started)
    return seconds


async def transport(session: Session, size: int) -> None:
    """8 bytes per element to the next party, nothing else."""
    m = session.committee.m
    following, previous = session.index % m + 1, (session.index - 2) % m + 1
    await session.exchange({following: bytes(8 * size)}, {previous: 8 * size})


async def deal(session: Session, size: int, x: Shared) -> Any:
    """Every party deals an array of its own."""
    return await protocols.deal(session, M61, x.values, tuple(session.committee.members), x.shape)


async def opening(session: Session, size: int, x: Shared) -> Any:
    """Open to all, checked."""
    name = session.label("bench")
    session.openings.declare(name, size, "benchmark")
    return await open_declared(session, x, name)


async def truncate(session: Session, size: int, z: Shared) -> Any:
    """Products back to the format of their factors."""
    return await protocols.truncate(session, z, z.fraction_bits // 2, INTEGER_BITS - 1)


async def truncate_exact(session: Session, size: int, x: Shared) -> Any:
    """All fraction bits go."""
    return await protocols.truncate_exact(session, x, x.fraction_bits)


async def random_bits(session: Session, size: int) -> Any:
    """Shared bits that nobody knows."""
    return await protocols.random_bits(session, M61, (size,))


async def prefix_sum(session: Session, size: int, x: Shared) -> Any:
    """Local."""
    return protocols.prefix_sum(x)


async def merge(session: Session, size: int, *lists: Shared) -> Any:
    """One sorted list from two."""
    return await protocols.merge(session, lists)


async def crosstab(session: Session, size: int) -> Any:
    """Counts of cells as the policy `standard` releases them: thresholds, leave-one-out, rounding, opening."""
    name = session.label("bench")
    session.openings.declare(name, size, "benchmark")
    own = np.random.default_rng().integers(0, 40, size)
    dealers = tuple(session.committee.members)
    return await release_cells(session, own, dealers, size, name, Policy.preset("standard").rules)


def square(size: int) -> tuple[int, int]:
    """A matrix."""
    return round(size**0.5), round(size**0.5)


def rows(size: int) -> tuple[int, int]:
    """Vectors, one in each row."""
    return max(1, size // VECTOR), min(size, VECTOR)


PRIMITIVES: dict[str, Primitive] = {
    "round": Primitive("round, 8 bytes to each party", ROUNDS, nothing, rounds),
    "transport": Primitive("transport alone, 8 bytes an element", CHEAP, nothing, transport),
    "deal": Primitive("deal, every party, M61", CHEAP, uniform(M61, 1), deal),
    "open": Primitive("open, M61", CHEAP, uniform(M61, 1), opening),
    "multiply-M61": Primitive("multiply, M61", CHEAP, uniform(M61, 2), call(protocols.multiply)),
    "multiply-M127": Primitive("multiply, M127", CHEAP, uniform(M127, 2), call(protocols.multiply)),
    "inner-product": Primitive(
        f"inner product, M61, vectors of {VECTOR}", CHEAP, uniform(M61, 2, rows), call(protocols.inner_product)
    ),
    "multiply-fixed": Primitive(
        "fixed-point multiply (12, F), kappa 64",
        CHEAP,
        fixed,
        lambda s, n, x: protocols.multiply_fixed(s, x, x, INTEGER_BITS - 1),
    ),
    "truncate": Primitive("truncate, M127, kappa 64", CHEAP, squares, truncate),
    "truncate-exact": Primitive("exact truncation, M127", HEAVY, fixed, truncate_exact),
    "select": Primitive("select, M61", CHEAP, bits_and_pairs, call(protocols.select)),
    "compare-M61": Primitive(
        "compare with public, signed 60-bit, M61", CHEAP, signed, call(protocols.less_than_public, 0)
    ),
    "compare-secret": Primitive(
        "compare two secrets, M61", HEAVY, integers(M61, (0, 1 << 59), (0, 1 << 59)), call(protocols.less)
    ),
    "compare-M127": Primitive(
        "compare, 62-bit, M127", HEAVY, integers(M127, (-(1 << 61), 1 << 61)), call(protocols.is_negative)
    ),
    "equal": Primitive("equality with zero, M61", HEAVY, integers(M61, (0, 2)), call(protocols.equal_zero)),
    "maximum": Primitive(
        "maximum of two, M61", HEAVY, integers(M61, (0, 1 << 59), (0, 1 << 59)), call(protocols.maximum)
    ),
    "amax": Primitive("largest of a vector, M61", HEAVY, integers(M61, (0, 1 << 59)), call(protocols.amax)),
    "floor-divide": Primitive(
        "floor division by 10, 29-bit, M61", HEAVIEST, integers(M61, (0, 1 << 29)), call(protocols.floor_divide, 10, 29)
    ),
    "bits": Primitive(
        "bit decomposition, 32 bits, M61", HEAVIEST, integers(M61, (0, 1 << 32)), call(protocols.bit_decompose, 0, 32)
    ),
    "random-bits": Primitive("random bits, M61", CHEAP, nothing, random_bits),
    "prefix-sum": Primitive(f"prefix sum, M61, vectors of {VECTOR}", CHEAP, uniform(M61, 1, rows), prefix_sum),
    "cumulative-product": Primitive(
        f"cumulative product, M61, vectors of {VECTOR}",
        HEAVY,
        uniform(M61, 1, rows),
        call(protocols.cumulative_product),
    ),
    "reciprocal": Primitive("reciprocal (12, F)", HEAVY, fixed, call(protocols.reciprocal, INTEGER_BITS)),
    "divide": Primitive("division (12, F)", HEAVIEST, fixed, lambda s, n, x: protocols.divide(s, x, x, INTEGER_BITS)),
    "sqrt": Primitive("square root (12, F)", HEAVIEST, fixed, call(protocols.square_root, INTEGER_BITS)),
    "inverse-sqrt": Primitive(
        "inverse square root (12, F)", HEAVIEST, fixed, call(protocols.inverse_square_root, INTEGER_BITS)
    ),
    "shuffle": Primitive("shuffle, M61", HEAVY, uniform(M61, 1), call(protocols.shuffle)),
    "merge": Primitive("merge of two sorted lists, M61", HEAVIEST, two_sorted, merge),
    "crosstab": Primitive("cells of a crosstab, policy standard", CELLS, nothing, crosstab),
    "matmul": Primitive(
        f"matrix product {SIDE} x {SIDE} x {SIDE}, M61", SIDE**2, uniform(M61, 2, square), call(protocols.matmul)
    ),
}


def title(key: str, parties: int) -> str:
    """A row's name."""
    return PRIMITIVES[key].title.replace("(12, F)", f"(12, {fraction_bits(parties)})")
