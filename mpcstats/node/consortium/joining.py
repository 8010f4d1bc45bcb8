"""Joining a version of the roster, and changing one's keys."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from mpcstats.errors import ConfigurationError
from mpcstats.node.consortium.roster import Card, Roster, load_roster
from mpcstats.node.consortium.succession import Change, changes, sign_succession
from mpcstats.node.governance.desk import Desk
from mpcstats.node.identity.keys import create_identity, load_identity
from mpcstats.node.identity.protection import protect_alike
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.settings.setup import make_card
from mpcstats.node.state.database import Database
from mpcstats.study.entries import SignedEntry

__all__ = ["current_roster", "join_roster", "joined", "new_keys", "review_roster"]


def current_roster(directory: PartyDirectory) -> Roster | None:
    """The roster that the party uses; None before it joined one."""
    return load_roster(directory.roster_file) if directory.roster_file.exists() else None


def review_roster(directory: PartyDirectory, roster: Roster, accepted: Collection[str] = ()) -> list[Change]:
    """What a new version changes for this party; empty for its first roster.

    Raises
    ------
    ConfigurationError
        It is older than the one in use, does not follow it, or changes a party's keys without the old key's signature
        and without being `accepted`.
    """
    current = current_roster(directory)
    if current is None or current.consortium != roster.consortium:
        return []
    if current.version > roster.version:
        raise ConfigurationError(
            f"the roster is version {roster.version}, and this party already uses version {current.version}",
            hint="ask the lead for the current roster",
        )
    if current.digest != roster.digest and roster.previous not in {"", current.digest.hex()}:
        raise ConfigurationError(
            f"version {roster.version} of the roster does not follow the version {current.version} in use here",
            hint="join the versions one after the other",
        )
    found = changes(current, roster)
    for change in found:
        if change.unvouched and change.party not in accepted:
            raise ConfigurationError(
                f"{change.party} has new keys that its old key did not sign",
                hint=f"compare the words with {change.party} by telephone, then add --accept {change.party}",
            )
    return found


def join_roster(directory: PartyDirectory, roster: Roster, earlier: Sequence[Roster] = ()) -> SignedEntry:
    """Take a roster over and sign it: one entry, which the node passes on to the others.

    Parameters
    ----------
    earlier : rosters, optional
        Versions before, for a party that comes later: what was signed under them is checked with them. Each must be
        the one that its successor names.

    Returns
    -------
    SignedEntry
        This party's signature of the roster; the earlier one where it was joined before.
    """
    _install_next(directory, roster)
    directory.check_membership(roster)
    _check_history(roster, earlier)
    directory.rosters.mkdir(parents=True, exist_ok=True, mode=0o700)
    for version in (*earlier, roster):
        (directory.rosters / f"{version.digest.hex()}.toml").write_text(version.to_toml(), encoding="utf-8")
    name, known = directory.config.name, directory.earlier_rosters()
    database = Database(directory.state_url, name)
    try:
        desk = Desk(database, roster, name, directory.signing_key(), earlier=known)
        entry = joined(desk).get(name)
        if entry is None:
            body = {"version": roster.version, "previous": roster.previous}
            entry = desk.write("join", "", body)
    finally:
        database.close()
    directory.roster_file.write_text(roster.to_toml(), encoding="utf-8")
    return entry


def joined(desk: Desk) -> dict[str, SignedEntry]:
    """Who signed the desk's roster, by party."""
    digest, found = desk.roster.digest.hex(), {}
    for name in desk.roster.names:
        for signed in desk.chain(name):
            if signed.entry.action == "join" and signed.entry.roster == digest:
                found[name] = signed
    return found


def new_keys(directory: PartyDirectory) -> Card:
    """Make new keys beside those in use; the card with them, signed by the old signing key.

    They come into use with the roster that lists them.

    Raises
    ------
    ConfigurationError
        There are new keys that no roster lists yet.
    """
    following = directory.path / "next"
    if (following / "keys").exists():
        raise ConfigurationError(
            f"{following} has keys that are not in use yet", hint="send their card to the lead, or delete the folder"
        )
    pair = create_identity(following, directory.config.name)
    protect_alike(directory.path, following)
    card = make_card(directory.path).model_copy(update={"certificate": pair.certificate_pem.decode()})
    return sign_succession(card, directory.signing_key())


def _check_history(roster: Roster, earlier: Sequence[Roster]) -> None:
    following = roster
    for version in sorted(earlier, key=lambda each: -each.version):
        if version.digest.hex() != following.previous:
            raise ConfigurationError(
                f"version {version.version} is not the one that version {following.version} of the roster follows",
                hint="ask the lead for all versions since the first",
            )
        following = version


def _install_next(directory: PartyDirectory, roster: Roster) -> None:
    """Where the roster lists the new keys, put them in the place of the old ones, which are kept aside."""
    following = directory.path / "next"
    if not (following / "keys").exists():
        return
    pair = load_identity(following, directory.config.name)
    if pair.certificate_pem not in {member.certificate_pem for member in roster.party}:
        return
    keys = directory.path / "keys"
    aside = directory.path / f"keys-until-{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S}"
    _keep_other_files(keys, following / "keys")
    keys.rename(aside)
    (following / "keys").rename(keys)
    following.rmdir()


def _keep_other_files(keys: Path, target: Path) -> None:
    """Keys of people and of storage stay."""
    for path in keys.iterdir():
        if path.name not in {"node.key", "node.crt", "signing.key"} and not (target / path.name).exists():
            if path.is_dir():
                shutil.copytree(path, target / path.name)
            else:
                shutil.copy2(path, target / path.name)
