"""Sums of dealt numbers against bounds, their declared cost, and deals that share a round."""

from __future__ import annotations

import numpy as np
import pytest

from mpcstats.errors import InconsistentShares, RangeError, UndeclaredOpening
from mpcstats.field import M61
from mpcstats.protocols import deals, sums_reach
from mpcstats.protocols.boolean import convert, deal_planes
from mpcstats.protocols.declare import Case
from mpcstats.protocols.thresholds import (
    DECLARED_PROBLEMS,
    DECLARED_WIDTH,
    coins_work,
    deal_sums,
    deal_sums_work,
    reached_work,
)
from mpcstats.protocols.work import Work, call
from mpcstats.runtime import BooleanShared, Session, open_declared, open_declared_bits
from mpcstats.runtime.lanes import side_by_side
from mpcstats.sharing.committee import Committee
from mpcstats.testing.network import run_parties
from tests.protocols.kit import COMMITTEES, PRIVATE


def reached(committee: Committee, tables: np.ndarray, width: int, dealers: tuple[int, ...]) -> np.ndarray:
    """[sum over dealers >= 2^width] of each problem and cell, opened both ways."""
    shape = tables.shape[1:]

    async def program(session: Session) -> np.ndarray:
        session.openings.declare("bits", tables[0].size, "test")
        session.openings.declare("numbers", tables[0].size + 2, "test")
        own = tables[dealers.index(session.index)] if session.index in dealers else None
        extra = None if own is None else np.array([session.index, -5])
        dealt = await deal_sums(session, own, dealers, width, shape, shape[0], extra, 2)
        found, coins = await side_by_side(session, dealt.reached, dealt.coins)
        bits = await open_declared_bits(session, found, "bits")
        numbers = await convert(session, found, coins)
        again = M61.to_int64(await open_declared(session, numbers, "numbers"))
        np.testing.assert_array_equal(again, bits)
        total = M61.to_signed(await open_declared(session, dealt.total, "numbers"))
        assert total.tolist() == [sum(dealers), -5 * len(dealers)]
        return bits

    results = run_parties(committee, program)
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)
    return np.asarray(results[0])


@pytest.mark.parametrize("committee", COMMITTEES, ids=lambda c: str(c.m))
@pytest.mark.parametrize("width", [1, 2, 5, 12])
def test_sums_against_a_power_of_two(committee: Committee, width: int) -> None:
    rng = np.random.default_rng(width)
    dealers = tuple(range(1, committee.m + 1))
    tables = rng.integers(0, (1 << (width + 1)) // committee.m + 1, (committee.m, 2, 70))
    tables[0] -= np.maximum(tables.sum(0) - (1 << (width + 1)) + 1, 0)  # sums fit; single numbers may be negative
    np.testing.assert_array_equal(reached(committee, tables, width, dealers), tables.sum(0) >= 1 << width)


@pytest.mark.parametrize("dealers", [(1,), (3,), (2, 3)])
def test_some_parties_deal(dealers: tuple[int, ...]) -> None:
    tables = np.random.default_rng(1).integers(0, 16, (len(dealers), 1, 65))
    found = reached(Committee(3, 1), tables, 4, dealers)
    np.testing.assert_array_equal(found, tables.sum(0) >= 16)


def test_wide_numbers() -> None:
    largest = (1 << 59) - 1
    tables = np.array([[[largest, largest, 5 - (1 << 40)]], [[0, 1, 1 << 59]], [[0, 0, -4 + (1 << 40)]]])
    assert reached(Committee(3, 1), tables, 59, (1, 2, 3)).tolist() == [[0, 1, 1]]


@pytest.mark.parametrize("width", [0, 60])
def test_a_width_that_is_not_possible(width: int) -> None:
    with pytest.raises(RangeError, match="cannot be compared"):
        reached(Committee(1, 0), np.zeros((1, 1, 1), np.int64), width, (1,))


@pytest.mark.parametrize("committee", COMMITTEES, ids=lambda c: str(c.m))
@pytest.mark.parametrize(("width", "problems", "cells", "coins", "extra"), [(5, 3, 70, 1, 0), (8, 1, 5, 3, 7)])
def test_the_cost_is_the_declared_one(
    committee: Committee, width: int, problems: int, cells: int, coins: int, extra: int
) -> None:
    dealers = tuple(range(1, committee.m + 1))

    async def program(session: Session) -> tuple[int, int]:
        own, more = np.zeros((problems, cells), np.int64), np.zeros(extra, np.int64)
        dealt = await deal_sums(session, own, dealers, width, (problems, cells), coins, more, extra)
        await dealt.coins(session)
        await dealt.reached(session)
        return session.accounts.rounds, sum(session.accounts.bytes_sent.values())

    results = run_parties(committee, program)
    case, m = Case(committee, M61, cells), committee.m
    work = deal_sums_work(case, m, width, problems, coins, extra) + coins_work(case, coins)
    work += reached_work(case, m, width, problems)
    assert {rounds for rounds, _ in results} == {work.rounds}
    assert sum(sent for _, sent in results) == work.bytes_sent


@pytest.mark.parametrize("committee", COMMITTEES, ids=lambda c: str(c.m))
def test_the_declared_cost(committee: Committee) -> None:
    async def program(session: Session) -> tuple[int, int]:
        own = np.zeros((DECLARED_PROBLEMS, 70), np.int64)
        await sums_reach(session, own, tuple(committee.members), DECLARED_WIDTH, own.shape)
        return session.accounts.rounds, sum(session.accounts.bytes_sent.values())

    results = run_parties(committee, program)
    spent = Work(results[0][0], sum(sent for _, sent in results))
    assert spent == call("sums_reach", Case(committee, M61, 70))


def test_deals_share_a_round() -> None:
    async def program(session: Session) -> tuple[int, list[int]]:
        session.openings.declare("numbers", 4, "test")
        one, other = M61.from_ints([1, 2]), M61.from_ints([30, 40])
        me = session.index
        first, _, second = await deals.deal_together(
            session,
            deals.elements(session, M61, one if me == 1 else None, (1,), (2,)),
            deals.planes(session, np.ones((3, 1), np.uint64) if me == 2 else None, (2,), (3, 1), 64),
            deals.elements(session, M61, other if me != 2 else None, (1, 3), (2,)),
        )
        rounds = session.accounts.rounds
        opened = await open_declared(session, first[1] + second[1] + second[3], "numbers")
        return rounds, M61.to_ints(opened).tolist()

    assert run_parties(Committee(3, 1), program) == [(1, [61, 82])] * 3


async def _word(session: Session, bits: int = 0b1011) -> BooleanShared:
    own = np.array([[bits]], np.uint64) if session.index == 2 else None
    return (await deal_planes(session, own, (2,), (1, 1), 4))[2]


@pytest.mark.parametrize("committee", PRIVATE, ids=lambda c: str(c.m))
def test_declared_bits(committee: Committee) -> None:
    async def program(session: Session) -> list[list[int]]:
        session.openings.declare("bits", 4, "test")
        bits = await _word(session)
        opened: list[list[int]] = (await open_declared_bits(session, bits, "bits")).tolist()
        with pytest.raises(UndeclaredOpening):
            await open_declared_bits(session, bits, "bits")
        return opened

    assert run_parties(committee, program) == [[[1, 1, 0, 1]]] * committee.m


def test_a_wrong_share_of_bits_is_noticed() -> None:
    async def program(session: Session) -> None:
        session.openings.declare("bits", 4, "test")
        bits = await _word(session)
        if session.index == 1:
            bits = BooleanShared(bits.words ^ np.uint64(1), 4)
        await open_declared_bits(session, bits, "bits")

    with pytest.raises(InconsistentShares, match="different shares"):
        run_parties(Committee(3, 1), program)
