"""What the protocol tests have in common: dealing, opening, costs and traces on the in-memory network."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import pytest

from mpcstats.field import Elements, PrimeField
from mpcstats.protocols import deal
from mpcstats.protocols.declare import REGISTRY, Case
from mpcstats.protocols.newton import plan
from mpcstats.protocols.work import Work, call
from mpcstats.runtime import Session, Shared, open_declared
from mpcstats.sharing.committee import Committee
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message

COMMITTEES = [Committee(1, 0), Committee(3, 1), Committee(4, 1), Committee(5, 2), Committee(7, 3)]
PRIVATE = COMMITTEES[1:]
Program = Callable[[Session, Sequence[Shared]], Awaitable[Any]]


async def opened(session: Session, x: Shared) -> Elements:
    """Open for the test."""
    name = session.label("test")
    session.openings.declare(name, x.size, "test")
    return await open_declared(session, x, name)


async def dealt(
    session: Session, field: PrimeField, values: Elements, dealer: int = 1, fraction_bits: int = 0
) -> Shared:
    """Values dealt by one party."""
    own = values if session.index == dealer else None
    return (await deal(session, field, own, (dealer,), field.shape(values), fraction_bits))[dealer]


def integers(field: PrimeField, values: Any) -> Elements:
    """Elements from (nested lists of) Python integers."""
    return field.from_ints(np.asarray(values, object))


def evaluate(
    committee: Committee,
    field: PrimeField,
    program: Program,
    *inputs: Any,
    fraction_bits: int = 0,
    kappa: int = 40,
    kappa_floor: int = 20,
) -> list[Any]:
    """What `program(session, shared inputs)` returns, opened: one array of signed integers per Shared."""

    async def run(session: Session) -> list[Any]:
        shared = [await dealt(session, field, integers(field, v), 1, fraction_bits) for v in inputs]
        results = await program(session, shared)
        results = results if isinstance(results, tuple) else (results,)
        return [field.to_signed(await opened(session, r)) for r in results]

    everybody = run_parties(committee, run, kappa=kappa, kappa_floor=kappa_floor)
    for other in everybody[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(everybody[0], other, strict=True))
    return everybody[0]


def measured(
    committee: Committee,
    field: PrimeField,
    program: Program,
    *inputs: Any,
    fraction_bits: int = 0,
    kappa: int = 40,
) -> Work:
    """What a program costs."""

    async def run(session: Session) -> tuple[int, int, int]:
        shared = [await dealt(session, field, integers(field, v), 1, fraction_bits) for v in inputs]
        accounts = session.accounts
        before = accounts.rounds, sum(accounts.bytes_sent.values()), accounts.masked_openings
        await program(session, shared)
        after = accounts.rounds, sum(accounts.bytes_sent.values()), accounts.masked_openings
        return tuple(b - a for a, b in zip(before, after, strict=True))  # type: ignore[return-value]

    results = run_parties(committee, run, kappa=kappa, kappa_floor=min(kappa, 20))
    rounds, masks = {r[0] for r in results}, {r[2] for r in results}
    assert len(rounds) == 1
    assert len(masks) == 1
    return Work(rounds.pop(), sum(r[1] for r in results), masks.pop())


def declared_cost(name: str, committee: Committee, field: PrimeField, size: int) -> Work:
    """The declared cost."""
    assert name in REGISTRY
    return call(name, Case(committee, field, size))


def trace(
    committee: Committee,
    field: PrimeField,
    program: Program,
    *inputs: Any,
    fraction_bits: int = 0,
    kappa: int = 40,
    guests: int = 0,
) -> list[tuple[int, int, int, int]]:
    """The messages: (round, from, to, length)."""
    seen: list[Message] = []

    async def run(session: Session) -> None:
        shared = [await dealt(session, field, integers(field, v), 1, fraction_bits) for v in inputs]
        await program(session, shared)

    run_parties(committee, run, observe=seen.append, kappa=kappa, kappa_floor=min(kappa, 20), guests=guests)
    return sorted((m.step, m.sender, m.receiver, len(m.payload)) for m in seen)


def plan_for(monkeypatch: pytest.MonkeyPatch, module: str, subsets: int) -> None:
    """Let a module plan its iterations for so many subsets, in a session with fewer parties."""
    target = importlib.import_module(f"mpcstats.protocols.{module}")  # the package has functions of these names
    monkeypatch.setattr(target, "plan", lambda family, room, width, bits, _: plan(family, room, width, bits, subsets))


class HarshTruncation:
    """Stands in for `truncate` with m = 1, where a share is the secret itself.

    Checks that every promise on the size of a masked number is kept, and makes rounding errors as large as `subsets`
    subsets can: the stated bounds must hold for the worst case, not only for the usual one.
    """

    def __init__(self, subsets: int, seed: int) -> None:
        self.subsets = subsets
        self.rng = np.random.default_rng(seed)
        self.calls = 0

    async def __call__(self, session: Session, z: Shared, bits: int, integer_bits: int) -> Shared:
        field, numbers = z.field, z.field.to_signed(z.values)
        size_bits = integer_bits + z.fraction_bits
        assert size_bits + 1 <= session.headroom(field)
        assert all(abs(int(v)) < 1 << size_bits for v in numbers.ravel()), "a promise is broken"
        self.calls += 1
        up, spread = self.rng.random() < 0.5, self.rng.random(numbers.size) < 0.2  # mostly all in one direction
        rounded = [self._rounded(int(v), bits, bool(up ^ s)) for v, s in zip(numbers.ravel(), spread, strict=True)]
        values = field.from_ints(np.array(rounded, object).reshape(numbers.shape))
        return Shared(field, values, session.committee.t, z.fraction_bits - bits)

    def _rounded(self, v: int, bits: int, up: bool) -> int:
        """The integer furthest from v / 2^bits on one side, strictly within (subsets + 1) / 2 of it."""
        away = 2 * v + (self.subsets + 1) * (1 << bits) if up else 2 * v - (self.subsets + 1) * (1 << bits)
        return -(-away >> (bits + 1)) - 1 if up else (away >> (bits + 1)) + 1
