"""Ed25519 signatures over canonical documents (RFC 8032), each under the kind of document that it is for.

What is signed is the digest of kind and content, so a signature of one kind never holds for another. Verification
raises and never returns False.
"""

from __future__ import annotations

from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mpcstats.errors import SignatureInvalid
from mpcstats.study.canonical import document_digest

__all__ = ["PUBLIC_KEY_BYTES", "SIGNATURE_BYTES", "SigningKey", "verify"]

PUBLIC_KEY_BYTES, SIGNATURE_BYTES = 32, 64

_DOMAIN = b"mpcstats/v1/signature\0"


class SigningKey:
    """A private Ed25519 key. It never appears in a repr.

    Parameters
    ----------
    secret : 32 bytes
    """

    def __init__(self, secret: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(secret)

    @classmethod
    def generate(cls) -> SigningKey:
        """A fresh key."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    def __repr__(self) -> str:
        return f"<SigningKey {self.public.hex()[:16]}>"

    @property
    def public(self) -> bytes:
        """The public key (32 bytes)."""
        return self._key.public_key().public_bytes_raw()

    @property
    def secret(self) -> bytes:
        """The private key (32 bytes), for the file that keeps it."""
        return self._key.private_bytes_raw()

    def sign(self, kind: str, document: Any) -> bytes:
        """Sign a document of a kind (64 bytes)."""
        return self._key.sign(_DOMAIN + document_digest(kind, document))


def verify(public: bytes, kind: str, document: Any, signature: bytes, *, what: str, party: str | None = None) -> None:
    """Check a signature.

    Parameters
    ----------
    what : str
        Names the document in the error, such as "approval of study 7f3a".

    Raises
    ------
    SignatureInvalid
        It does not hold for this document, kind and key.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _DOMAIN + document_digest(kind, document))
    except (InvalidSignature, ValueError):
        raise SignatureInvalid(f"the signature of {what} does not hold", party=party) from None
