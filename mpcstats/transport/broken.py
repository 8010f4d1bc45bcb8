"""gRPC says in five ways that a stream is gone; this says it in one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import grpc

__all__ = ["StreamBroken", "on_stream"]

T = TypeVar("T")


class StreamBroken(Exception):
    """The stream is gone; the text is gRPC's status, such as UNAVAILABLE. Never leaves mpcstats.transport and node."""

    def __init__(self, status: str, details: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.details = details


async def on_stream(operation: Awaitable[T]) -> T:
    """Wait for one operation of a stream.

    Raises
    ------
    StreamBroken
        However gRPC reports that the stream is gone.
    """
    try:
        return await operation
    except grpc.RpcError as error:
        raise StreamBroken(error.code().name, error.details() or "") from None
    except (grpc.aio.BaseError, asyncio.InvalidStateError) as error:
        raise StreamBroken(type(error).__name__) from None
    except asyncio.CancelledError:
        # gRPC raises this also when it was the call, and not this task, that was cancelled
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise StreamBroken("CANCELLED") from None
