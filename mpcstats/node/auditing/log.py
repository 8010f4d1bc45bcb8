"""A node's audit log in its database, and what it knows of the others' logs (`mpcstats.study.audit`)."""

from __future__ import annotations

import contextlib
import datetime
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from mpcstats.errors import AuditBroken
from mpcstats.node.state.database import Database
from mpcstats.study.audit import (
    NO_HASH,
    AuditEvent,
    AuditRecord,
    Checkpoint,
    Condition,
    Keys,
    SignedCheckpoint,
    check_records,
    check_witness,
    cosign,
    make_checkpoint,
    next_record,
    verify_log,
)
from mpcstats.study.canonical import canonical_bytes, moment, parse_moment
from mpcstats.study.merkle import consistency_proof, inclusion_proof, leaf_hash, root_of, verify_consistency
from mpcstats.study.signing import SigningKey

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from mpcstats.node.consortium.roster import Roster

__all__ = ["AuditLog", "known_keys", "roster_keys"]

_HEAD = 1


def roster_keys(roster: Roster) -> dict[str, bytes]:
    """The public signing key of each party."""
    return {member.name: member.signing_public for member in roster.party}


def known_keys(roster: Roster, earlier: Iterable[Roster] = ()) -> Keys:
    """The public signing keys of each party under this roster and the versions before it."""
    found: dict[str, tuple[bytes, ...]] = {}
    for version in (*earlier, roster):
        for name, public in roster_keys(version).items():
            found[name] = tuple(dict.fromkeys((*found.get(name, ()), public)))
    return found


class AuditLog:
    """The log of one party. Its methods may be called from any thread.

    Parameters
    ----------
    database : Database
    consortium, party : str
        Whose log it is.
    key : SigningKey
        The party's own.
    clock : function without arguments, optional
        The time; default: now.
    """

    def __init__(
        self,
        database: Database,
        consortium: str,
        party: str,
        key: SigningKey,
        clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self.consortium, self.party = consortium, party
        self._database, self._key, self._clock = database, key, clock
        self._lock = threading.RLock()

    # --- the own log --------------------------------------------------------------------------------------------

    def append(
        self, event: AuditEvent, actor: str, study: str = "", *, session: Session | None = None, **conditions: Condition
    ) -> AuditRecord:
        """Write a record.

        Parameters
        ----------
        event : str
            One of `mpcstats.study.audit.EVENTS`.
        actor : str
            A person, another party, or "node".
        study : str
            Its id (hex).
        session : SQLAlchemy session, optional
            The record is written with what else this session writes, or not at all. Others who append wait for its end.
        conditions
            Run, digests, codes, numbers of values; never values.

        Raises
        ------
        ConfigurationError
            The database cannot be written.
        """
        with self._lock, self._session(session) as open_session:
            return self._append(open_session, event, actor, study, conditions)

    def records(self, start: int = 0, stop: int | None = None) -> list[AuditRecord]:
        """Records `start` to `stop` - 1 (default: all).

        Raises
        ------
        AuditBroken
            One cannot be read.
        """
        from sqlalchemy import select

        from mpcstats.node.state.tables import AuditRow

        query = select(AuditRow.number, AuditRow.document).where(AuditRow.number >= start).order_by(AuditRow.number)
        if stop is not None:
            query = query.where(AuditRow.number < stop)
        with self._lock, self._database.transaction() as session:
            rows = session.execute(query).all()
        return [self._read(number, document) for number, document in rows]

    @property
    def size(self) -> int:
        """Number of records."""
        with self._lock, self._database.transaction() as session:
            return int(self._head(session)[0])

    def checkpoint(self) -> SignedCheckpoint:
        """The signed state of the log, with the witnesses that it has. The same until a record comes.

        Raises
        ------
        AuditBroken
            The log is not as it was written.
        """
        with self._lock, self._database.transaction() as session:
            size, head = self._head(session)
            known = self._checkpoint_row(session, self.party, size)
            if known is not None:
                return self._parse(known.document)
            hashes = self._hashes(session, size)
            if len(hashes) != size or (hashes[-1] if hashes else NO_HASH) != head:
                raise AuditBroken(f"audit record {min(len(hashes), size)} is missing", party=self.party)
            point = Checkpoint(
                consortium=self.consortium,
                party=self.party,
                size=size,
                head=head,
                root=root_of(map(_leaf, hashes)).hex(),
                time=self._later(session),
            )
            signed = make_checkpoint(self._key, point)
            session.add(_row(signed, accepted=True))
            return signed

    def find(self, event: AuditEvent, study: str, conditions: Mapping[str, Condition]) -> AuditRecord | None:
        """The last record of an event with these conditions; None where there is none."""
        from sqlalchemy import select

        from mpcstats.node.state.tables import AuditRow

        query = select(AuditRow.number, AuditRow.document).where(AuditRow.event == event, AuditRow.study == study)
        with self._lock, self._database.transaction() as session:
            rows = session.execute(query.order_by(AuditRow.number.desc())).all()
        records = (self._read(number, document) for number, document in rows)
        return next((record for record in records if record.conditions == conditions), None)

    def root(self, size: int) -> bytes:
        """The Merkle root of the first `size` records (32 bytes)."""
        return root_of(self._leaves(size))

    def consistency(self, first: int, second: int) -> list[bytes]:
        """The proof that the first `second` records begin with the first `first`; [] where first is 0."""
        leaves = self._leaves(second)
        return consistency_proof(leaves, first) if 0 < first <= len(leaves) else []

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The proof that record `index` is among the first `size`."""
        return inclusion_proof(self._leaves(size), index)

    def verify(self, keys: Keys) -> int:
        """Check the whole log, its checkpoints with their witnesses, and what is known of the others' logs.

        Returns
        -------
        int
            Number of records.

        Raises
        ------
        AuditBroken
            Names party and record.
        SignatureInvalid
            Names who is said to have signed.
        """
        with self._lock, self._database.transaction() as session:
            records = self._all(session)
            size, head = self._head(session)
            rows = self._checkpoint_rows(session)
        known = [(self._parse(document), accepted) for document, accepted in rows]
        verify_log(records, self.party, [signed for signed, _ in known if signed.checkpoint.party == self.party], keys)
        if len(records) != size or (records[-1].hash if records else NO_HASH) != head:
            raise AuditBroken(f"audit record {min(len(records), size)} is missing", party=self.party)
        for signed, accepted in known:
            signed.check(keys)
            if not accepted:
                point = signed.checkpoint
                raise AuditBroken(
                    f"signed two histories of its log: one of {point.size} records ({point.time}) contradicts another",
                    party=point.party,
                )
        return size

    # --- the others' logs ---------------------------------------------------------------------------------------

    def last_seen(self, party: str) -> SignedCheckpoint | None:
        """The last checkpoint of another party that this one accepted."""
        with self._lock, self._database.transaction() as session:
            row = self._checkpoint_row(session, party, None)
            return None if row is None else self._parse(row.document)

    def witness(self, signed: SignedCheckpoint, proof_from: int, proof: Sequence[bytes], keys: Keys) -> str | None:
        """Accept a checkpoint of another party, and co-sign it (hex).

        Parameters
        ----------
        proof_from : int
            Size of the checkpoint that `proof` begins at: `last_seen(party)`; 0 for the first one.
        proof : sequence of bytes

        Returns
        -------
        str or None
            None where this party has seen a later one meanwhile, or the proof begins elsewhere: nothing is wrong, and
            nothing is signed.

        Raises
        ------
        SignatureInvalid
            It is not that party's.
        AuditBroken
            It contradicts what was seen before; names party and record. It is kept as evidence.
        """
        point = signed.checkpoint
        signed.check(keys)
        if point.consortium != self.consortium or point.party == self.party:
            raise AuditBroken("showed the checkpoint of another log", party=point.party)
        with self._lock:
            last = self.last_seen(point.party)
            if last is not None and _older(signed, last):
                return None
            if last is not None and point.size > last.checkpoint.size and proof_from != last.checkpoint.size:
                return None
            problem = _contradiction(last, signed, proof)
            with self._database.transaction() as session:
                self._keep(session, signed, accepted=problem is None)
        if problem is not None:
            raise AuditBroken(problem, party=point.party)
        return cosign(self._key, point)

    def add_witness(self, size: int, party: str, signature: str, keys: Keys) -> None:
        """Keep another party's signature with the own checkpoint over `size` records.

        Raises
        ------
        SignatureInvalid
            It does not hold.
        """
        with self._lock, self._database.transaction() as session:
            row = self._checkpoint_row(session, self.party, size)
            if row is None:
                raise AuditBroken(f"there is no checkpoint over {size} records", party=self.party)
            signed = self._parse(row.document)
            check_witness(signed.checkpoint, party, signature, keys)
            witnesses = {**signed.witnesses, party: signature}
            row.document = canonical_bytes(signed.model_copy(update={"witnesses": witnesses})).decode()

    def check_own(self, signed: SignedCheckpoint, keys: Keys) -> None:
        """Compare the own log with a checkpoint of it that another party kept.

        Raises
        ------
        AuditBroken
            The own log was cut or replaced since.
        """
        verify_log(self.records(), self.party, [signed], keys)

    # --- inside -------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _session(self, given: Session | None) -> Iterator[Session]:
        if given is not None:
            yield given
            return
        with self._database.transaction() as session:
            yield session

    def _append(
        self, session: Session, event: AuditEvent, actor: str, study: str, conditions: Mapping[str, Condition]
    ) -> AuditRecord:
        from sqlalchemy import update

        from mpcstats.node.state.tables import AuditHeadRow, AuditRow

        # written first: who comes second waits here, and reads what the first one wrote
        own = update(AuditHeadRow).where(AuditHeadRow.key == _HEAD).execution_options(synchronize_session=False)
        session.execute(own.values(size=AuditHeadRow.size + 1))
        size, last_hash = self._head(session)
        record = next_record(
            size - 1,
            last_hash,
            party=self.party,
            time=moment(self._clock()),
            actor=actor,
            event=event,
            study=study,
            conditions=conditions,
        )
        document = canonical_bytes(record).decode()
        session.add(AuditRow(number=record.index, event=event, study=study, hash=record.hash, document=document))
        session.flush()
        session.execute(own.values(hash=record.hash))
        return record

    def _head(self, session: Session) -> tuple[int, str]:
        from sqlalchemy import select

        from mpcstats.node.state.tables import AuditHeadRow

        query = select(AuditHeadRow.size, AuditHeadRow.hash).where(AuditHeadRow.key == _HEAD)
        found = session.execute(query).one_or_none()
        if found is None:
            raise AuditBroken("the end of the audit log is missing in the database", party=self.party)
        return int(found[0]), str(found[1])

    def _later(self, session: Session) -> str:
        """The time, and later than the last checkpoint's also where the clock was set back."""
        now, last = self._clock(), self._checkpoint_row(session, self.party, None)
        if last is not None:
            now = max(
                now, parse_moment(self._parse(last.document).checkpoint.time) + datetime.timedelta(microseconds=1)
            )
        return moment(now)

    def _leaves(self, size: int) -> list[bytes]:
        with self._lock, self._database.transaction() as session:
            return [_leaf(digest) for digest in self._hashes(session, size)]

    def _hashes(self, session: Session, size: int) -> list[str]:
        """Hashes of the first records, as the database has them: `verify` compares them with the records."""
        from sqlalchemy import select

        from mpcstats.node.state.tables import AuditRow

        query = select(AuditRow.hash).where(AuditRow.number < size).order_by(AuditRow.number)
        return [str(digest) for digest in session.scalars(query)]

    def _all(self, session: Session) -> list[AuditRecord]:
        from sqlalchemy import select

        from mpcstats.node.state.tables import AuditRow

        query = select(AuditRow.number, AuditRow.document, AuditRow.hash).order_by(AuditRow.number)
        rows = session.execute(query).all()
        records = [self._read(number, document) for number, document, _ in rows]
        check_records(records, self.party)
        for record, (_, _, digest) in zip(records, rows, strict=True):
            if record.hash != digest:
                raise AuditBroken(f"audit record {record.index} was changed: its hash is another", party=self.party)
        return records

    def _read(self, number: int, document: str) -> AuditRecord:
        try:
            return AuditRecord.model_validate_json(document)
        except ValidationError:
            raise AuditBroken(f"audit record {number} was changed: it cannot be read", party=self.party) from None

    def _parse(self, document: str) -> SignedCheckpoint:
        try:
            return SignedCheckpoint.model_validate_json(document)
        except ValidationError:
            raise AuditBroken("a checkpoint in the database was changed: it cannot be read", party=self.party) from None

    def _checkpoint_rows(self, session: Session) -> list[tuple[str, bool]]:
        from sqlalchemy import select

        from mpcstats.node.state.tables import CheckpointRow

        rows = session.execute(
            select(CheckpointRow.document, CheckpointRow.accepted)
            .where(CheckpointRow.consortium == self.consortium)
            .order_by(CheckpointRow.key)
        ).all()
        return [(str(document), bool(accepted)) for document, accepted in rows]

    def _checkpoint_row(self, session: Session, party: str, size: int | None, root: str | None = None) -> Any:
        from sqlalchemy import select

        from mpcstats.node.state.tables import CheckpointRow

        query = select(CheckpointRow).where(CheckpointRow.consortium == self.consortium, CheckpointRow.party == party)
        if size is not None:
            query = query.where(CheckpointRow.size == size)
        query = query.where(CheckpointRow.accepted) if root is None else query.where(CheckpointRow.root == root)
        return session.scalars(query.order_by(CheckpointRow.size.desc()).limit(1)).first()

    def _keep(self, session: Session, signed: SignedCheckpoint, *, accepted: bool) -> None:
        """Keep one accepted checkpoint (it says all that the earlier ones said) and one contradiction of each party."""
        from sqlalchemy import select

        from mpcstats.node.state.tables import CheckpointRow

        point = signed.checkpoint
        if accepted and self._checkpoint_row(session, point.party, point.size, point.root) is not None:
            return
        query = select(CheckpointRow).where(
            CheckpointRow.consortium == self.consortium,
            CheckpointRow.party == point.party,
            CheckpointRow.accepted == accepted,
        )
        earlier = session.scalars(query).all()
        if not accepted and earlier:
            return
        for row in earlier:
            session.delete(row)
        session.flush()
        session.add(_row(signed, accepted=accepted))


def _older(signed: SignedCheckpoint, last: SignedCheckpoint) -> bool:
    """Whether a shorter log is one of before: a party's checkpoints get later as its log gets longer."""
    old, new = last.checkpoint, signed.checkpoint
    return new.size < old.size and parse_moment(new.time) < parse_moment(old.time)


def _contradiction(last: SignedCheckpoint | None, signed: SignedCheckpoint, proof: Sequence[bytes]) -> str | None:
    if last is None:
        return None
    old, new = last.checkpoint, signed.checkpoint
    if new.size < old.size:
        return f"cut its audit log: record {new.size} is missing, {old.size} records were signed ({old.time})"
    if new.size == old.size:
        same = last.state == signed.state
        return None if same else f"shows different histories of its audit log: of {new.size} records, two"
    roots = (bytes.fromhex(old.root), bytes.fromhex(new.root))
    if old.size == 0 or verify_consistency(old.size, new.size, *roots, proof):
        return None
    return (
        f"shows different histories of its audit log: {new.size} records do not continue the {old.size} that were "
        f"signed ({old.time}), one of record 0 to {old.size - 1} is another"
    )


def _leaf(digest: str) -> bytes:
    return leaf_hash(bytes.fromhex(digest))


def _row(signed: SignedCheckpoint, *, accepted: bool) -> Any:
    from mpcstats.node.state.tables import CheckpointRow

    point = signed.checkpoint
    return CheckpointRow(
        consortium=point.consortium,
        party=point.party,
        size=point.size,
        root=point.root,
        accepted=accepted,
        document=canonical_bytes(signed).decode(),
    )
