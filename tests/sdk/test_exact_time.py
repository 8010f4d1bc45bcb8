"""Survival with hidden times through embedded parties: known answers, what is withheld, refusals, pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import mpcstats as ms
from mpcstats.cli.main import app
from mpcstats.errors import DataError, DisclosureRefused, RangeError, SpecError
from mpcstats.node.records.preparation import prepare_with_report
from mpcstats.node.records.source import load
from mpcstats.node.runs.plan_codec import plan_from_json, plan_to_json
from mpcstats.sdk.results import ExactTimeResult, wrap
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses import parse_spec
from mpcstats.study.analyses.exact_time import padded_rows
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import make_plan
from tests.sdk.test_plots import drawn

REQUEST: dict[str, Any] = {"time": "time", "event": "status", "rows": 16}


def cohort(people: int = 40, seed: int = 3, groups: str = "AB", mean: float = 30.0, digits: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    time = np.maximum(np.round(rng.exponential(mean, people), digits), 10.0**-digits)
    arm = rng.choice(list(groups), people)
    return pd.DataFrame({"time": time, "status": (rng.random(people) < 0.7).astype(int), "arm": arm, "age": 50})


def split(frame: pd.DataFrame, sites: int = 3) -> dict[str, pd.DataFrame]:
    return {f"site{k}": frame.iloc[k::sites].reset_index(drop=True) for k in range(sites)}


def equal_to_the_lattice(found: ExactTimeResult, curves: ms.KaplanMeierResult, times: list[float]) -> None:
    """Landmarks and medians against the same numbers from the opened table."""
    columns = ["survival", "standard_error", "lower", "upper"]
    expected = curves.outcome.tables["at_times"]
    assert found.landmarks["group"].tolist() == expected["group"].tolist()
    assert found.landmarks["time"].tolist() == times * len(curves.medians)
    np.testing.assert_allclose(found.landmarks[columns], expected[columns], rtol=1e-9, atol=1e-12)
    medians = ["median", "lower", "upper"]
    np.testing.assert_allclose(found.medians[medians], curves.medians[medians], rtol=1e-12)
    assert found.medians["records"].tolist() == curves.medians["records"].tolist()


# --- known answers ---------------------------------------------------------------------------------------------------


def test_fractional_times_as_the_opened_table_and_lifelines_have_them() -> None:
    from lifelines import KaplanMeierFitter
    from lifelines.statistics import multivariate_logrank_test

    frame, times = cohort(), [0.5, 10.0, 33.25, 80.0]
    request = {"time": "time", "event": "status", "by": "arm"}
    with ms.local(split(frame), policy="open") as consortium:
        found = consortium.exact_time(**request, rows=14, times=times, trend=True)
        curves = consortium.kaplan_meier(**request, time_unit=0.01, times=times)
        test = consortium.logrank(**request, time_unit=0.01)
    equal_to_the_lattice(found, curves, times)
    assert found.chi_square == pytest.approx(test.chi_square, rel=1e-10)
    assert found.trend_chi_square == pytest.approx(test.chi_square, rel=1e-10)
    assert found.p_value == pytest.approx(test.p_value, rel=1e-9)
    theirs = multivariate_logrank_test(frame["time"], frame["arm"], frame["status"])
    assert found.chi_square == pytest.approx(theirs.test_statistic, rel=1e-10)
    for group, part in frame.groupby("arm"):
        fitted = KaplanMeierFitter().fit(part["time"], part["status"])
        ours = found.landmarks.query(f"group == '{group}'")["survival"]
        np.testing.assert_allclose(ours, fitted.survival_function_at_times(times), rtol=1e-10)
    opened = {entry["name"]: entry["values"] for entry in found.run["opened"]}
    assert opened == {
        "people at start": 2,
        "survival at landmarks": 2 * 2 * 4,
        "medians and limits": 6,
        "test can be released": 0,
        "groups in the test": 1,
        "test exists": 2,
        "chi-square": 4,
    }
    assert not found.rounded
    summary = found.summary()
    for text in ("arm=A", "Chisq=", "Trend:", "never opened", "events come before censorings"):
        assert text in summary
    assert "Medians" in summary
    assert "medians" in found._repr_html_()
    assert wrap(Outcome.from_json(found.outcome.to_json())).summary() == summary


def test_ties_an_empty_site_a_group_without_events_and_survival_of_zero() -> None:
    """Group c has no event, b falls to zero, d has nobody."""
    one = pd.DataFrame(
        {"time": [1.5, 1.5, 1.5, 4, 6], "status": [1, 1, 0, 1, 0], "arm": list("aaabc"), "age": [1, 2, 3, 4, 5]}
    )
    two = pd.DataFrame({"time": [1.5, 2.5, 4, 2.5], "status": [1, 0, 1, 0], "arm": list("baac"), "age": [6, 7, 8, 9]})
    dictionary = the_dictionary()
    request = {"time": "time", "event": "status", "by": "arm"}
    with ms.local({"x": one, "y": two, "nobody": one[:0]}, policy="open", dictionary=dictionary) as consortium:
        found = consortium.exact_time(**request, rows=5, times=[0, 1.5, 4, 8])
        curves = consortium.kaplan_meier(**request, time_unit=0.5, times=[0, 1.5, 4, 8])
        weighted = consortium.exact_time(**request, rows=5, weights="wilcoxon", medians=False)
        lattice = [consortium.logrank(**request, time_unit=0.5, weights=name) for name in ("logrank", "wilcoxon")]
    equal = found.landmarks["group"] != "d"
    assert found.landmarks[~equal]["survival"].isna().all()
    shown = curves.outcome.tables["at_times"]
    np.testing.assert_allclose(
        found.landmarks[equal]["survival"], shown[shown["group"] != "d"]["survival"], rtol=1e-10, atol=1e-15
    )
    by_group = found.landmarks.set_index(["group", "time"])["survival"]
    assert by_group["b", 4] == 0
    assert by_group["c", 8] == 1
    assert found.medians["records"].tolist() == [5, 2, 2, 0]
    np.testing.assert_allclose(found.medians["median"], curves.medians["median"])
    for ours, theirs in zip((found, weighted), lattice, strict=True):
        assert ours.chi_square == pytest.approx(theirs.chi_square, rel=1e-9)
        assert ours.degrees_of_freedom == theirs.degrees_of_freedom == 2
    assert "wilcoxon p" in weighted.p_text
    assert weighted.headline().startswith("Chisq=")


def test_filters_and_missing_values() -> None:
    frame = cohort().assign(age=np.arange(40))
    frame.loc[5, "time"] = np.nan
    frame.loc[7, "arm"] = None
    request = {"time": "time", "event": "status", "by": "arm", "where": "age >= 3"}
    with ms.local(split(frame), policy="open") as consortium:
        found = consortium.exact_time(**request, rows=16, times=[20], logrank=False, missing="drop")
        curves = consortium.kaplan_meier(**request, time_unit=0.01, times=[20], missing="drop")
        with pytest.raises(DataError, match="1 rows have no value of column 'time'"):
            consortium.exact_time(**request, rows=16)
    equal_to_the_lattice(found, curves, [20.0])
    assert found.medians["records"].sum() == 35


# --- policies --------------------------------------------------------------------------------------------------------


def test_standard_shows_what_kaplan_meier_shows_and_nothing_else() -> None:
    """Equal numbers rounded at the same places: both results together tell no more than one of them."""
    frame = cohort(300, mean=300, digits=0)
    request = {"time": "time", "event": "status", "by": "arm"}
    with ms.local(split(frame), policy="standard") as consortium:
        found = consortium.exact_time(**request, rows=100, times=[200, 365, 1200], logrank=False)
        curves = consortium.kaplan_meier(**request, times=[200, 365, 1200])
    pd.testing.assert_frame_equal(found.curve, curves.curve, check_exact=True)
    pd.testing.assert_frame_equal(found.medians, curves.medians, check_exact=True)
    theirs = curves.outcome.tables["at_times"][found.landmarks.columns]
    pd.testing.assert_frame_equal(found.landmarks, theirs, check_exact=True)
    assert found.landmarks["survival"].isna().tolist() == [False, False, True] * 2
    assert found.rounded
    names = [{entry["name"] for entry in result.run["opened"]} for result in (found, curves)]
    assert names[0] == names[1]
    assert [line for line in found.withheld if "grid" in line] == [line for line in curves.withheld if "grid" in line]
    assert "merged" not in found.conventions["times"]
    (ax,) = drawn(found.plot(title="Hidden")).axes
    assert "rounded by disclosure control" in ax.texts[0].get_text()
    assert "rounded by disclosure control" in found._repr_html_()


def test_standard_refuses_the_test_of_a_small_group() -> None:
    frame = cohort(45).assign(arm=lambda t: np.where(t.index < 10, "A", "B"))
    with ms.local(split(frame), policy="standard") as consortium:
        with pytest.raises(DisclosureRefused, match="too few people or events"):
            consortium.exact_time(**REQUEST, by="arm", medians=False)
        hidden = consortium.exact_time(**REQUEST, by="arm", times=[30], logrank=False)
    assert hidden.medians["records"].isna().tolist() == [True, False]
    assert hidden.landmarks["survival"].isna().tolist()[0]


def test_standard_rounds_the_statistic() -> None:
    frame = cohort(66, mean=20)
    with ms.local(split(frame), policy="open") as consortium:
        exact = consortium.exact_time(**(REQUEST | {"rows": 24}), by="arm", medians=False)
        rounded = consortium.exact_time(**(REQUEST | {"rows": 24}), by="arm", medians=False, policy="standard")
    assert rounded.chi_square == pytest.approx(exact.chi_square, rel=2.0**-21)
    assert rounded.chi_square != exact.chi_square
    assert math.frexp(rounded.chi_square)[0] * 2**21 == pytest.approx(round(math.frexp(rounded.chi_square)[0] * 2**21))
    assert any("exact_curve" in line for line in rounded.withheld)


# --- refusals --------------------------------------------------------------------------------------------------------


def the_dictionary(**time: Any) -> Dictionary:
    number = {"name": "time", "type": "decimal", "range": [0, 10]} | time
    columns = [
        number,
        {"name": "status", "type": "integer", "levels": [0, 1]},
        {"name": "arm", "type": "category", "levels": ["a", "b", "c", "d"]},
        {"name": "one", "type": "category", "levels": ["x"]},
        {"name": "age", "type": "integer", "range": [0, 99]},
    ]
    return Dictionary.model_validate({"id": "d", "columns": columns})


def plan_of(dictionary: Dictionary | None = None, **request: Any) -> Any:
    return make_plan(parse_spec({"type": "exact-time"} | REQUEST | request), dictionary or the_dictionary(), None)


@pytest.mark.parametrize(
    ("request_", "match"),
    [
        ({"rows": 0}, "rows: Input should be greater than or equal to 1"),
        ({"rows": 20_001}, "rows: Input should be less than or equal to 20000"),
        ({"medians": False}, "nothing is asked for"),
        ({"medians": False, "logrank": False, "by": "arm"}, "nothing is asked for"),
        ({"trend": True}, "between the groups of `by`"),
        ({"weights": "peto-peto-R", "by": "arm"}, "weights: Input should be"),
        ({"times": tuple(range(25))}, "times: Tuple should have at most 24"),
        ({"times": (3.0, 11.0)}, "multiples of 1e-06 up to 10"),
        ({"times": (0.25,), "time_unit": 0.1}, "multiples of 0.1"),
        ({"time_unit": 1e-12}, "possible times; at most 68,719,476,736"),
        ({"by": "one"}, "has only 1 level"),
        ({"by": "arm", "trend_scores": (1.0, 2.0)}, "a score for each of the 4 groups"),
        ({"by": "status"}, "named twice"),
        ({"event": "age"}, "cannot be the event"),
        ({"by": "arm", "rows": 5000}, r"made up to 6,144.*20,000 of all parties together"),
    ],
)
def test_requests_that_cannot_be(request_: dict[str, Any], match: str) -> None:
    with pytest.raises(SpecError, match=match):
        plan_of(**request_)


def test_the_lattice_is_named_where_too_much_would_be_merged() -> None:
    with pytest.raises(SpecError) as caught:
        plan_of(by="arm", rows=8000)
    assert "kaplan-meier and logrank" in str(caught.value.hint)
    sites = split(cohort(9))
    with ms.local(sites, policy="open") as consortium, pytest.raises(RangeError, match="too many to be merged") as late:
        consortium.exact_time(**(REQUEST | {"rows": 4000}), by="arm")
    assert "lattice of times" in str(late.value.hint)


def test_the_unit_follows_the_dictionary() -> None:
    with pytest.raises(SpecError, match="no whole multiple of time_unit"):
        plan_of(the_dictionary(resolution=0.25), time_unit=0.1)
    plan = plan_of(the_dictionary(resolution=0.25))
    assert (plan.horizon, plan.unit, plan.rows) == (10**7, 1e-6, 16)
    assert plan_from_json(plan_to_json(plan), "peer") == plan
    assert plan.within_limits()


def test_times_are_whole_multiples_of_the_unit_however_many_there_are() -> None:
    """A quotient of doubles is off by more, the larger it is."""
    rng = np.random.default_rng(2)
    units = rng.integers(10**9, 6 * 10**10, 200)
    frame = pd.DataFrame({"time": units / 1e6, "status": 1, "arm": "a", "one": "x", "age": 1})
    dictionary = the_dictionary(range=[0, 6e4])
    spec = parse_spec({"type": "exact-time"} | REQUEST | {"rows": 200})
    own, _ = prepare_with_report(spec, make_plan(spec, dictionary, None), load(frame, "x"), dictionary, "x")
    assert own.time.tolist() == units.tolist()
    off = frame.assign(time=frame["time"].where(frame.index != 3, 1.00000055))
    with pytest.raises(DataError, match="1 rows have a time in column 'time' that is not a whole multiple of 1e-06"):
        prepare_with_report(spec, make_plan(spec, dictionary, None), load(off, "x"), dictionary, "x")


ROWS = (1, 16, 17, 24, 25)


@pytest.mark.parametrize("where", [None, "age > 60"])
@pytest.mark.parametrize("people", [16, 17, 25])
def test_a_large_table_is_refused_whatever_the_filter_selects(people: int, where: str | None) -> None:
    """Whether a party takes part must not tell how many people a filter selects; nor its size, to the row."""
    records = load(cohort(people, groups="ab", mean=1.0).assign(one="x"), "here")
    dictionary, answers = the_dictionary(), []
    for rows in ROWS:
        spec = parse_spec({"type": "exact-time"} | REQUEST | {"rows": rows, "where": where})
        try:
            prepare_with_report(spec, make_plan(spec, dictionary, None), records, dictionary, "here")
            answers.append("takes part")
        except DataError as error:
            answers.append(error.message.split(",")[0])
    refusal = f"the table has {people} rows"
    enough = [padded_rows(people) <= padded_rows(rows) for rows in ROWS]
    assert answers == ["takes part" if each else refusal for each in enough]


def test_rows_are_made_up_to_few_numbers() -> None:
    found = sorted({padded_rows(rows) for rows in range(1, 200)})
    assert found == [16, 24, 32, 48, 64, 96, 128, 192, 256]
    assert all(rows <= padded_rows(rows) <= max(16, 1.5 * rows) for rows in range(1, 5000))


# --- pictures, command line ------------------------------------------------------------------------------------------


def landmarks() -> ExactTimeResult:
    rows = [("A", 1.0, 0.8, 0.05, 0.7, 0.9), ("A", 2.0, 0.4, 0.07, 0.3, 0.55), ("B", 1.0, 0.6, 0.1, 0.4, 0.8)]
    table = pd.DataFrame(
        [*rows, ("B", 2.0, 0.0, np.nan, np.nan, np.nan)],
        columns=["group", "time", "survival", "standard_error", "lower", "upper"],
    )
    medians = pd.DataFrame({"group": ["A", "B"], "median": [1.7, 1.2]})
    values = {"by": "arm", "conf_type": "log", "conf_level": 0.9, "curve": "exact", "time_label": "years"}
    test = {"chi_square": 3.9, "degrees_of_freedom": 1, "p_value": 0.048, "weights": "logrank"}
    found = wrap(Outcome("exact-time", {"landmarks": table, "medians": medians}, values | test))
    assert isinstance(found, ExactTimeResult)
    return found


def test_the_plot_shows_landmarks_with_limits_and_no_steps() -> None:
    (ax,) = drawn(landmarks().plot()).axes
    assert ax.get_xlabel() == "years"
    points = [line for line in ax.lines if line.get_marker() in {"o", "s"}]
    assert [line.get_ydata().tolist() for line in points] == [[0.8, 0.4], [0.6, 0.0]]
    assert not [line for line in ax.lines if line.get_drawstyle() != "default"]
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["arm = A", "arm = B"]
    assert "log-rank p = 0.048" in ax.texts[0].get_text()
    assert "90% limits (log)" in ax.texts[0].get_text()


def test_results_say_what_was_not_asked_for() -> None:
    found = landmarks()
    with pytest.raises(SpecError, match="no table 'curve'"):
        _ = found.curve
    with pytest.raises(SpecError, match="no trend_chi_square"):
        _ = found.trend_chi_square
    alone = ExactTimeResult(Outcome("exact-time", {"medians": found.medians}, found.outcome.values))
    assert alone.figures() == {}
    with pytest.raises(SpecError, match="ask with times="):
        alone.plot()


def test_the_command_has_the_fields_as_options() -> None:
    shown = CliRunner().invoke(app, ["run", "exact-time", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == 0
    for option in ("--rows", "--times", "--time-unit", "--no-medians", "--no-logrank", "--weights", "--trend-score"):
        assert option in shown.output
    refused = CliRunner().invoke(app, ["run", "exact-time", "--party", "x", "--time", "t", "--event", "e"])
    assert refused.exit_code == 2
