"""MPyC with three local parties, for the benchmark: python bench_mpyc.py -M3 [--only NAMES].

Prints one JSON line per primitive. Runs in its own processes: MPyC reads the command line and owns the event loop. Its
links are plain TCP. Names are those of bench_primitives.py; what MPyC has no protocol for is left out. The sizes are
what MPyC finishes in seconds, and its speed hardly depends on them. As for the engine, dealing inputs is not timed.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from mpyc.runtime import mpc

# MPyC leaves what it does not know, and hands the whole command line to the other parties
only = sys.argv[sys.argv.index("--only") + 1].split(",") if "--only" in sys.argv else None

REPETITIONS = 2
SIDE = 256


async def measure(key: str, size: int, work: Callable[[], Any], repetitions: int = REPETITIONS) -> None:
    """Time the work until its result is there; more than one repetition are preceded by one to warm up."""
    if only is not None and key not in only:
        return
    seconds = []
    for _ in range(repetitions + (repetitions > 1)):
        await mpc.barrier()
        started = time.perf_counter()
        await mpc.gather(work())
        seconds.append(time.perf_counter() - started)
    if mpc.pid == 0:
        row = {"key": key, "size": size, "seconds": statistics.median(seconds[-repetitions:]), "all_seconds": seconds}
        print(json.dumps(row), flush=True)


async def in_fields() -> None:
    """Products in the engine's own fields."""
    size = 10**5
    narrow, wide = mpc.SecFld(2**61 - 1), mpc.SecFld(2**127 - 1)
    x = mpc._reshare(narrow.array(narrow.field.array(np.arange(1, size + 1))))
    y = mpc._reshare(wide.array(wide.field.array(np.arange(1, size + 1))))
    await mpc.gather(x, y)
    await measure("deal", size, lambda: mpc.input(narrow.array(np.arange(size))))
    await measure("open", size, lambda: mpc.output(x))
    await measure("multiply-M61", size, lambda: mpc.np_multiply(x, x))
    await measure("multiply-M127", size, lambda: mpc.np_multiply(y, y))
    await measure("random-bits", 10**4, lambda: mpc.np_random_bits(narrow, 10**4))
    side = x[: SIDE * SIDE].reshape(SIDE, SIDE)
    await measure("matmul", SIDE * SIDE, lambda: mpc.np_matmul(side, side), repetitions=1)


async def in_integers() -> None:
    """Comparisons of 60-bit integers, and what is made of them."""
    size = 100
    integers, wide = mpc.SecInt(60), mpc.SecInt(62, p=2**127 - 1)
    x = mpc.input(integers.array(np.arange(-50, 50)), senders=0)
    y = mpc.input(integers.array(np.arange(50, -50, -1)), senders=0)
    z = mpc.input(wide.array(np.arange(-50, 50)), senders=0)
    short = mpc.input(mpc.SecInt(32).array(np.arange(size)), senders=0)
    condition = mpc.np_less(x, y)
    await mpc.gather(x, y, z, short, condition)
    await measure("compare-M61", size, lambda: mpc.np_sgn(x, LT=True))
    await measure("compare-secret", size, lambda: mpc.np_less(x, y))
    await measure("compare-M127", size, lambda: mpc.np_sgn(z, LT=True))
    await measure("equal", size, lambda: x == 0)
    await measure("select", size, lambda: mpc.np_where(condition, x, y))
    await measure("maximum", size, lambda: mpc.np_maximum(x, y))
    await measure("amax", size, lambda: mpc.np_amax(x))
    await measure("bits", size, lambda: mpc.np_to_bits(short))


async def in_fixed_point() -> None:
    """(12, 24) in the notation of MPyC: 36 bits."""
    size = 100
    fixed = mpc.SecFxp(36, 24)
    x = mpc.input(fixed.array(np.linspace(1, 30, size)), senders=0)
    await mpc.gather(x)
    await measure("multiply-fixed", size, lambda: mpc.np_multiply(x, x))
    await measure("truncate", size, lambda: mpc.np_trunc(x, f=24))
    few = x[:20]
    await measure("reciprocal", 20, lambda: 1 / few, repetitions=1)
    await measure("divide", 20, lambda: few / few, repetitions=1)


async def main() -> None:
    """The primitives that the engine is compared on."""
    await mpc.start()
    await in_fields()
    await in_integers()
    await in_fixed_point()
    await mpc.shutdown()


mpc.run(main())
