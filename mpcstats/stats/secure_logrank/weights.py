"""Weights of the log-rank family on shares.

All weights are scaled to at most 1: by powers of two, which do not change chi-square. Powers of the survival curve are
whole or half: products and square roots are exact to 2^-50, any other power would need logarithms at every time.
"""

from __future__ import annotations

from dataclasses import dataclass

from mpcstats.errors import SpecError
from mpcstats.protocols import cumulative_product_exact, multiply
from mpcstats.protocols.fine import FineReciprocal
from mpcstats.protocols.normalise import leading_one, power_factors, product_trees
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.stats.logrank import weights_text
from mpcstats.stats.secure_logrank.lattice import INVERSE, WIDTH, Lattice, fine_roots, row, scaled_product

__all__ = ["FRACTION", "PointWeights", "Weights", "people_scale", "point_weights", "secure_weights"]

FRACTION = 50
"""Fraction bits of weights."""

_LARGEST_POWER = 2


@dataclass(frozen=True)
class Weights:
    """Weights by name, checked.

    Attributes
    ----------
    name : one of `logrank.WEIGHTS`
    curve_power, gone_power : int
        2 p and 2 q of S(t-)^p (1 - S(t-))^q.
    text : str
        For a result's conventions.
    """

    name: str
    curve_power: int
    gone_power: int
    text: str

    @property
    def reciprocals(self) -> int:
        """How many reciprocals each point needs."""
        return {"wilcoxon": 1, "peto-peto-lifelines": 3}.get(self.name, 2)

    @property
    def roots(self) -> int:
        """How many square roots each point needs."""
        return int(self.name == "tarone-ware" or bool(self.curve_power % 2 or self.gone_power % 2))


def secure_weights(name: str, p: float = 0.0, q: float = 0.0) -> Weights:
    """Weights S(t-)^p (1 - S(t-))^q for "fleming-harrington"; p and q are not read for the others.

    Raises
    ------
    SpecError
        No such weights, or powers that are not 0, 0.5, 1, 1.5 or 2.
    """
    text = weights_text(name, p, q)
    if name == "peto-peto-R":
        return Weights(name, 2, 0, text)
    if name != "fleming-harrington":
        return Weights(name, 0, 0, text)
    powers = []
    for letter, value in (("p", p), ("q", q)):
        twice = 2 * value
        if not (value <= _LARGEST_POWER and twice == round(twice)):
            raise SpecError(
                f"Fleming-Harrington weights with {letter} = {value:g} cannot be formed on shares: whole and half "
                f"powers of the survival curve from 0 to {_LARGEST_POWER} can, others need its logarithm at every time",
                hint="p and q from 0, 0.5, 1, 1.5, 2, or a test from the exact table (exact_curve)",
            )
        powers.append(round(twice))
    return Weights(name if any(powers) else "logrank", powers[0], powers[1], text)


@dataclass(frozen=True)
class PointWeights:
    """Weights of all points, at most 1.

    Attributes
    ----------
    weight, square : Shared (L,), `FRACTION` fraction bits
    unit : Shared () or None
        Whole number by which the weights were divided; None where it is 1, or not known.
    """

    weight: Shared
    square: Shared
    unit: Shared | None


async def point_weights(
    session: Session, weights: Weights, lattice: Lattice, found: list[FineReciprocal], exact_unit: bool
) -> PointWeights | None:
    """Weights of all points; None where all are 1.

    Parameters
    ----------
    found : reciprocals of n, n - 1 and, where needed, n + 1
    exact_unit : bool
        The weights are wanted in units that are known: no scaling by the size of 1 - S.
    """
    if weights.name == "logrank":
        return None
    if weights.name == "tarone-ware":
        return await _roots_of_people(session, lattice)
    if weights.name == "peto-peto-lifelines":
        weight = await _curve(session, lattice, found[2])
        return PointWeights(weight, await scaled_product(session, weight, weight, FRACTION), None)
    before = _just_before(await _curve(session, lattice, found[0]), lattice)
    return await _powers(session, weights, before, lattice, exact_unit)


async def people_scale(session: Session, people: Shared, width: int, even: bool) -> tuple[Shared, Shared]:
    """(up, down): up = 2^shift with people * up in [2^(width-1), 2^width), or half of that, down = 2^width / up.

    With `even` the shift is even, and down is 2^(width / 2) / 2^(shift / 2).
    """
    where = await leading_one(session, people.reshape(1), width)
    up, down = await product_trees(
        session,
        [
            power_factors(where.shift[1:] if even else where.shift, 2 if even else 1),
            power_factors(where.shift[1:] if even else where.shift, -1),
        ],
    )
    return up, down.times_int(1 << (width // 2 if even else width))


async def _roots_of_people(session: Session, lattice: Lattice) -> PointWeights:
    """sqrt(n / 4^k), 4^k just above everybody's number."""
    width = WIDTH + 1
    up, down = await people_scale(session, lattice.people.sum(0), width, even=True)
    scaled = await multiply(session, lattice.all_at_risk, up)
    root = await fine_roots(session, scaled, width, FRACTION - width // 2)
    return PointWeights(root, scaled.times_int(1 << (FRACTION - width)), down)


async def _curve(session: Session, lattice: Lattice, found: FineReciprocal) -> Shared:
    """Product of 1 - d / n up to and including each point, within each stratum; n as `found` has it."""
    scaled = await multiply(session, lattice.all_events, found.factor)
    share = await scaled_product(session, scaled, found.inverse, WIDTH + INVERSE - FRACTION)
    factors = (-share).plus_int(1 << FRACTION).with_fraction_bits(FRACTION)
    curve: Shared = await cumulative_product_exact(session, factors.reshape(lattice.strata, lattice.times), 1)
    return curve.with_fraction_bits(0).reshape(share.size)


def _just_before(curve: Shared, lattice: Lattice) -> Shared:
    """The curve to the left of each point: 1 at the first one of each stratum."""
    table = curve.reshape(lattice.strata, lattice.times)
    first = table[:, :1].times_int(0).plus_int(1 << FRACTION)
    return concatenate([first, table[:, :-1]], axis=1).reshape(curve.size)


async def _powers(
    session: Session, weights: Weights, before: Shared, lattice: Lattice, exact_unit: bool
) -> PointWeights:
    a, b = weights.curve_power, weights.gone_power
    gone = (-before).plus_int(1 << FRACTION)
    if b and not exact_unit:
        gone = await _enlarged(session, gone, lattice)
    if a % 2 == 0 and b % 2 == 0:
        weight = await _product(session, [before] * (a // 2) + [gone] * (b // 2))
        return PointWeights(weight, await scaled_product(session, weight, weight, FRACTION), None)
    square = await _product(session, [before] * a + [gone] * b)
    # 1 itself needs one bit more
    root = await fine_roots(session, square, FRACTION + 2, FRACTION // 2)
    return PointWeights(root, square, None)


async def _enlarged(session: Session, gone: Shared, lattice: Lattice) -> Shared:
    """1 - S times a power of two, so that small risks keep their digits: chi-square does not change."""
    last = gone.reshape(lattice.strata, lattice.times)[:, -1].sum(0).reshape(1)
    width = FRACTION + lattice.strata.bit_length() + 1
    where = await leading_one(session, last, width)
    (scale,) = await product_trees(session, [power_factors(where.shift, 1)])
    return await scaled_product(session, gone, scale, width - FRACTION)


async def _product(session: Session, factors: list[Shared]) -> Shared:
    """Product of numbers with FRACTION fraction bits; squares are formed once."""
    while len(factors) > 1:
        half = len(factors) // 2
        left, right = (concatenate([row(x) for x in factors[k : 2 * half : 2]]) for k in (0, 1))
        done = await scaled_product(session, left, right, FRACTION)
        factors = [done[k] for k in range(half)] + factors[2 * half :]
    return factors[0]
