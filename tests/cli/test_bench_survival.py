"""scripts/bench survival: its data, its checks, what it reads from MPyC, its tables, and one real run."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"

DEMONSTRATION = """
import logging, sys, pandas as pd
logging.basicConfig(format='{asctime} {message}', style='{', level=logging.INFO)
frame = pd.read_csv('data/surv/aml.csv')
logging.info('Start MPyC runtime v0.0.1')
print('Chi2=0.5, p=0.5 for all events in the clear')
print('Chi2=0.25, p=0.5 for all events secure, exploiting aggregates', sys.argv[sys.argv.index('-i') + 1])
logging.info('Secure logrank test for all 7 time moments.')
print(f'Chi2={frame["cens"].sum()}, p=0.75 for all {frame["time"].max()} time moments secure')
logging.info('Stop MPyC -- elapsed time: 0:01:02.500|bytes sent: 4881011')
"""
"""Logs as MPyC's demonstration does, with the number of events for chi-square."""


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return lambda name: importlib.import_module("bench_survival" + (f"_{name}" if name else ""))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Looks like a checkout of MPyC."""
    demos = tmp_path / "mpyc" / "demos"
    demos.mkdir(parents=True)
    (demos / "np_kmsurvival.py").write_text(DEMONSTRATION)
    return tmp_path / "mpyc"


def test_people_are_the_same_every_time_and_every_site_gets_some(part: Any) -> None:
    data = part("data")
    people = data.simulate(2000, 100)
    pd.testing.assert_frame_equal(people, data.simulate(2000, 100))
    assert people["time"].between(1, 100).all()
    assert people["event"].mean() == pytest.approx(0.45, abs=0.15)
    assert set(people["group"]) == {0, 1}
    parts = data.sites(people, 3)
    assert [len(p) for p in parts] == [667, 667, 666]
    assert sum(p["time"].sum() for p in parts) == people["time"].sum()


def test_dictionaries_say_what_is_in_the_files(part: Any, tmp_path: Path) -> None:
    from mpcstats.study.dictionary import load_dictionary

    data = part("data")
    files = data.party_files(tmp_path, ("a", "b", "c"), {"people": data.simulate(300, 40)})
    settings = files["b"].datasets["people"]
    dictionary = load_dictionary(Path(settings["dictionary"]))
    assert dictionary.column("time").range[1] == 40
    assert dictionary.column("event").levels == (0, 1)
    assert dictionary.column("x10").type == "decimal"
    assert len(pd.read_csv(settings["table"])) == 100


def test_the_last_of_seven_people(part: Any) -> None:
    checks = part("checks")
    assert round(checks.chi_square(part("data").LAST), 4) == checks.R_LAST


def test_the_distance_to_the_maximum_is_zero_there_and_one_a_standard_error_away(part: Any) -> None:
    from statsmodels.duration.hazard_regression import PHReg

    data, checks = part("data"), part("checks")
    people = data.simulate(800, 30)
    names = ["x1", "x7", "x10"]
    model = PHReg(people["time"], people[names].astype(float), status=people["event"], ties="breslow").fit()
    coef, standard_error = np.asarray(model.params), np.asarray(model.bse)
    assert checks.distance_to_maximum(people, names, coef, standard_error) < 1e-4
    moved = coef + standard_error * [0, 1, 0]
    assert checks.distance_to_maximum(people, names, moved, standard_error) == pytest.approx(1, rel=0.05)


def test_demonstrations_are_run_on_other_people_and_read(part: Any, checkout: Path) -> None:
    row = part("mpyc").run_on(checkout, part("data").LAST)
    assert row["seconds"] == 62.5
    assert (row["bytes_sent"], row["version"], row["chi_square"]) == (4881011, "0.0.1", 6.0)
    assert 0 <= row["last_test_seconds"] < 10


def test_a_demonstration_that_fails_or_says_something_else_ends_the_run(part: Any, checkout: Path) -> None:
    demonstration = checkout / "demos" / "np_kmsurvival.py"
    demonstration.write_text("raise ValueError('no such file')")
    with pytest.raises(SystemExit, match="no such file"):
        part("mpyc").run_demonstration(checkout, demonstration.name, "lung")
    demonstration.write_text("print('another version')")
    with pytest.raises(SystemExit, match=r"did not print(.|\n)*another version"):
        part("mpyc").run_demonstration(checkout, demonstration.name, "lung")


def row(**more: Any) -> dict[str, Any]:
    found = {"title": "table mode", "goal": None, "seconds": 0.5, "between": 0.02, "cpu": 0.3, "peak": 3 * 10**8}
    return found | {"rounds": 12, "bytes_sent": 10**6, "opened": 64, "chi_square": 0.36506, "off": 1e-15} | more


def test_tables_hold_every_row_and_mpyc_beside(part: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    report = part("report")
    machine = importlib.import_module("bench_report").machine()
    settings = {"people": 10**6, "points": 3650, "passes": 3, "delay_ms": 0}
    found = report.Report(machine, settings, (1.0, 1.0, 1.0))
    found.large = [row(key="table", goal=3, peak=None, cpu=None), row(title="Cox", goal=60, off=None)]
    found.small = [row(data=name, mode="table") for name in ("last", "aml")]
    found.small.append(row(data="aml", mode="statistic", title="statistic only", between=1.4))
    mpyc = {"form": "np_kmsurvival.py", "seconds": 2.8, "last_test_seconds": 1.7, "version": "0.11.2"}
    found.mpyc = [{"data": "aml", "chi_square": 3.4, **mpyc}, {"data": "last", "chi_square": 0.0874, **mpyc}]
    found.finish((2.0, 2.0, 2.0))
    assert found.mpyc[0]["times_table"] == pytest.approx(140)
    assert found.mpyc[0]["times_statistic"] == pytest.approx(2)
    text, markdown = report.text(found), report.markdown(found)
    for shown in ("R 0.3651, table mode 0.3651, MPyC 0.0874", "mpyc 0.11.2", "load 1.0 before and 2.0 after"):
        assert shown in text
        assert shown in markdown
    assert "| 20 ms, 140 times | 1400 ms, 2 times |" in markdown
    for block in markdown.split("\n\n"):
        assert len({line.count("|") for line in block.splitlines()}) == 1
    found.mpyc = []
    found.finish((2.0, 2.0, 2.0))
    assert "--mpyc-demos" in report.text(found)
    json.dumps(vars(found))


@pytest.mark.parametrize("arguments", [["--only", "nothing"], ["--people", "10"], ["--mpyc-demos", "nowhere"]])
def test_unknown_names_and_numbers_are_refused(
    arguments: list[str], part: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench survival", *arguments])
    with pytest.raises(SystemExit) as stopped:
        part("").options()
    assert stopped.value.code == 2
    assert arguments[1 if arguments[0] != "--people" else 0] in capsys.readouterr().err


@pytest.mark.long
def test_a_run_measures_real_nodes(tmp_path: Path) -> None:
    keys = ["table", "rounded", "statistic", "cox-by-site", "cox"]
    command = [sys.executable, str(SCRIPTS / "bench_survival.py"), "--people", "3000", "--points", "60"]
    command += ["--passes", "1", "--only", ",".join(keys), "--json", str(tmp_path / "out.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    found = json.loads((tmp_path / "out.json").read_text())
    rows = {row["key"]: row for row in found["large"]}
    assert list(rows) == keys
    assert rows["table"]["off"] < 1e-9
    assert rows["statistic"]["off"] < 1e-5
    assert rows["cox"]["off"] < 1e-4
    assert rows["table"]["opened"] > 4 * 60 > 10 > rows["statistic"]["opened"]
    for row in rows.values():
        assert 0 < row["between"] < row["seconds"]
        assert row["rounds"] > 0 < row["bytes_sent"]
        assert row["peak"] is None or row["peak"] < 10**9
    assert [row["chi_square"] for row in found["small"]] == pytest.approx([0.3651] * 2, abs=5e-5)
    assert "MPyC is left out" in done.stdout
