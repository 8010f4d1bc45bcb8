"""Auditors: people from outside who may read this party's audit log, and nothing else.

An auditor makes a key of his own (`mpcstats audit key`) and gives the operator the certificate, which the node pins as
it pins those of parties: keys/auditors/NAME.crt.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from mpcstats.errors import ConfigurationError
from mpcstats.node.identity.keys import check_name, load_certificate
from mpcstats.transport.tls import fingerprint

__all__ = ["add_auditor", "load_auditors", "remove_auditor"]


def add_auditor(directory: Path, name: str, certificate_pem: bytes, parties: Iterable[bytes] = ()) -> Path:
    """Register an auditor; holds from the node's next start.

    Parameters
    ----------
    parties : iterable of bytes
        Fingerprints of keys that are parties': nobody has two roles with one key.

    Raises
    ------
    ConfigurationError
        The certificate is not one for this name, belongs to a party, or the name is taken.
    """
    load_certificate(certificate_pem, check_name(name))
    if fingerprint(certificate_pem) in set(parties):
        raise ConfigurationError(
            "this is the key of a party", hint="an auditor has a key of his own: mpcstats audit key"
        )
    path = _folder(directory) / f"{name}.crt"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"there is an auditor {name!r}", hint="remove it first") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(certificate_pem)
    return path


def remove_auditor(directory: Path, name: str) -> None:
    """Forget an auditor; holds from the node's next start.

    Raises
    ------
    ConfigurationError
        There is none of this name.
    """
    try:
        (_folder(directory) / f"{check_name(name)}.crt").unlink()
    except FileNotFoundError:
        raise ConfigurationError(f"there is no auditor {name!r}") from None


def load_auditors(directory: Path) -> dict[str, bytes]:
    """Certificates (PEM) of all auditors by name.."""
    found = {}
    for path in sorted(_folder(directory).glob("*.crt")):
        pem = path.read_bytes()
        load_certificate(pem, path.stem, past=True)
        found[path.stem] = pem
    return found


def _folder(directory: Path) -> Path:
    return directory / "keys" / "auditors"
