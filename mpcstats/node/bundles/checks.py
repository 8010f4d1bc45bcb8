"""Checking a result bundle offline: every file, every signature, and that all parts belong together.

Nothing in a bundle is believed. What is checked first is what the later checks stand on; where one fails, those that
stand on it are not made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mpcstats.errors import MpcStatsError
from mpcstats.node.bundles.certificate_checks import check_audit, check_derived, check_result, check_signatures
from mpcstats.node.bundles.file_checks import check_files, check_index, check_index_signed, check_roster, check_zip
from mpcstats.node.bundles.opened import OpenedBundle, WrongPart
from mpcstats.node.bundles.parts import INDEX
from mpcstats.node.bundles.study_checks import (
    check_approvals,
    check_as_approved,
    check_co_signed,
    check_complete,
    check_entries,
    check_releases,
    check_study,
)
from mpcstats.node.consortium.roster import Roster

__all__ = ["Check", "check_bundle", "failures"]


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes
    ----------
    name : str
        What was checked.
    passed : bool or None
        None: not made, because something before it failed.
    file, field : str
        What is off, where something is.
    detail : str
    """

    name: str
    passed: bool | None
    detail: str = ""
    file: str = ""
    field: str = ""


def check_bundle(data: bytes, roster: Roster | None = None) -> list[Check]:
    """Check a bundle.

    Parameters
    ----------
    data : bytes
        The zip file.
    roster : Roster, optional
        As the reader got it from somebody trusted. Without it the roster in the bundle vouches for itself alone:
        that its keys belong to these institutions must be seen to otherwise.

    Returns
    -------
    list of Check
        All lines, those that failed and those that could not be made included. Never raises on content.
    """
    bundle, checks, failed = OpenedBundle(), list[Check](), False
    for name, file, check in _steps(data, roster):
        if failed:
            checks.append(Check(name, None, "not checked"))
            continue
        try:
            checks.append(Check(name, True, check(bundle)))
        except WrongPart as wrong:
            checks.append(Check(name, False, wrong.detail, wrong.file, wrong.field))
            failed = True
        except Exception as error:  # whatever a part that is wrong leads to, it is the bundle's fault
            checks.append(Check(name, False, _said(error), file))
            failed = True
    return checks


def _steps(data: bytes, roster: Roster | None) -> list[tuple[str, str, Callable[[OpenedBundle], str]]]:
    """Name, the file that is off where a check breaks down, check."""
    return [
        ("zip", "", lambda bundle: check_zip(bundle, data)),
        ("index", INDEX, check_index),
        ("files", "", check_files),
        ("roster", "roster.toml", lambda bundle: check_roster(bundle, roster)),
        ("index signed", "", check_index_signed),
        ("certificate", "certificate.json", check_signatures),
        ("audit", "certificate.json", check_audit),
        ("entries", "entries.json", check_entries),
        ("roster co-signed", "entries.json", check_co_signed),
        ("study", "entries.json", check_study),
        ("approvals", "entries.json", check_approvals),
        ("releases", "entries.json", check_releases),
        ("complete", "certificate.json", check_complete),
        ("certificate and study", "certificate.json", check_as_approved),
        ("result", "outcome.json", check_result),
        ("tables and methods", "", check_derived),
    ]


def _said(error: BaseException) -> str:
    if isinstance(error, MpcStatsError):
        who = f"{error.party}: " if error.party else ""
        return f"{who}{error.message}"
    return f"cannot be read ({type(error).__name__})"


def failures(checks: Iterable[Check]) -> list[Check]:
    """Those that did not pass."""
    return [check for check in checks if check.passed is False]
