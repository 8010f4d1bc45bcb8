"""Plans as canonical JSON: what the coordinator sends, and what a party without a dictionary reads."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mpcstats.errors import FrameRejected
from mpcstats.stats.contributions import Plan
from mpcstats.study.analyses import plan_types
from mpcstats.study.spec import canonical_json

__all__ = ["plan_from_json", "plan_to_json", "plan_to_plain"]


def plan_to_plain(plan: Plan) -> dict[str, Any]:
    """A plan as JSON values."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(plan)))
    return {"kind": plan.kind, **plain}


def plan_to_json(plan: Plan) -> str:
    """A plan as canonical JSON."""
    return canonical_json(plan_to_plain(plan)).decode()


def plan_from_json(text: str, sender: str) -> Plan:
    """Parse what `plan_to_json` wrote; anything that is not written back the same is refused.

    Parameters
    ----------
    text : str
    sender : str
        The party that sent it, named in errors.

    Raises
    ------
    FrameRejected
        Not a plan, or one that no dictionary could have led to.
    """
    try:
        plain = json.loads(text)
        cls = plan_types()[plain.pop("kind")]
        plan: Plan = TypeAdapter(cls).validate_json(json.dumps(plain))
        sound = plan_to_json(plan) == text and plan.within_limits()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError):
        sound = False
    if not sound:
        raise FrameRejected("sent a plan that is not valid", party=sender)
    return plan
