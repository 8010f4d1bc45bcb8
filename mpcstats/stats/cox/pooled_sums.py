"""What is summed over all times of pooled risk sets: score, information, log-likelihood, and tests' sums. On shares."""

from __future__ import annotations

import itertools
from decimal import Context, Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

from mpcstats.field import M127
from mpcstats.protocols import multiply, sum_of_inputs
from mpcstats.protocols.arithmetic import local_product, reshare
from mpcstats.protocols.truncate import truncate
from mpcstats.runtime import Session, Shared, concatenate
from mpcstats.sharing.fixedpoint import encode
from mpcstats.stats.cox import scaling
from mpcstats.stats.cox.pooled import COEFFICIENT_BITS, PooledRisk, RiskShares, Weights, weigh
from mpcstats.stats.cox.sites import pairs

__all__ = ["hazard", "information", "log_likelihood", "moments", "scale_logs", "score", "timed"]

Floats = NDArray[np.float64]

_TOTAL = 50
"""Fraction bits of sums over events."""

_LN2_BITS = 120
_LN2 = int(Context(prec=60).multiply(Decimal(2).ln(Context(prec=60)), Decimal(2**_LN2_BITS)))

_COARSE = 30
"""Fraction bits of means and second moments in sums with weights of time."""


async def event_total(model: PooledRisk) -> Shared:
    """Sum of z over everybody with an event: (p,), _TOTAL fraction bits. Dealt once."""
    if model.total is None:
        mine = None if model.own is None else encode(M127, model.own.event_sums(), _TOTAL, 125 - _TOTAL)
        model.total = await sum_of_inputs(model.session, M127, mine, model.dealers, (model.order,), _TOTAL)
    return model.total


async def score(model: PooledRisk, risk: RiskShares) -> Shared:
    """U (p,)."""
    means = (await weigh(model.session, risk.means, model.rows.weight)).sum(-1)
    return await event_total(model) - means.shifted(_TOTAL)


async def information(model: PooledRisk, risk: RiskShares) -> Shared:
    """Upper triangle of I (P2,)."""
    session, rows, formats = model.session, model.rows, risk.formats
    weighted = await weigh(session, risk.means, rows.weight)
    first, second = pairs(model.order)
    squares = local_product(weighted[first], risk.means[second]).sum(-1)
    hazard, tied = await _hazards(model, risk)
    moments = local_product(risk.second, hazard).sum(-1)
    if tied is not None:
        moments = moments - local_product(risk.tied_second, tied).sum(-1)
    moments = moments.with_fraction_bits(formats.moment_fraction)
    top = max(formats.moment_fraction, 2 * formats.mean)
    return await reshare(session, moments.shifted(top) - squares.shifted(top))


async def _hazards(model: PooledRisk, risk: RiskShares) -> tuple[Shared, Shared | None]:
    """Per cell, sums over its rows of the factors of S2 and A2."""
    rows, cells = model.rows, model.cells.size
    weighted = await weigh(model.session, risk.inverse, rows.weight)
    hazard = await weigh(model.session, rows.per_cell(weighted, cells), rows.scale)
    if not rows.efron:
        return hazard, None
    return hazard, rows.per_cell(weighted.times(M127.from_int64(rows.tied)), cells)


async def hazard(model: PooledRisk, risk: RiskShares) -> Shared:
    """Increments of the baseline hazard per cell, `formats.inverse_fraction` bits."""
    hazard, _ = await _hazards(model, risk)
    return hazard.with_fraction_bits(risk.formats.inverse_fraction)


async def log_likelihood(model: PooledRisk, risk: RiskShares, beta: Floats) -> Shared:
    """The log-likelihood (1,), where every row stands for d S0 - l A0; see `scale_logs` for the open part."""
    session, rows = model.session, model.rows
    log = await scaling.logarithm(session, risk.number)
    exponent = (-risk.shift).plus_int(risk.formats.width - risk.formats.fraction)
    log = log + exponent.times(M127.constant(_LN2 >> (_LN2_BITS - log.fraction_bits))).with_fraction_bits(
        log.fraction_bits
    )
    total = (await _dot(session, log, rows.weight)).reshape(1)
    if isinstance(rows.scale, Shared):
        total = total - _hidden_scale_logs(model, log.fraction_bits)
    linear = (await event_total(model)).times(encode(M127, beta, COEFFICIENT_BITS, 30)).sum(0).reshape(1)
    linear = linear.with_fraction_bits(_TOTAL + COEFFICIENT_BITS)
    top = max(linear.fraction_bits, total.fraction_bits)
    return linear.shifted(top) - total.shifted(top)


async def _dot(session: Session, values: Shared, weights: Weights) -> Shared:
    if isinstance(weights, Shared):
        return await reshare(session, local_product(values, weights).sum(-1))
    return values.times(M127.from_int64(weights)).sum(-1)


def scale_logs(model: PooledRisk) -> float:
    """Sum of d log d over the cells, to be added to `log_likelihood`: rows were multiplied by an open d."""
    d = model.rows.scale
    return 0.0 if d is None or isinstance(d, Shared) else float((d * np.log(np.maximum(d, 1))).sum())


def _hidden_scale_logs(model: PooledRisk, bits: int) -> Shared:
    """The same with secret d: log(1^1), log(2^2 / 1^1), ...: one more for each further tied event."""
    rows = model.rows
    assert isinstance(rows.weight, Shared)
    with localcontext(Context(prec=40)):
        powers = [Decimal(0), *(k * Decimal(k).ln() for k in range(1, model.bounds.ties + 1))]
        steps = [int(((b - a) * 2**bits).to_integral_value()) for a, b in itertools.pairwise(powers)]
    factors = M127.from_ints(steps)[rows.tied]
    return rows.weight.times(factors).sum(-1).reshape(1).with_fraction_bits(bits)


# --- sums with weights of time ------------------------------------------------------------------------------


async def moments(model: PooledRisk, risk: RiskShares) -> tuple[Shared, Shared, Shared]:
    """For `timed`: means and weighted means of the rows (p, rows), second moments per cell (P2, cells)."""
    session, rows, formats = model.session, model.rows, risk.formats
    size = formats.mean + model.bounds.spread + 1
    means = risk.means
    if formats.mean > _COARSE:
        means = await truncate(session, means.with_fraction_bits(0), formats.mean - _COARSE, size)
    means = means.with_fraction_bits(_COARSE)
    weighted = await weigh(session, means, rows.weight)
    hazard, tied = await _hazards(model, risk)
    second = await multiply(session, risk.second, hazard)
    if tied is not None:
        second = second - await multiply(session, risk.tied_second, tied)
    second = await scaling.rounded(session, second, formats.moment_fraction - _COARSE)
    return means, weighted, second.with_fraction_bits(_COARSE)


async def timed(model: PooledRisk, moments: tuple[Shared, Shared, Shared], times: Floats) -> tuple[Shared, Shared]:
    """Score (p,) and information (2, P2) with a public weight |.| <= 1 per cell, and with its square."""
    means, weighted, second = moments
    first, other = pairs(model.order)
    mine = None if model.own is None else encode(M127, model.own.event_sums(times), _TOTAL, 125 - _TOTAL)
    events = await sum_of_inputs(model.session, M127, mine, model.dealers, (model.order,), _TOTAL)
    information = []
    for power in (1, 2):
        by_cell = encode(M127, times**power, _COARSE, 1)
        by_row = by_cell[model.rows.cell]
        squares = local_product(weighted.times(by_row)[first], means[other]).sum(-1)
        squares = squares.with_fraction_bits(3 * _COARSE)
        raw = second.times(by_cell).sum(-1).with_fraction_bits(2 * _COARSE)
        information.append((raw.shifted(3 * _COARSE) - squares).reshape(1, len(first)))
    score = weighted.times(encode(M127, times, _COARSE, 1)[model.rows.cell]).sum(-1)
    score = events.shifted(2 * _COARSE) - score.with_fraction_bits(2 * _COARSE)
    return score, await reshare(model.session, concatenate(information))
