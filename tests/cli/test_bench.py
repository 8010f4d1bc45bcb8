"""scripts/bench: what it makes of the parties' measurements, and one real run."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("bench_report")


def party(seconds: list[float], **more: Any) -> dict[str, Any]:
    row = {"key": "multiply-M61", "size": 1000, "seconds": seconds, "cpu_seconds": seconds, "round_seconds": []}
    row |= {"probe_seconds": [0.1, 0.1, 0.4], "probe_cpu_seconds": [0.1, 0.1, 0.1], "rounds": 1, "bytes_sent": 8000}
    return row | {"peak_bytes": 4000, "input_bytes": 16000} | more


def test_the_slowest_party_counts_and_the_median_of_the_passes(report: Any) -> None:
    row = report.merged([party([0.2, 0.2, 0.5]), party([0.1, 0.4, 0.1], peak_bytes=8000), party([0.1] * 3)])
    assert row["all_seconds"] == [0.2, 0.4, 0.5]
    assert (row["seconds"], row["elements_per_second"]) == (0.4, 2500)
    assert row["all_cpu_seconds"] == pytest.approx([0.4, 0.7, 0.7])
    # next to each repetition: 0.1 / 0.2, 0.1 / 0.4, 0.4 / 0.5
    assert row["of_probe"] == pytest.approx(0.5)
    assert (row["bytes_per_element"], row["peak_over_input"], row["round_seconds"]) == (8.0, 0.5, None)


def test_tables_hold_every_row_and_mpyc_beside_three_parties_only(report: Any) -> None:
    found = report.Report(report.machine(), {"passes": 3, "delay_ms": 0.0}, (1.0, 1.0, 1.0))
    found.mpyc = [{"key": "multiply-M61", "size": 10, "seconds": 0.1}]
    one = report.merged([party([0.2] * 3)])
    other = report.merged([party([0.2] * 3, key="round", probe_seconds=[], peak_bytes=None, round_seconds=[0.001] * 9)])
    found.rows = [{"parties": 3, **one}, {"parties": 5, **one}, {"parties": 3, **other}]
    found.finish((2.0, 2.0, 2.0))
    assert [row["times_mpyc"] for row in found.rows] == [50.0, None, None]
    text, markdown = report.text_table(found), report.markdown_table(found)
    for title in ("multiply, M61", "round, 8 bytes to each party"):
        assert title in text
        assert f"| {title} |" in markdown
    assert "1.00 ms each" in markdown
    assert "load 1.0 before and 2.0 after" in markdown
    assert len({line.count("|") for line in markdown.splitlines() if line.startswith("|")}) == 1
    json.dumps(vars(found))


@pytest.mark.parametrize("arguments", [["--only", "nothing"], ["--parties", "2"], ["--passes", "0"]])
def test_unknown_names_and_numbers_are_refused(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    with pytest.raises(SystemExit) as stopped:
        importlib.import_module("bench").options()
    assert stopped.value.code == 2
    assert ("unknown: nothing" if "only" in arguments[0] else arguments[0]) in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.parametrize("extra", [[], ["--parties", "4", "--delay-ms", "1"]], ids=["three parties", "four, delayed"])
def test_a_run_writes_what_it_measured(tmp_path: Path, extra: list[str]) -> None:
    names = "round,multiply-M61,multiply-fixed,compare-M61,reciprocal,merge"
    command = [sys.executable, str(SCRIPTS / "bench.py"), "--only", names, "--size", "2000", "--passes", "2", *extra]
    command += ["--no-mpyc", "--json", str(tmp_path / "out.json"), "--markdown", str(tmp_path / "out.md")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    written = json.loads((tmp_path / "out.json").read_text())
    rows = {row["key"]: row for row in written["rows"]}
    assert list(rows) == names.split(",")
    assert all(len(row["all_seconds"]) == 2 and min(row["all_seconds"]) > 0 for row in rows.values())
    assert all(row["title"] in done.stdout for row in rows.values())
    assert (tmp_path / "out.md").read_text().count("\n| ") >= len(rows)
    assert written["machine"]["versions"]["numpy"]
    if extra:
        assert rows["round"]["round_seconds"] > 1e-3
        assert rows["multiply-M61"]["of_probe"] is None
    else:
        assert rows["multiply-M61"]["bytes_per_element"] == 8
        assert rows["multiply-fixed"]["bytes_per_element"] == 32
        assert rows["multiply-M61"]["of_probe"] > 0
