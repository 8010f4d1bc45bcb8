"""gRPC's C core reports refused TLS handshakes on file descriptor 2 only. This reads them.

Python's own stderr is moved to a copy of the real one first, so a traceback never depends on the thread here; only
what C code writes to descriptor 2 takes the way through the pipe, and every line that is not a refusal is passed on.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator

__all__ = ["refusal_reason", "watch_stderr"]

_HANDSHAKE = re.compile(r"Handshake failed with error (?P<error>.*)|(?P<other>Tls handshake failed.*)", re.IGNORECASE)
_REASONS = (
    ("CERTIFICATE_VERIFY_FAILED", "unknown key"),
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "no client certificate"),
    ("HTTP_REQUEST", "not TLS"),
    ("WRONG_VERSION_NUMBER", "not TLS"),
    ("UNSUPPORTED_PROTOCOL", "TLS version too old"),
    ("NO_SHARED_CIPHER", "no common cipher"),
)


def refusal_reason(line: str) -> str | None:
    """Why a connection was refused, when `line` is gRPC's report of it; else None."""
    match = _HANDSHAKE.search(line)
    if match is None:
        return None
    text = match["error"] or match["other"]
    return next((reason for key, reason in _REASONS if key in text), "TLS handshake failed")


@contextlib.contextmanager
def watch_stderr(on_refused: Callable[[str], None]) -> Iterator[None]:
    """Call `on_refused(reason)` for each handshake that gRPC reports while the block runs; from a thread."""
    sys.stderr.flush()
    real = os.dup(2)
    reading, writing = os.pipe()
    before = sys.stderr
    thread = threading.Thread(target=_read_lines, args=(reading, real, on_refused), daemon=True)
    with os.fdopen(os.dup(real), "w", buffering=1, errors="backslashreplace") as direct:
        sys.stderr = direct
        faulthandler.enable(file=direct)
        os.dup2(writing, 2)
        os.close(writing)
        thread.start()
        try:
            yield
        finally:
            os.dup2(real, 2)  # the pipe has no writer any more: the thread ends after the last line
            thread.join(timeout=5)
            faulthandler.disable()
            sys.stderr = before
    os.close(real)


def _read_lines(reading: int, real: int, on_refused: Callable[[str], None]) -> None:
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        rest = b""
        while block := pipe.read(65536):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                _handle(line + b"\n", real, on_refused)
        if rest:
            _handle(rest, real, on_refused)


def _handle(line: bytes, real: int, on_refused: Callable[[str], None]) -> None:
    reason = refusal_reason(line.decode(errors="replace"))
    if reason is not None:
        try:
            on_refused(reason)
            return
        except Exception:  # a full disk must not stop the reading: whoever writes to the pipe would block
            reason = None
    os.write(real, line)
