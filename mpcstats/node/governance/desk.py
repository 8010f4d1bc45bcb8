"""Where a node keeps the entries of all parties: checked on arrival, in chains, never changed.

An entry is taken when it is signed by a party of the roster, belongs to this consortium, and follows the last entry of
its party. A second history of one party is a fork: it is refused, and named, for ever.
"""

from __future__ import annotations

import datetime
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mpcstats.errors import AuditBroken, FrameRejected, MpcStatsError, SpecError
from mpcstats.node.consortium.roster import Roster
from mpcstats.node.governance.quota import EntryQuota
from mpcstats.node.settings.limits import Limits, exceeded
from mpcstats.node.state.database import Database
from mpcstats.node.state.tables import EntryRow, StudyRow
from mpcstats.study.canonical import canonical_bytes, moment
from mpcstats.study.entries import Action, Entry, SignedEntry, sign_entry
from mpcstats.study.lifecycle import StudyState, state_of
from mpcstats.study.lock import parse_proposal
from mpcstats.study.signing import SigningKey

__all__ = ["LONGEST_ENTRY", "Desk", "utc_now"]

LONGEST_ENTRY = 512 * 1024
"""Bytes of one entry as canonical JSON."""

_NOBODY = "0" * 64
_OPEN = frozenset({"in review", "approved", "computed"})


def utc_now() -> datetime.datetime:
    """The time, in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


class Desk:
    """The entries that one node knows.

    Parameters
    ----------
    database : Database
    roster : Roster
    party : str
        This party.
    key : SigningKey
    now : function, optional
        The clock.
    earlier : rosters, optional
        Versions before this one: their entries stay valid, by the keys they were signed with.
    limits : Limits, optional
        How much each party may write; the own one, too. Default: no bounds.

    Attributes
    ----------
    on_entry : list of functions (SignedEntry)
        Called for every new entry, own ones included, after it was kept.
    """

    def __init__(
        self,
        database: Database,
        roster: Roster,
        party: str,
        key: SigningKey,
        now: Callable[[], datetime.datetime] = utc_now,
        earlier: Iterable[Roster] = (),
        limits: Limits | None = None,
    ) -> None:
        self.database, self.roster, self.party, self.now = database, roster, party, now
        self._key = key
        self._keys = {
            (known.digest.hex(), member.name): member.signing_public
            for known in (*earlier, roster)
            if known.consortium == roster.consortium
            for member in known.party
        }
        self._lock = threading.RLock()
        self._limits = limits
        self._quota = None if limits is None else EntryQuota(limits, now, self._chain_bytes)
        self.on_entry: list[Callable[[SignedEntry], None]] = []

    # --- writing ----------------------------------------------------------------------------------------------------

    def write(self, action: Action, study: str, body: Mapping[str, Any], person: str = "") -> SignedEntry:
        """Make, sign and keep this party's next entry.

        Raises
        ------
        LimitExceeded
            More than this party may write.
        """
        with self._lock:
            if action == "propose":
                self._check_proposals(self.party)
            number, previous = self._head(self.party)
            entry = Entry(
                consortium=self.roster.consortium,
                roster=self.roster.digest.hex(),
                party=self.party,
                number=number + 1,
                previous=previous,
                action=action,
                study=study,
                person=person,
                time=moment(self.now()),
                body=dict(body),
            )
            signed = sign_entry(entry, self._key)
            self.add(signed)
        return signed

    def add(self, signed: SignedEntry) -> bool:
        """Keep an entry of any party; False when it is known.

        Raises
        ------
        FrameRejected
            Of another consortium, a stranger, too long, or not the next one of its party.
        SignatureInvalid
        AuditBroken
            The party signed another entry with this number before.
        LimitExceeded
            More than a party may write; it may be taken later.
        """
        entry = signed.entry
        document = canonical_bytes(signed)
        if len(document) > LONGEST_ENTRY:
            raise FrameRejected(
                f"sent an entry of {len(document):,} bytes (most: {LONGEST_ENTRY:,})", party=entry.party
            )
        self._check(signed)
        with self._lock:
            number, previous = self._head(entry.party)
            if entry.number <= number:
                self._refuse_fork(signed)
                return False
            if entry.number != number + 1 or entry.previous != previous:
                raise FrameRejected(f"sent entry {entry.number}, and entry {number + 1} is due", party=entry.party)
            # what the own node has to say about runs is never held up; people can wait
            bounded = entry.party != self.party or entry.action in {"propose", "comment"}
            if self._quota is not None and bounded:
                self._quota.check(entry, len(document))
            self._keep(signed, document.decode())
            if self._quota is not None:
                self._quota.took(entry, len(document))
        for listener in self.on_entry:
            listener(signed)
        return True

    # --- reading ----------------------------------------------------------------------------------------------------

    def heads(self) -> dict[str, int]:
        """Number of the last known entry of each party."""
        from sqlalchemy import func, select

        query = select(EntryRow.party, func.max(EntryRow.number)).group_by(EntryRow.party)
        with self.database.transaction() as session:
            found = dict(session.execute(query.where(EntryRow.consortium == self.roster.consortium)).all())
        return {name: int(found.get(name, 0)) for name in self.roster.names}

    def after(self, heads: Mapping[str, int], most_bytes: int) -> list[str]:
        """Entries behind these heads as canonical JSON, of each party in order, at most so many bytes (but one)."""
        from sqlalchemy import select

        found: list[str] = []
        size = 0
        with self.database.transaction() as session:
            for party in self.roster.names:
                query = select(EntryRow.document).where(
                    EntryRow.consortium == self.roster.consortium,
                    EntryRow.party == party,
                    EntryRow.number > heads.get(party, 0),
                )
                for (document,) in session.execute(query.order_by(EntryRow.number)):
                    size += len(document.encode())
                    if found and size > most_bytes:
                        return found
                    found.append(document)
        return found

    def chain(self, party: str) -> list[SignedEntry]:
        """All entries of a party in order."""
        return self._entries(EntryRow.party == party)

    def entries_of(self, study: str) -> list[SignedEntry]:
        """All entries about a study."""
        return self._entries(EntryRow.study == study)

    def study(self, reference: str) -> StudyState:
        """The state of a study.

        Parameters
        ----------
        reference : str
            Its id or the beginning of it (8 letters), its number at this node ("17", "#17"), or its name: the latest.

        Raises
        ------
        SpecError
            There is none, or several.
        """
        return state_of(self.entries_of(self.study_id(reference)), self.now())

    def studies(self) -> list[tuple[int, StudyState]]:
        """All studies with their numbers, oldest first."""
        from sqlalchemy import select

        with self.database.transaction() as session:
            rows = session.execute(select(StudyRow.number, StudyRow.study).order_by(StudyRow.number)).all()
        return [(number, state_of(self.entries_of(study), self.now())) for number, study in rows]

    def number(self, study: str) -> int:
        """A study's number at this node."""
        from sqlalchemy import select

        with self.database.transaction() as session:
            found = session.execute(select(StudyRow.number).where(StudyRow.study == study)).scalar_one_or_none()
        return int(found or 0)

    def study_id(self, reference: str) -> str:
        """See `study`."""
        from sqlalchemy import select

        plain = reference.strip().lower().removeprefix("#")
        with self.database.transaction() as session:
            rows = session.execute(select(StudyRow).order_by(StudyRow.number.desc())).scalars().all()
        if plain.isdecimal():
            found = [row.study for row in rows if row.number == int(plain)]
        else:
            found = [row.study for row in rows if row.name == plain][:1]
            if not found and len(plain) >= 8:
                found = [row.study for row in rows if row.study.startswith(plain)]
        if len(found) != 1:
            raise SpecError(
                f"{'no study' if not found else 'more than one study'} is known here as {reference[:70]!r}",
                party=self.party,
                hint="mpcstats inbox lists number, name and id",
            )
        return str(found[0])

    # --- the database -----------------------------------------------------------------------------------------------

    def _entries(self, *where: Any) -> list[SignedEntry]:
        from sqlalchemy import select

        query = select(EntryRow.document).where(EntryRow.consortium == self.roster.consortium, *where)
        with self.database.transaction() as session:
            documents: Iterable[str] = session.execute(query.order_by(EntryRow.party, EntryRow.number)).scalars().all()
        found = [SignedEntry.model_validate(json.loads(document)) for document in documents]
        for signed in found:
            self._check(signed)  # the database is a file that somebody may have changed
        return found

    def _check(self, signed: SignedEntry) -> None:
        entry = signed.entry
        key = self._keys.get((entry.roster, entry.party))
        if entry.consortium != self.roster.consortium or key is None:
            raise FrameRejected(
                "sent an entry of another consortium, of a stranger, or under an unknown roster", party=entry.party
            )
        signed.check(key)

    def _head(self, party: str) -> tuple[int, str]:
        from sqlalchemy import select

        query = select(EntryRow.number, EntryRow.digest).where(
            EntryRow.consortium == self.roster.consortium, EntryRow.party == party
        )
        with self.database.transaction() as session:
            row = session.execute(query.order_by(EntryRow.number.desc()).limit(1)).first()
        return (0, _NOBODY) if row is None else (int(row[0]), str(row[1]))

    def _refuse_fork(self, signed: SignedEntry) -> None:
        from sqlalchemy import select

        entry = signed.entry
        query = select(EntryRow.digest).where(
            EntryRow.consortium == entry.consortium, EntryRow.party == entry.party, EntryRow.number == entry.number
        )
        with self.database.transaction() as session:
            known = session.execute(query).scalar_one()
        if known != signed.digest:
            raise AuditBroken(
                f"signed two different entries with number {entry.number}: one party is shown another history",
                party=entry.party,
                hint="compare `mpcstats audit show` with the other parties; restore the party's state from its backup",
            )

    def _chain_bytes(self, party: str) -> int:
        from sqlalchemy import func, select

        query = select(func.sum(func.length(EntryRow.document))).where(
            EntryRow.consortium == self.roster.consortium, EntryRow.party == party
        )
        with self.database.transaction() as session:
            return int(session.scalar(query) or 0)

    def _open_proposals(self, party: str) -> int:
        """Studies that a party proposed and that are not over."""
        from sqlalchemy import select

        with self.database.transaction() as session:
            ids = session.scalars(select(StudyRow.study).where(StudyRow.proposer == party)).all()
        if self._limits is None or len(ids) < self._limits.open_proposals:
            return len(ids)  # no need to look at each
        states = (state_of(self.entries_of(study), self.now()) for study in ids)
        return sum(state.status in _OPEN for state in states)

    def _check_proposals(self, party: str) -> None:
        if self._limits is None:
            return
        number, most = self._open_proposals(party), self._limits.open_proposals
        if number >= most:
            raise exceeded(f"{number} studies that {party} proposed are open", "open_proposals", most, party)

    def _may_propose(self, party: str) -> bool:
        """Whether a proposal of another party becomes a study here; it stays in its chain in any case."""
        return party == self.party or self._limits is None or self._open_proposals(party) < self._limits.open_proposals

    def _keep(self, signed: SignedEntry, document: str) -> None:
        entry = signed.entry
        name = _proposed(entry)
        taken = bool(name) and self._may_propose(entry.party)
        with self.database.transaction() as session:
            session.add(
                EntryRow(
                    digest=signed.digest,
                    consortium=entry.consortium,
                    party=entry.party,
                    number=entry.number,
                    action=entry.action,
                    study=entry.study,
                    received=moment(self.now()),
                    document=document,
                )
            )
            if taken and session.query(StudyRow).filter_by(study=entry.study).first() is None:
                session.add(StudyRow(study=entry.study, name=name, proposer=entry.party))


def _proposed(entry: Entry) -> str:
    """Name of the study that an entry proposes; "" of other entries, and of proposals that are none here.

    Such a one stays in its party's chain, which would end otherwise; there is no study of it, and nothing runs.
    """
    if entry.action != "propose":
        return ""
    try:
        proposal = parse_proposal(entry.body)
    except MpcStatsError:
        return ""
    return proposal.name if proposal.id == entry.study else ""
