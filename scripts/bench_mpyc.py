"""MPyC with three local parties, for the benchmark: python bench_mpyc.py -M3. Prints one JSON line per primitive.

Run in its own processes: MPyC reads the command line and owns the event loop. Its links are plain TCP.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from mpyc.runtime import mpc

REPETITIONS = 3


def measure(
    key: str, size: int, work: Callable[[], Any], output: Callable[[Any], Any], repetitions: int = REPETITIONS
) -> Any:
    """A coroutine that times the work until its result is there."""

    async def run() -> None:
        seconds = []
        for _ in range(repetitions + 1):
            await mpc.barrier()
            started = time.perf_counter()
            result = work()
            await mpc.gather(result)
            seconds.append(time.perf_counter() - started)
        if mpc.pid == 0:
            print(json.dumps({"key": key, "size": size, "seconds": statistics.median(seconds[1:])}), flush=True)

    return run()


async def main() -> None:
    """The primitives that the engine is compared on, at sizes that MPyC finishes in seconds."""
    await mpc.start()
    field = mpc.SecFld(2**61 - 1)
    size = 10**5
    x = mpc._reshare(field.array(field.field.array(np.arange(1, size + 1))))
    await mpc.gather(x)
    await measure("multiply-M61", size, lambda: mpc.np_multiply(x, x), mpc.output)
    integers = mpc.SecInt(60)
    y = mpc.input(integers.array(np.arange(-250, 250)), senders=0)
    await measure("compare-M61", 500, lambda: mpc.np_sgn(y, LT=True), mpc.output)
    fixed = mpc.SecFxp(36, 24)
    z = mpc.input(fixed.array(np.linspace(-30, 30, 500)), senders=0)
    await measure("multiply-fixed", 500, lambda: mpc.np_multiply(z, z), mpc.output)
    side = 256
    a = mpc._reshare(field.array(field.field.array(np.arange(1, side * side + 1).reshape(side, side))))
    await mpc.gather(a)
    await measure("matmul-M61", side, lambda: mpc.np_matmul(a, a), mpc.output, 1)
    await mpc.shutdown()


mpc.run(main())
