"""A node that refuses many connections does not wait for its own log."""

from __future__ import annotations

import json
import subprocess
import sys

_FLOOD = """
import os, sys
from pathlib import Path
from mpcstats.node.observing.logs import close_log, open_log, open_terminal
from mpcstats.node.observing.stderr import watch_stderr
log = open_log(Path(sys.argv[1]), node="west", level="info", terminal=open_terminal())
with watch_stderr(lambda reason: log.warning("connection_refused", reason=reason)):
    for _ in range(3000):
        os.write(2, b"Handshake failed with error CERTIFICATE_VERIFY_FAILED\\n")
        log.info("event", text="x" * 400)
close_log(log)
"""


def test_many_refused_connections_do_not_block_the_log(tmp_path):
    with (tmp_path / "console.txt").open("wb") as console:
        command = [sys.executable, "-c", _FLOOD, str(tmp_path / "node.log")]
        assert subprocess.run(command, stderr=console, timeout=100, check=False).returncode == 0
    events = [json.loads(line)["event"] for line in (tmp_path / "node.log").read_text().splitlines()]
    assert (events.count("event"), events.count("connection_refused")) == (3000, 3000)
