"""The tables of a node's state. Changes need a migration (`mpcstats/node/state/migrations`)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Integer, String, Text, UniqueConstraint, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["AuditHeadRow", "AuditRow", "Base", "CheckpointRow", "EntryRow", "RunRow", "StatementRow", "StudyRow"]


class Base(DeclarativeBase):
    """Tables of the node."""


class EntryRow(Base):
    """A signed entry of any party, see `mpcstats.study.entries`."""

    __tablename__ = "entries"
    __table_args__ = (UniqueConstraint("consortium", "party", "number"),)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    consortium: Mapped[str] = mapped_column(String(64))
    party: Mapped[str] = mapped_column(String(64))
    number: Mapped[int] = mapped_column(Integer)
    action: Mapped[str] = mapped_column(String(32))
    study: Mapped[str] = mapped_column(String(64), index=True)
    received: Mapped[str] = mapped_column(String(40))
    document: Mapped[str] = mapped_column(Text)
    """The signed entry as canonical JSON."""


class StudyRow(Base):
    """A study's short number at this node, for people."""

    __tablename__ = "studies"
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    study: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(200), index=True)
    proposer: Mapped[str] = mapped_column(String(64))


class StatementRow(Base):
    """What one person of this party said about a study; the party's own rule makes an entry of them."""

    __tablename__ = "statements"
    __table_args__ = (UniqueConstraint("study", "subject", "person", "attempt"),)
    key: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    study: Mapped[str] = mapped_column(String(64), index=True)
    subject: Mapped[str] = mapped_column(String(80))
    """"approval", or "release" with the run's id."""
    person: Mapped[str] = mapped_column(String(200))
    attempt: Mapped[int] = mapped_column(Integer, default=1)
    decision: Mapped[str] = mapped_column(String(16))
    document: Mapped[str] = mapped_column(Text)
    """The statement with the person's signature as canonical JSON."""


class RunRow(Base):
    """A run of a study at this node."""

    __tablename__ = "runs"
    run: Mapped[str] = mapped_column(String(64), primary_key=True)
    study: Mapped[str] = mapped_column(String(64), index=True)
    occurrence: Mapped[str] = mapped_column(String(40), default="")
    """When a scheduled run was due; "" for others."""
    state: Mapped[str] = mapped_column(String(16))
    """running, sealed, released, failed, withheld."""
    detail: Mapped[str] = mapped_column(Text, default="{}")
    """Plain JSON: rounds, bytes, digests, error code."""
    changed: Mapped[str] = mapped_column(String(40))


class AuditRow(Base):
    """A record of this party's audit log, see `mpcstats.study.audit`."""

    __tablename__ = "audit_records"
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    """From 0."""
    event: Mapped[str] = mapped_column(String(32))
    study: Mapped[str] = mapped_column(String(64), index=True)
    hash: Mapped[str] = mapped_column(String(64))
    document: Mapped[str] = mapped_column(Text)
    """The record as canonical JSON."""


class AuditHeadRow(Base):
    """The end of this party's audit log: one row, locked by whoever appends."""

    __tablename__ = "audit_head"
    key: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    size: Mapped[int] = mapped_column(Integer)
    hash: Mapped[str] = mapped_column(String(64))


@event.listens_for(AuditHeadRow.__table__, "after_create")
def _empty_log(table: Any, connection: Any, **_options: Any) -> None:
    """A database that is made without migrations has an empty log, too."""
    connection.execute(table.insert().values(key=1, size=0, hash="0" * 64))


class CheckpointRow(Base):
    """A signed checkpoint of any party's audit log. Two that contradict each other prove a second history."""

    __tablename__ = "audit_checkpoints"
    __table_args__ = (UniqueConstraint("consortium", "party", "size", "root", "accepted"),)
    key: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    consortium: Mapped[str] = mapped_column(String(64))
    party: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(Integer)
    root: Mapped[str] = mapped_column(String(64))
    accepted: Mapped[bool] = mapped_column(Boolean)
    """Continues the ones before; False: kept as evidence."""
    document: Mapped[str] = mapped_column(Text)
    """The checkpoint with its signatures as canonical JSON."""
