"""Quality control of variants on pooled counts: which pass, and where the rules allow it their counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.runtime import Session, local
from mpcstats.stats.association.labels import variant_labels
from mpcstats.stats.association.pooled_counts import (
    Cohort,
    PooledCounts,
    blocks_of_variants,
    declare_cohort,
    open_cohort,
    pool_counts,
)
from mpcstats.stats.association.variant_filters import VariantFilters, variants_that_pass
from mpcstats.stats.association.variant_table import genotype_table, hardy_table
from mpcstats.stats.contributions.variants import VariantContribution, VariantPlan
from mpcstats.stats.disclosure import Ruling, open_counts
from mpcstats.stats.outcome import Outcome

__all__ = ["joint_variant_quality"]

_PASSES, _COUNTS = "variant passes", "genotype counts"


async def joint_variant_quality(
    session: Session,
    plan: VariantPlan,
    own: VariantContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    filters: VariantFilters,
    variants: pd.DataFrame,
) -> Outcome:
    """Variants that pass the filters and have `minimum_allele_count`, and where the rules allow it their counts.

    Reveals
    -------
    People per group, as the rules let counts out, and one bit per variant. Under `allele_counts` and `all_variants`:
    the counts of genotypes of the variants that pass, per group.

    The bit bounds allele frequency, missing calls and departure from equilibrium at the thresholds asked for. Runs with
    other thresholds or a changed cohort narrow them down: who approves studies counts them.

    Raises
    ------
    DisclosureRefused
        Too few people; nothing but that was opened.
    """
    rules, groups = ruling.rules, plan.groups
    asked, filters = filters, filters.with_copies(rules.minimum_allele_count)
    declare_cohort(session, groups)
    session.openings.declare(_PASSES, plan.variant_count, "per variant, whether it passes the filters")
    shown = rules.allele_counts and rules.all_variants
    if shown:
        cells = groups * 3 * plan.variant_count
        session.openings.declare(_COUNTS, cells, "per variant that passes and group, people with 0, 1, 2 copies of ALT")
    group = None if own is None else own.group
    cohort = await open_cohort(session, group, groups, dealers, ruling)
    passes, tables = [], []
    for start, stop in blocks_of_variants(plan.variant_count, cohort.size_bits):
        calls = None if own is None else await local(session, own.read, start, stop)
        counts = await pool_counts(session, calls, group, stop - start, cohort, dealers, wide=filters.wide)
        kept = await _open_bits(session, counts, filters)
        passes.append(kept)
        if shown:
            tables.append(await open_counts(session, counts.calls[:, :, np.flatnonzero(kept)], _COUNTS))
        session.progress(f"{stop} of {plan.variant_count} variants")
    opened = np.concatenate(tables, axis=2) if tables else None
    return _outcome(plan, cohort, np.concatenate(passes), opened, asked, ruling, variants)


async def _open_bits(session: Session, counts: PooledCounts, filters: VariantFilters) -> NDArray[np.bool_]:
    if not filters.active:
        return np.ones(counts.variants, np.bool_)
    opened = await open_counts(session, await variants_that_pass(session, counts, filters), _PASSES)
    return np.asarray(opened == 1)


def _outcome(
    plan: VariantPlan,
    cohort: Cohort,
    passes: NDArray[np.bool_],
    counts: NDArray[np.int64] | None,
    asked: VariantFilters,
    ruling: Ruling,
    variants: pd.DataFrame,
) -> Outcome:
    labels = variant_labels(variants)
    values = {"variants": len(passes), "variants_that_pass": int(passes.sum()), "people": sum(cohort.released)}
    if plan.groups == 2:
        values |= {"controls": cohort.released[0], "cases": cohort.released[1]}
    conventions = {
        "filters": asked.described(),
        "people": "with genotypes" + (f" and a value of {plan.phenotype}" if plan.phenotype else ""),
    }
    withheld = []
    if ruling.rules.minimum_allele_count > 1:
        withheld.append(f"rare variants do not pass ({ruling.cite('minimum_allele_count')})")
    if counts is None:
        rule = "all_variants" if ruling.rules.allele_counts else "allele_counts"
        withheld.append(f"counts of genotypes ({ruling.cite(rule)})")
        tables = {"variants": labels.assign(PASS=passes)}
    else:
        kept = labels[passes].reset_index(drop=True)
        tables = {
            "variants": genotype_table(counts, sum(cohort.released), kept),
            "hardy": hardy_table(counts, kept),
        }
        conventions["p"] = "exact test of Hardy-Weinberg equilibrium (Wigginton 2005), no mid-p, all chromosomes alike"
        conventions["A1"] = "the rarer allele in the pooled data"
    if asked.hwe and plan.groups == 2:
        conventions["hwe"] = "the filter is by controls"
    return Outcome("variant-quality", tables, values, conventions, withheld)
