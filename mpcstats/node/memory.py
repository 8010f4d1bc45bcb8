"""A node lives long, and reads long lists of which it keeps little: freed memory goes back to the operating system."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
from typing import Any

__all__ = ["give_memory_back", "keep_slim", "trim"]

_ARENAS, _THRESHOLD = -8, -3
"""M_ARENA_MAX and M_MMAP_THRESHOLD of glibc's mallopt(3)."""


def give_memory_back() -> None:
    """Large arrays get pages of their own, which are gone with them; by default glibc raises the size from which that
    is so with every one that is freed, up to 32 MiB, and keeps a heap per thread. Arrow uses malloc, too.

    Does nothing where malloc is not glibc's.
    """
    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    mallopt = _glibc("mallopt")
    if mallopt is not None:
        mallopt(ctypes.c_int(_THRESHOLD), ctypes.c_int(1 << 18))
        mallopt(ctypes.c_int(_ARENAS), ctypes.c_int(2))


def trim() -> None:
    """Free pages between what is in use go back now; after work that made many small objects."""
    malloc_trim = _glibc("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(ctypes.c_size_t(0))


async def keep_slim(stop: asyncio.Event, seconds: float = 20.0) -> None:
    """`trim` from time to time until `stop`.

    Messages that are too long are read into memory before they are refused: whoever sends many must not make the node
    larger and larger.
    """
    while not stop.is_set():
        await asyncio.to_thread(trim)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)


def _glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None)
