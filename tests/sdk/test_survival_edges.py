"""Cohorts at the edge of what a survival analysis can say, on embedded parties; and what their owners refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import DataError, SpecError
from mpcstats.study.dictionary import Dictionary

REQUEST: dict[str, Any] = {"time": "time", "event": "status"}


def dictionary(horizon: float = 20, kind: str = "integer") -> Dictionary:
    number = {"type": kind, "range": [-5, horizon]}
    return Dictionary.model_validate(
        {
            "id": "d",
            "columns": [
                {"name": "time", **number},
                {"name": "start", **number},
                {"name": "status", "type": "integer", "levels": [0, 1]},
                {"name": "arm", "type": "category", "levels": ["a", "b", "c"]},
                {"name": "sex", "type": "category", "levels": ["f", "m"]},
            ],
        }
    )


def site(time: Any, status: Any, arm: str | list[str] = "a", **more: Any) -> pd.DataFrame:
    return pd.DataFrame({"time": time, "status": status, "arm": arm, "sex": "f", "start": 0} | more)


def local(*sites: pd.DataFrame, policy: str = "open", **how: Any) -> Any:
    return ms.local({f"site{k}": frame for k, frame in enumerate(sites)}, policy=policy, dictionary=dictionary(**how))


NOBODY = site([], []).astype({"time": int, "status": int, "start": int})


def test_groups_without_people_at_a_site_or_without_events_anywhere() -> None:
    """Group b has people at one site only and no event; c has nobody; the last site is empty."""
    one, two = site([3, 5, 5], [1, 1, 0]), site([2, 4, 6], [0, 0, 0], ["b", "b", "a"])
    with local(one, two, NOBODY) as consortium:
        curves = consortium.kaplan_meier(**REQUEST, by="arm", tau="common", times=[4], quantiles=[0.5], life_table=2)
        test = consortium.logrank(**REQUEST, by="arm", trend=True, pairwise="holm")
    medians = curves.medians.set_index("group")
    assert medians["records"].tolist() == [4, 2, 0]
    assert medians["events"].tolist() == [2, 0, 0]
    assert curves.curve[curves.curve["group"] == "b"]["survival"].tolist() == [1.0, 1.0]
    assert not (curves.curve["group"] == "c").any()
    assert curves.restricted_mean["restricted_mean"].isna().tolist() == [False, False, True]
    assert test.table["observed"].tolist() == [2, 0, 0]
    # b: one of five at risk at time 3, nobody at 5; one person in five: variance 4/25
    assert test.table["expected"].tolist() == pytest.approx([1.8, 0.2, 0])
    assert test.chi_square == pytest.approx(0.2**2 / 0.16)
    assert test.degrees_of_freedom == 1
    assert test.pairwise["p_value"].notna().tolist() == [True, False, False]
    for result in (curves, test):
        assert "Conventions" in result.summary()
        assert result._repr_html_()


def test_all_censored_and_all_at_one_time() -> None:
    with local(site([4, 4], [0, 0]), site([4], [0], "b")) as consortium:
        curve = consortium.kaplan_meier(**REQUEST)
        test = consortium.logrank(**REQUEST, by="arm")
    assert curve.curve[["time", "at_risk", "survival"]].to_numpy().tolist() == [[4, 3, 1]]
    assert math.isnan(curve.medians["median"].item())
    assert (test.degrees_of_freedom, test.chi_square, test.p_value) == (0, 0.0, 1.0)


def test_survival_that_reaches_zero_and_times_of_zero() -> None:
    """Everybody at time 0 counts, as in R; at the end S is 0 and has no limits."""
    with local(site([0, 0, 7], [1, 0, 1]), site([7], [1])) as consortium:
        result = consortium.kaplan_meier(**REQUEST, tau=10, hazard="fleming-harrington")
    assert result.curve["time"].tolist() == [0, 7]
    assert result.curve["at_risk"].tolist() == [4, 2]
    assert result.curve["survival"].tolist() == [0.75, 0]
    assert result.curve[["standard_error", "lower", "upper"]].iloc[1].isna().all()
    assert result.restricted_mean["restricted_mean"].item() == 0.75 * 7
    assert result.hazard["cumulative_hazard"].tolist() == pytest.approx([1 / 4, 1 / 4 + 1 / 2 + 1])
    assert "2 people here" in result.conventions["time 0"]


def test_strata_of_several_columns_and_rows_without_one() -> None:
    first = site([1, 2, 3, 4], [1, 1, 0, 1], ["a", "b", "a", "b"], sex=["f", "f", "m", None])
    with local(first, site([5, 6], [1, 1], ["a", "b"])) as consortium:
        result = consortium.kaplan_meier(**REQUEST, strata=["arm", "sex"])
        grouped = consortium.kaplan_meier(**REQUEST, by="arm", strata="sex")
    names = result.medians.set_index("stratum")["records"]
    assert names.to_dict() == {
        "arm=a, sex=f": 2,
        "arm=a, sex=m": 1,
        "arm=b, sex=f": 2,
        "arm=b, sex=m": 0,
        "arm=c, sex=f": 0,
        "arm=c, sex=m": 0,
    }
    assert grouped.medians["records"].tolist() == [2, 2, 0, 1, 0, 0]
    assert grouped.quantiles([0.5])["stratum"].tolist() == ["f"] * 3 + ["m"] * 3
    assert grouped.at_risk([0]).columns.tolist() == ["f: a", "f: b", "f: c", "m: a", "m: b", "m: c"]
    assert [ax.get_title(loc="left") for ax in grouped.plot().axes] == ["sex=f", "sex=m"]


def test_late_entry_of_people_in_groups() -> None:
    late = site([4, 6, 6], [1, 1, 0], ["a", "b", "a"], start=[0, 4, 5])
    with local(late, site([5], [1], "b", start=[2])) as consortium:
        result = consortium.kaplan_meier(**REQUEST, entry="start", by="arm", times=[1, 5])
        test = consortium.logrank(**REQUEST, entry="start", by="arm")
        coarse = consortium.kaplan_meier(**REQUEST, entry="start", grid=3)
    table = result.outcome.tables["at_times"]
    assert table[table["group"] == "a"]["at_risk"].tolist() == [1, 0]
    assert table[table["group"] == "b"]["at_risk"].tolist() == [0, 2]
    # time 4: a 1, b 1; time 5: b alone, 2 of 2; time 6: a 1, b 1
    assert test.table["expected"].tolist() == pytest.approx([1 / 2 + 1 / 2, 1 / 2 + 1 + 1 / 2, 0])
    assert coarse.curve["time"].tolist() == [6]
    assert coarse.curve["at_risk"].tolist() == [4]
    assert "grid" in coarse.conventions


@pytest.mark.parametrize(
    ("rows", "request_more", "complaint"),
    [
        ({"time": [-1, 3]}, {}, "1 rows have a negative time in column 'time'"),
        ({"start": [-2, 0]}, {"entry": "start"}, "1 rows have a negative time in column 'start'"),
        (
            {"start": [3, 3]},
            {"entry": "start"},
            "2 rows have an entry time in column 'start' that does not come before",
        ),
        ({"start": [None, 0]}, {"entry": "start"}, "1 rows have no value of column 'start'"),
        ({"status": [1, 7]}, {}, "1 rows are none of the levels in the dictionary"),
    ],
)
def test_what_an_owner_refuses(rows: dict[str, Any], request_more: dict[str, Any], complaint: str) -> None:
    """Whatever `where` selects, and with counts alone."""
    bad = site([2, 3], [1, 0]).assign(**rows)
    for where in (None, "sex == 'm'"):
        with local(site([5], [1]), bad) as consortium, pytest.raises(DataError, match="rows") as caught:
            consortium.kaplan_meier(**REQUEST, **request_more, where=where)
        assert complaint in caught.value.message
        assert caught.value.party == "site1"


def test_rows_that_are_dropped_as_r_drops_them() -> None:
    bad = site([2, 3, 4], [1, 0, 1], start=[2, 1, None])
    with local(site([5], [1]), bad) as consortium:
        result = consortium.kaplan_meier(**REQUEST, entry="start", missing="drop")
    assert result.medians["records"].item() == 2


def test_fractions_are_refused_or_have_a_unit() -> None:
    sites = (site([0.5, 2.0], [1, 1]), site([3.0], [1]))
    with local(*sites, kind="decimal") as consortium:
        with pytest.raises(DataError, match="not a whole multiple of 1"):
            consortium.kaplan_meier(**REQUEST)
        assert consortium.kaplan_meier(**REQUEST, time_unit=0.5).curve["time"].tolist() == [0.5, 2, 3]
    late = site([2], [1], start=[0.3])
    with local(late, sites[1], kind="decimal") as consortium, pytest.raises(DataError, match="not a whole multiple"):
        consortium.kaplan_meier(**REQUEST, entry="start")


REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "log-rank from counts": ("logrank", {"by": "arm", "mode": "table"}),
    "log-rank on shares": ("logrank", {"by": "arm", "mode": "statistic"}),
    "Cox": ("cox", {"covariates": ["arm"]}),
    "Cox, pooled risk sets": ("cox", {"covariates": ["arm"], "by_site": False}),
    "incidence": ("cumulative_incidence", {}),
    "Gray": ("gray", {"by": "arm"}),
}


@pytest.mark.parametrize(("column", "bad"), [("time", -1), ("status", 7)])
@pytest.mark.parametrize(("analysis", "more"), REQUESTS.values(), ids=REQUESTS)
def test_negative_times_and_unknown_events_are_refused_everywhere(
    analysis: str, more: dict[str, Any], column: str, bad: int
) -> None:
    wrong = site([2, 3], [1, 0], ["a", "b"]).assign(**{column: [bad, 1]})
    with local(site([5], [1]), wrong) as consortium, pytest.raises(DataError, match="1 rows") as caught:
        getattr(consortium, analysis)(**REQUEST, **more, where="sex == 'm'")
    assert caught.value.party == "site1"


EDGES = {
    "a group without events at one site": ((site([3, 5, 5], [1, 1, 0])), site([2, 4, 6], [0, 0, 0], ["b", "b", "a"])),
    "a group at one site": (site([3, 5, 5], [1, 1, 0]), site([2, 4, 6], [1, 0, 1], ["b", "b", "a"])),
    "all censored": (site([4, 2], [0, 0]), site([4], [0], "b")),
    "all have the event": (site([1, 3, 4], [1, 1, 1], ["a", "b", "a"]), site([2, 5], [1, 1], "b")),
    "all at one time": (site([4, 4, 4], [1, 0, 1], ["a", "b", "b"]), site([4, 4], [0, 1], ["a", "b"])),
}


@pytest.mark.parametrize("sites", EDGES.values(), ids=EDGES)
def test_edges_on_shares_are_those_of_the_counts(sites: tuple[pd.DataFrame, ...]) -> None:
    """Group c has nobody, and the last site is empty."""
    with local(*sites, NOBODY) as consortium:
        exact, shared = (consortium.logrank(**REQUEST, by="arm", mode=mode) for mode in ("table", "statistic"))
    assert shared.degrees_of_freedom == exact.degrees_of_freedom
    assert shared.chi_square == pytest.approx(exact.chi_square, rel=1e-9)
    assert shared.p_value == pytest.approx(exact.p_value, rel=1e-8)


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("a group without events at one site", [1 / 2, 0]),
        ("all censored", [0, 0]),
        ("all have the event", [1, 1]),
        ("all at one time", [1 / 2, 2 / 3]),
    ],
)
def test_incidence_at_the_edges(name: str, last: list[float]) -> None:
    """At the end of groups a and b; c has nobody, and the last site is empty."""
    with local(*EDGES[name], NOBODY) as consortium:
        result = consortium.cumulative_incidence(**REQUEST, by="arm", causes=[1])
    assert result.causes["records"].tolist()[2] == 0
    found = result.incidence.groupby("group")["incidence"].last()
    assert found.to_dict() == pytest.approx(dict(zip("ab", last, strict=True)))
    free = result.outcome.tables["event_free"].groupby("group")["survival"].last()
    assert free.tolist() == pytest.approx((1 - found).tolist())
    assert result.summary()


def test_a_hundred_thousand_times() -> None:
    horizon = 100_000
    time = np.arange(1, horizon + 1)
    sites = (site(time[::2], 1), site(time[1::2], 0))
    with local(*sites, horizon=horizon) as consortium:
        result = consortium.kaplan_meier(**REQUEST, times=[50_000])
        with pytest.raises(SpecError, match="at most"):
            consortium.kaplan_meier(**REQUEST, time_unit=0.1)
    assert len(result.curve) == horizon
    assert result.outcome.tables["at_times"]["at_risk"].item() == 50_001


@pytest.mark.long
def test_a_hundred_thousand_times_in_other_analyses() -> None:
    horizon = 100_000
    rng = np.random.default_rng(2)
    time, arm, start = np.arange(1, horizon + 1), rng.choice(["a", "b"], horizon), rng.integers(0, 20, horizon)
    whole = site(time, 1, arm, start=start)
    with local(whole[::2], whole[1::2], horizon=horizon) as consortium:
        test = consortium.logrank(**REQUEST, by="arm", mode="table")
        incidence = consortium.cumulative_incidence(**REQUEST)
        cox = consortium.cox(**REQUEST, covariates=["start"], transforms=(), concordance=False)
    # everybody's event is alone at its time: (O - E)^2 / V
    left = np.cumsum((arm == "a")[::-1])[::-1] / np.arange(horizon, 0, -1)
    assert test.chi_square == pytest.approx(((arm == "a") - left).sum() ** 2 / (left * (1 - left)).sum(), rel=1e-9)
    assert len(incidence.incidence) == horizon
    assert incidence.incidence["incidence"].iloc[-1] == pytest.approx(1)
    assert abs(cox.coefficients["z"].item()) < 4


@pytest.mark.parametrize(
    ("analysis", "more", "complaint"),
    [
        ("kaplan_meier", {"strata": ["arm"], "by": "arm"}, "named twice"),
        ("kaplan_meier", {"strata": ["time2"]}, "no column 'time2'"),
        ("kaplan_meier", {"entry": "arm"}, "cannot be the entry time"),
        ("kaplan_meier", {"grid": 0.5}, "narrower than time_unit"),
        ("kaplan_meier", {"grid": 4, "life_table": 6}, "do not fit times in steps of 4"),
        ("kaplan_meier", {"entry": "start", "life_table": 6}, "cannot be made with late entry"),
        ("kaplan_meier", {"by": "arm", "tau": 5, "reference": "z"}, "no group is called 'z'"),
        ("kaplan_meier", {"tau": "longest"}, "tau"),
        ("kaplan_meier", {"quantiles": [1.5]}, "quantiles"),
        ("logrank", {"by": "arm", "weights": "peto"}, "say peto-peto-R or peto-peto-lifelines"),
        ("logrank", {"by": "arm", "p": 1}, "p and q belong to the weights fleming-harrington"),
        ("logrank", {"by": "arm", "trend_scores": [1, 2]}, "a score for each of the 3 groups"),
        ("logrank", {"by": "arm", "pairwise": "tukey"}, "pairwise"),
    ],
)
def test_requests_that_do_not_fit(analysis: str, more: dict[str, Any], complaint: str) -> None:
    with local(site([1], [1]), site([2], [1])) as consortium, pytest.raises(SpecError) as caught:
        getattr(consortium, analysis)(**REQUEST, **more)
    assert complaint in caught.value.message


def test_other_names_and_scores() -> None:
    frame = site([1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 1, 1], ["a", "b", "c"] * 2)
    with local(frame, NOBODY) as consortium:
        gehan = consortium.logrank(**REQUEST, by="arm", weights="gehan-breslow")
        trends = [consortium.logrank(**REQUEST, by="arm", trend_scores=s).trend for s in ([1, 2, 3], [10, 30, 50])]
    assert gehan.outcome.values["weights"] == "wilcoxon"
    assert gehan.p_text.startswith("wilcoxon p")
    pd.testing.assert_frame_equal(*trends)


def test_contrasts_have_the_reference_that_was_asked_for() -> None:
    frame = site([1, 2, 3, 4, 5, 6], [1, 1, 1, 0, 1, 1], ["a", "b", "c"] * 2)
    with local(frame, NOBODY) as consortium:
        result = consortium.kaplan_meier(**REQUEST, by="arm", tau=4, reference="b")
    assert set(result.contrasts["reference"]) == {"b"}
    means = result.restricted_mean.set_index("group")["restricted_mean"]
    difference = result.contrasts[result.contrasts["contrast"] == "difference"].set_index("group")["estimate"]
    assert difference["a"] == pytest.approx(means["a"] - means["b"])
    with pytest.raises(SpecError, match="no table 'hazard'"):
        _ = result.hazard
