"""`mpcstats demo`: what README shows first, from its folder to its last line, and what it leaves behind."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from mpcstats.cli.demo.command import NAMES, demo
from mpcstats.errors import ConfigurationError
from mpcstats.node.identity.lockfile import hold_lock, lock_holder

COMMAND = [sys.executable, "-m", "mpcstats.cli.main", "demo", "--out"]
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "COLUMNS"}


def nodes(folder):
    return [name for name in NAMES if lock_holder(folder / "parties" / name / "state") is not None]


@pytest.mark.long
def test_the_demonstration_from_end_to_end(tmp_path):
    out = tmp_path / "mpcstats-demo"
    out.mkdir()  # an empty folder is as good as none
    done = subprocess.run([*COMMAND, str(out)], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # nobody's log messages or warnings
    lines = done.stdout.splitlines()
    assert "done in" in lines[-1]
    assert [line for line in lines if len(line) > 80 and str(tmp_path) not in line] == []
    checks = [float(number) for number in re.findall(r": ([0-9.e-]+)$", re.sub(r"\n {6}", " ", done.stdout), re.M)]
    assert len(checks) == 3
    assert max(checks) < 1e-9
    assert (out / "report.html").stat().st_size > 100_000
    assert nodes(out) == []


@pytest.mark.long
def test_a_signal_leaves_no_node_behind(tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen([*COMMAND, str(out)], env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(nodes(out)) < len(NAMES):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert nodes(out) == []


def test_somebody_elses_folder_is_left_alone(tmp_path):
    folder = tmp_path / "clone"
    work = folder / "parties" / "thesis.txt"
    work.parent.mkdir(parents=True)
    work.write_text("years")
    with pytest.raises(ConfigurationError, match="not from an earlier demonstration"):
        demo(out=folder)
    with pytest.raises(ConfigurationError, match="not a folder"):
        demo(out=work)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ConfigurationError, match="not a folder"):
        demo(out=tmp_path / "link")
    with pytest.raises(ConfigurationError, match="cannot be made"):
        demo(out=work / "below")
    assert work.read_text() == "years"


def test_a_folder_whose_nodes_run_is_not_replaced(tmp_path):
    (tmp_path / ".mpcstats-demo").touch()
    with (
        hold_lock(tmp_path / "parties" / "lakeside" / "state"),
        pytest.raises(ConfigurationError, match="is its node lakeside"),
    ):
        demo(out=tmp_path)
