"""Runs of real nodes that break off, by kill -9 and by a stop, and are taken up again."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mpcstats.errors import JournalMismatch, MpcStatsError, NothingToResume, PartyUnreachable, StudyClosed
from mpcstats.sdk.processes import NodeProcess, ProcessNetwork
from mpcstats.sdk.sandbox import make_party_directories
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.outcome_codec import outcome_from_bytes
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.spec import AnalysisSpec
from tests.governance.kit import NAMES, POLICY, count_manifest, make_files, make_proposal, propose

SPEC = CountSpec(by=("sex",))
START_SECONDS = 180.0


class Consortium:
    """The three nodes, any of which can be made to end in the middle of a run."""

    def __init__(self, network: ProcessNetwork) -> None:
        self.network = network

    def govern(self, name: str, verb: str, **arguments: Any) -> dict[str, Any]:
        return self.network[name].client.govern(verb, **arguments)

    def start(self, name: str, *, fragile: bool = False) -> None:
        directory = self.network.directories[name]
        command = [sys.executable, "-m", "tests.governance.fragile_node", str(directory)] if fragile else None
        self.network[name].kill()
        self.network.nodes[name] = NodeProcess(directory, command)
        self.network[name].wait_ready(START_SECONDS)
        eventually(lambda: self.reached_by_all(name), f"{name} is not seen again")

    def reached_by_all(self, name: str) -> bool:
        """Whether all nodes that run see this one; for a second after a failure they do not try."""
        others = [node for node in self.network if node.name != name and node.process.poll() is None]
        peers = [peer for node in others for peer in node.client.status()["peers"] if peer["name"] == name]
        return all(peer["reachable"] for peer in peers)

    def dies_at(self, name: str, record: int) -> None:
        (self.network.directories[name] / "die_at").write_text(str(record))

    def study(self, identity: str, spec: AnalysisSpec = SPEC, **study: Any) -> str:
        """An approved study."""
        lead = self.network[NAMES[0]].client
        number = propose(lead, make_proposal(lead, spec, count_manifest(2), id=identity, **study))
        for name in NAMES:
            self.govern(name, "decide", study=number, decision="approve")
        return number

    def released(self, study: str) -> list[Outcome]:
        """The result at every party."""
        for name in NAMES:
            self.govern(name, "decide", study=study, decision="release")
        return self.results(study)

    def results(self, study: str) -> list[Outcome]:
        paths = [self.govern(name, "result", study=study)["path"] for name in NAMES]
        return [outcome_from_bytes(Path(path).read_bytes()) for path in paths]

    def sealed(self, name: str) -> list[Path]:
        return sorted((self.network.directories[name] / "state" / "sealed").glob("*"))

    def kept(self, *studies: str) -> list[Path]:
        """What the parties hold of the last runs of studies."""
        runs = {self.govern(NAMES[0], "show", study=study)["run"]["run"] for study in studies}
        return [path for name in NAMES for path in self.sealed(name) if path.name in runs]

    def journal(self, name: str, study: str) -> Path:
        """The journal of the study's last run at a party."""
        found = [path / "run.journal" for path in self.sealed(name) if (path / "run.journal").exists()]
        return max(found, key=lambda path: path.stat().st_mtime)

    def resumed(self, name: str) -> list[str]:
        return [event["run"] for event in self.network[name].events if event["event"] == "resuming"]


@pytest.fixture
def consortium(network: ProcessNetwork) -> Iterator[Consortium]:
    yield Consortium(network)
    for name in NAMES:
        (network.directories[name] / "die_at").unlink(missing_ok=True)
        (network.directories[name] / "wait_at").unlink(missing_ok=True)
        if network[name].process.poll() is not None or "fragile_node" in " ".join(map(str, network[name].process.args)):
            Consortium(network).start(name)


def eventually(found: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return answer


def broken(consortium: Consortium, study: str, victim: str, record: int, by: str = NAMES[0]) -> MpcStatsError:
    """The error of a run in which a party is killed."""
    consortium.start(victim, fragile=True)
    consortium.dies_at(victim, record)
    with pytest.raises(MpcStatsError) as caught:
        consortium.govern(by, "run", study=study)
    consortium.network[victim].wait(30)
    return caught.value


def same_tables(one: Outcome, other: Outcome) -> bool:
    return one.tables.keys() == other.tables.keys() and all(
        table.equals(other.tables[name]) for name, table in one.tables.items()
    )


def test_a_run_in_which_a_party_was_killed_is_taken_up_again(consortium: Consortium) -> None:
    study = consortium.study("killed")
    error = broken(consortium, study, "lakeside", 25)
    assert isinstance(error, PartyUnreachable)
    assert error.party == "lakeside"
    before = {name: consortium.journal(name, study) for name in NAMES}
    assert len({path.parent.name for path in before.values()}) == 1
    consortium.start("lakeside")
    assert consortium.govern("westbay", "run", study=study, resume=True)["status"] == "computed"
    assert all(before["westbay"].parent.name in consortium.resumed(name) for name in NAMES)
    results = consortium.released(study)
    whole = consortium.study("not-killed")
    consortium.govern("northfield", "run", study=whole)
    assert all(
        same_tables(result, expected) for result, expected in zip(results, consortium.released(whole), strict=True)
    )
    with pytest.raises(NothingToResume, match="no run of study killed broke off"):
        consortium.govern("westbay", "run", study=study, resume=True)
    eventually(lambda: not consortium.kept(study, whole), "journals are kept after the release")


@pytest.mark.parametrize(
    "victim",
    [
        pytest.param(name, marks=pytest.mark.long if name == NAMES[-1] else pytest.mark.exhaustive, id=name)
        for name in NAMES
    ],
)
def test_it_is_taken_up_again_after_a_kill_at_any_round(consortium: Consortium, victim: str) -> None:
    """The party dies in every attempt, further on each time, until there is nothing left to die in."""
    study, asking = consortium.study(f"dies-often-{victim}"), next(name for name in NAMES if name != victim)
    deaths, run = 0, ""
    for record in (2, 3, 7, 12, 30, 400):
        consortium.start(victim, fragile=True)
        consortium.dies_at(victim, record)
        answers, failures = [], []
        try:
            answers.append(consortium.govern(asking, "run", study=study))
        except MpcStatsError as error:
            failures.append(error.party)
        if answers:
            break
        assert failures == [victim]
        consortium.network[victim].wait(30)
        deaths += 1
        run = run or consortium.journal(asking, study).parent.name
        assert consortium.journal(asking, study).parent.name == run
    assert deaths >= 4
    (line,) = answers
    assert (line["status"], line["run"]["run"]) == ("computed", run)
    consortium.start(victim)
    whole = consortium.study(f"dies-never-{victim}")
    consortium.govern(asking, "run", study=whole)
    for one, other in zip(consortium.released(study), consortium.released(whole), strict=True):
        assert same_tables(one, other)


@pytest.mark.long
def test_an_old_copy_of_a_journal_is_noticed_and_a_run_afresh_is_possible(
    consortium: Consortium, tmp_path: Path
) -> None:
    study = consortium.study("rolled-back")
    broken(consortium, study, "lakeside", 12)
    journal = consortium.journal("lakeside", study)
    shutil.copyfile(journal, tmp_path / "old")
    broken(consortium, study, "lakeside", 25)
    assert consortium.journal("lakeside", study) == journal
    assert journal.stat().st_size > (tmp_path / "old").stat().st_size
    shutil.copyfile(tmp_path / "old", journal)
    consortium.start("lakeside")
    for resume in (True, False):
        with pytest.raises(JournalMismatch, match="--afresh") as caught:
            consortium.govern("northfield", "run", study=study, resume=resume)
        assert caught.value.party == "lakeside"
    old = {path.name for name in NAMES for path in consortium.sealed(name)}
    line = consortium.govern("northfield", "run", study=study, afresh=True)
    assert line["status"] == "computed"
    now = {path.name for name in NAMES for path in consortium.sealed(name)}
    assert journal.parent.name in old - now
    assert line["run"]["run"] in now - old


@pytest.mark.long
def test_a_party_that_lost_its_journal_is_named(consortium: Consortium) -> None:
    study = consortium.study("lost")
    broken(consortium, study, "lakeside", 12)
    lost = consortium.journal("lakeside", study).parent
    shutil.rmtree(lost)
    consortium.start("lakeside")
    with pytest.raises(NothingToResume, match=lost.name[:12]) as caught:
        consortium.govern("northfield", "run", study=study, resume=True)
    assert caught.value.party == "lakeside"
    assert "--afresh" in str(caught.value)
    line = consortium.govern("northfield", "run", study=study)
    assert line["status"] == "computed"
    assert line["run"]["run"] != lost.name
    assert all(lost.name not in {path.name for path in consortium.sealed(name)} for name in NAMES)
    with pytest.raises(StudyClosed, match="has its result"):
        consortium.govern("northfield", "run", study=study, afresh=True)


@pytest.mark.long
@pytest.mark.parametrize("finishes", [True, False])
def test_a_node_that_is_stopped_ends_in_good_order(consortium: Consortium, finishes: bool) -> None:
    study = consortium.study("stopped-early" if finishes else "stopped-late")
    node = consortium.network.directories["lakeside"]
    (node / "waiting").unlink(missing_ok=True)
    (node / "wait_at").write_text("12")
    consortium.start("lakeside", fragile=True)
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(consortium.govern, "northfield", "run", study=study)
        eventually((node / "waiting").exists, "the run does not wait")
        consortium.network["lakeside"].process.terminate()
        consortium.network["lakeside"].wait_event("stopping", busy=True)
        if finishes:
            (node / "wait_at").unlink()
        assert consortium.network["lakeside"].wait(60) == 0
        consortium.network["lakeside"].wait_event("stopped", finished=finishes)
        if finishes:
            assert run.result(60)["run"]["run"]
        else:
            error = run.exception(60)
            assert isinstance(error, MpcStatsError)
            assert error.party == "lakeside"
    (node / "wait_at").unlink(missing_ok=True)
    consortium.start("lakeside")
    if not finishes:
        consortium.govern("westbay", "run", study=study, resume=True)
    eventually(lambda: consortium.govern("westbay", "show", study=study)["status"] == "computed", "not computed")


@pytest.fixture(scope="module")
def opening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    """Parties that approve and release by policy: their runs open results without a pause."""
    root = tmp_path_factory.mktemp("opening")
    policy = POLICY + '\n[approval]\nauto = ["*"]\n[release]\nrule = "auto"\n'
    directories = make_party_directories(root / "parties", make_files(root, policy), consortium="heart")
    with ProcessNetwork(directories, start_seconds=START_SECONDS) as network:
        found = Consortium(network)
        signed = lambda: all(len(found.govern(name, "consortium")["signed"]) == 3 for name in NAMES)  # noqa: E731
        eventually(signed, "the signatures of the roster did not arrive")
        yield found


@pytest.mark.long
def test_a_party_that_was_killed_when_the_others_had_the_result_gets_it(opening: Consortium) -> None:
    """Nothing of the run is kept after that; in between, the others keep what it needs."""
    lead = opening.network["northfield"].client
    victim, left = "westbay", 0
    for record in (150, 100, 70, 50, 30):
        study = propose(lead, make_proposal(lead, SPEC, count_manifest(2), id=f"opened-{record}"))
        eventually(lambda s=study: opening.govern("northfield", "show", study=s)["status"] == "approved", "approvals")
        opening.start(victim, fragile=True)
        opening.dies_at(victim, record)
        try:
            opening.govern("northfield", "run", study=study)
        except MpcStatsError:
            opening.network[victim].wait(60)
        else:
            (opening.network.directories[victim] / "die_at").unlink(missing_ok=True)
        if opening.network[victim].process.poll() is None:
            continue  # the run is shorter
        left += 1
        opening.start(victim)
        assert opening.sealed("northfield")
        opening.govern(victim, "run", study=study, resume=True)
        results = opening.results(study)
        assert all(same_tables(result, results[0]) for result in results)
        assert len({str(result.run["certificate"]) for result in results}) == 1
        eventually(lambda: not any(map(opening.sealed, NAMES)), "journals are kept after the release")
        if left == 2:
            break
    assert left == 2
