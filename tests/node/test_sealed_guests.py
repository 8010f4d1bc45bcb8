"""Two phases with guests: these keep a journal as members do, and replay it with the same bytes."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import UndeclaredOpening
from mpcstats.node.runs.execution import execute
from mpcstats.node.runs.sealing import SealedRun
from mpcstats.runtime import Manifest
from mpcstats.sharing.committee import Committee
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses import parse_spec
from mpcstats.study.policy import Policy
from mpcstats.testing.attempts import Attempts, Killed
from mpcstats.transport.channel import Channel
from mpcstats.transport.journal import MemoryJournal
from tests.node.in_memory import Parties

NAMES = ("a", "b", "c", "d", "e")
SPEC = parse_spec({"type": "count", "by": ["sex"], "where": "age > 50"})


def parties() -> Parties:
    rng = np.random.default_rng(4)
    tables = {
        name: pd.DataFrame({"sex": rng.choice(["F", "M"], 40), "age": rng.integers(30, 90, 40)}) for name in NAMES
    }
    return Parties(SPEC, tables, rules=Policy.preset("standard").rules)


def journals() -> dict[str, MemoryJournal]:
    return {name: MemoryJournal(hashlib.sha256(name.encode()).digest()) for name in NAMES}


@pytest.mark.parametrize(("kill", "dies_at"), [(None, None), (4, 9), (5, 25), (2, 30)])
def test_a_run_with_guests_is_computed_and_released(kill: int | None, dies_at: int | None) -> None:
    """Also where a guest or a member dies on the way: nobody ever sends other bytes in the place of the first."""
    world, kept, runs = parties(), journals(), Attempts(NAMES)
    committee = Committee(3, 1)

    def part(phase: str) -> Any:
        async def one(channel: Channel) -> Any:
            name = channel.parties[channel.index - 1]
            return await execute(channel, phase=phase, journal=kept[name], committee=committee, **world.arguments(name))  # type: ignore[call-overload]

        return one

    if kill is not None:
        broken = runs.attempt(part("compute"), kill, dies_at)
        assert isinstance(broken[kill - 1], Killed)
    sealed = runs.attempt(part("compute"))
    assert all(isinstance(run, SealedRun) for run in sealed)
    assert len({run.before for run in sealed}) == 1
    released = runs.attempt(part("release"))
    assert all(isinstance(outcome, Outcome) for outcome in released)
    tables = [next(iter(outcome.tables.values())).to_csv() for outcome in released]
    assert len(set(tables)) == 1
    assert not runs.ambiguous
    plain = world.run(lambda name: {"committee": committee})
    assert next(iter(plain[4].tables.values())).to_csv() == tables[0]


def test_a_guest_keeps_to_the_approved_manifest() -> None:
    """It alone has a manifest without the result: it stops, and nobody gets the result from it."""
    world = parties()
    results = world.run(lambda name: {"committee": Committee(3, 1), "approved": Manifest(()) if name == "e" else None})
    assert isinstance(results[4], UndeclaredOpening)
    assert not any(isinstance(result, Outcome) for result in results)


def test_the_account_is_the_same_everywhere() -> None:
    outcomes = parties().run(lambda name: {"committee": Committee(3, 1)})
    runs = [{key: value for key, value in outcome.run.items() if key != "seconds"} for outcome in outcomes]
    assert all(run == runs[0] for run in runs)
    assert runs[0]["committee"] == ["a", "b", "c"]
    assert runs[0]["data_parties"] == list(NAMES)
    assert min(runs[0]["bytes_sent"].values()) > 0
