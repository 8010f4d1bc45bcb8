"""Notices for people: queued in the state database, delivered by a task of their own, at least once.

A notice has names, ids, states, due times and the next command; never a result, a count or a record. What other parties
wrote (names of studies) is cut and stripped of control characters. A server that is down is tried again, ever more
rarely, and never makes a run wait: delivery happens in threads of its own, and queueing is one insert.

A webhook gets a POST with `Idempotency-Key` (the same at each try), `Mpcstats-Timestamp`, and `Mpcstats-Signature`:
`sha256=` and the HMAC-SHA256 (hex) of timestamp, "." and body under the secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mpcstats.errors import MpcStatsError
from mpcstats.node.notices.config import EVENTS, EmailTarget, WebhookTarget
from mpcstats.node.notices.delivery import DELIVERY_SECONDS, Delivery, DeliveryFailed
from mpcstats.node.observing.logs import Log, where_from
from mpcstats.node.state.database import Database
from mpcstats.study.canonical import canonical_bytes, moment

__all__ = ["Notifier", "key_expiring", "run_notifier"]

MOST_WAITING = 1000
"""Notices that wait for one target; what comes on top is dropped, and logged."""

MOST_ATTEMPTS = 12
_FIRST_RETRY = datetime.timedelta(seconds=30)
_LONGEST_RETRY = datetime.timedelta(hours=6)
_KEPT = datetime.timedelta(days=90)
_BATCH = 20
_LONGEST = 200
_POLL_SECONDS = 5.0


@dataclass(frozen=True)
class _Waiting:
    key: str
    event: str
    body: str
    attempts: int


class Notifier:
    """The notices of one node.

    Parameters
    ----------
    database : Database
    party, consortium : str
        Named in every notice.
    targets : sequence of WebhookTarget or EmailTarget
    delivery : Delivery
        With the secrets.
    now : function
        The clock, UTC to the second.
    log : Log
    """

    def __init__(
        self,
        database: Database,
        party: str,
        consortium: str,
        targets: Sequence[WebhookTarget | EmailTarget],
        delivery: Delivery,
        now: Callable[[], datetime.datetime],
        log: Log,
    ) -> None:
        self._database, self._party, self._consortium = database, party, consortium
        self._targets, self._delivery, self._now, self._log = tuple(targets), delivery, now, log

    def tell(
        self,
        event: str,
        *,
        subject: str,
        study: str = "",
        name: str = "",
        party: str = "",
        state: str = "",
        due: datetime.datetime | None = None,
        next: str = "",
    ) -> int:
        """Queue a notice for every target that wants this event; returns for how many.

        Parameters
        ----------
        event : str
            One of `mpcstats.node.notices.config.EVENTS`.
        subject : str
            What it is about, such as an entry's digest or an occurrence: the same event about the same subject and
            party is told once.
        study, name, party, state, due, next
            The study's id and name, the party that acted or is concerned, the new state, when a run was due, and the
            next command. Nothing else can be told.

        Raises
        ------
        ConfigurationError
            The state database cannot be written.
        """
        if event not in EVENTS:
            raise ValueError(f"no event is called {event!r}")
        facts = {"study": study, "name": name, "party": party, "state": state, "next": next}
        body = {key: _plain(text) for key, text in facts.items() if text}
        body |= {"event": event, "node": self._party, "consortium": self._consortium, "time": moment(self._now())}
        if due is not None:
            body["due"] = moment(due)
        wanted = [target.name for target in self._targets if event in target.events]
        return sum(self._queue(target, event, subject, party, body) for target in wanted)

    def report(self, error: BaseException) -> None:
        """Log what ended a pass."""
        if isinstance(error, MpcStatsError):
            self._log.error("notices_failed", code=error.code, reason=error.message)
        else:
            self._log.error("notices_failed", error=type(error).__name__, where=where_from(error))

    async def deliver(self) -> None:
        """Try what is due, all targets at the same time; returns when each has delivered, failed or run out of time."""
        await asyncio.gather(*(self._deliver_to(target) for target in self._targets))

    def forget_old(self) -> None:
        """Delete what was delivered or dropped three months ago."""
        from sqlalchemy import delete

        from mpcstats.node.state.schedule_tables import NoticeRow as Row

        before = moment(self._now() - _KEPT)
        with self._database.transaction() as session:
            session.execute(delete(Row).where(Row.state != "waiting", Row.created < before))

    def _queue(self, target: str, event: str, subject: str, party: str, body: dict[str, Any]) -> bool:
        from sqlalchemy import func, select

        from mpcstats.node.state.schedule_tables import NoticeRow as Row

        # whoever delivers it twice, its reader sees one
        key = hashlib.sha256(canonical_bytes([self._party, target, event, subject, party])).hexdigest()
        with self._database.transaction() as session:
            if session.get(Row, key) is not None:
                return False
            waiting = select(func.count()).where(Row.target == target, Row.state == "waiting")
            full = session.scalar(waiting) >= MOST_WAITING
            text = canonical_bytes({**body, "id": key}).decode()
            state = "dropped" if full else "waiting"
            session.add(
                Row(
                    key=key,
                    target=target,
                    event=event,
                    body=text,
                    state=state,
                    created=body["time"],
                    not_before=body["time"],
                )
            )
        if full:
            self._log.warning("notice_dropped", target=target, notice=event, waiting=MOST_WAITING)
        return not full

    async def _deliver_to(self, target: WebhookTarget | EmailTarget) -> None:
        for notice in await asyncio.to_thread(self._due, target.name):
            error = await self._attempt(target, notice)
            await asyncio.to_thread(self._record, target.name, notice, error)
            if error is not None:  # the others would fare no better
                return

    async def _attempt(self, target: WebhookTarget | EmailTarget, notice: _Waiting) -> str | None:
        """Deliver in a thread that ends with the process; why it failed, or None."""
        timestamp = moment(self._now())
        work = _in_daemon_thread(lambda: self._delivery.send(target, notice.key, notice.body, timestamp))
        try:
            async with asyncio.timeout(DELIVERY_SECONDS):
                await work
        except TimeoutError:
            return f"took more than {DELIVERY_SECONDS:g} s"
        except DeliveryFailed as error:
            return str(error)
        except MpcStatsError as error:
            return error.message
        except Exception as error:  # its text may hold what was sent
            self._log.error("notice_error", target=target.name, error=type(error).__name__, where=where_from(error))
            return type(error).__name__
        finally:
            self._delivery.abort(notice.key)
        return None

    def _due(self, target: str) -> list[_Waiting]:
        from sqlalchemy import select

        from mpcstats.node.state.schedule_tables import NoticeRow as Row

        query = (
            select(Row)
            .where(Row.target == target, Row.state == "waiting", Row.not_before <= moment(self._now()))
            .order_by(Row.created, Row.key)
            .limit(_BATCH)
        )
        with self._database.transaction() as session:
            return [_Waiting(row.key, row.event, row.body, row.attempts) for row in session.scalars(query)]

    def _record(self, target: str, notice: _Waiting, error: str | None) -> None:
        from sqlalchemy import update

        from mpcstats.node.state.schedule_tables import NoticeRow as Row

        now, attempts = self._now(), notice.attempts + 1
        with self._database.transaction() as session:
            row = session.get(Row, notice.key)
            row.attempts = attempts
            if error is None:
                row.state = "delivered"
            else:
                row.state = "dropped" if attempts >= MOST_ATTEMPTS else "waiting"
                later = moment(now + min(_FIRST_RETRY * 2 ** (attempts - 1), _LONGEST_RETRY))
                # it is the server that is down: what else waits for it need not find out on its own
                behind = update(Row).where(Row.target == target, Row.state == "waiting", Row.not_before < later)
                session.execute(behind.values(not_before=later))
                row.not_before = later
        if error is None:
            self._log.info("notice_delivered", target=target, notice=notice.event, attempts=attempts)
        else:
            self._log.warning("notice_failed", target=target, notice=notice.event, attempts=attempts, reason=error)


def _in_daemon_thread(function: Callable[[], None]) -> asyncio.Future[None]:
    """Run in a thread that does not keep the process alive, nor takes a worker from the runs."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.cancelled() or done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            function()
        except BaseException as problem:
            error = problem
        with contextlib.suppress(RuntimeError):  # the loop is gone
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name="notice", daemon=True).start()
    return done


def _plain(text: str) -> str:
    """One line of printable characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST])


def key_expiring(certificate_pem: bytes, now: datetime.datetime, days: int = 30) -> str | None:
    """The day on which a party's certificate ends, when that is in `days` days or less; else None."""
    from cryptography import x509

    end = x509.load_pem_x509_certificate(certificate_pem).not_valid_after_utc
    return f"{end:%Y-%m-%d}" if end - now <= datetime.timedelta(days=days) else None


async def run_notifier(notifier: Notifier, stop: asyncio.Event, poll_seconds: float = _POLL_SECONDS) -> None:
    """Deliver until `stop` is set; ends at once then, what was not delivered is tried after the next start."""
    stopping = asyncio.create_task(stop.wait())
    try:
        while not stop.is_set():
            work = asyncio.create_task(notifier.deliver())
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.wait({work}, timeout=0.5)
                return
            if (error := work.exception()) is not None:
                notifier.report(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(stopping), poll_seconds)
    finally:
        stopping.cancel()
