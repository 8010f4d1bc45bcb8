"""Processes as forks of one that has imported everything: like those that were started from the shell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mpcstats.errors import ConfigurationError
from mpcstats.testing.warm import Nursery

SCRIPT = """\
import json, os, sys, time
from mpcstats.transport.instances import instance
print(json.dumps({"argv": sys.argv, "pid": os.getpid(), "name": __name__, "folder": os.getcwd(),
                  "set": os.environ.get("WARM_TEST"), "instance": instance(), "read": sys.stdin.read()}))
print("aside", file=sys.stderr)
if sys.argv[1] == "waits":
    time.sleep(60)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def nursery():
    with Nursery(()) as nursery:
        yield nursery


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def told(console: Path) -> dict:
    return json.loads(console.read_text().splitlines()[0])


def test_a_fork_is_like_a_process_from_the_shell(nursery, script, tmp_path, monkeypatch):
    monkeypatch.setenv("WARM_TEST", "as it is now")
    monkeypatch.chdir(tmp_path)
    process = nursery.launch([sys.executable, str(script), "3", "more"], tmp_path / "console")
    assert process.wait(30) == process.poll() == process.returncode == 3
    heard = told(tmp_path / "console")
    assert heard.pop("instance")
    assert heard == {
        "argv": [str(script), "3", "more"],
        "pid": process.pid,
        "name": "__main__",
        "folder": str(tmp_path),
        "set": "as it is now",
        "read": "",
    }
    assert (tmp_path / "console").read_text().splitlines()[1:] == ["aside"]


def test_modules_run_with_their_arguments(nursery, tmp_path):
    command = [sys.executable, "-m", "mpcstats.cli.main", "party", "card", str(tmp_path / "nowhere")]
    warm, cold = tmp_path / "warm", subprocess.run(command, capture_output=True, text=True, check=False)
    assert nursery.launch(command, warm).wait(60) == cold.returncode == 2
    assert warm.read_text() == cold.stdout + cold.stderr


def test_signals_waits_and_numbers_of_their_own(nursery, script, tmp_path):
    consoles = [tmp_path / name for name in ("one", "two")]
    running = [nursery.launch([sys.executable, str(script), "waits"], console) for console in consoles]
    deadline = time.monotonic() + 30
    while not all(console.read_text().endswith("aside\n") for console in consoles) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [process.poll() for process in running] == [None, None]
    with pytest.raises(subprocess.TimeoutExpired):
        running[0].wait(0.05)
    running[0].terminate()
    running[1].kill()
    assert [process.wait(30) for process in running] == [-signal.SIGTERM, -signal.SIGKILL]
    running[0].kill()  # has ended: nothing happens
    assert len({told(console)["instance"] for console in consoles}) == 2


def test_everything_ends_with_the_nursery(script, tmp_path):
    with Nursery(()) as nursery:
        process = nursery.launch([sys.executable, str(script), "waits"], tmp_path / "console")
        assert process.poll() is None
    deadline = time.monotonic() + 10
    while Path(f"/proc/{process.pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_a_nursery_that_is_gone_says_so(tmp_path):
    with Nursery(()) as nursery:
        os.kill(nursery.pid, signal.SIGKILL)
        with pytest.raises(ConfigurationError, match="has ended"):
            nursery.launch([sys.executable, "-m", "this"], tmp_path / "console").wait(10)
