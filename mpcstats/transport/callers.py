"""Who is calling: the one place where a TLS key becomes a party's number, for every RPC.

Rules
* a call without a pinned key is refused, whatever TLS let through;
* services between parties are for the other parties of the roster;
* the control service is for the node's own key, which its operator holds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any

import grpc

from mpcstats.errors import ConfigurationError
from mpcstats.transport.tls import PinnedPeer, fingerprint

__all__ = ["OPERATOR", "CallerCheck", "caller_index"]

OPERATOR = 0
"""The caller's number when the caller is the node's own operator."""

_caller: ContextVar[int] = ContextVar("mpcstats_caller")
_Behaviour = Callable[[Any, Any], Awaitable[Any]]


def caller_index() -> int:
    """The number of the party that made the current call (1..m), or OPERATOR. Only inside a call."""
    return _caller.get()


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
    """

    def __init__(
        self,
        own_fingerprint: bytes,
        peers: Iterable[PinnedPeer],
        control_services: frozenset[str],
        on_refused: Callable[[str, str], None],
    ) -> None:
        self._numbers: Mapping[bytes, int] = {
            **{peer.fingerprint: peer.index for peer in peers},
            own_fingerprint: OPERATOR,
        }
        self._control_services = control_services
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
            number = self._number(context)
            service = method.split("/")[1]
            reason = None
            if number is None:
                reason = "unknown key"
            elif (service in self._control_services) != (number == OPERATOR):
                reason = "not for this caller"
            if reason is not None:
                self._on_refused(reason, method)
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, reason)
            assert number is not None
            _caller.set(number)
            return await behaviour(request, context)

        return checked

    def _number(self, context: Any) -> int | None:
        pem = context.auth_context().get("x509_pem_cert", [])
        if len(pem) != 1:
            return None
        try:
            return self._numbers.get(fingerprint(pem[0]))
        except ConfigurationError:
            return None
