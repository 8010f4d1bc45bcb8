"""Two nodes with one identity: a copied directory, a restored backup beside the node that still runs.

Both would answer for the party, with states that drift apart. Within one directory a lock forbids it. Elsewhere the
other parties notice: each process has a random number, sent with every call. After a restart a new number follows the
old one and the old one is never heard again; that it comes back means that both are there. Then calls of that party
are refused, from both, until one of them has been silent for a while.
"""

from __future__ import annotations

import functools
import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from mpcstats.errors import PeerRefused
from mpcstats.transport.callers import caller_index

__all__ = ["SILENT_SECONDS", "Instances", "caller_options", "instance"]

SILENT_SECONDS = 300.0
"""How long one of two nodes has to be silent before the other one is believed. Nodes call each other every 20 s."""

_REMEMBERED = 64
_AGENT = re.compile(r"mpcstats-instance/([0-9a-f]{32})(?![0-9a-f])")


def instance() -> str:
    """The number of this process; a fork has its own."""
    return _number(os.getpid())


@functools.cache
def _number(_process: int) -> str:
    return secrets.token_hex(16)


def caller_options() -> list[tuple[str, str]]:
    """gRPC options of every channel to another party."""
    return [("grpc.primary_user_agent", f"mpcstats-instance/{instance()}")]


class Instances(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Who called as which party; an interceptor that stands after `CallerCheck`.

    Parameters
    ----------
    parties : tuple of str
        Names by number.
    on_double : function (party)
        Called when two nodes of a party are noticed, and once a minute while there are.
    clock : function without arguments
        Seconds.
    """

    def __init__(
        self,
        parties: tuple[str, ...],
        on_double: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._parties, self.on_double, self._clock = parties, on_double, clock
        self._seen: dict[int, dict[str, float]] = {}
        """Of each party: instance -> when it was heard last; the newest instance stands last."""
        self._double: dict[int, tuple[str, str]] = {}
        self._told: dict[int, float] = {}

    def heard(self, number: int, instance: str) -> bool:
        """Take down a call; whether its party has one node."""
        now, seen = self._clock(), self._seen.setdefault(number, {})
        newest = next(reversed(seen), None)
        if instance in seen and instance != newest:
            assert newest is not None
            self._double[number] = (instance, newest)
            seen[instance] = now
            seen[newest] = seen.pop(newest)  # stays the newest
        else:
            seen[instance] = now
        while len(seen) > _REMEMBERED:
            del seen[next(iter(seen))]
        return not self.double(number)

    def double(self, number: int) -> bool:
        """Whether two nodes of a party are there."""
        both = self._double.get(number)
        if both is None:
            return False
        seen, now = self._seen[number], self._clock()
        if any(instance not in seen or now - seen[instance] >= SILENT_SECONDS for instance in both):
            del self._double[number]
            return False
        if now >= self._told.get(number, 0.0):
            self._told[number] = now + 60.0
            self.on_double(self._parties[number - 1])
        return True

    def require_one(self, number: int) -> None:
        """Refuse a run with a party that has two nodes.

        Raises
        ------
        PeerRefused
        """
        if self.double(number):
            raise PeerRefused(
                "has two nodes with one identity", party=self._parties[number - 1], hint="stop one of the two nodes"
            )

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Wrap the handler of one call in the check."""
        handler = await continuation(details)
        if handler is None:
            return None
        kinds = {
            (False, False): (handler.unary_unary, grpc.unary_unary_rpc_method_handler),
            (False, True): (handler.unary_stream, grpc.unary_stream_rpc_method_handler),
            (True, False): (handler.stream_unary, grpc.stream_unary_rpc_method_handler),
            (True, True): (handler.stream_stream, grpc.stream_stream_rpc_method_handler),
        }
        behaviour, make = kinds[handler.request_streaming, handler.response_streaming]
        return make(self._checked(behaviour), handler.request_deserializer, handler.response_serializer)

    def _checked(self, behaviour: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
        async def checked(request: Any, context: Any) -> Any:
            number, instance = caller_index(), _instance(context)
            if number >= 1 and instance and not self.heard(number, instance):
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, "two nodes with one identity")
            return await behaviour(request, context)

        return checked


def _instance(context: Any) -> str:
    """The number of the process that calls; "" of other programs, such as `mpcstats doctor`."""
    for key, value in context.invocation_metadata() or ():
        if key == "user-agent":
            match = _AGENT.match(value if isinstance(value, str) else "")
            return match[1] if match else ""
    return ""
