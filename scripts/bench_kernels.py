"""Micro-benchmarks of the kernels, one thread: pytest scripts/bench_kernels.py --benchmark-only

`--benchmark-autosave` and `--benchmark-compare` show what a change did. The speed in elements and bytes of input and
output per second stands in the JSON's `extra_info` (`--benchmark-json FILE`) and in the table's last column, OPS times
the number of elements in a test's name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mpcstats.field import M61, M127, Elements, PrimeField, fused
from mpcstats.sharing import blocks, boolean
from mpcstats.sharing.fixedpoint import decode, encode
from mpcstats.sharing.streams import Stream

SIZES = [1 << 14, 1 << 20]
"""Elements: a chunk that stays in the second cache, and a batch that comes from memory."""

FIELDS = pytest.mark.parametrize("field", [M61, M127], ids=["M61", "M127"])
BATCHES = pytest.mark.parametrize("count", SIZES)


def random_elements(field: PrimeField, *shape: int) -> Elements:
    """The same every time."""
    return field.uniform(Stream(b"benchmark".ljust(32), "elements"), shape)


def timed(benchmark: Any, count: int, size: int, work: Callable[[], Any]) -> Any:
    """Run, and note the speed for so many elements and bytes."""
    result = benchmark(work)
    if benchmark.stats is not None:  # not with --benchmark-disable
        median = benchmark.stats.stats.median
        benchmark.extra_info |= {
            "million_elements_per_second": count / median / 1e6,
            "gb_per_second": size / median / 1e9,
        }
    return result


@BATCHES
@FIELDS
@pytest.mark.parametrize("name", ["add", "sub", "mul"])
def test_arithmetic(benchmark: Any, name: str, field: PrimeField, count: int) -> None:
    """Elementwise, into a new array."""
    x, y = random_elements(field, count), random_elements(field, count)[::-1].copy()
    operation = getattr(field, name)
    timed(benchmark, count, 3 * x.nbytes, lambda: operation(x, y))


@BATCHES
@FIELDS
def test_scale(benchmark: Any, field: PrimeField, count: int) -> None:
    """Times one public number."""
    x = random_elements(field, count)
    timed(benchmark, count, 2 * x.nbytes, lambda: field.scale(x, field.modulus // 3))


@BATCHES
@FIELDS
def test_lincomb(benchmark: Any, field: PrimeField, count: int) -> None:
    """Three terms: what puts shares of three parties together."""
    terms = [random_elements(field, count) for _ in range(3)]
    timed(benchmark, count, 4 * terms[0].nbytes, lambda: field.lincomb([3, 5, field.modulus - 3], terms))


@pytest.mark.parametrize("side", [32, 256])
@FIELDS
def test_matmul(benchmark: Any, field: PrimeField, side: int) -> None:
    """Square matrices; an element is one multiply-add."""
    x, y = random_elements(field, side, side), random_elements(field, side, side)
    timed(benchmark, side**3, 3 * x.nbytes, lambda: field.matmul(x, y))


@BATCHES
@FIELDS
def test_mix(benchmark: Any, field: PrimeField, count: int) -> None:
    """The product of three parties: two coins, one row to keep and one to send."""
    x, coins = random_elements(field, count), random_elements(field, 2, count)
    masks, weights = blocks.uniform_masks(field, 2), random_elements(field, 2, 3)
    out = field.zeros((2, count))
    mix = fused.mix61 if field is M61 else fused.mix127
    assert not timed(benchmark, count, 6 * x.nbytes, lambda: mix(x, x, coins, masks, weights, out))


@BATCHES
@FIELDS
def test_accumulate(benchmark: Any, field: PrimeField, count: int) -> None:
    """Taking in what another party sent."""
    total, received = random_elements(field, count), random_elements(field, count)
    accumulate = fused.accumulate61 if field is M61 else fused.accumulate127
    weight = blocks.weight(field, field.modulus - 3)
    timed(benchmark, count, 3 * total.nbytes, lambda: accumulate(total, received, weight))


@BATCHES
@FIELDS
def test_pack(benchmark: Any, field: PrimeField, count: int) -> None:
    """Numbers to bit planes."""
    x = random_elements(field, count)
    timed(benchmark, count, 2 * x.nbytes, lambda: boolean.pack(field, x))


@BATCHES
def test_unpack(benchmark: Any, count: int) -> None:
    """One bit plane to zeros and ones."""
    planes = Stream(b"benchmark".ljust(32), "planes").words(count // 64).reshape(1, -1)
    timed(benchmark, count, planes.nbytes + count, lambda: boolean.unpack(planes, count))


@BATCHES
def test_stream(benchmark: Any, count: int) -> None:
    """AES-128 in counter mode: elements are words."""
    stream, out = Stream(b"benchmark".ljust(32), "stream"), np.empty(count, np.uint64)
    timed(benchmark, count, out.nbytes, lambda: stream.fill(out))


@BATCHES
@FIELDS
def test_uniform(benchmark: Any, field: PrimeField, count: int) -> None:
    """Uniform elements from a stream, by rejection."""
    stream = Stream(b"benchmark".ljust(32), "uniform")
    timed(benchmark, count, count * field.item_bytes, lambda: field.uniform(stream, (count,)))


@BATCHES
@FIELDS
def test_from_bytes(benchmark: Any, field: PrimeField, count: int) -> None:
    """A received message as elements: checked, not copied."""
    data = bytes(field.to_bytes(random_elements(field, count)))
    timed(benchmark, count, len(data), lambda: field.from_bytes(data, (count,)))


@BATCHES
@FIELDS
def test_encode(benchmark: Any, field: PrimeField, count: int) -> None:
    """Doubles to fixed point."""
    x = np.linspace(-1000.0, 1000.0, count)
    timed(benchmark, count, count * (8 + field.item_bytes), lambda: encode(field, x, 24, 12))


@BATCHES
@FIELDS
def test_decode(benchmark: Any, field: PrimeField, count: int) -> None:
    """Fixed point to doubles."""
    x = encode(field, np.linspace(-1000.0, 1000.0, count), 24, 12)
    timed(benchmark, count, count * (8 + field.item_bytes), lambda: decode(field, x, 24))
