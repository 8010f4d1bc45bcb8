"""What the default suite leaves to the long one (-m long): large committees, where three and four parties run too."""

from __future__ import annotations

import pytest

from mpcstats.sharing.committee import Committee

_LARGE = 5
"""Parties from which a protocol's test is long."""

_FOLDERS = ("tests/protocols/", "tests/privacy/test_exact_circuits", "tests/runtime/test_mpyc")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of large committees; tests that share running nodes stay in one process."""
    for item in items:
        if item.nodeid.startswith(_FOLDERS) and any(c.m >= _LARGE for c in _committees(item)):
            item.add_marker(pytest.mark.long)
        if item.nodeid.startswith(("tests/node/test_runs", "tests/node/test_lost_party")):
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def _committees(item: pytest.Item) -> list[Committee]:
    callspec = getattr(item, "callspec", None)
    return [] if callspec is None else [value for value in callspec.params.values() if isinstance(value, Committee)]
