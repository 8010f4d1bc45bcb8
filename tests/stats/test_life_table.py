"""The actuarial life table: the numbers of KMsurv's lifetab."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpcstats.errors import RangeError, SpecError
from mpcstats.stats.kaplan_meier import LIFE_TABLE_COLUMNS, life_table, tables_from_counts
from mpcstats.stats.lattice import on_grid

from .r_truth import everything, records, same, shipped


def check_against_r(entry: dict[str, Any]) -> None:
    time, event, _ = records(entry)
    place, width = time.astype(int), entry["width"]
    assert (place == time).all()
    events, censored = (np.bincount(place[chosen], minlength=place.max() + 1) for chosen in (event, ~event))
    d, c, _ = on_grid(events, censored, width)
    truth = entry["result"]
    curve = tables_from_counts(d[None], c[None], unit=width)["curve"]
    same(curve["time"] / width, truth["bin"])
    same(curve["survival"], truth["surv"])
    same(curve["standard_error"], truth["std_err_surv"])
    ours, theirs = life_table(d, c, width), truth["lifetable"]
    assert tuple(ours.columns) == LIFE_TABLE_COLUMNS
    same(ours["start"], [width * k for k in range(truth["n_bins"])])
    for name, other in (
        ("at_start", "nsubs"),
        ("censored", "nlost"),
        ("at_risk", "nrisk"),
        ("events", "nevent"),
        ("survival", "surv"),
        ("standard_error", "se_surv"),
    ):
        same(ours[name], theirs[other])
    # KMsurv worked in grid intervals, and takes differences of S for the density: 1e-16 of S
    same(ours["density"] * width, theirs["pdf"], rtol=1e-11)
    for name, other in (
        ("density_standard_error", "se_pdf"),
        ("hazard", "hazard"),
        ("hazard_standard_error", "se_hazard"),
    ):
        same(ours[name] * width, theirs[other])


@pytest.mark.parametrize("entry", shipped("km_grid.json"))
def test_equals_r(entry: dict[str, Any]) -> None:
    check_against_r(entry)


@pytest.mark.parametrize("entry", everything("km_grid.json"))
def test_equals_r_on_every_data_set(entry: dict[str, Any]) -> None:
    check_against_r(entry)


def test_it_ends_when_nobody_is_left() -> None:
    found = life_table([0, 2, 0, 1, 0, 0], [0, 0, 1, 0, 0, 0], 0.1)
    assert found["at_start"].tolist() == [4, 2, 1]
    assert found["end"].tolist() == [0.1, 0.2, 0.3]
    assert found["at_risk"].tolist() == [4, 1.5, 1]
    assert found["survival"].tolist() == [1, 0.5, 0.5]
    assert found["density"].iloc[0] == pytest.approx(0.5 / 0.1)
    assert np.isnan(found["hazard"].iloc[2])


def test_nobody_and_nobody_with_the_event() -> None:
    assert life_table([0, 0], [0, 0]).empty
    found = life_table([0, 0, 0], [0, 3, 2])
    assert found["survival"].tolist() == [1, 1]
    assert found["hazard"].iloc[0] == 0
    assert np.isnan(found["hazard_standard_error"].iloc[0])


def test_wrong_counts_are_refused() -> None:
    with pytest.raises(RangeError, match="empty index 0"):
        life_table([1, 0], [0, 0])
    with pytest.raises(RangeError, match="per interval"):
        life_table([[0, 1]], [[0, 1]])
    with pytest.raises(SpecError, match="positive width"):
        life_table([0, 1], [0, 1], 0)
