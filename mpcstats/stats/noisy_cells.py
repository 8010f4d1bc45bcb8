"""Counts of cells with joint noise: added on shares, before thresholds and rounding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import ConfigurationError, RangeError
from mpcstats.field import M61
from mpcstats.protocols import deal, floor_divide
from mpcstats.runtime import Session, Shared, open_declared
from mpcstats.sharing.streams import Stream
from mpcstats.stats.disclosure import COUNT_BITS, Ruling, enough_people, release_counts
from mpcstats.stats.joint_noise import JointNoise
from mpcstats.types import LARGEST_COUNT, DisclosureRules

__all__ = ["describe_noise", "noisy_words", "release_noisy_cells"]

Counts = NDArray[np.int64]


async def release_noisy_cells(
    session: Session,
    own: Counts | None,
    dealers: tuple[int, ...],
    cells: int,
    name: str,
    rules: DisclosureRules,
    seed: bytes | None,
) -> tuple[Counts, NDArray[np.bool_]]:
    """Open pooled counts with noise, under `minimum_count`, `rounding_base` and `small_remainders`.

    Parameters
    ----------
    own : int64 (cells,), or None at a party without data
        People of each cell at this party, below 2^29.
    dealers : tuple of int
        Parties with data.
    name : str
        Declared for as many values.
    seed : bytes or None
        Where this party's part comes from: secret, and the same for the same request of the same tables alone, so that
        who asks again gets the same numbers.

    Returns
    -------
    (int64, bool)
        Counts (0 where hidden, and where the noise leaves less), and where they are released.

    Raises
    ------
    ConfigurationError
        There is no seed.

    Notes
    -----
    A cell is shown where the exact count may be (`enough_people`), and the noisy one reaches `minimum_count`, too.
    Reveals visible * rounded(count + noise). Costs one deal, and the comparisons of counts that nobody knows a part of.
    """
    if seed is None:
        raise ConfigurationError(
            "noise needs the ledger of released counts: without it, who asks again gets other noise",
            party=session.name(session.index),
        )
    noise = JointNoise.of(rules.noise_scale, session.committee)
    members = session.committee.members
    everybody = tuple(sorted({*dealers, *members}))
    mine = np.zeros((2, cells), np.int64)
    if own is not None:
        mine[0] = _checked(own)
    if session.index in members:
        mine[1] = noise.part(Stream(seed, "joint noise"), cells)
    values = M61.from_int64(mine) if session.index in everybody else None
    dealt = await deal(session, M61, values, everybody, mine.shape)
    parts = [dealt[d][0] for d in dealers]
    noisy = _sum([*parts, *(dealt[j][1] for j in members)])
    if rules.minimum_count:
        allowed = await enough_people(session, parts, rules)
        return await release_counts(session, noisy, name, rules, allowed)
    rounded = await _rounded(session, noisy, rules.rounding_base, noise.largest * noise.members)
    opened = M61.to_int64(await open_declared(session, rounded, name))
    return np.maximum(opened, 0), np.ones(cells, np.bool_)


async def _rounded(session: Session, noisy: Shared, base: int, lowest: int) -> Shared:
    """Nearest multiples of the base, of numbers that may be as low as -lowest."""
    if base == 1:
        return noisy
    steps = -(-lowest // base)
    lifted = noisy.plus_int(base // 2 + steps * base)
    return (await floor_divide(session, lifted, base, COUNT_BITS + 1)).plus_int(-steps).times_int(base)


def _sum(parts: list[Shared]) -> Shared:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _checked(own: Counts) -> Counts:
    counts = np.asarray(own, np.int64).reshape(-1)
    if counts.size and not 0 <= int(counts.min()) <= int(counts.max()) < LARGEST_COUNT:
        raise RangeError(f"a count of people is not within 0 to {LARGEST_COUNT - 1}")
    return counts


def noisy_words(rules: DisclosureRules) -> str:
    """For the reason of an opening: what is done to pooled counts before they are opened."""
    return "with noise, rounded" if rules.noise_scale else "rounded"


def describe_noise(session: Session, ruling: Ruling) -> dict[str, str]:
    """Conventions of a result with noise; none without."""
    rules = ruling.rules
    if not rules.noise_scale:
        return {}
    noise = JointNoise.of(rules.noise_scale, session.committee)
    texts = {
        "epsilon": f"{float(noise.epsilon):.6g} for one person in one cell, added or taken away "
        f"({ruling.cite('noise_scale')})",
        "noise": f"two-sided geometric, in {noise.members} parts of which {noise.together} are enough; standard "
        f"deviation {noise.standard_deviation:.4g} people, before rounding; the same request of the same tables gets "
        "the same noise",
    }
    if rules.minimum_count:
        texts["epsilon"] += "; that the exact count of a cell is large enough to be shown is not covered"
    return texts
