"""Numbers and tables as PLINK 2 prints them: tab-separated, 6 significant digits, NA."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

__all__ = ["print_number", "print_p", "write_table"]


def print_number(value: float) -> str:
    """6 significant digits, NA for NaN."""
    return "NA" if math.isnan(value) else f"{value:.6g}"


def print_p(p: float, log10_p: float) -> str:
    """A p-value; below 1e-300 from its -log10, e.g. 4.21e-412."""
    if p >= 1e-300 or not math.isfinite(log10_p):
        return print_number(p)
    exponent = math.floor(-log10_p)
    digits = f"{10 ** (-log10_p - exponent):.6g}"
    if digits == "10":
        digits, exponent = "1", exponent + 1
    return f"{digits}e{exponent}"


def write_table(table: pd.DataFrame, columns: Sequence[str], path: str | Path, log10_p: str) -> Path:
    """Write these columns of a table; P is printed with the help of the column `log10_p`."""
    printed = []
    for name in columns:
        values = table[name]
        if name == "P":
            pairs = zip(values.tolist(), table[log10_p].tolist(), strict=True)
            printed.append([print_p(p, log) for p, log in pairs])
        elif values.dtype.kind == "f":
            printed.append([print_number(x) for x in values.tolist()])
        else:
            printed.append(values.astype(str).tolist())
    target = Path(path)
    rows = zip(*printed, strict=True)
    text = "\t".join(columns) + "\n" + "".join("\t".join(row) + "\n" for row in rows)
    target.write_text(text, encoding="utf-8", newline="\n")
    return target
