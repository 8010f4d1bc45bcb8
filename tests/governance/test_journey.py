"""Three institutions, from the first key to a scheduled count: real nodes, and nothing but the command line."""

from __future__ import annotations

import datetime
import json
import re
import shlex
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from mpcstats.cli.main import app
from mpcstats.errors import MpcStatsError
from mpcstats.sdk.processes import NodeProcess, ProcessNetwork
from mpcstats.sdk.sandbox import free_ports
from tests.conftest import started_from_the_shell

NAMES = ("uppsala", "lund", "umea")
PEOPLE = ("dpo@{}.example", "steward@{}.example")

DICTIONARY = """\
apiVersion = "mpcstats/v1"
kind = "Dictionary"
id = "cvd"
version = 3
[[column]]
name = "arm"
type = "category"
levels = ["sglt2", "other"]
[[column]]
name = "age"
type = "integer"
range = [18, 110]
[[column]]
name = "days"
type = "integer"
range = [0, 3650]
[[column]]
name = "death"
type = "boolean"
"""


class Journey:
    """A terminal at every institution."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.homes = {name: root / name for name in NAMES}
        self.ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))

    def __call__(self, command: str, *, code: int = 0) -> str:
        """Type a command: `{uppsala}` is that party's directory, `{root}` a folder of the lead's."""
        names = {name: str(path) for name, path in self.homes.items()}
        words = [word.format(root=self.root, **names) for word in shlex.split(command)]
        result = CliRunner().invoke(app, words)
        error = result.exception
        found = error.exit_code if isinstance(error, MpcStatsError) else result.exit_code
        assert found == code, f"{command}: exit code {found}\n{result.output}\n{error}"
        return result.output + (str(error) if isinstance(error, MpcStatsError) else "")

    def everywhere(self, command: str) -> list[str]:
        """The same at every institution; `{me}` is its directory, `{name}` its name."""
        here = [command.replace("{me}", f"{{{name}}}").replace("{name}", name) for name in NAMES]
        return [self(each) for each in here]


@pytest.fixture(scope="module")
def type_(tmp_path_factory):
    journey = Journey(tmp_path_factory.mktemp("journey"))
    rng = np.random.default_rng(7)
    for name in NAMES:
        size = 240
        table = pd.DataFrame(
            {
                "arm": rng.choice(["sglt2", "other"], size),
                "age": rng.integers(40, 95, size),
                "days": rng.integers(1, 1500, size),
                "death": rng.choice(["true", "false"], size),
            }
        )
        table.to_csv(journey.root / f"{name}.csv", index=False)
    (journey.root / "cvd.dictionary.toml").write_text(DICTIONARY)
    return journey


@pytest.fixture(scope="module")
def from_the_shell():
    """Nodes are started as a user starts them, not as forks of one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NodeProcess, "launch", staticmethod(started_from_the_shell))
        yield


@pytest.fixture(scope="module")
def network(type_, from_the_shell):
    """A. to C.: keys, cards, roster, data sets, policies; then the nodes start."""
    for name, port in type_.ports.items():
        text = type_(f"party init {{{name}}} --name {name} --listen 127.0.0.1:{port}")
        assert re.search(r"fingerprint  (\w+-){11}\w+", text)
        (type_.root / f"{name}.card.toml").write_text(type_(f"party card {{{name}}}"))
    cards = " ".join(f"{{root}}/{name}.card.toml" for name in NAMES)
    type_(f"consortium new cvd-nordic {cards} -o {{root}}/roster.toml")
    assert "with --yes" in type_("consortium join {root}/roster.toml --party {uppsala}", code=2)
    type_.everywhere("consortium join {root}/roster.toml --party {me} --yes")
    type_.everywhere("dataset add cvd --party {me} --csv {root}/{name}.csv")
    drafted = type_("dataset describe cvd --party {uppsala}")
    assert 'name = "arm"' in drafted
    type_.everywhere("dataset check cvd --party {me} --against {root}/cvd.dictionary.toml")
    for name in NAMES:  # cp, everywhere
        (type_.homes[name] / "cvd.dictionary.toml").write_text(DICTIONARY)
    assert all("cvd" in text for text in type_.everywhere("dataset publish cvd --party {me}"))
    for name in NAMES:
        people = [person.format(name) for person in PEOPLE]
        type_(
            f"policy use standard --party {{{name}}} --dataset cvd --yes --approvers {','.join(people)} --two-person "
            + ("--set minimum_count=15" if name == "umea" else "")
        )
        for person in people:
            type_(f"party person {{{name}}} {person}")
    assert "minimum_count                15         own value" in type_("policy show --party {umea} --dataset cvd")
    assert "0 problems" in type_("doctor --party {uppsala}")
    with ProcessNetwork(type_.homes) as network:
        deadline = time.monotonic() + 30
        while "no" in _column(type_("consortium status --party {uppsala}"), "signed") and time.monotonic() < deadline:
            time.sleep(0.2)
        assert _column(type_("consortium status --party {lund}"), "online") == ["yes"] * 3
        type_.everywhere("doctor --party {me} --peers")
        yield network


def _column(table: str, name: str) -> list[str]:
    head, *rows = table.strip().splitlines()
    at = head.index(name)
    return [row[at:].split()[0] for row in rows]


def _approve(type_, study: str) -> None:
    for name in NAMES:
        dpo, steward = (person.format(name) for person in PEOPLE)
        assert "(1 of 2 people who must approve)" in type_(f"study approve {study} --party {{{name}}} --as {dpo}")
        type_(f"study approve {study} --party {{{name}}} --as {steward}")


def test_a_survival_study_from_draft_to_release(network, type_) -> None:
    file = type_.root / "sglt2.study.toml"
    type_("study new sglt2-survival --template kaplan-meier --party {uppsala} -o {root}/sglt2.study.toml")
    assert "kaplan-meier" in file.read_text()
    file.write_text(
        """\
apiVersion = "mpcstats/v1"
kind = "Study"
id = "sglt2-survival"
title = "Survival after SGLT2 start, heart failure"
purpose = "Comparative effectiveness; ethics 2026-01234"
principal = "anna@uppsala.example"
consortium = "cvd-nordic"
expires = 2099-01-31T00:00:00Z
[data]
dataset = "cvd"
where = "age >= 50"
[analysis]
type = "kaplan-meier"
time = "days"
event = "death"
by = "arm"
"""
    )
    type_("study lint {root}/sglt2.study.toml --party {uppsala}")
    assert "DUMMY" in type_("study rehearse {root}/sglt2.study.toml --party {uppsala} --rows 150").upper()
    plan = type_("study plan {root}/sglt2.study.toml --party {uppsala}")
    assert "minimum_count = 15 because of umea" in plan
    type_("study propose {root}/sglt2.study.toml --party {uppsala}")
    assert "approvals 0 of 3" in type_("inbox --party {lund}")
    shown = type_("study show sglt2-survival --party {umea}")
    assert re.search(r"minimum_count +15 +because of umea", shown)
    type_('study comment sglt2-survival "Which years?" --party {lund}')
    assert "E1204" in type_("study run sglt2-survival --party {uppsala}", code=4)
    assert "names who decides" in type_("study approve sglt2-survival --party {lund}", code=3)
    theirs = "--as dpo@umea.example --key {umea}/keys/people/dpo@umea.example.key"
    assert "does not decide here" in type_(f"study approve sglt2-survival --party {{lund}} {theirs}", code=3)
    _approve(type_, "sglt2-survival")
    planned = json.loads((type_.root / "sglt2.study.lock").read_text())["cost"]
    assert "sealed; released by 0 of 3" in type_("study run sglt2-survival --party {uppsala}")
    assert "a release opens at most" in type_("result review sglt2-survival --party {umea}")
    for name in NAMES:
        for person in PEOPLE:
            type_(f"result release sglt2-survival --party {{{name}}} --as {person.format(name)}")
    type_("result get sglt2-survival --party {uppsala} --out {root}/out/sglt2")
    outcome = json.loads((type_.root / "out" / "sglt2.json").read_text())
    assert outcome["run"]["rounds"] == planned["rounds"]
    for name, sent in outcome["run"]["bytes_sent"].items():
        assert abs(sent - planned["bytes_sent"][name]) <= 0.05 * sent, name
    opened = {entry["name"]: entry["values"] for entry in outcome["run"]["opened"]}
    manifest = {entry["name"]: entry["limit"] for entry in _lock(type_)["manifest"]}
    assert all(count <= manifest[name] for name, count in opened.items())
    verified = type_("verify {root}/out/sglt2.bundle.zip --roster {root}/roster.toml")
    assert "3 signatures" in verified or "uppsala" in verified
    bundle = type_.root / "out" / "sglt2.bundle.zip"
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 1
    (type_.root / "out" / "flipped.zip").write_bytes(content)
    type_("verify {root}/out/flipped.zip", code=6)
    type_.everywhere("audit verify {me} --peers")
    assert "study-approved" in type_("audit export {umea} --format csv")
    type_("study new later --template count --party {uppsala} -o {root}/later.study.toml")
    assert "released" in type_("inbox --all --party {umea}")


def _lock(type_) -> dict:
    return json.loads((type_.root / "sglt2.study.lock").read_text())


@pytest.mark.long
def test_a_scheduled_count(network, type_) -> None:
    """Every minute, so that the test need not wait a month; the release is automatic, by policy."""
    for name in NAMES:
        type_(f"policy use standard --party {{{name}}} --dataset cvd --yes --auto count --release auto")
    file = type_.root / "hf.study.toml"
    file.write_text(
        """\
apiVersion = "mpcstats/v1"
kind = "Study"
id = "hf-count"
title = "People with heart failure"
purpose = "feasibility"
principal = "lead@uppsala.example"
consortium = "cvd-nordic"
expires = 2099-01-31T00:00:00Z
[data]
dataset = "cvd"
where = "age >= 65"
[analysis]
type = "count"
by = ["arm"]
"""
    )
    until = datetime.date.today() + datetime.timedelta(days=5)
    type_(
        "schedule create monthly-hf --study {root}/hf.study.toml --cron '* * * * *' --tz Europe/Stockholm "
        f"--until {until} --max-runs 13 --catch-up latest"
    )
    type_("study plan {root}/hf.study.toml --party {uppsala}")
    type_("study propose {root}/hf.study.toml --party {uppsala}")
    deadline = time.monotonic() + 20
    while "in review" in type_("study status hf-count --party {uppsala}") and time.monotonic() < deadline:
        time.sleep(0.3)
    assert "approved" in type_("study status hf-count --party {uppsala}")
    assert "monthly-hf" in type_("schedule list --party {lund}")
    assert len(type_("schedule next monthly-hf --party {lund} -n 3").strip().splitlines()) >= 3
    type_("schedule pause monthly-hf --party {umea}")
    assert "umea" in type_("schedule show monthly-hf --party {lund}")
    type_("schedule resume monthly-hf --party {umea}")
    now = datetime.datetime.now(datetime.UTC)
    deadline = time.monotonic() + 130 - now.second
    history = ""
    while '"released"' not in history and time.monotonic() < deadline:
        history = type_("schedule history monthly-hf --party {uppsala} --json")
        time.sleep(1)
    assert '"released"' in history
    type_("schedule history monthly-hf --party {uppsala} --out {root}/out/hf")
    assert (type_.root / "out" / "hf.png").stat().st_size > 1000
