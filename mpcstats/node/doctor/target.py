"""The parties of a roster as they are written, also where the roster as a whole is not valid (any more).

One expired certificate makes a roster invalid. The doctor is there to say which one.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mpcstats.errors import ConfigurationError
from mpcstats.node.consortium.roster import parse_toml
from mpcstats.transport.tls import fingerprint

__all__ = ["Target", "certificate_names", "read_targets", "validity"]


@dataclass(frozen=True)
class Target:
    """A party of the roster.

    Attributes
    ----------
    name, address : str
    certificate_pem : bytes
        As pinned.
    fingerprint : bytes
        Of its key.
    """

    name: str
    address: str
    certificate_pem: bytes
    fingerprint: bytes

    @property
    def certificate(self) -> x509.Certificate:
        """The pinned certificate."""
        return x509.load_pem_x509_certificate(self.certificate_pem)


def read_targets(path: Path) -> list[Target]:
    """The parties of a roster file.

    Raises
    ------
    ConfigurationError
        It is missing, no TOML, or a party has no name, address or certificate.
    """
    plain = parse_toml(path, hint="mpcstats consortium join ROSTER --party DIR")
    parties = plain.get("party")
    found = []
    for number, party in enumerate(parties if isinstance(parties, list) else [], start=1):
        fields = [party.get(key) for key in ("name", "address", "certificate")] if isinstance(party, dict) else []
        texts = [value for value in fields if isinstance(value, str)]
        if len(texts) != 3:
            raise ConfigurationError(f"{path}: party {number} lacks name, address or certificate")
        name, address, pem = texts
        content = (pem.strip() + "\n").encode()
        found.append(Target(name, address, content, fingerprint(content)))
    return found


def validity(certificate: x509.Certificate, now: datetime.datetime) -> tuple[str, float]:
    """("expired", days since), ("not yet", days until) or ("valid", days left)."""
    day = 86_400.0
    if now < certificate.not_valid_before_utc:
        return "not yet", (certificate.not_valid_before_utc - now).total_seconds() / day
    if now > certificate.not_valid_after_utc:
        return "expired", (now - certificate.not_valid_after_utc).total_seconds() / day
    return "valid", (certificate.not_valid_after_utc - now).total_seconds() / day


def certificate_names(certificate: x509.Certificate) -> list[str]:
    """DNS names of a certificate."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return names.get_values_for_type(x509.DNSName)


def pem_of(der: bytes) -> bytes:
    """A certificate as PEM.

    Raises
    ------
    ValueError
        It is none.
    """
    return x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
