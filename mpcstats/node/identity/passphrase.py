"""A passphrase on a party's private keys.

A protected file has the bytes that it would have without, encrypted: a magic word, scrypt's salt and AES-256-GCM's
nonce, then ciphertext and tag. What the file is called is authenticated beside, so that no key can be put in another
one's place. scrypt (N = 2^15, r = 8, p = 1: 32 MiB, about a tenth of a second) slows guessing down.

The passphrase is found, in this order: systemd's credential `mpcstats-passphrase`, the file named by
MPCSTATS_PASSPHRASE_FILE, the file named by [keys] passphrase_file of party.toml, the terminal. A person's key has the
person's own: from the file named by MPCSTATS_PERSON_PASSPHRASE_FILE, or the terminal.
"""

from __future__ import annotations

import functools
import os
import secrets
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from mpcstats.errors import ConfigurationError

__all__ = [
    "SHORTEST",
    "find_passphrase",
    "is_protected",
    "like_node_key",
    "opened",
    "protected",
    "read_passphrase_file",
    "unlocked",
    "unlocked_person",
]

CREDENTIAL = "mpcstats-passphrase"

PERSON_VARIABLE = "MPCSTATS_PERSON_PASSPHRASE_FILE"

SHORTEST = 12
"""Characters of a new passphrase, at least."""

_MAGIC = b"mpcstats protected key 1\n"
_SALT, _NONCE, _KEY = 16, 12, 32
_HEAD = len(_MAGIC) + _SALT + _NONCE


def is_protected(content: bytes) -> bool:
    """Whether the content of a key file is encrypted."""
    return content.startswith(_MAGIC)


def protected(content: bytes, name: str, passphrase: str) -> bytes:
    """The content of a key file, encrypted. `name` is that of the file."""
    salt, nonce = secrets.token_bytes(_SALT), secrets.token_bytes(_NONCE)
    return _MAGIC + salt + nonce + AESGCM(_derived(passphrase, salt)).encrypt(nonce, content, _about(name))


def opened(content: bytes, name: str, passphrase: str) -> bytes:
    """What `protected` made a secret of.

    Raises
    ------
    ConfigurationError
        The passphrase is another one, or the file was changed or has another key's name.
    """
    salt, nonce = content[len(_MAGIC) : len(_MAGIC) + _SALT], content[len(_MAGIC) + _SALT : _HEAD]
    try:
        return AESGCM(_derived(passphrase, salt)).decrypt(nonce, content[_HEAD:], _about(name))
    except (InvalidTag, ValueError):
        raise ConfigurationError(
            f"the passphrase does not open {name}, or the file was changed", hint="the passphrase that it was set with"
        ) from None


def unlocked(path: Path, content: bytes, directory: Path) -> bytes:
    """The content of a key file, decrypted where it is protected.

    Parameters
    ----------
    path : Path
        The file; its name is part of what is checked.
    directory : Path
        The party's directory, whose party.toml may name a file with the passphrase.

    Raises
    ------
    ConfigurationError
        There is no passphrase, or it is another one.
    """
    if not is_protected(content):
        return content
    passphrase = find_passphrase(directory, f"passphrase of {path}: ")
    if passphrase is None:
        raise ConfigurationError(
            f"{path} has a passphrase, and none is given",
            hint=f"MPCSTATS_PASSPHRASE_FILE, [keys] passphrase_file, or the systemd credential {CREDENTIAL}",
        )
    return opened(content, path.name, passphrase)


def find_passphrase(
    directory: Path, question: str = "passphrase: ", environment: Mapping[str, str] | None = None
) -> str | None:
    """The passphrase of a party's keys; None where there is none and nobody to ask.

    Raises
    ------
    ConfigurationError
        A file that is named cannot be read, can be read by others, or is empty.
    """
    given = os.environ if environment is None else environment
    credentials = given.get("CREDENTIALS_DIRECTORY")
    if credentials and (Path(credentials) / CREDENTIAL).exists():
        # systemd shows it to the service alone, whatever the mode says
        return read_passphrase_file(Path(credentials) / CREDENTIAL, private=False)
    if given.get("MPCSTATS_PASSPHRASE_FILE"):
        return read_passphrase_file(Path(given["MPCSTATS_PASSPHRASE_FILE"]))
    home = directory.parent if directory.name == "next" else directory  # keys that are not in use yet
    named = given.get("MPCSTATS_KEYS__PASSPHRASE_FILE") or _in_file(home)
    if named:
        return read_passphrase_file(home / named)
    return _asked(question, "keys")


def unlocked_person(path: Path, content: bytes) -> bytes:
    """The content of a person's key file, decrypted where it is protected: by the person's own passphrase.

    Raises
    ------
    ConfigurationError
        There is no passphrase, or it is another one.
    """
    if not is_protected(content):
        return content
    named = os.environ.get(PERSON_VARIABLE)
    passphrase = read_passphrase_file(Path(named)) if named else _asked(f"passphrase of {path}: ", str(path))
    if passphrase is None:
        raise ConfigurationError(
            f"{path} has a passphrase, and none is given", hint=f"{PERSON_VARIABLE}, or a terminal"
        )
    return opened(content, path.name, passphrase)


def read_passphrase_file(path: Path, *, private: bool = True) -> str:
    """The first line of a file.

    Raises
    ------
    ConfigurationError
        It cannot be read, can be read by others, or is empty.
    """
    try:
        if private and path.stat().st_mode & 0o077:
            raise ConfigurationError(f"{path} can be read by other users", hint=f"chmod 600 {path}")
        text = path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigurationError(f"the passphrase cannot be read from {path}: {reason}") from None
    if not text:
        raise ConfigurationError(f"{path} holds no passphrase")
    return text


_typed: dict[str, str] = {}


def _asked(question: str, kind: str) -> str | None:
    """A passphrase is typed once per process: all keys of a party have the same."""
    if kind not in _typed:
        if sys.stdin is None or not sys.stdin.isatty():
            return None
        from getpass import getpass

        _typed[kind] = getpass(question)
    return _typed[kind]


def _in_file(directory: Path) -> str | None:
    """[keys] passphrase_file; what else may be wrong with the file says whoever reads it."""
    try:
        keys = tomllib.loads((directory / "party.toml").read_text(encoding="utf-8")).get("keys", {})
    except (OSError, ValueError):
        return None
    named = keys.get("passphrase_file") if isinstance(keys, dict) else None
    return named if isinstance(named, str) else None


def like_node_key(content: bytes, name: str, directory: Path) -> bytes:
    """The content of a new key file of a party: protected where the party's node.key is.

    Raises
    ------
    ConfigurationError
        It is, and there is no passphrase.
    """
    node_key = directory / "keys" / "node.key"
    if not node_key.exists() or not is_protected(node_key.read_bytes()):
        return content
    unlocked(node_key, node_key.read_bytes(), directory)  # the right passphrase
    passphrase = find_passphrase(directory)
    assert passphrase is not None
    return protected(content, name, passphrase)


def _about(name: str) -> bytes:
    return b"mpcstats/v1/key-file\0" + name.encode()


@functools.lru_cache(maxsize=8)
def _derived(passphrase: str, salt: bytes) -> bytes:
    # the keys are read several times at a start, each with its own salt
    return Scrypt(salt=salt, length=_KEY, n=1 << 15, r=8, p=1).derive(passphrase.encode())
