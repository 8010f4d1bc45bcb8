"""The report: one file, everything inside, nothing executed, everything escaped."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mpcstats.sdk.report import Section, table_html, write_report
from mpcstats.sdk.results import wrap

from . import outcomes


class Tags(HTMLParser):
    """All tags with their attributes; fails on a tag that is closed out of order."""

    VOID = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "new" / "report.html"
    curve, test = wrap(outcomes.exact_curve(by="sex")), wrap(outcomes.logrank())
    written = write_report(
        path,
        "Joint <analysis> & more",
        [
            Section("Survival <by> sex", curve, note="p < 0.05 & so on", p_text="log-rank p = 0.0013"),
            ("Under policy standard", wrap(outcomes.rounded_curve()), "rounded"),
            ("Log-rank", test, ""),
            Section("Count", wrap(outcomes.count())),
            Section("Scan", wrap(outcomes.gwas())),
            Section("Check", html=table_html([{"what": "<script>alert(1)</script>", "difference": 1e-12}])),
        ],
        {"parties": "northfield, <lakeside>", "policy": "standard & own"},
    )
    assert written == path
    return path.read_text(encoding="utf-8")


def test_everything_is_escaped(report: str) -> None:
    for raw in ("<analysis>", "<by>", "<lakeside>", "<b>", "<script", "& more", "& own"):
        assert raw not in report
    for escaped in (
        "Joint &lt;analysis&gt; &amp; more",
        "p &lt; 0.05 &amp; so on",
        "II &lt;b&gt;",
        "northfield, &lt;lakeside&gt;",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "age &gt;= 65",
    ):
        assert escaped in report


def test_self_contained_and_without_scripts(report: str) -> None:
    tags = Tags(report).seen
    names = {name for name, _ in tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "base", "form"}
    for name, attributes in tags:
        assert not any(key.startswith("on") for key in attributes), name
        for key in ("src", "href"):
            if key in attributes:
                assert str(attributes[key]).startswith(("data:image/png;base64,", "#"))
    assert not re.search(r"url\(|@import|https?:", report)
    assert "default-src 'none'" in report


def test_pictures_are_whole_png_files(report: str) -> None:
    pictures = [attributes for name, attributes in Tags(report).seen if name == "img"]
    assert len(pictures) == 6
    for picture in pictures:
        data = base64.b64decode(str(picture["src"]).split(",", 1)[1], validate=True)
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        assert data.endswith(b"IEND\xaeB`\x82")
        assert picture["alt"]


def test_results_are_there_with_conventions_and_what_was_withheld(report: str) -> None:
    for text in (
        "sex=1",
        "0.00131",
        "suppressed",
        "MAC_BELOW_MINIMUM",
        "1 of 4 cells hidden",
        "threshold 1",
        "rules of lakeside",
        "confidence interval",
        "curve, rounded by disclosure control",
        "@media print",
        "568",
    ):
        assert text in report
    anchors = [attributes["href"] for name, attributes in Tags(report).seen if name == "a"]
    targets = [f"#{attributes['id']}" for name, attributes in Tags(report).seen if name == "section"]
    assert anchors == targets
    assert len(targets) == 6


def test_the_smallest_report(tmp_path: Path) -> None:
    text = write_report(tmp_path / "r.html", "Empty", [], {}).read_text(encoding="utf-8")
    assert "<h1>Empty</h1>" in text
    Tags(text)
    assert table_html([]) == ""
