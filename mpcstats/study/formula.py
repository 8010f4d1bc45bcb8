"""Model formulas such as `death ~ age + C(sex) * stage`: text to terms. Nothing in a formula is ever evaluated.

formulaic reads operators and brackets; what stands for a column must be on the list below, or the formula is refused
before it is parsed. A formula comes from another party, and formulaic would evaluate `{...}` or `f(x)` as Python.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mpcstats.errors import SpecError

__all__ = ["Factor", "Formula", "Transform", "parse_formula"]

Transform = Literal["", "log", "sqrt", "power"]

_LONGEST = 1000
_MOST_TERMS = 200
_OPERATORS = {"~", "+", "-", ":", "*"}
_NAME = r"(?P<name>[^\W\d][\w.]*)"
_REFERENCE = r"(?:\"(?P<double>[^\"\\]*)\"|'(?P<single>[^'\\]*)'|(?P<number>-?\d{1,15}))"
_TREATMENT = rf"(?:contr\.treatment|Treatment)\(\s*(?:(?:reference|base)\s*=\s*)?{_REFERENCE}\s*\)"
_CATEGORY = re.compile(rf"C\(\s*{_NAME}\s*(?:,\s*{_TREATMENT}\s*)?\)")
_FUNCTION = re.compile(rf"(?P<function>log|sqrt)\(\s*{_NAME}\s*\)")
_POWER = re.compile(rf"I\(\s*{_NAME}\s*(?:\*\*|\^)\s*(?P<exponent>[2-5])\s*\)")
_HINT = (
    "names of columns, C(x), C(x, Treatment('level')), I(x**2), log(x), sqrt(x), joined by + - : *, with brackets; "
    "0 or -1 leaves the intercept out"
)


@dataclass(frozen=True)
class Factor:
    """What stands for one column of the table in a term.

    Attributes
    ----------
    column : str
    category : bool
        Written as C(...): levels become 0/1 columns, whatever the type.
    reference : str, int or None
        The level that has no column; None: the first one.
    transform : "", "log", "sqrt" or "power"
    exponent : int
        Of "power", 2 to 5.
    """

    column: str
    category: bool = False
    reference: str | int | None = None
    transform: Transform = ""
    exponent: int = 1


@dataclass(frozen=True)
class Formula:
    """A parsed formula.

    Attributes
    ----------
    response : str
        Column on the left.
    intercept : bool
    terms : tuple of tuples of Factor
        Those with fewer factors first, else as written; without the intercept.
    """

    response: str
    intercept: bool
    terms: tuple[tuple[Factor, ...], ...]


def parse_formula(text: str) -> Formula:
    """Read a formula.

    Raises
    ------
    SpecError
        Not a formula, or anything in it that is not on the list of what is allowed.
    """
    from formulaic.errors import FormulaicError
    from formulaic.parser import DefaultFormulaParser

    if len(text) > _LONGEST:
        raise SpecError(f"a formula has at most {_LONGEST:,} characters")
    try:
        _check_tokens(text)
        parser = DefaultFormulaParser(feature_flags={"TWOSIDED"})
        if _size(parser.get_ast(text, context={})) > _MOST_TERMS:
            raise SpecError(f"the formula has more than {_MOST_TERMS} terms", hint="name the interactions with `:`")
        found = parser.get_terms(text, context={})._to_dict()
    except (FormulaicError, SyntaxError, ValueError, RecursionError, AttributeError, TypeError, KeyError) as error:
        if isinstance(error, SpecError):
            raise
        reason = str(error).partition("\n")[0]
        raise SpecError(f"the formula {text[:100]!r} cannot be read: {reason}", hint=_HINT) from None
    if set(found) != {"lhs", "rhs"}:
        raise SpecError(f"the formula {text[:100]!r} names no outcome", hint="outcome ~ covariates")
    return _formula(found["lhs"], found["rhs"])


def _check_tokens(text: str) -> None:
    """Refuse everything that is not known; this comes before formulaic makes anything of the text."""
    from formulaic.parser.algos.tokenize import tokenize

    for token in tokenize(text):
        kind, word = token.kind.value, token.token
        if kind == "operator":
            # operators that touch are one token: `~-`, `+-`
            allowed = set(word.replace(" ", "")) <= _OPERATORS and "**" not in word
        elif kind == "context":
            allowed = word in {"(", ")"}
        elif kind == "value":
            allowed = word in {"0", "1"}
        elif kind == "name":
            allowed = True
        else:
            allowed = any(pattern.fullmatch(word) for pattern in (_CATEGORY, _FUNCTION, _POWER))
        if not allowed:
            raise SpecError(f"{word[:60]!r} is not allowed in a formula", hint=_HINT)


def _size(node: Any) -> int:
    """How many terms an expression makes at most: products of long sums are refused before they are formed."""
    if not hasattr(node, "args"):
        return 1
    sizes = [_size(part) for part in node.args]
    if node.operator.symbol in {"*", ":"}:
        total = 1
        for size in sizes:
            total *= size + (node.operator.symbol == "*")
        return min(total, _MOST_TERMS + 1)
    return sum(sizes)


def _formula(left: Sequence[Any], right: Sequence[Any]) -> Formula:
    outcome = [list(term.factors) for term in left]
    if len(outcome) != 1 or len(outcome[0]) != 1 or outcome[0][0].eval_method.value != "lookup":
        raise SpecError("the left side of a formula must be the name of one column", hint="outcome ~ covariates")
    intercept, terms = False, []
    for term in right:
        factors = list(term.factors)
        if [f.expr for f in factors] == ["1"]:
            intercept = True
            continue
        terms.append(tuple(_factor(f) for f in factors))
    response = str(outcome[0][0].expr)
    if any(factor.column == response for term in terms for factor in term):
        raise SpecError(f"the outcome {response!r} is also a covariate")
    return Formula(response, intercept, tuple(sorted(terms, key=len)))


def _factor(parsed: Any) -> Factor:
    """The meaning of one factor of a term."""
    text = str(parsed.expr)
    if parsed.eval_method.value == "lookup":
        return Factor(text)
    if found := _CATEGORY.fullmatch(text):
        word = next((found[key] for key in ("double", "single") if found[key] is not None), None)
        reference = word if found["number"] is None else int(found["number"])
        return Factor(found["name"], category=True, reference=reference)
    if found := _FUNCTION.fullmatch(text):
        return Factor(found["name"], transform="log" if found["function"] == "log" else "sqrt")
    if found := _POWER.fullmatch(text):
        return Factor(found["name"], transform="power", exponent=int(found["exponent"]))
    raise SpecError(f"{text[:60]!r} is not allowed in a formula", hint=_HINT)
