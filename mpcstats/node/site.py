"""What one party brings to a run from its own files: plan, policy, contribution. Nothing in here sends anything."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mpcstats.errors import NotPermitted, SpecError
from mpcstats.node.auditing.snapshots import commitment, snapshot_salt
from mpcstats.node.genotypes.study_list import read_study_list
from mpcstats.node.governance.permit import check_unapproved
from mpcstats.node.ledger.releases import Snapshot
from mpcstats.node.memory import trim
from mpcstats.node.records.preparation import Preparation, people_of, prepare_with_report
from mpcstats.node.records.source import Dataset, load, load_genotypes
from mpcstats.node.runs.plan_codec import plan_to_plain
from mpcstats.node.settings.config import DatasetConfig, PartyDirectory
from mpcstats.node.settings.limits import Limits, check
from mpcstats.stats.contributions import Contribution, Plan
from mpcstats.study.analyses import analysis_of
from mpcstats.study.dictionary import Dictionary, load_dictionary
from mpcstats.study.plan import columns_used, make_plan
from mpcstats.study.policy import Policy
from mpcstats.study.spec import AnalysisSpec, digest
from mpcstats.types import DisclosureRules

__all__ = ["Prepared", "Site", "check_cells", "check_table", "source_of"]


@dataclass(frozen=True)
class Prepared:
    """A party's part of a run; all None at a party without data, except the plan."""

    plan: Plan
    contribution: Contribution | None
    rules: DisclosureRules | None
    variants: pd.DataFrame | None
    report: Preparation | None = None
    people: Callable[[], Snapshot] | None = None
    """See `mpcstats.node.records.preparation.people_of`."""
    commitment: Callable[[], bytes] | None = None
    """See `mpcstats.node.auditing.snapshots`."""


class Site:
    """The data sets and the policy of one party. Files are read anew for every run."""

    def __init__(self, directory: PartyDirectory) -> None:
        self._directory = directory
        self._name = directory.config.name
        self.has_data = directory.config.role == "data"

    def check_permission(self, spec: AnalysisSpec) -> DisclosureRules | None:
        """This party's rules for the analysis; None for a party without data.

        Raises
        ------
        NotPermitted
            The party's policy does not list the analysis, or not a column it reads.
        """
        policy = self.policy(spec)
        if policy is None:
            return None
        if spec.type not in policy.analyses:
            raise NotPermitted(
                f"the policy does not allow {spec.type} (allowed: {', '.join(policy.analyses) or 'nothing'})",
                party=self._name,
                hint=f"analyses = [...] in {self._directory.path / 'policy.toml'}",
            )
        policy.columns.check(columns_used(spec), self._name)
        return policy.rules

    def policy(self, spec: AnalysisSpec) -> Policy | None:
        """This party's policy for a request's data set; None for a party without data."""
        return self._directory.policy(spec.dataset)

    def check_unapproved(self, spec: AnalysisSpec, rules: DisclosureRules | None) -> None:
        """Whether this party takes part without an approved study, see `mpcstats.node.governance.permit`."""
        check_unapproved(self.policy(spec), spec, rules, self._name)

    def terms(self, spec: AnalysisSpec) -> dict[str, Any]:
        """Under which terms this party takes part in an analysis; for the plan of a study. Plain values.

        Raises
        ------
        NotPermitted, SpecError
            It would not.
        """
        rules, policy = self.check_permission(spec), self.policy(spec)
        if rules is None or policy is None:
            return {"role": "compute"}
        plan = self.make_plan(spec)
        return {
            "role": "data",
            "rules": asdict(rules),
            "policy": policy.digest,
            "dictionary": plan.dictionary,
            "plan": digest(plan_to_plain(plan)).hex(),
            "approval": {"needed": policy.approval.needed, "rule": policy.approval.rule, "auto": policy.approval.auto},
            "release": policy.release.rule,
            "runs_per_month": policy.budget.runs_per_month,
        }

    def make_plan(self, spec: AnalysisSpec) -> Plan:
        """Fit the request to this party's copy of the dictionary.

        Raises
        ------
        SpecError
            It does not fit, or this party has no data set of this name.
        """
        return _plan(spec, load_dictionary(self._dataset(spec).dictionary), self.variants(spec))

    def variants(self, spec: AnalysisSpec) -> pd.DataFrame | None:
        """The public variants of a request's data set; None where it needs no genotypes."""
        source = _source(spec, self._dataset(spec))
        if source.variants is None:
            return load_genotypes(source, self._name, self._directory.genotype_cache)[1]
        # how the genotypes map onto the list has no part in the plan
        return read_study_list(Path(source.variants), self._name).variants

    def prepare(self, spec: AnalysisSpec, proposed: Plan, snapshot: Path | None = None) -> Prepared:
        """Read this party's data and form its contribution.

        Parameters
        ----------
        snapshot : Path, optional
            Folder for a copy of the table: made if there is none, and read in place of the table. What is computed
            now and opened later is the same people.

        Raises
        ------
        DataError
            The records cannot be used.
        SpecError
            The request does not fit this party's dictionary.
        LimitExceeded
            More rows, columns or cells than this party's limits.
        """
        rules = self.check_permission(spec)
        if rules is None:
            return Prepared(plan=proposed, contribution=None, rules=None, variants=None)
        dataset = self._dataset(spec)
        if snapshot is not None:
            dataset = dataset.model_copy(update={"table": _frozen(dataset.table, snapshot)})
        dictionary = load_dictionary(dataset.dictionary)
        records = load(_source(spec, dataset), self._name, dictionary, self._directory.genotype_cache)
        plan = _plan(spec, dictionary, records.variants)
        limits = self._directory.config.limits
        check_table(limits, records.rows, len(records.names), self._name)
        contribution, report = prepare_with_report(spec, plan, records, dictionary, self._name)
        check_cells(limits, contribution, self._name)
        report = replace(report, without_consent=records.without_consent)
        trim()  # reading takes memory that the run does not need
        people = people_of(spec, plan, records, dictionary, self._name)
        ids = (records.family_column, records.id_column, dictionary.unit_of_count)
        columns = (*columns_used(spec), *(name for name in ids if name is not None))
        read = partial(commitment, records, columns, snapshot_salt(self._directory.path))
        return Prepared(plan, contribution, rules, records.variants, report, people, read)

    def _dataset(self, spec: AnalysisSpec) -> DatasetConfig:
        if not self.has_data:
            raise SpecError(
                "holds no data, so it has no dictionary to plan with",
                party=self._name,
                hint="ask for the analysis at a party with role 'data'",
            )
        return self._directory.dataset(spec.dataset)


def check_table(limits: Limits, rows: int, columns: int, party: str) -> None:
    """Refuse a table that is larger than a party's limits.

    Raises
    ------
    LimitExceeded
    """
    check(limits, "rows", rows, f"the table has {rows:,} rows", party)
    check(limits, "columns", columns, f"the table has {columns:,} columns", party)


def check_cells(limits: Limits, contribution: Contribution, party: str) -> None:
    """Refuse a contribution that holds more numbers than a party's limits.

    Raises
    ------
    LimitExceeded
    """
    values = vars(contribution).values() if hasattr(contribution, "__dict__") else ()
    cells = sum(value.size for value in values if isinstance(value, np.ndarray))
    check(limits, "cells", cells, f"this party would share {cells:,} numbers", party)


def _plan(spec: AnalysisSpec, dictionary: Dictionary, variants: pd.DataFrame | None) -> Plan:
    """The plan, bound to the whole dictionary: units, missing values and who is a person are not in the plan itself."""
    return replace(make_plan(spec, dictionary, variants), dictionary=dictionary.digest().hex())


def _frozen(table: Path, folder: Path) -> Path:
    """The copy of a table; made once."""
    copy = folder / table.name
    if not copy.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = folder / f"{table.name}.partial"
        shutil.copyfile(table, partial)
        partial.chmod(0o600)
        partial.replace(copy)
    return copy


def _source(spec: AnalysisSpec, dataset: DatasetConfig) -> Dataset:
    """Genotypes are opened only where the analysis needs them."""
    own = source_of(dataset)
    return own if analysis_of(spec).needs_genotypes else replace(own, genotypes=None, variants=None)


def source_of(dataset: DatasetConfig) -> Dataset:
    """A data set of `party.toml` (paths absolute) as `load` takes it."""
    return Dataset(
        dataset.table,
        dataset.genotypes,
        dataset.id,
        dataset.variants,
        dataset.variant_match,
        dataset.consent,
        dataset.mapping,
    )
