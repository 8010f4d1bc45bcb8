"""What a visit to another party starts with, and what it brings back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mpcstats.node.consortium.roster import Roster
from mpcstats.node.doctor.findings import Finding
from mpcstats.node.doctor.keys import KnownKeys
from mpcstats.node.doctor.target import Target
from mpcstats.transport.tls import KeyPair

__all__ = ["Own", "Visit"]


@dataclass(frozen=True)
class Own:
    """What the visits need of our own side.

    Attributes
    ----------
    name : str
    certificate, key : Path
    pair : KeyPair
    known : KnownKeys
    roster : Roster or None
        None where it is not valid as a whole.
    """

    name: str
    certificate: Path
    key: Path
    pair: KeyPair
    known: KnownKeys
    roster: Roster | None


@dataclass
class Visit:
    """What was found on the way to one party."""

    target: Target
    findings: list[Finding] = field(default_factory=list)
    accepted: bool | None = None
    """Whether it takes our certificate; None where the way ended before."""
    skew: float | None = None
    """Seconds by which its clock is ahead."""
    same_roster: bool | None = None
