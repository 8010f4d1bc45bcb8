"""What the registry of a node holds about an analysis: how records become a contribution, and the run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.node.ledger.releases import Snapshot
from mpcstats.node.records.rows import Preparation
from mpcstats.node.records.source import Records
from mpcstats.runtime import Session
from mpcstats.stats.contributions import Contribution, Plan
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.spec import AnalysisSpec
from mpcstats.types import DisclosureRules

__all__ = [
    "KAPPA",
    "NodeAnalysis",
    "ReleasedCells",
    "Run",
    "to_any",
    "to_none",
    "usual_kappa",
    "with_exact_curve",
]

S = TypeVar("S", bound=AnalysisSpec)
P = TypeVar("P", bound=Plan)
C = TypeVar("C", bound=Contribution)

KAPPA = 64
"""Bits of one bounded mask where the number of masks is not known to need a choice."""


def to_none(_spec: AnalysisSpec, _rules: DisclosureRules) -> bool:
    """What is opened on the way decides what is computed next: who computes must see it."""
    return False


def to_any(_spec: AnalysisSpec, _rules: DisclosureRules) -> bool:
    """Messages behind the first result do not depend on results."""
    return True


def with_exact_curve(_spec: AnalysisSpec, rules: DisclosureRules) -> bool:
    """One opening, of the exact table; rounded curves are opened in steps."""
    return rules.exact_curve


def usual_kappa(_spec: AnalysisSpec, _plan: Plan, _sites: int) -> int:
    """KAPPA, whatever is asked."""
    return KAPPA


def always(_spec: AnalysisSpec, _plan: Plan, _ruling: Ruling) -> bool:
    """Counts leave, whatever is asked."""
    return True


@dataclass(frozen=True)
class Run(Generic[S, P, C]):
    """What one run of an analysis has at one party.

    Attributes
    ----------
    session : Session
        Keys are agreed on.
    spec, plan
        Public and equal at all parties.
    own : Contribution or None
        This party's own; None at a party without data.
    dealers : tuple of int
        Numbers of the parties with data.
    ruling : Ruling
        The disclosure rules in force.
    variants : DataFrame or None
        The public variant table; None without genotypes, and at a party without data.
    """

    session: Session
    spec: S
    plan: P
    own: C | None
    dealers: tuple[int, ...]
    ruling: Ruling
    variants: pd.DataFrame | None
    results: Path | None = None
    """File for a large table of the result; None: in memory."""
    scratch: Path | None = None
    """Folder of this very request, for what a run that is interrupted need not do again; None: nothing is kept."""
    noise: bytes | None = None
    """Where this party's part of joint noise comes from; None: the rules ask for none."""


@dataclass(frozen=True)
class ReleasedCells(Generic[S, P]):
    """An analysis that releases counts of cells: what the ledger of released counts keeps of it.

    Attributes
    ----------
    sets : function (plan) -> int64 (families, cells)
        Public. Each row is a family of released numbers: which of them a cell is counted in. All are numbered through.
    axes : function (plan) -> tuple of int
        Public. Levels of each column of the table of cells.
    people : function (spec, plan, records, dictionary, party) -> Snapshot
        Who is in which cell.
    shown : function (plan, outcome) -> bool (sets,)
        Which numbers were released.
    leaves : function (spec, plan, ruling) -> bool
        Whether counts of cells leave in this very request. Raises what the request would be refused with before
        anything is opened: what is not released is not remembered.
    """

    sets: Callable[[P], NDArray[np.int64]]
    axes: Callable[[P], tuple[int, ...]]
    people: Callable[[S, P, Records, Dictionary, str], Snapshot]
    shown: Callable[[P, Outcome], NDArray[np.bool_]]
    leaves: Callable[[S, P, Ruling], bool] = always


@dataclass(frozen=True)
class NodeAnalysis(Generic[S, P, C]):
    """One analysis as a node does it.

    Attributes
    ----------
    spec : class
        The request, as in `mpcstats.study.analyses`.
    contribution : class
        What `prepare` makes.
    prepare : function (spec, plan, records, dictionary, party) -> (Contribution, Preparation)
        In the clear, at the owner. Raises DataError. Whether it refuses depends on the whole table and the dictionary,
        never on which rows `where` and `by` pick: a refusal would tell whether there is such a person.
    run : coroutine function (Run) -> Outcome
    kappa : function (spec, plan, data parties) -> int
        Bits of one bounded mask.
    released : ReleasedCells or None
        For the ledger of released counts; None for other analyses.
    to_some : function (spec, rules) -> bool
        Whether results can be opened to some parties alone: what the parties send each other behind the first result
        depends on no result, so that who sees zeros in place of results can go on.
    noisy : bool
        Whether it can be released with joint noise; all others are refused where the rules ask for noise.
    """

    spec: type[S]
    contribution: type[C]
    prepare: Callable[[S, P, Records, Dictionary, str], tuple[C, Preparation]]
    run: Callable[[Run[S, P, C]], Awaitable[Outcome]]
    kappa: Callable[[S, P, int], int] = usual_kappa
    released: ReleasedCells[S, P] | None = None
    to_some: Callable[[S, DisclosureRules], bool] = to_none
    noisy: bool = False


AnyNodeAnalysis = NodeAnalysis[Any, Any, Any]
