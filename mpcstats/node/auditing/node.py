"""What a running node does with its audit log: who may read it, whose signatures it gets, which runs are certified."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from mpcstats.node.auditing.auditors import load_auditors
from mpcstats.node.auditing.certify import Certifying
from mpcstats.node.auditing.exchange import HeadExchange
from mpcstats.node.auditing.log import AuditLog, roster_keys
from mpcstats.node.auditing.service import AUDIT_SERVICE, AuditService, WitnessService
from mpcstats.node.consortium.roster import Roster
from mpcstats.node.governance.permit import Permit, software
from mpcstats.node.observing.logs import Log
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.settings.limits import exceeded
from mpcstats.node.state.database import Database
from mpcstats.study.audit import AuditEvent, Condition
from mpcstats.study.canonical import document_digest
from mpcstats.study.certificate import RunIdentity
from mpcstats.study.entries import SignedEntry
from mpcstats.transport.network import PeerNetwork
from mpcstats.transport.tls import PinnedPeer, fingerprint
from mpcstats.version import __version__
from mpcstats.wire.audit_pb2_grpc import WitnessStub, add_AuditServicer_to_server, add_WitnessServicer_to_server

__all__ = ["Auditing"]

_SILENT_SECONDS = 60.0
_BUDGET_SECONDS = 60.0
_MOST_NAMES = 9

_EVENTS: dict[str, AuditEvent] = {
    "join": "roster-joined",
    "rotate": "key-rotated",
    "revoke-key": "key-revoked",
    "propose": "study-proposed",
    "approve": "study-approved",
    "reject": "study-rejected",
    "comment": "study-commented",
    "withdraw": "study-withdrawn",
    "withhold": "run-withheld",
    "pause": "schedule-paused",
    "resume": "schedule-resumed",
    "held": "schedule-held",
    "missing": "party-missing",
}
"""Acts with events of their own; of others it is written down that the entry came or went."""


class Auditing:
    """The audit log of a running node.

    Parameters
    ----------
    directory : PartyDirectory
    roster : Roster
    database : Database
    node_log : Log

    Attributes
    ----------
    log : AuditLog
    """

    def __init__(self, directory: PartyDirectory, roster: Roster, database: Database, node_log: Log) -> None:
        self._party = directory.config.name
        self._key, self._roster, self._node_log = directory.signing_key(), roster, node_log
        self._keys = roster_keys(roster)
        self._auditors = load_auditors(directory.path)
        self._silent_until: dict[tuple[str, str], float] = {}
        self._most = directory.config.limits.audit_records_per_minute
        self._caused: dict[str, tuple[float, int, int]] = {}
        self._exchange: HeadExchange | None = None
        self._task: asyncio.Task[None] | None = None
        self.log = AuditLog(database, roster.consortium, directory.config.name, self._key)

    @property
    def certificates(self) -> Iterable[bytes]:
        """Of auditors, for TLS (PEM)."""
        return self._auditors.values()

    @property
    def callers(self) -> dict[str, Any]:
        """What `CallerCheck` has to know."""
        names = {fingerprint(pem): name for name, pem in self._auditors.items()}
        return {"auditors": names, "audit_services": frozenset({AUDIT_SERVICE})}

    def add_to_server(self, server: Any) -> None:
        """Serve Witness and Audit."""
        witness = WitnessService(self.log, self._roster.names, self._keys)
        add_WitnessServicer_to_server(witness, server)  # type: ignore[no-untyped-call]
        add_AuditServicer_to_server(AuditService(self.log), server)  # type: ignore[no-untyped-call]

    def refused(self, reason: str, method: str) -> None:
        """A call was refused: written down once a minute for each reason and method."""
        now = time.monotonic()
        if len(self._silent_until) < 1000 and now >= self._silent_until.get((reason, method), 0.0):
            self._silent_until[reason, method] = now + _SILENT_SECONDS
            self._node_log.warning("call_refused", reason=reason, method=method)
            self.log.append("call-refused", "node", reason=reason, method=method[:200])

    def check_budget(self, party: str) -> None:
        """Whether a party may cause a record now.

        Raises
        ------
        LimitExceeded
            Runs that it asked for were refused too often in this minute.
        """
        since, number, left_out = self._caused.get(party, (0.0, 0, 0))
        if time.monotonic() - since < _BUDGET_SECONDS and number >= self._most:
            self._caused[party] = since, number, left_out + 1
            what = f"asked for {number} runs in a minute that were refused"
            raise exceeded(what, "audit_records_per_minute", self._most, party, owner=self._party)

    def refused_run(self, asked_by: str, study: str, **conditions: Condition) -> None:
        """Write down that a run which a party asked for was refused, within its budget of a minute.

        What was left out in one minute is a number in the first record of a later one.
        """
        now = time.monotonic()
        since, number, left_out = self._caused.get(asked_by, (now, 0, 0))
        if now - since >= _BUDGET_SECONDS:
            since, number = now, 0
            if left_out:
                conditions["left_out"] = left_out
            left_out = 0
        if number < self._most:
            self.log.append("run-failed", asked_by, study, session=None, **conditions)
            number += 1
        self._caused[asked_by] = since, number, left_out

    def noted(self, signed: SignedEntry) -> None:
        """Write down that an entry was made here or came in; called from any thread."""
        entry = signed.entry
        own = entry.party == self._party
        event: AuditEvent = _EVENTS.get(entry.action, "entry-sent" if own else "entry-received")
        actor = (entry.person or "node") if own else entry.party
        conditions: dict[str, Condition] = {"entry": signed.digest, "number": entry.number}
        if entry.person and not own:
            conditions["person"] = entry.person
        if "run" in entry.body:
            conditions["run"] = str(entry.body["run"])
        if entry.action == "missing":
            conditions["without"] = _names(entry.body.get("without"))
        self.log.append(event, actor, entry.study, session=None, **conditions)

    def start(self, network: PeerNetwork, peers: Iterable[PinnedPeer]) -> None:
        """Write the start down, and begin to exchange heads."""
        self.log.append("node-started", "node", version=__version__, roster=self._roster.digest.hex())
        calls: dict[str, Callable[..., Any]] = {
            peer.name: WitnessStub(network.channel_to(peer.index)).Exchange  # type: ignore[no-untyped-call]
            for peer in peers
        }
        self._exchange = HeadExchange(self.log, self._keys, calls, self._node_log)
        self._task = asyncio.create_task(self._exchange.run())

    async def stop(self) -> None:
        """End the exchange, and write the stop down."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.log.append("node-stopped", "node")

    async def note(self, event: AuditEvent, actor: str, study: str = "", **conditions: Condition) -> None:
        """Write down what happened to a run, and show the others the new head soon."""
        await asyncio.to_thread(lambda: self.log.append(event, actor, study, session=None, **conditions))
        if self._exchange is not None:
            self._exchange.wake()

    def certifying(self, permit: Permit | None, run_id: str, commitment: Callable[[], bytes] | None) -> Certifying:
        """What a run needs to be certified."""
        roster = self._roster
        identity = RunIdentity(
            consortium=roster.consortium,
            roster=roster.digest.hex(),
            roster_version=roster.version,
            study="" if permit is None else permit.study,
            lock="" if permit is None else document_digest("lock", permit.lock).hex(),
            run=run_id if permit is None else permit.run,
            occurrence="" if permit is None else permit.occurrence,
            software=software(),
        )
        lost = () if permit is None else permit.without
        keys = {name: key for name, key in self._keys.items() if name not in lost}
        return Certifying(self._key, keys, identity, self.log, commitment)


def _names(found: Any) -> tuple[str, ...]:
    """What another party wrote, as far as it is a list of names."""
    return tuple(str(name)[:64] for name in found[:_MOST_NAMES]) if isinstance(found, list) else ()
