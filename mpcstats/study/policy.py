"""What a party lets out, and who decides there: presets, its own `policy.toml`, and the strictest of all parties.

    apiVersion = "mpcstats/v1"
    kind = "Policy"
    extends = "standard"
    analyses = ["count", "kaplan-meier"]       # all registered ones unless listed

    [columns]
    allow = ["age", "sex", "time", "status"]   # all of the dictionary unless listed
    never = ["postcode"]

    [disclosure]
    minimum_count = 15                         # own values in place of the preset's

    [approval]
    people = ["dpo@westbay.example", "steward@westbay.example"]
    rule = "all"                               # any, all, 2-of, 3-of, ...
    two_person = true                          # at least two people, and nobody decides about an own proposal
    auto = ["count with minimum_count >= 50"]  # what needs nobody; "*" is everything

    [release]
    rule = "manual"                            # or "auto": a result that passed all checks needs nobody

    [budget]
    runs_per_month = 50                        # of a data set; no limit unless given
    epsilon_per_year = 10                      # of noisy releases (noise_scale) of a data set, in any 365 days

`policy.NAME.toml` beside it is the policy of data set NAME.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mpcstats.errors import NotPermitted, SpecError
from mpcstats.study.analyses import ANALYSES
from mpcstats.study.canonical import document_digest
from mpcstats.study.files.reading import read_toml, validated
from mpcstats.study.presets import PRESETS
from mpcstats.types import LARGEST_COUNT, LARGEST_NOISE, LARGEST_STEP, DisclosureRules

__all__ = ["PRESETS", "Policy", "load_policy", "parse_policy", "strictest"]

_AUTO = re.compile(r"(?P<analysis>\*|[a-z0-9-]+)(?: with (?P<rule>[a-z_0-9]+) ?>= ?(?P<least>[0-9]{1,9}))?")
_SEVERAL = re.compile(r"([1-9][0-9]?)-of")


class _Disclosure(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    minimum_count: int | None = Field(default=None, ge=0, le=LARGEST_COUNT)
    rounding_base: int | None = Field(default=None, ge=1, le=LARGEST_STEP)
    step_minimum: int | None = Field(default=None, ge=1, le=LARGEST_STEP)
    at_risk_floor: int | None = Field(default=None, ge=0, le=LARGEST_COUNT)
    time_grid: int | None = Field(default=None, ge=1, le=LARGEST_COUNT)
    exact_curve: bool | None = None
    minimum_parties: int | None = Field(default=None, ge=1, le=LARGEST_COUNT)
    association_minimum_people: int | None = Field(default=None, ge=0, le=LARGEST_COUNT)
    minimum_allele_count: int | None = Field(default=None, ge=0, le=LARGEST_COUNT)
    all_variants: bool | None = None
    hits_log10_p: int | None = Field(default=None, ge=0, le=100)
    allele_counts: bool | None = None
    small_remainders: bool | None = None
    events_per_parameter: int | None = Field(default=None, ge=0, le=LARGEST_COUNT)
    noise_scale: int | None = Field(default=None, ge=0, le=LARGEST_NOISE)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Columns(_Section):
    """Columns that analyses may read."""

    allow: tuple[str, ...] | None = None
    never: tuple[str, ...] = ()

    def check(self, columns: Sequence[str], party: str) -> None:
        """Refuse columns that are not allowed.

        Raises
        ------
        NotPermitted
            Names the first one.
        """
        for column in columns:
            if column in self.never or (self.allow is not None and column not in self.allow):
                raise NotPermitted(
                    f"the policy does not allow the column {column!r}", party=party, hint="[columns] in policy.toml"
                )


class Approval(_Section):
    """Who decides about studies at this party."""

    people: tuple[str, ...] = ()
    rule: str = "any"
    two_person: bool = False
    auto: tuple[str, ...] = ()

    @field_validator("rule")
    @classmethod
    def _known_rule(cls, rule: str) -> str:
        if rule not in {"any", "all"} and not _SEVERAL.fullmatch(rule):
            raise ValueError('must be "any", "all" or a number such as "2-of"')
        return rule

    @field_validator("auto")
    @classmethod
    def _known_auto(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        for text in rules:
            match = _AUTO.fullmatch(text)
            if match is None or (match["analysis"] != "*" and match["analysis"] not in ANALYSES):
                raise ValueError(f"{text!r} is not an analysis, or 'ANALYSIS with RULE >= NUMBER'")
            if match["rule"] is not None and match["rule"] not in _Disclosure.model_fields:
                raise ValueError(f"there is no rule {match['rule']!r}")
        return rules

    @model_validator(mode="after")
    def _enough_people(self) -> Approval:
        if len(set(self.people)) < len(self.people):
            raise ValueError("a person is listed twice")
        if self.people and self.needed > len(self.people):
            raise ValueError(f"{self.needed} people must approve and {len(self.people)} are listed")
        return self

    @property
    def needed(self) -> int:
        """How many people must approve."""
        several = _SEVERAL.fullmatch(self.rule)
        count = int(several[1]) if several else len(self.people) if self.rule == "all" else 1
        return max(count, 2 if self.two_person else 1)

    def needs_nobody(self, analysis: str, rules: DisclosureRules) -> bool:
        """Whether an analysis under these effective rules is approved beforehand."""
        for text in self.auto:
            match = _AUTO.fullmatch(text)
            if match is None or match["analysis"] not in {"*", analysis}:
                continue
            if match["rule"] is None or getattr(rules, match["rule"]) >= int(match["least"]):
                return True
        return False


class Release(_Section):
    """When a result leaves."""

    rule: Literal["manual", "auto"] = "manual"


class Budget(_Section):
    """How much may be asked."""

    runs_per_month: int | None = Field(default=None, ge=1, le=LARGEST_COUNT)
    epsilon_per_year: float | None = Field(default=None, gt=0, le=1_000_000, allow_inf_nan=False)

    @property
    def epsilon(self) -> Fraction | None:
        """`epsilon_per_year` as it was written in decimals."""
        return None if self.epsilon_per_year is None else Fraction(repr(self.epsilon_per_year))


class Policy(BaseModel):
    """One party's policy: which analyses may run on its data, who approves, and the rules for what leaves."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    apiVersion: Literal["mpcstats/v1"] = "mpcstats/v1"
    kind: Literal["Policy"] = "Policy"
    extends: str = "standard"
    note: str = ""
    analyses: tuple[str, ...] = Field(default_factory=lambda: tuple(ANALYSES))
    columns: Columns = Columns()
    disclosure: _Disclosure = _Disclosure()
    approval: Approval = Approval()
    release: Release = Release()
    budget: Budget = Budget()

    @model_validator(mode="before")
    @classmethod
    def _open_to_all(cls, plain: Any) -> Any:
        """Under `open`, for one's own or public data, nobody is asked unless the policy says who."""
        if isinstance(plain, dict) and plain.get("extends") == "open":
            return {"approval": {"auto": ["*"]}, "release": {"rule": "auto"}, **plain}
        return plain

    @field_validator("extends")
    @classmethod
    def _preset(cls, name: str) -> str:
        if name not in PRESETS:
            raise ValueError(f"no preset is called {name!r}; presets: {', '.join(PRESETS)}")
        return name

    @field_validator("analyses")
    @classmethod
    def _registered(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in ANALYSES]
        if unknown:
            raise ValueError(f"no analysis is called {unknown[0]!r}; analyses: {', '.join(ANALYSES)}")
        return names

    @property
    def rules(self) -> DisclosureRules:
        """The preset with this party's own values on top."""
        own = self.disclosure.model_dump(exclude_none=True)
        return DisclosureRules(**{**PRESETS[self.extends], **own})

    @property
    def digest(self) -> str:
        """SHA-256 of the content (hex)."""
        return document_digest("policy", {**self.model_dump(mode="json"), "rules": asdict(self.rules)}).hex()

    @classmethod
    def preset(cls, name: str) -> Policy:
        """A preset by name.

        Raises
        ------
        SpecError
            No preset has this name.
        """
        if name not in PRESETS:
            raise SpecError(f"no policy preset is called {name!r}; presets: {', '.join(sorted(PRESETS))}")
        return cls.model_validate({"extends": name})


def parse_policy(plain: Mapping[str, Any], source: str = "policy", text: str | None = None) -> Policy:
    """Validate a policy; `source` names the file in errors, `text` (the file's) gives them lines."""
    return validated(Policy, plain, source, text)


def load_policy(path: Path) -> Policy:
    """Read `policy.toml`."""
    plain, text = read_toml(path)
    return parse_policy(plain, str(path), text)


def strictest(rules: Mapping[str, DisclosureRules]) -> tuple[DisclosureRules, dict[str, str]]:
    """Combine the rules of all parties; the strictest value of each wins.

    Parameters
    ----------
    rules : mapping of owner's name to DisclosureRules
        Not empty.

    Returns
    -------
    (DisclosureRules, dict)
        The effective rules, and for each rule who set it: names of parties or presets, or "all parties".
    """
    effective: dict[str, Any] = {}
    owner: dict[str, str] = {}
    for name in DisclosureRules.__dataclass_fields__:
        # thresholds: the largest is the strictest; permissions: one refusal is enough
        values = {who: getattr(rule, name) for who, rule in rules.items()}
        permission = isinstance(next(iter(values.values())), bool)
        effective[name] = all(values.values()) if permission else max(values.values())
        owners = [who for who, value in values.items() if value == effective[name]]
        owner[name] = ", ".join(owners) if len(owners) < len(values) or len(owners) == 1 else "all parties"
    return DisclosureRules(**effective), owner
