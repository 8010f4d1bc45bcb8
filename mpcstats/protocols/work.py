"""Costs put together from declared costs, so that a protocol built of others stays right when they change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import ParamSpec, TypeVar

from mpcstats.protocols.declare import REGISTRY, Case, protocol

__all__ = ["Work", "call", "declared", "open_bounded", "open_full"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Work:
    """What a protocol costs: `a + b` is a and then b.

    Attributes
    ----------
    rounds : int
    bytes_sent : int
        By all parties together.
    masked_openings : int
        Bounded masks used.
    """

    rounds: int = 0
    bytes_sent: int = 0
    masked_openings: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.rounds + other.rounds,
            self.bytes_sent + other.bytes_sent,
            self.masked_openings + other.masked_openings,
        )

    def __mul__(self, times: int) -> Work:
        """The same again and again."""
        return Work(self.rounds * times, self.bytes_sent * times, self.masked_openings * times)

    def wide(self, planes: int) -> Work:
        """The same for many bit planes (or arrays) at once."""
        return Work(self.rounds, self.bytes_sent * planes, self.masked_openings * planes)


def call(name: str, case: Case, size: int | None = None) -> Work:
    """The declared cost of a protocol, for `size` elements."""
    cost = REGISTRY[name]
    at = case if size is None else replace(case, size=size)
    return Work(cost.rounds(at), cost.bytes_sent(at), cost.masked_openings(at))


def open_full(case: Case) -> Work:
    """One opening under a full-range mask."""
    return Work(1, case.open)


def open_bounded(case: Case) -> Work:
    """One opening under a bounded mask."""
    return Work(1, case.open, case.size)


def declared(
    work: Callable[[Case], Work], *, source: str
) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """Declare the cost of a protocol that reveals nothing."""
    return protocol(
        rounds=lambda case: work(case).rounds,
        bytes_sent=lambda case: work(case).bytes_sent,
        masked_openings=lambda case: work(case).masked_openings,
        source=source,
    )
