"""What the doctor found: one line each, and the exit code of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["Finding", "Status", "exit_code", "ok", "problem", "to_plain", "warning"]

Status = Literal["ok", "warning", "problem"]

_UNREACHABLE = {"E1701", "E1702", "E1703", "E1704", "E1705", "E1707", "E1708", "E1712"}
_WRONG_KEY = {"E1706", "E1709", "E1710", "E1711"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    status : "ok", "warning" or "problem"
    check : str
        What was looked at, such as "tls".
    what : str
        What was found.
    party : str
        The other party; "" for one's own house.
    whose : str
        Who can mend it: "us", a party, or "the network".
    next : str
        The command or the sentence that helps.
    code : str
        "" for ok.
    value : float or None
        What was measured, in the unit that `what` names.
    """

    status: Status
    check: str
    what: str
    party: str = ""
    whose: str = ""
    next: str = ""
    code: str = ""
    value: float | None = None


def ok(check: str, what: str, party: str = "", value: float | None = None) -> Finding:
    """Nothing to do."""
    return Finding("ok", check, what, party, value=value)


def warning(
    check: str, what: str, code: str, *, party: str = "", whose: str = "us", next: str = "", value: float | None = None
) -> Finding:
    """It works, but."""
    return Finding("warning", check, what, party, whose, next, code, value)


def problem(
    check: str, what: str, code: str, *, party: str = "", whose: str = "us", next: str = "", value: float | None = None
) -> Finding:
    """It does not work."""
    return Finding("problem", check, what, party, whose, next, code, value)


def exit_code(findings: Sequence[Finding]) -> int:
    """6: a key is not the one it should be; 5: a peer cannot be reached; 1: another problem; 0: none."""
    codes = {(finding.code, finding.party != "") for finding in findings if finding.status == "problem"}
    if any(code in _WRONG_KEY for code, _ in codes):
        return 6
    if any(code in _UNREACHABLE and of_peer for code, of_peer in codes):
        return 5
    return 1 if codes else 0


def to_plain(findings: Sequence[Finding]) -> dict[str, Any]:
    """For --json."""
    return {"exit_code": exit_code(findings), "findings": [asdict(finding) for finding in findings]}
