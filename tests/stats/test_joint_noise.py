"""Joint noise: what the parties deal adds up to two-sided geometric noise, exactly, and any m - t parts are enough."""

from __future__ import annotations

import itertools
import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2, nbinom

from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.sharing.streams import Stream
from mpcstats.stats.joint_noise import UNIFORM_BITS, JointNoise
from mpcstats.types import LARGEST_NOISE

WHOLE = 1 << UNIFORM_BITS


class Scripted:
    """Words from a list."""

    def __init__(self, uniforms: list[int]) -> None:
        self.left = [word for u in uniforms for word in (u >> 64, u & (2**64 - 1))]

    def words(self, count: int) -> NDArray[np.uint64]:
        taken, self.left = self.left[:count], self.left[count:]
        return np.array(taken, np.uint64)

    def fill(self, out: NDArray[np.uint64]) -> None:
        out[:] = self.words(out.size)


def chances(table: tuple[int, ...]) -> list[int]:
    """In units of 2^-128."""
    return [high - low for low, high in itertools.pairwise((0, *table))]


def convolved(one: list[int], other: list[int]) -> list[int]:
    """Of exact integers, without any rounding."""
    found = [0] * (len(one) + len(other) - 1)
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            found[i + j] += a * b
    return found


def two_sided(z: int, epsilon: Fraction) -> Decimal:
    q = (-Decimal(epsilon.numerator) / epsilon.denominator).exp()
    return (1 - q) / (1 + q) * q ** abs(z)


@pytest.mark.parametrize(("scale", "together"), [(100, 1), (100, 2), (40, 3), (30, 4), (20, 5)])
def test_the_tables_of_the_honest_parties_add_up_to_two_sided_geometric_noise(scale: int, together: int) -> None:
    """By exact convolution of the tables: the statistical distance is what is stated."""
    noise = JointNoise(scale, together + 1, together)
    one = chances(noise.table)
    assert sum(one) == WHOLE
    total = one
    for _ in range(together - 1):
        total = convolved(total, one)
    both, middle = convolved(total, total[::-1]), len(total) - 1
    with localcontext() as context:
        context.prec = 400
        unit = Decimal(WHOLE) ** (2 * together)
        distance = sum(
            abs(Decimal(count) / unit - two_sided(z - middle, noise.epsilon)) for z, count in enumerate(both)
        )
        behind = 2 * two_sided(middle + 1, noise.epsilon) / (1 - (-Decimal(100) / scale).exp())
        assert (distance + behind) / 2 <= Decimal(2 * together * noise.distance)
    assert noise.distance < 2.0**-118


@pytest.mark.parametrize(("scale", "together"), [(1, 1), (100, 2), (1000, 4), (LARGEST_NOISE, 2)])
def test_one_part_is_a_difference_of_polya_numbers(scale: int, together: int) -> None:
    noise = JointNoise(scale, together, together)
    k = np.arange(min(len(noise.table) - 1, 3000))
    expected = nbinom.cdf(k, 1 / together, -math.expm1(-float(noise.epsilon)))
    np.testing.assert_allclose([noise.table[i] / WHOLE for i in k], expected, rtol=1e-9)
    assert noise.table[-1] == WHOLE
    assert all(low <= high for low, high in itertools.pairwise(noise.table))
    assert noise.distance < 2.0**-113


def test_the_sampler_reads_the_table_exactly() -> None:
    """On either side of every step; the first number less the second."""
    noise = JointNoise(50, 3, 2)
    steps = [step for step in noise.table if step < WHOLE]
    first = [0, *(u for step in steps for u in (step - 1, step)), WHOLE - 1]
    drawn = noise.part(Scripted([*first, *[0] * len(first)]), len(first))
    expected = [sum(step <= u for step in noise.table) for u in first]
    assert drawn.tolist() == expected
    assert noise.part(Scripted([*[0] * len(first), *first]), len(first)).tolist() == [-k for k in expected]
    assert expected[1:-1] == [n for k in range(len(steps)) for n in (k, k + 1)]
    assert max(expected) == noise.largest


@pytest.mark.parametrize("scale", [1, 100, LARGEST_NOISE])
def test_as_many_coins_are_taken_whatever_comes_out(scale: int) -> None:
    source = Scripted([7] * 100)
    JointNoise(scale, 3, 2).part(source, 10)
    assert len(source.left) == 2 * 100 - 4 * 10


def tail(drawn: NDArray[np.int64], epsilon: float) -> float:
    """p of a chi-square test against the exact chances."""
    q = math.exp(-epsilon)
    exact = (1 - q) / (1 + q) * q ** np.abs(np.arange(-9, 10))
    expected = drawn.size * np.concatenate([[(1 - exact.sum()) / 2], exact, [(1 - exact.sum()) / 2]])
    seen = np.bincount(np.clip(drawn, -10, 10) + 10, minlength=21)
    return float(chi2.sf(((seen - expected) ** 2 / expected).sum(), len(expected) - 1))


@pytest.mark.parametrize("m", [3, 4, 5])
def test_any_honest_parties_make_the_whole_noise(m: int) -> None:
    """Chi-square against the exact chances, of every set of m - t parties; p of a fixed draw above 1e-4."""
    noise = JointNoise.of(200, Committee(m, default_threshold(m)))
    parts = np.array([noise.part(Stream(bytes([j]) * 32, "joint noise"), 20_000) for j in range(m)])
    for parties in itertools.combinations(range(m), noise.together):
        assert tail(parts[list(parties)].sum(axis=0), 0.5) > 1e-4, parties
    # one party less is not enough: its noise is told apart at once, and so is that of one more
    assert tail(parts[: noise.together - 1].sum(axis=0), 0.5) < 1e-12
    assert tail(parts[: noise.together + 1].sum(axis=0), 0.5) < 1e-12


@pytest.mark.parametrize(("scale", "m"), [(100, 1), (300, 3), (1000, 7)])
def test_the_standard_deviation_is_that_of_all_parties(scale: int, m: int) -> None:
    noise = JointNoise.of(scale, Committee(m, default_threshold(m)))
    one = chances(noise.table)
    mean = Fraction(sum(k * c for k, c in enumerate(one)), WHOLE)
    variance = Fraction(sum(k * k * c for k, c in enumerate(one)), WHOLE) - mean**2
    assert noise.standard_deviation == pytest.approx(math.sqrt(2 * m * variance), rel=1e-12)


def test_one_person_changes_no_chance_by_more_than_epsilon() -> None:
    """With all parties' parts, too, and of rounded and thresholded numbers, which are functions of noisy ones."""
    noise = JointNoise.of(100, Committee(3, 1))
    one = chances(noise.table)
    # the whole noise of two honest parties, exactly; what the third adds is the same for both tables
    honest = convolved(convolved(one, one), convolved(one, one)[::-1])
    middle = len(honest) // 2
    core = honest[middle - 30 : middle + 31]
    ratios = [math.log(Fraction(a, b)) for a, b in itertools.pairwise(core)]
    assert max(map(abs, ratios)) == pytest.approx(1, abs=1e-12)
