"""What a protocol costs and shows, declared where it is written. Tests measure every declaration exactly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from mpcstats.field import PrimeField
from mpcstats.sharing.boolean import lanes
from mpcstats.sharing.committee import Committee

__all__ = ["REGISTRY", "Case", "Cost", "protocol"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Case:
    """The public parameters on which a cost depends.

    Attributes
    ----------
    committee : Committee
    field : PrimeField
    size : int
        Number of elements of the (output) array.
    """

    committee: Committee
    field: PrimeField
    size: int

    @property
    def element(self) -> int:
        """Bytes of one element array of this size."""
        return self.size * self.field.item_bytes

    @property
    def plane(self) -> int:
        """Bytes of one bit of every value, packed."""
        return 8 * lanes(self.size)

    @property
    def deal(self) -> int:
        """Bytes that a dealer sends to share one array."""
        return (self.committee.m - 1 - self.committee.t) * self.element

    @property
    def deal_plane(self) -> int:
        """Bytes that a dealer sends to share one bit of every value."""
        return (self.committee.m - self.committee.t - 1) * self.plane

    @property
    def open(self) -> int:
        """Bytes that all parties together send to open one array (checked: all to all)."""
        return self.committee.m * (self.committee.m - 1) * self.element

    @property
    def open_plane(self) -> int:
        """Bytes that all parties together send to open one bit of every value."""
        committee = self.committee
        pairs = {(A[0], j) for A in committee.subsets for j in committee.members if j not in A}
        return len(pairs) * self.plane


@dataclass(frozen=True)
class Cost:
    """Rounds, bytes sent by all parties together, values opened, bounded masks used, and where the protocol is from."""

    rounds: Callable[[Case], int]
    bytes_sent: Callable[[Case], int]
    reveals: tuple[str, ...]
    masked_openings: Callable[[Case], int]
    source: str


REGISTRY: dict[str, Cost] = {}


def protocol(
    *,
    rounds: Callable[[Case], int],
    bytes_sent: Callable[[Case], int],
    source: str,
    reveals: tuple[str, ...] = (),
    masked_openings: Callable[[Case], int] = lambda case: 0,
) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """Declare the cost of a protocol."""

    def register(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        REGISTRY[function.__name__] = Cost(rounds, bytes_sent, reveals, masked_openings, source)
        return function

    return register
