"""Tables of missing values from Python, and what models say about people left out."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import SpecError
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.missingness import release_left_out
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties


def people(seed: int, count: int, share: float) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "sex": rng.choice(["F", "M"], count),
            "age": rng.integers(30, 80, count).astype(float),
            "stage": rng.choice(["I", "II"], count).astype(object),
            "full": np.arange(float(count)),
        }
    )
    frame.loc[rng.random(count) < share, "age"] = math.nan
    frame.loc[rng.random(count) < share / 4, "stage"] = None
    return frame


def test_missing_values_are_those_of_the_pooled_table() -> None:
    sites = {"a": people(1, 40, 0.3), "b": people(2, 25, 0.1), "none": people(3, 5, 0).iloc[:0]}
    pooled = pd.concat(sites.values())
    with ms.local(sites) as consortium:
        found = consortium.missingness(["age", "stage", "full"], by="sex", where="full >= 1")
    pooled = pooled[pooled["full"] >= 1]
    for row in found.table.to_dict("records"):
        part = pooled.loc[pooled["sex"] == row["sex"], row["variable"]]
        assert (row["missing"], row["people"]) == (part.isna().sum(), len(part))
        assert row["percent"] == pytest.approx(100 * part.isna().mean())
    for row in found.cases.to_dict("records"):
        part = pooled.loc[pooled["sex"] == row["sex"], ["age", "stage", "full"]]
        assert (row["complete"], row["incomplete"]) == (len(part.dropna()), len(part) - len(part.dropna()))
    assert "complete" in found.summary()
    assert not found.withheld


def test_small_numbers_are_hidden_under_standard() -> None:
    sites = {name: people(k, 60, 0.3) for k, name in enumerate(("a", "b", "c"))}
    for frame in sites.values():
        frame["stage"] = "I"
    sites["a"].loc[:9, "stage"] = None
    pooled = pd.concat(sites.values())
    with ms.local(sites, policy="standard") as consortium:
        found = consortium.missingness(["age", "stage", "full"])
    table = found.table.set_index("variable")
    assert table["missing"].isna().tolist() == [False, True, True]
    assert table.loc["age", "missing"] == 5 * round(int(pooled["age"].isna().sum()) / 5)
    assert found.cases["people"].tolist() == [180]
    assert "2 of 5 numbers hidden" in found.withheld[0]
    assert "suppressed" in found.summary()


def test_requests_that_make_no_sense() -> None:
    with ms.local({"a": people(1, 5, 0), "b": people(2, 5, 0)}) as consortium:
        for columns, by in (([], ()), (["nothing"], ()), (["age", "age"], ()), (["age"], ["age"])):
            with pytest.raises(SpecError):
                consortium.missingness(columns, by=by)


@pytest.mark.parametrize(
    ("own", "policy", "count", "text"),
    [
        ((3, 4, 0), "open", 7, "7 observations deleted due to missingness"),
        ((0, 1, 0), "open", 1, "1 observation deleted due to missingness"),
        ((20, 20, 23), "standard", 65, "about 65 observations deleted due to missingness"),
        ((3, 4, 3), "standard", None, "none or few, hidden"),
        ((0, 0, 0), "standard", None, "none or few, hidden"),
        ((40, 5, 0), "standard", None, "none or few, hidden"),  # the first party subtracts its own
    ],
)
def test_people_left_out_of_a_model(own: tuple[int, ...], policy: str, count: int | None, text: str) -> None:
    ruling = Ruling(Policy.preset(policy).rules, {})

    async def program(session: Session) -> tuple[int | None, str]:
        found = await release_left_out(session, own[session.index - 1], (1, 2, 3), ruling)
        return found.count, found.text

    for found, sentence in run_parties(Committee(3, 1), program):
        assert found == count
        assert text in sentence
