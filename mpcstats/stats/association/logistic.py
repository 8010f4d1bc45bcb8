"""Logistic association: Wald and Firth regressions of all variants, the score test of all, or fits of hits alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from mpcstats.errors import SpecError
from mpcstats.field import M61
from mpcstats.runtime import Session, local
from mpcstats.stats.association.alleles import CALLED, PASSES, RARER, count_alleles
from mpcstats.stats.association.genomic_control import hidden_lambda
from mpcstats.stats.association.logistic_fit import METHODS, Fits, block_size, declare_fits, fit_masks, fit_variants
from mpcstats.stats.association.logistic_null import LogisticNull, fit_logistic_null
from mpcstats.stats.association.logistic_table import logistic_table
from mpcstats.stats.association.options import ScanOptions, refuse_too_much
from mpcstats.stats.association.pooled_test import ScoreTest
from mpcstats.stats.association.scan import Block, Scan, rare_code, scan_blocks
from mpcstats.stats.association.scan_filters import ScanFilters
from mpcstats.stats.association.site_indicators import with_site_indicators
from mpcstats.stats.association.store import BlockStore, inputs_digest
from mpcstats.stats.contributions.association import AssociationContribution, AssociationPlan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.tails import log_normal_two_sided, normal_two_sided

__all__ = ["FitBlock", "LogisticMethod", "LogisticOptions", "joint_logistic_scan", "plan_kappa"]

KAPPA = 64
"""Where no bounded mask is used."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LogisticMethod = Literal["firth-fallback", "wald", "firth", "score"]


@dataclass(frozen=True)
class LogisticOptions(ScanOptions):
    """What is asked.

    Attributes
    ----------
    method : "firth-fallback", "wald", "firth" or "score"
        Of the statistics that are released. "score" is the test at the null model alone, with its one-step effect.
    ci : float, optional
        Level of an interval of the odds ratio.
    """

    method: LogisticMethod = "firth-fallback"
    ci: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in (*METHODS, "score"):
            raise SpecError(f"logistic regressions are {', '.join(METHODS)} or score, not {self.method!r}")
        if self.ci is not None and not 0 < self.ci < 1:
            raise SpecError(f"an interval has a level between 0 and 1, not {self.ci:g}")
        if self.method == "score" and self.missing != "mean":
            raise SpecError('the score test imputes missing genotypes: missing="mean"', hint='missing="mean"')
        if self.method != "score" and self.missing != "complete":
            raise SpecError(
                f"{self.method} is made of people with a call of the variant",
                hint='missing="complete"',
            )


@dataclass
class FitBlock:
    """Public results of the variants start, start + 1, ...; see `Fits`."""

    start: int
    observed: Ints
    a1_is_alt: NDArray[np.bool_]
    effect: Floats
    standard_error: Floats
    code: NDArray[np.str_]
    firth: NDArray[np.bool_]
    iterations: Ints

    @classmethod
    def of(cls, start: int, observed: Ints, a1_is_alt: NDArray[np.bool_], fits: Fits, codes: object) -> FitBlock:
        """From the fits of a block."""
        named = np.array(codes, dtype=np.str_)
        return cls(start, observed, a1_is_alt, fits.effect, fits.standard_error, named, fits.firth, fits.iterations)

    @property
    def fits(self) -> Fits:
        """As `fit_variants` returned them."""
        z = self.effect / self.standard_error
        log10_p = -log_normal_two_sided(z) / math.log(10)
        codes = self.code.astype(object)
        p = normal_two_sided(z)
        return Fits(self.effect, self.standard_error, z, p, log10_p, codes, self.firth, self.iterations)


def plan_kappa(plan: AssociationPlan, method: LogisticMethod, release: str, floor: int = 40, further: int = 0) -> int:
    """Bits of one bounded mask such that fits of all variants keep `floor` bits in total; `further` covariates beside
    those of the plan."""
    if method == "score" and release == "all":
        return KAPPA
    used = "firth-fallback" if method == "score" else method
    masks = fit_masks(len(plan.covariates) + further + 1, max(1, plan.variant_count), used)
    return floor + max(1, math.ceil(math.log2(masks)))


async def joint_logistic_scan(
    session: Session,
    plan: AssociationPlan,
    own: AssociationContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    variants: pd.DataFrame,
    options: LogisticOptions,
    store: BlockStore | None = None,
) -> Outcome:
    """Odds ratio, standard error, z and p of every variant, or of the hits.

    Hits are the variants whose score test, with missing genotypes imputed by their pooled mean, is beyond the
    threshold: it is decided on shares. They alone are fitted, from people with a call.

    Parameters
    ----------
    own : AssociationContribution or None
        The phenotype is 0 (control) or 1 (case).
    variants, store : see `joint_linear_scan`

    Reveals
    -------
    The null model (see `fit_logistic_null`). With "all", per variant: people with a call, which allele is rarer,
    whether it passes the rules, and what `fit_variants` opens (or, of the score test, score and variance). With
    "hits", per variant: whether it is one; the rest for hits alone; lambda of the score tests, if asked for.

    Raises
    ------
    DisclosureRefused
        The rules do not allow all variants, or too few cases or controls.
    SpecError
        See `fit_logistic_null`.
    """
    refuse_too_much(options, ruling)
    if options.site_indicators:
        plan, own = with_site_indicators(plan, own, dealers, session.channel.parties, session.index)
    null = await fit_logistic_null(session, plan, own, dealers, ruling)
    group = None if own is None else own.phenotype.astype(np.int8)
    filters = await ScanFilters.of(session, options.filters, group, 2, null.people, dealers)
    used = BlockStore() if store is None else store
    run = _Run(session, plan, own, dealers, ruling, variants, options, null, used, filters)
    if options.release == "hits":
        outcome = await run.hits()
    else:
        outcome = await (run.score_of_all() if options.method == "score" else run.fits_of_all())
    used.clear()
    return outcome


@dataclass(frozen=True)
class _Run:
    session: Session
    plan: AssociationPlan
    own: AssociationContribution | None
    dealers: tuple[int, ...]
    ruling: Ruling
    variants: pd.DataFrame
    options: LogisticOptions
    null: LogisticNull
    store: BlockStore
    filters: ScanFilters | None

    @property
    def minimum(self) -> int:
        return max(1, self.ruling.rules.minimum_allele_count)

    def scan(self, statistics: bool = True) -> Scan:
        """Of the score test, with imputed means."""
        imputing = replace(self.options, missing="mean", method="score")
        test = ScoreTest(self.null)
        return Scan(
            self.session,
            test,
            self.own,
            self.dealers,
            self.ruling,
            imputing,
            statistics=statistics,
            filters=self.filters,
        )

    @property
    def inputs(self) -> bytes:
        return inputs_digest(self.null.people, self.null.coefficients, self.own)

    # --- every variant ----------------------------------------------------------------------------------------------

    async def score_of_all(self) -> Outcome:
        """The score test, and the effect of one step from the null model."""
        scan = self.scan()
        await scan_blocks(scan, self.plan.variant_count, self.store, self.inputs)
        blocks: list[Block] = list(self.store.each())
        observed, a1_is_alt, passes, s_xx, s_xy = (
            np.concatenate([getattr(block, name) for block in blocks])
            for name in ("observed", "a1_is_alt", "passes", "s_xx", "s_xy")
        )
        weight, people = self.null.total_weight, self.null.people
        varies = s_xx * people > 2.0**-32 * weight
        with np.errstate(divide="ignore", invalid="ignore"):
            effect = s_xy * math.sqrt(weight / people) / s_xx
            error = 1 / np.sqrt(s_xx * people)
        codes = np.full(len(passes), ".", dtype=object)
        codes[~varies] = "CONST_OMITTED_ALLELE"
        codes[~passes] = rare_code(self.minimum, self.options.filters)
        good = codes == "."
        sign = np.where(a1_is_alt, 1.0, -1.0)
        effect, error = np.where(good, sign * effect, np.nan), np.where(good, error, np.nan)
        none = np.zeros(len(good), np.int64)
        block = FitBlock.of(
            0, observed, a1_is_alt, Fits(effect, error, effect, effect, effect, codes, good & False, none), codes
        )
        return self.outcome(self.table(block, np.arange(len(good)), "wald"), None)

    async def fits_of_all(self) -> Outcome:
        """Wald or Firth regressions."""
        session, count, method = self.session, self.plan.variant_count, self.options.method
        for name, why in (
            (CALLED, "people with a call, pooled, of every variant"),
            (RARER, "per variant, which of the two alleles is rarer in the pooled data"),
            (PASSES, "per variant, whether enough copies of the rarer allele exist"),
        ):
            session.openings.declare(name, count, why)
        declare_fits(session, self.null.order, count, method)
        size = block_size(self.null.order)
        await self.store.resumed(session, self.inputs, count, size, self._fit_block)
        blocks: list[FitBlock] = list(self.store.each())
        tables = [self.table(block, np.arange(block.start, block.start + len(block.code))) for block in blocks]
        return self.outcome(pd.concat(tables, ignore_index=True), None)

    async def _fit_block(self, start: int, stop: int) -> FitBlock:
        calls = None if self.own is None else await local(self.session, self.own.read, start, stop)
        counts = await count_alleles(self.session, M61, calls, stop - start, self.dealers)
        observed = await counts.open_called(self.session)
        a1_is_alt = await counts.open_a1(self.session)
        also = None
        if self.filters is not None:
            also = await self.filters.bits(self.session, calls, stop - start, self.dealers, M61)
        passes = await counts.open_passes(self.session, observed, a1_is_alt, self.minimum, also)
        fits = await fit_variants(
            self.session, self.null, calls, self.dealers, observed, a1_is_alt, passes, self.options.method
        )
        codes = fits.errcode.copy()
        codes[~passes] = rare_code(self.minimum, self.options.filters)
        return FitBlock.of(start, observed, a1_is_alt, fits, codes)

    # --- hits -------------------------------------------------------------------------------------------------------

    async def hits(self) -> Outcome:
        """Those of the score test, fitted."""
        session, options = self.session, self.options
        scan = self.scan(statistics=False)
        await scan_blocks(scan, self.plan.variant_count, self.store, self.inputs)
        blocks: list[Block] = list(self.store.each())
        lam = await hidden_lambda(session, scan.test, scan.hidden) if options.genomic_control else None
        shown = np.concatenate([block.shown for block in blocks])
        which = np.flatnonzero(shown)
        observed = np.concatenate([block.observed for block in blocks])[which]
        a1_is_alt = np.concatenate([block.a1_is_alt for block in blocks])[which]
        method = "firth-fallback" if options.method == "score" else options.method
        declare_fits(session, self.null.order, which.size, method)
        tables = []
        size = block_size(self.null.order)
        for start in range(0, which.size, size):
            part = slice(start, start + size)
            calls = None if self.own is None else await local(session, _gather, self.own, which[part])
            fits = await fit_variants(
                session, self.null, calls, self.dealers, observed[part], a1_is_alt[part],
                np.ones(len(which[part]), np.bool_), method,
            )  # fmt: skip
            block = FitBlock.of(start, observed[part], a1_is_alt[part], fits, fits.errcode)
            tables.append(self.table(block, which[part], method))
            session.progress(f"{min(start + size, which.size):,} of {which.size:,} hits fitted")
        if not tables:
            empty = np.zeros(0)
            fits = Fits(empty, empty, empty, empty, empty, empty.astype(object), empty > 0, empty.astype(np.int64))
            tables = [logistic_table(self.variants.iloc[:0], fits, empty > 0, empty, method, options.ci)]
        others = int(shown.size - which.size)
        withheld = (
            f"{others:,} of {shown.size:,} variants: p of the score test is not below {options.threshold:g}, or an "
            "allele is too rare"
        )
        return self.outcome(pd.concat(tables, ignore_index=True), lam, [withheld])

    # --- words ------------------------------------------------------------------------------------------------------

    def table(self, block: FitBlock, which: Ints, method: str | None = None) -> pd.DataFrame:
        labels = self.variants.iloc[which]
        used = self.options.method if method is None else method
        return logistic_table(labels, block.fits, block.a1_is_alt, block.observed, used, self.options.ci)

    def outcome(self, table: pd.DataFrame, lam: float | None, withheld: list[str] | None = None) -> Outcome:
        options, null = self.options, self.null
        usable = (table["ERRCODE"] == ".").to_numpy()
        if options.release == "all" and usable.any():
            z = table["Z_STAT"].to_numpy()[usable]
            lam = float(np.median(z**2) / float(ndtri(0.75)) ** 2)
        said = list(withheld or [])
        rare = int((table["ERRCODE"] == "MAC_BELOW_MINIMUM").sum())
        if rare:
            said.append(f"{rare} rare variants ({self.ruling.cite('minimum_allele_count')})")
        failed = int((table["ERRCODE"] == "FILTERED").sum())
        if failed:
            said.append(f"{failed} variants that are rare or fail a filter ({options.filters.described()})")
        values: dict[str, object] = {
            "people": null.people,
            "cases": null.cases,
            "lambda_gc": lam,
            "release": options.release,
            "model": "logistic",
            "method": options.method,
        }
        names = ", ".join(self.plan.covariates) or "none"
        conventions = {
            "model": f"logistic regression, additive, intercept and covariates {names}",
            "method": _METHODS[options.method],
            "missing": _MISSING["score" if options.method == "score" else "fit"],
            "A1": "the rarer allele in the pooled data; odds ratios are per copy of A1",
            "filters": options.filters.described(),
        }
        if options.release == "hits":
            values |= {"threshold": options.threshold, "variants": self.plan.variant_count}
            conventions["hits"] = (
                f"score test (missing genotypes imputed) with p below {options.threshold:g}, decided on shares; other "
                "variants stay there"
            )
        return Outcome("gwas", {"variants": table}, values, conventions, said)


_METHODS = {
    "wald": "Wald test",
    "firth": "Firth's penalised likelihood, Wald test",
    "firth-fallback": "Wald test; Firth's penalised likelihood where that separates cases from controls or fails",
    "score": "score test at the null model; the odds ratio is that of one step from it",
}
_MISSING = {
    "fit": "complete cases per variant, as PLINK; people without phenotype or a covariate are left out",
    "score": "missing calls count the variant's pooled mean; people without phenotype or a covariate are left out",
}


def _gather(own: AssociationContribution, which: Ints) -> NDArray[np.int8]:
    """Calls of single variants: (people, V)."""
    return np.concatenate([own.read(int(k), int(k) + 1) for k in which], axis=1)
