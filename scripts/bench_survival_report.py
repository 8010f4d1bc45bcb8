"""What the survival benchmark found, for the terminal and as README's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench_report import machine_line, or_blank
from bench_survival_checks import R_LAST

__all__ = ["Report", "markdown", "text"]

GOALS = {"aml": 50, "lung": 200}
"""How many times faster than MPyC's array form."""

Row = dict[str, Any]
_SMALL_NOTE = (
    "Table mode is Kaplan-Meier and log-rank together; statistic only opens chi-square. MPyC's secure part is its "
    "elapsed time after the parties have connected; it tests twice, and the second test alone is in brackets."
)


@dataclass
class Report:
    """Everything about one run; its attributes are the keys of the JSON."""

    machine: Row
    settings: Row
    load_before: Sequence[float] = ()
    load_after: Sequence[float] = ()
    large: list[Row] = field(default_factory=list)
    small: list[Row] = field(default_factory=list)
    mpyc: list[Row] = field(default_factory=list)
    mpyc_note: str = ""

    def finish(self, load: Sequence[float]) -> None:
        """Put our figures beside MPyC's."""
        self.load_after = load
        if self.mpyc:
            self.machine["versions"]["mpyc"] = self.mpyc[0]["version"]
        self.mpyc_note = "" if self.mpyc else "MPyC is left out: --mpyc-demos names a checkout of it"
        for row in self.mpyc:
            for ours in self.small:
                if ours["data"] == row["data"]:
                    row[f"times_{ours['mode']}"] = row["seconds"] / ours["between"]


# --- for the terminal -----------------------------------------------------------------------------------------------


def text(report: Report) -> str:
    """Tables in fixed columns."""
    lines = [machine_line(report), "", _HEADER.format(f"{report.settings['people']:,} people, three parties")]
    lines += [_text_row(row["title"], row) for row in report.large]
    lines += ["", _HEADER.format("small data")]
    lines += [_text_row(f"{row['data']}, {row['title']}", row) for row in report.small]
    if report.mpyc:
        lines += [
            "",
            f"{'MPyC, three parties':<46} {'s':>8} {'last test s':>11} {'table x':>9} {'stat. x':>9} {'goal':>5}",
        ]
        lines += [_text_mpyc(row) for row in report.mpyc]
    lines += ["", *([report.mpyc_note] if report.mpyc_note else []), *last_person(report), ""]
    return "\n".join([*lines, _LEGEND])


_HEADER = (
    f"{{:<46}} {'s':>8} {'goal s':>6} {'between s':>9} {'CPU s':>7} {'rounds':>6} {'MB sent':>8} {'peak MB':>8} "
    f"{'opened':>7} {'off by':>8}"
)
_LEGEND = """\
s: from the request to the result, median; between: of it between the parties, keys to result; CPU: of all parties;
MB sent: by the party that sends most; peak: memory of the largest party; opened: released values; off by: relative
difference to lifelines on the pooled data, for Cox the distance to the pooled maximum in standard errors;
table x, stat. x: how many times faster `between` of the small data is than MPyC's secure part"""


def _text_row(title: str, row: Row) -> str:
    goal, off, cpu = or_blank(row["goal"], ".0f"), or_blank(row["off"], ".0e"), or_blank(row["cpu"], ".1f")
    return (
        f"{title:<46} {row['seconds']:8.2f} {goal:>6} {row['between']:9.3f} {cpu:>7} {row['rounds']:6d} "
        f"{row['bytes_sent'] / 1e6:8.2f} {or_blank(_megabytes(row), '.0f'):>8} {row['opened']:7,} {off:>8}"
    )


def _megabytes(row: Row) -> float | None:
    return None if row["peak"] is None else float(row["peak"]) / 1e6


def _text_mpyc(row: Row) -> str:
    times = [f"{or_blank(row.get(f'times_{mode}'), ',.0f'):>9}" for mode in ("table", "statistic")]
    goal = or_blank(_goal(row), "d")
    title = f"{row['data']}, {row['form']}"
    return f"{title:<46} {row['seconds']:8.2f} {row['last_test_seconds']:11.2f} {' '.join(times)} {goal:>5}"


def _goal(row: Row) -> int | None:
    return GOALS.get(row["data"]) if row["form"].startswith("np_") else None


def last_person(report: Report) -> list[str]:
    """The seven people whose last one has the event, by everybody."""
    ours = [f"{row['title']} {row['chi_square']:.4f}" for row in report.small if row["data"] == "last"]
    mpyc = [f"MPyC {row['chi_square']:.4f}" for row in report.mpyc if row["data"] == "last"]
    answers = ", ".join([f"R {R_LAST:.4f}", *ours, *mpyc])
    return [f"The last of seven people at risk has the event; chi-square: {answers}."]


# --- for README -----------------------------------------------------------------------------------------------------


def markdown(report: Report) -> str:
    """README's tables."""
    settings = report.settings
    lines = [
        f"| {settings['people']:,} people, {settings['points']:,} days, 3 sites | seconds | between parties | rounds "
        "| MB sent | peak MB |",
        "|---|---:|---:|---:|---:|---:|",
        *(_markdown_row(row) for row in report.large),
        "",
    ]
    if report.mpyc:
        lines += ["| MPyC's demonstration | its secure part | table mode | statistic only |", "|---|---:|---:|---:|"]
        lines += [_markdown_mpyc(report, row) for row in report.mpyc if row["data"] in GOALS]
        lines += ["", _SMALL_NOTE, ""]
    return "\n".join([*lines, *last_person(report), "", f"`scripts/bench survival` on {machine_line(report)}.", ""])


def _markdown_row(row: Row) -> str:
    cells = [row["title"], f"{row['seconds']:.2f}", f"{row['between']:.2f}", f"{row['rounds']:,}"]
    cells += [f"{row['bytes_sent'] / 1e6:.2f}", or_blank(_megabytes(row), ".0f")]
    return "| " + " | ".join(cells) + " |"


def _markdown_mpyc(report: Report, row: Row) -> str:
    cells = [f"{row['data']}, `{row['form']}`", f"{row['seconds']:.1f} s ({row['last_test_seconds']:.1f} s)"]
    for mode in ("table", "statistic"):
        ours = next(ours for ours in report.small if (ours["data"], ours["mode"]) == (row["data"], mode))
        cells.append(f"{1e3 * ours['between']:.0f} ms, {row[f'times_{mode}']:,.0f} times")
    return "| " + " | ".join(cells) + " |"
