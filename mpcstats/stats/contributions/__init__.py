"""The public shape of an analysis (plan) and what one site puts into it (contribution): the base of both.

A plan is made from the request and the shared data dictionary; it is the same at every party and holds nothing
about records. A contribution is made by its owner from its own records, in the clear, and goes nowhere: the
protocols share its numbers. Each family of analyses has its own module in this package.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, NoReturn

__all__ = ["Contribution", "Level", "Plan"]

Level = str | int | float | bool


@dataclass(frozen=True)
class Plan:
    """Base of all plans: frozen dataclasses of texts, numbers, None and tuples of them, so that they travel as JSON.

    Attributes
    ----------
    kind : str
        Name of the class in JSON.
    """

    kind: ClassVar[str]
    dictionary: str = field(default="", kw_only=True)
    """SHA-256 (hex) of the data dictionary: columns of equal names must mean the same at every party."""

    def within_limits(self) -> bool:
        """Whether a dictionary can have led to this plan. A party without data has no other check of a peer's plan."""
        raise NotImplementedError


class Contribution:
    """Base of all contributions: it lives at its owner only, in one process.

    It may hold arrays, open files and functions. An analysis in several phases gives it methods that compute this
    site's sums from public inputs (a Cox score at opened coefficients, a block of variants): the statistics call them
    with `mpcstats.runtime.local` and share what they return. Its fields are records or made from them, so it has no
    text form and cannot be copied into bytes.
    """

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: stays at its owner>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} does not leave its process")
