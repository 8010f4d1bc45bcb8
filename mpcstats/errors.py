"""Every error that mpcstats raises on purpose.

    MpcStatsError
    ├── ConfigurationError     a file or setting of this party is wrong
    ├── StudyError             the request itself is wrong or not allowed
    │   ├── SpecError              names a column, option or level that does not exist
    │   ├── NotPermitted           a party's policy does not allow the analysis
    │   ├── DisclosureRefused      the pooled result is too small to leave the computation
    │   ├── NotApproved            the study lacks approvals or releases; names who is waited for
    │   ├── StudyClosed            the study is expired, withdrawn, rejected or withheld
    │   ├── NothingToResume        a party keeps nothing of the run that was to be taken up again
    │   ├── PartyNeeded            a run cannot go on without the party that is lost
    │   └── PartyPresent           the party that is said to be lost answers
    ├── DataError              a party's own records cannot be used; raised at their owner, nothing was sent
    ├── TransportError         a message did not arrive, or arrived from the wrong party
    │   ├── PartyUnreachable       names the party that is gone
    │   ├── DeadlineExceeded       names the party that is silent
    │   ├── FrameRejected          a malformed, stale, foreign or oversized message
    │   └── PeerRefused            a party answered no, with its code
    ├── ProtocolError          the parties do not agree
    │   ├── InconsistentShares     an opened sharing does not lie on one polynomial
    │   ├── Divergence             parties opened different values or run different studies
    │   ├── UndeclaredOpening      code tried to open a value that is not in the manifest
    │   ├── SignatureInvalid       a signed document is not as it was signed
    │   ├── AuditBroken            an audit log was changed, cut or forked
    │   ├── JournalMismatch        a run that is resumed does not repeat what its journal says
    │   └── BundleInvalid          a result bundle is not as it was written, or its parts contradict each other
    └── RangeError             a number does not fit its format, or a party's limit
        ├── StatisticalSecurityError   too many masked openings for the statistical security asked
        └── LimitExceeded              more than a party's [limits] allow; names number, limit and setting

Messages say what happened, whose fault it is, the numbers, and what to do next. They never contain a
record's value or a share.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AuditBroken",
    "BundleInvalid",
    "ConfigurationError",
    "DataError",
    "DeadlineExceeded",
    "DisclosureRefused",
    "Divergence",
    "FrameRejected",
    "InconsistentShares",
    "JournalMismatch",
    "LimitExceeded",
    "MpcStatsError",
    "NotApproved",
    "NotPermitted",
    "NothingToResume",
    "PartyNeeded",
    "PartyPresent",
    "PartyUnreachable",
    "PeerRefused",
    "ProtocolError",
    "RangeError",
    "SignatureInvalid",
    "SpecError",
    "StatisticalSecurityError",
    "StudyClosed",
    "StudyError",
    "TransportError",
    "UndeclaredOpening",
]


class MpcStatsError(Exception):
    """Base class: a code for machines, a sentence for people, the next step for operators.

    Parameters
    ----------
    message : str
        What happened, with the numbers. Never a record's value.
    party : str, optional
        Whose fault it is, by party name.
    hint : str, optional
        What to do next, preferably a command.
    """

    code: ClassVar[str] = "E1000"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, party: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.party = party
        self.hint = hint

    def __str__(self) -> str:
        where = f"party {self.party}: " if self.party else ""
        hint = f"\n  next: {self.hint}" if self.hint else ""
        return f"[{self.code}] {where}{self.message}{hint}"


class ConfigurationError(MpcStatsError):
    """A configuration file, key or setting of this party is missing or wrong."""

    code = "E1100"
    exit_code = 2


class StudyError(MpcStatsError):
    """The analysis asked for cannot be run."""

    code = "E1200"
    exit_code = 2


class SpecError(StudyError):
    """The request names something that does not exist or does not fit."""

    code = "E1201"


class NotPermitted(StudyError):
    """A party's policy does not allow this analysis."""

    code = "E1202"
    exit_code = 3


class DisclosureRefused(StudyError):
    """The pooled result is too small, or too detailed, to leave the computation."""

    code = "E1203"
    exit_code = 3


class NotApproved(StudyError):
    """The study lacks approvals or releases."""

    code = "E1204"
    exit_code = 4


class StudyClosed(StudyError):
    """The study is over: expired, rejected, withdrawn or withheld."""

    code = "E1205"
    exit_code = 3


class NothingToResume(StudyError):
    """No journal of the run that was to be taken up again."""

    code = "E1206"
    exit_code = 4


class PartyNeeded(StudyError):
    """A run cannot go on without this party."""

    code = "E1207"
    exit_code = 4


class PartyPresent(StudyError):
    """A party that is said to be lost answers."""

    code = "E1208"
    exit_code = 4


class DataError(MpcStatsError):
    """A party's own records cannot be used. Raised at their owner; nothing was sent."""

    code = "E1300"


class TransportError(MpcStatsError):
    """A message was not delivered."""

    code = "E1400"
    exit_code = 5


class PartyUnreachable(TransportError):
    """A party is gone: its connection broke or never came up."""

    code = "E1401"


class DeadlineExceeded(TransportError):
    """A party is silent: nothing arrived within the patience of this session."""

    code = "E1402"


class FrameRejected(TransportError):
    """A message was malformed, stale, oversized or from the wrong session."""

    code = "E1403"


class PeerRefused(TransportError):
    """A party answered no. The reason's details stay with that party.

    Attributes
    ----------
    reason_code : str
        Code of the error there; "" where it is not known.
    """

    code = "E1404"
    exit_code = 3
    reason_code: str = ""


class ProtocolError(MpcStatsError):
    """The parties' messages contradict each other."""

    code = "E1500"
    exit_code = 6


class InconsistentShares(ProtocolError):
    """The shares of an opened value do not lie on one polynomial of the expected degree."""

    code = "E1501"


class Divergence(ProtocolError):
    """Two parties hold different views of what was computed or opened."""

    code = "E1502"


class UndeclaredOpening(ProtocolError):
    """Something tried to open a value that the run's manifest does not declare."""

    code = "E1503"


class SignatureInvalid(ProtocolError):
    """A signed document is not as it was signed, or was signed by somebody else."""

    code = "E1510"


class AuditBroken(ProtocolError):
    """An audit log was changed, cut, or is not the one that others have seen."""

    code = "E1511"


class JournalMismatch(ProtocolError):
    """A party that takes up a run again would send other bytes than before, or its journal is not the run's."""

    code = "E1504"


class BundleInvalid(ProtocolError):
    """A result bundle is not as it was written, or its parts do not belong together."""

    code = "E1512"


class RangeError(MpcStatsError):
    """A number does not fit the format that carries it."""

    code = "E1600"


class StatisticalSecurityError(RangeError):
    """The masked openings of this run would use up the statistical security that was asked."""

    code = "E1601"


class LimitExceeded(RangeError):
    """More than the limits of a party allow: rows, memory, time, disk, requests, entries."""

    code = "E1602"
    exit_code = 3
