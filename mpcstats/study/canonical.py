"""One sequence of bytes for one content: what is signed and what is hashed of documents that people write.

Dates, times and whole numbers beyond 2^53 become text, then RFC 8785 (JSON Canonicalization Scheme) applies: sorted
keys, no spaces, shortest numbers. Two files that differ in comments, order or spelling of the same moment are one
document.
"""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import rfc8785
from pydantic import BaseModel

from mpcstats.errors import SpecError

__all__ = ["canonical_bytes", "document_digest", "moment", "normalised", "parse_moment"]

_EXACT = 1 << 53
_LARGEST_BITS = 1024


def canonical_bytes(document: Any) -> bytes:
    """The canonical form of a document: models, mappings, sequences, text, numbers, dates, booleans, None.

    Raises
    ------
    SpecError
        It holds something else, or a number that is not finite.
    """
    try:
        return rfc8785.dumps(normalised(document))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        problem = "it holds text that is none" if isinstance(error, UnicodeError) else error
        raise SpecError(f"the document has no canonical form: {problem}") from None
    except RecursionError:
        raise SpecError("the document has no canonical form: it is nested too deep") from None


def document_digest(kind: str, document: Any) -> bytes:
    """SHA-256 of kind and canonical form (32 bytes); documents of different kinds never share a digest."""
    return hashlib.sha256(f"mpcstats/v1/{kind}\0".encode() + canonical_bytes(document)).digest()


def normalised(value: Any) -> Any:
    """Plain JSON values: dates and times as text (UTC), large whole numbers as text, tuples as lists."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="python")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise SpecError("the document has no canonical form: a key is not text")
        return {key: normalised(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [normalised(part) for part in value]
    return _scalar(value)


def _scalar(value: Any) -> str | int | float | bool | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) >= _EXACT:
        if isinstance(value, int) and value.bit_length() > _LARGEST_BITS:
            raise SpecError("the document has no canonical form: a number in it is too large")
        return str(int(value)) if isinstance(value, int) or math.isfinite(value) else value
    if value is None or isinstance(value, bool | str | int | float):
        return value
    if isinstance(value, datetime.datetime):
        return moment(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    raise SpecError(f"the document has no canonical form: {type(value).__name__} is not allowed in it")


def moment(when: datetime.datetime) -> str:
    """A time as text, in UTC to the microsecond at most: 2027-01-31T00:00:00Z.

    Raises
    ------
    SpecError
        It has no time zone, or is out of range in UTC.
    """
    if when.tzinfo is None:
        raise SpecError(f"the time {when.isoformat()} has no time zone", hint="write 2027-01-31T00:00:00Z")
    try:
        text = when.astimezone(datetime.UTC).isoformat()
    except OverflowError:
        raise SpecError(f"the time {when.isoformat()} is out of range in UTC") from None
    return text.removesuffix("+00:00") + "Z"


def parse_moment(text: str) -> datetime.datetime:
    """What `moment` wrote.

    Raises
    ------
    SpecError
        It is something else.
    """
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise SpecError(f"{text[:40]!r} is no time", hint="write 2027-01-31T00:00:00Z") from None
    if when.tzinfo is None or moment(when) != text:
        raise SpecError(f"{text[:40]!r} is not a time in UTC", hint="write 2027-01-31T00:00:00Z")
    return when
