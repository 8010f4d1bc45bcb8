"""Obliviousness, once for all: what is sent, to whom and how long depends on public shapes only.

The table must hold every declared protocol and every function of `mpcstats.protocols` that sends messages; one that is
missing fails a test.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from mpcstats import protocols
from mpcstats.field import M61, M127, PrimeField
from mpcstats.protocols import boolean, elementary, fine, linalg, quadratic, solve
from mpcstats.protocols.arithmetic import local_product, reshare
from mpcstats.protocols.declare import REGISTRY
from mpcstats.protocols.resharing import SMALLEST
from mpcstats.runtime import BooleanShared, Session, Shared
from mpcstats.sharing.boolean import lanes
from mpcstats.sharing.committee import Committee
from tests.protocols.kit import opened, trace

for _module in pkgutil.iter_modules(protocols.__path__):
    importlib.import_module(f"mpcstats.protocols.{_module.name}")  # whatever they declare is in the registry now


@dataclass(frozen=True)
class Case:
    """A protocol with two inputs of one shape that could not be more different."""

    call: Callable[[Session, Shared], Awaitable[Any]]
    field: PrimeField = M61
    fraction_bits: int = 0
    inputs: tuple[Any, Any] = ([0] * 9, [2**58, -(2**58), 1, -1, 0, 7, -(2**30), 3, 11])
    kappa: int = 40


async def _planes(session: Session, x: Shared) -> BooleanShared:
    """Dealt bits that follow the secret (as one party may know them)."""
    bits = x.field.to_ints(x.values).astype(np.uint64).reshape(1, -1)[:, : lanes(x.size)]
    own = bits if session.index == 1 else None
    return (await boolean.deal_planes(session, own, (1,), (1, lanes(x.size)), x.size))[1]


async def _and(session: Session, x: Shared) -> None:
    planes = await _planes(session, x)
    await boolean.bit_and(session, planes, planes)


async def _to_arithmetic(session: Session, x: Shared) -> None:
    await boolean.to_arithmetic(session, await _planes(session, x), x.field)


async def _merge(session: Session, x: Shared) -> None:
    await protocols.merge(session, [x[:4].reshape(4, 1), x[4:].reshape(5, 1)])


async def _deal(session: Session, x: Shared) -> None:
    await protocols.deal(session, x.field, x.values, tuple(session.committee.members), x.shape)


async def _sums(session: Session, x: Shared) -> None:
    own = np.array([[int(v) % 16 for v in x.field.to_ints(x.values)]])
    await protocols.sums_reach(session, own, tuple(session.committee.members), 6, own.shape)


BITS = ([0] * 9, [0, 1, 1, 0, 1, 0, 0, 1, 1])
SMALL = ([0] * 9, [1, 2, 2**20, 2**23, 7, 0, 1000, 3, 11])
FIXED: dict[str, Any] = {"field": M127, "fraction_bits": 16, "inputs": ([0] * 3, [2**26, -1, -(2**20)])}
UNIT: dict[str, Any] = {"field": M127, "fraction_bits": 16, "inputs": ([0] * 3, [2**16, 1, -(2**15)])}
INTEGERS: dict[str, Any] = {"field": M127, "inputs": ([0] * 3, [2**23, 1, 1000])}
POSITIVE: dict[str, Any] = {"field": M127, "fraction_bits": 16, "inputs": ([1] * 3, [2**26, 77, 2**20])}
ONE = 1 << 20
MATRIX: dict[str, Any] = {"field": M127, "fraction_bits": 20}
MATRIX["inputs"] = ([[ONE, 0], [0, ONE]], [[ONE, ONE // 4], [ONE // 4, ONE]])
BATCH = ([0] * SMALLEST, list(range(SMALLEST)))

CASES: dict[str, Case] = {
    "deal": Case(_deal),
    "sum_of_inputs": Case(
        lambda s, x: protocols.sum_of_inputs(s, x.field, x.values, tuple(s.committee.members), x.shape)
    ),
    "multiply": Case(lambda s, x: protocols.multiply(s, x, x)),
    "multiply, in blocks": Case(lambda s, x: protocols.multiply(s, x, x), inputs=BATCH),
    "inner_product": Case(lambda s, x: protocols.inner_product(s, x, x)),
    "reshare": Case(lambda s, x: reshare(s, local_product(x, x))),
    "select": Case(lambda s, x: protocols.select(s, x, x, x), inputs=BITS),
    "truncate": Case(lambda s, x: protocols.truncate(s, x, 8, 12), **FIXED),
    "multiply_fixed": Case(lambda s, x: protocols.multiply_fixed(s, x, x, 22), **FIXED),
    "multiply_fixed, in blocks": Case(
        lambda s, x: protocols.multiply_fixed(s, x, x, 22), field=M127, fraction_bits=16, inputs=BATCH
    ),
    "truncate_exact": Case(lambda s, x: protocols.truncate_exact(s, x, 8), **FIXED),
    "floor_shift": Case(lambda s, x: protocols.floor_shift(s, x, 8)),
    "bit_and": Case(_and, inputs=BITS),
    "sums_reach": Case(_sums),
    "to_arithmetic": Case(_to_arithmetic, inputs=BITS),
    "random_bits": Case(lambda s, x: protocols.random_bits(s, x.field, x.shape)),
    "is_negative": Case(protocols.is_negative),
    "at_least": Case(lambda s, x: protocols.at_least(s, x, 11)),
    "less": Case(lambda s, x: protocols.less(s, x, x[::-1])),
    "less_than_public": Case(lambda s, x: protocols.less_than_public(s, x, 3)),
    "equal": Case(lambda s, x: protocols.equal(s, x, x[::-1])),
    "equal_zero": Case(protocols.equal_zero),
    "sign": Case(protocols.sign),
    "absolute": Case(protocols.absolute),
    "minimum": Case(lambda s, x: protocols.minimum(s, x, x[::-1])),
    "maximum": Case(lambda s, x: protocols.maximum(s, x, x[::-1])),
    "amin": Case(protocols.amin),
    "amax": Case(protocols.amax),
    "bit_decompose": Case(lambda s, x: protocols.bit_decompose(s, x, 0, 5), inputs=SMALL),
    "floor_divide": Case(lambda s, x: protocols.floor_divide(s, x, 10, 24), inputs=SMALL),
    "floor_quotient": Case(
        lambda s, x: protocols.floor_quotient(s, x, x[::-1]), field=M127, inputs=([0] * 3, [5, 2**23, 1])
    ),
    "reciprocal": Case(lambda s, x: protocols.reciprocal(s, x, 12), **FIXED),
    "divide": Case(lambda s, x: protocols.divide(s, x, x[::-1], 12), **FIXED),
    "square_root": Case(lambda s, x: protocols.square_root(s, x, 12), **FIXED),
    "inverse_square_root": Case(lambda s, x: protocols.inverse_square_root(s, x, 12), **FIXED),
    "cumulative_product": Case(protocols.cumulative_product),
    "cumulative_product_fixed": Case(lambda s, x: protocols.cumulative_product_fixed(s, x, 12), **FIXED),
    "cumulative_product_exact": Case(protocols.cumulative_product_exact, **UNIT),
    "matmul": Case(lambda s, x: protocols.matmul(s, x, x), **MATRIX),
    "matmul_fixed": Case(lambda s, x: protocols.matmul_fixed(s, x, x, 12), **MATRIX),
    "fine_reciprocal": Case(lambda s, x: fine.fine_reciprocal(s, x, 24), **INTEGERS),
    "fine_square_root": Case(lambda s, x: fine.fine_square_root(s, x, 24, 10), **INTEGERS),
    "quadratic_form": Case(lambda s, x: quadratic.quadratic_form(s, x[0], x), **MATRIX | {"fraction_bits": 0}),
    "prefix_or": Case(protocols.prefix_or, inputs=BITS),
    "shuffle": Case(protocols.shuffle),
    "merge": Case(_merge, inputs=([0] * 9, [1, 5, 6, 8, 2, 3, 5, 7, 9])),
    "sort": Case(lambda s, x: protocols.sort(s, x.reshape(x.size, 1)), inputs=([0] * 4, [3, -1, 2, 2**40])),
    "inverse_root": Case(lambda s, x: elementary.inverse_root(s, x, 12), **POSITIVE),
    "logarithm": Case(lambda s, x: elementary.logarithm(s, x, 12), **POSITIVE),
    "exponential": Case(lambda s, x: elementary.exponential(s, x, 4), **FIXED | {"inputs": ([0] * 3, [70000, -1, -9])}),
    "cholesky": Case(linalg.cholesky, **MATRIX),
    "inverse": Case(lambda s, x: linalg.inverse(s, x, 4), **MATRIX),
    "solve": Case(lambda s, x: linalg.solve(s, x, x[:, 0], 4), **MATRIX),
    "reciprocal_near_one": Case(lambda s, x: solve.reciprocal_near_one(s, x.reshape(4), 4), **MATRIX),
    "solve_near_identity": Case(
        lambda s, x: solve.solve_near_identity(s, x.reshape(1, 2, 2), x.reshape(1, 2, 2), 4), **MATRIX
    ),
}


def test_the_table_holds_every_protocol() -> None:
    sending = {name for name in protocols.__all__ if inspect.iscoroutinefunction(getattr(protocols, name))}
    missing = (set(REGISTRY) | sending) - set(CASES)
    assert not missing, f"no trace is compared for {sorted(missing)}: add a row to CASES"


@pytest.mark.parametrize(
    "committee",
    [Committee(3, 1), *(pytest.param(Committee(m, t), marks=pytest.mark.long) for m, t in ((4, 1), (5, 2)))],
)
@pytest.mark.parametrize("name", CASES)
def test_messages_do_not_depend_on_the_data(name: str, committee: Committee) -> None:
    case = CASES[name]

    async def program(session: Session, x: Any) -> None:
        await case.call(session, x[0])

    one, other = (
        trace(committee, case.field, program, values, fraction_bits=case.fraction_bits, kappa=case.kappa)
        for values in case.inputs
    )
    assert one == other
    assert len(one) > committee.m - 2  # more than the deal of the input


_QUICK = {"bit_and", "deal", "less", "multiply", "random_bits", "shuffle", "sort", "to_arithmetic", "truncate"}


@pytest.mark.parametrize("name", [n if n in _QUICK else pytest.param(n, marks=pytest.mark.long) for n in CASES])
def test_guests_take_no_part_in_what_members_do(name: str) -> None:
    """They follow on placeholders: the same messages in the same rounds as without them, none to or from a guest."""
    case, committee = CASES[name], Committee(3, 1)

    async def program(session: Session, x: Any) -> None:
        await case.call(session, x[0])
        accounts = session.accounts
        seen.append((accounts.rounds, accounts.masked_openings, session.steps_taken))

    seen: list[tuple[int, int, int]] = []
    traces = [
        trace(
            committee, case.field, program, case.inputs[1], fraction_bits=case.fraction_bits, kappa=case.kappa,
            guests=guests,
        )
        for guests in (0, 2)
    ]  # fmt: skip
    members = [message for message in traces[1] if max(message[1], message[2]) <= committee.m]
    assert members == traces[0]
    assert all(sender <= committee.m for _, sender, _, _ in traces[1])
    assert len(seen) == 8
    assert len({(rounds, masks) for rounds, masks, _ in seen[:3]} | {s[:2] for s in seen[3:]}) == 1


def test_a_protocol_that_looks_at_its_data_is_found() -> None:
    """Planted bug: the number of rounds is what was opened."""

    async def program(session: Session, x: Any) -> None:
        for _ in range(int((await opened(session, x[0])).sum())):
            await protocols.multiply(session, x[0], x[0])

    assert trace(Committee(3, 1), M61, program, [0, 0]) != trace(Committee(3, 1), M61, program, [1, 0])
