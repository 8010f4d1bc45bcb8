"""study.toml: what is wrong is named by file, line and field, with what to write instead."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path

import pytest

from mpcstats.errors import ConfigurationError, SpecError
from mpcstats.study.analyses import ANALYSES
from mpcstats.study.dictionary import load_dictionary
from mpcstats.study.files.study import Software, load_study, parse_study
from mpcstats.study.files.template import new_study
from mpcstats.study.policy import load_policy

GOOD = """apiVersion = "mpcstats/v1"
kind = "Study"
id = "sglt2-survival"
title = "Survival after SGLT2 start"
purpose = "Comparative effectiveness"
principal = "anna@ki.example"
recipients = ["uppsala"]
consortium = "cvd-nordic"
expires = 2027-01-31T00:00:00Z
duo_use = ["DUO:0000007"]

[data]
dataset = "cvd"
where = "age >= 18"

[analysis]
type = "kaplan-meier"
time = "time_days"
event = "death"
by = "arm"

[software]
mpcstats = "==0.1"

[schedule]
name = "monthly"
cron = "0 6 1 * *"
until = 2027-12-31
starts = 2027-01-01
"""

WRONG = [
    ('kind = "Study"', 'kind = "Policy"', "line 2, kind: must be 'Study'"),
    ('id = "sglt2-survival"', 'id = "SGLT2"', "line 3, id: "),
    ('recipients = ["uppsala"]', 'recipients = "uppsala"', "line 7, recipients: .*; write a list, such as"),
    ('recipients = ["uppsala"]', 'recipients = ["a", "a"]', "a party is listed twice"),
    ('recipients = ["uppsala"]', 'recipient = ["uppsala"]', "line 7, recipient: .*; did you mean recipients?"),
    ('consortium = "cvd-nordic"\n', "", "consortium: is missing; write consortium = "),
    ("2027-01-31T00:00:00Z", "2027-01-31", "line 9, expires: .*; write a date and time with time zone"),
    ('duo_use = ["DUO:0000007"]', 'duo_use = ["DUO:7"]', r"line 10, duo_use\[0\]: "),
    ('where = "age >= 18"', "where = 18", "line 14, data.where: .*; write text in quotes"),
    ('dataset = "cvd"', 'dataset = "cvd"\ncolumns = 3', "line 14, data.columns: there is no such setting"),
    ('type = "kaplan-meier"', 'type = "kaplan-maier"', "line 17, analysis.type: .*did you mean 'kaplan-meier'?"),
    ('type = "kaplan-meier"\n', "", "line 16, analysis.type: is missing; analyses: count, "),
    ('time = "time_days"\n', "", "line 16, analysis.time: is missing; write time = "),
    ('by = "arm"', 'group = "arm"', "line 20, analysis.group: there is no such setting; settings here: "),
    ('by = "arm"', "conf_level = 1.5", "line 20, analysis.conf_level: .*; write a number above 0 below 1"),
    ('by = "arm"', 'conf_type = "flat"', "line 20, analysis.conf_type: must be 'log', 'log-log'"),
    ('by = "arm"', 'where = "age < 3"', "line 12, data: where is written in .data. and, with another value,"),
    ('mpcstats = "==0.1"', 'mpcstats = "latest"', "line 23, software.mpcstats: must be a release such as"),
    ('cron = "0 6 1 * *"\n', "", "line 25, schedule.cron: is missing; write cron = ... under .schedule."),
    ("until = 2027-12-31", "until = 2027-12-31\nmax_runs = 0", "schedule.max_runs: .*; write a whole number from 1 to"),
    ("[data]", "[[data]]", "data: "),
    ("[data]", "[data", "cannot be read, it is not TOML: .*line 12"),
]


def read(tmp_path: Path, text: str) -> object:
    file = tmp_path / "study.toml"
    file.write_text(text, encoding="utf-8")
    return load_study(file)


def test_a_good_study(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(GOOD)
    study = load_study(tmp_path / "study.toml")
    spec = study.spec
    assert (spec.type, spec.dataset, spec.model_dump()["where"]) == ("kaplan-meier", "cvd", "age >= 18")
    assert study.plain()["analysis"] == {"type": "kaplan-meier", "time": "time_days", "event": "death", "by": "arm"}
    assert "ethics" not in study.plain()
    assert study.recipients_of(("lund", "uppsala")) == ("uppsala",)
    with pytest.raises(SpecError, match="'uppsala' is no party of cvd-nordic") as caught:
        study.recipients_of(("uppsalla", "lund"))
    assert caught.value.hint == "did you mean 'uppsalla'?"


@pytest.mark.parametrize(("before", "after", "says"), WRONG, ids=[after or before for before, after, _ in WRONG])
def test_what_is_wrong_is_named_with_line_and_fix(tmp_path: Path, before: str, after: str, says: str) -> None:
    assert before in GOOD
    with pytest.raises(ConfigurationError, match=says) as caught:
        read(tmp_path, GOOD.replace(before, after))
    assert "study.toml" in caught.value.message


def test_several_problems_are_listed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, GOOD.replace('time = "time_days"', 'tiem = "time_days"'))
    first, second = caught.value.message.splitlines()
    assert first.endswith("study.toml is not valid: line 16, analysis.time: is missing; write time = ...")
    assert second == "  line 18, analysis.tiem: there is no such setting; did you mean time?"


def test_an_analysis_without_filter_has_none_in_data() -> None:
    plain = tomllib.loads(GOOD)
    plain["analysis"] = {"type": "variant-quality"}
    with pytest.raises(ConfigurationError, match=r"data\.where: variant-quality has no filter; leave it out"):
        parse_study(plain)


@pytest.mark.parametrize(
    ("release", "version", "fits"),
    [("==0.1", "0.1.0", True), ("==0.1", "0.10.0", False), ("==0.1.*", "0.1.7", True), ("==0.1.2", "0.1.3", False)],
)
def test_releases(release: str, version: str, fits: bool) -> None:
    assert Software(mpcstats=release).fits(version) is fits


@pytest.mark.parametrize("name", sorted(ANALYSES))
def test_every_analysis_has_a_template_that_is_valid(name: str) -> None:
    text = new_study("a-study", name, consortium="demo", dataset="main", today=datetime.date(2027, 1, 1))
    study = parse_study(tomllib.loads(text), "study.toml", text)
    assert study.spec.type == name
    fields = set(ANALYSES[name].spec.model_fields) - {"type"}
    assert all(f"{field} = " in text for field in fields), "a field is not shown"


def test_no_template_for_what_is_no_analysis() -> None:
    with pytest.raises(SpecError, match="no analysis is called 'median'"):
        new_study("a", "median", consortium="demo", dataset="main", today=datetime.date(2027, 1, 1))


def test_dictionaries_and_policies_have_lines_and_fixes_too(tmp_path: Path) -> None:
    dictionary, policy = tmp_path / "dictionary.toml", tmp_path / "policy.toml"
    dictionary.write_text(
        'id = "x"\n[[column]]\nname = "age"\ntype = "integer"\n\n[[column]]\nname = "sex"\nlevles = []\n'
    )
    with pytest.raises(ConfigurationError) as caught:
        load_dictionary(dictionary)
    assert "line 6, column 'sex'.type: is missing; write type = ... under [column]" in caught.value.message
    assert "line 8, column 'sex'.levles: there is no such setting; did you mean levels?" in caught.value.message
    policy.write_text('kind = "Policy"\n\n[disclosure]\nminimum_count = "CANARY"\n')
    with pytest.raises(ConfigurationError) as caught:
        load_policy(policy)
    assert "policy.toml line 4, disclosure.minimum_count: " in caught.value.message
    assert caught.value.message.endswith("; write a whole number from 0 to 536870912")
    assert "CANARY" not in caught.value.message
