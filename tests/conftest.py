"""What the default suite leaves to the long one (-m long): large committees, where three and four parties run too."""

from __future__ import annotations

import contextlib
import gc
import sys
from typing import Any

import pytest

from mpcstats.sdk.processes import NodeProcess
from mpcstats.sharing.committee import Committee
from mpcstats.testing.warm import Nursery

_LARGE = 5
"""Parties from which a protocol's test is long."""

_FOLDERS = ("tests/protocols/", "tests/privacy/test_exact_circuits", "tests/runtime/test_mpyc")

_NODES = ("tests/governance/", "tests/node/test_nemesis", "tests/node/test_runs", "tests/node/test_lost_party")
"""Tests that share running nodes, which take long to start: in one process. Another one has the time in which nodes
wait for each other."""


started_from_the_shell = NodeProcess.launch


@pytest.fixture(scope="session", autouse=True)
def nursery():
    """Nodes are forks of one process that has imported everything; it begins with the first node."""
    with contextlib.ExitStack() as stack:
        waiting: list[Nursery] = []

        def launch(command, console):
            if command[0] != sys.executable:
                return started_from_the_shell(command, console)
            if not waiting:
                waiting.append(stack.enter_context(Nursery()))
            return waiting[0].launch(command, console)

        NodeProcess.launch = staticmethod(launch)
        yield
        NodeProcess.launch = staticmethod(started_from_the_shell)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What was imported and collected stays; the collector need not go through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of large committees."""
    for item in items:
        if item.nodeid.startswith(_FOLDERS) and any(c.m >= _LARGE for c in _committees(item)):
            item.add_marker(pytest.mark.long)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Any test in any process, but for those that share nodes (pytest-xdist's groups do nothing under pytest 9.2)."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "nodes" if nodeid.startswith(_NODES) else nodeid

    return Scheduling(config, log)


def _committees(item: pytest.Item) -> list[Committee]:
    callspec = getattr(item, "callspec", None)
    return [] if callspec is None else [value for value in callspec.params.values() if isinstance(value, Committee)]
