"""Real `mpcstats party start` processes on loopback, for tests."""

from __future__ import annotations

from mpcstats.sdk.processes import NodeProcess, ProcessNetwork
from mpcstats.sdk.sandbox import PartyFiles, free_ports, make_party_directories

__all__ = ["NodeProcess", "PartyFiles", "ProcessNetwork", "free_ports", "make_party_directories"]
