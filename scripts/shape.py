"""Small rooms: fails when a module is above 600 lines, a function above 70, or a public thing has no docstring.

Also where a text names something of the package in backticks that is not there.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import sys
from pathlib import Path

MODULE_LINES, FUNCTION_LINES = 600, 70


def problems(path: Path) -> list[str]:
    """What is wrong with one module."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    found = []
    lines = text.count("\n")
    if lines > MODULE_LINES:
        found.append(f"{path}: {lines} lines, at most {MODULE_LINES}")
    if text.strip() and not ast.get_docstring(tree):
        found.append(f"{path}: no module docstring")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (
                (node.end_lineno or node.lineno) - node.lineno + 1 - len((ast.get_docstring(node) or "").splitlines())
            )
            if size > FUNCTION_LINES:
                found.append(f"{path}:{node.lineno}: {node.name} has {size} lines, at most {FUNCTION_LINES}")
    return found + undocumented(path, tree.body, "")


def undocumented(path: Path, body: list[ast.stmt], prefix: str) -> list[str]:
    """Public functions, classes and methods without a docstring."""
    found = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                found.append(f"{path}:{node.lineno}: {prefix}{node.name} has no docstring")
            if isinstance(node, ast.ClassDef):
                found += undocumented(path, node.body, f"{prefix}{node.name}.")
    return found


def dangling(path: Path) -> list[str]:
    """Names of the package in backticks that lead nowhere."""
    text = path.read_text(encoding="utf-8")
    return [f"{path}: there is no {name}" for name in sorted(set(_NAME.findall(text))) if not _exists(name)]


_NAME = re.compile(r"`(mpcstats(?:\.\w+)+)`")


@functools.cache
def _exists(name: str) -> bool:
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            thing = getattr(thing, part, None) or getattr(thing, "__annotations__", {}).get(part)
        return thing is not None
    return False


def main() -> int:
    """Check the package."""
    modules = [path for path in sorted(Path("mpcstats").rglob("*.py")) if "wire" not in path.parts]
    found = [line for path in modules for line in problems(path)]
    found += [line for path in [*modules, *Path().glob("*.md"), *Path("docs").rglob("*.md")] for line in dangling(path)]
    sizes = sorted(len(path.read_text(encoding="utf-8").splitlines()) for path in modules)
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{len(modules)} modules, median {sizes[len(sizes) // 2]} lines, largest {sizes[-1]}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
