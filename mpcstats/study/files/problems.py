"""What is wrong with a file: file, line, field, and what to write instead. Never the value that was written."""

from __future__ import annotations

import difflib
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from mpcstats.errors import ConfigurationError
from mpcstats.study.files.positions import line_of

__all__ = ["Problem", "file_error", "problems_of"]

Model = type[BaseModel]


class Problem:
    """One wrong field.

    Attributes
    ----------
    path : tuple
        Keys and numbers from the top of the file.
    what : str
        What is wrong.
    fix : str
        What to write; "" where `what` says it.
    """

    def __init__(self, path: Sequence[str | int], what: str, fix: str = "") -> None:
        self.path = tuple(path)
        self.what, self.fix = what, fix

    def text(self, plain: Any) -> str:
        """Field, problem and fix; elements of lists by the name that they have in the file."""
        return f"{_field(plain, self.path)}: {self.what}" + (f"; {self.fix}" if self.fix else "")


def file_error(
    problems: Sequence[Problem],
    source: str,
    plain: Any = None,
    text: str | None = None,
    *,
    elsewhere: Mapping[tuple[str, ...], str] | None = None,
    hint: str | None = None,
) -> ConfigurationError:
    """The error of a wrong file.

    Parameters
    ----------
    problems : sequence of Problem
    source : str
        The file.
    plain : mapping
        What was read, for the names of list elements.
    text : str, optional
        The file's text: lines are named.
    elsewhere : mapping of path to text, optional
        Where values come from that are not the file's own, such as the environment.
    """
    told = []
    for problem in problems:
        origin = (elsewhere or {}).get(tuple(map(str, problem.path)))
        line = None if text is None or origin else line_of(text, problem.path)
        where = f"{origin}, " if origin else f"line {line}, " if line else ""
        told.append((where, problem.text(plain)))
    if len(told) == 1 and told[0][0]:
        return ConfigurationError(f"{source} {told[0][0]}{told[0][1]}", hint=hint)
    joined = "\n  ".join(where + rest for where, rest in told)
    return ConfigurationError(f"{source} is not valid: {joined}", hint=hint)


def problems_of(error: ValidationError, model: Model, plain: Any, prefix: Sequence[str | int] = ()) -> list[Problem]:
    """What pydantic found, in the words of the file.

    Parameters
    ----------
    plain : mapping
        What was validated.
    prefix : path
        Where that stands in the file.
    """
    found: list[Problem] = []
    for each in error.errors(include_input=False, include_url=False):
        path = _path(plain, each["loc"], each["type"])
        what, fix = _words(each, model, path)
        problem = Problem((*prefix, *path), what, fix)
        if all((problem.path, problem.what) != (one.path, one.what) for one in found):
            found.append(problem)
    return found


def _path(plain: Any, location: Sequence[str | int], kind: str) -> tuple[str | int, ...]:
    """Keys of the file alone: pydantic also names the member of a union that it tried."""
    path: list[str | int] = []
    for position, part in enumerate(location):
        last = position + 1 == len(location)
        if _holds(plain, part):
            plain = plain[part]
        elif not (last and kind in {"missing", "extra_forbidden"}):
            continue
        path.append(part)
    return tuple(path)


def _holds(plain: Any, part: str | int) -> bool:
    if isinstance(plain, Mapping):
        return part in plain
    return isinstance(plain, list | tuple) and isinstance(part, int) and part < len(plain)


def _field(plain: Any, path: Sequence[str | int]) -> str:
    """A path for people: 'disclosure.minimum_count', "column 'age'.range"."""
    parts: list[str] = []
    for part in path:
        inside = plain[part] if _holds(plain, part) else None
        if isinstance(part, int) and parts:
            name = inside.get("name") if isinstance(inside, Mapping) else None
            parts[-1] += f" {name!r}" if isinstance(name, str) else f"[{part}]"
        else:
            parts.append(str(part))
        plain = inside
    return ".".join(parts) or "file"


# --- words and fixes --------------------------------------------------------------------------------------------------


def _words(each: Any, model: Model, path: Sequence[str | int]) -> tuple[str, str]:
    kind, context = each["type"], each.get("ctx", {})
    if kind == "missing":
        return "is missing", f"write {path[-1]} = ... {_where(path)}".rstrip()
    if kind == "extra_forbidden":
        return _unknown(str(path[-1]), _fields(model, path[:-1]))
    if kind == "literal_error":
        return f"must be {context.get('expected', 'another value')}", ""
    if kind.startswith(("value_error", "assertion_error")):
        return str(each["msg"]).removeprefix("Value error, "), ""
    info = _info(model, path)
    for start, fix in _FIXES.items():
        if kind.startswith(start):
            return _plain_english(each["msg"]), fix(info)
    return _plain_english(each["msg"]), ""


def _plain_english(message: str) -> str:
    for long, short in (("Input should be ", "must be "), ("Value error, ", ""), ("String should ", "must ")):
        message = message.replace(long, short)
    return message[:1].lower() + message[1:]


def _where(path: Sequence[str | int]) -> str:
    tables = [str(part) for part in path[:-1] if isinstance(part, str)]
    return f"under [{'.'.join(tables)}]" if tables else ""


def _unknown(name: str, known: Mapping[str, FieldInfo] | None) -> tuple[str, str]:
    if not known:
        return "there is no such setting", ""
    names = [info.validation_alias if isinstance(info.validation_alias, str) else key for key, info in known.items()]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    fix = f"did you mean {near[0]}?" if near else f"settings here: {', '.join(names)}"
    return "there is no such setting", fix


def _number(whole: bool) -> Callable[[FieldInfo | None], str]:
    def fix(info: FieldInfo | None) -> str:
        low, high = _bounds(info)
        rest = (f" {low}" if low else "") + (f" {high}" if high else "")
        return f"write a {'whole ' if whole else ''}number{rest}"

    return fix


def _bounds(info: FieldInfo | None) -> tuple[str, str]:
    low = high = ""
    for rule in [] if info is None else info.metadata:
        if isinstance(rule, Ge):
            low = f"from {rule.ge}"
        elif isinstance(rule, Gt):
            low = f"above {rule.gt}"
        elif isinstance(rule, Le):
            high = f"to {rule.le}"
        elif isinstance(rule, Lt):
            high = f"below {rule.lt}"
    return low, high


def _limits(info: FieldInfo | None) -> str:
    whole = info is None or int in _leaves(info.annotation)
    return _number(whole)(info)


def _length(info: FieldInfo | None) -> str:
    for rule in [] if info is None else info.metadata:
        if isinstance(rule, MinLen) and rule.min_length:
            return f"write at least {rule.min_length}"
        if isinstance(rule, MaxLen):
            return f"write at most {rule.max_length}"
    return ""


_FIXES: dict[str, Callable[[FieldInfo | None], str]] = {
    "int_": _number(True),
    "float_": _number(False),
    "finite_number": _number(False),
    "greater_than": _limits,
    "less_than": _limits,
    "bool_": lambda info: "write true or false",
    "string_too": _length,
    "string_": lambda info: 'write text in quotes, such as "..."',
    "tuple_": lambda info: 'write a list, such as ["a", "b"]',
    "list_": lambda info: 'write a list, such as ["a", "b"]',
    "too_": _length,
    "model_": lambda info: "write a table: [name] and its settings below",
    "dict_": lambda info: "write a table: [name] and its settings below",
    "datetime_": lambda info: "write a date and time with time zone, such as 2027-01-31T00:00:00Z",
    "timezone_": lambda info: "write a date and time with time zone, such as 2027-01-31T00:00:00Z",
    "path_": lambda info: 'write a path in quotes, such as "data/cohort.csv"',
}


def _leaves(annotation: Any) -> set[Any]:
    parts = get_args(annotation)
    return set().union(*map(_leaves, parts)) if parts else {annotation}


def _fields(model: Model, path: Sequence[str | int]) -> Mapping[str, FieldInfo] | None:
    """The fields of the model at a path."""
    here: Any = model
    for part in path:
        here = _inside(here, part)
    found = _models(here)
    return found[0].model_fields if found else None


def _info(model: Model, path: Sequence[str | int]) -> FieldInfo | None:
    """The field of the model at a path of names."""
    if not path or not isinstance(path[-1], str):
        return None
    return (_fields(model, path[:-1]) or {}).get(path[-1])


def _inside(annotation: Any, part: str | int) -> Any:
    """The annotation of a field, element or value."""
    for model in _models(annotation):
        for key, info in model.model_fields.items():
            alias = info.validation_alias
            if part == key or part in getattr(alias, "choices", [alias]):
                return info.annotation
    for member in _members(annotation):
        if get_origin(member) in {tuple, list}:
            return get_args(member)[0]
        if get_origin(member) is dict:
            return get_args(member)[1]
    return None


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in {types.UnionType, Union} else (annotation,)


def _models(annotation: Any) -> list[Model]:
    return [one for one in _members(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
