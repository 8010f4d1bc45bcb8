"""Errors as messages, and back: a class is found again by its code."""

from __future__ import annotations

from mpcstats.errors import MpcStatsError, PeerRefused
from mpcstats.wire.node_pb2 import Failure

__all__ = ["for_operator", "for_peer", "from_operator_failure", "from_peer_failure"]


def for_operator(error: BaseException) -> Failure:
    """Everything, for the one whose node it is. An error that is not ours is a bug: only its type is told."""
    known = _known(error)
    return Failure(code=known.code, party=known.party or "", message=known.message, hint=known.hint or "")


def for_peer(error: BaseException, own_name: str) -> Failure:
    """Code and party at fault; nothing of what happened."""
    known = _known(error)
    return Failure(code=known.code, party=known.party or own_name)


def from_operator_failure(failure: Failure) -> MpcStatsError:
    """The error that `for_operator` described, of the same class."""
    kind = _classes().get(failure.code, MpcStatsError)
    return kind(failure.message, party=failure.party or None, hint=failure.hint or None)


def from_peer_failure(failure: Failure, peer: str, parties: tuple[str, ...]) -> PeerRefused:
    """What another party's refusal means here."""
    culprit = failure.party if failure.party in parties else peer
    code = failure.code if failure.code in _classes() else MpcStatsError.code
    said = "" if culprit == peer else f", as {peer} reports"
    refusal = PeerRefused(
        f"refused with {code} ({_meaning(code)}){said}", party=culprit, hint=f"ask {culprit}: the reason is in its log"
    )
    refusal.reason_code = code
    return refusal


def _known(error: BaseException) -> MpcStatsError:
    if isinstance(error, MpcStatsError):
        return error
    return MpcStatsError(f"internal error ({type(error).__name__})", hint="see logs/node.log of the party")


def _classes() -> dict[str, type[MpcStatsError]]:
    found: dict[str, type[MpcStatsError]] = {}
    pending = [MpcStatsError]
    while pending:
        kind = pending.pop()
        found[kind.code] = kind
        pending.extend(kind.__subclasses__())
    return found


def _meaning(code: str) -> str:
    """The first sentence of the class' description."""
    return (_classes()[code].__doc__ or "").split(".")[0].strip().lower()
