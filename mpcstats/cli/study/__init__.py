"""`mpcstats study`: from the first draft to the sealed result."""

from __future__ import annotations

from mpcstats.cli.lazy import lazy_group

__all__ = ["app"]

_HERE = "mpcstats.cli.study"

app = lazy_group(
    {
        "new": (f"{_HERE}.new", "new"),
        "lint": (f"{_HERE}.lint", "lint"),
        "rehearse": (f"{_HERE}.rehearse", "rehearse"),
        "plan": (f"{_HERE}.plan", "plan"),
        "propose": (f"{_HERE}.proposing", "propose"),
        "show": (f"{_HERE}.showing", "show"),
        "diff": (f"{_HERE}.showing", "diff"),
        "approve": (f"{_HERE}.deciding", "approve"),
        "reject": (f"{_HERE}.deciding", "reject"),
        "comment": (f"{_HERE}.deciding", "comment"),
        "withdraw": (f"{_HERE}.deciding", "withdraw"),
        "run": (f"{_HERE}.running", "run"),
        "status": (f"{_HERE}.showing", "status"),
    },
    "Write, plan, propose, approve and run studies.",
)
