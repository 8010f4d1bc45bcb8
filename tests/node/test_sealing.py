"""Computed, sealed, released: the same results as at once, and nothing of them leaves before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import ConfigurationError, DisclosureRefused, Divergence, JournalMismatch, MpcStatsError
from mpcstats.field import M61
from mpcstats.node.analyses import counts as node_counts
from mpcstats.node.ledger.releases import ReleaseLedger
from mpcstats.node.runs.journal import FileJournal
from mpcstats.node.runs.sealing import SealedRun, withdraw
from mpcstats.runtime import Sealed, Session, open_declared, open_declared_bits, open_to
from mpcstats.runtime.lanes import side_by_side
from mpcstats.runtime.shared import BooleanShared, Shared
from mpcstats.sharing.committee import Committee
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.policy import Policy
from mpcstats.testing.attempts import Attempts, Killed
from mpcstats.testing.network import run_parties
from mpcstats.transport.journal import MemoryJournal
from mpcstats.transport.journaled import FIRST_STEP, LAST_STEP
from tests.node.cases import CASES, NAMES, parties_of
from tests.node.in_memory import Parties

CHOSEN = ["count strict", "crosstab pooled", "kaplan-meier strict"]


def fresh(parties: int = 3) -> list[MemoryJournal]:
    return [MemoryJournal(bytes([i]) * 32) for i in range(parties)]


def same(one: Outcome, other: Outcome) -> None:
    assert one.tables.keys() == other.tables.keys()
    for name, table in one.tables.items():
        pd.testing.assert_frame_equal(table, other.tables[name], check_exact=True)
    assert repr(one.values) == repr(other.values)
    assert (one.withheld, one.conventions) == (other.withheld, other.conventions)
    assert {k: v for k, v in one.run.items() if k != "seconds"} == {
        k: v for k, v in other.run.items() if k != "seconds"
    }


def steps(attempts: Attempts) -> list[int]:
    """Steps of the run whose messages were sent in the last attempt."""
    return [m.step - FIRST_STEP for m in attempts.seen if FIRST_STEP <= m.step < LAST_STEP]


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in CHOSEN else [pytest.mark.long]) for n in CASES])
def test_two_phases_are_one_run(tmp_path: Path, name: str) -> None:
    """The very same bytes as at once; the first result is the first message of the release."""
    parties = parties_of(CASES[name], tmp_path)
    at_once, journals = Attempts(NAMES), fresh()
    whole = at_once.attempt(parties.part(fresh(), "whole"))
    assert isinstance(whole[0], Outcome), whole[0]
    attempts = Attempts(NAMES)
    runs = attempts.attempt(parties.part(journals, "compute"))
    assert all(isinstance(run, SealedRun) for run in runs), runs
    computed = steps(attempts)
    kinds = {entry.name: entry.kind for entry in runs[0].manifest.entries}
    assert kinds[runs[0].before] == "result"
    assert all(kinds[decision] == "decision" for decision in runs[0].decisions)
    assert {run.before for run in runs} == {runs[0].before}
    released = attempts.attempt(parties.part(journals, "release"))
    assert isinstance(released[0], Outcome), released[0]
    for one, other in zip(whole, released, strict=True):
        same(one, other)
    # nothing was sent twice, and nothing of the second phase in the first
    assert {key: payloads for key, payloads in attempts.wire.items() if len(payloads) != 1} == {}
    assert attempts.wire == at_once.wire
    assert max(computed, default=-1) < min(steps(attempts))


def test_no_share_of_a_result_leaves_before_the_release(tmp_path: Path) -> None:
    """The three ways in which values are opened, decisions aside."""
    sent: list[int] = []

    async def program(session: Session) -> list[str]:
        session.openings.seal = True
        session.openings.declare("go on", 1, "decision", decision=True)
        session.openings.declare("result", 3, "result")
        one = Shared(M61, M61.constant(1).reshape(1), session.committee.t)
        assert int((await open_declared(session, one, "go on"))[0]) == 1
        count = len(sent)
        bits = BooleanShared(np.zeros((len(session.committee.subsets_of(session.index)), 1, 1), np.uint64), 1)

        async def alone(lane: Session) -> None:
            await open_declared(lane, one, "result")

        found = []
        for opening in (
            lambda: open_declared(session, one, "result"),
            lambda: open_declared_bits(session, bits, "result"),
            lambda: open_to(session, one, "result", 2),
            lambda: side_by_side(session, alone, alone),
        ):
            try:
                await opening()
            except Sealed as sealed:
                found.append(sealed.name)
        assert len(sent) == count
        assert session.openings.manifest["result"].values == 0
        return found

    assert run_parties(Committee(3, 1), program, observe=lambda m: sent.append(m.step)) == [["result"] * 4] * 3
    assert sent


def test_nothing_that_deals_with_errors_stops_a_seal() -> None:
    assert not issubclass(Sealed, Exception)


COUNT = Parties(
    CountSpec(by=["sex"]),
    {"alpha": pd.DataFrame({"age": np.arange(40, 80), "sex": ["F", "M"] * 20}), "beta": None, "gamma": None},
    rules=replace(Policy.preset("standard").rules, minimum_count=4, minimum_parties=1, small_remainders=True),
)


def test_a_phase_needs_a_journal() -> None:
    assert all(isinstance(o, ConfigurationError) for o in COUNT.run(lambda name: {"phase": "compute"}))


def test_only_what_was_computed_is_released() -> None:
    attempts, journals = Attempts(NAMES), fresh()
    assert all(isinstance(o, JournalMismatch) for o in attempts.attempt(COUNT.part(journals, "release")))
    assert attempts.seen == []
    # one party was not sealed: no share of the result leaves the others
    attempts.attempt(COUNT.part(journals, "compute"))
    behind = [*journals[:2], MemoryJournal(journals[2].seed)]
    errors = attempts.attempt(COUNT.part(behind, "release"))
    assert all(isinstance(error, MpcStatsError) for error in errors)
    assert steps(attempts) == []


def test_a_release_can_be_taken_up_again_anywhere() -> None:
    whole = Attempts(NAMES).attempt(COUNT.part(fresh(), "whole"))
    for victim, at in ((1, 0), (1, 10), (2, 11), (3, 12)):
        attempts, journals = Attempts(NAMES), fresh()
        attempts.attempt(COUNT.part(journals, "compute"))
        broken = attempts.attempt(COUNT.part(journals, "release"), victim, at, after=bool(at % 2))
        assert isinstance(broken[victim - 1], Killed)
        released = attempts.attempt(COUNT.part(journals, "release"))
        for one, other in zip(whole, released, strict=True):
            same(one, other)
        assert attempts.ambiguous == []


@pytest.mark.parametrize("phase", ["compute", "whole"])
def test_a_run_can_be_taken_up_again_after_any_message(phase: str) -> None:
    """A party dies anywhere, all go on from their journals: the same outcome, no mask on two values."""
    attempts = Attempts(NAMES)
    expected = attempts.attempt(COUNT.part(fresh(), phase))
    counts = attempts.messages
    for at in range(0, max(counts), 5 if phase == "whole" else 11):
        victim = at % 3 + 1
        if at >= counts[victim - 1]:
            continue
        attempts, journals = Attempts(NAMES), fresh()
        broken = attempts.attempt(COUNT.part(journals, phase), victim, at, after=bool(at % 2))
        assert isinstance(broken[victim - 1], Killed)
        again = attempts.attempt(COUNT.part(journals, phase))
        for one, other in zip(expected, again, strict=True):
            if phase == "whole":
                same(one, other)
            else:
                assert replace(one, journal="") == replace(other, journal="")
        assert attempts.ambiguous == []


@pytest.mark.long
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("victim", [1, 2, 3])
def test_a_run_can_be_taken_up_again_after_every_message(victim: int, after: bool) -> None:
    attempts = Attempts(NAMES)
    expected = attempts.attempt(COUNT.part(fresh(), "whole"))
    for at in range(attempts.messages[victim - 1]):
        attempts, journals = Attempts(NAMES), fresh()
        assert isinstance(attempts.attempt(COUNT.part(journals, "whole"), victim, at, after)[victim - 1], Killed)
        for one, other in zip(expected, attempts.attempt(COUNT.part(journals, "whole")), strict=True):
            same(one, other)
        assert attempts.ambiguous == []


def test_parties_that_stop_at_different_results_do_not_seal(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = node_counts.joint_count

    async def count(session: Session, *rest: Any) -> Outcome:
        if session.index == 2:
            session.openings.declare("more", 1, "not in the others' manifest")
        return await honest(session, *rest)

    monkeypatch.setattr(node_counts, "joint_count", count)
    errors = Attempts(NAMES).attempt(COUNT.part(fresh(), "compute"))
    assert all(isinstance(error, Divergence) for error in errors)
    assert [error.party for error in errors] == ["beta", "alpha", "beta"]


def test_other_data_are_not_released(tmp_path: Path) -> None:
    """Between the phases a party's table changed: it would send other bytes, and stops."""
    attempts, journals = Attempts(NAMES), fresh()
    attempts.attempt(COUNT.part(journals, "compute"))
    table = COUNT.tables["alpha"].copy()
    table.loc[0, "sex"] = "M"
    changed = replace(COUNT, tables={**COUNT.tables, "alpha": table})
    errors = attempts.attempt(changed.part(journals, "release"))
    assert isinstance(errors[0], JournalMismatch)
    assert errors[0].party == "alpha"
    assert not any(m.sender == 1 and m.step >= FIRST_STEP for m in attempts.seen)
    assert attempts.ambiguous == []


# --- the ledger of released counts ----------------------------------------------------------------------------------


def ledgers(folder: Path | None = None) -> dict[str, ReleaseLedger]:
    return {name: ReleaseLedger(folder and folder / name / "released.sqlite", name) for name in NAMES}


def entries(books: dict[str, ReleaseLedger]) -> list[list[tuple[str, Any]]]:
    return [[(e.id, e.release.shown) for e in books[name].entries("main")] for name in NAMES]


EVERYBODY = replace(COUNT, spec=CountSpec(), study=b"1" * 32)
NEARLY = replace(COUNT, spec=CountSpec(where="age < 79"), study=b"2" * 32)
OLD = replace(COUNT, spec=CountSpec(where="age >= 60"), study=b"3" * 32)


def phases(parties: Parties, books: dict[str, ReleaseLedger], journals: list[MemoryJournal], phase: str) -> list[Any]:
    return Attempts(NAMES).attempt(parties.part(journals, phase, ledger=books))


def test_the_ledger_is_written_with_the_seal_and_completed_at_the_release(tmp_path: Path) -> None:
    books, journals = ledgers(tmp_path), fresh()
    assert isinstance(phases(EVERYBODY, books, journals, "compute")[0], SealedRun)
    assert entries(books) == [[("31" * 32, None)]] * 3
    # computed again (a party had died at the seal): nothing twice
    assert isinstance(phases(EVERYBODY, books, journals, "compute")[0], SealedRun)
    assert entries(books) == [[("31" * 32, None)]] * 3
    for _ in range(2):
        assert isinstance(phases(EVERYBODY, books, journals, "release")[0], Outcome)
        assert entries(books) == [[("31" * 32, (True,))]] * 3


def test_what_is_sealed_counts_as_released(tmp_path: Path) -> None:
    books = ledgers(tmp_path)
    phases(EVERYBODY, books, fresh(), "compute")
    errors = phases(NEARLY, books, fresh(), "compute")
    assert all(isinstance(error, DisclosureRefused) for error in errors)
    # who is refused leaves nothing behind
    assert entries(books) == [[("31" * 32, None)]] * 3


def test_a_release_does_not_see_what_was_released_meanwhile(tmp_path: Path) -> None:
    """Its messages about earlier releases are those of when it was computed."""
    books, first, second = ledgers(tmp_path), fresh(), fresh()
    phases(EVERYBODY, books, fresh(), "whole")
    phases(OLD, books, first, "compute")
    other = replace(COUNT, spec=CountSpec(where="age >= 50"), study=b"4" * 32)
    phases(other, books, second, "compute")
    last = phases(other, books, second, "release")
    assert isinstance(last[0], Outcome), last
    released = phases(OLD, books, first, "release")
    assert isinstance(released[0], Outcome), released
    assert released[0].tables["counts"]["count"].tolist() == [20]
    assert all(shown == (True,) for book in entries(books) for _, shown in book)
    assert [len(book) for book in entries(books)] == [3] * 3


def test_a_ledger_that_lost_what_it_had_stops_the_release(tmp_path: Path) -> None:
    books, journals = ledgers(tmp_path), fresh()
    phases(EVERYBODY, books, fresh(), "whole")
    phases(OLD, books, journals, "compute")
    for name in NAMES:
        (tmp_path / name / "released.sqlite").unlink()
    errors = phases(OLD, books, journals, "release")
    assert any(isinstance(error, ConfigurationError) and "lacks a release" in error.message for error in errors)


def test_the_same_request_again_is_sealed_and_released(tmp_path: Path) -> None:
    books, journals = ledgers(tmp_path), fresh()
    first = phases(EVERYBODY, books, fresh(), "whole")
    again = replace(EVERYBODY, study=b"5" * 32)
    phases(again, books, journals, "compute")
    released = phases(again, books, journals, "release")
    assert released[0].tables["counts"].equals(first[0].tables["counts"])
    assert [len(book) for book in entries(books)] == [1] * 3


def test_a_run_that_is_never_released_leaves_nothing(tmp_path: Path) -> None:
    books, journals = ledgers(tmp_path), fresh()
    phases(EVERYBODY, books, journals, "compute")
    assert all(withdraw(journal, books[name], EVERYBODY.study) for name, journal in zip(NAMES, journals, strict=True))
    assert entries(books) == [[]] * 3
    assert all(journal.seed == b"" for journal in journals)
    assert isinstance(phases(NEARLY, books, fresh(), "whole")[0], Outcome)


def test_what_may_have_been_released_stays_in_the_ledger(tmp_path: Path) -> None:
    books, journals = ledgers(tmp_path), fresh()
    phases(EVERYBODY, books, journals, "compute")
    attempts = Attempts(NAMES)
    attempts.attempt(EVERYBODY.part(journals, "release", ledger=books), 2, 12)
    assert not any(withdraw(journals[k], books[name], EVERYBODY.study) for k, name in enumerate(NAMES))
    assert [len(book) for book in entries(books)] == [1] * 3
    # nor does anybody take out a completed one
    books, journals = ledgers(tmp_path / "other"), fresh()
    phases(EVERYBODY, books, journals, "whole")
    books["alpha"].withdraw(EVERYBODY.study.hex())
    assert [len(book) for book in entries(books)] == [1] * 3


def test_the_journals_may_be_files(tmp_path: Path) -> None:
    digests = []
    for phase in ("compute", "release"):
        sealed = digests or [None] * 3
        journals = [
            FileJournal.open(tmp_path / f"{name}.journal", b"k" * 32, b"run", sealed=digest)
            for name, digest in zip(NAMES, sealed, strict=True)
        ]
        found = Attempts(NAMES).attempt(COUNT.part(journals, phase))
        if phase == "compute":
            digests = [bytes.fromhex(run.journal) for run in found]
        for journal in journals:
            journal.close()
    assert found[0].tables["counts"]["count"].tolist() == [20, 20]


def test_a_run_of_one_phase_that_is_taken_up_again_sees_the_ledger_as_it_was(tmp_path: Path) -> None:
    """It was written in the first attempt, and at two parties completed: not compared with itself, and not twice."""
    whole = Attempts(NAMES)
    expected = whole.attempt(EVERYBODY.part(fresh(), "whole", ledger=ledgers()))
    for dies_at in (1, whole.messages[2] // 2, whole.messages[2] - 1):
        books, journals, attempts = ledgers(tmp_path / str(dies_at)), fresh(), Attempts(NAMES)
        part = EVERYBODY.part(journals, "whole", ledger=books)
        assert isinstance(attempts.attempt(part, 3, dies_at)[2], Killed)
        for one, other in zip(expected, attempts.attempt(part), strict=True):
            same(one, other)
        assert entries(books) == [[("31" * 32, (True,))]] * 3
        assert attempts.ambiguous == []


@pytest.mark.long
@pytest.mark.parametrize("name", ["kaplan-meier strict", "logrank strict", "ols strict", "crosstab pooled"])
def test_a_statistic_is_the_same_to_its_last_digit_when_it_is_taken_up_again(tmp_path: Path, name: str) -> None:
    """Parties die one after the other, further on each time; what is rounded on shares comes out the same."""
    parties = parties_of(CASES[name], tmp_path)
    whole = Attempts(NAMES)
    expected = whole.attempt(parties.part(fresh(), "whole"))
    attempts, journals = Attempts(NAMES), fresh()
    for k in range(1, 7):
        victim = k % 3 + 1
        broken = attempts.attempt(parties.part(journals, "whole"), victim, whole.messages[victim - 1] // 8, bool(k % 2))
        assert isinstance(broken[victim - 1], Killed)
    for one, other in zip(expected, attempts.attempt(parties.part(journals, "whole")), strict=True):
        same(one, other)
    assert attempts.ambiguous == []
