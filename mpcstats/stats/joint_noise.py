"""Noise that no party knows: every computing party deals a part, and the parts of the honest ones are enough.

Two-sided geometric noise, P(Z = z) = (1 - q) / (1 + q) q^|z| with q = exp(-epsilon), is the difference of two geometric
numbers (Ghosh, Roughgarden, Sundararajan 2009), and a geometric number is the sum of h independent Polya numbers with

    P(G = k) = Gamma(k + 1/h) / (k! Gamma(1/h)) (1 - q)^(1/h) q^k

(infinite divisibility; Goryczka, Xiong 2017, section 3.3; Balle, Bell, Gascon, Nissim 2020). With h = m - t, what the
m - t honest parties deal adds up to the whole noise, whatever the other t know or deal; theirs only adds to it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import WordSource
from mpcstats.sharing.committee import Committee

__all__ = ["UNIFORM_BITS", "JointNoise"]

UNIFORM_BITS = 128
"""Of the uniform number that picks a Polya number from its table."""

_DIGITS = 70


@dataclass(frozen=True)
class JointNoise:
    """The noise of one count.

    Attributes
    ----------
    scale : int
        Percent of 1 / epsilon, at least 1.
    members : int
        Parties that deal a part, m.
    together : int
        As many of them make the whole noise, h = m - t.
    """

    scale: int
    members: int
    together: int

    @classmethod
    def of(cls, scale: int, committee: Committee) -> JointNoise:
        """The noise that a committee makes."""
        return cls(scale, committee.m, committee.m - committee.t)

    @property
    def epsilon(self) -> Fraction:
        """What one person, added or taken away, changes the chances of any released number of one cell by at most, as a
        logarithm."""
        return Fraction(100, self.scale)

    @property
    def standard_deviation(self) -> float:
        """Of the noise of all parties together, in people; sqrt(m / h) times that of the whole noise."""
        rate = float(self.epsilon)
        # 2 q / (1 - q)^2, without 1 - q of a q near 1
        return math.sqrt(self.members / self.together * 2 * math.exp(-rate)) / -math.expm1(-rate)

    @property
    def largest(self) -> int:
        """No part is larger than this, nor smaller than its opposite."""
        return len(self.table) - 1

    @property
    def table(self) -> tuple[int, ...]:
        """floor(2^128 P(G <= k)) for k = 0, 1, ...; the last is 2^128."""
        return _table(self.scale, self.together)

    @property
    def distance(self) -> float:
        """Upper bound of the statistical distance between one Polya number and its distribution.

        Each step of the table is cut off by less than 2^-128, and all behind its end has a chance below 2^-128.
        """
        return (len(self.table) + 1) * 2.0**-UNIFORM_BITS

    def part(self, words: WordSource, cells: int) -> NDArray[np.int64]:
        """One party's part of the noise of each cell, from its own coins: the difference of two Polya numbers.

        Integers alone: four words a cell, whatever comes out.
        """
        table = self.table
        drawn = words.words(4 * cells).reshape(2, cells, 2).tolist()
        one, other = ([bisect_right(table, (high << 64) | low) for high, low in row] for row in drawn)
        return np.array(one, np.int64) - np.array(other, np.int64)


@lru_cache(maxsize=16)
def _table(scale: int, together: int) -> tuple[int, ...]:
    with localcontext() as context:
        context.prec = _DIGITS
        q = (Decimal(-100) / scale).exp()
        tail = q / (1 - q)  # each chance is at most q times the one before
        chance = ((1 - q).ln() / together).exp()
        total, steps, k = Decimal(0), list[int](), 0
        whole = Decimal(1 << UNIFORM_BITS)
        while True:
            total += chance
            if chance * tail * whole < 1:
                return (*steps, 1 << UNIFORM_BITS)
            steps.append(int(total * whole))
            # (k + 1/h) / (k + 1)
            chance = chance * q * (k * together + 1) / (together * (k + 1))
            k += 1
