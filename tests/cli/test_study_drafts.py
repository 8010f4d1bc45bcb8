"""`mpcstats study new | lint | rehearse | plan` and `mpcstats schema`, in a party's directory; no node runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mpcstats.cli.main import app
from mpcstats.cli.schema import KINDS, text_of
from mpcstats.errors import MpcStatsError
from mpcstats.node.planning.drafts import Draft
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.site import Site
from mpcstats.sdk.connect import NodeClient
from mpcstats.sdk.sandbox import make_party_directories
from mpcstats.sdk.studies import read_proposal
from mpcstats.study.files.study import load_study
from mpcstats.study.lock import Lock
from mpcstats.study.policy import Policy

ROOT = Path(__file__).parents[2]
PARTIES = ("northfield", "lakeside", "westbay")


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("consortium")
    make_party_directories(root, {name: ROOT / "parties" / name for name in PARTIES}, consortium="lung")
    return root


@pytest.fixture
def study(consortium: Path, tmp_path: Path) -> Path:
    file = tmp_path / "study.toml"
    done = run(
        "study", "new", "lung", "--template", "count", "-o", str(file), "--party", str(consortium / "northfield")
    )
    assert done == (
        0,
        f"wrote {file}\nnext: fill it in, and mpcstats study lint {file} --party {consortium / 'northfield'}\n",
    )
    return file


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    if isinstance(result.exception, MpcStatsError):
        raise result.exception
    return result.exit_code, result.stdout


def test_a_new_study_is_fine_at_its_party(consortium: Path, study: Path) -> None:
    code, text = run("study", "lint", str(study), "--party", str(consortium / "northfield"))
    assert code == 0
    assert "✓ northfield: the own policy allows it" in text
    assert "! roster: rules of lakeside, westbay are not known here" in text


def test_lint_says_who_refuses_what(consortium: Path, study: Path) -> None:
    text = study.read_text().replace('consortium = "lung"', 'consortium = "cvd"')
    text = text.replace("# by = []", 'by = ["sexx"]').replace("# recipients = []", 'recipients = ["eastbay"]')
    text = text.replace('mpcstats = "==0.1"', 'mpcstats = "==7"').replace("expires = 20", "expires = 19")
    study.write_text(text)
    code, told = run("study", "lint", str(study), "--party", str(consortium / "northfield"), "--json")
    assert code == 2
    errors = [finding["text"] for finding in json.loads(told) if finding["level"] == "error"]
    assert [error.split(",")[0] for error in errors] == [
        "the study has expired",
        "asks for mpcstats ==7",
        "consortium is 'cvd'",
        "recipients: 'eastbay' is no party of cvd",
        "the data dictionary 'lung' has no column 'sexx'",
    ]


def test_a_policy_that_refuses_is_seen_before_anybody_is_asked(consortium: Path, study: Path) -> None:
    policy = consortium / "lakeside" / "policy.toml"
    kept = policy.read_text()
    policy.write_text(kept.replace("[disclosure]", 'analyses = ["gwas"]\n[disclosure]'))
    try:
        code, told = run("study", "lint", str(study), "--party", str(consortium / "lakeside"))
    finally:
        policy.write_text(kept)
    assert code == 2
    assert "✗ lakeside: the policy does not allow count (allowed: gwas)" in told


def test_a_rehearsal_is_marked_everywhere(consortium: Path, study: Path, tmp_path: Path) -> None:
    study.write_text(study.read_text().replace("# by = []", 'by = ["sex"]'))
    out = tmp_path / "out" / "dummy"
    code, text = run("study", "rehearse", str(study), "--party", str(consortium / "westbay"), "--out", str(out))
    assert code == 0
    assert text.startswith("DUMMY DATA: ")
    assert "  DUMMY DATA: made from the data dictionary, no person is in these numbers" in text
    assert "DUMMY DATA" in (tmp_path / "out" / "dummy.report.html").read_text()
    assert json.loads((tmp_path / "out" / "dummy.json").read_text())["run"]["dummy"] is True
    assert (tmp_path / "out" / "dummy.png").stat().st_size > 1000


def test_a_plan_writes_the_lock(consortium: Path, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study.write_text(study.read_text().replace("# by = []", 'by = ["sex"]'))
    code, text = run("study", "plan", str(study), "--party", str(consortium / "northfield"))
    assert code == 0
    assert "Opens at most 2 values to northfield, lakeside, westbay" in text
    assert "minimum_count = 11 because of northfield" in text
    assert "rounds, exactly" in text
    assert "Not known here: rules of lakeside, westbay" in text
    assert not study.with_suffix(".lock").exists()
    site = Site(PartyDirectory(consortium / "northfield"))
    own = site.terms(load_study(study).spec)
    monkeypatch.setattr(NodeClient, "govern", lambda *_, **__: {"terms": {name: dict(own) for name in PARTIES}})
    code, text = run("study", "plan", str(study), "--party", str(consortium / "northfield"))
    assert (code, "Not known here" in text) == (0, False)
    lock = Lock.model_validate_json(study.with_suffix(".lock").read_text())
    assert lock.request == Draft(study, PartyDirectory(consortium / "northfield")).spec
    assert lock.reveals.allows("counts", 2, "result")
    assert lock.cost.exact
    assert set(lock.rules) == set(PARTIES)
    assert read_proposal(study).lock == lock
    study.write_text(study.read_text().replace('by = ["sex"]', 'by = ["inst"]'))
    with pytest.raises(MpcStatsError, match="changed after it was planned"):
        read_proposal(study)


def test_no_table_is_read(consortium: Path, study: Path) -> None:
    """The table is not even there."""
    table = consortium / "lakeside" / "data" / "lung.csv"
    kept = table.read_bytes()
    table.unlink()
    try:
        for verb in ("lint", "rehearse", "plan"):
            assert run("study", verb, str(study), "--party", str(consortium / "lakeside"))[0] == 0
    finally:
        table.write_bytes(kept)


def test_what_the_rules_refuse_has_no_lock(consortium: Path, study: Path) -> None:
    text = study.read_text().replace('type = "count"', 'type = "gray"\ntime = "time"\nevent = "status"\nby = "sex"')
    study.write_text(text.replace("[data]", '[data]\nwhere = "age > 110"'))
    with pytest.raises(MpcStatsError, match="is refused: "):
        run("study", "rehearse", str(study), "--party", str(consortium / "northfield"), "--rows", "20")
    code, told = run("study", "plan", str(study), "--party", str(consortium / "northfield"), "--rows", "20")
    assert code == 3
    assert "Dummy records were refused: " in told
    assert not study.with_suffix(".lock").exists()


def test_the_rules_of_others_are_in_the_plan_where_they_are_known(consortium: Path, study: Path) -> None:
    own = Site(PartyDirectory(consortium / "northfield")).terms(load_study(study).spec)
    terms = own | {"rules": vars(Policy.preset("strict20").rules), "policy": "ab" * 32, "release": "manual"}
    draft = Draft(study, PartyDirectory(consortium / "northfield"), {"westbay": terms})
    assert draft.unknown == ("lakeside",)
    with pytest.raises(MpcStatsError, match="terms of lakeside are not known"):
        draft.lock(draft.plan(rows=100))
    draft = Draft(study, PartyDirectory(consortium / "northfield"), {"westbay": terms, "lakeside": own})
    plan = draft.plan(rows=100)
    assert plan.rules["minimum_count"] == {"value": 20, "owner": "westbay"}
    assert "minimum_count = 20 because of westbay" in plan.openings[0].rules
    lock = draft.lock(plan)
    assert lock["release"] == "manual"
    assert lock["policies"]["westbay"] == "ab" * 32


@pytest.mark.parametrize("kind", KINDS)
def test_published_schemas_are_current(kind: str) -> None:
    assert (ROOT / "docs" / "schemas" / f"{kind}.schema.json").read_text() == text_of(kind), (
        f"mpcstats schema {kind} > docs/schemas/{kind}.schema.json"
    )


def test_schema_is_a_command() -> None:
    code, text = run("schema", "policy")
    assert code == 0
    assert json.loads(text)["properties"]["kind"]["const"] == "Policy"
