"""A run opens what was approved; code that would open more stops at every honest party before anything is opened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from mpcstats.errors import TransportError, UndeclaredOpening
from mpcstats.field import M61
from mpcstats.node.analyses import counts as node_counts
from mpcstats.protocols import sum_of_inputs
from mpcstats.runtime import Manifest, ManifestEntry, Session, open_declared
from mpcstats.runtime.openings import OpeningLog
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.policy import Policy
from tests.node.in_memory import Parties

TABLE = pd.DataFrame({"age": range(40, 80), "sex": ["F", "M"] * 20})
PARTIES = Parties(CountSpec(by=["sex"]), {"alpha": TABLE, "beta": TABLE, "gamma": None})
STANDARD = replace(PARTIES, rules=replace(Policy.preset("standard").rules, minimum_parties=1, small_remainders=True))
WHY = "people per cell, pooled over all parties, rounded; 0 where suppressed"
APPROVED = Manifest((ManifestEntry("counts", 2, "result", WHY),))


def patched(monkeypatch: pytest.MonkeyPatch, liars: tuple[int, ...], cheats: bool) -> list[Session]:
    """Code that opens one value more, at some parties; who cheats overlooks the approved manifest, too."""
    honest, sessions = node_counts.joint_count, list[Session]()

    async def count(session: Session, plan: Any, own: Any, dealers: tuple[int, ...], *rest: Any) -> Outcome:
        sessions.append(session)
        if session.index in liars:
            if cheats:
                session.openings = OpeningLog()
            mine = None if own is None else M61.from_int64(own.counts.reshape(-1))
            pooled = await sum_of_inputs(session, M61, mine, dealers, (2,))
            session.openings.declare("exact counts", 2, "for oneself")
            await open_declared(session, pooled, "exact counts")
        return await honest(session, plan, own, dealers, *rest)

    monkeypatch.setattr(node_counts, "joint_count", count)
    return sessions


def test_what_is_approved_runs() -> None:
    for parties in (PARTIES, STANDARD):
        outcomes = parties.run(lambda name: {"approved": APPROVED})
        assert [o.tables["counts"]["count"].tolist() for o in outcomes] == [[40, 40]] * 3
        assert outcomes[0].run["opened"] == [
            {"name": "counts", "values": 2, "declared": 2, "kind": "result", "why": WHY}
        ]


@pytest.mark.parametrize("entry", [("counts", 1, "result"), ("counts", 2, "decision"), ("count", 2, "result")])
def test_more_than_approved_is_not_opened(entry: Any) -> None:
    approved = Manifest((ManifestEntry(*entry, WHY),))
    outcomes = PARTIES.run(lambda name: {"approved": approved})
    assert all(isinstance(o, UndeclaredOpening) and "approved" in o.message for o in outcomes)


def test_code_that_opens_more_stops_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = patched(monkeypatch, (1, 2, 3), cheats=False)
    outcomes = PARTIES.run(lambda name: {"approved": APPROVED})
    assert all(isinstance(o, UndeclaredOpening) and "exact counts" in o.message for o in outcomes)
    assert all(not session.openings.manifest for session in sessions)


@pytest.mark.parametrize("cheats", [False, True])
@pytest.mark.parametrize("liar", [1, 3])
def test_one_partys_code_opens_more(monkeypatch: pytest.MonkeyPatch, liar: int, cheats: bool) -> None:
    """The others do not take part in the opening."""
    sessions = patched(monkeypatch, (liar,), cheats)
    parties = replace(STANDARD, patience_seconds=0.3)
    outcomes = parties.run(lambda name: {"approved": APPROVED})
    assert not any(isinstance(o, Outcome) for o in outcomes)
    for session in sessions:
        if session.index != liar:
            assert isinstance(outcomes[session.index - 1], TransportError)
            assert session.openings.manifest["counts"].values == 0
