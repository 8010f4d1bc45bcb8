"""Which entry of a study makes which notice."""

from __future__ import annotations

from typing import Any

from mpcstats.errors import MpcStatsError
from mpcstats.node.governance.desk import Desk
from mpcstats.node.notices.queue import Notifier
from mpcstats.node.observing.logs import Log
from mpcstats.study.canonical import parse_moment
from mpcstats.study.entries import Entry, SignedEntry
from mpcstats.study.lifecycle import RunState

__all__ = ["EntryNotices"]


class EntryNotices:
    """Listens to a desk.

    Parameters
    ----------
    notifier : Notifier
    desk : Desk
    log : Log
    """

    def __init__(self, notifier: Notifier, desk: Desk, log: Log) -> None:
        self._notifier, self._desk, self._log = notifier, desk, log

    def __call__(self, signed: SignedEntry) -> None:
        """Queue what an entry means to people here; an entry is never lost for a notice."""
        if not signed.entry.study:
            return
        try:
            self._tell(signed.entry, signed.digest)
        except MpcStatsError as error:
            self._log.warning("notice_lost", study=signed.entry.study, code=error.code, reason=error.message)

    def _tell(self, entry: Entry, digest: str) -> None:
        state = self._desk.study(entry.study)
        name, party = state.proposal.name, self._desk.party
        about: dict[str, Any] = {"subject": digest, "study": state.id, "name": name, "party": entry.party}
        about["state"] = state.status
        if entry.action == "propose":
            self._notifier.tell("study-proposed", **about, next=f"mpcstats study show {name}")
            if party in state.waiting_for:
                self._notifier.tell("approval-needed", **about, next=f"mpcstats study approve {name}")
        elif entry.action == "approve" and not state.waiting_for and not state.closed_because:
            self._notifier.tell("approved", **about, next=f"mpcstats study show {name}")
        elif entry.action == "reject":
            self._notifier.tell("rejected", **about, next=f"mpcstats study show {name}")
        elif entry.action == "pause":
            self._notifier.tell("schedule-paused", **about, next="mpcstats schedule list")
        elif entry.action == "missing":
            self._without(state.runs.get(str(entry.body.get("run", ""))), about, f"mpcstats study show {name}")
        elif entry.action == "computed" and entry.party == party:
            self._notifier.tell("computed", **about, next=f"mpcstats result review {name}")
            run = state.runs.get(str(entry.body.get("run", "")))
            waiting = run is not None and party not in run.released_by and party in state.proposal.lock.data_parties
            if waiting and state.proposal.lock.release != "auto":
                self._notifier.tell("release-needed", **about, next=f"mpcstats result release {name}")
        elif entry.action == "released" and entry.party == party:
            self._occurred("released", entry, about, f"mpcstats result get {name}")
        elif entry.action == "held":
            self._occurred("held", entry, about, "mpcstats schedule list")

    def _without(self, run: RunState | None, about: dict[str, Any], next: str) -> None:
        """All others have agreed to run without a party, which hears it as well when it is back."""
        if run is not None and run.without:
            lost = ", ".join(run.without)
            about |= {"subject": f"{about['study']} {run.run}", "party": lost, "state": "a new run begins without it"}
            self._notifier.tell("run-without", **about, next=next)

    def _occurred(self, event: str, entry: Entry, about: dict[str, Any], next: str) -> None:
        """A result is out or held back; of a scheduled run the engine may have told it already."""
        occurrence = str(entry.body.get("occurrence", ""))
        if occurrence:
            about |= {"subject": f"{entry.study} {occurrence}", "party": "", "due": parse_moment(occurrence)}
        self._notifier.tell(event, **about | {"state": event}, next=next)
