"""What a proposal fixes: `study.toml` as people wrote it, and `study.lock`, which `study plan` makes of it.

The lock holds what follows from the study file, the parties' policies, the dictionary and the roster: the request, the
rules in force with the owner of each, the reveal manifest, recipients, who must release, and what it will cost. The
study's id is the SHA-256 of the proposal: whoever approves, approves all of this and nothing else.
"""

from __future__ import annotations

import datetime
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from mpcstats.errors import SpecError
from mpcstats.runtime.manifest import Manifest
from mpcstats.study.analyses import parse_spec
from mpcstats.study.canonical import document_digest, normalised, parse_moment
from mpcstats.study.files.study import parse_study
from mpcstats.study.policy import strictest
from mpcstats.study.spec import AnalysisSpec
from mpcstats.types import DisclosureRules

__all__ = ["Cost", "Lock", "Proposal", "parse_proposal"]

_HEX = r"^[0-9a-f]{64}$"
_RULES = TypeAdapter(DisclosureRules)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Cost(_Part):
    """What a run is expected to take.

    Attributes
    ----------
    rounds : int
    exact : bool
        False: the number is the most that can come; it depends on opened values.
    bytes_sent : dict of party to int
    seconds : int
        Rough, on a usual network.
    """

    rounds: int = Field(ge=0)
    exact: bool = True
    bytes_sent: dict[str, int] = {}
    seconds: int = Field(default=0, ge=0)


class Lock(_Part):
    """`study.lock`.

    Attributes
    ----------
    spec : dict
        The request in full, defaults included.
    plan, dictionary, roster, variants : str
        Digests (hex): the public shape, the data dictionary, the roster, the list of variants ("" without).
    parties, data_parties, committee : tuple of str
        All, those with data, those that compute.
    threshold : int
        Members of the committee that together learn nothing.
    rules : dict of owner to rules
        Of every party with data, and of the preset the request names.
    policies : dict of party to digest
    manifest : list
        `mpcstats.runtime.manifest.Manifest.to_plain`.
    recipients : tuple of str
        Parties to whom results are opened.
    release : "manual" or "auto"
        "auto" where every party's policy releases what passed all checks.
    cost : Cost
    software : dict
        mpcstats, and the digest of the registry of analyses.
    """

    apiVersion: Literal["mpcstats/v1"] = "mpcstats/v1"
    kind: Literal["Lock"] = "Lock"
    spec: dict[str, Any]
    plan: str = Field(pattern=_HEX)
    dictionary: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    roster: str = Field(pattern=_HEX)
    variants: str = ""
    parties: tuple[str, ...]
    data_parties: tuple[str, ...]
    committee: tuple[str, ...]
    threshold: int = Field(ge=1)
    rules: dict[str, dict[str, Any]]
    policies: dict[str, str] = {}
    manifest: list[dict[str, Any]]
    recipients: tuple[str, ...]
    release: Literal["manual", "auto"] = "manual"
    cost: Cost
    software: dict[str, str]

    @property
    def request(self) -> AnalysisSpec:
        """The request."""
        return parse_spec(self.spec)

    @property
    def reveals(self) -> Manifest:
        """What may be opened."""
        return Manifest.from_plain(self.manifest)

    @property
    def all_rules(self) -> dict[str, DisclosureRules]:
        """Rules by owner."""
        try:
            return {owner: _rules(rules) for owner, rules in self.rules.items()}
        except (TypeError, ValueError) as error:
            raise SpecError(f"the lock's rules are not valid: {error}", hint="plan the study again") from None

    @property
    def effective(self) -> tuple[DisclosureRules, dict[str, str]]:
        """The rules in force, and who set each."""
        return strictest(self.all_rules)


class Proposal(_Part):
    """The body of a proposal: what everybody approves.

    Attributes
    ----------
    study : dict
        `study.toml`, dates as text.
    lock : Lock
    name, title, principal, purpose : str
        Taken from `study`.
    expires : datetime
        After this nothing runs and nothing is released.
    """

    study: dict[str, Any]
    lock: Lock

    @field_validator("study")
    @classmethod
    def _complete(cls, study: dict[str, Any]) -> dict[str, Any]:
        study = normalised(study)
        for name in ("id", "title", "principal", "purpose", "expires"):
            if not isinstance(study.get(name), str) or not study[name].strip():
                raise ValueError(f"the study has no {name}")
        parse_moment(study["expires"])
        return study

    @property
    def id(self) -> str:
        """SHA-256 of the proposal (hex)."""
        return document_digest("proposal", self).hex()

    @property
    def name(self) -> str:
        """The study's own short name."""
        return str(self.study["id"])

    @property
    def expires(self) -> datetime.datetime:
        """Until when it holds."""
        return parse_moment(self.study["expires"])

    @property
    def schedule(self) -> dict[str, Any] | None:
        """The [schedule] of the study, if it has one."""
        found = self.study.get("schedule")
        return found if isinstance(found, dict) else None


def _rules(plain: dict[str, Any]) -> DisclosureRules:
    DisclosureRules(**plain)  # names; the types come after
    return _RULES.validate_json(json.dumps(plain), strict=True)


def parse_proposal(body: Any) -> Proposal:
    """A proposal from the body of an entry.

    Raises
    ------
    SpecError
        It is not one; names the field.
    """
    try:
        proposal = Proposal.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "proposal"
        raise SpecError(f"the proposal is not valid: {where}: {first['msg']}") from None
    lock = proposal.lock
    _ = lock.request, lock.reveals, lock.all_rules  # each checks itself
    _check_agreement(proposal)
    problems = {
        "data_parties": set(lock.data_parties) <= set(lock.parties) and len(lock.data_parties) > 0,
        "committee": set(lock.committee) <= set(lock.parties) and len(lock.committee) > 2 * lock.threshold,
        "rules": set(lock.data_parties) <= set(lock.rules),
        "recipients": len(lock.recipients) > 0 and set(lock.recipients) <= set(lock.parties),
    }
    for name, fine in problems.items():
        if not fine:
            raise SpecError(f"the proposal is not valid: lock.{name} does not fit the parties")
    return proposal


def _check_agreement(proposal: Proposal) -> None:
    """The lock must say what the study says: people read the one, and nodes go by the other."""
    study, lock = parse_study(proposal.study, "the proposal's study"), proposal.lock
    for name, said, locked in (
        ("request", study.spec.model_dump(mode="json"), lock.spec),
        ("recipients", list(study.recipients_of(lock.parties)), list(lock.recipients)),
    ):
        if said != locked:
            raise SpecError(
                f"the {name} of the study is not the one of its lock: it was changed after it was planned",
                hint="mpcstats study plan",
            )
