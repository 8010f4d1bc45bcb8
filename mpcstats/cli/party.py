"""`mpcstats party`: make, show, start and stop the node of one institution."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from mpcstats.cli.auditor import app as auditors
from mpcstats.cli.passphrase import passphrase
from mpcstats.errors import DeadlineExceeded, SpecError

__all__ = ["app"]

app = typer.Typer(help="Make, start and stop a party's node.", no_args_is_help=True, add_completion=False)
app.add_typer(auditors, name="auditor")
app.command()(passphrase)

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The party's directory.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def init(
    directory: Directory,
    name: Annotated[str | None, typer.Option(help="Name of the party: lower-case letters, digits, '-'.")] = None,
    listen: Annotated[str, typer.Option(help="host:port to listen on.")] = "127.0.0.1:4710",
    advertise: Annotated[str | None, typer.Option(help="host:port that the others dial; default: as --listen.")] = None,
    role: Annotated[str, typer.Option(help="data, or compute: takes part without data.")] = "data",
    operator: Annotated[str | None, typer.Option(help="The institution; default: the name.")] = None,
    legal: Annotated[str, typer.Option(help="For the card: the institution's full legal name.")] = "",
    contact: Annotated[str, typer.Option(help="For the card: who answers for the node.")] = "",
    dpo: Annotated[str, typer.Option(help="For the card: the data protection officer.")] = "",
) -> None:
    """Make a key, a certificate and first configuration files. Without --name: the keys for an existing party.toml."""
    from mpcstats.node.settings.setup import create_keys, create_party

    if name is None:
        words = create_keys(directory)
    else:
        words = create_party(
            directory,
            name=name,
            listen=listen,
            advertise=advertise or listen,
            role=role,
            operator=operator,
            institution={"legal": legal, "contact": contact, "dpo": dpo},
        )
    name = name or directory.resolve().name
    typer.echo(f"made the keys of {name} in {directory / 'keys'}")
    typer.echo(f"fingerprint  {words}")
    typer.echo(f"next: mpcstats party card {directory} > {name}.card.toml, and send the card to the consortium's lead")


@app.command()
def card(directory: Directory) -> None:
    """Print the party's card: name, address, certificate. It is public."""
    from mpcstats.node.settings.setup import make_card

    typer.echo(make_card(directory).to_toml(), nl=False)


@app.command()
def config(directory: Directory, as_json: AsJson = False) -> None:
    """Show every setting of party.toml that is in force, and where its value comes from."""
    from mpcstats.node.settings.config import PartyDirectory

    rows = [(setting, shown(value), origin) for setting, value, origin in PartyDirectory(directory).settings()]
    if as_json:
        plain = [
            {"setting": setting.name, "value": value, "from": origin, "variable": setting.variable}
            for setting, value, origin in rows
        ]
        typer.echo(json.dumps(plain, indent=2))
        return
    widths = [max(len(text) for text in column) for column in zip(*((s.name, v) for s, v, _ in rows), strict=True)]
    for setting, value, origin in rows:
        where = f"default      {setting.variable}" if origin == "default" else origin
        typer.echo(f"{setting.name:<{widths[0]}}  {value:<{widths[1]}}  {where}")


def shown(value: object) -> str:
    """A value as text; a password in a URL is not shown."""
    text = "" if value is None else str(value)
    return re.sub(r"(?<=://)([^/@:]*):[^@/]*@", r"\1:***@", text)


@app.command()
def rotate(directory: Directory) -> None:
    """Make new keys and print their card, signed by the old key. They come into use with the roster that lists them."""
    from mpcstats.node.consortium.joining import new_keys
    from mpcstats.node.settings.config import PartyDirectory

    typer.echo(new_keys(PartyDirectory(directory)).to_toml(), nl=False)


@app.command()
def person(
    directory: Directory,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name or address, as in policy.toml.")],
) -> None:
    """Make the key with which a person approves studies and releases results."""
    from mpcstats.node.governance.people import add_person

    private = add_person(directory, name)
    typer.echo(f"made the key of {name}: {private}")
    typer.echo(f"next: give the file to {name}, and name the person under [approval] people in policy.toml")


@app.command()
def start(directory: Directory) -> None:
    """Run the node until SIGTERM or `party stop`."""
    from mpcstats.node.server import run_node

    run_node(directory)


@app.command()
def stop(
    directory: Directory,
    wait_seconds: Annotated[float, typer.Option("--wait", help="Seconds to wait for the current run.")] = 90.0,
) -> None:
    """Stop the node; the current run may finish."""
    from mpcstats.node.identity.lockfile import lock_holder
    from mpcstats.sdk.connect import NodeClient

    client = NodeClient(directory)
    if client.stop():
        typer.echo("a run is in progress: waiting for it", err=True)
    deadline = time.monotonic() + wait_seconds
    while lock_holder(client.directory.state) is not None:
        if time.monotonic() > deadline:
            raise DeadlineExceeded(f"the node still runs after {wait_seconds:g} s", party=client.name)
        time.sleep(0.05)
    typer.echo(f"stopped {client.name}")


@app.command()
def status(
    directory: Directory,
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it as a table that stays up to date.")] = False,
) -> None:
    """Show the node's state, its studies and its connections."""
    from mpcstats.cli.party_status import status_rows
    from mpcstats.cli.party_status import watch as show
    from mpcstats.sdk.connect import NodeClient

    client = NodeClient(directory)

    def read() -> dict[str, Any]:
        return client.status() | {"vitals": client.govern("vitals")}

    if as_json:
        typer.echo(json.dumps(read(), indent=2))
    elif watch:
        show(read)
    else:
        for what, how in status_rows(read()):
            typer.echo(f"{what:<11} {how}")


@app.command("log")
def show_log(
    directory: Directory,
    run: Annotated[str, typer.Argument(metavar="[RUN]", help="Beginning of a run's id.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the runs of this party that are in its logs, or show the events of one."""
    from mpcstats.node.observing.run_logs import list_run_logs, read_run_log
    from mpcstats.node.settings.config import PartyDirectory

    folder = PartyDirectory(directory).run_logs
    if not run:
        found = list_run_logs(folder)
        lines = [f"{r['run']}  {r['began'][:19]}  {r['analysis']:<20} {r['last']}" for r in found]
    else:
        found = read_run_log(folder, run)
        if not found:
            raise SpecError(
                f"no run, or more than one, begins with {run[:40]!r}", hint=f"mpcstats party log {directory}"
            )
        lines = [_event_line(event) for event in found]
    typer.echo(json.dumps(found, indent=2) if as_json else "\n".join(lines) or "no runs")


def _event_line(event: dict[str, Any]) -> str:
    shown = {key: value for key, value in event.items() if key not in {"timestamp", "level", "event", "node", "run"}}
    details = " ".join(f"{key}={value}" for key, value in shown.items())
    return f"{event['timestamp'][:23]} {event['level']:<7} {event['event']} {details}".rstrip()
