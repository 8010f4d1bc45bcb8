"""Exact privacy of everything under a comparison: zero sharings, dealt bits, AND, conversion, and the whole of it.

Each view includes the shares that a coalition holds at the end, so that stages may follow one another: the secret and
the shares of t parties determine all other shares.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpcstats.protocols import boolean as circuits
from mpcstats.protocols import compare as comparison
from mpcstats.protocols import deal, is_negative
from mpcstats.protocols.arithmetic import local_product, multiply
from mpcstats.protocols.masked import masked_operands
from mpcstats.runtime import BooleanShared, Session, Shared, open_declared
from mpcstats.runtime import opening as openings
from mpcstats.sharing import blocks, boolean, prss
from mpcstats.sharing.committee import Committee
from mpcstats.testing.enumerate import Enumeration, distinguishable

THREE, FOUR, FIVE, SEVEN = Committee(3, 1), Committee(4, 1), Committee(5, 2), Committee(7, 3)
Program = Callable[[Session], Awaitable[Any]]
Columns = list[NDArray[Any]]


async def dealt_bits(world: Enumeration, session: Session, names: dict[int, str]) -> dict[int, BooleanShared]:
    """One bit per run from each dealer."""
    name = names.get(session.index)
    own = None if name is None else world.packed(world.bit(name))[None]
    return await circuits.deal_planes(session, own, tuple(names), (1, boolean.lanes(world.runs)), world.runs)


def end_shares(world: Enumeration, result: BooleanShared | Shared) -> Columns:
    """A party's shares at the end, one value per run."""
    if isinstance(result, Shared):
        return [result.values.ravel()]
    return [boolean.unpack(row, world.runs)[0] for row in result.words]


def together(world: Enumeration, results: list[Any], views: dict[int, Any], coalition: tuple[int, ...]) -> Any:
    """The joint view of a coalition, with the shares it holds at the end."""
    ends = [column for i in coalition for column in end_shares(world, results[i - 1])]
    return world.joined([*(views[i] for i in coalition), *ends])


# ---- a product is opened under a sharing of zero ---------------------------------------------------------------------


def opened_product(zero: Callable[..., Any]) -> Callable[[Enumeration], Program]:
    """x of party 1 times y of party 2, opened at degree 2t with a sharing of zero."""

    def of(world: Enumeration) -> Program:
        async def program(session: Session) -> np.ndarray:
            own = {1: "x", 2: "y"}.get(session.index)
            shares = await deal(session, world.field, own and world.coin(own), (1, 2), (world.runs,))
            product = local_product(shares[1], shares[2])
            fresh = zero(world.field, session.committee, session.index, session.randomness, "zero", product.shape)
            masked = replace(product, values=world.field.add(product.values, fresh))
            # the package opens degree 2t under a mask only; this is the step of it that zero sharings are for
            return await openings._combine(session, masked, "product")

        return program

    return of


def split(coalition: tuple[int, ...], x: NDArray[Any], y: NDArray[Any]) -> tuple[Columns, Columns]:
    """What a coalition knows of the inputs of parties 1 and 2, and what it does not."""
    known = [column for i, column in ((1, x), (2, y)) if i in coalition]
    hidden = [column for i, column in ((1, x), (2, y)) if i not in coalition]
    return known, hidden


SINGLE = [(p, THREE, (i,)) for p in (7, 11) for i in (1, 2, 3)] + [(7, FOUR, (i,)) for i in (1, 2, 3, 4)]
PAIRS = [(7, FIVE, pair) for pair in ((1, 3), (3, 5))]


@pytest.mark.parametrize(("p", "committee", "coalition"), SINGLE + PAIRS, ids=str)
def test_a_sharing_of_zero_hides_all_but_the_product(p: int, committee: Committee, coalition: tuple[int, ...]) -> None:
    program = opened_product(prss.zero_share)
    world = Enumeration.of(p, committee, program, coalition=coalition, seed=1)
    results, views = world.views(program(world))
    x, y = world.coin("x"), world.coin("y")
    product = (x * y) % np.uint64(p)
    assert all(np.array_equal(opened, product) for opened in results)
    known, hidden = split(coalition, x, y)
    assert distinguishable(world.joined([views[i] for i in coalition]), [product, *known], hidden) == 0


@pytest.mark.parametrize(
    ("committee", "coalition", "fault"), [(FIVE, (3, 5), "one coin for all powers"), (THREE, (3,), "no power")], ids=str
)
def test_the_harness_sees_a_sharing_of_zero_that_spans_too_little(
    committee: Committee, coalition: tuple[int, ...], fault: str
) -> None:
    def faulty(field: Any, committee: Any, index: int, coins: Any, label: str, shape: tuple[int, ...]) -> Any:
        total = field.zeros(shape)
        for A in committee.subsets_of(index):
            weight, coin = committee.prss_weight(field, A, index), field.uniform(coins.subset(A, label), shape)
            powers = range(1, committee.t + 1) if fault == "one coin for all powers" else ()
            for power in powers:
                total = field.add(total, field.scale(coin, index**power * weight))
        return total

    program = opened_product(faulty)
    world = Enumeration.of(7, committee, program, coalition=coalition, seed=1)
    _, views = world.views(program(world))
    x, y = world.coin("x"), world.coin("y")
    known, hidden = split(coalition, x, y)
    view = world.joined([views[i] for i in coalition])
    assert distinguishable(view, [(x * y) % np.uint64(7), *known], hidden) > 0


# ---- bits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("committee", "bits"), [(THREE, 2), (FOUR, 3)], ids=str)
def test_dealt_bits_are_hidden_from_every_single_party(committee: Committee, bits: int) -> None:
    world = Enumeration(7, committee, 0, bits)

    async def program(session: Session) -> BooleanShared:
        return (await dealt_bits(world, session, {1: "b"}))[1]

    results, views = world.views(program)
    for receiver in range(2, committee.m + 1):
        assert distinguishable(together(world, results, views, (receiver,)), [], [world.bit("b")]) == 0
    pair = together(world, results, views, (2, 3)) if committee.m == 3 else together(world, results, views, (1, 2))
    assert distinguishable(pair, [], [world.bit("b")]) > 0


def product_of_bits(world: Enumeration) -> Program:
    async def program(session: Session) -> BooleanShared:
        shares = await dealt_bits(world, session, {1: "x", 2: "y"})
        return await circuits.bit_and(session, shares[1], shares[2])

    return program


@pytest.mark.parametrize("committee", [THREE, FOUR], ids=str)
def test_and_shows_nothing_to_any_single_party(committee: Committee) -> None:
    world = Enumeration.of(7, committee, product_of_bits)  # every coin
    results, views = world.views(product_of_bits(world))
    assert world.bits == {3: 7, 4: 14}[committee.m]
    for party in committee.members:
        known, hidden = split((party,), world.bit("x"), world.bit("y"))
        assert distinguishable(together(world, results, views, (party,)), known, hidden) == 0
    pair = together(world, results, views, (2, 3) if committee.m == 3 else (3, 4))
    assert distinguishable(pair, *split((2,) if committee.m == 3 else (), world.bit("x"), world.bit("y"))) > 0


@pytest.mark.parametrize(
    ("committee", "coalition"),
    [(FIVE, pair) for pair in ((1, 3), (2, 3), (3, 5), (4, 5))] + [(SEVEN, (3, 5, 6))],
    ids=str,
)
@pytest.mark.parametrize("seed", range(4))
def test_and_shows_nothing_to_larger_coalitions(committee: Committee, coalition: tuple[int, ...], seed: int) -> None:
    world = Enumeration.of(7 if committee.m < 7 else 11, committee, product_of_bits, coalition=coalition, seed=seed)
    results, views = world.views(product_of_bits(world))
    known, hidden = split(coalition, world.bit("x"), world.bit("y"))
    assert distinguishable(together(world, results, views, coalition), known, hidden) == 0


def test_the_harness_sees_a_product_that_is_not_dealt_anew() -> None:
    def raw(world: Enumeration) -> Program:
        async def program(session: Session) -> BooleanShared:
            shares = await dealt_bits(world, session, {1: "x", 2: "y"})
            planes = np.arange(shares[1].words.shape[1])
            x, y = shares[1].words, shares[2].words
            terms = boolean.cross_terms(session.committee, session.index, x, planes, y, planes)
            data = np.ascontiguousarray(terms).data.cast("B")
            await session.exchange(dict.fromkeys(session.others, data), dict.fromkeys(session.others, len(data)))
            return shares[1]

        return program

    world = Enumeration.of(7, THREE, raw)
    _, views = world.views(raw(world))
    assert distinguishable(views[3], [], [world.bit("x"), world.bit("y")]) > 0


def converted(dealer: int) -> Callable[[Enumeration], Program]:
    def of(world: Enumeration) -> Program:
        async def program(session: Session) -> Shared:
            bits = (await dealt_bits(world, session, {dealer: "b"}))[dealer]
            return await circuits.to_arithmetic(session, bits, world.field)

        return program

    return of


def test_conversion_shows_nothing_to_any_single_party_of_three() -> None:
    world = Enumeration.of(7, THREE, converted(1))  # every coin
    results, views = world.views(converted(1)(world))
    for party in (2, 3):
        assert distinguishable(together(world, results, views, (party,)), [], [world.bit("b")]) == 0
    assert distinguishable(together(world, results, views, (2, 3)), [], [world.bit("b")]) > 0


@pytest.mark.parametrize(
    ("committee", "coalition", "dealer"),
    [(FOUR, (1,), 2), (FOUR, (2,), 3), (FOUR, (3,), 4), (FOUR, (4,), 1), (FIVE, (1, 2), 3)],
    ids=str,
)
def test_conversion_shows_nothing_to_coalitions_of_four_and_five(
    committee: Committee, coalition: tuple[int, ...], dealer: int
) -> None:
    program = converted(dealer)
    world = Enumeration.of(7, committee, program, coalition=coalition, seed=1)
    results, views = world.views(program(world))
    assert distinguishable(together(world, results, views, coalition), [], [world.bit("b")]) == 0


# ---- the whole comparison --------------------------------------------------------------------------------------------


def compared(dealer: int, convert: bool) -> Callable[[Enumeration], Program]:
    """All of `is_negative`, or all of it but the conversion of the sign bit."""

    def of(world: Enumeration) -> Program:
        async def program(session: Session) -> Shared | BooleanShared:
            own = world.coin("a") if session.index == dealer else None
            a = (await deal(session, world.field, own, (dealer,), (world.runs,)))[dealer]
            if convert:
                return await is_negative(session, a)
            x, y = await masked_operands(session, a, 2)
            wrap = await comparison._carry_out(session, x, y)
            return x.planes(slice(0, 1)) ^ y.planes(slice(0, 1)) ^ wrap

        return program

    return of


@pytest.mark.parametrize(
    ("coalition", "dealer", "convert"), [((1,), 3, True), ((1,), 3, False), ((2,), 1, False), ((3,), 2, False)], ids=str
)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_comparison_in_gf_7_shows_nothing_at_all(
    coalition: tuple[int, ...], dealer: int, convert: bool, seed: int
) -> None:
    """Every message: mask, dealt bits, carries (and conversion), over all coins that the party does not know."""
    program = compared(dealer, convert)
    world = Enumeration.of(7, THREE, program, coalition=coalition, seed=seed)
    results, views = world.views(program(world))
    assert distinguishable(together(world, results, views, coalition), [], [world.coin("a")]) == 0


def test_the_harness_sees_a_mask_that_leaves_a_value_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted bug: masks below p - 1."""
    real = blocks.blend

    def biased(field: Any, x: Any, streams: Any, rows: Any) -> Any:
        if rows[-1][0] != 0:  # a deal, not the mask of an opening
            return real(field, x, streams, rows)
        coins = [np.minimum(field.uniform(stream, field.shape(x)), np.uint64(field.modulus - 2)) for stream in streams]
        return blocks.combine(field, [x, *coins], rows)

    monkeypatch.setattr(blocks, "blend", biased)
    program = compared(3, False)
    world = Enumeration.of(7, THREE, program, coalition=(1,), seed=1)
    results, views = world.views(program(world))
    assert distinguishable(together(world, results, views, (1,)), [], [world.coin("a")]) > 0


@pytest.mark.parametrize("coalition", [(1,), (2,), (3,), (4,)], ids=str)
def test_a_product_of_four_parties_shows_nothing_else(coalition: tuple[int, ...]) -> None:
    """m = 4, t = 1: only three of the four deal their products anew."""

    def of(world: Enumeration) -> Program:
        async def program(session: Session) -> np.ndarray:
            own = {1: "x", 2: "y"}.get(session.index)
            shares = await deal(session, world.field, own and world.coin(own), (1, 2), (world.runs,))
            session.openings.declare("product", world.runs, "test")
            return await open_declared(session, await multiply(session, shares[1], shares[2]), "product")

        return program

    world = Enumeration.of(7, FOUR, of, coalition=coalition, seed=3)
    _, views = world.views(of(world))
    x, y = world.coin("x"), world.coin("y")
    known, hidden = split(coalition, x, y)
    assert distinguishable(views[coalition[0]], [(x * y) % np.uint64(7), *known], hidden) == 0
