"""Tables and facts of results as text and HTML."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = [
    "DIGITS",
    "SHOWN_ROWS",
    "beside",
    "html_table",
    "number",
    "p_phrase",
    "pairs",
    "print_table",
    "run_facts",
    "section",
]

DIGITS = 5
"""Significant digits of a printed number."""

SHOWN_ROWS = 40
_LINE = 100  # characters


def beside(base: Path, suffix: str) -> Path:
    """A file beside others with one prefix; `with_suffix` would cut a name with dots short."""
    return base.with_name(base.name + suffix)


def number(value: Any) -> float:
    """NaN for a number that is not there."""
    return math.nan if value is None else float(value)


def p_phrase(p: float) -> str:
    """ "= 0.0013", "= NA", "< 1e-300"."""
    if math.isnan(p):
        return "= NA"
    return f"= {p:.3g}" if p > 0 else "< 1e-300"


def section(title: str, rows: Iterable[tuple[str, str]]) -> list[str]:
    """A titled, indented block of pairs; nothing when there are none."""
    lines = [f"  {line}" for line in pairs(rows)]
    return [title, *lines, ""] if lines else []


def pairs(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Names and texts in two columns, wrapped."""
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0)
    lines = []
    for name, text in rows:
        first, *more = textwrap.wrap(text, _LINE - width, break_long_words=False, break_on_hyphens=False) or [""]
        lines += [f"{name:<{width}}  {first}".rstrip(), *(f"{'':<{width}}  {line}" for line in more)]
    return lines


def run_facts(run: dict[str, Any]) -> list[tuple[str, str]]:
    """(name, text) of a run: parties, rounds, bytes, openings, rules."""
    rows = []
    if "parties" in run:
        names = ", ".join(str(name) for name in run["parties"])
        committee = run.get("committee", run["parties"])
        guests = len(committee) < len(run["parties"])
        threshold = f" (threshold {run['threshold']})" if "threshold" in run else ""
        rows.append(("parties", names if guests else names + threshold))
        if guests:
            rows.append(("committee", ", ".join(map(str, committee)) + threshold))
    if "rounds" in run:
        seconds = f" in {float(run['seconds']):.2f} s" if run.get("seconds") is not None else ""
        rows.append(("rounds", f"{run['rounds']}{seconds}"))
    if run.get("bytes_sent"):
        rows.append(("bytes sent", ", ".join(f"{party} {int(n):,}" for party, n in run["bytes_sent"].items())))
    if run.get("opened"):
        rows.append(("opened", "; ".join(_opening(item) for item in run["opened"])))
    if run.get("masked_openings") and run.get("kappa_total") is not None:
        security = f"statistical security {run['kappa_total']:.4g} bits"
        rows.append(("masked openings", f"{run['masked_openings']} ({security})"))
    owners: dict[str, list[str]] = {}
    for name, rule in (run.get("rules") or {}).items():
        owners.setdefault(str(rule.get("owner")), []).append(f"{name} = {rule.get('value')}")
    rows += [(f"rules of {owner}", ", ".join(rules)) for owner, rules in owners.items()]
    return rows


def _opening(item: dict[str, Any]) -> str:
    values = item.get("values")
    if values is None and item.get("shape") is not None:
        values = math.prod(item["shape"])
    count = len(values) if isinstance(values, list | tuple) else values
    if not isinstance(count, int):
        return str(item["name"])
    return f"{item['name']} ({count:,} value{'' if count == 1 else 's'})"


def print_table(table: pd.DataFrame, digits: int = DIGITS) -> str:
    """The first rows of a table as text; `digits` significant ones of each number."""
    shown = table.head(SHOWN_ROWS)
    lines = _text_columns(shown, digits).to_string(index=False) if len(table) else "(no rows)"
    return lines if len(shown) == len(table) else f"{lines}\n... {len(table) - len(shown):,} more rows"


def html_table(table: pd.DataFrame, digits: int = DIGITS) -> str:
    """The first rows of a table as HTML, escaped."""
    html = _text_columns(table.head(SHOWN_ROWS), digits).to_html(index=False, escape=True, border=0, classes="table")
    return str(html)


def _text_columns(table: pd.DataFrame, digits: int) -> pd.DataFrame:
    return pd.DataFrame({str(name): [_cell(value, digits) for value in table[name].tolist()] for name in table.columns})


def _cell(value: Any, digits: int) -> str:
    if value is pd.NA or value is None or (isinstance(value, float) and math.isnan(value)):
        return "NA"
    if isinstance(value, float):
        return f"{value:.{digits}g}" if not value.is_integer() or abs(value) >= 1e15 else f"{value:.0f}"
    return str(value)
