"""A node's process and the system: no dumps, and a word to systemd."""

import resource
import signal
import socket
import subprocess
import sys

import pytest

from mpcstats.node.process import tell_supervisor

DYING = """
import os, resource, signal, sys
resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
from mpcstats.node.process import forbid_dumps
secret = b"CANARY-of-a-share" * 1000
if sys.argv[1] == "forbid":
    forbid_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE)[0], flush=True)
os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.mark.skipif(
    sys.platform != "linux", reason="how a process died, and whether it is dumpable, is read as on Linux"
)
def test_a_node_that_crashes_leaves_no_dump(tmp_path):
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard != resource.RLIM_INFINITY:
        pytest.skip("this system allows no core dumps anyway")

    def die(how):
        process = subprocess.Popen(
            [sys.executable, "-c", DYING, how],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        printed, _ = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGSEGV
        return int(printed)

    assert die("allow") != 0
    for left in tmp_path.iterdir():  # where the system dumps into the folder at all
        left.unlink()
    assert die("forbid") == 0
    assert list(tmp_path.iterdir()) == []


def test_forbidding_dumps_closes_the_process_to_debuggers():
    asks = (
        "import ctypes, resource\n"
        "from mpcstats.node.process import forbid_dumps\n"
        "forbid_dumps()\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    done = subprocess.run([sys.executable, "-c", asks], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(0, 0) 0"


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path, monkeypatch, abstract):
    if abstract and sys.platform != "linux":
        pytest.skip("abstract sockets are Linux's")
    name = f"@mpcstats-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind(name.replace("@", "\0") if abstract else name)
        inbox.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        assert tell_supervisor("READY=1")
        assert inbox.recv(100) == b"READY=1"
    assert not tell_supervisor("STOPPING=1")  # nobody listens: nothing is wrong
    monkeypatch.setenv("NOTIFY_SOCKET", "vsock:2:1234")
    assert not tell_supervisor("READY=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert not tell_supervisor("READY=1")
