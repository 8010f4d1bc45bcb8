"""Every coin enumerated: exact privacy of protocols in small fields.

A batch of N = p^k runs happens at once, one array element per run; coin number j of run n is digit j of n in base p.
A protocol is private against a coalition if, for equal inputs and outputs of the coalition, its view has the same
distribution whatever the others' inputs are. Sampling in a large field cannot see a bias of one in 2^61; this does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import PrimeField
from mpcstats.runtime.session import Session
from mpcstats.sharing.committee import Committee, Subset
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message

__all__ = ["Enumeration", "distinguishable"]


@dataclass
class _Coins:
    """One party's access to the enumerated coins; remembers which ones it has seen."""

    world: Enumeration
    index: int
    seen: list[str] = field(default_factory=list)

    def private(self, label: str) -> _Column:
        return self._take(f"private/{self.index}/{label}")

    def subset(self, members: Subset, label: str) -> _Column:
        assert self.index in members
        return self._take(f"subset/{members}/{label}")

    def pair(self, one: int, other: int, label: str) -> _Column:
        assert self.index in (one, other)
        return self._take(f"pair/{one}/{other}/{label}")

    def _take(self, name: str) -> _Column:
        self.seen.append(name)
        return _Column(self.world, name)


@dataclass
class _Column:
    world: Enumeration
    name: str
    used: int = 0

    def words(self, count: int) -> NDArray[np.uint64]:
        assert count == self.world.runs, "one coin per run: protocols under enumeration work on arrays of all runs"
        self.used += 1
        return self.world.coin(f"{self.name}/{self.used}")

    def fill(self, out: NDArray[np.uint64]) -> None:
        out[...] = self.words(out.size).reshape(out.shape)


class Enumeration:
    """All runs of a program over all inputs and coins.

    Parameters
    ----------
    modulus : int
        Small prime p.
    committee : Committee
    digits : int
        Inputs and coins together; N = p^digits runs.
    """

    def __init__(self, modulus: int, committee: Committee, digits: int) -> None:
        self.field = PrimeField(modulus)
        self.committee = committee
        self.digits = digits
        self.runs = modulus**digits
        self._columns: dict[str, NDArray[np.uint64]] = {}

    def coin(self, name: str) -> NDArray[np.uint64]:
        """The digit of each run that is called `name`: an input, or a coin."""
        if name not in self._columns:
            place = len(self._columns)
            assert place < self.digits, f"more than {self.digits} inputs and coins: {name}"
            p = self.field.modulus
            self._columns[name] = ((np.arange(self.runs) // p**place) % p).astype(np.uint64)
        return self._columns[name].copy()

    def views(self, program: Callable[[Session], Awaitable[Any]]) -> tuple[list[Any], dict[int, NDArray[np.int64]]]:
        """Run and return every party's result and its view: one number per run that encodes coins and messages."""
        received: dict[int, list[NDArray[np.uint64]]] = {i: [] for i in self.committee.members}

        def observe(message: Message) -> None:
            received[message.receiver].append(np.frombuffer(message.payload, "<u8"))

        coins = [_Coins(self, i) for i in self.committee.members]
        results = run_parties(self.committee, program, coins=coins, observe=observe)
        assert len(self._columns) == self.digits, (
            f"{len(self._columns)} inputs and coins where {self.digits} were announced"
        )
        views = {}
        for i in self.committee.members:
            own = [
                self.coin(name)
                for name in sorted(self._columns)
                if any(name.startswith(s + "/") for s in coins[i - 1].seen)
            ]
            code = np.zeros(self.runs, np.int64)
            for column in [*own, *received[i]]:
                assert len(column) == self.runs
                code = code * self.field.modulus + column.astype(np.int64)
            views[i] = code
        return results, views


def distinguishable(view: NDArray[np.int64], known: list[NDArray[np.uint64]], hidden: list[NDArray[np.uint64]]) -> int:
    """Pairs of hidden inputs, for equal known inputs and outputs, under which the view is distributed differently."""
    count = 0
    keys = np.stack([column.astype(np.int64) for column in known]) if known else np.zeros((1, len(view)), np.int64)
    secret = np.stack([column.astype(np.int64) for column in hidden])
    for key in np.unique(keys, axis=1).T:
        rows = (keys == key[:, None]).all(axis=0)
        histograms = [
            np.unique(view[rows & (secret == s[:, None]).all(axis=0)], return_counts=True)
            for s in np.unique(secret[:, rows], axis=1).T
        ]
        first = histograms[0]
        count += sum(not (np.array_equal(h[0], first[0]) and np.array_equal(h[1], first[1])) for h in histograms[1:])
    return count
