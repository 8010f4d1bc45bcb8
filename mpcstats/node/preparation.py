"""From a party's records to its contribution: in the clear, at the owner, nothing leaves this module's caller.

Errors are `DataError` at the owner; they have column names and counts of rows, never a record's value. The other
parties learn that this party refused. So whether it refuses depends on the whole table and the dictionary, never on
which rows `where` and `by` pick: a refusal would otherwise tell whether there is such a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.node.checks import TIME_TOLERANCE, check_records
from mpcstats.node.datasource import Records
from mpcstats.node.genotypes import Genotypes, variant_digest
from mpcstats.stats.contributions import (
    AssociationContribution,
    AssociationPlan,
    Contribution,
    CountContribution,
    CountPlan,
    Level,
    Plan,
    SurvivalContribution,
    SurvivalPlan,
)
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.filters import evaluate_filter, parse_filter
from mpcstats.study.plan import columns_used
from mpcstats.study.spec import AnalysisSpec, CountSpec, GwasSpec, KaplanMeierSpec, LogrankSpec
from mpcstats.study.values import as_text

__all__ = ["Preparation", "check_records", "prepare", "prepare_with_report"]


@dataclass(frozen=True)
class Preparation:
    """How many rows went which way: for the owner's own log, never sent.

    Attributes
    ----------
    rows : int
        Rows of the table.
    selected : int
        Rows that `where` selects (association: all).
    incomplete : int
        Selected rows left out because a value is missing.
    without_genotype : int
        Association: table rows whose id no genotype sample has.
    without_row : int
        Association: genotype samples whose id no table row has.
    used : int
        Rows in the contribution.
    """

    rows: int
    selected: int
    incomplete: int
    without_genotype: int
    without_row: int
    used: int


def prepare(spec: AnalysisSpec, plan: Plan, records: Records, dictionary: Dictionary, party: str) -> Contribution:
    """Form a party's contribution.

    Count: rows that `where` selects, by cell; a row without a value of `by` is in no cell; with `unit_of_count`,
    each person counts once per cell. Survival: rows that `where` selects, without those that lack `by`; all times are
    whole multiples of the unit, from 0 to the plan's horizon. Association: people whose id is in the table and in
    the genotypes, with phenotype and all covariates (complete cases); missing calls stay -1. A phenotype of -9 is
    the number -9: PLINK's code for "missing" has no meaning in these tables, where missing cells are empty or NA.
    An empty table gives a contribution of zeros.

    Parameters
    ----------
    spec, plan, dictionary
        As all parties agreed.
    records : Records
        This party's own.
    party : str
        Owner, named in errors.

    Raises
    ------
    DataError
        See `check_records`; also negative times, times off the unit's lattice or beyond the horizon, missing times or
        events (unless the request drops them), unknown event values, and genotypes that do not match.
    """
    return prepare_with_report(spec, plan, records, dictionary, party)[0]


def prepare_with_report(
    spec: AnalysisSpec, plan: Plan, records: Records, dictionary: Dictionary, party: str
) -> tuple[Contribution, Preparation]:
    """As `prepare`, and how many rows were left out and why."""
    if isinstance(spec, CountSpec) and isinstance(plan, CountPlan):
        return _prepare_count(spec, plan, records, dictionary, party)
    if isinstance(spec, KaplanMeierSpec | LogrankSpec) and isinstance(plan, SurvivalPlan):
        return _prepare_survival(spec, plan, records, dictionary, party)
    if isinstance(spec, GwasSpec) and isinstance(plan, AssociationPlan):
        return _prepare_association(spec, plan, records, dictionary, party)
    raise TypeError(f"a {type(plan).__name__} is not the plan of a {spec.type} analysis")


# ---------------------------------------------------------------- count and survival


def _prepare_count(
    spec: CountSpec, plan: CountPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[CountContribution, Preparation]:
    frame = check_records(records, dictionary, columns_used(spec), party)
    selected = _selected(spec.where, frame)
    cell = np.zeros(len(frame), dtype=np.int64)
    complete = selected.copy()
    for name, levels in zip(plan.by, plan.levels, strict=True):
        position = _positions(frame[name], levels)
        complete &= position >= 0
        cell = cell * len(levels) + np.maximum(position, 0)
    cell = cell[complete]
    if dictionary.unit_of_count is not None:
        people = _people(records, dictionary.unit_of_count, party)[complete]
        cell = pd.DataFrame({"cell": cell, "person": people}).drop_duplicates()["cell"].to_numpy(dtype=np.int64)
    size = int(np.prod(plan.shape, dtype=np.int64))
    counts = np.bincount(cell, minlength=size).astype(np.int64).reshape(plan.shape)
    return CountContribution(counts), _report(selected, complete)


def _prepare_survival(
    spec: KaplanMeierSpec | LogrankSpec, plan: SurvivalPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[SurvivalContribution, Preparation]:
    frame = check_records(records, dictionary, columns_used(spec), party)
    selected = _selected(spec.where, frame)
    group = _positions(frame[plan.by], plan.groups) if plan.by is not None else np.zeros(len(frame), dtype=np.int64)
    complete = selected & (group >= 0)
    for name in (spec.time, spec.event):
        missing = frame[name].isna().to_numpy()
        if spec.missing == "refuse" and missing.any():
            problem = f"{int(missing.sum())} rows have no value of column {name!r}"
            hint = 'missing="drop" leaves such rows out (complete cases, as R does)'
            raise DataError(problem, party=party, hint=hint)
        complete &= ~missing
    if dictionary.unit_of_count is not None:
        _refuse_several_rows_per_person(_people(records, dictionary.unit_of_count, party), dictionary, party)
    time = _lattice_times(frame[spec.time].to_numpy(dtype=np.float64), plan, spec.time, party)[complete]
    happened = (_positions(frame[plan.event], plan.event_values) >= 0)[complete]
    cell = group[complete] * (plan.horizon + 1) + time
    size = plan.shape[0] * plan.shape[1]
    events = np.bincount(cell[happened], minlength=size).astype(np.int64).reshape(plan.shape)
    censored = np.bincount(cell[~happened], minlength=size).astype(np.int64).reshape(plan.shape)
    return SurvivalContribution(events, censored), _report(selected, complete)


def _selected(where: str | None, frame: pd.DataFrame) -> NDArray[np.bool_]:
    if where is None:
        return np.ones(len(frame), dtype=np.bool_)
    return evaluate_filter(parse_filter(where), frame)


def _positions(cells: pd.Series[Any], levels: Sequence[Level]) -> NDArray[np.int64]:
    """Index of each cell's level, -1 where it is missing or another."""
    if cells.dtype == object:
        return pd.Index([str(level) for level in levels], dtype=object).get_indexer(pd.Index(cells)).astype(np.int64)
    return pd.Index([float(level) for level in levels], dtype=np.float64).get_indexer(pd.Index(cells)).astype(np.int64)


def _people(records: Records, column: str, party: str) -> NDArray[np.int64]:
    """The number of each row's person."""
    if column not in records.frame.columns:
        problem = f"the table has no column {column!r}, which identifies people (unit_of_count)"
        raise DataError(problem, party=party, hint="check the table, or the dictionary")
    people = pd.factorize(as_text(records.frame[column]))[0]
    unknown = int((people < 0).sum())
    if unknown:
        raise DataError(f"{unknown} rows have no person in column {column!r} (unit_of_count)", party=party)
    return people.astype(np.int64)


def _refuse_several_rows_per_person(people: NDArray[np.int64], dictionary: Dictionary, party: str) -> None:
    several = int((np.bincount(people) > 1).sum()) if people.size else 0
    if several:
        raise DataError(
            f"{several} people of column {dictionary.unit_of_count!r} have more than one row, and a survival "
            "analysis needs one row per person",
            party=party,
            hint="offer a data set with one row per person",
        )


def _lattice_times(time: NDArray[np.float64], plan: SurvivalPlan, name: str, party: str) -> NDArray[np.int64]:
    """Times in whole units (0 where missing); refuses what is negative, off the lattice or beyond the horizon."""
    negative = int((time < 0).sum())
    if negative:
        raise DataError(f"{negative} rows have a negative time in column {name!r}", party=party)
    units = np.nan_to_num(time) / plan.unit
    whole = np.rint(units)
    between = int((np.abs(units - whole) > TIME_TOLERANCE).sum())
    if between:
        raise DataError(
            f"{between} rows have a time in column {name!r} that is not a whole multiple of {plan.unit:g}",
            party=party,
            hint="set time_unit to the unit in which times were recorded, for example time_unit=0.5",
        )
    beyond = int((whole > plan.horizon).sum())
    if beyond:
        raise DataError(
            f"{beyond} rows have a time in column {name!r} beyond the end of the study's curve, "
            f"{plan.horizon} units of {plan.unit:g}",
            party=party,
            hint="widen the range of the column in the dictionary",
        )
    return whole.astype(np.int64)


def _report(selected: NDArray[np.bool_], complete: NDArray[np.bool_]) -> Preparation:
    chosen, used = int(selected.sum()), int(complete.sum())
    return Preparation(len(selected), chosen, chosen - used, without_genotype=0, without_row=0, used=used)


# ---------------------------------------------------------------- association


def _prepare_association(
    spec: GwasSpec, plan: AssociationPlan, records: Records, dictionary: Dictionary, party: str
) -> tuple[AssociationContribution, Preparation]:
    frame = check_records(records, dictionary, columns_used(spec), party)
    genotypes = records.genotypes
    if genotypes is None:
        if len(frame):
            hint = 'give a PLINK prefix, for example ms.Dataset("traits.csv", genotypes="chr10", id="IID")'
            raise DataError("the data set has no genotypes at this party", party=party, hint=hint)
        return _nobody(plan), Preparation(0, 0, 0, 0, 0, 0)
    if variant_digest(genotypes.variants) != plan.variant_digest:
        raise DataError(
            f"the bim file's {len(genotypes.variants):,} variants are not the study's {plan.variant_count:,}: "
            "chromosome, position, id and alleles must agree row by row",
            party=party,
        )
    sample = _samples_of_rows(records, genotypes, party)
    linked = sample >= 0
    if len(frame) and not linked.any():
        samples = len(genotypes.samples)
        problem = f"none of the {len(frame):,} table rows has an id among the {samples:,} genotype samples"
        raise DataError(problem, party=party, hint=f"ids come from column {records.id_column!r} and the fam file")
    complete = linked & frame.notna().all(axis=1).to_numpy()
    rows = np.flatnonzero(complete)
    rows = rows[np.argsort(sample[rows], kind="stable")]  # the genotype file's order
    people = sample[rows]

    def read(start: int, stop: int) -> NDArray[np.int8]:
        return genotypes.read(start, stop, people)

    contribution = AssociationContribution(
        phenotype=frame[spec.phenotype].to_numpy(dtype=np.float64)[rows],
        covariates=frame[list(spec.covariates)].to_numpy(dtype=np.float64)[rows],
        read=read,
    )
    absent = len(genotypes.samples) - int(linked.sum())
    incomplete = int(linked.sum()) - len(rows)
    return contribution, Preparation(len(frame), len(frame), incomplete, int((~linked).sum()), absent, len(rows))


def _nobody(plan: AssociationPlan) -> AssociationContribution:
    def read(start: int, stop: int) -> NDArray[np.int8]:
        return np.zeros((0, stop - start), dtype=np.int8)

    return AssociationContribution(np.zeros(0), np.zeros((0, len(plan.covariates))), read)


def _samples_of_rows(records: Records, genotypes: Genotypes, party: str) -> NDArray[np.intp]:
    """Position of each row's person among the genotype samples, -1 if there is none."""
    if records.id_column is None:
        raise DataError("no column links the table to the genotypes", party=party, hint='name it: ms.Dataset(id="IID")')
    if records.family_column is not None:
        own = pd.MultiIndex.from_frame(records.frame[[records.family_column, records.id_column]].astype(object))
        known: pd.Index[Any] = pd.MultiIndex.from_frame(genotypes.samples[["fid", "iid"]])
    else:
        own = pd.Index(as_text(records.frame[records.id_column]), dtype=object)
        known = pd.Index(genotypes.samples["iid"], dtype=object)
        repeated = int(known.duplicated().sum())
        if repeated:
            problem = f"{repeated} samples of the fam file repeat an individual id, and the table has no family id"
            raise DataError(problem, party=party, hint="add the columns FID and IID to the table, and name no id")
    return np.asarray(known.get_indexer(own), dtype=np.intp)
