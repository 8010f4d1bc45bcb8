"""People that sites have in common: exact on shares, hidden below the threshold, nothing else opened."""

from __future__ import annotations

import numpy as np
import pytest

from mpcstats.errors import DataError, RangeError, SpecError
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.stats.contributions.sample_overlap import SampleOverlapContribution, SampleOverlapPlan, person_keys
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.sample_overlap import joint_sample_overlap
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.transport.memory import Message

OPEN, STANDARD = Policy.preset("open").rules, Policy.preset("standard").rules


def overlap(
    sites: list[list[str]], rows: int, m: int = 3, standard: bool = False, seen: list[Message] | None = None
) -> Outcome:
    """The first parties have data; the others only compute."""
    dealers = tuple(range(1, len(sites) + 1))

    async def program(session: Session) -> Outcome:
        own = None
        if session.index in dealers:
            own = SampleOverlapContribution(person_keys(sites[session.index - 1]))
        ruling = Ruling(STANDARD if standard else OPEN, {})
        outcome = await joint_sample_overlap(session, SampleOverlapPlan(rows), own, dealers, ruling)
        entries = session.openings.manifest
        assert {name: entry.values for name, entry in entries.items()} == {
            "overlap": len(sites) * (len(sites) - 1) // 2
        }
        return outcome

    observe = None if seen is None else seen.append
    outcomes = run_parties(Committee(m, default_threshold(m)), program, observe=observe)
    tables = [each.tables["overlap"] for each in outcomes]
    assert all(table.equals(tables[0]) for table in tables)
    return outcomes[0]


def people(*numbers: int) -> list[str]:
    return [f"NA{k:05d}" for k in numbers]


@pytest.mark.parametrize(("m", "sizes"), [(3, (20, 13)), (3, (16, 16, 16)), (4, (3, 0, 9, 7)), (5, (8, 5, 1))])
def test_counts_are_those_of_sets(m: int, sizes: tuple[int, ...]) -> None:
    generator = np.random.default_rng(m)
    sites = [people(*generator.choice(24, size, replace=False)) for size in sizes]
    table = overlap(sites, rows=24, m=m).tables["overlap"]
    expected = [len(set(a) & set(b)) for k, a in enumerate(sites) for b in sites[k + 1 :]]
    assert table["count"].tolist() == expected
    assert table["party"].tolist()[0] == "party1"
    assert table["other"].tolist()[0] == "party2"
    assert sum(expected) > 0


def test_all_and_none_and_nobody() -> None:
    everybody = people(*range(16))
    table = overlap([everybody, everybody[::-1], []], rows=16).tables["overlap"]
    assert table["count"].tolist() == [16, 0, 0]


def test_small_overlaps_are_hidden_and_large_ones_rounded() -> None:
    one, two = people(*range(30)), people(*range(7, 40))
    three = people(*range(25, 45))
    outcome = overlap([one, two, three], rows=48, standard=True)
    table = outcome.tables["overlap"]
    assert table["status"].tolist() == ["released", "suppressed", "released"]  # 23, 5, 15
    assert table["count"].fillna(-1).tolist() == [25, -1, 15]
    assert "1 of 3 pairs hidden (minimum_count = 11" in outcome.withheld[0]


def test_messages_have_the_same_shape_whoever_is_at_the_sites() -> None:
    first: list[Message] = []
    second: list[Message] = []
    overlap([people(*range(9)), people(*range(5, 16)), people(3)], 16, seen=first, standard=True)
    overlap([[], people(*range(10)), people(*range(9))], 16, seen=second, standard=True)

    def shape(messages: list[Message]) -> list[tuple[int, int, int, int]]:
        return sorted((each.step, each.sender, each.receiver, len(each.payload)) for each in messages)

    assert shape(first) == shape(second)


def test_keys_do_not_depend_on_order_or_repeats() -> None:
    keys = person_keys(["b", "a", "b", "é"])
    assert keys.tolist() == sorted(set(person_keys(["é", "a", "b"]).tolist()))
    assert keys.min() >= 0
    assert keys.max() < 1 << 60
    assert person_keys([]).shape == (0,)


def test_what_cannot_be_counted() -> None:
    with pytest.raises(SpecError, match="between two parties"):
        overlap([people(1)], 16)
    with pytest.raises(DataError, match="3 people where the study has room for 2 rows"):
        overlap([people(1, 2, 3), people(1)], 2)
    with pytest.raises(RangeError, match="3 pairs of lists with 100,000 rows each are 600,000 rows"):
        overlap([[], [], []], 100_000)
    assert not SampleOverlapPlan(200_001).within_limits()
    assert not SampleOverlapPlan(0).within_limits()
