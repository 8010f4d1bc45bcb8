"""What a node's process tells the system that runs it: no dumps of its memory; that it is ready; that it stops."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import socket
import sys

from mpcstats.errors import ConfigurationError

__all__ = ["forbid_dumps", "tell_supervisor"]

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4


def forbid_dumps() -> None:
    """No core dump of this process: its memory has shares, keys and records. On Linux its memory is also closed to
    debuggers of the same user, and to whoever reads /proc.

    Raises
    ------
    ConfigurationError
        The system does not do as asked.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # a limit of 0 does not stop a kernel that hands dumps to a program (core_pattern with a pipe); this does
    if sys.platform == "linux":
        system = ctypes.CDLL(None, use_errno=True)
        if system.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 or system.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise ConfigurationError(f"core dumps cannot be turned off: {os.strerror(ctypes.get_errno())}")


def tell_supervisor(state: str) -> bool:
    """Tell systemd (`Type=notify`) "READY=1" or "STOPPING=1"; whether there was anybody to tell.

    See sd_notify(3). A supervisor that cannot be reached stops nothing.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        out.connect("\0" + address[1:] if address.startswith("@") else address)
        out.sendall(state.encode())
        return True
    return False
