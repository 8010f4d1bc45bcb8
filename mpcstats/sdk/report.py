"""One self-contained HTML report: text, tables and pictures in one file that needs no network and runs no script."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mpcstats.sdk.results import KaplanMeierResult, Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Section", "table_html", "write_report"]


@dataclass(frozen=True)
class Section:
    """One part of a report.

    Attributes
    ----------
    title : str
    result : Result, optional
        Shown with its plots, tables, conventions and what was withheld.
    html : str, optional
        Trusted HTML, inserted as it is: build it with `table_html` or escape what you did not write.
    note : str, optional
        Plain text under the title.
    p_text : str, optional
        Written into survival plots, e.g. the `p_text` of a log-rank result.
    """

    title: str
    result: Result | None = None
    html: str | None = None
    note: str | None = None
    p_text: str | None = None


def write_report(
    path: str | Path, title: str, sections: Sequence[Section | tuple[str, Result | str, str]], facts: Mapping[str, str]
) -> Path:
    """Write the report.

    Parameters
    ----------
    path : file to write; its folder is made as needed
    title : str
    sections : sequence of Section, or of tuples (title, Result or trusted HTML, note)
    facts : name to text, shown in a table at the top

    Returns
    -------
    Path
        The file written.
    """
    from jinja2 import Environment, StrictUndefined

    source = files("mpcstats.sdk").joinpath("templates/report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    parts = [_part(number, section) for number, section in enumerate(map(_as_section, sections), start=1)]
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = environment.from_string(source).render(title=title, parts=parts, facts=dict(facts))
    target.write_text(text, encoding="utf-8")
    return target


def table_html(rows: Sequence[Mapping[str, object]]) -> str:
    """An HTML table of plain values, escaped; the columns are the keys of the first row."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(str(name))}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(row.get(name, '')))}</td>" for name in rows[0]) + "</tr>" for row in rows
    )
    return f'<table class="table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _as_section(section: Section | tuple[str, Result | str, str]) -> Section:
    if isinstance(section, Section):
        return section
    title, content, note = section
    return (
        Section(title, result=content, note=note)
        if isinstance(content, Result)
        else Section(title, html=content, note=note)
    )


def _part(number: int, section: Section) -> dict[str, Any]:
    """What the template shows; only pictures, tables of results and the section's own HTML are trusted."""
    from markupsafe import Markup

    part: dict[str, Any] = {
        "anchor": f"section-{number}",
        "title": section.title,
        "note": section.note or "",
        "html": Markup(section.html or ""),  # noqa: S704 - documented as trusted
        "pictures": [],
        "tables": [],
        "conventions": [],
        "withheld": [],
        "run": [],
    }
    if section.result is not None:
        result = section.result
        part["pictures"] = [
            {"name": f"{section.title}: {name}", "data": _data_uri(figure)}
            for name, figure in _figures(result, section.p_text).items()
        ]
        part["tables"] = [{"caption": caption, "html": Markup(html)} for caption, html in result.html_tables()]  # noqa: S704
        part["conventions"] = [(name.replace("_", " "), text) for name, text in result.conventions.items()]
        part["withheld"], part["run"] = result.withheld, result.run_facts()
    return part


def _figures(result: Result, p_text: str | None) -> dict[str, Figure]:
    if p_text and isinstance(result, KaplanMeierResult):
        return {"plot": cast("Figure", result.plot(p_text=p_text))}
    return result.marked_figures()


def _data_uri(figure: Figure) -> str:
    from mpcstats.sdk.plots.style import png_bytes

    return "data:image/png;base64," + base64.b64encode(png_bytes(figure)).decode("ascii")
