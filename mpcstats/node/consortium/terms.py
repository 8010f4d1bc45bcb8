"""A party's terms for an analysis, as another party reads them."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mpcstats.errors import FrameRejected
from mpcstats.types import DisclosureRules

__all__ = ["Terms", "parse_terms"]

_HEX = r"^([0-9a-f]{64})?$"


class _ApprovalTerms(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    needed: int = Field(ge=1, le=100)
    rule: str = Field(max_length=20)
    auto: tuple[str, ...]


class Terms(BaseModel):
    """See `mpcstats.node.site.Site.terms`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    role: Literal["data", "compute"]
    rules: DisclosureRules | None = None
    policy: str = Field(default="", pattern=_HEX)
    dictionary: str = Field(default="", pattern=_HEX)
    plan: str = Field(default="", pattern=_HEX)
    approval: _ApprovalTerms | None = None
    release: Literal["manual", "auto"] = "manual"
    runs_per_month: int | None = None


def parse_terms(text: str, sender: str) -> dict[str, Any]:
    """Terms as plain values.

    Raises
    ------
    FrameRejected
        Something else.
    """
    try:
        return Terms.model_validate(json.loads(text)).model_dump(mode="json")
    except (ValueError, ValidationError, RecursionError):
        raise FrameRejected("sent malformed terms", party=sender) from None
