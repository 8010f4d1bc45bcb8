"""The columns of a regression of times on covariates: categories as 0/1 columns, ranges that numbers are scaled by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from mpcstats.errors import SpecError
from mpcstats.stats.contributions import Level
from mpcstats.stats.contributions.association import MAX_COVARIATES, MAX_FEW
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.planning import few_levels, levels_of, scale

__all__ = ["ModelColumn", "Scales", "model_columns", "scales_of", "terms_of"]


@dataclass(frozen=True)
class ModelColumn:
    """A column of the model: a column of the table, or one level of a category.

    Attributes
    ----------
    name : str
        "age", or "stage=II".
    source : str
        Column of the table.
    level : Level or None
        1 where the source is this level, else 0; None: the number itself.
    """

    name: str
    source: str
    level: Level | None


class Scales(TypedDict):
    """The fields of a plan that say which columns a model has, and in which range each lies."""

    covariates: tuple[str, ...]
    centers: tuple[float, ...]
    half_widths: tuple[float, ...]
    few_levels: tuple[tuple[float, ...], ...]


def model_columns(covariates: tuple[str, ...], factors: tuple[str, ...], dictionary: Dictionary) -> list[ModelColumn]:
    """The columns of the model; the first level of a category, or of one of the `factors`, is the reference.

    Raises
    ------
    SpecError
        A factor is not among the covariates, or there are too many columns, or none.
    """
    strange = [name for name in factors if name not in covariates]
    if strange:
        raise SpecError(f"{', '.join(map(repr, strange))} in `factors` is not among the covariates")
    columns = []
    for name in covariates:
        column = dictionary.column(name)
        if column.type == "category" or name in factors:
            levels = levels_of(name, dictionary, "`covariates` as a category")
            columns += [ModelColumn(f"{name}={level}", name, level) for level in levels[1:]]
        else:
            columns.append(ModelColumn(name, name, None))
    if not 1 <= len(columns) <= MAX_COVARIATES:
        raise SpecError(
            f"the covariates make {len(columns)} columns of the model; from 1 to {MAX_COVARIATES} are allowed"
        )
    return columns


def scales_of(columns: list[ModelColumn], dictionary: Dictionary, use: str) -> Scales:
    """Names, ranges and few levels of the columns; `use` is the analysis, for the error about a missing range."""
    ranges = [_range(column, dictionary.column(column.source), use) for column in columns]
    return Scales(
        covariates=tuple(column.name for column in columns),
        centers=tuple(center for center, _, _ in ranges),
        half_widths=tuple(half_width for _, half_width, _ in ranges),
        few_levels=tuple(levels for _, _, levels in ranges),
    )


def _range(column: ModelColumn, source: Column, use: str) -> tuple[float, float, tuple[float, ...]]:
    """Middle, half width and, where these are few, levels of a column of the model."""
    if column.level is not None:
        return 0.5, 0.5, (0.0, 1.0)
    center, half_width = scale(source, use)
    levels = (0.0, 1.0) if source.type == "boolean" else few_levels(source, MAX_FEW)
    return center, half_width, levels


def terms_of(columns: list[ModelColumn]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Name and places of the columns that one covariate makes."""
    places: dict[str, list[int]] = {}
    for place, column in enumerate(columns):
        places.setdefault(column.source, []).append(place)
    return tuple((source, tuple(at)) for source, at in places.items())
