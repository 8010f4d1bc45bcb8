"""Directories of parties on this machine: for the demonstration, rehearsals and tests. Loopback only, fresh keys."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mpcstats.node.consortium.joining import join_roster
from mpcstats.node.consortium.roster import make_roster
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.settings.setup import create_keys, create_party, make_card

__all__ = ["PartyFiles", "free_ports", "make_party_directories"]

# a sandbox asks nobody; what it runs without an approved study is still under the standard rules
_POLICY = """\
apiVersion = "mpcstats/v1"
kind = "Policy"
extends = "standard"
[approval]
auto = ["*"]
[release]
rule = "auto"
"""


@dataclass(frozen=True)
class PartyFiles:
    """What a party's directory holds beside keys and roster.

    Attributes
    ----------
    role : "data" or "compute"
    datasets : mapping of name to settings
        The [datasets.NAME] sections, paths absolute or relative to the directory.
    policy : str
        Content of policy.toml.
    run : mapping
        The [run] section.
    state : str, optional
        Where [storage] keeps the node's state: the URL of a PostgreSQL database. Default: SQLite in the directory.
    """

    role: str = "data"
    datasets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    policy: str = _POLICY
    run: Mapping[str, float] = field(default_factory=dict)
    state: str | None = None


def free_ports(number: int) -> list[int]:
    """Ports on loopback that nobody listens on at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def make_party_directories(
    root: Path,
    parties: Mapping[str, PartyFiles | Path],
    consortium: str = "demo",
    threshold: int | None = None,
    committee: Sequence[str] | None = None,
    advertise: Mapping[str, str] | None = None,
) -> dict[str, Path]:
    """Make a directory root/NAME for each party, with its own key, and the same roster in all of them.

    Parameters
    ----------
    root : Path
    parties : mapping of name to PartyFiles, or to a directory with party.toml and data, which is copied
        The copy listens on a free port, whatever its party.toml says.
    consortium : str
    threshold : int, optional
    committee : sequence of str, optional
        Who computes; default: all of up to seven parties, else five.
    advertise : mapping of name to address, optional
        What the others dial where that is not where the party listens, such as a proxy.
    """
    ports = free_ports(len(parties))
    directories = {name: root / name for name in parties}
    for (name, files), port in zip(parties.items(), ports, strict=True):
        address = f"127.0.0.1:{port}"
        dialled = (advertise or {}).get(name, address)
        if isinstance(files, Path):
            _copy_party(files, directories[name], address, dialled)
        else:
            _make_party(directories[name], name, address, dialled, files)
    cards = [make_card(path) for path in directories.values()]
    roster = make_roster(consortium, cards, threshold=threshold, committee=committee)
    for path in directories.values():
        join_roster(PartyDirectory(path), roster)
    return directories


def _copy_party(source: Path, target: Path, listen: str, advertise: str) -> None:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("keys", "logs", "state", "roster.toml"))
    file = target / "party.toml"
    text = file.read_text(encoding="utf-8")
    for key, address in (("listen", listen), ("advertise", advertise)):
        text = re.sub(rf'^{key} = ".*"', f'{key} = "{address}"', text, flags=re.M)
    file.write_text(text, encoding="utf-8")
    create_keys(target)


def _make_party(target: Path, name: str, listen: str, advertise: str, files: PartyFiles) -> None:
    create_party(target, name=name, listen=listen, advertise=advertise, role=files.role)
    with (target / "party.toml").open("a", encoding="utf-8") as file:
        file.write(_sections(files))
    if files.role == "data":
        (target / "policy.toml").write_text(files.policy, encoding="utf-8")


def _sections(files: PartyFiles) -> str:
    lines = []
    for name, settings in files.datasets.items():
        lines += [f"[datasets.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
    if files.run:
        lines += ["[run]", *(f"{key} = {value}" for key, value in files.run.items())]
    if files.state:
        lines += ["[storage]", f"state = {json.dumps(files.state)}"]
    return "\n".join(lines) + "\n"
