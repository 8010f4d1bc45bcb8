"""The columns of a linear predictor, from a formula or a list of covariates and the public dictionary alone.

Every site makes the same columns, whatever its records hold: a level that a site lacks has a column there, too.
Categories are coded with a reference level. Which levels of an interaction need a column is decided as in R and patsy:
a factor keeps all its levels where the term without it is not in the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

from mpcstats.errors import SpecError
from mpcstats.stats.contributions import Level
from mpcstats.stats.contributions.association import MAX_COVARIATES, MAX_FEW
from mpcstats.study.dictionary import Column, Dictionary
from mpcstats.study.formula import Factor, Formula, Transform
from mpcstats.study.planning import few_levels, levels_of, scale

__all__ = ["Design", "DesignColumn", "Part", "design_of", "discrete_levels", "formula_of", "range_of"]


@dataclass(frozen=True)
class Part:
    """One column of the table within a product: its number, transformed, or 1 where it has a level.

    Attributes
    ----------
    source : str
    level : Level or None
        None: a number.
    transform : "", "log", "sqrt" or "power"
    exponent : int
    """

    source: str
    level: Level | None = None
    transform: Transform = ""
    exponent: int = 1

    @property
    def name(self) -> str:
        """ "age", "sex=M", "log(age)", "I(age**2)"."""
        if self.level is not None:
            return f"{self.source}={self.level}"
        if self.transform == "power":
            return f"I({self.source}**{self.exponent})"
        return f"{self.transform}({self.source})" if self.transform else self.source


@dataclass(frozen=True)
class DesignColumn:
    """A column of the model: the product of its parts.

    Attributes
    ----------
    parts : tuple of Part
    low, high : float
        Its range, from the ranges of the table's columns.
    """

    parts: tuple[Part, ...]
    low: float
    high: float

    @property
    def name(self) -> str:
        """Names of the parts, joined by a colon."""
        return ":".join(part.name for part in self.parts)


@dataclass(frozen=True)
class Design:
    """All columns but the intercept.

    Attributes
    ----------
    intercept : bool
    columns : tuple of DesignColumn
    terms : tuple of (name, places of its columns)
    """

    intercept: bool
    columns: tuple[DesignColumn, ...]
    terms: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns of the table, each once."""
        return tuple(dict.fromkeys(part.source for column in self.columns for part in column.parts))


def formula_of(response: str, covariates: Sequence[str], factors: Sequence[str]) -> Formula:
    """The formula of a list of covariates, of which `factors` are categories whatever their type."""
    strange = [name for name in factors if name not in covariates]
    if strange:
        raise SpecError(f"{', '.join(map(repr, strange))} in `factors` is not among the covariates")
    if response in covariates:
        raise SpecError(f"the outcome {response!r} is also a covariate")
    return Formula(response, True, tuple((Factor(name, category=name in factors),) for name in covariates))


def design_of(formula: Formula, dictionary: Dictionary, use: str) -> Design:
    """Fit a formula to the dictionary; `use` is the analysis, for the error about a missing range.

    Raises
    ------
    SpecError
        An unknown column, a category without levels, a reference that is no level, a number without range, a logarithm
        of what may be 0, or too many columns.
    """
    columns: list[DesignColumn] = []
    terms: list[tuple[str, tuple[int, ...]]] = []
    spanned: set[frozenset[object]] = set()
    if formula.intercept:
        spanned.add(frozenset())
    for term in formula.terms:
        categories = tuple(f for f in term if _is_category(f, dictionary))
        numbers = frozenset(f for f in term if f not in categories)
        start = len(columns)
        for coded in _codings(categories, numbers, spanned):
            choices = [_parts(factor, coded, dictionary) for factor in term]
            # the first factor varies fastest, as in R
            for parts in product(*(choice for choice in reversed(choices) if choice is not None)):
                columns.append(_column(tuple(reversed(parts)), dictionary, use))
                _refuse_many(len(columns))
        terms.append((":".join(_title(f) for f in term), tuple(range(start, len(columns)))))
    if not columns and not formula.intercept:
        raise SpecError("the model has no column at all", hint="name covariates, or keep the intercept")
    return Design(formula.intercept, tuple(columns), tuple(term for term in terms if term[1]))


def range_of(column: Column, use: str) -> tuple[float, float]:
    """Smallest and largest number of a column: its range, or that of its levels; refuses a column without both."""
    if column.type == "boolean":
        return 0.0, 1.0
    if column.range is None and column.is_number and column.levels:
        numbers = [float(level) for level in column.levels]
        return min(numbers), max(numbers)
    scale(column, use)
    assert column.range is not None
    return column.range


def discrete_levels(name: str, dictionary: Dictionary, as_category: bool) -> tuple[Level, ...]:
    """All values of a column that counts as having levels: a category, a boolean, or up to three numbers; else ()."""
    column = dictionary.column(name)
    if as_category or column.type == "category":
        return levels_of(name, dictionary, "a model as a category")
    if column.type == "boolean":
        return (False, True)
    return few_levels(column, MAX_FEW)


def _is_category(factor: Factor, dictionary: Dictionary) -> bool:
    kind = dictionary.column(factor.column).type
    if kind == "category" and factor.transform:
        raise SpecError(f"{dictionary.column(factor.column).title} has no {_title(factor)}: a number is needed")
    return factor.category or kind == "category"


def _title(factor: Factor) -> str:
    return Part(factor.column, None, factor.transform, factor.exponent).name


def _codings(
    categories: tuple[Factor, ...], numbers: frozenset[Factor], spanned: set[frozenset[object]]
) -> list[dict[Factor, bool]]:
    """For each block of columns of a term: its categories, and whether they keep all levels.

    A term spans the products of numbers with the contrasts of every subset of its categories. Those that earlier terms
    span are left out; of the rest, a subset and the same with one factor more are one block in which that factor keeps
    all its levels (Chambers and Hastie 1992; patsy).
    """
    blocks: list[dict[Factor, bool]] = []
    for size in range(len(categories) + 1):
        for subset in combinations(categories, size):
            key = frozenset([*subset, ("numbers", numbers)]) if numbers else frozenset(subset)
            if key not in spanned:
                spanned.add(key)
                blocks.append(dict.fromkeys(subset, False))
    while _joined(blocks):
        pass
    return sorted(blocks, key=len)


def _joined(blocks: list[dict[Factor, bool]]) -> bool:
    """Join the first pair of blocks of which one has a single factor, without its reference, more."""
    for short in blocks:
        for long in blocks[blocks.index(short) + 1 :]:
            more = [factor for factor in long if factor not in short]
            same = all(long.get(factor) == full for factor, full in short.items())
            if len(more) == 1 and len(long) == len(short) + 1 and same and not long[more[0]]:
                blocks.remove(long)
                long[more[0]] = True
                blocks[blocks.index(short)] = long
                return True
    return False


def _parts(factor: Factor, coded: dict[Factor, bool], dictionary: Dictionary) -> list[Part] | None:
    """What a factor can be in the columns of a block; None where the block is without it."""
    if not _is_category(factor, dictionary):
        return [Part(factor.column, None, factor.transform, factor.exponent)]
    if factor not in coded:
        return None
    levels = levels_of(factor.column, dictionary, "a model as a category")
    reference = levels[0] if factor.reference is None else factor.reference
    named = [level for level in levels if level == reference or str(level) == str(reference)]
    if not named:
        raise SpecError(
            f"{reference!r} is no level of {dictionary.column(factor.column).title}",
            hint=f"levels: {', '.join(map(str, levels[:30]))}",
        )
    kept = levels if coded[factor] else [level for level in levels if level != named[0]]
    return [Part(factor.column, level) for level in kept]


def _column(parts: tuple[Part, ...], dictionary: Dictionary, use: str) -> DesignColumn:
    low, high = 1.0, 1.0
    for part in parts:
        ends = (0.0, 1.0) if part.level is not None else _range(part, dictionary, use)
        corners = [a * b for a in (low, high) for b in ends]
        low, high = min(corners), max(corners)
    return DesignColumn(parts, low, high)


def _range(part: Part, dictionary: Dictionary, use: str) -> tuple[float, float]:
    column = dictionary.column(part.source)
    low, high = range_of(column, use)
    if part.transform == "log":
        if low <= 0:
            raise SpecError(
                f"{part.name} needs numbers above 0, and the range of {column.title} begins at {low:g}",
                hint="agree on a range above 0 in the dictionary, or leave the logarithm out",
            )
        return math.log(low), math.log(high)
    if part.transform == "sqrt":
        if low < 0:
            raise SpecError(f"{part.name} needs numbers from 0, and the range of {column.title} begins at {low:g}")
        return math.sqrt(low), math.sqrt(high)
    if part.transform == "power":
        ends = sorted((low**part.exponent, high**part.exponent))
        return (0.0 if low < 0 < high and part.exponent % 2 == 0 else ends[0]), ends[1]
    return low, high


def _refuse_many(columns: int) -> None:
    if columns > MAX_COVARIATES:
        raise SpecError(f"the formula makes more than {MAX_COVARIATES} columns; at most so many are allowed")
