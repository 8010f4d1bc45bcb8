"""Results for some parties alone: who is no recipient sees nothing, and which analyses can do it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import Divergence, SpecError
from mpcstats.field import M61
from mpcstats.node.analyses import can_open_to_some
from mpcstats.node.ledger.releases import ReleaseLedger
from mpcstats.node.runs.execution import execute
from mpcstats.runtime import Session, confirm, open_declared, open_declared_bits
from mpcstats.runtime.shared import BooleanShared, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses import ANALYSES, parse_spec
from mpcstats.testing.attempts import Attempts, Killed
from mpcstats.testing.network import run_parties
from mpcstats.transport.journaled import FIRST_STEP
from mpcstats.transport.memory import Message
from tests.node.cases import CASES, NAMES, parties_of
from tests.node.test_sealing import COUNT, fresh, steps

TO_SOME = {name for name, case in CASES.items() if can_open_to_some(parse_spec(case.request), case.rules)}


def test_every_analysis_is_judged() -> None:
    assert {case.request["type"] for case in CASES.values()} == set(ANALYSES)
    assert {CASES[name].request["type"] for name in TO_SOME} == {
        "count",
        "crosstab",
        "missingness",
        "sample-overlap",
        "kaplan-meier",
        "logrank",
        "cumulative-incidence",
        "gray",
        "table-test",
        "ttest",
        "anova",
        "correlation",
    }


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in {"count strict"} else [pytest.mark.long]) for n in sorted(TO_SOME)],
)
def test_recipients_see_all_and_the_others_nothing(tmp_path: Path, name: str) -> None:
    parties, seen = parties_of(CASES[name], tmp_path), list[Message]()
    whole = parties.run(observe=seen.append)
    count = len(seen)
    found = parties.run(lambda name: {"recipients": (2,)}, observe=seen.append)
    assert found[0] is None
    assert found[2] is None
    assert isinstance(found[1], Outcome), found[1]
    for table in whole[1].tables:
        pd.testing.assert_frame_equal(found[1].tables[table], whole[1].tables[table], check_exact=True)
    assert repr(found[1].values) == repr(whole[1].values)
    assert found[1].run["recipients"] == ["beta"]
    # the same messages but for shares of results to the others
    sizes = [{(m.step, m.sender, m.receiver): len(m.payload) for m in part} for part in (seen[:count], seen[count:])]
    assert sizes[1].items() <= sizes[0].items()
    missing = sizes[0].keys() - sizes[1].keys()
    assert missing
    assert {receiver for _, _, receiver in missing} == {1, 3}
    assert {sender for _, sender, receiver in missing if receiver == 1} == {2, 3}


@pytest.mark.parametrize("name", sorted(CASES.keys() - TO_SOME))
def test_others_are_refused_before_anything_is_sent(name: str) -> None:
    case = CASES[name]
    spec = parse_spec(case.request)
    with pytest.raises(SpecError, match="must be all parties"):
        asyncio.run(
            execute(_Nowhere(), spec=spec, rules=case.rules, recipients=(1, 2), study_digest=bytes(32))  # type: ignore[arg-type]
        )


class _Nowhere:
    """A channel on which nothing may be sent."""

    index, parties, patience_seconds = 1, NAMES, 1.0


@pytest.mark.parametrize("recipients", [(), (0,), (4,), (1, 7)])
def test_recipients_are_parties_of_the_run(recipients: tuple[int, ...]) -> None:
    assert all(isinstance(e, SpecError) for e in COUNT.run(lambda name: {"recipients": recipients}))


def test_all_parties_are_the_default() -> None:
    outcomes = COUNT.run(lambda name: {"recipients": (3, 1, 2)})
    assert all(isinstance(o, Outcome) and "recipients" not in o.run for o in outcomes)


def test_a_sealed_run_is_released_to_some() -> None:
    attempts, journals = Attempts(NAMES), fresh()
    attempts.attempt(COUNT.part(journals, "compute", recipients=(2, 3)))
    found = attempts.attempt(COUNT.part(journals, "release", recipients=(2, 3)))
    assert found[0] is None
    assert [o.tables["counts"]["count"].tolist() for o in found[1:]] == [[20, 20]] * 2
    assert found[1].run["recipients"] == ["beta", "gamma"]
    assert found[1].run["recipients_digest"] == found[2].run["recipients_digest"] != found[1].run["openings_digest"]
    # taken up again it is the same; but nobody else becomes a recipient in the same run
    assert attempts.attempt(COUNT.part(journals, "release", recipients=(2, 3)))[0] is None
    mixed: dict[str, Any] = {"alpha": (1, 2, 3), "beta": (2, 3), "gamma": (2, 3)}
    errors = attempts.attempt(COUNT.part(journals, "release", recipients=mixed))
    assert all(isinstance(error, Divergence) for error in errors)
    assert all(m.step < FIRST_STEP for m in attempts.seen)


def test_parties_in_different_phases_do_not_meet() -> None:
    attempts, journals = Attempts(NAMES), fresh()
    attempts.attempt(COUNT.part(journals, "compute"))

    async def part(channel: Any) -> Any:
        return await COUNT.part(journals, "compute" if channel.index == 2 else "release")(channel)

    assert all(isinstance(error, Divergence) for error in attempts.attempt(part))
    assert all(m.step < FIRST_STEP for m in attempts.seen)


def test_the_ledger_does_not_tell_the_others_what_was_shown(tmp_path: Path) -> None:
    books = {name: ReleaseLedger(tmp_path / name, name) for name in NAMES}
    COUNT.run(lambda name: {"recipients": (2,), "ledger": books[name]})
    assert [[e.release.shown for e in books[name].entries("main")] for name in NAMES] == [[None]] * 3
    again = replace(COUNT, study=b"7" * 32).run(lambda name: {"ledger": books[name]})
    assert all(isinstance(o, Outcome) for o in again)


def test_only_recipients_compare_values() -> None:
    """A recipient that got a wrong value is noticed by the other one; sizes are compared by all."""

    async def program(session: Session, liar: int | None) -> list[int]:
        session.recipients = (1, 2)
        session.openings.some = True
        session.openings.declare("result", 8, "for two")
        session.openings.declare("go on", 1, "for all", decision=True)
        one = Shared(M61, M61.from_int64(np.array([5, 6, 7])), session.committee.t)
        assert int((await open_declared(session, one[:1], "go on"))[0]) == 5
        values = await open_declared(session, one, "result")
        if session.index == liar:
            session.openings.record("result", b"another", seen_by_some=True)
        bits = BooleanShared(np.zeros((len(session.committee.subsets_of(session.index)), 1, 1), np.uint64), 3)
        assert (await open_declared_bits(session, bits, "result")).tolist() == [[0, 0, 0]]
        await confirm(session)
        return [int(v) for v in values]

    committee = Committee(3, 1)
    assert run_parties(committee, lambda s: program(s, None)) == [[5, 6, 7], [5, 6, 7], [0, 0, 0]]
    with pytest.raises(Divergence, match="other values"):
        run_parties(committee, lambda s: program(s, 1))
    assert run_parties(committee, lambda s: program(s, 3))[2] == [0, 0, 0]


# --- with parties that do not compute -------------------------------------------------------------------------------

FIVE = replace(
    COUNT,
    tables={**COUNT.tables, "delta": pd.DataFrame({"age": np.arange(40, 80), "sex": ["M"] * 40}), "epsilon": None},
)
GUESTS: dict[str, Any] = {"committee": Committee(3, 1)}


@pytest.mark.parametrize("recipients", [(2, 5), (1,), (4,), (1, 2, 3, 4, 5)])
def test_guests_may_be_recipients_or_not(recipients: tuple[int, ...]) -> None:
    attempts, journals = Attempts(tuple(FIVE.tables)), fresh(5)
    computed = attempts.attempt(FIVE.part(journals, "compute", **GUESTS))
    assert {run.before for run in computed} == {"counts"}
    counts = set(steps(attempts))
    found = attempts.attempt(FIVE.part(journals, "release", recipients=recipients, **GUESTS))
    for number, outcome in enumerate(found, 1):
        if number in recipients:
            assert outcome.tables["counts"]["count"].tolist() == [20, 60]
        else:
            assert outcome is None
    # shares of results are the messages of the first step behind the seal
    first = min(steps(attempts))
    assert first > max(counts)
    told = {m.receiver for m in attempts.seen if m.step == first + FIRST_STEP}
    assert told == set(recipients)
    assert attempts.ambiguous == []


@pytest.mark.parametrize("victim", [3, 5])
def test_a_guest_or_member_may_die_while_results_are_released_to_some(victim: int) -> None:
    for at in (2, 12):
        attempts, journals = Attempts(tuple(FIVE.tables)), fresh(5)
        attempts.attempt(FIVE.part(journals, "compute", **GUESTS))
        broken = attempts.attempt(FIVE.part(journals, "release", recipients=(2, 4), **GUESTS), victim, at)
        assert isinstance(broken[victim - 1], Killed)
        found = attempts.attempt(FIVE.part(journals, "release", recipients=(2, 4), **GUESTS))
        assert [outcome is None for outcome in found] == [True, False, True, False, True]
        assert attempts.ambiguous == []
