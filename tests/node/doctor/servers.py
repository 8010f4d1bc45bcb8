"""Ports that answer as a peer does, or as it should not: real sockets, keys made here."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mpcstats.node.control import CONTROL_SERVICE, PeerService
from mpcstats.transport.callers import CallerCheck
from mpcstats.transport.tls import KeyPair, PinnedPeer, fingerprint, server_credentials, server_options, tls_name
from mpcstats.wire.node_pb2_grpc import add_PeerServicer_to_server


def make_pair(name: str, first: float = -1, last: float = 700, dns: str | None = None) -> KeyPair:
    """A key and a certificate valid from `first` to `last` (days from now)."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    common = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, tls_name(name))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(common)
        .issuer_name(common)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=first))
        .not_valid_after(now + datetime.timedelta(days=last))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns or tls_name(name))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(secret, certificate.public_bytes(Encoding.PEM))


@contextlib.contextmanager
def raw_server(port: int, behave: Callable[[socket.socket], None]) -> Iterator[None]:
    """Accepts connections and does with each what `behave` says; they are closed at the end."""
    listener = socket.create_server(("127.0.0.1", port))
    kept: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                line, _ = listener.accept()
                kept.append(line)
                with contextlib.suppress(OSError):
                    behave(line)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for line in kept:
            line.close()
        thread.join(5)
        assert not thread.is_alive()


def tls_behaviour(
    folder: Path, pair: KeyPair, protocol: str = "h2", answer: bytes = b"", newest: ssl.TLSVersion | None = None
) -> Callable[[socket.socket], None]:
    """Speaks TLS with a key, asks for no certificate, and answers with some bytes."""
    certificate, key = folder / "server.crt", folder / "server.key"
    certificate.write_bytes(pair.certificate_pem)
    key.write_bytes(pair.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols([protocol])
    if newest is not None:
        context.maximum_version = newest

    def behave(line: socket.socket) -> None:
        line.settimeout(5)
        wrapped = context.wrap_socket(line, server_side=True)
        wrapped.recv(1024)
        if answer:
            wrapped.sendall(answer)
            wrapped.recv(1024)
        wrapped.close()

    return behave


@contextlib.contextmanager
def node(
    port: int,
    pair: KeyPair,
    roster: Any,
    name: str,
    trusted: list[PinnedPeer] | None = None,
    change: Callable[[Any], None] | None = None,
    with_service: bool = True,
) -> Iterator[None]:
    """A node's port with the real answers to pings, in a thread of its own.

    Parameters
    ----------
    trusted : list of PinnedPeer, optional
        Whom TLS accepts; default the others of the roster.
    change : function (PingReply), optional
        Changes what is answered.
    with_service : bool
        Without it, the port knows no call at all.
    """
    peers = [peer for peer in roster.peers if peer.name != name] if trusted is None else trusted
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        class Changed(PeerService):
            async def Ping(self, request: Any, context: Any) -> Any:
                reply = await super().Ping(request, context)
                if change is not None:
                    change(reply)
                return reply

        check = CallerCheck(fingerprint(pair.certificate_pem), peers, frozenset({CONTROL_SERVICE}), lambda *_: None)
        server = grpc.aio.server(interceptors=[check], options=server_options())
        if with_service:
            add_PeerServicer_to_server(Changed(SimpleNamespace(name=name, roster=roster)), server)
        server.add_secure_port(f"127.0.0.1:{port}", server_credentials(pair, peers))
        await server.start()
        ready.set()
        await asyncio.to_thread(done.wait)
        await server.stop(0)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield
    finally:
        done.set()
        thread.join(10)
        assert not thread.is_alive()
