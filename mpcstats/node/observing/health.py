"""grpc.health.v1 at a node's port: SERVING, and NOT_SERVING from the moment it drains. For parties and the operator."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthServicer, add_HealthServicer_to_server

__all__ = ["HEALTH_SERVICE", "Health"]

HEALTH_SERVICE = "grpc.health.v1.Health"

_SERVICES = frozenset({"", "mpcstats.v1.Peer", "mpcstats.v1.Control", "mpcstats.v1.Transport", HEALTH_SERVICE})


class Health(HealthServicer):  # type: ignore[misc]
    """Whether this node takes new runs."""

    def __init__(self) -> None:
        self._draining = asyncio.Event()

    def add_to_server(self, server: Any) -> None:
        """Serve it."""
        add_HealthServicer_to_server(self, server)

    def drain(self) -> None:
        """No new runs from now on: watchers are told. Waits for nobody."""
        self._draining.set()

    async def Check(self, request: HealthCheckRequest, context: Any) -> HealthCheckResponse:
        """The state now; NOT_FOUND of a service that is none of this node."""
        if request.service not in _SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return self._state()

    async def Watch(self, request: HealthCheckRequest, context: Any) -> None:
        """The state now, and when it changes."""
        if request.service not in _SERVICES:
            await context.write(HealthCheckResponse(status=HealthCheckResponse.SERVICE_UNKNOWN))
        else:
            draining = self._draining.is_set()
            await context.write(self._state())
            await self._draining.wait()
            if not draining:
                await context.write(self._state())
        await asyncio.Event().wait()  # until the caller goes, or the server stops

    def _state(self) -> HealthCheckResponse:
        serving = HealthCheckResponse.NOT_SERVING if self._draining.is_set() else HealthCheckResponse.SERVING
        return HealthCheckResponse(status=serving)
