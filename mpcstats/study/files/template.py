"""New study files: every field of an analysis with its help, the needed ones to fill in."""

from __future__ import annotations

import datetime
import types
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from mpcstats.errors import SpecError
from mpcstats.study.analyses import ANALYSES
from mpcstats.study.files.study import Software, Study
from mpcstats.study.files.writing import comment, toml_scalar

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = ["new_study"]

_IN_DATA = ("dataset", "where")
DAYS = 180


def new_study(name: str, template: str, *, consortium: str, dataset: str, today: datetime.date) -> str:
    """The text of a new `study.toml`, which is valid once the columns are named.

    Parameters
    ----------
    name : str
        The study's id.
    template : str
        Name of an analysis.
    consortium, dataset : str
    today : date
        The study expires half a year later.

    Raises
    ------
    SpecError
        No analysis has this name.
    """
    if template not in ANALYSES:
        raise SpecError(f"no analysis is called {template!r}", hint=f"--template {' | '.join(ANALYSES)}")
    analysis = ANALYSES[template]
    expires = datetime.datetime.combine(today + datetime.timedelta(days=DAYS), datetime.time(), datetime.UTC)
    given: dict[str, Any] = {
        "apiVersion": "mpcstats/v1",
        "kind": "Study",
        "id": name,
        "title": f"{name}: {analysis.summary}",
        "purpose": "What the result is for",
        "principal": "name@institution.example",
        "consortium": consortium,
        "expires": expires,
    }
    lines = [f"# {analysis.summary} Lines with a # before a field show what it is when it is left out.", ""]
    top = {key: info for key, info in Study.model_fields.items() if key not in _SECTIONS}
    lines += _fields(top, given)
    fields = analysis.spec.model_fields
    lines += ["", "[data]", *_fields({key: fields[key] for key in _IN_DATA if key in fields}, {"dataset": dataset})]
    own = {key: info for key, info in fields.items() if key not in {"type", *_IN_DATA}}
    lines += ["", "[analysis]", f'type = "{template}"', *_fields(own, {})]
    lines += ["", "[software]", f"mpcstats = {toml_scalar(Software().mpcstats)}"]
    return "\n".join(lines) + "\n"


_SECTIONS = frozenset({"data", "analysis", "security", "software", "schedule"})


def _fields(fields: dict[str, FieldInfo], given: dict[str, Any]) -> list[str]:
    """Given and needed fields as they are, others as comments with their defaults."""
    needed = [key for key, info in fields.items() if key in given or info.is_required()]
    lines: list[str] = []
    for key in sorted(fields, key=lambda key: key not in needed):
        info = fields[key]
        help_text = _help(info)
        if help_text:
            lines += comment(help_text)
        value = given[key] if key in given else _example(key, info)
        lines.append(f"{'' if key in needed else '# '}{key} = {toml_scalar(value)}")
    return lines


def _help(info: FieldInfo) -> str:
    choices = _choices(info.annotation)
    text = info.description or ""
    missing = [str(choice) for choice in choices if str(choice) not in text]
    return text + (f" One of {', '.join(map(str, choices))}." if len(choices) > 1 and missing else "")


def _choices(annotation: Any) -> tuple[Any, ...]:
    for member in _members(annotation):
        if get_origin(member) is Literal:
            return get_args(member)
    return ()


def _members(annotation: Any) -> Iterable[Any]:
    return get_args(annotation) if get_origin(annotation) in {types.UnionType, Union} else (annotation,)


def _example(key: str, info: FieldInfo) -> Any:
    """The default where there is one; else something of the right kind."""
    if not info.is_required() and info.default is not None:
        return list(info.default) if isinstance(info.default, tuple) else info.default
    choices = _choices(info.annotation)
    if choices:
        return choices[0]
    kinds = list(_members(info.annotation))
    if int in kinds and str not in kinds:
        return 1000
    if any(get_origin(kind) is tuple for kind in kinds):
        return [key.removesuffix("s")]
    return _TEXTS.get(key, 1.0 if float in kinds and str not in kinds else key)


_TEXTS: dict[str, Any] = {"ci": 0.95, "where": "age >= 18", "formula": "outcome ~ age + C(sex)", "policy": "standard"}
