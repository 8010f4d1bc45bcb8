"""`mpcstats party auditor`: who from outside may read the audit log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mpcstats.errors import ConfigurationError

__all__ = ["app"]

app = typer.Typer(help="Register who may read the audit log, and nothing else.", no_args_is_help=True)

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The party's directory.")]
Name = Annotated[str, typer.Argument(help="The auditor's name.")]


@app.command()
def add(
    directory: Directory,
    name: Name,
    certificate: Annotated[Path, typer.Option(help="The auditor's certificate, from `mpcstats audit key`.")],
) -> None:
    """Pin an auditor's certificate; compare the words with the auditor first."""
    from mpcstats.node.auditing.auditors import add_auditor
    from mpcstats.node.identity.keys import fingerprint_words
    from mpcstats.node.settings.config import PartyDirectory
    from mpcstats.sdk.audit import own_log

    party = PartyDirectory(directory)
    try:
        pem = certificate.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {certificate}: {error.strerror}") from None
    add_auditor(party.path, name, pem, [member.fingerprint for member in party.roster().party])
    with own_log(party) as (log, _):
        log.append("key-added", "operator", auditor=name)
    typer.echo(f"{name} may read the audit log of {party.config.name} from the node's next start")
    typer.echo(f"fingerprint  {fingerprint_words(pem)}")


@app.command()
def remove(directory: Directory, name: Name) -> None:
    """Forget an auditor."""
    from mpcstats.node.auditing.auditors import remove_auditor
    from mpcstats.node.settings.config import PartyDirectory
    from mpcstats.sdk.audit import own_log

    party = PartyDirectory(directory)
    remove_auditor(party.path, name)
    with own_log(party) as (log, _):
        log.append("key-revoked", "operator", auditor=name)
    typer.echo(f"{name} may no longer read, from the node's next start")


@app.command(name="list")
def list_(directory: Directory) -> None:
    """Show the auditors with the words of their keys."""
    from mpcstats.node.auditing.auditors import load_auditors
    from mpcstats.node.identity.keys import fingerprint_words
    from mpcstats.node.settings.config import PartyDirectory

    for name, pem in load_auditors(PartyDirectory(directory).path).items():
        typer.echo(f"{name:<20} {fingerprint_words(pem)}")
