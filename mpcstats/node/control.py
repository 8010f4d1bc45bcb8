"""The two services of a node: for the other parties (Peer), and for its own operator (Control).

Who may call what is decided before, in `mpcstats.transport.callers`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from mpcstats.errors import Divergence, FrameRejected, MpcStatsError, PartyUnreachable, SpecError
from mpcstats.node.consortium.ping import MAX_PAYLOAD, PingDesk
from mpcstats.node.failures import for_operator, for_peer, from_peer_failure
from mpcstats.node.governance.courier import ENTRY_BATCH, parse_heads, take_entries
from mpcstats.node.governance.verbs import Verbs
from mpcstats.node.observing.peers import PeerWatch
from mpcstats.node.runs.coordinator import ECHO_SECONDS, coordinate
from mpcstats.node.runs.house import House
from mpcstats.node.runs.participation import Participation
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.outcome_codec import outcome_pieces
from mpcstats.study.analyses import parse_spec
from mpcstats.study.spec import canonical_json
from mpcstats.transport.broken import StreamBroken, on_stream
from mpcstats.transport.callers import caller_index
from mpcstats.version import __version__
from mpcstats.wire.node_pb2 import (
    CoordinatorMessage,
    Entries,
    Finished,
    GovernEvent,
    GovernRequest,
    PartyMessage,
    PingReply,
    PingRequest,
    Queued,
    RunDone,
    RunEvent,
    RunRequest,
    Started,
    StatusReply,
    StatusRequest,
    StopReply,
    StopRequest,
    TermsReply,
    TermsRequest,
)
from mpcstats.wire.node_pb2_grpc import ControlServicer, PeerServicer

__all__ = ["CONTROL_SERVICE", "ControlService", "PeerService"]

CONTROL_SERVICE = "mpcstats.v1.Control"
_ANSWER_PIECE = 512 * 1024

# Runs that one party may ask for at the same time, the waiting ones included: nobody takes all the calls of a node.
_RUNS_PER_PARTY = 12


class PeerService(PeerServicer):
    """What other parties may ask of this node."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._asked: Counter[str] = Counter()
        self._ping = PingDesk(house.name, house.roster)

    async def Ping(self, request: PingRequest, context: Any) -> PingReply:
        """Name, roster, version and clock of this party."""
        if len(request.payload) > MAX_PAYLOAD:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the payload is too large")
        return await self._ping.answer(request, self._house.roster.names[caller_index() - 1])

    async def Exchange(self, request: Entries, _context: Any) -> Entries:
        """Take the caller's entries and give back what it lacks."""
        caller = self._house.roster.names[caller_index() - 1]
        office = self._house.office
        if office is None:
            return Entries(heads_json="{}")
        try:
            theirs = parse_heads(request.heads_json, caller)
            await asyncio.to_thread(take_entries, office.desk, request.entries, caller)
        except MpcStatsError as error:
            self._house.log.error("entries_refused", code=error.code, party=error.party or caller, reason=error.message)
            theirs = {}
        heads = await asyncio.to_thread(office.desk.heads)
        lacking = await asyncio.to_thread(office.desk.after, theirs, ENTRY_BATCH)
        return Entries(heads_json=json.dumps(heads), entries=lacking)

    async def Terms(self, request: TermsRequest, _context: Any) -> TermsReply:
        """Under which terms this party would take part in an analysis."""
        house = self._house
        caller = house.roster.names[caller_index() - 1]
        try:
            if request.roster_digest != house.roster.digest:
                raise Divergence(f"the roster here is not the one of {caller}", party=house.name)
            terms = await asyncio.to_thread(house.site.terms, parse_spec(request.spec_json))
        except Exception as error:
            house.log.warning("terms_refused", party=caller, code=getattr(error, "code", type(error).__name__))
            return TermsReply(refused=for_peer(error, house.name))
        return TermsReply(terms_json=canonical_json(terms).decode())

    async def TakePart(self, _requests: Any, context: Any) -> None:
        """Take part in a run that another party coordinates."""
        coordinator = self._house.roster.names[caller_index() - 1]
        async with Participation(self._house, coordinator) as participation:
            try:
                with self._seat(coordinator):
                    await self._take_part(participation, coordinator, context)
            except asyncio.CancelledError as error:
                participation.record.failed(error)
                raise
            except Exception as error:
                participation.record.failed(error)
                tell = _Teller(context)
                tell(PartyMessage(refused=for_peer(error, self._house.name)))
                await tell.done()

    @contextlib.contextmanager
    def _seat(self, coordinator: str) -> Iterator[None]:
        if self._asked[coordinator] >= _RUNS_PER_PARTY:
            raise FrameRejected(f"asks for more than {_RUNS_PER_PARTY} runs at the same time", party=coordinator)
        self._asked[coordinator] += 1
        try:
            yield
        finally:
            self._asked[coordinator] -= 1

    async def _take_part(self, participation: Participation, coordinator: str, context: Any) -> None:
        limits = self._house.limits
        messages = _Messages(context, coordinator, self._house.roster.names)
        tell = _Teller(context)
        accepted = await participation.reserve(
            await messages.expect("reserve", limits.patience_seconds), lambda: tell(PartyMessage(queued=Queued()))
        )
        tell(PartyMessage(accepted=accepted))
        await tell.done()
        # the others may be busy, one after the other; a coordinator that is gone ends this wait at once
        expiry = len(self._house.roster.names) * (limits.queue_seconds + limits.preparation_seconds)
        begin = await messages.expect("begin", expiry)
        await participation.agree()
        participation.check_begin(begin)
        tell(PartyMessage(started=Started()))
        run = asyncio.create_task(participation.compute(begin, lambda _text: None))
        off = asyncio.create_task(messages.cancelled())
        try:
            await asyncio.wait({run, off}, return_when=asyncio.FIRST_COMPLETED)
            if not run.done():
                # the session's own error names the party at fault best: give it the time to arrive
                await asyncio.wait({run}, timeout=ECHO_SECONDS)
            if not run.done():
                await participation.stop(off.result())
                await asyncio.wait({run}, timeout=ECHO_SECONDS)
            if not run.done():
                raise off.result()
            # the result is the coordinator's to pass on
            result = await run
            if isinstance(result, Outcome):
                result.discard_files()
        finally:
            await _ended(run, off)
        # the coordinator hangs up as soon as it hears this: the slot is given back first
        await participation.release()
        tell(PartyMessage(finished=Finished()))
        await tell.done()


class ControlService(ControlServicer):
    """What the node's operator may ask.

    Parameters
    ----------
    house : House
    stop : function without arguments
        Starts the end of the node.
    peers : PeerWatch
    """

    def __init__(self, house: House, stop: Callable[[], None], peers: PeerWatch) -> None:
        self._house = house
        self._stop = stop
        self._peers = peers
        self._verbs = None if house.office is None else Verbs(house)
        self._started = time.monotonic()

    async def Run(self, request: RunRequest, context: Any) -> None:
        """Coordinate a run: progress, then the outcome in pieces, or the failure."""
        tell = _Teller(context)
        try:
            spec = parse_spec(request.spec_json)
            outcome = await coordinate(self._house, spec, lambda text: tell(RunEvent(progress=text)))
            assert isinstance(outcome, Outcome)
            state = hashlib.sha256()
            for piece in outcome_pieces(outcome):
                state.update(piece)
                tell(RunEvent(outcome=piece))
                await tell.done()  # one piece in memory at a time
            outcome.discard_files()
            tell(RunEvent(done=RunDone(outcome_digest=state.digest())))
        except Exception as error:
            tell(RunEvent(failure=for_operator(error)))
        await tell.done()

    async def Govern(self, request: GovernRequest, context: Any) -> None:
        """What people do about studies, see `mpcstats.node.governance.verbs`."""
        tell = _Teller(context)
        try:
            if self._verbs is None:
                raise SpecError("this node keeps no studies")
            arguments = json.loads(request.arguments_json)
            answer = await self._verbs.call(request.verb, arguments, lambda text: tell(GovernEvent(progress=text)))
            content = json.dumps(answer).encode()
            for start in range(0, len(content), _ANSWER_PIECE):
                tell(GovernEvent(answer=content[start : start + _ANSWER_PIECE]))
        except Exception as error:
            self._house.log.info(
                "verb_failed", verb=request.verb[:40], code=getattr(error, "code", type(error).__name__)
            )
            tell(GovernEvent(failure=for_operator(error)))
        await tell.done()

    async def Status(self, _request: StatusRequest, _context: Any) -> StatusReply:
        """The state of this node; asks every other party."""
        house = self._house
        peers = await self._peers.look()
        return StatusReply(
            name=house.name,
            role="data" if house.site.has_data else "compute",
            version=__version__,
            consortium=house.roster.consortium,
            roster_digest=house.roster.digest,
            uptime_seconds=int(time.monotonic() - self._started),
            current_run=house.jobs.current,
            queued_runs=house.jobs.queued,
            finished_runs=house.jobs.finished,
            failed_runs=house.jobs.failed,
            peers=peers,
        )

    async def Stop(self, _request: StopRequest, _context: Any) -> StopReply:
        """Let the current run finish, then end the process."""
        self._house.log.info("stop_requested")
        busy = self._house.jobs.busy
        self._stop()
        return StopReply(busy=busy)


class _Messages:
    """The coordinator's messages to this party."""

    def __init__(self, context: Any, coordinator: str, parties: tuple[str, ...]) -> None:
        self._context = context
        self._coordinator = coordinator
        self._parties = parties

    async def expect(self, content: str, seconds: float) -> Any:
        """Wait for a message of one kind."""
        try:
            async with asyncio.timeout(seconds):
                message = await self._read()
        except TimeoutError:
            raise PartyUnreachable(f"sent no {content} in time", party=self._coordinator) from None
        if message.WhichOneof("content") != content:
            raise FrameRejected(f"sent something else where {content} was due", party=self._coordinator)
        return getattr(message, content)

    async def cancelled(self) -> MpcStatsError:
        """Wait until the coordinator calls the run off, or is gone; the reason."""
        try:
            await self._read()
        except MpcStatsError as error:
            return error
        return FrameRejected("sent a message where none was due", party=self._coordinator)

    async def _read(self) -> CoordinatorMessage:
        try:
            message = await on_stream(self._context.read())
        except StreamBroken:
            message = grpc.aio.EOF
        if message is grpc.aio.EOF:
            raise PartyUnreachable("the coordinator is gone", party=self._coordinator)
        if message.WhichOneof("content") == "cancelled":
            raise from_peer_failure(message.cancelled, self._coordinator, self._parties)
        return message  # type: ignore[no-any-return]


class _Teller:
    """Writes messages in order from functions that cannot wait."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._last: asyncio.Task[None] | None = None

    def __call__(self, message: Any) -> None:
        self._last = asyncio.create_task(self._write(message, self._last))

    async def done(self) -> None:
        """Wait until everything is written."""
        if self._last is not None:
            await self._last

    async def _write(self, message: Any, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        with contextlib.suppress(StreamBroken):
            await on_stream(self._context.write(message))


async def _ended(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
