"""`python -m tests.governance.fragile_node DIR`: a real node that ends, or waits, at a message of a run.

DIR/die_at holds a number: the process kills itself when its journal takes its so-manieth record.
DIR/wait_at: a run waits there for as long as the file exists, and DIR/waiting appears.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from mpcstats.node import server
from mpcstats.node.runs.journal import FileJournal
from mpcstats.transport.journaled import JournaledChannel

GRACE_SECONDS = 1.5


def make_fragile(directory: Path) -> None:
    """Change what the node is made of."""
    records = 0
    append, receive = FileJournal._append, JournaledChannel.receive

    def counted(self, *arguments):
        nonlocal records
        records += 1
        die_at = directory / "die_at"
        if die_at.exists() and records >= int(die_at.read_text()):
            die_at.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return append(self, *arguments)

    async def slow(self, sender, step, size):
        wait_at = directory / "wait_at"
        with self.working():
            while wait_at.exists() and records >= int(wait_at.read_text()):
                (directory / "waiting").touch()
                await asyncio.sleep(0.05)
        return await receive(self, sender, step, size)

    FileJournal._append, JournaledChannel.receive = counted, slow
    server.GRACE_SECONDS = GRACE_SECONDS


if __name__ == "__main__":
    make_fragile(Path(sys.argv[1]))
    server.run_node(Path(sys.argv[1]))
