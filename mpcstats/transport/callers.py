"""Who is calling: the one place where a TLS key becomes a party's number, for every RPC.

Rules
* a call without a pinned key is refused, whatever TLS let through;
* services between parties are for the other parties of the roster;
* the control service is for the node's own key, which its operator holds;
* reading the audit log is for that key and for registered auditors, who may call nothing else;
* health is for the other parties and the operator;
* nobody but the operator calls more often than `Rates` allow.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextvars import ContextVar
from typing import Any

import grpc

from mpcstats.errors import ConfigurationError
from mpcstats.transport.rates import Rates
from mpcstats.transport.tls import PinnedPeer, fingerprint

__all__ = ["AUDITOR", "OPERATOR", "STRANGER", "CallerCheck", "caller_auditor", "caller_index"]

OPERATOR = 0
"""The caller's number when the caller is the node's own operator."""

AUDITOR = -1
"""The caller's number when the caller is a registered auditor."""

STRANGER = -2
"""Stands for a caller without a pinned key."""

_caller: ContextVar[int] = ContextVar("mpcstats_caller")
_auditor: ContextVar[str] = ContextVar("mpcstats_auditor", default="")
_Behaviour = Callable[[Any, Any], Awaitable[Any]]


def caller_index() -> int:
    """The number of the party that made the current call (1..m), OPERATOR or AUDITOR. Only inside a call."""
    return _caller.get()


def caller_auditor() -> str:
    """The name of the auditor who made the current call; "" for everybody else."""
    return _auditor.get()


class CallerCheck(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Interceptor of a node's port.

    Parameters
    ----------
    own_fingerprint : bytes
        SHA-256 of the node's own public key.
    peers : iterable of PinnedPeer
        The other parties.
    control_services : frozenset of str
        Full names of the services that only the operator may call; all others are for parties only.
    on_refused : function (reason, method)
        Called for each refused call.
    auditors : mapping of fingerprint to name
    audit_services : frozenset of str
        Full names of the services for the operator and for auditors.
    shared_services : frozenset of str
        Full names of the services for the operator and for parties.
    rates : Rates, optional
        How often everybody but the operator may call.
    on_flood : function (caller, method), optional
        Called for each call that is one too many.
    """

    def __init__(
        self,
        own_fingerprint: bytes,
        peers: Iterable[PinnedPeer],
        control_services: frozenset[str],
        on_refused: Callable[[str, str], None],
        auditors: Mapping[bytes, str] | None = None,
        audit_services: frozenset[str] = frozenset(),
        shared_services: frozenset[str] = frozenset(),
        rates: Rates | None = None,
        on_flood: Callable[[int, str], None] = lambda _caller, _method: None,
    ) -> None:
        self._auditors = dict(auditors or {})
        self._audit_services = audit_services
        self._numbers: Mapping[bytes, int] = {
            **dict.fromkeys(self._auditors, AUDITOR),
            **{peer.fingerprint: peer.index for peer in peers},
            own_fingerprint: OPERATOR,
        }
        self._control_services = control_services
        self._shared_services = shared_services
        self._rates, self._on_flood = rates, on_flood
        self._on_refused = on_refused

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Wrap the handler of one call in the check."""
        handler = await continuation(details)
        if handler is None:
            return None
        if handler.request_streaming:
            assert handler.response_streaming
            return grpc.stream_stream_rpc_method_handler(
                self._checked(handler.stream_stream, details.method),
                handler.request_deserializer,
                handler.response_serializer,
            )
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._checked(handler.unary_stream, details.method),
                handler.request_deserializer,
                handler.response_serializer,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._checked(handler.unary_unary, details.method),
            handler.request_deserializer,
            handler.response_serializer,
        )

    def _checked(self, behaviour: _Behaviour, method: str) -> _Behaviour:
        async def checked(request: Any, context: Any) -> Any:
            key = self._key(context)
            number = None if key is None else self._numbers.get(key)
            if self._rates is None or number == OPERATOR:
                return await admitted(request, context, key, number)
            with self._rates.call(key, method) as too_many:
                if too_many:
                    self._on_flood(STRANGER if number is None else number, method)
                    await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, too_many)
                return await admitted(request, context, key, number)

        async def admitted(request: Any, context: Any, key: bytes | None, number: int | None) -> Any:
            reason = None
            if number is None:
                reason = "unknown key"
            elif number not in self._callers_of(method.split("/")[1]):
                reason = "not for this caller"
            if reason is not None:
                self._on_refused(reason, method)
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, reason)
            assert number is not None
            assert key is not None
            _caller.set(number)
            _auditor.set(self._auditors.get(key, "") if number == AUDITOR else "")
            return await behaviour(request, context)

        return checked

    def _callers_of(self, service: str) -> Collection[int]:
        """Who may call a service."""
        if service in self._control_services:
            return (OPERATOR,)
        if service in self._audit_services:
            return (OPERATOR, AUDITOR)
        parties = [number for number in self._numbers.values() if number > OPERATOR]
        return [OPERATOR, *parties] if service in self._shared_services else parties

    def _key(self, context: Any) -> bytes | None:
        pem = context.auth_context().get("x509_pem_cert", [])
        if len(pem) != 1:
            return None
        try:
            return fingerprint(pem[0])
        except ConfigurationError:
            return None
