"""What all runs of a node share, and what a run leaves at it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mpcstats.node.auditing.node import Auditing
from mpcstats.node.consortium.roster import Roster
from mpcstats.node.governance.office import Office
from mpcstats.node.ledger.releases import ReleaseLedger
from mpcstats.node.observing.logs import Log
from mpcstats.node.observing.meter import Meter
from mpcstats.node.runs.jobs import Jobs
from mpcstats.node.runs.sealing import SealedRun
from mpcstats.node.settings.config import RunConfig
from mpcstats.node.settings.limits import Limits
from mpcstats.node.site import Site
from mpcstats.stats.outcome import Outcome
from mpcstats.transport.network import PeerNetwork

__all__ = ["Ended", "House"]

Ended = Outcome | SealedRun | None
"""What a run leaves at a party: the outcome, a sealed one, or nothing where others are the recipients."""


@dataclass(frozen=True)
class House:
    """What all runs of a node share."""

    name: str
    roster: Roster
    site: Site
    network: PeerNetwork
    jobs: Jobs
    limits: RunConfig
    log: Log
    execute: Callable[..., Awaitable[Ended]]
    """`mpcstats.node.runs.execution.execute`."""
    scratch: Path | None = None
    """Folder for what interrupted runs need not do again."""
    ledger: ReleaseLedger | None = None
    """Released counts."""
    office: Office | None = None
    """Studies; without it only what needs no approval runs."""
    auditing: Auditing | None = None
    """The audit log; without it runs are not certified."""
    bounds: Limits = field(default_factory=Limits)
    """How much of everything this party takes."""
    meter: Meter = field(default_factory=Meter)
    """What is counted for metrics."""
    vitals: Callable[[], dict[str, Any]] = dict
    """`mpcstats.node.observing.vitals.Vitals.read`."""
