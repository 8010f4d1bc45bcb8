"""Setting, changing and removing the passphrase of keys."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from mpcstats.errors import ConfigurationError
from mpcstats.node.identity.lockfile import hold_lock
from mpcstats.node.identity.passphrase import SHORTEST, is_protected, like_node_key, opened, protected

__all__ = ["change_passphrase", "change_person_passphrase", "protect_alike"]

_PARTY_KEYS = ("node.key", "signing.key", "storage.key")


def change_passphrase(directory: Path, old: str | None, new: str | None) -> list[Path]:
    """Set, change or (new None) remove the passphrase of a party's keys; the files that changed.

    All files are written beside the old ones first; each then takes the old one's place in one step. Where the machine
    stops between two of them, the same command goes on: files that have the new passphrase already are left alone.

    Raises
    ------
    ConfigurationError
        The node runs; the old passphrase is wrong or missing; the new one is too short.
    """
    _check(new)
    with hold_lock(directory / "state"):
        keys = [directory / "keys" / name for name in _PARTY_KEYS]
        following = [directory / "next" / "keys" / name for name in _PARTY_KEYS]
        found = [path for path in keys + following if path.exists()]
        if not found:
            raise ConfigurationError(f"{directory / 'keys'} has no keys", hint=f"mpcstats party init {directory}")
        return _replace({path: _changed(path, old, new) for path in found})


def change_person_passphrase(path: Path, old: str | None, new: str | None) -> list[Path]:
    """The same for the key of a person."""
    _check(new)
    return _replace({path: _changed(path, old, new)})


def protect_alike(directory: Path, following: Path) -> None:
    """New keys of a party, not in use yet, get the passphrase that its keys have."""
    paths = [following / "keys" / name for name in _PARTY_KEYS]
    _replace({path: like_node_key(path.read_bytes(), path.name, directory) for path in paths if path.exists()})


def _check(new: str | None) -> None:
    if new is not None and (len(new) < SHORTEST or "\n" in new):
        raise ConfigurationError(f"a passphrase has {SHORTEST} characters or more, in one line")


def _changed(path: Path, old: str | None, new: str | None) -> bytes:
    """What the file will hold."""
    content = path.read_bytes()
    if is_protected(content):
        plain = None
        for passphrase in dict.fromkeys((old, new)):  # a change that was interrupted left some with the new one
            if passphrase is not None and plain is None:
                try:
                    plain = opened(content, path.name, passphrase)
                except ConfigurationError:
                    continue
                if passphrase == new:
                    return content
        if plain is None:
            raise ConfigurationError(
                f"the passphrase does not open {path}" if old else f"{path} has a passphrase, and none is given",
                hint="give the one that is in force",
            )
        content = plain
    return content if new is None else protected(content, path.name, new)


def _replace(contents: dict[Path, bytes]) -> list[Path]:
    """Put new contents in the place of files, all or (where one cannot be written) none."""
    changed = {path: content for path, content in contents.items() if path.read_bytes() != content}
    staged: dict[Path, Path] = {}
    try:
        for path, content in changed.items():
            staged[path] = partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
        for path, partial in staged.items():
            partial.replace(path)
    finally:
        for partial in staged.values():
            partial.unlink(missing_ok=True)
    for folder in {path.parent for path in changed}:
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    return list(changed)
