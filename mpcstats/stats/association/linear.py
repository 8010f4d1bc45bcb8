"""Linear regression of a phenotype on every variant and the covariates, pooled over sites, exact.

With Q orthonormal over the pooled people and the residual e of the phenotype, both known to each site for its own
people, a variant g without missing calls needs only additive sums: s_xx = g'g - |Q'g|^2, s_xy = g'e |y|. Where calls
are missing, people with a call are analysed (PLINK's complete cases). The basis is then not orthonormal, A = Q'Q is I
- E over these people, and s_xx = g'g - u'A^-1 u with u = Q'g. E would tell about the people with missing calls, so it
stays on shares: w ~ A^-1 u is solved in fixed point and corrected exactly, u'A^-1 u ~ 2 w'u - w'A w, which is off by
the square of w's error. So would s_yy: only s_xx / s_yy and s_xy / s_yy are opened, which is effect and standard error.
Or missing calls are filled with the variant's mean (`imputed`), which needs no solution.

Sums of products are exact integers on shares. Their last digits would tell the products (with one covariate, allele
count and the carriers' sum of the covariate), so opened numbers are random below 2^-56.

Frisch, Waugh 1933; Lovell 1963 for the projection.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from mpcstats.runtime import Session
from mpcstats.stats.association.genomic_control import hidden_lambda
from mpcstats.stats.association.missing import missing_openings
from mpcstats.stats.association.null_model import NullModel, fit_null_model
from mpcstats.stats.association.options import ScanOptions, refuse_too_much
from mpcstats.stats.association.pooled_test import LinearTest
from mpcstats.stats.association.scan import Block, Scan, rare_code, scan_blocks
from mpcstats.stats.association.scan_filters import ScanFilters
from mpcstats.stats.association.site_indicators import with_site_indicators
from mpcstats.stats.association.store import BlockStore, inputs_digest
from mpcstats.stats.association_table import genomic_control_lambda, linear_table
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome

__all__ = ["joint_linear_scan", "plan_kappa"]

_NOTHING_LEFT = 2.0**-32
"""Of s_xx / people: below it is rounding, left by a variant that the intercept and the covariates explain (everybody
heterozygous, a covariate made from the variant). One carrier among 10^6 people has 10^-6."""


def plan_kappa(plan: AssociationPlan, floor: int = 40, further: int = 0) -> int:
    """Bits of one bounded mask such that a scan with missing calls everywhere keeps `floor` bits in total; `further`
    covariates beside those of the plan."""
    openings = missing_openings(len(plan.covariates) + further + 1, max(1, plan.variant_count))
    return floor + max(1, math.ceil(math.log2(openings)))


async def joint_linear_scan(
    session: Session,
    plan: AssociationPlan,
    own: AssociationContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    variants: pd.DataFrame,
    options: ScanOptions | None = None,
    store: BlockStore | None = None,
) -> Outcome:
    """Effect, standard error, t and p of every variant, or of the hits.

    Parameters
    ----------
    variants : DataFrame
        The public variant table, for the labels of the result.
    store : BlockStore, optional
        Blocks of a scan of the same request that was interrupted: it goes on behind those that all parties have, if
        their inputs are unchanged. A scan for hits with lambda begins anew, since that needs what was on shares.

    Reveals
    -------
    The null model's sums (see `null_model`). With "all", per variant: people with a call, which allele is rarer,
    whether it passes the rules, and s_xx, s_xy (both over s_yy where calls are missing). These are the released
    statistics in other words. With "hits", per variant: whether it is one (and people with a call unless missing calls
    are imputed); the rest for hits alone; and, if asked for, lambda, digit by digit.

    Raises
    ------
    DisclosureRefused
        The rules do not allow all variants; nothing was shared.
    """
    wanted = options or ScanOptions()
    refuse_too_much(wanted, ruling)
    if wanted.site_indicators:
        plan, own = with_site_indicators(plan, own, dealers, session.channel.parties, session.index)
    model = await fit_null_model(session, plan, own, dealers, ruling)
    group = None if own is None else np.zeros(len(own.phenotype), np.int8)
    filters = await ScanFilters.of(session, wanted.filters, group, 1, model.people, dealers)
    scan = Scan(session, LinearTest(model), own, dealers, ruling, wanted, filters=filters)
    inputs = inputs_digest(model.people, np.array([model.residual_scale]), own)
    blocks: list[Block] = await scan_blocks(scan, plan.variant_count, store or BlockStore(), inputs)
    if wanted.release == "hits":
        lam = await hidden_lambda(session, scan.test, scan.hidden) if wanted.genomic_control else None
        return _hits(plan, model, blocks, ruling, variants, wanted, lam)
    return _all(plan, model, blocks, ruling, variants, wanted)


def _all(
    plan: AssociationPlan,
    model: NullModel,
    blocks: list[Block],
    ruling: Ruling,
    variants: pd.DataFrame,
    options: ScanOptions,
) -> Outcome:
    table = _table(model, blocks, variants, ruling.rules.minimum_allele_count, options)
    usable = (table["ERRCODE"] == ".").to_numpy()
    t, degrees = table["T_STAT"].to_numpy()[usable], table["OBS_CT"].to_numpy()[usable] - model.order - 1
    lam = float(genomic_control_lambda(t=t, df=degrees)) if usable.any() else None
    rare = int(sum((~block.passes).sum() for block in blocks))
    withheld = []
    if options.filters.active and rare:
        withheld.append(f"{rare} variants that are rare or fail a filter ({options.filters.described()})")
    elif ruling.rules.minimum_allele_count > 1 and rare:
        withheld.append(f"{rare} rare variants ({ruling.cite('minimum_allele_count')})")
    return _outcome(plan, model, table, lam, options, withheld)


def _hits(
    plan: AssociationPlan,
    model: NullModel,
    blocks: list[Block],
    ruling: Ruling,
    variants: pd.DataFrame,
    options: ScanOptions,
    lam: float | None,
) -> Outcome:
    shown = np.concatenate([block.shown for block in blocks])
    table = _table(model, blocks, variants, ruling.rules.minimum_allele_count, options)[shown]
    others = int((~shown).sum())
    withheld = [
        f"{others:,} of {shown.size:,} variants: p is not below {options.threshold:g}, or an allele is too rare"
    ]
    return _outcome(plan, model, table.reset_index(drop=True), lam, options, withheld)


def _table(
    model: NullModel, blocks: list[Block], variants: pd.DataFrame, minimum: int, options: ScanOptions
) -> pd.DataFrame:
    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(block, name) for block in blocks])

    observed, passes, solvable = joined("observed"), joined("passes"), joined("solvable")
    codes = np.full(len(observed), ".", dtype=object)
    codes[~solvable] = "UNBALANCED_MISSINGNESS"
    codes[~passes] = rare_code(minimum, options.filters)
    codes[observed <= model.order + 1] = "SAMPLE_CT<=PREDICTOR_CT"
    if options.missing == "mean":
        observed = np.full(len(observed), model.people)
    unexplained, scale = joined("s_xx"), model.residual_scale
    s_xx = np.where(unexplained > _NOTHING_LEFT, unexplained, 0.0) * model.people
    s_xy = joined("s_xy") * math.sqrt(model.people) * scale
    degrees = observed - model.order - 1
    # where calls are missing, all three are over s_yy: a common factor changes neither effect nor standard error
    return linear_table(variants, joined("a1_is_alt"), observed, s_xx, s_xy, scale**2, degrees, codes)


_MISSING = {
    "complete": "complete cases per variant, as PLINK",
    "mean": "missing calls count the variant's pooled mean; OBS_CT includes their people",
}


def _outcome(
    plan: AssociationPlan,
    model: NullModel,
    table: pd.DataFrame,
    lam: float | None,
    options: ScanOptions,
    withheld: list[str],
) -> Outcome:
    conventions = {
        "model": "linear regression, additive, intercept and covariates " + (", ".join(plan.covariates) or "none"),
        "missing": f"{_MISSING[options.missing]}; people without phenotype or a covariate are left out",
        "A1": "the rarer allele in the pooled data; effects are per copy of A1",
        "filters": options.filters.described(),
        "p": f"t distribution with {model.degrees_of_freedom} degrees of freedom where no call is missing",
    }
    values: dict[str, object] = {"people": model.people, "lambda_gc": lam, "release": options.release}
    if options.release == "hits":
        values |= {"threshold": options.threshold, "variants": plan.variant_count}
        conventions["hits"] = f"p below {options.threshold:g}, decided on shares; other variants stay there"
    return Outcome("gwas", {"variants": table}, values, conventions, withheld)
