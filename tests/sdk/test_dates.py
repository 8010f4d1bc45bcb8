"""Dates in embedded sessions: filters over sites that store them in different ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import SpecError


@pytest.fixture(scope="module")
def cohort() -> pd.DataFrame:
    draw = np.random.default_rng(7)
    born = pd.Timestamp("1930-01-01") + pd.to_timedelta(draw.integers(0, 25_000, 300), unit="D")
    seen = pd.Series(pd.Timestamp("2019-06-01") + pd.to_timedelta(draw.integers(0, 900, 300), unit="D"))
    seen[draw.random(300) < 0.1] = pd.NaT
    return pd.DataFrame({"born": born, "seen": seen, "sex": draw.choice(["F", "M"], 300)})


def test_dates_count_the_same_however_a_site_stores_them(cohort: pd.DataFrame, tmp_path: Path) -> None:
    parts = [cohort.iloc[start::3].reset_index(drop=True) for start in range(3)]
    parts[0].to_csv(tmp_path / "a.csv", index=False)
    parts[1].assign(born=parts[1]["born"].dt.date, seen=parts[1]["seen"].dt.date).to_parquet(tmp_path / "b.parquet")
    with ms.local({"a": tmp_path / "a.csv", "b": tmp_path / "b.parquet", "c": parts[2]}) as consortium:
        found = consortium.count(where="seen - born >= 65 * 365.25 and year(seen) == 2020", by="sex").to_frame()
        assert consortium.count(where="seen is missing").to_frame()["count"].tolist() == [cohort["seen"].isna().sum()]
        with pytest.raises(SpecError, match="'2020-02-30' is no date"):
            consortium.count(where="seen > '2020-02-30'")
    chosen = cohort[((cohort["seen"] - cohort["born"]).dt.days >= 65 * 365.25) & (cohort["seen"].dt.year == 2020)]
    assert found["count"].tolist() == [(chosen["sex"] == sex).sum() for sex in ("F", "M")]
