"""What was read of a bundle so far, and how its parts are read: nothing in it is believed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mpcstats.node.bundles.parts import BundleIndex, parse_document
from mpcstats.node.consortium.roster import Roster
from mpcstats.stats.outcome import Outcome
from mpcstats.study.canonical import canonical_bytes
from mpcstats.study.certificate import Certificate, SignedCertificate
from mpcstats.study.entries import SignedEntry
from mpcstats.study.lock import Proposal

__all__ = ["OpenedBundle", "WrongPart", "difference", "document", "member", "model_of", "require_same"]

_M = TypeVar("_M", bound=BaseModel)


@dataclass
class OpenedBundle:
    """What was read so far."""

    files: dict[str, bytes] = field(default_factory=dict)
    index: BundleIndex | None = None
    roster: Roster | None = None
    keys: dict[str, bytes] = field(default_factory=dict)
    entries: list[SignedEntry] = field(default_factory=list)
    proposal: Proposal | None = None
    signed: SignedCertificate | None = None
    outcome: Outcome | None = None
    without: tuple[str, ...] = ()
    """Parties of the roster that the certificate lacks; whether the others agreed on that, the entries tell."""

    @property
    def certificate(self) -> Certificate:
        """After `check_signatures`."""
        assert self.signed is not None
        return self.signed.certificate


class WrongPart(Exception):
    """A check failed: file, field, what."""

    def __init__(self, file: str, field: str, detail: str) -> None:
        super().__init__(detail)
        self.file, self.field, self.detail = file, field, detail


def member(bundle: OpenedBundle, name: str) -> bytes:
    """Content of a file of the bundle."""
    if name not in bundle.files:
        raise WrongPart(name, "", "is missing")
    return bundle.files[name]


def document(bundle: OpenedBundle, name: str) -> Any:
    """A file of the bundle as plain data."""
    try:
        plain = parse_document(name, member(bundle, name))
    except (ValueError, RecursionError):
        raise WrongPart(name, "", "cannot be read") from None
    if not isinstance(plain, dict | list):
        raise WrongPart(name, "", "cannot be read")
    return plain


def model_of(model: type[_M], plain: Any, file: str, where: str = "") -> _M:
    """Plain data as a model; a misfit is named by file and field."""
    try:
        return model.model_validate_json(json.dumps(plain))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise WrongPart(file, f"{where}.{path}".strip("."), first["msg"]) from None


def require_same(name: str, bundle: OpenedBundle, due: Any) -> None:
    """A file says what the signed proposal says."""
    found = document(bundle, name)
    if canonical_bytes(found) != canonical_bytes(due):
        raise WrongPart(name, _first_difference(due, found, ""), "is not what was proposed and approved")


def _first_difference(one: Any, other: Any, path: str) -> str:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in (*one, *(key for key in other if key not in one)):
            if one.get(key) != other.get(key):
                return _first_difference(one.get(key), other.get(key), f"{path}.{key}" if path else str(key))
    if _is_list(one) and _is_list(other) and len(one) == len(other):
        for place, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            if mine != theirs:
                return _first_difference(mine, theirs, f"{path}[{place}]")
    return path


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def difference(one: BaseModel, other: BaseModel) -> str:
    """The first field in which two models differ."""
    return _first_difference(one.model_dump(mode="json"), other.model_dump(mode="json"), "")
