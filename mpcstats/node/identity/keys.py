"""A party's identity: a P-256 key, its self-signed certificate, an Ed25519 signing key, and the fingerprint that people
compare.

TLS pins the certificates; nobody signs them. (gRPC's TLS library accepts no Ed25519 certificates, hence P-256.) What a
party decides it signs with the Ed25519 key. The certificate names that key, and is signed by the key whose fingerprint
people compare: so the fingerprint vouches for both.
"""

from __future__ import annotations

import datetime
import os
import re
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from mpcstats.errors import ConfigurationError
from mpcstats.node.identity.passphrase import unlocked
from mpcstats.node.identity.words import spoken
from mpcstats.study.signing import PUBLIC_KEY_BYTES, SigningKey
from mpcstats.transport.tls import KeyPair, fingerprint, tls_name

__all__ = [
    "CERTIFICATE_YEARS",
    "check_name",
    "create_identity",
    "fingerprint_words",
    "load_identity",
    "load_certificate",
    "load_signing_key",
    "signing_public",
]

CERTIFICATE_YEARS = 2

# The name is part of a DNS name, of file names and of log lines.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]")
_KEY_FILE = "node.key"
_CERTIFICATE_FILE = "node.crt"
_SIGNING_FILE = "signing.key"
_SIGNING_URI = "mpcstats:ed25519:"


def check_name(name: str) -> str:
    """Return `name` when it can name a party: 2 to 32 of a-z, 0-9 and '-', starting with a letter.

    Raises
    ------
    ConfigurationError
        It cannot.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot name a party: 2 to 32 lower-case letters, digits and '-', starting with a letter"
        )
    return name


def create_identity(directory: Path, name: str) -> KeyPair:
    """Make keys and a certificate for party `name` in `directory`/keys (mode 0700, files 0600).

    Raises
    ------
    ConfigurationError
        There is a key already (it is never overwritten), or the name is not valid.
    """
    check_name(name)
    keys = directory / "keys"
    key, signing = ec.generate_private_key(ec.SECP256R1()), SigningKey.generate()
    pair = KeyPair(
        key_pem=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        certificate_pem=_self_signed(key, name, signing.public),
    )
    try:
        keys.mkdir(parents=True, exist_ok=True, mode=0o700)
        keys.chmod(0o700)
        _write_private(keys / _KEY_FILE, pair.key_pem)
        _write_private(keys / _CERTIFICATE_FILE, pair.certificate_pem)
        _write_private(keys / _SIGNING_FILE, signing.secret.hex().encode() + b"\n")
    except FileExistsError as error:
        raise ConfigurationError(
            f"{error.filename} exists: this directory has an identity", hint="choose another directory"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"cannot write {error.filename}: {error.strerror}") from None
    return pair


def load_identity(directory: Path, name: str) -> KeyPair:
    """Read the key and certificate of party `name`.

    Raises
    ------
    ConfigurationError
        They are missing, readable by others, expired, or made for another name.
    """
    keys = directory / "keys"
    # a party's files without --name: only the keys are made
    hint = f"mpcstats party init {directory}" + ("" if (directory / "party.toml").exists() else f" --name {name}")
    key = unlocked(keys / _KEY_FILE, _read_private(keys / _KEY_FILE, hint), directory)
    pair = KeyPair(key, _read(keys / _CERTIFICATE_FILE, hint))
    load_certificate(pair.certificate_pem, name)
    return pair


def load_signing_key(directory: Path, name: str) -> SigningKey:
    """Read the key with which party `name` signs; it is the one that its certificate names.

    Raises
    ------
    ConfigurationError
        It is missing, readable by others, or not the certificate's.
    """
    path = directory / "keys" / _SIGNING_FILE
    text = unlocked(path, _read_private(path, f"restore {path} from a backup, or make a new identity"), directory)
    try:
        key = SigningKey(bytes.fromhex(text.decode("ascii").strip()))
    except ValueError:
        raise ConfigurationError(f"{path} holds no signing key") from None
    if key.public != signing_public(load_identity(directory, name).certificate_pem):
        raise ConfigurationError(f"{path} is not the key that the certificate names", hint="restore both from a backup")
    return key


def signing_public(certificate_pem: bytes) -> bytes:
    """The public signing key that a party's certificate names (32 bytes).

    Raises
    ------
    ConfigurationError
        The certificate names none, or was not signed by its own key.
    """
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        certificate.verify_directly_issued_by(certificate)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (uri,) = names.get_values_for_type(x509.UniformResourceIdentifier)
        public = bytes.fromhex(uri.removeprefix(_SIGNING_URI))
        if not uri.startswith(_SIGNING_URI) or len(public) != PUBLIC_KEY_BYTES:
            raise ValueError
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        raise ConfigurationError(
            "the certificate names no signing key",
            hint="make a new identity (party init) and a new version of the roster",
        ) from None
    return public


def _read(path: Path, hint: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {error.filename}: {error.strerror}", hint=hint) from None


def _read_private(path: Path, hint: str) -> bytes:
    content = _read(path, hint)
    mode = path.stat().st_mode
    if mode & 0o077:
        raise ConfigurationError(f"{path} can be read by other users (mode {mode & 0o777:o})", hint=f"chmod 600 {path}")
    return content


def load_certificate(certificate_pem: bytes, name: str, *, past: bool = False) -> x509.Certificate:
    """Parse the certificate of party `name` and check name, kind of key and dates.

    `past`: it need not be valid today, for what was signed while it was.

    Raises
    ------
    ConfigurationError
        Says what is wrong, with the date or the name found.
    """
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        public_key = certificate.public_key()
    except (
        ValueError,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        UnsupportedAlgorithm,
    ) as error:
        raise ConfigurationError(
            f"the certificate of {name} cannot be read ({type(error).__name__})", party=name
        ) from None
    if names.get_values_for_type(x509.DNSName) != [tls_name(name)]:
        raise ConfigurationError(f"the certificate was not made for the name {name!r}", party=name)
    if not isinstance(public_key, ec.EllipticCurvePublicKey) or not isinstance(public_key.curve, ec.SECP256R1):
        raise ConfigurationError("the certificate's key is not an ECDSA P-256 key", party=name)
    now = datetime.datetime.now(datetime.UTC)
    if not past and not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise ConfigurationError(
            f"the certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M}",
            party=name,
            hint="make a new identity and a new version of the roster",
        )
    return certificate


def fingerprint_words(certificate_pem: bytes) -> str:
    """The first 96 bits of the public key's SHA-256 as twelve words, for reading over the telephone."""
    return spoken(fingerprint(certificate_pem)[:12])


def _self_signed(key: ec.EllipticCurvePrivateKey, name: str, signing: bytes) -> bytes:
    names = [x509.DNSName(tls_name(name)), x509.UniformResourceIdentifier(_SIGNING_URI + signing.hex())]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, tls_name(name))])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # the clocks of institutions differ by minutes
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=365 * CERTIFICATE_YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _write_private(path: Path, content: bytes) -> None:
    """Create `path` with mode 0600; never opens an existing file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
