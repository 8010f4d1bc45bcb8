"""The state of a node in numbers: studies, schedules, disk, database, certificate, memory."""

from __future__ import annotations

import datetime
import shutil
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from mpcstats.node.auditing.log import AuditLog
from mpcstats.node.governance.desk import Desk
from mpcstats.node.runs.guard import resident_bytes
from mpcstats.node.settings.config import PartyDirectory

__all__ = ["Vitals"]

_FRESH_SECONDS = 60.0


class Vitals:
    """Reads them; may be called from any thread.

    Parameters
    ----------
    directory : PartyDirectory
    desk : Desk
    audit : AuditLog, optional
    """

    def __init__(self, directory: PartyDirectory, desk: Desk, audit: AuditLog | None) -> None:
        from cryptography import x509

        self._directory, self._desk, self._audit = directory, desk, audit
        certificate = x509.load_pem_x509_certificate(directory.identity().certificate_pem)
        self._expires = certificate.not_valid_after_utc
        self._lock = threading.Lock()
        self._studies: tuple[float, dict[str, Any]] | None = None
        desk.on_entry.append(lambda _signed: self._forget())

    def read(self) -> dict[str, Any]:
        """Plain values.

        Returns
        -------
        dict
            certificate_days, roster_version, disk_free_bytes, database_bytes, audit_records, memory_bytes,
            cpu_seconds; studies (number by status), waiting_here (studies that wait for this party), schedules (their
            number) and held (due times that were held back).
        """
        now = datetime.datetime.now(datetime.UTC)
        return {
            "certificate_days": (self._expires - now).days,
            "roster_version": self._desk.roster.version,
            "disk_free_bytes": shutil.disk_usage(self._directory.state).free,
            "database_bytes": self._database_bytes(),
            "audit_records": 0 if self._audit is None else self._audit.size,
            "memory_bytes": resident_bytes(),
            "cpu_seconds": round(time.process_time(), 2),
            **self._of_studies(),
        }

    def _forget(self) -> None:
        self._studies = None

    def _of_studies(self) -> dict[str, Any]:
        """Read again when an entry came, and once a minute: studies expire by themselves."""
        with self._lock:
            known = self._studies
            if known is None or time.monotonic() - known[0] > _FRESH_SECONDS:
                known = time.monotonic(), self._count()
                self._studies = known
            return known[1]

    def _count(self) -> dict[str, Any]:
        from sqlalchemy import func, select

        from mpcstats.node.state.schedule_tables import OccurrenceRow

        states = [state for _, state in self._desk.studies()]
        with self._desk.database.transaction() as session:
            held = session.scalar(select(func.count()).where(OccurrenceRow.state == "held"))
        return {
            "studies": dict(sorted(Counter(state.status for state in states).items())),
            "waiting_here": sum(self._desk.party in state.waiting_for for state in states),
            "schedules": sum(state.proposal.schedule is not None and state.closed_because is None for state in states),
            "held": int(held or 0),
        }

    def _database_bytes(self) -> int:
        url = self._desk.database.engine.url
        if url.get_backend_name() != "sqlite":
            from sqlalchemy import text

            with self._desk.database.transaction() as session:
                return int(session.scalar(text("SELECT pg_database_size(current_database())")))
        files = [Path(f"{url.database}{ending}") for ending in ("", "-wal")] if url.database else []
        return sum(file.stat().st_size for file in files if file.exists())
