"""Meta-analysis by inverse variance: every site regresses on its own people, and only sums over sites are opened.

Each site has an effect b and a standard error per variant; with w = 1/SE^2 it shares w, w b and w b^2. Their sums give
effect, standard error and Cochran's Q of a fixed-effect analysis, as the sites' tables would, which nobody sees.

A party subtracts its own numbers from an opened sum: of two sites each would read the other's table. So a variant needs
the sites that `minimum_parties` asks for, and its heterogeneity, a third number of the same sites, one more.

Numbers are shared in units of the pooled residual's standard deviation, weights as parts of 16 times the people.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from mpcstats.runtime import Session
from mpcstats.stats.association.genomic_control import hidden_lambda
from mpcstats.stats.association.linear_table import NO_ERROR, genomic_control_lambda
from mpcstats.stats.association.meta_scan import MetaBlock, MetaScan
from mpcstats.stats.association.meta_table import meta_table
from mpcstats.stats.association.null_model import NullModel, fit_null_model
from mpcstats.stats.association.options import ScanOptions, refuse_too_much
from mpcstats.stats.association.site_regression import LEAST_DEGREES
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome

__all__ = ["joint_meta_analysis"]


async def joint_meta_analysis(
    session: Session,
    plan: AssociationPlan,
    own: AssociationContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    variants: pd.DataFrame,
    options: ScanOptions | None = None,
) -> Outcome:
    """Fixed-effect meta-analysis of every variant, or of the hits.

    Parameters
    ----------
    variants : DataFrame
        The public variant table, for the labels of the result.
    options : ScanOptions
        `missing` has no meaning here: sites analyse complete cases.

    Reveals
    -------
    The null model's sums (see `null_model`), for the scale. With "all", per variant: whether it passes the rules,
    whether enough sites contribute, whether a number is out of range; which allele is rarer, people and sites that
    contribute, sum(w), sum(w b), and sum(w b^2) where one site more than needed contributes. With "hits": whether a
    variant is one; the rest for hits alone; and lambda, digit by digit.

    Raises
    ------
    DisclosureRefused
        The rules do not allow all variants; nothing was shared.
    """
    wanted = options or ScanOptions()
    refuse_too_much(wanted, ruling)
    model = await fit_null_model(session, plan, own, dealers, ruling)
    scan = MetaScan(session, model, own, dealers, ruling, wanted)
    scan.declare(plan.variant_count)
    blocks = []
    for start, stop in scan.ranges(plan.variant_count):
        blocks.append(await scan.block((start, stop)))
        session.progress(f"{stop} of {plan.variant_count} variants")
    lam = None
    if wanted.release == "hits" and wanted.genomic_control:
        lam = await hidden_lambda(session, scan, scan.hidden)
    return _outcome(plan, model, blocks, ruling, variants, wanted, lam, scan.sites_needed)


def _outcome(
    plan: AssociationPlan,
    model: NullModel,
    blocks: list[MetaBlock],
    ruling: Ruling,
    variants: pd.DataFrame,
    options: ScanOptions,
    lam: float | None,
    needed: int,
) -> Outcome:
    table = _table(blocks, variants, model, ruling)
    hits = options.release == "hits"
    withheld = []
    if hits:
        shown = np.concatenate([block.shown for block in blocks])
        table = table[shown].reset_index(drop=True)
        others = int((~shown).sum())
        withheld.append(
            f"{others:,} of {shown.size:,} variants: p is not below {options.threshold:g}, an allele is too rare, or "
            "too few sites contribute"
        )
    else:
        p = table["P"].to_numpy(dtype=np.float64)
        lam = float(genomic_control_lambda(p=p)) if np.isfinite(p).any() else None
        withheld += _withheld(table, ruling)
    usable = table["ERRCODE"] == NO_ERROR
    few = int((usable & (table["SITES"] <= needed) & (table["SITES"] > 1)).sum()) if needed > 1 else 0
    if few:
        withheld.append(
            f"heterogeneity of {few} variants with {needed} sites: it would tell one site about the others "
            f"({ruling.cite('minimum_parties')})"
        )
    values: dict[str, object] = {"people": model.people, "lambda_gc": lam, "release": options.release}
    conventions = _conventions(plan)
    if hits:
        values |= {"threshold": options.threshold, "variants": plan.variant_count}
        conventions["hits"] = f"p below {options.threshold:g}, decided on shares; other variants stay there"
    return Outcome("gwas-meta", {"variants": table}, values, conventions, withheld)


def _withheld(table: pd.DataFrame, ruling: Ruling) -> list[str]:
    found = []
    for code, rule in (("MAC_BELOW_MINIMUM", "minimum_allele_count"), ("TOO_FEW_SITES", "minimum_parties")):
        many = int((table["ERRCODE"] == code).sum())
        if many:
            what = "rare variants" if rule == "minimum_allele_count" else "variants with too few sites"
            found.append(f"{many} {what} ({ruling.cite(rule)})")
    return found


def _conventions(plan: AssociationPlan) -> dict[str, str]:
    return {
        "model": "per site, linear regression, additive, intercept and covariates "
        + (", ".join(plan.covariates) or "none"),
        "weights": "1 / SE^2, fixed effect",
        "sites": f"a site contributes where the variant varies and {LEAST_DEGREES} degrees of freedom are left; "
        "covariates that are constant at a site are left out there",
        "missing": "complete cases per variant; people without phenotype or a covariate are left out",
        "A1": "the rarer allele in the pooled data; effects are per copy of A1",
        "p": "normal distribution",
        "heterogeneity": "Cochran's Q, chi-square with sites - 1 degrees of freedom; I2 in percent",
    }


def _table(blocks: list[MetaBlock], variants: pd.DataFrame, model: NullModel, ruling: Ruling) -> pd.DataFrame:
    def joined(name: str) -> Any:
        return np.concatenate([getattr(block, name) for block in blocks], axis=-1)

    codes = np.full(len(variants), NO_ERROR, dtype=object)
    codes[~joined("in_range")] = "OUT_OF_RANGE"
    codes[~joined("enough")] = "TOO_FEW_SITES"
    rare = "CONST_OMITTED_ALLELE" if ruling.rules.minimum_allele_count <= 1 else "MAC_BELOW_MINIMUM"
    codes[~joined("passes")] = rare
    # b is in units of the pooled residual's standard deviation
    unit = model.residual_scale / math.sqrt(model.people)
    sums = joined("sums") * np.array([[unit**-2], [1 / unit], [1.0]])
    return meta_table(variants, joined("a1_is_alt"), joined("people"), joined("sites"), sums, codes)
