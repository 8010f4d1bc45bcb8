"""The way to a peer in plain sockets and TLS: name, connection, handshake, and whether our certificate is accepted.

Nothing is verified here: the peer's certificate is brought back, whatever it is, to be judged by `peers`.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["Greeting", "connect", "greet", "resolve"]

Outcome = Literal["grpc", "silent", "not-tls", "closed", "old-tls", "not-accepted", "not-grpc"]

# A client of HTTP/2 begins with this and an empty SETTINGS frame; the server answers with its SETTINGS.
_HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4


@dataclass(frozen=True)
class Greeting:
    """How a port answered.

    Attributes
    ----------
    outcome : str
        "grpc": TLS, our certificate accepted, HTTP/2. "silent": nothing came. "not-tls", "old-tls". "closed": the
        connection was closed in the middle of the handshake. "not-accepted": closed after our certificate.
        "not-grpc": TLS, and another protocol inside.
    certificate : bytes or None
        The peer's, DER.
    detail : str
        TLS version, or TLS's own name for what went wrong.
    """

    outcome: Outcome
    certificate: bytes | None = None
    detail: str = ""


def resolve(host: str, port: int, seconds: float) -> list[tuple[Any, ...]] | str:
    """Addresses of a host (as of getaddrinfo), or why there are none."""
    answers: queue.Queue[list[Any] | str] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(getattr(error, "strerror", None) or str(error))

    # getaddrinfo knows no deadline
    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return f"no answer in {seconds:g} s"


def connect(addresses: list[tuple[Any, ...]], seconds: float) -> tuple[socket.socket, float] | OSError:
    """A connection to the first address that takes one and the seconds it took, or the last failure."""
    failure: OSError = OSError("no address")
    for family, kind, protocol, _, address in addresses:
        line = socket.socket(family, kind, protocol)
        line.settimeout(seconds)
        start = time.perf_counter()
        try:
            line.connect(address)
            return line, time.perf_counter() - start
        except OSError as error:
            line.close()
            failure = error
    return failure


def greet(line: socket.socket, certificate: Path, key: Path, server_name: str, seconds: float) -> Greeting:
    """Speak TLS and HTTP/2 on a connection, with our certificate; the connection is closed afterwards."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # pinned: compared with the roster by `peers`
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    line.settimeout(seconds)
    with contextlib.closing(line):
        try:
            wrapped = context.wrap_socket(line, server_hostname=server_name)
        except ssl.SSLError as error:
            return _refused_handshake(error)
        except TimeoutError:
            return Greeting("silent", detail="no TLS handshake")
        except OSError as error:
            return Greeting("closed", detail=type(error).__name__)
        with contextlib.closing(wrapped):
            return _speak(wrapped)


def _refused_handshake(error: ssl.SSLError) -> Greeting:
    reason = error.reason or type(error).__name__
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or reason == "UNEXPECTED_EOF_WHILE_READING":
        return Greeting("closed", detail=reason)
    if "ALERT" in reason:
        # before TLS 1.3 a server says so within the handshake
        old = reason.endswith(("PROTOCOL_VERSION", "HANDSHAKE_FAILURE", "INSUFFICIENT_SECURITY"))
        return Greeting("old-tls" if old else "not-accepted", detail=reason)
    return Greeting("old-tls" if reason == "UNSUPPORTED_PROTOCOL" else "not-tls", detail=reason)


def _speak(line: ssl.SSLSocket) -> Greeting:
    """In TLS 1.3 a server judges our certificate after our side of the handshake is done."""
    certificate, version = line.getpeercert(binary_form=True), line.version() or ""
    try:
        line.sendall(_HTTP2)
        answer = b""
        while len(answer) < 9:
            part = line.recv(1024)
            if not part:
                break
            answer += part
    except TimeoutError:
        return Greeting("silent", certificate, f"{version}, then nothing")
    except (ssl.SSLError, OSError) as error:
        return Greeting("not-accepted", certificate, getattr(error, "reason", None) or type(error).__name__)
    if not answer:
        return Greeting("not-accepted", certificate, "closed")
    if len(answer) < 9 or answer[3] != _SETTINGS:
        return Greeting("not-grpc", certificate, version)
    return Greeting("grpc", certificate, version)
