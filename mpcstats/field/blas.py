"""The BLAS library on the calling thread alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["one_blas_thread"]


class _BlasThreads:
    """How many products are under way, and what restores the threads of the BLAS after the last one."""

    lock = threading.Lock()
    controller: Any = None
    under_way = 0
    limit: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep the BLAS on the calling thread.

    Its own threads wait for each other in busy loops. Where parties share the cores of a machine that costs more than
    ten times what it gains: measured, 256 x 256 x 256, 84 ms instead of 4.
    """
    state = _BlasThreads
    with state.lock:
        if state.controller is None:
            from threadpoolctl import ThreadpoolController

            state.controller = ThreadpoolController()
        if not state.under_way:
            state.limit = state.controller.limit(limits=1, user_api="blas")
        state.under_way += 1
    try:
        yield
    finally:
        with state.lock:
            state.under_way -= 1
            if not state.under_way:
                state.limit.restore_original_limits()
