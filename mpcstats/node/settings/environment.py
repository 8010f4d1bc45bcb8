"""The settings of party.toml one by one: their variables in the environment, their values, and where these come from.

Every setting with one value has the variable MPCSTATS_SECTION__FIELD, such as MPCSTATS_RUN__PATIENCE_SECONDS; one at
the top of the file MPCSTATS_FIELD. Data sets and notices have names of their own, or are lists, and stand in the file
alone. Some variables have an older, shorter name; that both are set and differ is an error.
"""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mpcstats.errors import ConfigurationError

__all__ = ["Setting", "origins", "overrides", "section_of", "settings_of", "with_overrides"]

PREFIX = "MPCSTATS_"

Place = tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes
    ----------
    place : tuple of str
        Section and field; a field alone at the top of the file.
    variable : str
        In the environment.
    short : str or None
        The older name of the variable.
    field : FieldInfo
    """

    place: Place
    variable: str
    short: str | None
    field: FieldInfo

    @property
    def name(self) -> str:
        """As errors and documents write it: run.patience_seconds."""
        return ".".join(self.place)

    def given(self, environment: Mapping[str, str]) -> tuple[str, str] | None:
        """Variable and text, where the environment has it.

        Raises
        ------
        ConfigurationError
            Both names are set, to different values.
        """
        found = [(name, environment[name]) for name in (self.variable, self.short) if name and name in environment]
        if len({text for _, text in found}) > 1:
            raise ConfigurationError(
                f"the environment variables {self.variable} and {self.short} differ", hint=f"unset {self.short}"
            )
        return found[0] if found else None


def settings_of(model: type[BaseModel], short: Mapping[str, Place] = MappingProxyType({})) -> Iterator[Setting]:
    """The settings with one value of the model of a file: those at the top, and those of its sections.

    Parameters
    ----------
    short : mapping
        Older variable -> the place that it stands for.
    """
    older = {place: name for name, place in short.items()}
    for name, field in model.model_fields.items():
        section = section_of(field.annotation)
        if section is not None:
            for inner, detail in section.model_fields.items():
                if _single(detail.annotation):
                    yield _setting((name, inner), older, detail)
        elif _single(field.annotation):
            yield _setting((name,), older, field)


def overrides(
    model: type[BaseModel], environment: Mapping[str, str], short: Mapping[str, Place] = MappingProxyType({})
) -> dict[Place, tuple[str, str]]:
    """Place -> (variable, text) of what the environment sets.

    Raises
    ------
    ConfigurationError
        A variable that looks like a setting is none; or see `Setting.given`.
    """
    settings = list(settings_of(model, short))
    known = {setting.variable for setting in settings}
    for name in environment:
        if name.startswith(PREFIX) and "__" in name and name not in known:
            near = difflib.get_close_matches(name.upper(), known, 1)
            raise ConfigurationError(
                f"the environment variable {name} is no setting of party.toml",
                hint=f"did you mean {near[0]}?" if near else "docs/configuration.md lists all",
            )
    found = ((setting.place, setting.given(environment)) for setting in settings)
    return {place: given for place, given in found if given is not None}


def with_overrides(plain: Mapping[str, Any], given: Mapping[Place, tuple[str, str]]) -> dict[str, Any]:
    """What a file holds, with what the environment sets in its place."""
    merged = dict(plain)
    for place, (_, text) in given.items():
        if len(place) == 1:
            merged[place[0]] = text
            continue
        section, field = place
        before = merged.get(section, {})
        # what is no table is reported as such, not hidden by an override
        merged[section] = {**before, field: text} if isinstance(before, Mapping) else before
    return merged


def origins(
    model: BaseModel, plain: Mapping[str, Any], given: Mapping[Place, tuple[str, str]]
) -> Iterator[tuple[Setting, Any, str]]:
    """Every setting with its value in force, and its origin: "environment VARIABLE", "file" or "default"."""
    for setting in settings_of(type(model)):
        value: Any = model
        written: Any = plain
        for part in setting.place:
            value = getattr(value, part)
            written = written.get(part) if isinstance(written, Mapping) else None
        if setting.place in given:
            yield setting, value, f"environment {given[setting.place][0]}"
        else:
            yield setting, value, "default" if written is None else "file"


def _setting(place: Place, older: Mapping[Place, str], field: FieldInfo) -> Setting:
    return Setting(place, PREFIX + "__".join(part.upper() for part in place), older.get(place), field)


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The model of a section; None where the annotation is no section's."""
    kinds = [kind for kind in _members(annotation) if kind is not type(None)]
    if len(kinds) == 1 and isinstance(kinds[0], type) and issubclass(kinds[0], BaseModel):
        return kinds[0]
    return None


def _single(annotation: Any) -> bool:
    """Whether a text can stand for the whole value."""
    return all(
        # a constant, such as the kind of the file, is no setting
        len(get_args(kind)) > 1 if get_origin(kind) is Literal else get_origin(kind) is None and not _is_model(kind)
        for kind in _members(annotation)
    )


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel | dict | list | tuple | set | frozenset)


def _members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, without what is annotated about them."""
    if hasattr(annotation, "__metadata__"):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in {Union, types.UnionType}:
        return tuple(member for each in get_args(annotation) for member in _members(each))
    return (annotation,)
