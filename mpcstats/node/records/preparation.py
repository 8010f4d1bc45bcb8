"""From a party's records to its contribution: in the clear, at the owner, nothing leaves this module's caller.

Errors are `DataError` at the owner; they have column names and counts of rows, never a record's value. The other
parties learn that this party refused. So whether it refuses depends on the whole table and the dictionary, never on
which rows `where` and `by` pick: a refusal would otherwise tell whether there is such a person.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from mpcstats.node.analyses import node_analysis_of
from mpcstats.node.ledger.releases import Snapshot
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.rows import Preparation
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions import Contribution, Plan
from mpcstats.study.analyses import analysis_of
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.spec import AnalysisSpec

__all__ = ["Preparation", "check_records", "people_of", "prepare", "prepare_with_report"]


def prepare(spec: AnalysisSpec, plan: Plan, records: Records, dictionary: Dictionary, party: str) -> Contribution:
    """Form a party's contribution; how is said where the analysis is, in `mpcstats.node.analyses`.

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
    if not isinstance(plan, analysis_of(spec).plan_type):
        raise TypeError(f"a {type(plan).__name__} is not the plan of a {spec.type} analysis")
    contribution, report = node_analysis_of(spec).prepare(spec, plan, records, dictionary, party)
    assert isinstance(contribution, Contribution)
    return contribution, report


def people_of(
    spec: AnalysisSpec, plan: Plan, records: Records, dictionary: Dictionary, party: str
) -> Callable[[], Snapshot] | None:
    """How to find the people of a request for the ledger of released counts, which few runs ask for; None for an
    analysis that has no cells."""
    released = node_analysis_of(spec).released
    return None if released is None else functools.partial(released.people, spec, plan, records, dictionary, party)
