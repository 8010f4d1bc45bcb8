"""What a run may open, as people approved it: names, numbers of values, and what kind they are of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from mpcstats.errors import SpecError

if TYPE_CHECKING:
    from mpcstats.runtime.openings import OpeningLog

__all__ = ["Kind", "Manifest", "ManifestEntry"]

Kind = Literal["decision", "result"]
"""A decision is a bit that only decides whether the run goes on; everything else is a result, and waits for release."""


@dataclass(frozen=True)
class ManifestEntry:
    """One name of the reveal manifest.

    Attributes
    ----------
    name : str
    limit : int
        Values that may be opened under this name, all openings together.
    kind : "decision" or "result"
    why : str
        One sentence for the people who approve.
    """

    name: str
    limit: int
    kind: Kind
    why: str


@dataclass(frozen=True)
class Manifest:
    """Everything that a run may open. Public, the same at all parties.

    Attributes
    ----------
    entries : tuple of ManifestEntry
        Each name once.
    """

    entries: tuple[ManifestEntry, ...]

    @classmethod
    def of(cls, log: OpeningLog) -> Manifest:
        """What a session has declared so far; after a rehearsal, what the run will declare."""
        return cls(tuple(ManifestEntry(x.name, x.limit, x.kind, x.why) for x in log.manifest.values()))

    @classmethod
    def from_plain(cls, plain: Any) -> Manifest:
        """Read what `to_plain` wrote.

        Raises
        ------
        SpecError
            Something else.
        """
        try:
            entries = tuple(ManifestEntry(**row) for row in plain)
            fine = all(
                isinstance(x.name, str)
                and type(x.limit) is int
                and x.limit >= 0
                and x.kind in get_args(Kind)
                and isinstance(x.why, str)
                for x in entries
            )
            if not fine or len({x.name for x in entries}) != len(entries):
                raise ValueError("not entries")
        except (TypeError, ValueError):
            raise SpecError("the manifest of what may be opened is malformed", hint="plan the study again") from None
        return cls(entries)

    def to_plain(self) -> list[dict[str, Any]]:
        """For JSON."""
        return [asdict(entry) for entry in self.entries]

    def allows(self, name: str, limit: int, kind: Kind) -> bool:
        """Whether so many values may be opened under this name, as this kind."""
        return any(x.name == name and limit <= x.limit and kind == x.kind for x in self.entries)
