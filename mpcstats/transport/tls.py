"""Mutual TLS between parties whose keys are pinned: no certificate authority could mint a party.

A party is its key. The roster lists every party's self-signed certificate; the TLS library accepts exactly these as
trust anchors, and `mpcstats.transport.callers` binds the SHA-256 of the public key to the party's number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mpcstats.errors import ConfigurationError

__all__ = [
    "FRAME_BYTES",
    "MESSAGE_LIMIT",
    "KeyPair",
    "PinnedPeer",
    "dial_options",
    "fingerprint",
    "peer_credentials",
    "server_credentials",
    "server_options",
    "tls_name",
]

FRAME_BYTES = 1 << 20
"""Payload of a frame at most; longer messages are cut."""

MESSAGE_LIMIT = FRAME_BYTES + 4096
"""Largest gRPC message that is read at all: a frame with its header, far below any queue's bound."""

# A peer whose machine is gone without a word is noticed by its silence on HTTP/2 pings.
_KEEPALIVE_MS = 10_000


@dataclass(frozen=True)
class KeyPair:
    """A party's own key and certificate, PEM. The key never appears in a repr."""

    key_pem: bytes = field(repr=False)
    certificate_pem: bytes


@dataclass(frozen=True)
class PinnedPeer:
    """A party as the roster pins it.

    Attributes
    ----------
    index : int
        Number in the roster, 1..m.
    name : str
        Its name, also in its certificate (`tls_name`).
    address : str
        host:port it listens on.
    certificate_pem : bytes
        Its self-signed certificate.
    """

    index: int
    name: str
    address: str
    certificate_pem: bytes

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the public key (32 bytes)."""
        return fingerprint(self.certificate_pem)


def tls_name(party: str) -> str:
    """The DNS name in a party's certificate: checked by TLS on top of the key, whatever the address is."""
    return f"{party}.party.mpcstats"


def fingerprint(certificate_pem: bytes) -> bytes:
    """SHA-256 of the certificate's SubjectPublicKeyInfo (32 bytes): survives a renewal with the same key.

    Raises
    ------
    ConfigurationError
        The bytes are not a certificate.
    """
    try:
        public_key = x509.load_pem_x509_certificate(certificate_pem).public_key()
    except ValueError as error:
        raise ConfigurationError(f"not a PEM certificate: {error}") from None
    return hashlib.sha256(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def server_credentials(own: KeyPair, peers: Iterable[PinnedPeer], others: Iterable[bytes] = ()) -> Any:
    """Credentials of a node's port: a client certificate is required and must be one of the peers', the own, or one of
    `others` (PEM)."""
    anchors = own.certificate_pem + b"".join((*(peer.certificate_pem for peer in peers), *others))
    pair = (own.key_pem, own.certificate_pem)
    return grpc.ssl_server_credentials([pair], root_certificates=anchors, require_client_auth=True)


def peer_credentials(own: KeyPair, certificate_pem: bytes) -> Any:
    """Credentials for dialling the holder of `certificate_pem` and nobody else."""
    return grpc.ssl_channel_credentials(certificate_pem, own.key_pem, own.certificate_pem)


def dial_options(party: str) -> list[tuple[str, Any]]:
    """gRPC options for dialling a party by name."""
    return [
        ("grpc.ssl_target_name_override", tls_name(party)),
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_MS),
        ("grpc.http2.max_pings_without_data", 0),
        # a peer that comes back is found within a second
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 1000),
        ("grpc.max_reconnect_backoff_ms", 1000),
        # peers are named in the roster: no proxy between them, no retry behind our back
        ("grpc.enable_http_proxy", 0),
        ("grpc.enable_retries", 0),
        *_limits(),
    ]


def server_options() -> list[tuple[str, Any]]:
    """gRPC options of a node's port."""
    return [
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_MS),
        ("grpc.http2.min_ping_interval_without_data_ms", _KEEPALIVE_MS // 2),
        # two nodes on one port would steal each other's connections
        ("grpc.so_reuseport", 0),
        *_limits(),
    ]


def _limits() -> list[tuple[str, Any]]:
    return [("grpc.max_receive_message_length", MESSAGE_LIMIT), ("grpc.max_send_message_length", MESSAGE_LIMIT)]
