"""Where rounded curves are shown: on the policy's grid, whatever unit a request asks for."""

from __future__ import annotations

import numpy as np
import pytest

from mpcstats.errors import DisclosureRefused
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee
from mpcstats.stats.contributions.survival import SurvivalContribution, SurvivalPlan
from mpcstats.stats.curve_release import fits_grid, release_grid, step_width
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.lattice import on_grid
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.survival import Readings, joint_kaplan_meier
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties

STANDARD = Policy.preset("standard").rules
NAMES = {"stratum", "group", "reference", "contrast", "time", "tau", "probability"}


@pytest.mark.parametrize(
    ("horizon", "unit", "edges", "times"),
    [
        (100, 1.0, [30, 60, 90, 100], [30, 60, 90, 120]),
        (90, 1.0, [30, 60, 90], [30, 60, 90]),
        (14, 7.0, [4, 8, 12, 14], [30, 60, 90, 120]),
        (200, 0.5, [60, 120, 180, 200], [30, 60, 90, 120]),
        (3, 365.0, [1, 2, 3], [365, 730, 1095]),
        (0, 1.0, [0], [30]),
        (900, 0.1, [300, 600, 900], [30, 60, 90]),
    ],
)
def test_points(horizon: int, unit: float, edges: list[int], times: list[float]) -> None:
    found, points = release_grid(horizon, unit, 30)
    assert found.tolist() == edges
    np.testing.assert_allclose(points, times)


def test_requests_with_other_units_show_no_further_points() -> None:
    """Times recorded in weeks may be counted in weeks, days or half days: 35 days would be a point beside 30."""
    rng = np.random.default_rng(1)
    weeks = rng.integers(0, 60, 300)
    shown = set()
    for unit in (0.5, 1.0, 3.5, 7.0):
        horizon = int(60 * 7 / unit)
        cumulative = np.bincount((weeks * 7 / unit).astype(int), minlength=horizon + 1).cumsum()
        edges, times = release_grid(horizon, unit, 30)
        shown.add((tuple(times), tuple(cumulative[edges])))
    assert len(shown) == 1


@pytest.mark.parametrize(
    ("grid", "fits"),
    [(30, True), (60, True), (15, True), (0.5, True), (31, False), (45, False), (20, False), (7, False)],
)
def test_grids_that_fit_the_rules(grid: float, fits: bool) -> None:
    assert fits_grid(grid, 30) == fits


def rounded_curve(grid: float | None, seen: list[str]) -> Outcome:
    rng = np.random.default_rng(2)
    leave, event = rng.integers(0, 400, 2000), rng.random(2000) < 0.5
    events, censored = (np.bincount(leave[who], minlength=401)[None] for who in (event, ~event))
    if grid is not None:
        events, censored, _ = on_grid(events, censored, grid)
    plan = SurvivalPlan(None, (), 400, 1.0, "status", (1,), grid=grid)
    own = SurvivalContribution(events, censored)

    async def program(session: Session) -> Outcome:
        try:
            ruling = Ruling(Policy.preset("standard").rules, {})
            return await joint_kaplan_meier(session, plan, own, (1,), ruling, Readings())
        finally:
            seen.extend(session.openings.manifest)

    outcome: Outcome = run_parties(Committee(1, 0), program)[0]
    return outcome


def test_requests_with_other_grids_show_no_further_points() -> None:
    plain = rounded_curve(None, []).tables["curve"].set_index("time")["events"].cumsum()
    for grid in (1.0, 15.0, 30.0, 60.0):
        found = rounded_curve(grid, []).tables["curve"].set_index("time")["events"].cumsum()
        assert len(found) > 2
        assert (found == plain[found.index]).all()
    for grid in (31.0, 45.0, 20.0):
        seen: list[str] = []
        with pytest.raises(DisclosureRefused, match="time_grid = 30"):
            rounded_curve(grid, seen)
        assert seen == []


READINGS = {
    "the curve": Readings(),
    "quantiles": Readings(quantiles=(0.1, 0.5), quantile_rule="lifelines"),
    "times": Readings(times=(30, 45, 400)),
    "restricted means": Readings(tau="shortest", reference="b"),
    "hazard": Readings(hazard="fleming-harrington"),
    "life table": Readings(life_table=60.0),
    "everything": Readings("plain", 0.9, "t", (0.5,), "R", (90,), 90.0, None, "nelson-aalen", 30.0),
}


@pytest.mark.parametrize("wanted", READINGS.values(), ids=READINGS)
def test_what_standard_opens_of_every_reading(wanted: Readings) -> None:
    """The same numbers whatever is read off them; groups of three strata, of which one is too small."""
    rng = np.random.default_rng(4)
    events, censored = (rng.integers(0, 3, (3, 2, 121)) for _ in range(2))
    events[2, 1], censored[2, 1] = 0, np.bincount([40, 90], minlength=121)  # two people
    plan = SurvivalPlan("arm", ("a", "b"), 120, 1.0, "status", (1,), strata=("layer",), strata_levels=((1, 2, 3),))
    seen: dict[str, int] = {}

    async def program(session: Session) -> Outcome:
        try:
            own = SurvivalContribution(events, censored)
            return await joint_kaplan_meier(session, plan, own, (1,), Ruling(STANDARD, {}), wanted)
        finally:
            seen.update({name: entry.values for name, entry in session.openings.manifest.items()})

    outcome: Outcome = run_parties(Committee(1, 0), program)[0]
    # six curves; two kinds at four grid points each
    assert seen == {"people at start": 6, "visible grid points": 6, "cumulative events and censorings": 48}
    curve, medians = outcome.tables["curve"], outcome.tables["medians"]
    assert "life_table" not in outcome.tables
    assert set(curve["time"]) <= {30, 60, 90, 120}
    assert not ((curve["stratum"] == "3") & (curve["group"] == "b")).any()
    assert medians["records"].isna().tolist() == [False] * 5 + [True]
    assert (medians["records"].dropna() % 5 == 0).all()
    width = step_width(STANDARD)
    for name in ("events", "censored"):
        rising = curve.groupby(["stratum", "group"])[name].cumsum()
        assert set(rising % width) <= {0, width // 2}
    for name, table in outcome.tables.items():
        if name not in ("curve", "medians"):
            hidden = table[(table["stratum"] == "3") & (table["group"] == "b")]
            assert hidden[hidden.columns.difference(list(NAMES))].isna().all(axis=None)
    cited = " ".join(outcome.withheld)
    for rule in ("time_grid", "exact_curve", "step_minimum", "rounding_base", "minimum_count", "at_risk_floor"):
        assert f"{rule} = " in cited
    assert ("life table" in cited) == (wanted.life_table is not None)
    assert ("contrasts" in cited) == (wanted.tau is not None)
