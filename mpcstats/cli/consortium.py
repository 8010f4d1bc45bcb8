"""`mpcstats consortium`: who computes together."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mpcstats.cli.options import Party
from mpcstats.errors import ConfigurationError

if TYPE_CHECKING:
    from mpcstats.node.consortium.roster import Roster

__all__ = ["app"]

app = typer.Typer(help="Make, join and watch a consortium.", no_args_is_help=True, add_completion=False)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the consortium.")],
    cards: Annotated[list[Path], typer.Argument(metavar="CARD...", help="Party cards, in the order of the parties.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the roster.")] = Path("roster.toml"),
    version: Annotated[int, typer.Option(help="Version of the roster.")] = 1,
    threshold: Annotated[
        int | None, typer.Option(help="Members of the committee that together learn nothing; default: all but half.")
    ] = None,
    committee: Annotated[
        list[str] | None,
        typer.Option(help="A party that computes (repeat it); default: all of up to seven parties, else five."),
    ] = None,
) -> None:
    """Put party cards together to a roster."""
    from mpcstats.node.consortium.roster import load_card, make_roster

    if output.exists():
        raise ConfigurationError(f"{output} exists", hint="choose another name with -o")
    roster = make_roster(name, [load_card(path) for path in cards], version, threshold, committee=committee)
    output.write_text(roster.to_toml(), encoding="utf-8")
    _show(roster)
    typer.echo(f"wrote {output}")
    typer.echo(f"next, at every party: mpcstats consortium join {output} --party DIR")


@app.command()
def change(
    roster_file: Annotated[Path, typer.Argument(metavar="ROSTER", help="The roster in use.")],
    add: Annotated[list[Path] | None, typer.Option(metavar="CARD", help="A party that comes; repeatable.")] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A party that leaves; repeatable.")] = None,
    replace: Annotated[
        list[Path] | None, typer.Option(metavar="CARD", help="New keys or address of a party; repeatable.")
    ] = None,
    committee: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A party that computes; repeatable. Default: as before, without who leaves."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write it.")] = Path("next.roster.toml"),
) -> None:
    """Make the next version of a roster: parties come, leave, or change their keys."""
    from mpcstats.node.consortium.roster import load_card, load_roster
    from mpcstats.node.consortium.succession import changed_roster, changes

    if output.exists():
        raise ConfigurationError(f"{output} exists", hint="choose another name with -o")
    old = load_roster(roster_file)
    new = changed_roster(
        old,
        [load_card(path) for path in add or []],
        remove or [],
        [load_card(path) for path in replace or []],
        committee,
    )
    output.write_text(new.to_toml(), encoding="utf-8")
    for each in changes(old, new):
        typer.echo(f"  {each.party or 'roster'}: {each.text}")
    typer.echo(f"wrote {output}")
    typer.echo(f"next, at every party: mpcstats consortium join {output} --party DIR, and restart the node")


@app.command()
def join(
    roster_file: Annotated[Path, typer.Argument(metavar="ROSTER", help="The roster, the same file at every party.")],
    party: Party,
    yes: Annotated[bool, typer.Option("--yes", help="The fingerprints were compared: do not ask.")] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="A party's new keys were compared, which its old key did not sign; repeatable."
        ),
    ] = None,
    earlier: Annotated[
        list[Path] | None,
        typer.Option(metavar="ROSTER", help="Versions before, where this party comes later; repeatable."),
    ] = None,
) -> None:
    """Show all fingerprints, ask whether they were compared, sign the roster and copy it into the party's directory."""
    from mpcstats.node.consortium.joining import join_roster, review_roster
    from mpcstats.node.consortium.roster import load_roster
    from mpcstats.node.settings.config import PartyDirectory

    directory = PartyDirectory(party)
    roster = load_roster(roster_file)
    changed = review_roster(directory, roster, accept or [])
    _show(roster)
    for each in changed:
        typer.echo(f"  changed: {each.party or 'roster'}: {each.text}")
    if not yes:
        _confirm()
    join_roster(directory, roster, [load_roster(path) for path in earlier or []])
    typer.echo(
        f"joined {roster.consortium} as {directory.config.name}, and signed version {roster.version} of the roster"
    )
    typer.echo(f"next: mpcstats party start {party}")


@app.command()
def status(party: Party, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show which parties are online with the same roster, as seen from this party's node."""
    from mpcstats.node.settings.config import PartyDirectory
    from mpcstats.sdk.connect import NodeClient

    roster = PartyDirectory(party).roster()
    client = NodeClient(party)
    state, signed = client.status(), set(client.govern("consortium")["signed"])
    peers = {peer["name"]: peer for peer in state["peers"]}
    own = {
        "reachable": True,
        "same_roster": True,
        "round_trip_ms": 0.0,
        "version": state["version"],
        "clock_skew_ms": 0,
    }
    rows = [
        {
            "name": member.name,
            "role": member.role,
            "computes": member.name in roster.committee,
            "address": member.address,
            "fingerprint": member.words,
            "signed": member.name in signed,
            **{key: peers.get(member.name, own)[key] for key in own},
        }
        for member in roster.party
    ]
    if as_json:
        typer.echo(json.dumps({"consortium": roster.consortium, "version": roster.version, "parties": rows}, indent=2))
        return
    columns = f"{'part':<7} {'signed':<7} {'online':<7} {'roster':<7} {'round trip':<11} {'skew':<9} version"
    typer.echo(f"{'party':<20} {'role':<8} {columns}")
    for row in rows:
        online, same = row["reachable"], row["same_roster"]
        trip = f"{row['round_trip_ms']:.1f} ms" if online else "-"
        skew = f"{row['clock_skew_ms']:+d} ms" if online else "-"
        part = "member" if row["computes"] else "guest"
        typer.echo(
            f"{row['name']:<20} {row['role']:<8} {part:<7} {'yes' if row['signed'] else 'no':<7} "
            f"{'yes' if online else 'no':<7} "
            f"{('same' if same else 'OTHER') if online else '-':<7} {trip:<11} {skew:<9} {row['version'] or '-'}"
        )


def _show(roster: Roster) -> None:
    guests = len(roster.party) - len(roster.committee)
    who = (
        f", of which {len(roster.committee)} compute; any {roster.threshold} of these"
        if guests
        else (f", any {roster.threshold} of them")
    )
    typer.echo(
        f"consortium {roster.consortium}, version {roster.version}: {len(roster.party)} parties{who} "
        "together learn nothing"
    )
    for member in roster.party:
        part = ", in the committee" if guests and member.name in roster.committee else ""
        typer.echo(f"  {member.name} ({member.role}{part}, {member.operator}) at {member.address}")
        typer.echo(f"    {member.words}")


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "the fingerprints must be compared with the other parties first, for example by telephone",
            hint="compare them, and repeat the command with --yes",
        )
    if not typer.confirm("Did every party confirm its words, for example by telephone?"):
        raise ConfigurationError("the roster was not taken over")
