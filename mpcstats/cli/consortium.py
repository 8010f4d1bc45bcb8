"""`mpcstats consortium`: who computes together."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mpcstats.errors import ConfigurationError

if TYPE_CHECKING:
    from mpcstats.node.roster import Roster

__all__ = ["app"]

app = typer.Typer(help="Make, join and watch a consortium.", no_args_is_help=True, add_completion=False)

Party = Annotated[Path, typer.Option("--party", metavar="DIR", help="The party's directory.")]


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the consortium.")],
    cards: Annotated[list[Path], typer.Argument(metavar="CARD...", help="Party cards, in the order of the parties.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the roster.")] = Path("roster.toml"),
    version: Annotated[int, typer.Option(help="Version of the roster.")] = 1,
    threshold: Annotated[
        int | None, typer.Option(help="Parties that together learn nothing; default: all but half.")
    ] = None,
) -> None:
    """Put party cards together to a roster."""
    from mpcstats.node.roster import load_card, make_roster

    if output.exists():
        raise ConfigurationError(f"{output} exists", hint="choose another name with -o")
    roster = make_roster(name, [load_card(path) for path in cards], version, threshold)
    output.write_text(roster.to_toml(), encoding="utf-8")
    _show(roster)
    typer.echo(f"wrote {output}")
    typer.echo(f"next, at every party: mpcstats consortium join {output} --party DIR")


@app.command()
def join(
    roster_file: Annotated[Path, typer.Argument(metavar="ROSTER", help="The roster, the same file at every party.")],
    party: Party,
    yes: Annotated[bool, typer.Option("--yes", help="The fingerprints were compared: do not ask.")] = False,
) -> None:
    """Show all fingerprints, ask whether they were compared, and copy the roster into the party's directory."""
    from mpcstats.node.config import PartyDirectory
    from mpcstats.node.roster import load_roster

    directory = PartyDirectory(party)
    roster = load_roster(roster_file)
    directory.check_membership(roster)
    if directory.roster_file.exists():
        current = load_roster(directory.roster_file)
        if current.consortium == roster.consortium and current.version > roster.version:
            raise ConfigurationError(
                f"{roster_file} is version {roster.version}, and this party already uses version {current.version}",
                hint="ask the lead for the current roster",
            )
    _show(roster)
    if not yes:
        _confirm()
    directory.roster_file.write_text(roster.to_toml(), encoding="utf-8")
    typer.echo(f"joined {roster.consortium} as {directory.config.name}")
    typer.echo(f"next: mpcstats party start {party}")


@app.command()
def status(party: Party, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show which parties are online with the same roster, as seen from this party's node."""
    from mpcstats.node.config import PartyDirectory
    from mpcstats.sdk.connect import NodeClient

    roster = PartyDirectory(party).roster()
    state = NodeClient(party).status()
    peers = {peer["name"]: peer for peer in state["peers"]}
    own = {"reachable": True, "same_roster": True, "round_trip_ms": 0.0, "version": state["version"]}
    rows = [
        {
            "name": member.name,
            "role": member.role,
            "address": member.address,
            "fingerprint": member.words,
            **{key: peers.get(member.name, own)[key] for key in own},
        }
        for member in roster.party
    ]
    if as_json:
        typer.echo(json.dumps({"consortium": roster.consortium, "version": roster.version, "parties": rows}, indent=2))
        return
    typer.echo(f"{'party':<20} {'role':<8} {'online':<7} {'roster':<7} {'round trip':<11} version")
    for row in rows:
        online, same = row["reachable"], row["same_roster"]
        trip = f"{row['round_trip_ms']:.1f} ms" if online else "-"
        typer.echo(
            f"{row['name']:<20} {row['role']:<8} {'yes' if online else 'no':<7} "
            f"{('same' if same else 'OTHER') if online else '-':<7} {trip:<11} {row['version'] or '-'}"
        )


def _show(roster: Roster) -> None:
    typer.echo(
        f"consortium {roster.consortium}, version {roster.version}: {len(roster.party)} parties, "
        f"any {roster.threshold} of them together learn nothing"
    )
    for member in roster.party:
        typer.echo(f"  {member.name} ({member.role}, {member.operator}) at {member.address}")
        typer.echo(f"    {member.words}")


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "the fingerprints must be compared with the other parties first, for example by telephone",
            hint="compare them, and repeat the command with --yes",
        )
    if not typer.confirm("Did every party confirm its words, for example by telephone?"):
        raise ConfigurationError("the roster was not taken over")
