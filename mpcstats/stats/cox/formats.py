"""How many bits each number of the pooled risk sets gets, from public bounds: nothing wraps around, whatever the data.

Sums over risk sets are integers S with `fraction` bits. A row's S0 is scaled by g = 2^shift to [2^(width-1), 2^width);
y ~ 2^precision / that. So 1 / S0 = g y / 2^(width + precision), and a mean is S1 g y / 2^(width + precision).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mpcstats.errors import RangeError

__all__ = ["Bounds", "Formats"]

_FIELD = 124
"""Bits of a signed number in M127, less some for rounding."""

_WIDEST = 80
_FRACTION = 44
_MEAN = 40
_LEAST = 16


@dataclass(frozen=True)
class Bounds:
    """Public bounds: people and events below 2^people and 2^events, |z| <= 2^spread, ties up to `ties`."""

    people: int
    events: int
    spread: int
    ties: int


@dataclass(frozen=True)
class Formats:
    """Bits.

    Attributes
    ----------
    integer : int
        S0 of a cell is below 2^integer.
    fraction, second_fraction : int
        Of S0 and S1, and of S2.
    width : int
        |scaled S0| of a row is below 2^width as an integer.
    precision, second_precision : int
        Of y for means and for second moments.
    mean : int
        Fraction bits of means.
    """

    integer: int
    fraction: int
    second_fraction: int
    width: int
    precision: int
    second_precision: int
    mean: int

    @classmethod
    def choose(cls, bounds: Bounds, largest_predictor: float, most: int) -> Formats:
        """The finest formats that fit.

        Parameters
        ----------
        largest_predictor : float
            Weights are at most e to this power.
        most : int
            Fraction bits that the reciprocal can give.

        Raises
        ------
        RangeError
            The ranges of the covariates are so wide that digits would be lost.
        """
        scale = bounds.ties.bit_length()
        integer = bounds.people + max(0, math.ceil(largest_predictor / math.log(2))) + 1
        fraction = min(_FRACTION, _WIDEST - integer - scale)
        width = integer + fraction + scale
        precision = min(most, _FIELD - width - bounds.spread - 1)
        sums = bounds.events + 2 * bounds.spread
        mean = min(_MEAN, (_FIELD - sums) // 2)
        # width - (fraction - second_fraction) + second_precision + sums must fit as well
        room = _FIELD - width - sums
        second_precision = min(precision, max(28, room))
        second_fraction = min(fraction, fraction - second_precision + room)
        if min(fraction, precision, second_precision, second_fraction, mean) < _LEAST:
            raise RangeError(
                f"{bounds.people} bits of people with covariates of up to {bounds.spread} bits of standard deviations "
                "leave too few digits",
                hint="agree on narrower ranges of the covariates in the dictionary",
            )
        return cls(integer, fraction, second_fraction, width, precision, second_precision, mean)

    @property
    def drop(self) -> int:
        """Bits to drop from S1 g y for a mean."""
        return self.width + self.precision - self.mean

    @property
    def inverse_fraction(self) -> int:
        """Fraction bits of g y with the second precision, read as 1 / S0."""
        return self.width + self.second_precision - self.fraction

    @property
    def moment_fraction(self) -> int:
        """Fraction bits of S2 g y with the second precision, read as S2 / S0."""
        return self.inverse_fraction + self.second_fraction
