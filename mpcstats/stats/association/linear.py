"""Linear regression of a phenotype on every variant and the covariates, pooled over sites, exact.

With Q orthonormal over the pooled people and the residual e of the phenotype, both known to each site for its own
people, a variant g without missing calls needs only additive sums: s_xx = g'g - |Q'g|^2, s_xy = g'e |y|. Where calls
are missing, people with a call are analysed (PLINK's complete cases). The basis is then not orthonormal, A = Q'Q is I
- E over these people, and s_xx = g'g - u'A^-1 u with u = Q'g. E would tell about the people with missing calls, so it
stays on shares: w ~ A^-1 u is solved in fixed point and corrected exactly, u'A^-1 u ~ 2 w'u - w'A w, which is off by
the square of w's error. So would s_yy: only s_xx / s_yy and s_xy / s_yy are opened, which is effect and standard error.

Sums of products are exact integers on shares. Their last digits would tell the products (with one covariate, allele
count and the carriers' sum of the covariate), so opened numbers are random below 2^-56.

Frisch, Waugh 1933; Lovell 1963 for the projection.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused
from mpcstats.field import M61, M127, Elements
from mpcstats.protocols import at_least, blurred, inner_product, sum_of_inputs
from mpcstats.runtime import Session, Shared, concatenate, local, open_declared
from mpcstats.sharing.fixedpoint import decode, encode
from mpcstats.stats.association.missing import MissingTerms, corrected_sums, missing_openings, share_missing_terms
from mpcstats.stats.association.null_model import NullModel, fit_null_model
from mpcstats.stats.association_table import genomic_control_lambda, linear_table
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.disclosure import Ruling, open_counts
from mpcstats.stats.outcome import Outcome

__all__ = ["FRACTION", "joint_linear_scan", "plan_kappa"]

Floats = NDArray[np.float64]
FRACTION = 58
"""Of the per-variant sums."""

_VISIBLE = 56
"""Fraction bits of opened numbers; below, they are random."""

_BLOCK_CELLS = 1 << 22

_NOTHING_LEFT = 2.0**-32
"""Of s_xx / people: below it is rounding, left by a variant that the intercept and the covariates explain (everybody
heterozygous, a covariate made from the variant). One carrier among 10^6 people has 10^-6."""


@dataclass(frozen=True)
class _Sums:
    """Pooled sums of one block of variants, on shares: basis products (V, order), residual product and square (V,)."""

    basis: Shared
    residual: Shared
    square: Shared


@dataclass
class _Block:
    """Opened numbers of one block, in the order of its variants; where calls are missing, the sums are over s_yy."""

    observed: NDArray[np.int64]
    a1_is_alt: NDArray[np.bool_]
    passes: NDArray[np.bool_]
    solvable: NDArray[np.bool_]
    s_xx: Floats
    s_xy: Floats


def plan_kappa(plan: AssociationPlan, floor: int = 40) -> int:
    """Bits of one bounded mask such that a scan with missing calls everywhere keeps `floor` bits in total."""
    openings = missing_openings(len(plan.covariates) + 1, max(1, plan.variant_count))
    return floor + max(1, math.ceil(math.log2(openings)))


async def joint_linear_scan(
    session: Session,
    plan: AssociationPlan,
    own: AssociationContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    variants: pd.DataFrame,
) -> Outcome:
    """Effect, standard error, t and p of every variant.

    Parameters
    ----------
    variants : DataFrame
        The public variant table, for the labels of the result.

    Reveals
    -------
    The null model's sums (see `null_model`); per variant: people with a call, which allele is rarer, whether it
    passes the rules, and s_xx, s_xy (both over s_yy where calls are missing). These are the released statistics in
    other words.

    Raises
    ------
    DisclosureRefused
        The rules do not allow all variants; nothing was shared.
    """
    if not ruling.rules.all_variants:
        raise DisclosureRefused(
            f"statistics of all variants are not allowed ({ruling.cite('all_variants')})",
            hint="all_variants = true under [disclosure] in the policy.toml of every party named",
        )
    model = await fit_null_model(session, plan, own, dealers, ruling)
    _declare(session, plan.variant_count)
    blocks = []
    for start, stop in _ranges(plan.variant_count, model.people):
        blocks.append(await _scan_block(session, model, own, dealers, ruling, (start, stop)))
        session.progress(f"{stop} of {plan.variant_count} variants")
    return _outcome(plan, model, blocks, ruling, variants)


def _declare(session: Session, count: int) -> None:
    for name, why in (
        ("people with a call", "per variant, pooled"),
        ("rarer allele", "per variant, which of the two alleles is rarer in the pooled data"),
        ("variant passes", "per variant, whether enough copies of the rarer allele exist"),
        ("missing calls balanced", "per variant with missing calls, whether its regression can be solved"),
        ("s_xx", "per variant, sum of squares after the covariates"),
        ("s_xy", "per variant, sum of products with the phenotype after the covariates"),
        ("s_xx over s_yy", "per variant with missing calls, over the sum of squares of the phenotype"),
        ("s_xy over s_yy", "per variant with missing calls, over the sum of squares of the phenotype"),
    ):
        session.openings.declare(name, count, why)


def _ranges(count: int, people: int) -> Iterator[tuple[int, int]]:
    # every party uses the same blocks: the size depends on public numbers only
    size = max(64, min(4096, _BLOCK_CELLS // people))
    for start in range(0, count, size):
        yield start, min(count, start + size)


async def _scan_block(
    session: Session,
    model: NullModel,
    own: AssociationContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    span: tuple[int, int],
) -> _Block:
    calls = None if own is None else await local(session, own.read, *span)
    size = span[1] - span[0]
    observed, a1_is_alt, passes = await _alleles(session, calls, size, model.people, dealers, ruling)
    sums = await _pool(session, model, calls, size, dealers)
    block = _Block(observed, a1_is_alt, passes, np.ones(size, np.bool_), np.zeros(size), np.zeros(size))
    complete = np.flatnonzero(passes & (observed == model.people))
    if complete.size:
        squared = await inner_product(session, sums.basis[complete], sums.basis[complete], axis=1)
        s_xx = blurred(session, sums.square[complete].shifted(2 * FRACTION) - squared, _VISIBLE)
        block.s_xx[complete] = decode(M127, await open_declared(session, s_xx, "s_xx"), s_xx.fraction_bits)
        opened = await open_declared(session, sums.residual[complete], "s_xy")
        block.s_xy[complete] = decode(M127, opened, FRACTION)
    partial = np.flatnonzero(passes & (observed < model.people) & (observed > model.order + 1))
    if partial.size:
        terms = await share_missing_terms(session, model, calls, partial, observed[partial], dealers)
        await _open_partial(session, terms, partial, block)
    return block


async def _alleles(
    session: Session, calls: NDArray[np.int8] | None, size: int, people: int, dealers: tuple[int, ...], ruling: Ruling
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Open people with a call, the rarer allele, and whether it is common enough, per variant."""
    mine = None if calls is None else await local(session, _counts, calls)
    pooled = await sum_of_inputs(session, M61, mine, dealers, (2, size))
    called, copies = pooled[0], pooled[1]
    observed = await open_counts(session, called, "people with a call")
    # ALT is A1 unless it is the commoner allele: copies > called, of 2 called in all
    alt_is_common = await at_least(session, copies - called, 1)
    a1_is_alt = await open_counts(session, alt_is_common, "rarer allele") == 0
    sign, offset = np.where(a1_is_alt, 1, -1), np.where(a1_is_alt, 0, 2 * observed)
    rarer = copies.times(M61.from_int64(sign)).plus(M61.from_int64(offset))
    common_enough = await at_least(session, rarer, max(1, ruling.rules.minimum_allele_count))
    return observed, a1_is_alt, await open_counts(session, common_enough, "variant passes") == 1


def _counts(calls: NDArray[np.int8]) -> Elements:
    """Own people with a call, and copies of ALT: (2, V)."""
    return M61.from_int64(np.stack([(calls >= 0).sum(axis=0), np.maximum(calls, 0).sum(axis=0, dtype=np.int64)]))


async def _pool(
    session: Session, model: NullModel, calls: NDArray[np.int8] | None, size: int, dealers: tuple[int, ...]
) -> _Sums:
    """Share Q'g, e'g and g'g of one block, with g scaled by 1 / sqrt(people): all below 2^3."""
    mine = None if calls is None else await local(session, _products, model, calls)
    pooled = await sum_of_inputs(session, M127, mine, dealers, (model.order + 2, size), FRACTION)
    basis = concatenate([pooled[k].reshape(size, 1) for k in range(model.order)], axis=1)
    return _Sums(basis, pooled[model.order], pooled[model.order + 1])


def _products(model: NullModel, calls: NDArray[np.int8]) -> Elements:
    """Own Q'g, e'g and g'g: (order + 2, V)."""
    g = np.maximum(calls, 0).astype(np.float64)
    products = np.column_stack([model.basis, model.residual]).T @ g / math.sqrt(model.people)
    squares = np.einsum("ij,ij->j", g, g) / model.people
    return encode(M127, np.vstack([products, squares]), FRACTION, 3)


async def _open_partial(session: Session, terms: MissingTerms, partial: NDArray[np.int64], block: _Block) -> None:
    """Statistics of variants with missing calls; those that cannot be solved stay closed."""
    ok, scaled = await corrected_sums(session, terms)
    balanced = await open_counts(session, ok, "missing calls balanced") == 1
    block.solvable[partial] = balanced
    kept = np.flatnonzero(balanced)
    if not kept.size:
        return
    shown = blurred(session, scaled[:, kept], _VISIBLE)
    for row, name, target in ((0, "s_xx over s_yy", block.s_xx), (1, "s_xy over s_yy", block.s_xy)):
        opened = decode(M127, await open_declared(session, shown[row], name), shown.fraction_bits)
        target[partial[kept]] = opened / terms.rates[kept]


def _outcome(
    plan: AssociationPlan, model: NullModel, blocks: list[_Block], ruling: Ruling, variants: pd.DataFrame
) -> Outcome:
    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(block, name) for block in blocks])

    observed, passes, solvable = joined("observed"), joined("passes"), joined("solvable")
    minimum = ruling.rules.minimum_allele_count
    codes = np.full(len(observed), ".", dtype=object)
    codes[~solvable] = "UNBALANCED_MISSINGNESS"
    codes[~passes] = "CONST_OMITTED_ALLELE" if minimum <= 1 else "MAC_BELOW_MINIMUM"
    codes[observed <= model.order + 1] = "SAMPLE_CT<=PREDICTOR_CT"
    scale = model.residual_scale
    unexplained = joined("s_xx")
    s_xx = np.where(unexplained > _NOTHING_LEFT, unexplained, 0.0) * model.people
    s_xy = joined("s_xy") * math.sqrt(model.people) * scale
    degrees = observed - model.order - 1
    # where calls are missing, all three are over s_yy: a common factor changes neither effect nor standard error
    table = linear_table(variants, joined("a1_is_alt"), observed, s_xx, s_xy, scale**2, degrees, codes)
    usable = (table["ERRCODE"] == ".").to_numpy()
    lam = (
        float(genomic_control_lambda(t=table["T_STAT"].to_numpy()[usable], df=degrees[usable]))
        if usable.any()
        else None
    )
    withheld = []
    if minimum > 1 and (~passes).any():
        withheld.append(f"{int((~passes).sum())} rare variants ({ruling.cite('minimum_allele_count')})")
    return Outcome(
        "gwas",
        {"variants": table},
        {"people": model.people, "lambda_gc": lam},
        {
            "model": "linear regression, additive, intercept and covariates " + (", ".join(plan.covariates) or "none"),
            "missing": "complete cases per variant, as PLINK; people without phenotype or a covariate are left out",
            "A1": "the rarer allele in the pooled data; effects are per copy of A1",
            "p": f"t distribution with {model.degrees_of_freedom} degrees of freedom where no call is missing",
        },
        withheld,
    )
