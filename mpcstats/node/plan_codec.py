"""Plans as canonical JSON: what the coordinator sends, and what a party without a dictionary reads."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mpcstats.errors import FrameRejected
from mpcstats.stats.contributions import AssociationPlan, CountPlan, Plan, SurvivalPlan
from mpcstats.study.plan import MAX_CELLS, MAX_COVARIATES, MAX_FEW, MAX_SURVIVAL_CELLS
from mpcstats.study.spec import canonical_json

__all__ = ["plan_from_json", "plan_to_json", "plan_to_plain"]

_KINDS: dict[str, type[Plan]] = {"count": CountPlan, "survival": SurvivalPlan, "association": AssociationPlan}
_MAX_VARIANTS = 100_000_000


def plan_to_plain(plan: Plan) -> dict[str, Any]:
    """A plan as JSON values."""
    kind = next(name for name, cls in _KINDS.items() if type(plan) is cls)
    plain: dict[str, Any] = json.loads(json.dumps(asdict(plan)))
    return {"kind": kind, **plain}


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
        cls = _KINDS[plain.pop("kind")]
        plan: Plan = TypeAdapter(cls).validate_json(json.dumps(plain))
        sound = plan_to_json(plan) == text and _within_limits(plan)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError):
        sound = False
    if not sound:
        raise FrameRejected("sent a plan that is not valid", party=sender)
    return plan


def _within_limits(plan: Plan) -> bool:
    if isinstance(plan, CountPlan):
        return len(plan.by) == len(plan.levels) and 0 < math.prod(plan.shape) <= MAX_CELLS
    if isinstance(plan, SurvivalPlan):
        return plan.horizon >= 0 and plan.unit > 0 and math.prod(plan.shape) <= MAX_SURVIVAL_CELLS
    return (
        0 < plan.variant_count <= _MAX_VARIANTS
        and len(plan.covariates) <= MAX_COVARIATES
        and all(
            len(numbers) in {0, 1 + len(plan.covariates)}
            for numbers in (plan.few_levels, plan.centers, plan.half_widths)
        )
        and all(len(levels) <= MAX_FEW for levels in plan.few_levels)
        and all(half_width > 0 for half_width in plan.half_widths)
    )
