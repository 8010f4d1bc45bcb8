"""Circuits between five and seven parties take most of the time and none of the variety: they run in the long suite."""

from __future__ import annotations

import pytest

LONG = (
    "test_divide",
    "test_exact",
    "test_fine",
    "test_linalg",
    "test_merge",
    "test_order",
    "test_quadratic",
    "test_roots",
    "test_scan",
    "test_shuffle",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark them."""
    for item in items:
        if item.path.stem in LONG and ("m=7" in item.nodeid or "m=5" in item.nodeid):
            item.add_marker(pytest.mark.long)
