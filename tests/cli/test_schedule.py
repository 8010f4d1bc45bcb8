"""`mpcstats schedule`: what people type; the node is a stand-in that remembers what it was asked."""

from __future__ import annotations

import datetime
import json
import tomllib
from datetime import UTC

import pandas as pd
import pytest

from mpcstats.errors import ConfigurationError, SpecError
from mpcstats.node.schedules.answers import history_answer, schedule_line
from mpcstats.node.schedules.book import OccurrenceBook, ResultFolder, Verdict
from mpcstats.node.state.database import Database
from mpcstats.sdk.schedule_history import ScheduleHistory
from mpcstats.stats.outcome import Outcome
from mpcstats.study.schedule import due_times, parse_schedule
from tests.cli.test_cli import run

STUDY = "ab" * 32
FILE = """\
# a count
apiVersion = "mpcstats/v1"
kind = "Study"
id = "hf-count"   # short

[analysis]
type = "count"
where = "age >= 65"
"""
CREATE = ("--cron", "0 6 1 * *", "--tz", "Europe/Stockholm", "--starts", "2027-01-01", "--until", "2027-12-31")


@pytest.fixture
def study(tmp_path):
    (tmp_path / "study.toml").write_text(FILE)
    return tmp_path


def test_create_writes_the_schedule_into_the_study_and_leaves_the_rest(study):
    shown = run("schedule", "create", "monthly-hf", "--study", study, *CREATE, "--max-runs", "13")
    text = (study / "study.toml").read_text()
    assert text.startswith(FILE)
    plain = tomllib.loads(text)["schedule"]
    assert plain["starts"] == datetime.date(2027, 1, 1)
    assert (plain["max_runs"], plain["catch_up"], plain["grace_minutes"]) == (13, "latest", 60)
    assert "2027-01-01 06:00 CET" in shown
    assert "9 more, the last one 2027-12-01 06:00 CET, 13 of them at most" in shown
    # once more, with other words, in a file where something follows
    (study / "study.toml").write_text(text + "\n[security]\nmodel = 'x'\n")
    run("schedule", "create", "weekly-hf", "--study", study / "study.toml", "--cron", "0 2 * * sun", *CREATE[2:])
    plain = tomllib.loads((study / "study.toml").read_text())
    assert plain["schedule"]["name"] == "weekly-hf"
    assert "max_runs" not in plain["schedule"]
    assert plain["security"] == {"model": "x"}
    assert "# a count" in (study / "study.toml").read_text()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (("--cron", "0 6 * * 1"), "write 'mon'"),
        (("--until", "soon"), "no date"),
        (("--catch-up", "some"), "catch_up"),
        (("--max-runs", "0"), "max_runs"),
    ],
)
def test_create_refuses_before_it_writes(study, changes, says):
    with pytest.raises(SpecError, match=says):
        run("schedule", "create", "monthly-hf", "--study", study, *CREATE, *changes)
    assert (study / "study.toml").read_text() == FILE


def test_create_does_not_guess_where_a_table_is_written_in_another_way(study):
    path = study / "study.toml"
    path.write_text(FILE.replace("[analysis]", 'schedule = { name = "x" }\n[analysis]'))
    with pytest.raises(ConfigurationError, match="cannot be replaced"):
        run("schedule", "create", "monthly-hf", "--study", path, *CREATE)
    path.write_text(FILE + 'note = """\n[schedule]\n"""\n')
    with pytest.raises(ConfigurationError, match="cannot be replaced"):
        run("schedule", "create", "monthly-hf", "--study", path, *CREATE)
    with pytest.raises(ConfigurationError, match=r"nothing\.toml"):
        run("schedule", "create", "monthly-hf", "--study", study / "nothing.toml", *CREATE)


def test_next_of_a_file_needs_no_node(study):
    with pytest.raises(ConfigurationError, match=r"no \[schedule\]"):
        run("schedule", "next", study)
    run("schedule", "create", "monthly-hf", "--study", study, *CREATE)
    schedule = parse_schedule(tomllib.loads((study / "study.toml").read_text())["schedule"])
    upcoming = due_times(schedule, datetime.datetime.now(UTC), schedule.until)
    first = run("schedule", "next", study, "-n", 2).splitlines()[0].strip()
    assert first == (schedule.local(upcoming[0]) if upcoming else "nothing is due any more")
    with pytest.raises(ConfigurationError, match=r"party\.toml"):
        run("schedule", "next", "monthly-hf")


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


def counted(women: int, men: int | None) -> Outcome:
    table = pd.DataFrame({"sex": ["F", "M"], "count": pd.array([women, men], dtype="Int64")})
    table["status"] = ["released", "released" if men else "suppressed"]
    return Outcome("count", {"counts": table}, run={"rounds": 10})


class Node:
    """Answers as a node does, from a book of its own."""

    def __init__(self, folder) -> None:
        plain = {"name": "monthly-hf", "cron": "0 6 1 * *", "tz": "Europe/Stockholm", "until": "2027-12-31"}
        self.schedule = parse_schedule(plain | {"starts": "2027-01-01", "max_runs": 13})
        self.book, self.results = OccurrenceBook(Database.in_memory("north")), ResultFolder(folder / "results")
        self.paused: dict[str, str] = {}
        self.asked: list[tuple[str, dict]] = []
        self.others: list[dict] = []
        dues = due_times(self.schedule, self.schedule.starts, at("2027-05-01"))
        self.book.note(STUDY, "monthly-hf", dues, dues[-1])
        for due, outcome in zip(dues[:2], (counted(120, 95), counted(130, None)), strict=True):
            self.book.claim(STUDY, due, due)
            file, digest = self.results.keep(STUDY, due, outcome)
            self.book.finish(STUDY, [Verdict(due, "released", rounds=10, digest=digest, file=file)], due)
        self.book.claim(STUDY, dues[2], dues[2])
        self.book.finish(STUDY, [Verdict(dues[2], "held", "differs by too few people")], dues[2])
        self.book.finish(STUDY, [Verdict(dues[3], "skipped", "paused by lakeside")], dues[3])

    def govern(self, verb, **arguments):
        self.asked.append((verb, arguments))
        if verb == "schedules":
            own = schedule_line(
                STUDY,
                self.schedule,
                self.book,
                at("2027-04-20"),
                proposer="north",
                status="approved",
                paused=self.paused,
            )
            return json.loads(json.dumps({"schedules": [own, *self.others]}))
        if verb == "schedule_history":
            assert arguments == {"study": STUDY}
            return json.loads(json.dumps(history_answer(STUDY, self.schedule, self.book, self.results)))
        return {"problems": {"westbay": "cannot be reached"}}


@pytest.fixture
def node(tmp_path, monkeypatch):
    found = Node(tmp_path)
    monkeypatch.setattr("mpcstats.sdk.connect.NodeClient", lambda party: found)
    return found


def test_list_and_show(node):
    assert "monthly-hf" in run("schedule", "list", "--party", "x")
    assert "3 of 13 runs" in run("schedule", "list", "--party", "x")
    shown = run("schedule", "show", "monthly-hf", "--party", "x")
    assert "0 6 1 * * (Europe/Stockholm)" in shown
    assert "next       2027-05-01T04:00:00Z" in shown
    assert "last       2027-04-01T04:00:00Z skipped: paused by lakeside" in shown
    node.paused = {"lakeside": "audit"}
    assert "paused by lakeside" in run("schedule", "list", "--party", "x")
    assert "by lakeside: audit" in run("schedule", "show", STUDY[:8], "--party", "x")
    assert json.loads(run("schedule", "list", "--party", "x", "--json"))[0]["study"] == STUDY
    with pytest.raises(SpecError, match="monthly-hf"):
        run("schedule", "show", "weekly", "--party", "x")


def test_of_two_studies_with_one_name_the_open_one_is_meant(node):
    line = node.govern("schedules")["schedules"][0]
    node.others = [line | {"study": "cd" * 32, "status": "expired"}]
    assert STUDY[:16] in run("schedule", "show", "monthly-hf", "--party", "x")
    node.others = [line | {"study": "cd" * 32}]
    with pytest.raises(SpecError, match="2 studies"):
        run("schedule", "show", "monthly-hf", "--party", "x")


def test_pause_and_resume_ask_the_node_and_say_who_has_not_heard(node):
    shown = run("schedule", "pause", "monthly-hf", "--party", "x", "--reason", "audit", "--as", "dpo@north.example")
    assert "nothing of it runs" in shown
    arguments = {"study": STUDY, "reason": "audit", "person": "dpo@north.example"}
    assert node.asked[-1] == ("pause", arguments)
    run("schedule", "resume", "monthly-hf", "--party", "x")
    assert node.asked[-1] == ("resume", {"study": STUDY, "reason": "", "person": ""})


def test_history_as_table_files_and_json(node, tmp_path):
    shown = run("schedule", "history", "monthly-hf", "--party", "x", "--out", tmp_path / "hf")
    assert "suppressed" in shown
    assert "differs by too few people" in shown
    for name in ("csv", "png", "svg"):
        assert (tmp_path / f"hf.{name}").stat().st_size > 100
    table = pd.read_csv(tmp_path / "hf.csv", keep_default_na=False)
    assert table["F"].tolist() == ["120", "130", "held", ""]
    assert table["M"].tolist() == ["95", "suppressed", "held", ""]
    assert table["state"].tolist() == ["released", "released", "held", "skipped"]
    answer = json.loads(run("schedule", "history", "monthly-hf", "--party", "x", "--json"))
    assert [len(row["cells"]) for row in answer["rows"]] == [2, 2, 0, 0]


def test_the_trend_has_gaps_where_there_is_no_number(node):
    found = ScheduleHistory(node.govern("schedule_history", study=STUDY))
    assert found.cells == ["F", "M"]
    counts = found.counts()
    men = counts[counts["cell"] == "M"]
    assert men["status"].tolist() == ["released", "suppressed", "held", "skipped"]
    assert men["count"].isna().tolist() == [False, True, True, True]
    axes = found.plot().axes[0]
    women, squares = axes.lines[0], {line.get_label(): line for line in axes.lines}
    assert pd.isna(women.get_ydata()).tolist() == [False, False, True, True]
    assert {"suppressed", "held back", "missed or skipped"} <= set(squares)
    # what is hidden has no height: its mark is below zero
    assert max(squares["suppressed"].get_ydata()) < 0
    assert "held" in found._repr_html_()
    with pytest.raises(SpecError, match="pdf"):
        found.save("x", formats=("pdf",))


def test_a_single_count_stands_in_its_month(node):
    answer = node.govern("schedule_history", study=STUDY)
    left, right = ScheduleHistory(answer | {"rows": answer["rows"][:1]}).plot().axes[0].get_xlim()
    assert 28 <= right - left <= 31  # days


def test_a_history_without_runs(node):
    empty = ScheduleHistory({"name": "new", "study": STUDY, "tz": "UTC", "cron": "0 6 1 * *", "rows": []})
    assert len(empty.to_frame()) == 0
    assert "0 occurrences" in empty.summary()
    assert empty.plot().axes
