"""From a request and the data dictionary to the public shape of a computation, the same at every party."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import pandas as pd

from mpcstats.errors import SpecError
from mpcstats.stats.contributions import AssociationPlan, CountPlan, Level, Plan, SurvivalPlan
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.filters import check_filter, filter_columns, parse_filter
from mpcstats.study.spec import AnalysisSpec, CountSpec, GwasSpec, KaplanMeierSpec, LogrankSpec

__all__ = ["MAX_FEW", "VARIANT_COLUMNS", "columns_used", "make_plan", "variant_digest"]

MAX_CELLS = 100_000
MAX_HORIZON = 200_000
MAX_SURVIVAL_CELLS = 2_000_000
MAX_COVARIATES = 30
MAX_FEW = 3
VARIANT_COLUMNS = ("chrom", "pos", "id", "ref", "alt")
_DIGEST_BLOCK = 1 << 16


def make_plan(spec: AnalysisSpec, dictionary: Dictionary, variants: pd.DataFrame | None) -> Plan:
    """Fit a request to the data dictionary.

    Parameters
    ----------
    spec : AnalysisSpec
    dictionary : Dictionary
    variants : DataFrame, optional
        The variant table that all parties share: chrom, pos, id, ref, alt. Needed for an association.

    Returns
    -------
    CountPlan, SurvivalPlan or AssociationPlan
        Holds nothing about records.

    Raises
    ------
    SpecError
        Names the column, what it is and what is needed.
    """
    if isinstance(spec, CountSpec):
        return _count_plan(spec, dictionary)
    if isinstance(spec, KaplanMeierSpec | LogrankSpec):
        return _survival_plan(spec, dictionary)
    return _association_plan(spec, dictionary, variants)


def columns_used(spec: AnalysisSpec) -> tuple[str, ...]:
    """Names of the columns that an analysis reads, each once; `unit_of_count` is not among them."""
    if isinstance(spec, GwasSpec):
        return (spec.phenotype, *spec.covariates)
    names = list(filter_columns(parse_filter(spec.where))) if spec.where is not None else []
    if isinstance(spec, CountSpec):
        names += spec.by
    else:
        names += [spec.time, spec.event] + ([spec.by] if spec.by is not None else [])
    return tuple(dict.fromkeys(names))


def variant_digest(variants: pd.DataFrame) -> str:
    """SHA-256 (hex) of a variant table.

    Parameters
    ----------
    variants : DataFrame
        Columns chrom, pos, id, ref, alt; the digest depends on their text and on the order of the rows only.

    Raises
    ------
    SpecError
        A column is missing, or a name contains a tab or line break.
    """
    absent = [name for name in VARIANT_COLUMNS if name not in variants.columns]
    if absent:
        raise SpecError(f"the variant table lacks the columns {', '.join(absent)}")
    state = hashlib.sha256(f"mpcstats variants 1\n{len(variants)}\n".encode())
    for start in range(0, len(variants), _DIGEST_BLOCK):
        block = variants.iloc[start : start + _DIGEST_BLOCK]
        rows = zip(*(block[name].astype(str).tolist() for name in VARIANT_COLUMNS), strict=True)
        text = "".join("\t".join(row) + "\n" for row in rows)
        if text.count("\t") != 4 * len(block) or text.count("\n") != len(block):
            raise SpecError("the variant table has a tab or line break inside a name")
        state.update(text.encode())
    return state.hexdigest()


def _count_plan(spec: CountSpec, dictionary: Dictionary) -> CountPlan:
    _check_where(spec.where, dictionary)
    _refuse_repeated(spec.by, "`by`")
    levels = tuple(_levels_of(name, dictionary, "`by`") for name in spec.by)
    cells = math.prod(len(axis) for axis in levels)
    if cells > MAX_CELLS:
        raise SpecError(
            f"the breakdown by {', '.join(spec.by)} has {cells:,} cells; at most {MAX_CELLS:,} are allowed",
            hint="leave a column out of `by`, or select fewer levels with `where` in separate counts",
        )
    return CountPlan(by=spec.by, levels=levels)


def _survival_plan(spec: KaplanMeierSpec | LogrankSpec, dictionary: Dictionary) -> SurvivalPlan:
    _check_where(spec.where, dictionary)
    _refuse_repeated((spec.time, spec.event, *([spec.by] if spec.by is not None else [])), "time, event and by")
    groups = _levels_of(spec.by, dictionary, "`by`") if spec.by is not None else ()
    horizon = _horizon(dictionary.column(spec.time), spec.time_unit)
    plan = SurvivalPlan(
        by=spec.by,
        groups=groups,
        horizon=horizon,
        unit=spec.time_unit,
        event=spec.event,
        event_values=_event_values(spec, dictionary.column(spec.event)),
    )
    if isinstance(spec, LogrankSpec) and len(groups) < 2:
        raise SpecError(f"a log-rank test compares groups, but column {spec.by!r} has only {len(groups)} level")
    if math.prod(plan.shape) > MAX_SURVIVAL_CELLS:
        raise SpecError(
            f"{plan.shape[0]:,} groups with {plan.shape[1]:,} times each make {math.prod(plan.shape):,} cells; "
            f"at most {MAX_SURVIVAL_CELLS:,} are allowed",
            hint="use a larger time_unit or fewer groups",
        )
    return plan


def _association_plan(spec: GwasSpec, dictionary: Dictionary, variants: pd.DataFrame | None) -> AssociationPlan:
    _refuse_repeated(spec.covariates, "the covariates")
    if spec.phenotype in spec.covariates:
        raise SpecError(f"column {spec.phenotype!r} is the phenotype and cannot be a covariate, too")
    if len(spec.covariates) > MAX_COVARIATES:
        raise SpecError(f"{len(spec.covariates)} covariates were named; at most {MAX_COVARIATES} are allowed")
    phenotype = _numeric_or_boolean(dictionary.column(spec.phenotype), "the phenotype of a linear model")
    covariates = [_numeric_or_boolean(dictionary.column(name), "a covariate") for name in spec.covariates]
    if variants is None or len(variants) == 0:
        raise SpecError(
            f"data set {spec.dataset!r} has no genotypes",
            hint='give a PLINK prefix, for example ms.Dataset("traits.csv", genotypes="chr10", id="IID")',
        )
    scales = [_scale(column) for column in (phenotype, *covariates)]
    return AssociationPlan(
        phenotype=phenotype.name,
        covariates=spec.covariates,
        variant_count=len(variants),
        variant_digest=variant_digest(variants),
        few_levels=tuple(_few_levels(column) for column in (phenotype, *covariates)),
        centers=tuple(center for center, _ in scales),
        half_widths=tuple(half_width for _, half_width in scales),
    )


def _check_where(where: str | None, dictionary: Dictionary) -> None:
    if where is not None:
        check_filter(parse_filter(where), dictionary)


def _refuse_repeated(names: tuple[str, ...], where: str) -> None:
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise SpecError(f"{where} must name different columns; {', '.join(map(repr, repeated))} is named twice")


def _levels_of(name: str, dictionary: Dictionary, where: str) -> tuple[Level, ...]:
    column = dictionary.column(name)
    if column.type == "decimal":
        raise SpecError(f"{column.title} cannot be used in {where}: it has no levels, and a breakdown needs some")
    if not column.levels:
        raise SpecError(
            f"{column.title} cannot be used in {where}: the data dictionary lists no levels for it",
            hint=f"add levels = [...] to column {name!r} of the dictionary",
        )
    return column.levels


def _horizon(column: Column, unit: float) -> int:
    if not column.is_number:
        raise SpecError(f"{column.title} cannot be the time: a number is needed")
    if column.range is None:
        raise SpecError(
            f"{column.title} cannot be the time: its range is not known, and the range fixes the length of the curve",
            hint=f"add range = [0, ...] to column {column.name!r} of the dictionary",
        )
    _check_unit(column, unit)
    high = column.range[1]
    if high < 0:
        raise SpecError(f"{column.title} cannot be the time: its range ends below zero")
    points = high / unit
    if not points + 1 <= MAX_HORIZON:
        raise SpecError(
            f"{column.title} in units of {unit:g} has {points + 1:.6g} possible times; "
            f"at most {MAX_HORIZON:,} are allowed",
            hint="use a larger time_unit",
        )
    return math.floor(points + 1e-6)


def _check_unit(column: Column, unit: float) -> None:
    """No party should have to look at its records to say whether times fit the unit: its answer would tell of them."""
    if column.step is None:
        return
    ratio = column.step / unit
    if round(ratio) < 1 or abs(ratio - round(ratio)) > 1e-9 * ratio:
        raise SpecError(
            f"{column.title} has steps of {column.step:g}, which is no whole multiple of time_unit = {unit:g}",
            hint=f"use time_unit = {column.step:g}, or agree on another resolution of column {column.name!r} in the "
            "dictionary",
        )


def _event_values(spec: KaplanMeierSpec | LogrankSpec, column: Column) -> tuple[Level, ...]:
    if column.type == "decimal" or column.levels is None:
        raise SpecError(
            f"{column.title} cannot be the event: a boolean column, or one with levels, is needed",
            hint=f"add levels = [...] to column {column.name!r} of the dictionary",
        )
    if spec.event_values is not None:
        _refuse_repeated_values(spec.event_values)
        return tuple(_level(column, value) for value in spec.event_values)
    if column.type == "boolean":
        return (True,)
    rule: dict[frozenset[Any], tuple[Level, ...]] = {
        frozenset({0, 1}): (1,),
        frozenset({1, 2}): (2,),
        frozenset({0}): (),
        frozenset({1}): (1,),
        frozenset(): (),
    }
    found = rule.get(frozenset(column.levels))
    if found is None:
        raise SpecError(
            f"which levels of {column.title} mean that the event happened? It has the levels {_listed(column)}",
            hint="name them, for example event_values=[...]",
        )
    return found


def _refuse_repeated_values(values: tuple[Level, ...]) -> None:
    if len({(type(value), value) for value in values}) < len(values):
        raise SpecError("event_values names a value twice")


def _level(column: Column, value: Level) -> Level:
    """The level that a requested value stands for: 1 and 1.0 are the same, true and 1 are not."""
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    for level in column.levels or ():
        if type(level) is type(number) and level == number:
            return level
    raise SpecError(f"event value {value!r} is not a level of {column.title}; levels: {_listed(column)}")


def _numeric_or_boolean(column: Column, role: str) -> Column:
    if column.type == "category":
        raise SpecError(
            f"{column.title} cannot be {role}: a number or a boolean column is needed",
            hint="code its levels as 0/1 columns",
        )
    return column


def _scale(column: Column) -> tuple[float, float]:
    """Middle and half width of a column's range; half width 1 where the range is a single number."""
    if column.type == "boolean":
        return 0.5, 0.5
    if column.range is None:
        raise SpecError(
            f"{column.title} cannot be used in an association: its range is not known, and numbers are scaled by it",
            hint=f"add range = [low, high] to column {column.name!r} of the dictionary",
        )
    low, high = column.range
    center = low / 2 + high / 2
    half_width = max(high - center, center - low)  # rounding of the center must not push an end beyond 1
    return center, half_width if half_width > 0 else 1.0


def _few_levels(column: Column) -> tuple[float, ...]:
    """All values that can occur, if these are at most MAX_FEW; else ()."""
    levels = [float(level) for level in column.levels or ()]
    if not levels and column.range is not None and column.step is not None:
        low, high = (math.ceil(column.range[0] / column.step), math.floor(column.range[1] / column.step))
        levels = [k * column.step for k in range(low, min(high, low + MAX_FEW) + 1)]
    return tuple(levels) if len(levels) <= MAX_FEW else ()


def _listed(column: Column) -> str:
    levels = column.levels or ()
    return ", ".join(repr(level) for level in levels[:30]) + (", ..." if len(levels) > 30 else "")
