"""`mpcstats party passphrase`: set, change or remove the passphrase of keys."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mpcstats.errors import ConfigurationError

__all__ = ["passphrase"]


def passphrase(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The party's directory.")],
    new_file: Annotated[
        Path | None, typer.Option("--new-file", help="File (mode 0600) with the new one; default: typed twice.")
    ] = None,
    old_file: Annotated[
        Path | None, typer.Option("--old-file", help="File with the one in force; default: as a node finds it.")
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Have no passphrase from now on.")] = False,
    person: Annotated[str | None, typer.Option(help="Of the key of a person, instead of the party's.")] = None,
) -> None:
    """Set, change or remove the passphrase of the party's keys. Stop the node first."""
    from mpcstats.node.governance.people import private_file
    from mpcstats.node.identity.passphrase import find_passphrase, is_protected, read_passphrase_file
    from mpcstats.node.identity.protection import change_passphrase, change_person_passphrase

    path = directory / "keys" / "node.key" if person is None else private_file(directory, person)
    old = None
    if old_file is not None:
        old = read_passphrase_file(old_file)
    elif path.exists() and is_protected(path.read_bytes()):
        old = find_passphrase(directory, "passphrase in force: ") if person is None else _typed("passphrase in force: ")
    new = None if remove else read_passphrase_file(new_file) if new_file else _typed_twice()
    changed = change_passphrase(directory, old, new) if person is None else change_person_passphrase(path, old, new)
    for file in changed:
        typer.echo(f"{'protected' if new else 'has no passphrase'}  {file}")
    if new and person is None:
        typer.echo("next: give it to the node: [keys] passphrase_file, or the systemd credential mpcstats-passphrase")


def _typed(question: str) -> str:
    from getpass import getpass

    if not sys.stdin.isatty():
        raise ConfigurationError("there is no terminal to type a passphrase at", hint="--old-file, --new-file")
    return getpass(question)


def _typed_twice() -> str:
    first = _typed("new passphrase: ")
    if first != _typed("again: "):
        raise ConfigurationError("the two are not the same; nothing was changed")
    return first
