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
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mpcstats.runtime import Session, local
from mpcstats.stats.association.genomic_control import hidden_lambda
from mpcstats.stats.association.linear_table import lambda_in_place, linear_table
from mpcstats.stats.association.missing import missing_openings
from mpcstats.stats.association.null_model import NullModel, fit_null_model
from mpcstats.stats.association.options import ScanOptions, refuse_too_much
from mpcstats.stats.association.pooled_test import LinearTest
from mpcstats.stats.association.scan import Block, Scan, rare_code, scan_blocks
from mpcstats.stats.association.scan_filters import ScanFilters
from mpcstats.stats.association.site_indicators import with_site_indicators
from mpcstats.stats.association.store import BlockStore, inputs_digest
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.stored_table import StoredTable, Tables, TableWriter

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
    writer: TableWriter | None = None,
) -> Outcome:
    """Effect, standard error, t and p of every variant, or of the hits.

    Parameters
    ----------
    variants : DataFrame
        The public variant table, for the labels of the result.
    store : BlockStore, optional
        Blocks of a scan of the same request that was interrupted: it goes on behind those that all parties have, if
        their inputs are unchanged. A scan for hits with lambda begins anew, since that needs what was on shares.
    writer : TableWriter, optional
        Takes the rows of the result; by default they are in memory.

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
    used = BlockStore() if store is None else store
    await scan_blocks(scan, plan.variant_count, used, inputs)
    lam = await hidden_lambda(session, scan.test, scan.hidden) if scan.hidden else None
    released = await local(session, _released, model, used, ruling.rules.minimum_allele_count, variants, wanted, writer)
    used.clear()
    return _outcome(plan, model, released, lam, wanted, ruling)


@dataclass(frozen=True)
class _Released:
    """Rows, how many variants have none or no statistics, and lambda of those that have."""

    table: pd.DataFrame | StoredTable
    rare: int
    others: int
    lam: float | None


def _released(
    model: NullModel,
    store: BlockStore,
    minimum: int,
    variants: pd.DataFrame,
    options: ScanOptions,
    writer: TableWriter | None,
) -> _Released:
    """The rows of all blocks, one block after the other."""
    rows, rare, others = writer or TableWriter(), 0, 0
    hits = options.release == "hits"
    p_values, known = np.empty(0 if hits else len(variants)), 0
    for block in store.each():
        part = variants.iloc[block.start : block.start + len(block.passes)]
        frame = _table(model, block, part, minimum, options)
        if hits:
            others += int((~block.shown).sum())
            frame = frame[block.shown]
        else:
            rare += int((~block.passes).sum())
            p = frame["P"].to_numpy()[(frame["ERRCODE"] == ".").to_numpy()]
            p_values[known : known + p.size] = p
            known += p.size
        rows.append(frame.reset_index(drop=True))
    lam = lambda_in_place(p_values[:known]) if known else None
    return _Released(rows.finish(), rare, others, lam)


def _table(model: NullModel, block: Block, variants: pd.DataFrame, minimum: int, options: ScanOptions) -> pd.DataFrame:
    observed = block.observed
    codes = np.full(len(observed), ".", dtype=object)
    codes[~block.solvable] = "UNBALANCED_MISSINGNESS"
    codes[~block.passes] = rare_code(minimum, options.filters)
    codes[observed <= model.order + 1] = "SAMPLE_CT<=PREDICTOR_CT"
    if options.missing == "mean":
        observed = np.full(len(observed), model.people)
    scale = model.residual_scale
    s_xx = np.where(block.s_xx > _NOTHING_LEFT, block.s_xx, 0.0) * model.people
    s_xy = block.s_xy * math.sqrt(model.people) * scale
    degrees = observed - model.order - 1
    # where calls are missing, all three are over s_yy: a common factor changes neither effect nor standard error
    return linear_table(variants, block.a1_is_alt, observed, s_xx, s_xy, scale**2, degrees, codes)


_MISSING = {
    "complete": "complete cases per variant, as PLINK",
    "mean": "missing calls count the variant's pooled mean; OBS_CT includes their people",
}


def _outcome(
    plan: AssociationPlan,
    model: NullModel,
    released: _Released,
    lam: float | None,
    options: ScanOptions,
    ruling: Ruling,
) -> Outcome:
    conventions = {
        "model": "linear regression, additive, intercept and covariates " + (", ".join(plan.covariates) or "none"),
        "missing": f"{_MISSING[options.missing]}; people without phenotype or a covariate are left out",
        "A1": "the rarer allele in the pooled data; effects are per copy of A1",
        "filters": options.filters.described(),
        "p": f"t distribution with {model.degrees_of_freedom} degrees of freedom where no call is missing",
    }
    hits = options.release == "hits"
    shown = lam if hits else released.lam
    values: dict[str, object] = {"people": model.people, "lambda_gc": shown, "release": options.release}
    withheld = []
    if hits:
        values |= {"threshold": options.threshold, "variants": plan.variant_count}
        conventions["hits"] = f"p below {options.threshold:g}, decided on shares; other variants stay there"
        withheld.append(
            f"{released.others:,} of {plan.variant_count:,} variants: p is not below {options.threshold:g}, or an "
            "allele is too rare"
        )
    elif options.filters.active and released.rare:
        withheld.append(f"{released.rare} variants that are rare or fail a filter ({options.filters.described()})")
    elif ruling.rules.minimum_allele_count > 1 and released.rare:
        withheld.append(f"{released.rare} rare variants ({ruling.cite('minimum_allele_count')})")
    tables: Any = {"variants": released.table}
    return Outcome("gwas", Tables(tables), values, conventions, withheld)
