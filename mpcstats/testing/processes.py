"""Real `mpcstats party start` processes on loopback, for tests."""

from __future__ import annotations

from mpcstats.sdk.sandbox import NodeProcess, PartyFiles, ProcessNetwork, free_ports, make_party_directories

__all__ = ["NodeProcess", "PartyFiles", "ProcessNetwork", "free_ports", "make_party_directories"]
