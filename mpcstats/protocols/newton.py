"""1/c and 1/sqrt(c) for a number c scaled to a known interval: a quintic start and a few corrections.

The start y = (a - b c)(s^2 + beta s + A) + delta with s = (c - c0)^2 costs two truncations and one exact product, and
is within 2^-14 of 1/c (2^-10.5 of 1/sqrt(c)). A correction takes e = 1 - c y or 1 - c y^2, exact before it is
truncated, and multiplies y by the series of 1/(1 - e) or 1/sqrt(1 - e) up to e (order 2) or e^2 (order 3): later
corrections mend the rounding errors of earlier ones, so only the last one works with full precision.

How many fraction bits each number has and which corrections there are is planned from the headroom, so that the bound
of the result holds when every rounding goes as wrong as it can (`plan`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from mpcstats.protocols.arithmetic import multiply
from mpcstats.protocols.declare import Case
from mpcstats.protocols.normalise import affine, cut_product, cut_work
from mpcstats.protocols.work import Work, call
from mpcstats.runtime.session import Session
from mpcstats.runtime.shared import Shared

__all__ = ["INVERSE_ROOT", "RECIPROCAL", "Family", "Plan", "inverse", "inverse_work", "plan", "scaled", "scaled_work"]


@dataclass(frozen=True)
class Family:
    """What is computed, and its start: the best relative error with a whole number b.

    Attributes
    ----------
    root : bool
        1/sqrt(c) for c in [1/4, 1]; else 1/c for c in [1/2, 1].
    center, outer, steep, slope, base, plus
        c0, a, b, beta, A, delta.
    error : float
        Relative error of the start without roundings.
    square_bits : int
        (c - c0)^2 < 2^square_bits.
    """

    root: bool
    center: float
    outer: float
    steep: int
    slope: float
    base: float
    plus: float
    error: float
    square_bits: int


RECIPROCAL = Family(False, 0.745428427, 10.435998228, 7, 0.458453156, 0.257108195, 0.0, 5.96e-5, -3)
INVERSE_ROOT = Family(True, 0.609855305, 7.967598302, 6, 0.275559108, 0.175101874, 0.526945925, 6.61e-4, -2)

_SPREAD = 2.03
"""An error of s makes one of y that is at most so many times as large."""

_OUTSIDE = 150
"""Growth of the start's relative error for c outside the interval, per unit."""

_LARGEST = 2.02
"""Bound of y in all stages."""

_LEAST = 20
"""Fraction bits of c below which the constants of the start would be too coarse."""

_CHAINS = ((2,), (3,), (2, 2), (2, 3), (3, 3), (2, 2, 2), (2, 2, 3))
"""Orders of the corrections, cheapest first."""


@dataclass(frozen=True)
class Step:
    """One correction.

    Attributes
    ----------
    order : int
        2 or 3.
    residual : int
        Fraction bits of e.
    result : int
        Fraction bits of the corrected y.
    bound : float
        |e| before it is rounded.
    residual_size, product_size : int
        Bits of the two numbers that are truncated.
    """

    order: int
    residual: int
    result: int
    bound: float
    residual_size: int
    product_size: int


@dataclass(frozen=True)
class Plan:
    """Fraction bits of c, of s, of the start, and the corrections."""

    family: Family
    width: int
    short: int
    square: int
    first: int
    steps: tuple[Step, ...]


def _bits(value: float) -> int:
    """The least k with value < 2^k."""
    return math.frexp(value)[1]


@functools.cache
def plan(family: Family, headroom: int, width: int, precision: int, subsets: int) -> Plan | None:
    """The cheapest way to a relative error below (C + 2) 2^-precision; None where the headroom is too small.

    c is a whole number of `width` bits; where it has many more bits than the result it is truncated to `short`. A
    number |z| < 2^k can be truncated when k + 1 <= headroom.
    """
    rho = (subsets + 1) / 2  # a truncation is off by less than rho units in the last place
    exact = [max(width, _LEAST)] if width <= precision + 4 else []
    candidates = [*exact, *range(min(width - 1, precision + 4), precision, -1)]
    for orders in _CHAINS:
        for short in candidates:
            if 2 * short + family.square_bits >= headroom:
                continue
            square = (headroom - 3 - short) // 2
            outside = rho * 2.0**-short if short < width else 0.0
            start = family.error * (1 + _OUTSIDE * outside) + (rho + 1) * _SPREAD * 2.0**-square
            allowed = (2 * rho + 1) * 2.0**-precision - 2.01 * outside
            search = _Search(family, headroom, short, precision, rho, allowed)
            for first in search.precisions(start):
                if first >= short + 2 * square:
                    continue
                steps = search.chain(orders, first, start + (rho + 1) * 2.0**-first)
                if steps:
                    return Plan(family, width, short, square, first, steps)
    return None


@dataclass(frozen=True)
class _Search:
    family: Family
    headroom: int
    short: int
    precision: int
    rho: float
    allowed: float

    def precisions(self, error: float) -> Iterator[int]:
        """Fraction bits for a y with this relative error: more of them make it better, but products longer."""
        enough = min(self.precision, _bits(self.rho / error) + 5)
        return iter(range(enough, max(enough - 12, 5), -1))

    def chain(self, orders: tuple[int, ...], bits: int, error: float) -> tuple[Step, ...]:
        """Corrections of a y with so many fraction bits and this relative error; none where they do not fit."""
        if len(orders) == 1:
            for guard in (4, 3, 2, 1):
                found = self.step(orders[0], bits, error, self.precision + guard, self.precision)
                if found and found[1] <= self.allowed:
                    return (found[0],)
            return ()
        rough = self.step(orders[0], bits, error, self.headroom, self.headroom, check=False)
        assert rough
        for result in self.precisions(rough[1]):
            found = self.step(orders[0], bits, error, result + 2, result)
            rest = self.chain(orders[1:], result, found[1]) if found else ()
            if found and rest:
                return (found[0], *rest)
        return ()

    def step(
        self, order: int, bits: int, error: float, residual: int, result: int, check: bool = True
    ) -> tuple[Step, float] | None:
        """A correction and the relative error after it; None where it does not fit the headroom."""
        root, rho = self.family.root, self.rho
        bound = error * (2 + error) if root else error
        rounded, off = bound + rho * 2.0**-residual, rho * 2.0**-residual * (0.5 if root else 1) * (1 + 3 * bound)
        series = _series_error(root, order, bound)
        factor = _factor(root, order, bound)
        residual_size = self.short + (2 if root else 1) * bits + _bits(bound)
        size = bits + residual * (order - 1) + _bits(_LARGEST * rounded * (factor + 3 * rounded * (order - 2)))
        longest = max(residual_size, size)
        shifts = self.short + (2 if root else 1) * bits - residual, bits + residual * (order - 1) - result
        if check and (longest >= self.headroom or min(shifts) <= 0 or rounded > 0.25):
            return None
        return Step(order, residual, result, bound, residual_size, size), series + off + rho * 2.0**-result


def _series_error(root: bool, order: int, bound: float) -> float:
    """Relative error of y times the series, for |e| <= bound."""
    if order == 2:
        return bound**2 * (3 / 8 * (1 + bound) if root else 1)
    return bound**3 * (5 / 64 if root else 1 / 4) + bound**4


def _factor(root: bool, order: int, bound: float) -> float:
    """The series is 1 + e (factor + ...): in units of 1/2 for a root of order 2, and of 1/8 (3 e + factor) of order 3.

    With all of e^3 left out, the best factor is a bit above that of the series: a quarter of the error.
    """
    if order == 2:
        return 1.0
    return 8 * (1 / 2 + 15 / 64 * bound**2) if root else 1 + 3 / 4 * bound**2


# --- on shares ------------------------------------------------------------------------------------------------------


def scaled_work(c: Case, plan: Plan) -> Work:
    """Cost of `scaled`."""
    return cut_work(c) if plan.short < plan.width else call("multiply", c)


async def scaled(session: Session, a: Shared, scale: Shared, plan: Plan) -> Shared:
    """c = a * scale with plan.short fraction bits, for a * scale within 2^plan.width. One round."""
    if plan.short < plan.width:
        # the size is right for the upper end of the interval too
        return await cut_product(session, a, scale, plan.width - plan.short, plan.width + 1)
    return (await multiply(session, a, scale)).times_int(1 << (plan.short - plan.width))


def inverse_work(c: Case, plan: Plan) -> Work:
    """Cost of `inverse`."""
    product, rounding = call("multiply", c), cut_work(c)
    total = rounding + product + rounding
    for each in plan.steps:
        total += rounding * 2 + product * (each.order - 2 + plan.family.root)
    return total


async def inverse(session: Session, c: Shared, plan: Plan) -> Shared:
    """1/c or 1/sqrt(c) with the fraction bits of the last correction, for c from `scaled`.

    Relative error below (C + 2) 2^-precision as planned, the one of c included. Reveals nothing; see `inverse_work`.
    """
    y, bits, minus = await _start(session, c, plan), plan.first, affine(c, -1)
    for each in plan.steps:
        y, bits = await _correct(session, minus, y, bits, each, plan), each.result
    return y


async def _start(session: Session, c: Shared, plan: Plan) -> Shared:
    family, short, square = plan.family, plan.short, plan.square
    u = affine(c, 1, -_fixed(family.center, short))
    s = await cut_product(session, u, u, 2 * short - square, 2 * short + family.square_bits)
    inner = await multiply(session, s, s)
    inner = affine(s, _fixed(family.slope, square), _fixed(family.base, 2 * square), inner)
    outer = affine(c, -family.steep, _fixed(family.outer, short))
    total = short + 2 * square
    return await cut_product(session, outer, inner, total - plan.first, total + 2, _fixed(family.plus, total))


async def _correct(session: Session, minus: Shared, y: Shared, bits: int, each: Step, plan: Plan) -> Shared:
    root, unit = plan.family.root, plan.short + (2 if plan.family.root else 1) * bits
    power = await multiply(session, y, y) if root else y
    e = await cut_product(session, minus, power, unit - each.residual, each.residual_size, 1 << unit)
    more, drop = e, bits + each.residual - each.result + root
    if each.order == 3:
        factor = _fixed(_factor(root, 3, each.bound), each.residual)
        more = await multiply(session, e, affine(e, 3 if root else 1, factor))
        drop += each.residual + (2 if root else 0)
    grown = await cut_product(session, y, more, drop, each.product_size)
    return affine(y, 1 << (each.result - bits), 0, grown)


def _fixed(value: float, bits: int) -> int:
    return round(math.ldexp(value, bits))
