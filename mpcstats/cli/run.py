"""`mpcstats run`: one analysis through one's own node. A command per registered analysis, its options from its request.

A text field becomes an option; a field with several values a repeatable one without the plural s (`--covariate`),
unless another field has that name.
The text under the field is the help.
"""

from __future__ import annotations

import inspect
import os
import types
from collections.abc import Callable, Container
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer
from typer.core import TyperGroup

from mpcstats.cli.options import Party
from mpcstats.errors import ConfigurationError, SpecError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from mpcstats.study.analyses.base import AnyAnalysis
    from mpcstats.study.spec import AnalysisSpec

__all__ = ["app"]


class _Analyses(TyperGroup):
    """Finds an analysis when it is asked for: `mpcstats --help` does not load the registry."""

    def list_commands(self, ctx: Any) -> list[str]:
        from mpcstats.study.analyses import ANALYSES

        return [*ANALYSES, *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        from mpcstats.study.analyses import ANALYSES

        if cmd_name not in ANALYSES:
            return super().get_command(ctx, cmd_name)
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(cmd_name)(_command(cmd_name, ANALYSES[cmd_name]))
        command = typer.main.get_command(single)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=_Analyses,
    help="Run an analysis with all parties.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Out = Annotated[Path | None, typer.Option("--out", metavar="PREFIX", help="Write tables and plots PREFIX.*")]
Dataset = Annotated[str, typer.Option(help="Name of the data set.")]
PolicyName = Annotated[str | None, typer.Option("--policy", help="A preset that makes the release stricter.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the whole outcome as JSON.")]

# Options of every analysis: before and after its own.
_FIRST: dict[str, tuple[Any, Any]] = {"party": (Party, inspect.Parameter.empty)}
_LAST: dict[str, tuple[Any, Any]] = {
    "out": (Out, None),
    "dataset": (Dataset, "main"),
    "policy": (PolicyName, None),
    "as_json": (AsJson, False),
}


@app.callback()
def _root() -> None:
    """Without a callback, typer would make `spec` the only command."""


@app.command("spec")
def from_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A request: JSON or TOML with `type` and its fields.")],
    party: Party,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Run the request in a file."""
    from mpcstats.study.analyses import parse_spec

    _run(party, parse_spec(_read(file)), out, as_json)


def _command(name: str, analysis: AnyAnalysis) -> Callable[..., None]:
    """A function with a parameter for each field of the request, for typer to read."""
    fields = {key: info for key, info in analysis.spec.model_fields.items() if key not in {"type", *_LAST}}
    own = {key: _option(key, info, fields) for key, info in fields.items() if not _is_constant(info)}

    def command(**given: Any) -> None:
        from mpcstats.study.analyses import parse_spec

        party, out, as_json = given.pop("party"), given.pop("out"), given.pop("as_json")
        # what was not given is not part of the request
        plain = {key: _plain(fields.get(key), value) for key, value in given.items() if value not in (None, [])}
        _run(party, parse_spec({"type": name, **plain}), out, as_json)

    parameters = {**_FIRST, **own, **_LAST}
    signature = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for key, (annotation, default) in parameters.items()
    ]
    command.__doc__ = analysis.summary
    command.__annotations__ = {key: annotation for key, (annotation, _) in parameters.items()}
    command.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
    return command


def _is_constant(info: FieldInfo) -> bool:
    """A field with one value leaves nothing to choose."""
    return len(_values(info.annotation)) == 1


def _values(annotation: Any) -> tuple[Any, ...]:
    """The values of a Literal; of other types none."""
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _option(name: str, info: FieldInfo, fields: Container[str]) -> tuple[Any, Any]:
    """Annotation and default of the parameter for a field."""
    kind, several = _kind(info.annotation)
    text = " ".join((info.description or "").split())
    one = name.removesuffix("s")
    flag = "--" + (one if several and one not in fields else name).replace("_", "-")
    if kind is bool:
        return Annotated[bool, typer.Option(f"{flag}/--no-{flag[2:]}", help=text)], info.default
    option = typer.Option(flag, help=f"{text.removesuffix('.')}; repeatable." if several else text)
    if several:
        return Annotated[list[str] | None, option], None
    if info.is_required():
        return Annotated[kind, option], inspect.Parameter.empty
    return (Annotated[kind | None, option], None) if info.default is None else (Annotated[kind, option], info.default)


def _kind(annotation: Any) -> tuple[Any, bool]:
    """str, int, float or bool, and whether there are several values."""
    if get_origin(annotation) in {types.UnionType, Union}:
        members = [member for member in get_args(annotation) if member is not type(None)]
        return _kind(members[0]) if len(members) == 1 else (str, False)
    if get_origin(annotation) is tuple:
        return str, True
    return (annotation, False) if annotation in {int, float, bool} else (str, False)


def _plain(info: FieldInfo | None, value: Any) -> Any:
    """A value from the command line as the field wants it: where levels belong, `1` is a number."""
    if info is None or not {str, float} <= _leaves(info.annotation):
        return value
    return [_level(text) for text in value] if isinstance(value, list) else _level(value)


def _leaves(annotation: Any) -> set[Any]:
    """The types that an annotation is made of."""
    parts = get_args(annotation)
    return set().union(*map(_leaves, parts)) if parts else {annotation}


def _level(text: str) -> str | int | float | bool:
    """A value from the command line: true, false, a number, or text."""
    if text in {"true", "false"}:
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _read(file: Path) -> dict[str, Any]:
    """A request from a file."""
    import json
    import tomllib

    try:
        text = file.read_text(encoding="utf-8")
        plain = tomllib.loads(text) if file.suffix.lower() == ".toml" else json.loads(text)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{file} is neither JSON nor TOML: {error}", hint="name it .json or .toml") from None
    if not isinstance(plain, dict):
        raise SpecError(f"{file} holds no request: an object with `type` is needed")
    return plain


def _check_prefix(out: Path) -> None:
    """Before the run: what it opens is opened even if nothing can be written afterwards."""
    if out.is_dir():
        raise ConfigurationError(
            f"{out} is a folder, and --out is the beginning of file names", hint=f"--out {out / 'result'}"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{out.parent} is not writable", hint="--out PREFIX in another folder")


def _run(party: Path, spec: AnalysisSpec, out: Path | None, as_json: bool) -> None:
    from mpcstats.cli.progress import progress_lines
    from mpcstats.sdk.connect import NodeClient
    from mpcstats.sdk.results import wrap

    if out is not None:
        _check_prefix(out)
    with progress_lines() as tell:
        outcome = NodeClient(party).run(spec, tell)
    result = wrap(outcome)
    typer.echo(outcome.to_json() if as_json else result.summary())
    if out is not None:
        for path in result.save(out):
            typer.echo(f"wrote {path}", err=True)
