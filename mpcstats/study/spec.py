"""The analyses that can be asked for, as frozen, validated models. A spec is public: every party reads it."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mpcstats.errors import SpecError

__all__ = [
    "AnalysisSpec",
    "ConfidenceType",
    "CountSpec",
    "GwasSpec",
    "KaplanMeierSpec",
    "LogrankSpec",
    "canonical_json",
    "digest",
    "parse_spec",
]

ConfidenceType = Literal["log", "log-log", "plain", "logit", "arcsin"]
Level = str | int | float | bool


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str = "main"
    """Name of the data set; every party maps it to its own file or table."""

    policy: str | None = None
    """A preset to apply on top of the parties' policies. It can only make the release stricter."""


class CountSpec(_Spec):
    """Joint count of people, with a filter and a breakdown."""

    type: Literal["count"] = "count"
    where: str | None = None
    by: tuple[str, ...] = ()


class _SurvivalSpec(_Spec):
    time: str
    event: str
    event_values: tuple[Level, ...] | None = None
    """Values of `event` that mean the event happened; None: 1 of {0, 1}, true, or 2 of {1, 2} (R's rule)."""
    by: str | None = None
    where: str | None = None
    time_unit: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Times are whole multiples of this."""
    missing: Literal["refuse", "drop"] = "refuse"
    """Tables with rows without time or event: an error at their owner, or such rows are left out (complete cases, as R
    does)."""


class KaplanMeierSpec(_SurvivalSpec):
    """Survival curves of the groups of `by`, with confidence limits and medians."""

    type: Literal["kaplan-meier"] = "kaplan-meier"
    conf_type: ConfidenceType = "log"
    conf_level: float = Field(default=0.95, gt=0, lt=1, allow_inf_nan=False)


class LogrankSpec(_SurvivalSpec):
    """Log-rank test between the groups of `by`."""

    type: Literal["logrank"] = "logrank"
    by: str


class GwasSpec(_Spec):
    """Linear regression of a phenotype on each variant and the covariates."""

    type: Literal["gwas"] = "gwas"
    phenotype: str
    covariates: tuple[str, ...] = ()
    model: Literal["linear"] = "linear"
    release: Literal["all"] = "all"


AnalysisSpec = Annotated[CountSpec | KaplanMeierSpec | LogrankSpec | GwasSpec, Field(discriminator="type")]
_adapter: TypeAdapter[AnalysisSpec] = TypeAdapter(AnalysisSpec)


def parse_spec(plain: dict[str, Any] | str | bytes) -> AnalysisSpec:
    """Validate a request.

    Raises
    ------
    SpecError
        Names every field that is wrong.
    """
    try:
        if isinstance(plain, dict):
            return _adapter.validate_python(plain)
        return _adapter.validate_json(plain)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(str(p) for p in e['loc']) or 'spec'}: {e['msg']}" for e in error.errors())
        raise SpecError(f"the request is not valid: {problems}") from None


def canonical_json(value: Any) -> bytes:
    """Bytes that depend on the content only: sorted keys, no spaces, UTF-8."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> bytes:
    """SHA-256 of the canonical bytes (32 bytes)."""
    return hashlib.sha256(canonical_json(value)).digest()
