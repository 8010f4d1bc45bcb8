"""The base of all requests, as frozen, validated models. A request is public: every party reads it.

The requests themselves are in `mpcstats.study.analyses`, with their plans.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = ["AnalysisSpec", "Level", "canonical_json", "digest"]

Level = str | int | float | bool


class AnalysisSpec(BaseModel):
    """Base of all requests. The text under a field is its help on the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    type: str
    """Name of the analysis."""

    dataset: str = "main"
    """Name of the data set; every party maps it to its own file or table."""

    policy: str | None = None
    """A preset to apply on top of the parties' policies. It can only make the release stricter."""


def canonical_json(value: Any) -> bytes:
    """Bytes that depend on the content only: sorted keys, no spaces, UTF-8."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> bytes:
    """SHA-256 of the canonical bytes (32 bytes)."""
    return hashlib.sha256(canonical_json(value)).digest()
