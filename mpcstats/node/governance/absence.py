"""A party that is lost for good: each other party sees for itself that it is gone, signs that, and hears all others.

Nobody can leave out a party that lives: one other party that reaches it is enough to refuse the run.
"""

from __future__ import annotations

import asyncio
import datetime

import grpc

from mpcstats.errors import FrameRejected, LimitExceeded, PartyNeeded, PartyPresent
from mpcstats.node.governance.desk import Desk
from mpcstats.node.governance.office import Office
from mpcstats.node.governance.permit import Permit
from mpcstats.node.runs.lineup import Lineup
from mpcstats.study.canonical import parse_moment
from mpcstats.study.lifecycle import StudyState
from mpcstats.transport.network import PeerNetwork
from mpcstats.wire.node_pb2 import PingRequest
from mpcstats.wire.node_pb2_grpc import PeerStub

__all__ = ["hear", "reaches", "require_absent", "say"]

_SECONDS = 8.0
_ATTEMPTS, _PAUSE_SECONDS = 2, 0.5
_MOST_A_DAY = 20
_DAY = datetime.timedelta(days=1)
_GONE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


async def reaches(network: PeerNetwork, number: int) -> bool:
    """Whether a party answers now, on a connection of its own; any answer of its key will do. At most 17 s.

    Parameters
    ----------
    number : int
        In the roster.
    """
    for attempt in range(_ATTEMPTS):
        await asyncio.sleep(_PAUSE_SECONDS if attempt else 0.0)
        async with network.fresh_channel(number) as channel:
            try:
                await PeerStub(channel).Ping(PingRequest(), timeout=_SECONDS)  # type: ignore[no-untyped-call]
            except grpc.aio.AioRpcError as error:
                if error.code() in _GONE:
                    continue
        return True
    return False


async def require_absent(network: PeerNetwork, lineup: Lineup, own: str) -> None:
    """See that none of those who do not take part answers.

    Raises
    ------
    PartyPresent
        One does.
    """
    found = await asyncio.gather(*(reaches(network, number) for number in lineup.lost))
    for name, there in zip(lineup.without, found, strict=True):
        if there:
            raise present(name, own)


def present(name: str, reached_by: str) -> PartyPresent:
    """The error that says who reaches a party."""
    return PartyPresent(
        f"answers {reached_by}: a party that is there is not left out", party=name, hint="mpcstats study run STUDY"
    )


def say(desk: Desk, permit: Permit, coordinator: str) -> None:
    """Sign that a new run is without these parties.

    Raises
    ------
    FrameRejected
        The run is not new.
    LimitExceeded
        So many began in a day: whoever asks for them does not fill this party's chain.
    """
    known = desk.study(permit.study).runs.get(permit.run)
    own = [signed.entry for signed in desk.entries_of(permit.study) if signed.entry.party == desk.party]
    earlier = [entry for entry in own if entry.action == "missing"]
    said = any(entry.body.get("run") == permit.run for entry in earlier)
    if said or (known is not None and (known.computed or known.opened or known.without)):
        raise FrameRejected("asked for a new run with the id of an earlier one", party=coordinator)
    today = sum(desk.now() - parse_moment(entry.time) < _DAY for entry in earlier)
    if today >= _MOST_A_DAY:
        raise LimitExceeded(
            f"{today} runs of this study without a party began in 24 hours, which is the most", party=coordinator
        )
    desk.write("missing", permit.study, {"run": permit.run, "without": list(permit.without)})


async def hear(office: Office, lineup: Lineup, study: str, run: str) -> StudyState:
    """The state of a study in which all parties of a run have said whom it is without; fetches what they said.

    Raises
    ------
    PartyNeeded
        One has not, or said something else.
    """
    state = await asyncio.to_thread(office.desk.study, study)
    if not _agreed(state, run, lineup) and office.courier is not None:
        others = [name for name in lineup.names if name != office.party]
        await asyncio.gather(*map(office.courier.exchange, others))
        state = await asyncio.to_thread(office.desk.study, study)
    if not _agreed(state, run, lineup):
        missing = await asyncio.to_thread(_silent, office.desk, study, run, lineup)
        raise PartyNeeded(
            f"cannot be left out: {', '.join(missing) or 'the others'} did not say that it is lost",
            party=lineup.without[0],
            hint=f"mpcstats study run {state.proposal.name} --without {' --without '.join(lineup.without)}",
        )
    state.require_approved()
    return state


def _agreed(state: StudyState, run: str, lineup: Lineup) -> bool:
    return run in state.runs and state.runs[run].without == lineup.without


def _silent(desk: Desk, study: str, run: str, lineup: Lineup) -> list[str]:
    """Who has not said what the others say."""
    body = {"run": run, "without": list(lineup.without)}
    entries = [signed.entry for signed in desk.entries_of(study)]
    said = {entry.party for entry in entries if entry.action == "missing" and entry.body == body}
    return [name for name in lineup.names if name not in said]
