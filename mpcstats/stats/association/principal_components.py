"""Principal components of genotypes over sites.

A public orthonormal V (variants, l) goes through subspace iteration (`subspace`); in the end V'Z'Z V (l, l) is opened,
and its eigenvectors turn V into loadings. Scores of people are formed at their site, and stay there.

V tells more than components: it is a statistic of every variant, l numbers of it per iteration. Where variants are not
far fewer than people, it shows whether a person with known genotypes took part, as the statistics of all variants do:
in simulations of 2,000 people and 5,000 variants without an error (ADR 0011). So it needs the rule that allows those.

Patterson, Price, Reich 2006 for the standardisation.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.field import M61
from mpcstats.protocols import sum_of_inputs
from mpcstats.runtime import Session, local
from mpcstats.stats.association.common_variants import (
    CommonVariants,
    LeastCounts,
    declare_common,
    frequency_digits,
    open_common,
)
from mpcstats.stats.association.standardised import Genotyped, Standardised, count_calls
from mpcstats.stats.association.subspace import declare_directions, first_directions, next_directions, open_squares
from mpcstats.stats.contributions.association import MAX_COVARIATES, AssociationContribution, AssociationPlan
from mpcstats.stats.contributions.variants import VariantPlan
from mpcstats.stats.disclosure import Ruling, open_counts, require_people

__all__ = ["ComponentOptions", "ComponentScores", "component_names", "fit_components", "with_components"]

Floats = NDArray[np.float64]

MAX_COLUMNS = 30
MAX_USED = 200_000
"""Variants; a component needs no more, and memory grows with them."""

_PEOPLE, _ENOUGH = "people of the components", "enough people for components"


@dataclass(frozen=True)
class ComponentOptions:
    """What is asked.

    Attributes
    ----------
    count : int
        Components.
    oversampling : int
        Directions beside them in the iteration; together at most 30.
    iterations : int
        Each opens V once more.
    maf, call_rate : float
        Variants that are used: pooled frequency of the rarer allele and share of people with a call, at least.
    step : int
        Every step-th variant is used: neighbours are correlated.
    """

    count: int = 10
    oversampling: int = 10
    iterations: int = 10
    maf: float = 0.05
    call_rate: float = 0.95
    step: int = 1

    def __post_init__(self) -> None:
        if self.count < 1 or self.oversampling < 0 or self.count + self.oversampling > MAX_COLUMNS:
            raise SpecError(
                f"{self.count} components with {self.oversampling} directions beside them: "
                f"from 1 to {MAX_COLUMNS} together are possible"
            )
        if self.iterations < 1 or self.step < 1:
            raise SpecError("iterations and step are 1 at least")
        if not (0 <= self.maf < 0.5 and 0 <= self.call_rate <= 1):
            raise SpecError("maf is from 0 to below 0.5, call_rate from 0 to 1")


@dataclass(frozen=True)
class ComponentScores:
    """Components of the pooled people.

    Attributes
    ----------
    scores : float64 (own people, count)
        Of this site's own people, for nobody else: eigenvectors of the pooled people, so that squares sum to 1 over
        all of them, within -1 to 1. No rows at a party without data.
    eigenvalues : float64 (count,)
        Of the relationship matrix Z Z' / variants, largest first, as PLINK's.
    loadings : float64 (variants, count)
        Public, orthonormal columns.
    common : CommonVariants
        Variants that were used, and their rounded frequencies.
    people : int
        Pooled.
    conventions : dict
        For the result.
    """

    scores: Floats
    eigenvalues: Floats
    loadings: Floats
    common: CommonVariants
    people: int
    conventions: dict[str, str] = field(default_factory=dict)


def component_names(count: int) -> tuple[str, ...]:
    """PC1, PC2, ..."""
    return tuple(f"PC{k + 1}" for k in range(count))


def with_components(
    plan: AssociationPlan, own: AssociationContribution | None, components: ComponentScores
) -> tuple[AssociationPlan, AssociationContribution | None]:
    """Plan and contribution of a scan with the components as further covariates PC1, PC2, ...

    Raises
    ------
    SpecError
        A column has such a name, or too many covariates.
    """
    names = component_names(components.loadings.shape[1])
    taken = set(names) & {plan.phenotype, *plan.covariates}
    if taken:
        raise SpecError(f"columns with the names of components: {', '.join(sorted(taken))}")
    many = len(names)
    if len(plan.covariates) + many > MAX_COVARIATES:
        raise SpecError(f"{len(plan.covariates)} covariates and {many} components are more than {MAX_COVARIATES}")
    longer = replace(
        plan,
        covariates=(*plan.covariates, *names),
        few_levels=plan.few_levels and (*plan.few_levels, *((),) * many),
        centers=plan.centers and (*plan.centers, *(0.0,) * many),
        half_widths=plan.half_widths and (*plan.half_widths, *(1.0,) * many),
    )
    if own is None:
        return longer, None
    return longer, replace(own, covariates=np.hstack([own.covariates, components.scores]))


async def fit_components(
    session: Session,
    plan: AssociationPlan | VariantPlan,
    own: Genotyped | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    options: ComponentOptions | None = None,
) -> ComponentScores:
    """Components of all people of all sites; each site learns the scores of its own people.

    Parameters
    ----------
    plan
        Of the study; says how many variants there are.
    own : Genotyped or None
        This site's people: an `AssociationContribution` or a `VariantContribution`.

    Reveals
    -------
    The number of people; per variant whether it is used, and then its pooled frequency, rounded; per iteration the
    sizes of the columns to a factor of 2, and V with 22 fraction bits; V'Z'Z V.

    Raises
    ------
    DisclosureRefused
        The rules do not allow statistics of all variants, or too few people.
    SpecError
        Fewer variants or people than components, or too many variants.
    """
    wanted = options or ComponentOptions()
    _refuse(ruling)
    people = await _people(session, own, dealers, ruling)
    common = await _common(session, plan.variant_count, own, dealers, ruling, wanted, people)
    columns = min(wanted.count + wanted.oversampling, common.index.size, people - 1)
    if columns < wanted.count:
        raise SpecError(
            f"{people} people and {common.index.size} common variants have no {wanted.count} components",
            hint="fewer components, or a smaller maf or call_rate",
        )
    site = None if own is None else Standardised(own, common, plan.variant_count)
    declare_directions(session, common.index.size, columns, wanted.iterations)
    total = 4.0 * people * common.index.size
    v = first_directions(common.index.size, columns)
    for k in range(wanted.iterations):
        v = await next_directions(session, site, v, dealers, total)
        session.progress(f"principal components: iteration {k + 1} of {wanted.iterations}")
    squares = await open_squares(session, site, v, dealers, total)
    eigenvalues, loadings = _rotated(squares, v, wanted.count)
    scores = np.zeros((0, wanted.count))
    if site is not None:
        scores = await local(session, site.scores, loadings) / np.sqrt(eigenvalues * total)
    return ComponentScores(
        scores,
        eigenvalues * 4 * people,
        loadings,
        common,
        people,
        _conventions(wanted, columns, frequency_digits(people, ruling.rules.allele_counts)),
    )


def _refuse(ruling: Ruling) -> None:
    if not ruling.rules.all_variants:
        raise DisclosureRefused(
            "principal components over sites open loadings of every variant, from which a person's part in the data "
            f"can be told; statistics of all variants are not allowed ({ruling.cite('all_variants')})",
            hint="project everybody on public loadings, which opens nothing (mpcstats.project), and name the columns "
            "as covariates; or all_variants = true under [disclosure] in the policy.toml of every party named",
        )


async def _people(session: Session, own: Genotyped | None, dealers: tuple[int, ...], ruling: Ruling) -> int:
    mine = None if own is None else M61.from_int64(np.array([own.people], np.int64))
    count = await sum_of_inputs(session, M61, mine, dealers, (1,))
    session.openings.declare(_ENOUGH, 1, "whether there are enough people", decision=True)
    session.openings.declare(_PEOPLE, 1, "people with genotypes, pooled")
    rules, names = ruling.rules, ("association_minimum_people", "minimum_count")
    refusal = f"fewer people than the rules allow ({', '.join(ruling.cite(name) for name in names)})"
    await require_people(session, count, max(rules.association_minimum_people, rules.minimum_count), _ENOUGH, refusal)
    people = int((await open_counts(session, count, _PEOPLE))[0])
    if people == 0:
        raise DisclosureRefused("no party has people with genotypes")
    return people


async def _common(
    session: Session,
    plan_count: int,
    own: Genotyped | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    options: ComponentOptions,
    people: int,
) -> CommonVariants:
    index = np.arange(0, plan_count, options.step)
    if index.size > MAX_USED:
        raise SpecError(
            f"{index.size:,} variants are more than principal components need; {MAX_USED:,} are possible",
            hint=f"step={-(-plan_count // MAX_USED)}",
        )
    mine = None if own is None else M61.from_int64(await local(session, count_calls, own, plan_count, index))
    counts = await sum_of_inputs(session, M61, mine, dealers, (2, index.size))
    digits = frequency_digits(people, ruling.rules.allele_counts)
    declare_common(session, index.size, digits)
    least = LeastCounts(
        max(1, ruling.rules.minimum_allele_count), max(1, round(options.call_rate * people)), options.maf
    )
    return await open_common(session, counts, index, least, digits)


def _rotated(squares: Floats, v: Floats, count: int) -> tuple[Floats, Floats]:
    """Eigenvalues, largest first, and loadings; the same at every party."""
    values, vectors = np.linalg.eigh(squares)
    order = np.argsort(values)[::-1][:count]
    if not values[order[-1]] > 0:
        raise SpecError(f"the genotypes have fewer than {count} components", hint="ask for fewer components")
    loadings = v @ vectors[:, order]
    # a sign that all parties find: the largest loading is positive
    return values[order], loadings * np.sign(loadings[np.argmax(np.abs(loadings), axis=0), np.arange(count)])


def _conventions(options: ComponentOptions, columns: int, digits: int) -> dict[str, str]:
    step = "every variant" if options.step == 1 else f"one variant in {options.step}"
    return {
        "genotypes": "copies of ALT, centred by 2p and divided by sqrt(2p(1-p)); missing calls count 0",
        "variants": f"{step} with a minor allele frequency of {options.maf:g} and a call rate of {options.call_rate:g}",
        "p": f"pooled frequency, rounded to {digits} binary digits",
        "method": f"randomised subspace iteration, {columns} directions, {options.iterations} iterations",
        "scores": "unit norm over all people, as PLINK's eigenvectors; the largest loading is positive",
    }
