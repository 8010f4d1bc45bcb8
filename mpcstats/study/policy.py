"""What a party lets out: presets, its own `policy.toml`, and the strictest of all parties."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mpcstats.errors import ConfigurationError, SpecError
from mpcstats.study.analyses import ANALYSES
from mpcstats.types import LARGEST_COUNT, LARGEST_STEP, DisclosureRules

__all__ = ["PRESETS", "Policy", "load_policy", "parse_policy", "strictest"]

PRESETS: dict[str, dict[str, Any]] = {
    # Everything exact: for embedded sessions on one's own or public data.
    "open": {
        "minimum_count": 0,
        "rounding_base": 1,
        "step_minimum": 1,
        "at_risk_floor": 0,
        "time_grid": 1,
        "exact_curve": True,
        "minimum_parties": 1,
        "association_minimum_people": 0,
        "minimum_allele_count": 0,
        "all_variants": True,
        "hits_log10_p": 0,
        "allele_counts": True,
        "small_remainders": True,
        "events_per_parameter": 0,
    },
    # Where deployed parties start: 1 to 10 people hidden (and zero with them), counts in fives.
    "standard": {
        "minimum_count": 11,
        "rounding_base": 5,
        "step_minimum": 5,
        "at_risk_floor": 11,
        "time_grid": 30,
        "exact_curve": False,
        "minimum_parties": 3,
        "association_minimum_people": 500,
        "minimum_allele_count": 20,
        "all_variants": False,
        "hits_log10_p": 5,
        "allele_counts": False,
        "small_remainders": False,
        "events_per_parameter": 10,
    },
}


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


class Policy(BaseModel):
    """One party's policy: which analyses may run on its data, and the rules for what leaves."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    apiVersion: Literal["mpcstats/v1"] = "mpcstats/v1"
    kind: Literal["Policy"] = "Policy"
    extends: Literal["open", "standard"] = "standard"
    note: str = ""
    analyses: tuple[str, ...] = Field(default_factory=lambda: tuple(ANALYSES))
    disclosure: _Disclosure = _Disclosure()

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


def parse_policy(plain: Mapping[str, Any], source: str = "policy") -> Policy:
    """Validate a policy; `source` names the file in errors."""
    try:
        return Policy.model_validate(plain)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"{source} is not valid: {problems}", hint=_known(error)) from None


def _known(error: ValidationError) -> str | None:
    """The settings there are, when one was written that does not exist."""
    unknown = {e["loc"][:-1] for e in error.errors() if e["type"] == "extra_forbidden"}
    known = []
    if () in unknown:
        known.append(f"settings: {', '.join(Policy.model_fields)}")
    if ("disclosure",) in unknown:
        known.append(f"settings of [disclosure]: {', '.join(_Disclosure.model_fields)}")
    return "; ".join(known) or None


def load_policy(path: Path) -> Policy:
    """Read `policy.toml`."""
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    return parse_policy(plain, str(path))


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
