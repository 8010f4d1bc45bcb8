"""Tests of cases against controls for every variant, from opened counts or on shares, of all variants or of hits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused
from mpcstats.protocols import multiply
from mpcstats.runtime import Session, local
from mpcstats.stats.association.contingency_release import (
    closed_allelic_table,
    closed_model_table,
    declare_statistics,
    open_statistics,
    testable,
)
from mpcstats.stats.association.contingency_shares import margins_of, rarer_allele, significant
from mpcstats.stats.association.contingency_tables import PLINK_NAMES, allelic_table, model_table
from mpcstats.stats.association.labels import variant_labels
from mpcstats.stats.association.linear_table import genomic_control_lambda
from mpcstats.stats.association.pooled_counts import (
    Cohort,
    PooledCounts,
    blocks_of_variants,
    declare_cohort,
    open_cohort,
    pool_counts,
)
from mpcstats.stats.association.variant_filters import VariantFilters, variants_that_pass
from mpcstats.stats.contributions.variants import VariantContribution, VariantPlan
from mpcstats.stats.disclosure import Ruling, open_counts
from mpcstats.stats.outcome import Outcome

__all__ = ["ContingencyOptions", "joint_contingency"]

_RELEASED, _COUNTS = "variant is released", "genotype counts"
_NO_ERROR = "."


@dataclass(frozen=True)
class ContingencyOptions:
    """What is tested and what is asked for.

    Attributes
    ----------
    tests : tuple of str
        Of `TESTS`.
    hits : bool
        Only variants whose `deciding` test has a p below `threshold`.
    deciding : str
        One of `TESTS`.
    threshold : float
        1e-300 to 1.
    conf_level : float
        Of the interval of the odds ratio.
    fisher : bool
        Also Fisher's exact test of alleles, where counts may be opened.
    filters : VariantFilters
    """

    tests: tuple[str, ...]
    hits: bool = False
    deciding: str = "trend"
    threshold: float = 5e-8
    conf_level: float = 0.95
    fisher: bool = False
    filters: VariantFilters = field(default_factory=VariantFilters)


@dataclass(frozen=True)
class _Scan:
    """What is the same for every block."""

    session: Session
    own: VariantContribution | None
    dealers: tuple[int, ...]
    ruling: Ruling
    options: ContingencyOptions
    filters: VariantFilters
    cohort: Cohort
    labels: pd.DataFrame

    @property
    def wide(self) -> bool:
        return self.options.hits or self.filters.wide or not self.ruling.rules.allele_counts


@dataclass
class _Tables:
    """Of the released variants of one block."""

    released: NDArray[np.bool_]
    model: pd.DataFrame
    allelic: pd.DataFrame | None


async def joint_contingency(
    session: Session,
    plan: VariantPlan,
    own: VariantContribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    options: ContingencyOptions,
    variants: pd.DataFrame,
) -> Outcome:
    """Allelic, trend, genotypic, dominant and recessive tests, odds ratio of alleles, and Fisher's exact test.

    Reveals
    -------
    Cases and controls, as the rules let counts out; per variant one bit: it passes the filters, has
    `minimum_allele_count`, and with `hits` is beyond the threshold. Of variants whose bit is 1: under `allele_counts`
    the counts of genotypes in cases and controls; else which allele is rarer, which tests are defined, and their
    statistics, rounded (`open_statistics` says what these tell).

    Raises
    ------
    DisclosureRefused
        Statistics of all variants are not allowed, or the threshold of hits is too large (nothing was shared); or
        there are too few people.
    """
    rules, count = ruling.rules, plan.variant_count
    _refuse(options, ruling)
    _declare(session, count, options, ruling)
    group = None if own is None else own.group
    cohort = await open_cohort(session, group, plan.groups, dealers, ruling)
    # on shares, a variant without both alleles has no test
    least = rules.minimum_allele_count if rules.allele_counts else max(1, rules.minimum_allele_count)
    filters = options.filters.with_copies(least)
    scan = _Scan(session, own, dealers, ruling, options, filters, cohort, variant_labels(variants))
    blocks = []
    for start, stop in blocks_of_variants(count, cohort.size_bits):
        blocks.append(await _block(scan, start, stop))
        session.progress(f"{stop} of {count} variants")
    return _outcome(scan, plan, blocks)


def _refuse(options: ContingencyOptions, ruling: Ruling) -> None:
    """Before anything is shared."""
    if ruling.rules.all_variants:
        return
    if not options.hits:
        raise DisclosureRefused(
            f"statistics of all variants are not allowed ({ruling.cite('all_variants')})",
            hint='release = "hits", or all_variants = true under [disclosure] in the policy.toml of every party named',
        )
    largest = 10.0**-ruling.rules.hits_log10_p
    if options.threshold > largest * (1 + 1e-12):
        raise DisclosureRefused(
            f"hits with p < {options.threshold:g} are not allowed ({ruling.cite('hits_log10_p')})",
            hint=f"ask for a threshold of at most {largest:g}",
        )


def _declare(session: Session, count: int, options: ContingencyOptions, ruling: Ruling) -> None:
    declare_cohort(session, 2)
    beyond = f", and its {options.deciding} test has p < {options.threshold:g}" if options.hits else ""
    session.openings.declare(_RELEASED, count, f"per variant, whether it passes the filters{beyond}")
    if ruling.rules.allele_counts:
        session.openings.declare(_COUNTS, 6 * count, "per released variant, cases and controls with 0, 1, 2 copies")
    else:
        declare_statistics(session, count, options.tests)


async def _block(scan: _Scan, start: int, stop: int) -> _Tables:
    session, options = scan.session, scan.options
    calls = None if scan.own is None else await local(session, scan.own.read, start, stop)
    group = None if scan.own is None else scan.own.group
    counts = await pool_counts(session, calls, group, stop - start, scan.cohort, scan.dealers, wide=scan.wide)
    released = await _released(scan, counts)
    labels = scan.labels.iloc[start:stop][released].reset_index(drop=True)
    part = counts.of(np.flatnonzero(released))
    alleles, allelic = "allelic" in options.tests, None
    if scan.ruling.rules.allele_counts:
        opened = await open_counts(session, part.calls, _COUNTS)
        model = model_table(opened, labels, options.tests)
        allelic = allelic_table(opened, labels, options.conf_level, options.fisher) if alleles else None
    else:
        found = await open_statistics(session, part, options.tests, scan.ruling)
        model = closed_model_table(found, labels, options.tests)
        allelic = closed_allelic_table(found, labels, options.conf_level) if alleles else None
    return _Tables(released, model, allelic)


async def _released(scan: _Scan, counts: PooledCounts) -> NDArray[np.bool_]:
    """Open which variants are released: one bit each."""
    session, options = scan.session, scan.options
    if not (scan.filters.active or options.hits):
        return np.ones(counts.variants, np.bool_)
    bits = await variants_that_pass(session, counts, scan.filters)
    if options.hits:
        common = await rarer_allele(session, counts)
        margins = await margins_of(session, counts)
        beyond = await significant(session, margins, options.deciding, options.threshold, counts.size_bits, common)
        bits = await multiply(session, bits, beyond)
        if scan.ruling.rules.minimum_count > 1:
            bits = await multiply(session, bits, await testable(session, counts, options.deciding, scan.ruling))
    opened = await open_counts(session, bits, _RELEASED)
    return np.asarray(opened == 1)


def _outcome(scan: _Scan, plan: VariantPlan, blocks: list[_Tables]) -> Outcome:
    options = scan.options
    released = np.concatenate([block.released for block in blocks])
    tables = {}
    for name in ("model", "allelic"):
        parts = [part for block in blocks if (part := getattr(block, name)) is not None]
        filled = [part for part in parts if len(part)]
        if parts:
            tables[name] = _with_codes(pd.concat(filled or parts[:1], ignore_index=True))
    if not options.hits:
        tables["model"] = _with_the_rest(scan, tables["model"], released)
    controls, cases = scan.cohort.released
    values: dict[str, Any] = {"variants": len(released), "variants_released": int(released.sum())}
    values |= {"cases": cases, "controls": controls, "lambda_gc": _lambda(options, tables["model"])}
    return Outcome("contingency", tables, values, _conventions(scan, plan), _withheld(scan))


def _with_codes(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(ERRCODE=np.where(table["CHISQ"].isna(), "MARGIN_TOO_SMALL", _NO_ERROR))


def _with_the_rest(scan: _Scan, table: pd.DataFrame, released: NDArray[np.bool_]) -> pd.DataFrame:
    """A row with a code for every variant that is not released, in its place."""
    if released.all():
        return table
    least = scan.filters.mac
    code = "FILTERED" if scan.options.filters.active else "CONST_OMITTED_ALLELE" if least <= 1 else "MAC_BELOW_MINIMUM"
    rest = scan.labels[~released][["#CHROM", "POS", "ID"]].assign(ERRCODE=code, A1=".", A2=".", TEST=".")
    place = np.concatenate([np.repeat(np.flatnonzero(released), len(scan.options.tests)), np.flatnonzero(~released)])
    joined = pd.concat([table, rest], ignore_index=True) if len(table) else rest
    order = np.argsort(place, kind="stable")
    return joined.iloc[order].reset_index(drop=True)


def _lambda(options: ContingencyOptions, model: pd.DataFrame) -> float | None:
    """Genomic control from the trend test, or else from the allelic one."""
    if options.hits or "P" not in model:
        return None
    for test in ("trend", "allelic"):
        rows = model[model["TEST"] == PLINK_NAMES[test]]
        if rows["P"].notna().any():
            return float(genomic_control_lambda(p=rows["P"].to_numpy(dtype=np.float64)))
    return None


def _conventions(scan: _Scan, plan: VariantPlan) -> dict[str, str]:
    options = scan.options
    found = {
        "cases": f"{plan.phenotype} = {plan.case_value}; people without a value are left out",
        "p": "chi-square without continuity correction; the genotypic test leaves empty genotypes out",
        "A1": "the rarer allele in the pooled data; odds ratios are per copy of A1",
        "interval": f"{100 * options.conf_level:g}%, normal on the scale of the logarithm",
        "filters": options.filters.described(),
    }
    if options.hits:
        found["release"] = f"variants whose {options.deciding} test has p < {options.threshold:g}"
    return found


def _withheld(scan: _Scan) -> list[str]:
    rules, ruling, withheld = scan.ruling.rules, scan.ruling, []
    if rules.minimum_allele_count > 1:
        withheld.append(f"rare variants ({ruling.cite('minimum_allele_count')})")
    if not rules.allele_counts:
        withheld.append(f"counts of genotypes ({ruling.cite('allele_counts')})")
        if scan.options.fisher:
            withheld.append(f"Fisher's exact test: it needs the counts ({ruling.cite('allele_counts')})")
        if rules.minimum_count > 1:
            withheld.append(f"tests with a margin of few people ({ruling.cite('minimum_count')})")
    if scan.options.hits:
        withheld.append("variants that are not beyond the threshold stay unknown")
    return withheld
