"""Every coin enumerated: exact privacy of protocols in small fields.

A batch of N = p^k 2^b runs happens at once, one array element (or bit lane) per run; a run's number spells its k field
elements and b bits. A protocol is private against a coalition if, for equal inputs and outputs of the coalition, its
view has the same distribution whatever the others' inputs are. Sampling in a large field cannot see a bias of one in
2^61; this does.

Where all coins are too many, those that a coalition knows are held at fixed values: its view is then enumerated over
the coins that it does not know, which is what hides the inputs. Repeat with other values (`seed`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import PrimeField
from mpcstats.runtime.session import Session
from mpcstats.sharing.boolean import lanes, pack_bits, unpack
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
        return self._take(f"private/{self.index}/{label}", (self.index,))

    def subset(self, members: Subset, label: str) -> _Column | _Zeros:
        if self._placeholder(members):
            return _Zeros()
        assert self.index in members
        return self._take(f"subset/{members}/{label}", members)

    def pair(self, one: int, other: int, label: str) -> _Column | _Zeros:
        if self._placeholder((one, other)):
            return _Zeros()
        assert self.index in (one, other)
        return self._take(f"pair/{one}/{other}/{label}", (one, other))

    def _placeholder(self, holders: tuple[int, ...]) -> bool:
        """Coins that a guest does not have: it computes on anything."""
        return self.index > self.world.committee.m and self.index not in holders

    def _take(self, name: str, holders: tuple[int, ...]) -> _Column:
        self.seen.append(name)
        return _Column(self.world, name, bool(set(holders) & set(self.world.coalition)))


class _Zeros:
    """What stands for coins of others at a guest."""

    def words(self, count: int) -> NDArray[np.uint64]:
        return np.zeros(count, np.uint64)

    def fill(self, out: NDArray[np.uint64]) -> None:
        out[...] = 0


@dataclass
class _Column:
    world: Enumeration
    name: str
    known: bool
    used: int = 0

    def words(self, count: int) -> NDArray[np.uint64]:
        """One field element per run, or packed bits: one lane per run in each plane."""
        world, self.used = self.world, self.used + 1
        name = f"{self.name}/{self.used}"
        if count == world.runs:
            return world.constant(name) if self.known else world.coin(name)
        planes, rest = divmod(count, lanes(world.runs))
        assert not rest, "one coin per run: protocols under enumeration work on arrays of all runs"
        names = [f"{name}/{k}" for k in range(planes)]
        return np.concatenate([world.packed(world.constant(n, 2) if self.known else world.bit(n)) for n in names])

    def fill(self, out: NDArray[np.uint64]) -> None:
        out[...] = self.words(out.size).reshape(out.shape)


class Enumeration:
    """All runs of a program over all inputs and coins.

    Parameters
    ----------
    modulus : int
        Small prime p.
    committee : Committee
    digits, bits : int
        Field elements and bits, inputs and coins together; N = p^digits 2^bits runs.
    coalition : tuple of int
        Parties whose coins are held at fixed values instead of being enumerated.
    seed : int
        Chooses these values.
    guests : int
        Parties beside the committee.
    """

    def __init__(
        self,
        modulus: int,
        committee: Committee,
        digits: int,
        bits: int = 0,
        *,
        coalition: tuple[int, ...] = (),
        seed: int = 0,
        guests: int = 0,
    ) -> None:
        self.field = PrimeField(modulus)
        self.committee = committee
        self.digits = digits
        self.bits = bits
        self.coalition = coalition
        self.parties = range(1, committee.m + guests + 1)
        self._guests = guests
        self.runs = modulus**digits << bits
        self._seed = seed
        self._counting = False
        self._columns: dict[str, NDArray[np.uint64]] = {}
        self._bits: dict[str, NDArray[np.uint64]] = {}

    @classmethod
    def of(
        cls,
        modulus: int,
        committee: Committee,
        program: Callable[[Enumeration], Callable[[Session], Awaitable[Any]]],
        *,
        coalition: tuple[int, ...] = (),
        seed: int = 0,
        guests: int = 0,
    ) -> Enumeration:
        """As many runs as `program(world)` needs: it is run once to count its inputs and coins."""
        probe = cls(modulus, committee, 0, 7, coalition=coalition, seed=seed, guests=guests)
        probe._counting = True
        coins = [_Coins(probe, i) for i in probe.parties]
        run_parties(committee, program(probe), coins=coins, guests=guests)
        digits, bits = len(probe._columns), len(probe._bits)
        return cls(modulus, committee, digits, bits, coalition=coalition, seed=seed, guests=guests)

    def coin(self, name: str) -> NDArray[np.uint64]:
        """The field element of each run that is called `name`: an input, or a coin."""
        if name not in self._columns:
            place = len(self._columns)
            assert place < self.digits or self._counting, f"more than {self.digits} field elements: {name}"
            p = self.field.modulus
            self._columns[name] = ((np.arange(self.runs) // p**place) % p).astype(np.uint64)
        return self._columns[name].copy()

    def bit(self, name: str) -> NDArray[np.uint64]:
        """The bit (0 or 1) of each run that is called `name`."""
        if name not in self._bits:
            place = len(self._bits)
            assert place < self.bits or self._counting, f"more than {self.bits} bits: {name}"
            block = self.field.modulus**self.digits << place
            self._bits[name] = ((np.arange(self.runs) // block) % 2).astype(np.uint64)
        return self._bits[name].copy()

    def packed(self, bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """One plane of bits, 64 runs to a word."""
        return pack_bits(bits.astype(np.uint8)[None]).reshape(-1)

    def constant(self, name: str, size: int | None = None) -> NDArray[np.uint64]:
        """A coin that the coalition knows: the same in all runs."""
        drawn = int.from_bytes(hashlib.sha256(f"{self._seed}/{name}".encode()).digest()[:8], "big")
        return np.full(self.runs, drawn % (size or self.field.modulus), np.uint64)

    def views(self, program: Callable[[Session], Awaitable[Any]]) -> tuple[list[Any], dict[int, NDArray[np.int64]]]:
        """Run and return every party's result and its view: one number per run that encodes coins and messages."""
        received: dict[int, list[NDArray[np.uint64]]] = {i: [] for i in self.parties}

        def observe(message: Message) -> None:
            received[message.receiver] += self._split(np.frombuffer(message.payload, "<u8"))

        coins = [_Coins(self, i) for i in self.parties]
        results = run_parties(self.committee, program, coins=coins, observe=observe, guests=self._guests)
        for kind, found, announced in (
            ("field elements", len(self._columns), self.digits),
            ("bits", len(self._bits), self.bits),
        ):
            assert found == announced, f"{found} {kind} (inputs and coins) where {announced} were announced"
        enumerated = self._columns | self._bits
        views = {}
        for i in self.parties:
            own = [
                enumerated[name]
                for name in sorted(enumerated)
                if any(name.startswith(s + "/") for s in coins[i - 1].seen)
            ]
            views[i] = self.joined([*own, *received[i]])
        return results, views

    def joined(self, columns: list[NDArray[Any]]) -> NDArray[np.int64]:
        """One number per run for several columns: equal exactly where all of them are."""
        code = np.zeros(self.runs, np.int64)
        for column in columns:
            assert len(column) == self.runs
            values = column.astype(np.int64)
            base = int(values.max()) + 1
            if int(code.max()) >= 2**62 // base:
                code = np.unique(code, return_inverse=True)[1].astype(np.int64)
            code = code * base + values
        return np.unique(code, return_inverse=True)[1].astype(np.int64)

    def _split(self, words: NDArray[np.uint64]) -> list[NDArray[np.uint64]]:
        """A message as columns of one value per run: of numbers, or of packed bits with perhaps numbers behind."""
        size, width = len(words), lanes(self.runs)
        numbers = size // self.runs  # fewer than 64 planes of bits are shorter than one number of each run
        while (size - numbers * self.runs) % width:
            numbers -= 1
            assert numbers >= 0, f"a message of {size} words in {self.runs} runs"
        bits, rest = words[: size - numbers * self.runs], words[size - numbers * self.runs :]
        return [
            *unpack(bits.reshape(-1, width), self.runs).astype(np.uint64),
            *rest.reshape(-1, self.runs),
        ]


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
