"""The tables of scheduled runs and of notices that wait to be delivered."""

from __future__ import annotations

from sqlalchemy import Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mpcstats.node.state.tables import Base

__all__ = ["Base", "NoticeRow", "OccurrenceRow"]


class OccurrenceRow(Base):
    """One due time of a scheduled study, and what became of it at this node. Moments are UTC, to the second."""

    __tablename__ = "occurrences"
    __table_args__ = (UniqueConstraint("study", "due"),)
    key: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    study: Mapped[str] = mapped_column(String(64), index=True)
    schedule: Mapped[str] = mapped_column(String(64))
    """Its name."""
    due: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(16), index=True)
    own: Mapped[int] = mapped_column(Integer, default=0)
    """1 where this node starts it, 0 where it takes part in another one's run."""
    reason: Mapped[str] = mapped_column(Text, default="")
    obstacle: Mapped[str] = mapped_column(String(16), default="")
    """Why a planned one waits: paused, absent, quiet, failure; "" when nothing was in its way."""
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    not_before: Mapped[str] = mapped_column(String(40), default="")
    started: Mapped[str] = mapped_column(String(40), default="")
    changed: Mapped[str] = mapped_column(String(40))
    rounds: Mapped[int | None] = mapped_column(Integer, nullable=True)
    digest: Mapped[str] = mapped_column(String(64), default="")
    """SHA-256 of the released outcome's file."""
    file: Mapped[str] = mapped_column(String(200), default="")
    """The file with the released outcome, in the folder of results."""


class NoticeRow(Base):
    """A notice for one target. The key is the same for the same event, so it is queued once."""

    __tablename__ = "notices"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    target: Mapped[str] = mapped_column(String(64), index=True)
    event: Mapped[str] = mapped_column(String(32))
    body: Mapped[str] = mapped_column(Text)
    """Canonical JSON."""
    state: Mapped[str] = mapped_column(String(16), index=True)
    """waiting, delivered, dropped."""
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    created: Mapped[str] = mapped_column(String(40))
    not_before: Mapped[str] = mapped_column(String(40))
