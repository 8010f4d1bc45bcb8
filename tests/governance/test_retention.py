"""When the shares of runs are deleted: at the release, after `retain_shares`, or where there will be no release."""

from __future__ import annotations

import datetime
from types import SimpleNamespace

import pytest

from mpcstats.node.governance.office import Office
from mpcstats.node.settings.config import StorageConfig
from mpcstats.study.canonical import moment
from mpcstats.study.lifecycle import RunState

START = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)
PARTIES = ("north", "south", "west")


class World:
    """One party's office with one study of one run, which the vault keeps."""

    def __init__(self, retain: str = "0d", opened: tuple[str, ...] = (), closed: tuple[str, str] | None = None) -> None:
        self.now, self.kept, self.forgotten, self.logged = START, ["aa"], [], []
        self.entries = [
            # the times of others are far in the past, and count for nothing
            self._entry(party, moment(START if party == "north" else START - datetime.timedelta(days=400)))
            for party in opened
        ]
        self.state = SimpleNamespace(
            id="s1",
            runs={"aa": RunState("aa", computed=PARTIES, opened=opened)},
            proposal=SimpleNamespace(lock=SimpleNamespace(parties=PARTIES)),
            closed_because=closed,
        )
        office = object.__new__(Office)
        office.directory = SimpleNamespace(config=SimpleNamespace(storage=StorageConfig(retain_shares=retain)))
        office.desk = SimpleNamespace(
            party="north",
            study=lambda study: self.state,
            entries_of=lambda study: self.entries,
            now=lambda: self.now,
        )
        office.vault = SimpleNamespace(runs=lambda: self.kept, forget=self.forget)
        office.ledger = "ledger"
        office.unfinished = SimpleNamespace(study_of=lambda run: "s1", tidy=lambda *facts: None)
        log = lambda event, **facts: self.logged.append(event)  # noqa: E731
        office.log = SimpleNamespace(info=log, warning=log)
        self.office = office

    @staticmethod
    def _entry(party: str, time: str) -> SimpleNamespace:
        return SimpleNamespace(entry=SimpleNamespace(party=party, action="released", time=time, body={"run": "aa"}))

    def forget(self, run: str, ledger: object = None, session: str = "") -> None:
        self.kept.remove(run)
        self.forgotten.append((run, ledger))


def test_shares_go_with_the_release_unless_told_otherwise() -> None:
    world = World(opened=PARTIES)
    world.office.tidy()
    assert world.forgotten == [("aa", None)]
    assert world.logged == ["shares_deleted"]


def test_they_stay_while_a_party_has_not_seen_the_result() -> None:
    world = World(opened=PARTIES[:2])
    world.office.tidy()
    assert world.forgotten == []


@pytest.mark.parametrize(("retain", "hours"), [("36h", 36), ("2d", 48)])
def test_they_are_kept_for_a_time_after_the_release(retain: str, hours: int) -> None:
    world = World(retain, opened=PARTIES)
    for passed, left in ((0, 1), (hours - 1, 1), (hours, 0)):
        world.now = START + datetime.timedelta(hours=passed)
        world.office.tidy()
        assert len(world.kept) == left


def test_a_result_that_will_never_be_released_goes_at_once_with_its_entry_in_the_ledger() -> None:
    world = World("30d", closed=("expired", "it expired"))
    world.office.tidy()
    assert world.forgotten == [("aa", "ledger")]
