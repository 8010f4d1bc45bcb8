"""`python -m tests.node.paced_node DIR`: a real node whose runs never end: its parties exchange single bytes forever.

Tests kill, pause and interrupt it in the middle of a run.
"""

import asyncio
import sys
import types
from pathlib import Path

from mpcstats.node import server


async def exchange_forever(channel, *, progress, **_rest):
    others = channel.peers
    step = 0
    while True:
        await asyncio.gather(
            *(channel.send(peer, step, b"x") for peer in others), *(channel.receive(peer, step, 1) for peer in others)
        )
        if step == 3:
            progress("exchanging")
        step += 1
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    stand_in = types.ModuleType("mpcstats.node.runs.execution")
    stand_in.execute = exchange_forever
    sys.modules[stand_in.__name__] = stand_in
    server.run_node(Path(sys.argv[1]))
