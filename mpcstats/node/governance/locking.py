"""The lock of a study: from every party's terms and the rehearsal to what a proposal fixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mpcstats.errors import Divergence, SpecError
from mpcstats.node.analyses import can_open_to_some
from mpcstats.node.consortium.roster import Roster
from mpcstats.node.governance.permit import software
from mpcstats.runtime.manifest import Manifest
from mpcstats.study.lock import Cost, Lock
from mpcstats.study.policy import Policy, strictest
from mpcstats.study.spec import AnalysisSpec
from mpcstats.types import DisclosureRules

__all__ = ["all_rules_of", "make_lock"]


def all_rules_of(spec: AnalysisSpec, terms: Mapping[str, Mapping[str, Any]]) -> dict[str, DisclosureRules]:
    """The rules of every party with data, and of the preset that the request names, by owner."""
    rules = {name: DisclosureRules(**found["rules"]) for name, found in terms.items() if found["role"] == "data"}
    return rules if spec.policy is None else {**rules, f"preset {spec.policy}": Policy.preset(spec.policy).rules}


def make_lock(
    spec: AnalysisSpec,
    roster: Roster,
    terms: Mapping[str, Mapping[str, Any]],
    manifest: Manifest,
    cost: Cost,
    recipients: Sequence[str] = (),
    variants: str = "",
) -> Lock:
    """Put a lock together.

    Parameters
    ----------
    terms : mapping of party to terms
        Of all parties, see `mpcstats.node.consortium.terms`.
    recipients : sequence of party names
        Default: all.
    variants : str
        Digest (hex) of the list of variants; "" without.

    Raises
    ------
    Divergence
        The parties' dictionaries or lists of variants lead to different plans; names them.
    SpecError
        A recipient is no party.
    """
    unknown = [name for name in roster.data_parties if name not in terms]
    if unknown:
        raise SpecError(
            f"the terms of {', '.join(unknown)} are not known",
            hint="mpcstats party start DIR, so that the node can ask",
        )
    by_plan: dict[tuple[str, str], list[str]] = {}
    for name, found in terms.items():
        if found["role"] == "data":
            by_plan.setdefault((found["dictionary"], found["plan"]), []).append(name)
    if len(by_plan) != 1:
        groups = "; ".join(f"{', '.join(names)}: dictionary {key[0][:12]}" for key, names in by_plan.items())
        raise Divergence(
            f"the parties' dictionaries or variant lists differ ({groups})",
            hint="mpcstats dataset check NAME --against the common dictionary, at every party",
        )
    strangers = [name for name in recipients if name not in roster.names]
    if strangers:
        raise SpecError(
            f"{strangers[0]!r} cannot receive the result: it is no party", hint=f"recipients: {', '.join(roster.names)}"
        )
    ((dictionary, plan),) = by_plan
    everybody = not recipients or set(recipients) == set(roster.names)
    rules = all_rules_of(spec, terms)
    if not everybody and not can_open_to_some(spec, strictest(rules)[0]):
        raise SpecError(
            f"recipients of {spec.type} must be all parties under these rules: intermediate values are opened to those "
            "who compute",
            hint="leave `recipients` out",
        )
    automatic = all(found["release"] == "auto" for found in terms.values() if found["role"] == "data")
    return Lock(
        spec=spec.model_dump(mode="json"),
        plan=plan,
        dictionary=dictionary,
        roster=roster.digest.hex(),
        parties=roster.names,
        data_parties=roster.data_parties,
        committee=roster.committee,
        threshold=roster.threshold,
        variants=variants,
        rules={owner: asdict(own) for owner, own in rules.items()},
        policies={name: found["policy"] for name, found in terms.items() if found["role"] == "data"},
        manifest=manifest.to_plain(),
        recipients=tuple(name for name in roster.names if everybody or name in recipients),
        release="auto" if automatic and everybody else "manual",
        cost=cost,
        software=software(),
    )
