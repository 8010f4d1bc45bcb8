"""Real processes over mutual TLS, three of which compute: the others deal shares and get the same results."""

import json
import sys

import pytest
from typer.testing import CliRunner

from mpcstats.cli.main import app
from mpcstats.errors import DisclosureRefused, PartyUnreachable
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.analyses.survival import LogrankSpec
from mpcstats.testing.processes import PartyFiles, ProcessNetwork, make_party_directories

DICTIONARY = """\
apiVersion = "mpcstats/v1"
kind = "Dictionary"
id = "test"
version = 1
[[column]]
name = "age"
type = "integer"
range = [0, 120]
[[column]]
name = "sex"
type = "category"
levels = ["F", "M"]
[[column]]
name = "time"
type = "integer"
range = [1, 60]
[[column]]
name = "status"
type = "integer"
levels = [0, 1]
"""
SPEC = CountSpec(by=("sex",))
FOUR = ("alpha", "beta", "gamma", "delta")
EIGHT = (*FOUR, "epsilon", "zeta", "eta", "theta")


def directories(root, names, **options):
    """Every party has the same 30 people."""
    files = PartyFiles(
        datasets={"main": {"table": "cohort.csv", "dictionary": "dictionary.toml"}}, run={"patience_seconds": 20}
    )
    made = make_party_directories(root, dict.fromkeys(names, files), **options)
    people = "".join(f"{age},{'F' if age % 3 else 'M'},{age - 20},{age % 2}\n" for age in range(30, 60))
    for directory in made.values():
        (directory / "dictionary.toml").write_text(DICTIONARY)
        (directory / "cohort.csv").write_text("age,sex,time,status\n" + people)
    return made


def paced(directory):
    return [sys.executable, "-m", "tests.node.paced_node", str(directory)]


def counts(network, name):
    outcome = network[name].client.run(SPEC)
    return next(iter(outcome.tables.values()))["count"].tolist(), outcome.run


@pytest.mark.long
def test_three_of_four_nodes_compute(tmp_path):
    """`beta` is a guest; the committee has an order of its own."""
    made = directories(tmp_path, FOUR, committee=["gamma", "alpha", "delta"])
    with ProcessNetwork(made, start_seconds=240) as network:
        for asked in ("beta", "delta"):
            table, run = counts(network, asked)
            assert table == [80, 40]
            assert run["committee"] == ["gamma", "alpha", "delta"]
            assert run["parties"] == ["gamma", "alpha", "delta", "beta"]
            assert run["threshold"] == 1
            assert run["bytes_sent"]["beta"] > 0
        test = network["beta"].client.run(LogrankSpec(time="time", event="status", by="sex"))
        assert test.run["committee"] == ["gamma", "alpha", "delta"]
        with pytest.raises(DisclosureRefused) as refused:  # 4 people differ from the count before
            network["beta"].client.run(CountSpec(by=("sex",), where="age != 31"))
        assert refused.value.party is None
        shown = CliRunner().invoke(app, ["consortium", "status", "--party", str(made["alpha"]), "--json"])
        computes = {row["name"]: row["computes"] for row in json.loads(shown.output)["parties"]}
        assert computes == {"alpha": True, "beta": False, "gamma": True, "delta": True}
        network["beta"].kill()
        with pytest.raises(PartyUnreachable) as lost:
            counts(network, "alpha")
        assert lost.value.party == "beta"


@pytest.mark.long
@pytest.mark.parametrize("lost", ["beta", "delta"], ids=["guest", "member"])
def test_who_is_killed_in_a_run_is_named(tmp_path, lost):
    from tests.node.test_lost_party import Run, count_failures, failures

    made = directories(tmp_path, FOUR, committee=["gamma", "alpha", "delta"])
    with ProcessNetwork(made, {name: paced(path) for name, path in made.items()}) as network:
        before = count_failures(network["gamma"])
        run = Run(network["alpha"])
        network[lost].kill()
        error = run.outcome(10)
        assert isinstance(error, PartyUnreachable)
        assert error.party == lost
        assert failures(network["gamma"], before)["party"] == lost


@pytest.mark.long
def test_five_of_eight_nodes_compute(tmp_path):
    with ProcessNetwork(directories(tmp_path, EIGHT), start_seconds=240) as network:
        for asked in ("alpha", "theta"):
            table, run = counts(network, asked)
            assert table == [160, 80]
            assert run["committee"] == list(EIGHT[:5])
            assert run["threshold"] == 2
            assert len(run["data_parties"]) == 8
        network["theta"].client.run(LogrankSpec(time="time", event="status", by="sex"))
