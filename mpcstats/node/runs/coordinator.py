"""The run, seen from the party whose operator asked for it: plan, ask everybody in roster order, begin, collect.

Every party keeps one stream to the coordinator open while it takes part (`Peer.TakePart`). The stream is the
reservation: when it breaks, the party frees its slot, and the coordinator knows that the party is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import asdict, dataclass
from typing import Any

import grpc

from mpcstats.errors import (
    DeadlineExceeded,
    Divergence,
    FrameRejected,
    MpcStatsError,
    PartyPresent,
    PartyUnreachable,
    PeerRefused,
)
from mpcstats.node.failures import for_peer, from_peer_failure
from mpcstats.node.governance.absence import present
from mpcstats.node.governance.permit import Permit
from mpcstats.node.runs.house import Ended, House
from mpcstats.node.runs.participation import RUN_ID_BYTES, Participation
from mpcstats.node.runs.plan_codec import plan_to_json, plan_to_plain
from mpcstats.node.runs.terms import all_rules, rules_from_json, rules_to_json, study_digest
from mpcstats.node.settings.config import RunConfig
from mpcstats.stats.contributions import Plan
from mpcstats.study.spec import AnalysisSpec, canonical_json, digest
from mpcstats.transport.broken import StreamBroken, on_stream
from mpcstats.transport.grpc_channel import SESSION_ID_BYTES
from mpcstats.types import DisclosureRules
from mpcstats.version import __version__
from mpcstats.wire.node_pb2 import Accepted, Begin, CoordinatorMessage, PartyMessage, Reserve
from mpcstats.wire.node_pb2_grpc import PeerStub

__all__ = ["ECHO_SECONDS", "Errand", "coordinate"]

Progress = Callable[[str], None]

ECHO_SECONDS = 2.0
"""When one party fails, all others learn its name from their own streams within this time."""

_FAREWELL_SECONDS = 1.0

# A party that was restarted a moment ago is found again; one that is not there is reported after this time.
_CONNECT_SECONDS = 3.0


@dataclass(frozen=True)
class Errand:
    """The step of an approved study that a run is; empty: an analysis that needs no approval.

    Attributes
    ----------
    study : str
        Id (hex).
    phase : "whole", "compute" or "release"
    occurrence : str
        When the run was due, of a schedule.
    sealed_run : str
        Of "release": the run that is opened (hex).
    resume : str
        A run that broke off and is taken up again (hex); "" for a new one.
    without : tuple of str
        Parties that are lost for good, in the roster's order: the run is made without them.
    """

    study: str = ""
    phase: str = "whole"
    occurrence: str = ""
    sealed_run: str = ""
    resume: str = ""
    without: tuple[str, ...] = ()


async def coordinate(house: House, spec: AnalysisSpec, progress: Progress, errand: Errand | None = None) -> Ended:
    """Run an analysis with all parties.

    Raises
    ------
    MpcStatsError
        Names the party at fault. All parties have been told, or will notice at once.
    """
    house.jobs.refuse_when_stopping()
    plan = await asyncio.to_thread(house.site.make_plan, spec)
    errand = errand or Errand()
    request = Reserve(
        run_id=bytes.fromhex(errand.resume) or secrets.token_bytes(RUN_ID_BYTES),
        spec_json=canonical_json(spec).decode(),
        plan_json=plan_to_json(plan),
        roster_digest=house.roster.digest,
        version=__version__,
        **asdict(errand) | {"resume": bool(errand.resume)},
    )
    own = Participation(house, house.name)
    try:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(own)
            seats: dict[str, _Seat] = {}
            accepted: dict[str, Accepted] = {}
            for number, name in enumerate(house.roster.names, start=1):
                if name in errand.without:
                    continue
                progress(f"asking {name}")
                if name == house.name:
                    accepted[name] = await own.reserve(request, _queued(progress, name))
                else:
                    seats[name] = await stack.enter_async_context(_seat(house, number, name))
                    accepted[name] = await seats[name].reserve(request, _queued(progress, name))
            begin = _begin(house, own.permit, request.run_id, spec, plan, accepted)
            await own.agree()
            own.check_begin(begin)
            progress("all parties accepted")
            await _together([seat.begin(begin) for seat in seats.values()])
            outcome = await _run(own, own.compute(begin, progress), list(seats.values()), house.limits)
    except BaseException as error:
        own.record.failed(error)
        raise
    return outcome


def _begin(
    house: House, permit: Permit | None, run_id: bytes, spec: AnalysisSpec, plan: Plan, accepted: dict[str, Accepted]
) -> Begin:
    """Put the parties' answers together."""
    by_party: dict[str, DisclosureRules] = {}
    for name, answer in accepted.items():
        if answer.plan_digest != digest(plan_to_plain(plan)):
            raise Divergence("accepted another plan than the one it was sent", party=name)
        if (answer.rules_json != "") != (name in house.roster.data_parties):
            raise FrameRejected("answered with rules that do not fit its role", party=name)
        if answer.rules_json:
            own = rules_from_json(f'{{"{name}":{answer.rules_json}}}', name)
            if set(own) != {name}:
                raise FrameRejected("answered with the rules of other parties", party=name)
            by_party |= own
    rules = all_rules(spec, by_party)
    return Begin(
        session_id=secrets.token_bytes(SESSION_ID_BYTES),
        rules_json=rules_to_json(rules),
        study_digest=study_digest(run_id, spec, plan, rules, house.roster, permit),
    )


async def _run(
    participation: Participation,
    computation: Coroutine[Any, Any, Ended],
    seats: list[_Seat],
    limits: RunConfig,
) -> Ended:
    """Compute at this party while watching the others: the first to fail ends the run everywhere."""
    own = asyncio.create_task(computation)
    watches = {asyncio.create_task(seat.finish()) for seat in seats}
    try:
        failed = await _first_failure(own, watches)
        if failed is None:
            # the outcome is complete; the others only have to close in good order
            await asyncio.wait(watches, timeout=limits.patience_seconds)
            return own.result()
        # the session's own error names the party at fault best: give it the time to arrive
        await asyncio.wait({own}, timeout=ECHO_SECONDS)
        if not own.done():
            await participation.stop(failed)
            await asyncio.wait({own}, timeout=ECHO_SECONDS)
        if own.done():
            return own.result()
        raise failed
    finally:
        for task in (own, *watches):
            task.cancel()
        await asyncio.gather(own, *watches, return_exceptions=True)


async def _first_failure(own: asyncio.Task[Ended], watches: set[asyncio.Task[None]]) -> MpcStatsError | None:
    """Wait for this party's outcome; the error of another party that stops before."""
    pending: set[asyncio.Task[Any]] = {own, *watches}
    while not own.done():
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {own}:
            error = task.exception()
            if isinstance(error, MpcStatsError) and not own.done():
                return error
    return None


async def _together(steps: list[Coroutine[Any, Any, None]]) -> None:
    """Run all; the first error cancels the rest."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except BaseExceptionGroup as errors:
        raise next(
            (error for error in errors.exceptions if isinstance(error, MpcStatsError)), errors.exceptions[0]
        ) from None


def _queued(progress: Progress, name: str) -> Callable[[], None]:
    return lambda: progress(f"{name} is busy with another run: waiting")


def _plainly(refusal: PeerRefused, reporter: str) -> MpcStatsError:
    """A refusal whose reason is all in its code, and who reports it."""
    present_there = refusal.reason_code == PartyPresent.code and refusal.party not in {None, reporter}
    return present(str(refusal.party), reporter) if present_there else refusal


@contextlib.asynccontextmanager
async def _seat(house: House, number: int, name: str) -> AsyncIterator[_Seat]:
    """A party's stream; leaving ends it, which frees the party's slot. An error that leaves is told to the party."""
    house.network.instances.require_one(number)
    call = PeerStub(house.network.channel_to(number)).TakePart(wait_for_ready=True)  # type: ignore[no-untyped-call]
    seat = _Seat(house, name, call)
    try:
        yield seat
    except BaseException as error:
        await seat.cancel(error)
        raise
    finally:
        call.cancel()
        await seat.close()


class _Seat:
    """Another party in this run."""

    def __init__(self, house: House, name: str, call: Any) -> None:
        self._house = house
        self._name = name
        self._call = call
        self._reading: asyncio.Task[Any] | None = None

    async def reserve(self, request: Reserve, on_queued: Callable[[], None]) -> Accepted:
        limits = self._house.limits
        patience = limits.patience_seconds
        await self._write(CoordinatorMessage(reserve=request), _CONNECT_SECONDS)
        answer = await self._read(patience + limits.preparation_seconds)
        if answer.WhichOneof("content") == "queued":
            on_queued()
            answer = await self._read(patience + limits.queue_seconds + limits.preparation_seconds)
        return self._expect(answer, "accepted")  # type: ignore[no-any-return]

    async def begin(self, request: Begin) -> None:
        await self._write(CoordinatorMessage(begin=request), self._house.limits.patience_seconds)
        self._expect(await self._read(self._house.limits.patience_seconds), "started")

    async def finish(self) -> None:
        """Wait for the end of the run at this party. Bounded by the run itself: every wait in it is."""
        self._expect(await self._read(None), "finished")

    async def cancel(self, error: BaseException) -> None:
        """Tell the party that the run is off, and wait a moment until it has heard."""
        notice = CoordinatorMessage(cancelled=for_peer(error, self._house.name))
        with contextlib.suppress(TimeoutError, MpcStatsError):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._write(notice, _FAREWELL_SECONDS)
                while True:
                    await self._read(None)

    async def close(self) -> None:
        """Wait for the end of a read in progress, after the call was cancelled."""
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _write(self, message: CoordinatorMessage, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await on_stream(self._call.write(message))
        except TimeoutError:
            raise self._unreachable(f"within {seconds:g} s") from None
        except StreamBroken:
            pass  # reading tells why: a refusal may be waiting there

    async def _read(self, seconds: float | None) -> PartyMessage:
        try:
            async with asyncio.timeout(seconds):
                # shielded: gRPC would cancel the whole call with the one who waits
                self._reading = self._reading or asyncio.create_task(on_stream(self._call.read()))
                message = await asyncio.shield(self._reading)
        except TimeoutError:
            raise self._silent() from None
        except StreamBroken as broken:
            raise self._unreachable(broken.status) from None
        self._reading = None
        if message is grpc.aio.EOF:
            raise self._unreachable("it ended the connection")
        return message  # type: ignore[no-any-return]

    def _expect(self, message: PartyMessage, content: str) -> Any:
        found = message.WhichOneof("content")
        if found == "refused":
            refusal = from_peer_failure(message.refused, self._name, self._house.roster.names)
            raise _plainly(refusal, self._name)
        if found != content:
            raise FrameRejected(f"answered {found or 'nothing'} where {content} was due", party=self._name)
        return getattr(message, content)

    def _silent(self) -> DeadlineExceeded:
        return DeadlineExceeded("did not answer in time", party=self._name, hint="mpcstats party status DIR")

    def _unreachable(self, reason: str) -> PartyUnreachable:
        return PartyUnreachable(f"cannot be reached ({reason})", party=self._name, hint="mpcstats party status DIR")
