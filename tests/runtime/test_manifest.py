"""What is approved: names, numbers of values, kinds; more cannot be declared."""

from __future__ import annotations

import json

import pytest

from mpcstats.errors import SpecError, UndeclaredOpening
from mpcstats.field import M61
from mpcstats.protocols import sum_of_inputs
from mpcstats.runtime import Manifest, ManifestEntry, Session, open_declared
from mpcstats.runtime.lanes import side_by_side
from mpcstats.runtime.openings import OpeningLog
from mpcstats.sharing.committee import Committee
from mpcstats.testing.network import run_parties

APPROVED = Manifest(
    (ManifestEntry("enough", 1, "decision", "whether enough"), ManifestEntry("counts", 4, "result", "people"))
)


def test_a_manifest_is_plain_json() -> None:
    plain = json.loads(json.dumps(APPROVED.to_plain()))
    assert Manifest.from_plain(plain) == APPROVED
    assert plain[0] == {"name": "enough", "limit": 1, "kind": "decision", "why": "whether enough"}


@pytest.mark.parametrize(
    "change",
    [{"kind": "secret"}, {"limit": -1}, {"limit": True}, {"limit": 1.5}, {"name": 7}, {"why": None}, {"more": 1}],
)
def test_something_else_is_no_manifest(change: dict[str, object]) -> None:
    row = {"name": "counts", "limit": 4, "kind": "result", "why": "people"}
    assert Manifest.from_plain([row]).entries
    with pytest.raises(SpecError, match="malformed"):
        Manifest.from_plain([row | change])


def test_a_name_stands_once() -> None:
    with pytest.raises(SpecError):
        Manifest.from_plain([*APPROVED.to_plain(), APPROVED.to_plain()[0]])
    for other in (None, 3, "text", {"entries": []}, [[]]):
        with pytest.raises(SpecError):
            Manifest.from_plain(other)


def test_the_manifest_of_a_log() -> None:
    log = OpeningLog()
    log.declare("counts", 3, "people")
    log.declare("enough", 1, "whether enough", decision=True)
    log.declare("counts", 1, "people")
    assert set(Manifest.of(log).entries) == set(APPROVED.entries)


def test_what_is_approved_can_be_declared_and_opened() -> None:
    log = OpeningLog(APPROVED)
    log.declare("counts", 3, "people")
    log.declare("counts", 1, "people")
    log.part().declare("enough", 1, "whether enough", decision=True)
    log.allow("counts", 4)
    log.allow("enough", 1)


def test_more_than_what_is_approved_cannot_be_declared() -> None:
    log = OpeningLog(APPROVED)
    log.declare("counts", 3, "people")
    for name, limit, decision in [("counts", 2, False), ("counts", 1, True), ("other", 1, False), ("enough", 1, False)]:
        with pytest.raises(UndeclaredOpening, match=r"approved|different reasons"):
            log.declare(name, limit, "people", decision=decision)
    with pytest.raises(UndeclaredOpening, match="approved"):
        log.part().declare("counts", 2, "people")
    # nothing of what failed remains
    assert list(log.manifest) == ["counts"]
    assert log.manifest["counts"].limit == 3
    with pytest.raises(UndeclaredOpening):
        log.allow("enough", 1)


def test_a_name_is_of_one_kind() -> None:
    log = OpeningLog()
    log.declare("enough", 1, "whether enough", decision=True)
    with pytest.raises(UndeclaredOpening, match="different reasons"):
        log.declare("enough", 1, "whether enough")


def test_lanes_keep_to_what_is_approved() -> None:
    sent: list[int] = []

    async def program(session: Session) -> None:
        session.openings = OpeningLog(APPROVED)
        one = await sum_of_inputs(session, M61, M61.constant(session.index).reshape(1), (1, 2, 3), (1,))

        async def fine(lane: Session) -> None:
            lane.openings.declare("counts", 1, "people")
            assert int((await open_declared(lane, one, "counts"))[0]) == 6

        async def beyond(lane: Session) -> None:
            lane.openings.declare("more", 1, "people")
            await open_declared(lane, one, "more")

        await side_by_side(session, fine, fine)
        sent.clear()
        await side_by_side(session, beyond, beyond)

    with pytest.raises(UndeclaredOpening, match="'more'"):
        run_parties(Committee(3, 1), program, observe=lambda message: sent.append(message.step))
    assert sent == []
