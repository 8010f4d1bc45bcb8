"""All targets by name."""

from __future__ import annotations

from tests.fuzz import documents, files, messages
from tests.fuzz.target import Target

__all__ = ["TARGETS"]

TARGETS: dict[str, Target] = {
    target.name: target for module in (messages, documents, files) for target in module.TARGETS
}
