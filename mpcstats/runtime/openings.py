"""The account of everything that was opened: what is declared, what was opened, and the digest of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from mpcstats.errors import UndeclaredOpening
from mpcstats.runtime.manifest import Kind, Manifest

__all__ = ["Opened", "OpeningLog", "Sealed"]


class Sealed(BaseException):
    """The run has come to its first result, which is not to be opened yet. No share of it left.

    Not an error: it ends the computation as a cancellation does, and nothing that deals with errors may stop it.

    Parameters
    ----------
    name : str
        The result, as declared.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass
class Opened:
    """One entry of the reveal manifest.

    Attributes
    ----------
    name : str
    limit : int
        Values that may be opened under this name.
    why : str
        One sentence for the people who approve.
    values : int
        Values opened so far.
    kind : "decision" or "result"
        A decision only decides whether the run goes on.
    """

    name: str
    limit: int
    why: str
    values: int = 0
    kind: Kind = "result"


class OpeningLog:
    """The manifest of a run, and the running digests: of every opened value (masked ones included), and of declared
    ones, which guests see, too.

    Parameters
    ----------
    approved : Manifest, optional
        What people approved. More than that cannot be declared, and so is not opened, whatever the code says.
    seal : bool
        Stop before the first result.
    some : bool
        Results are opened to some parties only.
    """

    def __init__(self, approved: Manifest | None = None, seal: bool = False, some: bool = False) -> None:
        self.approved = approved
        self.seal = seal
        self.some = some
        self._seen = hashlib.sha256(b"mpcstats/v1/seen")
        self.manifest: dict[str, Opened] = {}
        self._digest = hashlib.sha256(b"mpcstats/v1/openings")
        self._declared = hashlib.sha256(b"mpcstats/v1/declared openings")

    def part(self) -> OpeningLog:
        """A log with the same manifest and a digest of its own, for a part that runs beside others."""
        log = OpeningLog(self.approved, self.seal, self.some)
        log.manifest = self.manifest
        return log

    def declare(self, name: str, limit: int, why: str, *, decision: bool = False) -> None:
        """Enter values that the analysis will open. Declared again, for the same reason, they come on top.

        Parameters
        ----------
        decision : bool
            They only decide whether the run goes on or is refused: opened while computing, before anybody released
            anything. A bit that picks what is opened later is a result.

        Raises
        ------
        UndeclaredOpening
            The name stands for something else already, or the values are not in the approved manifest.
        """
        kind: Kind = "decision" if decision else "result"
        known = self.manifest.get(name, Opened(name, 0, why, kind=kind))
        if (known.why, known.kind) != (why, kind):
            raise UndeclaredOpening(f"{name!r} is declared twice, for different reasons; nothing was opened")
        if self.approved is not None and not self.approved.allows(name, known.limit + limit, kind):
            raise UndeclaredOpening(
                f"{name!r} ({known.limit + limit} values, {kind}) is not in the approved manifest; it was not opened",
                hint="plan the study again with this version, and have the new plan approved",
            )
        known.limit += limit
        self.manifest[name] = known

    def allow(self, name: str, count: int) -> None:
        """Check an opening against the manifest, before anything is sent.

        Raises
        ------
        UndeclaredOpening
            The name is not declared, or more values than declared would be opened.
        Sealed
            It is a result, and results are sealed.
        """
        entry = self.manifest.get(name)
        if entry is None:
            raise UndeclaredOpening(f"{name!r} is not in the manifest of this run; nothing was opened")
        if entry.values + count > entry.limit:
            raise UndeclaredOpening(
                f"{name!r} would open {entry.values + count} values where {entry.limit} are declared; "
                "nothing was opened"
            )
        if self.seal and entry.kind == "result":
            raise Sealed(name)
        entry.values += count

    def for_some(self, name: str) -> bool:
        """Whether a declared value is a result that not all parties get."""
        return self.some and self.manifest[name].kind == "result"

    def record(self, label: str, data: bytes | memoryview, declared: bool = False, seen_by_some: bool = False) -> None:
        """Add opened bytes to the digest, and to that of declared openings; or to that of what only the recipients have
        seen."""
        digests = (self._digest, self._declared) if declared else (self._digest,)
        for digest in (self._seen,) if seen_by_some else digests:
            digest.update(f"{label}:{len(data)}:".encode())
            digest.update(data)

    def record_size(self, name: str, count: int) -> None:
        """Add to the digests that so many values were opened to some parties."""
        self.record(f"{name}: {count} values to the recipients", b"", declared=True)

    @property
    def digest(self) -> bytes:
        """SHA-256 over everything opened so far; equal at all honest members of the committee."""
        return self._digest.copy().digest()

    @property
    def declared_digest(self) -> bytes:
        """SHA-256 over all declared openings so far; equal at all honest parties."""
        return self._declared.copy().digest()

    @property
    def seen_digest(self) -> bytes:
        """SHA-256 over what was opened to some parties only; equal at all honest recipients."""
        return self._seen.copy().digest()
