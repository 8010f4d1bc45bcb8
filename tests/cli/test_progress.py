"""The progress of a run: lines with rate and time left; a bar on a terminal."""

from __future__ import annotations

import io

import pytest

from mpcstats.cli import progress


def test_counts_are_told_from_other_sentences() -> None:
    assert progress.counted("12,000 of 100,000 variants") == (12_000, 100_000, "variants")
    assert progress.counted("goes on behind 3 blocks of variants") is None


def test_lines_have_rate_and_time_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 0.0, 10.0, 10.0, 11.0, 11.0, 12.0, 12.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.progress_lines() as tell:
        tell("all parties accepted")
        for done in ("1,000", "5,000", "5,400", "65,000"):
            tell(f"{done} of 65,000 variants")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "  all parties accepted",
        "  1,000 of 65,000 variants",
        "  5,000 of 65,000 variants, 400 a second, 2 min 30 s left",
        "  65,000 of 65,000 variants",
    ]


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress.progress_lines() as tell:
        tell("12 [rounds]")
        tell("1,000 of 2,000 variants")
        tell("2,000 of 2,000 variants")
    assert "12 [rounds]" in terminal.getvalue()
    assert "2000/2000" in terminal.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (65, "1 min 5 s"), (7260, "2 h 1 min")])
def test_durations(seconds: float, text: str) -> None:
    assert progress._duration(seconds) == text
