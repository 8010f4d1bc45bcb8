"""People in numpy arrays, split over sites, and fits between in-memory parties."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.stats.contributions.cox import CoxContribution, CoxPlan
from mpcstats.stats.cox import CoxOptions, joint_cox
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.types import DisclosureRules
from tests.stats.r_truth import SHARED

DATA = Path(__file__).parents[2] / "data"

OPEN = Policy.preset("open").rules
STANDARD = Policy.preset("standard").rules
HIDDEN = replace(OPEN, exact_curve=False)
"""Nothing per time is opened, and numbers have all digits."""


@dataclass(frozen=True)
class People:
    """All people of a study, on the lattice."""

    plan: CoxPlan
    covariates: np.ndarray
    time: np.ndarray
    event: np.ndarray
    stratum: np.ndarray
    entry: np.ndarray | None = None

    def at(self, who: np.ndarray) -> CoxContribution:
        """The contribution of some of them."""
        entry = None if self.entry is None else self.entry[who]
        return CoxContribution(self.time[who], self.event[who], self.covariates[who], self.stratum[who], entry)


def make(
    covariates: np.ndarray,
    time: np.ndarray,
    event: np.ndarray,
    *,
    names: list[str] | None = None,
    stratum: np.ndarray | None = None,
    strata: tuple[str, ...] = (),
    entry: np.ndarray | None = None,
    unit: float = 1.0,
    horizon: int | None = None,
) -> People:
    """People with a plan whose ranges are those of the data, a bit wider."""
    low, high = covariates.min(axis=0), covariates.max(axis=0)
    few = tuple(tuple(np.unique(c).tolist()) if len(np.unique(c)) <= 3 else () for c in covariates.T)
    widths = np.where(high > low, (high - low) * 0.55, 1.0)
    plan = CoxPlan(
        covariates=tuple(names or [f"x{k}" for k in range(covariates.shape[1])]),
        centers=tuple(((low + high) / 2).tolist()),
        half_widths=tuple(widths.tolist()),
        few_levels=few,
        time="time",
        event="event",
        event_values=(1,),
        horizon=int(time.max()) if horizon is None else horizon,
        unit=unit,
        strata=("stratum",) if strata else (),
        strata_levels=(strata,) if strata else (),
        entry=None if entry is None else "entry",
    )
    assert plan.within_limits()
    groups = np.zeros(len(time), np.int64) if stratum is None else stratum.astype(np.int64)
    late = None if entry is None else entry.astype(np.int64)
    return People(plan, covariates.astype(float), time.astype(np.int64), event.astype(bool), groups, late)


def simulated(
    seed: int, people: int = 120, order: int = 2, horizon: int = 15, strata: int = 1, late: bool = False
) -> People:
    """Tied times, an effect, censoring; the first column is 0/1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(people, order))
    x[:, 0] = rng.random(people) < 0.4
    effect = np.linspace(0.6, -0.4, order)
    lifetime = rng.exponential(horizon / 2 * np.exp(-x @ effect))
    censoring = rng.uniform(1, horizon, people)
    time = np.maximum(1, np.ceil(np.minimum(lifetime, censoring))).astype(np.int64)
    entry = np.where(rng.random(people) < 0.5, -1, np.floor(rng.random(people) * time)).astype(np.int64)
    names = tuple(f"s{k}" for k in range(strata)) if strata > 1 else ()
    return make(
        x,
        np.minimum(time, horizon),
        lifetime <= censoring,
        stratum=rng.integers(0, strata, people),
        strata=names,
        entry=entry if late else None,
    )


def fit(
    people: People,
    site: np.ndarray,
    options: CoxOptions,
    *,
    rules: DisclosureRules = OPEN,
    sites: int | None = None,
    parties: int | None = None,
    sessions: list[Session] | None = None,
) -> Outcome:
    """Fit between in-memory parties, of which the first `sites` have people; all must give the same result."""
    sites = int(site.max()) + 1 if sites is None else sites
    m = max(3, sites) if parties is None else parties
    dealers = tuple(range(1, sites + 1))

    async def program(session: Session) -> Outcome:
        own = people.at(site == session.index - 1) if session.index in dealers else None
        if sessions is not None and session.index == 1:
            sessions.append(session)
        return await joint_cox(session, people.plan, own, dealers, Ruling(rules, {}), options)

    outcomes = run_parties(Committee(m, default_threshold(m)), program, patience_seconds=300)
    texts = {outcome.to_json() for outcome in outcomes}
    assert len(texts) == 1
    return outcomes[0]


# --- R's entries ---------------------------------------------------------------------------------------------------


def study(entry: dict[str, Any]) -> People:
    """The people of a truth entry: from the data that ship with the tests or with lifelines, else the shared folder."""
    frame = _frame(entry["file"])
    for column, value in (entry.get("filter") or {}).items():
        frame = frame[frame[column] == value]
    numeric, factors = entry["numeric_covariates"] or [], entry["factor_covariates"] or {}
    columns = [entry["time"], entry["event"], *numeric, *factors, *([entry["strata"]] if entry["strata"] else [])]
    frame = frame[columns].dropna()
    assert len(frame) == entry["rows_used"]
    parts = [frame[name].to_numpy(float) for name in numeric]
    for name, factor in factors.items():
        text = frame[name].map(lambda v: str(int(v)) if isinstance(v, float) else str(v))
        parts += [(text == level).to_numpy(float) for level in factor["levels"]]
    time, unit = frame[entry["time"]].to_numpy(float), 1.0
    if entry["grid_width"]:
        time = np.maximum(1, np.ceil(time / entry["grid_width"]))
    elif not (time == np.rint(time)).all():
        unit = 0.1
    strata: tuple[str, ...] = ()
    stratum = None
    if entry["strata"]:
        names, stratum = np.unique(frame[entry["strata"]].astype(str), return_inverse=True)
        strata = tuple(names.tolist())
    return make(
        np.column_stack(parts),
        np.rint(time / unit).astype(np.int64),
        frame[entry["event"]].isin(entry["event_values"]).to_numpy(),
        names=entry["design_columns"],
        stratum=stratum,
        strata=strata,
        unit=unit,
    )


@cache
def _frame(file: str) -> pd.DataFrame:
    if file == "survival_lung.csv":
        # 1 is dead there and 2 in R
        return pd.read_csv(DATA / "lung.csv").assign(status=lambda frame: frame["status"] + 1)
    if file == "lifelines_rossi.csv":
        from lifelines.datasets import load_rossi

        return load_rossi()
    return pd.read_csv(SHARED / "data" / "clinical" / file)


def entries(path: Path) -> list[dict[str, Any]]:
    """Entries of a truth file."""
    return list(json.loads(path.read_text(encoding="utf-8"))["entries"])
