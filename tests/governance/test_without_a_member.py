"""Real nodes: a member that only computes is killed for good in the middle of a run; the others finish without it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import structlog
from typer.testing import CliRunner

from mpcstats.cli.main import app
from mpcstats.errors import MpcStatsError, NotApproved, PartyNeeded, PartyPresent, PartyUnreachable, StudyClosed
from mpcstats.node.assembly import open_office
from mpcstats.node.auditing.log import AuditLog, roster_keys
from mpcstats.node.bundles.checks import check_bundle, failures
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.state.database import Database
from mpcstats.sdk.processes import ProcessNetwork
from mpcstats.sdk.sandbox import PartyFiles, make_party_directories
from mpcstats.sdk.studies import save_result
from mpcstats.stats.outcome import Outcome
from mpcstats.study.entries import SignedEntry, check_chain
from tests.governance.kit import NAMES, count_manifest, make_files, make_proposal, propose, truth
from tests.governance.test_resuming import SPEC, START_SECONDS, Consortium, broken, eventually

pytestmark = pytest.mark.long
LOST = "delta"
ALL = (*NAMES, LOST)


class Four(Consortium):
    """Three hospitals and a neutral node, threshold 1."""

    def back(self, name: str = LOST) -> None:
        """Start a node again that is gone."""
        if self.network[name].process.poll() is not None:
            self.start(name)
        (self.network.directories[name] / "die_at").unlink(missing_ok=True)
        for other in ALL:
            eventually(lambda o=other: not self.govern(o, "sync")["problems"], f"{other} does not reach all")

    def gone(self, name: str = LOST) -> None:
        self.network[name].kill()

    def broken(self, study: str, record: int = 25) -> None:
        """A run in which the neutral node is killed; it stays away."""
        error = broken(self, study, LOST, record)
        assert isinstance(error, PartyUnreachable)
        assert error.party == LOST

    def missing(self, name: str, study: str) -> list[SignedEntry]:
        """What the parties have said about lost ones, as one of them knows it."""
        entries = [SignedEntry.model_validate(plain) for plain in self.govern(name, "entries", study=study)["entries"]]
        return [signed for signed in entries if signed.entry.action == "missing"]


def command(four: Four, name: str, *arguments: str) -> Any:
    """What somebody types at a party."""
    return CliRunner().invoke(app, [*arguments, "--party", str(four.network.directories[name])])


def counts(outcome: Outcome) -> dict[str, int]:
    return dict(outcome.tables["counts"].set_index("sex")["count"].astype(int))


def rounded(people: pd.Series) -> dict[str, int]:
    """As the standard policy rounds."""
    return {sex: 5 * round(number / 5) for sex, number in people.items()}


def bundle(four: Four, name: str, study: str, folder: Path) -> bytes:
    client = four.network[name].client
    _, files = save_result(client, study, "", folder / f"{name}-{study[:6]}")
    (path,) = [path for path in files if path.name.endswith(".bundle.zip")]
    return path.read_bytes()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Four, Path]]:
    root = tmp_path_factory.mktemp("four")
    files = make_files(root) | {LOST: PartyFiles(role="compute")}
    directories = make_party_directories(root / "parties", files, consortium="heart")
    with ProcessNetwork(directories, start_seconds=START_SECONDS) as network:
        found = Four(network)
        signed = lambda: all(len(found.govern(name, "consortium")["signed"]) == 4 for name in ALL)  # noqa: E731
        eventually(signed, "the signatures of the roster did not arrive")
        yield found, root


@pytest.fixture
def four(world: tuple[Four, Path]) -> Four:
    return world[0]


def test_the_others_finish_and_all_can_see_why(world: tuple[Four, Path], tmp_path: Path) -> None:
    four, root = world
    study = four.study("one-is-lost")
    four.broken(study)
    old = four.journal("northfield", study).parent.name
    line = four.govern("lakeside", "run", study=study, without=[LOST])
    assert (line["status"], line["run"]["without"]) == ("computed", [LOST])
    assert line["run"]["run"] != old
    assert all(old not in {path.name for path in four.sealed(name)} for name in NAMES)
    results = four.released(study)
    assert [counts(result) for result in results] == [rounded(truth(root))] * 3
    account = results[0].run
    assert (account["parties"], account["committee"], account["threshold"]) == ([*NAMES], [*NAMES], 1)
    assert set(account["certificate"]["signatures"]) == set(NAMES)
    shown = command(four, "westbay", "study", "show", study).output
    assert f"run {line['run']['run'][:12]} is without delta: lost, as all others signed" in shown
    said = four.missing("westbay", study)
    assert sorted(signed.entry.party for signed in said) == sorted(NAMES)
    assert all(signed.entry.body == {"run": line["run"]["run"], "without": [LOST]} for signed in said)
    checks = check_bundle(bundle(four, "westbay", study, tmp_path), four.network.roster)
    assert not failures(checks)
    assert "all but delta, which the others took for lost" in {check.detail for check in checks}


def test_the_lost_party_sees_it_when_it_is_back(four: Four) -> None:
    four.back()
    study = four.study("back-again")
    four.broken(study)
    (kept,) = four.sealed(LOST)
    run = four.govern("northfield", "run", study=study, without=[LOST])["run"]["run"]
    four.released(study)
    four.back()
    shown = four.govern(LOST, "show", study=study)
    study_id = shown["id"]
    assert [line["without"] for line in shown["runs"] if line["run"] == run] == [[LOST]]
    assert len(four.missing(LOST, study)) == 3
    with pytest.raises(NotApproved, match="was made without delta"):
        four.govern(LOST, "result", study=study)
    keys = roster_keys(four.network.roster)
    for name in ALL:
        check_chain(chain(four, LOST, name), keys[name])
        audit = log_of(four, name)
        assert audit.verify({name: keys[name] for name in ALL}) > 0
        noted = [record for record in audit.records() if record.event == "party-missing" and record.study == study_id]
        assert len(noted) == 3
        assert all(record.conditions["without"] == (LOST,) for record in noted)
    # the journal of the run that broke off goes with the next look at what is kept
    four.network[LOST].stop(60)
    four.start(LOST)
    assert not kept.exists()
    # and with all four there, a study runs with all four
    whole = four.study("all-of-us")
    four.back()
    line = four.govern("northfield", "run", study=whole)
    assert line["run"]["without"] == []
    assert set(line["run"]["computed"]) == set(ALL)


def chain(four: Four, at: str, party: str) -> list[SignedEntry]:
    """All entries of a party as another one has them."""
    office = open_office(PartyDirectory(four.network.directories[at]), four.network.roster, structlog.get_logger())
    try:
        return office.desk.chain(party)
    finally:
        office.desk.database.close()


def log_of(four: Four, name: str) -> AuditLog:
    directory = PartyDirectory(four.network.directories[name])
    return AuditLog(Database(directory.state_url, name), "heart", name, directory.signing_key())


def test_who_cannot_be_left_out(four: Four) -> None:
    four.back()
    study = four.study("who-lives")
    with pytest.raises(PartyPresent, match="answers northfield") as there:
        four.govern("northfield", "run", study=study, without=[LOST])
    assert there.value.party == LOST
    with pytest.raises(PartyNeeded, match="has data in study who-lives"):
        four.govern("northfield", "run", study=study, without=["westbay"])
    with pytest.raises(MpcStatsError, match="is no party of the study"):
        four.govern("northfield", "run", study=study, without=["epsilon"])
    with pytest.raises(MpcStatsError, match="cannot be resumed"):
        four.govern("northfield", "run", study=study, without=[LOST], resume=True)
    refused = command(four, "northfield", "study", "run", study, "--without", LOST)
    assert isinstance(refused.exception, PartyPresent)
    assert four.missing("northfield", study) == []
    assert four.govern("northfield", "run", study=study)["status"] == "computed"


def test_a_sealed_result_that_waits_for_a_lost_party_is_computed_again_unless_it_was_withheld(four: Four) -> None:
    four.back()
    sealed, refused = four.study("sealed"), four.study("refused")
    first = four.govern("northfield", "run", study=sealed)["run"]["run"]
    four.govern("northfield", "run", study=refused)
    four.govern(LOST, "decide", study=refused, decision="withhold", reason="not like this")
    four.gone()
    with pytest.raises(StudyClosed, match="has its result"):
        four.govern("northfield", "run", study=sealed, afresh=True)
    line = four.govern("northfield", "run", study=sealed, without=[LOST])
    assert line["run"]["run"] != first
    assert (line["status"], line["run"]["without"]) == ("computed", [LOST])
    assert len({str(counts(result)) for result in four.released(sealed)}) == 1
    with pytest.raises(StudyClosed, match="withheld"):
        four.govern("northfield", "run", study=refused, without=[LOST])


def test_a_run_without_it_that_breaks_off_is_gone_on_with(four: Four) -> None:
    """Another party is killed in the run without the lost one: the journals hold it, and the lost one stays outside."""
    four.back()
    study = four.study("twice")
    four.broken(study)
    four.start("westbay", fragile=True)
    four.dies_at("westbay", 25)
    with pytest.raises(PartyUnreachable) as caught:
        four.govern("northfield", "run", study=study, without=[LOST])
    assert caught.value.party == "westbay"
    four.network["westbay"].wait(30)
    four.start("westbay")
    four.back()  # the lost one is there again: the run that began without it goes on without it
    line = four.govern("lakeside", "run", study=study, resume=True)
    assert (line["status"], line["run"]["without"]) == ("computed", [LOST])
    assert len({str(counts(result)) for result in four.released(study)}) == 1


def test_three_parties_need_each_other(tmp_path: Path) -> None:
    files = make_files(tmp_path, TWO)
    del files["westbay"]
    files[LOST] = PartyFiles(role="compute")
    directories = make_party_directories(tmp_path / "parties", files, consortium="heart")
    with ProcessNetwork(directories, start_seconds=START_SECONDS) as network:
        three = Consortium(network)
        names = ("northfield", "lakeside")
        joined = lambda: all(len(three.govern(name, "consortium")["signed"]) == 3 for name in names)  # noqa: E731
        eventually(joined, "the signatures of the roster did not arrive")
        lead = network["northfield"].client
        study = propose(lead, make_proposal(lead, SPEC, count_manifest(2), id="three"))
        for name in names:
            three.govern(name, "decide", study=study, decision="approve")
        network[LOST].kill()
        with pytest.raises(PartyNeeded, match="2 members would be left, and threshold 1 needs at least 3"):
            three.govern("northfield", "run", study=study, without=[LOST])


TWO = 'apiVersion = "mpcstats/v1"\nkind = "Policy"\nextends = "standard"\n[disclosure]\nminimum_parties = 2\n'
