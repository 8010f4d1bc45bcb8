"""What the parties of a run agree on before it begins: request, plan, everybody's rules, and the digest of it all."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mpcstats.errors import FrameRejected
from mpcstats.node.consortium.roster import Roster
from mpcstats.node.governance.permit import Permit
from mpcstats.node.runs.lineup import Lineup
from mpcstats.node.runs.plan_codec import plan_to_plain
from mpcstats.stats.contributions import Plan
from mpcstats.study.policy import Policy
from mpcstats.study.spec import AnalysisSpec, canonical_json, digest
from mpcstats.types import DisclosureRules

__all__ = ["all_rules", "preset_rules", "rules_from_json", "rules_to_json", "study_digest"]


def all_rules(spec: AnalysisSpec, by_party: dict[str, DisclosureRules]) -> dict[str, DisclosureRules]:
    """The rules of the parties with data, and of the preset that the request names."""
    return {**by_party, **preset_rules(spec)}


def study_digest(
    run_id: bytes,
    spec: AnalysisSpec,
    plan: Plan,
    rules: dict[str, DisclosureRules],
    roster: Roster,
    permit: Permit | None = None,
) -> bytes:
    """SHA-256 over everything the parties agreed on (32 bytes); it enters the session's keys.

    Of an approved study it is the same when its result is sealed and when it is released.
    """
    lineup = Lineup(roster, () if permit is None else permit.without)
    return digest(
        {
            "study": None if permit is None else permit.digest_parts(),
            "run_id": run_id.hex() if permit is None else permit.run,
            "spec": spec.model_dump(mode="json"),
            "plan": plan_to_plain(plan),
            "rules": _rules_to_plain(rules if permit is None else permit.lock.all_rules),
            "roster": roster.digest.hex(),
            "data_parties": list(roster.data_parties),
            "committee": list(lineup.committee),
            "threshold": roster.threshold,
            **({"without": list(lineup.without)} if lineup.without else {}),
        }
    )


def rules_to_json(rules: dict[str, DisclosureRules]) -> str:
    """Rules by owner as canonical JSON."""
    return canonical_json(_rules_to_plain(rules)).decode()


def rules_from_json(text: str, sender: str) -> dict[str, DisclosureRules]:
    """Parse what `rules_to_json` wrote.

    Raises
    ------
    FrameRejected
        Something else; names `sender`.
    """
    try:
        plain = json.loads(text)
        rules = {owner: _RULES.validate_json(json.dumps(rule), strict=True) for owner, rule in plain.items()}
        if rules_to_json(rules) != text:
            raise ValueError("not what rules_to_json writes")
    except (ValueError, AttributeError, TypeError, RecursionError, ValidationError):
        raise FrameRejected("sent rules that are not valid", party=sender) from None
    return rules


def _rules_to_plain(rules: dict[str, DisclosureRules]) -> dict[str, Any]:
    return {owner: asdict(rule) for owner, rule in rules.items()}


def preset_rules(spec: AnalysisSpec) -> dict[str, DisclosureRules]:
    """The rules of the preset that the request names, if it does."""
    return {} if spec.policy is None else {f"preset {spec.policy}": Policy.preset(spec.policy).rules}


_RULES = TypeAdapter(DisclosureRules)
