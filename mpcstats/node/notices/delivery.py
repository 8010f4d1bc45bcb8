"""One notice to one server: a signed POST, or a mail. Blocking; called from a thread of its own.

The address comes from this party's own party.toml, never from another party. Still a notice goes where the operator
meant: redirects are not followed, proxies of the environment are not used, the address is looked up once and the one
that was checked is dialled, link-local ones (a cloud's metadata service) are refused, and nothing of an answer but its
code is read or told.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.client
import ipaddress
import json
import smtplib
import socket
import ssl
import threading
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mpcstats.errors import ConfigurationError
from mpcstats.node.notices.config import EmailTarget, WebhookTarget
from mpcstats.study.canonical import parse_moment
from mpcstats.version import __version__

__all__ = ["DELIVERY_SECONDS", "Delivery", "DeliveryFailed", "signature"]

DELIVERY_SECONDS = 15.0
"""How long one delivery may take in all."""

_SOCKET_SECONDS = 10.0
_LEAST_SECRET = 16


class DeliveryFailed(Exception):
    """Why a notice was not taken: a fixed sentence with a code, nothing that a server said."""


class Delivery:
    """Knows the secrets; they are in no repr, log or notice.

    Parameters
    ----------
    directory : Path
        The party's directory: files are relative to it.
    party : str
    targets : sequence of targets

    Raises
    ------
    ConfigurationError
        A secret is missing, too short, or others can read it.
    """

    def __init__(self, directory: Path, party: str, targets: Sequence[WebhookTarget | EmailTarget]) -> None:
        self._party = party
        self._secrets: dict[str, bytes] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._open: dict[str, Any] = {}
        self._lock = threading.Lock()
        for target in targets:
            file = target.secret_file if isinstance(target, WebhookTarget) else target.password_file
            if file is not None:
                least = _LEAST_SECRET if isinstance(target, WebhookTarget) else 1
                self._secrets[target.name] = _secret(directory / file, least)
            self._contexts[target.name] = _context(directory, target.ca_file)

    def send(self, target: WebhookTarget | EmailTarget, key: str, body: str, timestamp: str) -> None:
        """Deliver a notice.

        Raises
        ------
        DeliveryFailed
            It was not taken.
        """
        try:
            if isinstance(target, WebhookTarget):
                self._post(target, key, body.encode(), timestamp)
            else:
                self._mail(target, key, json.loads(body), timestamp)
        except ssl.SSLCertVerificationError:
            raise DeliveryFailed("the certificate of the server is not trusted") from None
        except smtplib.SMTPResponseException as error:
            raise DeliveryFailed(f"the mail server refused ({error.smtp_code})") from None
        except (smtplib.SMTPException, http.client.HTTPException) as error:
            raise DeliveryFailed(f"the server did not keep to the protocol ({type(error).__name__})") from None
        except TimeoutError:
            raise DeliveryFailed("the server did not answer in time") from None
        except OSError as error:
            raise DeliveryFailed(f"the server cannot be reached ({type(error).__name__})") from None
        finally:
            with self._lock:
                self._open.pop(key, None)

    def abort(self, key: str) -> None:
        """Cut the connection of a delivery that takes too long."""
        with self._lock:
            connection = self._open.pop(key, None)
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _post(self, target: WebhookTarget, key: str, body: bytes, timestamp: str) -> None:
        parts = urlsplit(target.url)
        host, secure = str(parts.hostname), parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        plain = _dial(host, port, loopback_only=not secure)
        with self._lock:
            self._open[key] = plain
        with contextlib.closing(plain):
            connection = http.client.HTTPConnection(host, port, timeout=_SOCKET_SECONDS)
            connection.sock = self._contexts[target.name].wrap_socket(plain, server_hostname=host) if secure else plain
            if secure:
                with self._lock:
                    self._open[key] = connection.sock
            with contextlib.closing(connection):
                headers = {
                    "Host": parts.netloc,
                    "Content-Type": "application/json",
                    "User-Agent": f"mpcstats/{__version__}",
                    "Idempotency-Key": key,
                    "Mpcstats-Timestamp": timestamp,
                    "Mpcstats-Signature": signature(self._secrets[target.name], timestamp, body),
                }
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                connection.request("POST", path, body, headers)
                status = connection.getresponse().status
        if 300 <= status < 400:
            raise DeliveryFailed(f"the server answered {status}: redirects are not followed")
        if not 200 <= status < 300:
            raise DeliveryFailed(f"the server answered {status}")

    def _mail(self, target: EmailTarget, key: str, facts: dict[str, str], timestamp: str) -> None:
        context = self._contexts[target.name]
        common: dict[str, Any] = {"local_hostname": f"{self._party}.invalid", "timeout": _SOCKET_SECONDS}
        server: smtplib.SMTP = (
            smtplib.SMTP_SSL(target.host, target.port, context=context, **common)
            if target.security == "ssl"
            else smtplib.SMTP(target.host, target.port, **common)
        )
        with self._lock:
            self._open[key] = server.sock
        try:
            if target.security == "starttls":
                server.starttls(context=context)  # a server without it is an error, never a mail in the clear
                with self._lock:
                    self._open[key] = server.sock
            if target.user is not None:
                server.login(target.user, self._secrets[target.name].decode())
            server.send_message(_message(target, key, facts, timestamp, self._party))
        finally:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                server.quit()
            server.close()


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """What `Mpcstats-Signature` says: readers compute it, compare in constant time, and refuse old timestamps."""
    return "sha256=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _message(target: EmailTarget, key: str, facts: dict[str, str], timestamp: str, party: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)  # refuses line breaks in headers
    about = f": {facts['name']}" if facts.get("name") else ""
    message["From"] = target.sender
    message["To"] = ", ".join(target.to)
    message["Subject"] = f"[mpcstats {party}] {facts['event']}{about}"
    message["Date"] = format_datetime(parse_moment(timestamp))
    message["Message-ID"] = f"<{key}@{party}.invalid>"
    message["Auto-Submitted"] = "auto-generated"
    order = ("event", "node", "consortium", "study", "name", "party", "state", "due", "time", "next")
    lines = [f"{name:<11} {facts[name]}" for name in order if name in facts]
    message.set_content("\n".join(lines) + "\n", cte="quoted-printable")
    return message


def _dial(host: str, port: int, loopback_only: bool) -> socket.socket:
    """Connect to an address that was checked; none is looked up again afterwards."""
    problem: OSError | None = None
    for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
        mapped = getattr(ip, "ipv4_mapped", None) or ip
        if mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified:
            raise DeliveryFailed("the name of the server stands for an address that is not allowed (link-local)")
        if loopback_only and not mapped.is_loopback:
            raise DeliveryFailed("the name of the server is not of this machine")
        try:
            return socket.create_connection((str(mapped), port), timeout=_SOCKET_SECONDS)
        except OSError as error:
            problem = error
    raise problem or OSError("no address")


def _secret(path: Path, least: int) -> bytes:
    try:
        mode, content = path.stat().st_mode, path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}", hint=f"umask 077; openssl rand -hex 32 > {path}"
        ) from None
    if mode & 0o077:
        raise ConfigurationError(f"{path} can be read by other users (mode {mode & 0o777:o})", hint=f"chmod 600 {path}")
    try:
        content.decode()
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not text", hint=f"umask 077; openssl rand -hex 32 > {path}") from None
    if len(content) < least:
        raise ConfigurationError(
            f"{path} has {len(content)} bytes, and {least} are the least", hint=f"openssl rand -hex 32 > {path}"
        )
    return content


def _context(directory: Path, ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(directory / ca_file))
    except (OSError, ssl.SSLError):
        raise ConfigurationError(f"{ca_file} is not a file with certificates", hint="ca_file in [[notify]]") from None
