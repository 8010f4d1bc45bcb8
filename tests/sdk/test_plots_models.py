"""Figures of competing risks and of regressions: labelled, on the page, and with the right numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from mpcstats.sdk.plots import style
from mpcstats.sdk.plots.forest import forest_figure
from mpcstats.sdk.plots.incidence import cumulative_incidence_figure
from mpcstats.stats.competing_risks.incidence import incidence_tables, rounded_incidence_tables

from .test_plots import curves, drawn, texts

CAUSES = ["relapse", "death"]


def tables(groups: list[str], seed: int = 1) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    events = rng.integers(0, 3, (2, len(groups), 40))
    return incidence_tables(events, rng.integers(0, 3, (len(groups), 40)), causes=CAUSES, groups=groups)


def legend(ax: Axes) -> list[str]:
    box = ax.get_legend()
    assert box is not None
    return [text.get_text() for text in box.get_texts()]


def rows_below(ax: Axes) -> dict[tuple[float, float], str]:
    """Numbers under the axis by tick and place."""
    return {
        (text.xy[0], text.xyann[1]): text.get_text()
        for text in ax.texts
        if hasattr(text, "xyann") and text.xycoords == ("data", "axes fraction")
    }


def test_causes_of_one_group_share_a_panel() -> None:
    found = tables(["all"])
    figure = drawn(
        cumulative_incidence_figure(
            found["incidence"],
            found["event_free"],
            time_label="Time (days)",
            band_text="95% limits (log)",
            title="Leukaemia",
        )
    )
    (ax,) = figure.axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Time (days)", "Cumulative incidence")
    assert ax.get_title(loc="left") == "Leukaemia"
    assert legend(ax) == CAUSES
    relapse, death = curves(ax)
    assert relapse[0].tolist() == death[0].tolist() == [0, 0]
    table = found["incidence"]
    np.testing.assert_array_equal(death[1:, 1], table.loc[table["cause"] == "death", "incidence"])
    assert "95% limits (log)" in texts(ax)
    numbers = list(rows_below(ax).values())
    assert numbers[0] == f"{found['event_free']['at_risk'].iloc[0]:,}"


def test_several_groups_have_a_panel_for_each_cause() -> None:
    found = tables(["0", "1", "2"])
    figure = drawn(
        cumulative_incidence_figure(
            found["incidence"],
            found["event_free"],
            by="arm",
            tests={"relapse": "Gray's test p = 0.27", "death": "Gray's test p = 0.01"},
            title="Trial",
        )
    )
    left, right = figure.axes
    assert figure.get_suptitle() == "Trial"
    assert left.get_title(loc="left") == "relapse"
    assert right.get_title(loc="left") == "death"
    assert legend(left) == legend(right) == ["arm = 0", "arm = 1", "arm = 2"]
    assert "Gray's test p = 0.27" in texts(left)
    assert "Gray's test p = 0.01" in texts(right)
    assert left.get_ylim() == right.get_ylim()
    assert len(curves(left)) == len(curves(right)) == 3
    assert rows_below(left) == rows_below(right)
    assert len({str(line._dash_pattern) for line in left.lines}) == 3


def test_many_causes_are_two_in_a_row_and_fit_a_printed_page() -> None:
    events = np.random.default_rng(2).integers(0, 3, (4, 2, 20))
    causes = ["relapse", "transplant-related death", "other cancer", "accident"]
    found = incidence_tables(events, events.sum(axis=0), None, causes=causes, groups=["standard care", "intensified"])
    figure = drawn(cumulative_incidence_figure(found["incidence"], found["event_free"], by="arm", title="Trial"))
    assert figure.get_size_inches()[0] < 10
    assert [ax.get_title(loc="left") for ax in figure.axes] == causes
    tops = [round(ax.get_position().y0, 2) for ax in figure.axes]
    assert tops[0] == tops[1] > tops[2] == tops[3]
    assert [ax.get_ylabel() for ax in figure.axes] == ["Cumulative incidence", ""] * 2
    assert all(len(rows_below(ax)) > 4 for ax in figure.axes)


def test_order_and_choice_of_causes() -> None:
    found = tables(["a", "b"])
    figure = drawn(cumulative_incidence_figure(found["incidence"], causes=["death"]))
    (ax,) = figure.axes
    table = found["incidence"]
    part = table[(table["cause"] == "death") & (table["group"] == "b")]
    np.testing.assert_array_equal(curves(ax)[1][1:, 1], part["incidence"])
    assert rows_below(ax) == {}


def test_rounded_curves_say_so_and_have_dashes_where_numbers_are_unknown() -> None:
    times = np.arange(30, 301, 30)
    total = np.minimum(np.arange(10) * 5, 40)[None, None] + np.zeros((2, 2, 1), int)
    found = rounded_incidence_tables(times, [150, 150], total, total[0], [10, 4], causes=CAUSES, groups=["long", "cut"])
    figure = drawn(cumulative_incidence_figure(found["incidence"], found["event_free"], rounded=True))
    left = figure.axes[0]
    assert any("rounded by disclosure control" in text for text in texts(left))
    assert "–" in rows_below(left).values()


def test_vertical_axis_ends_above_the_largest_limit() -> None:
    rare = incidence_tables([[[0, 2, 0]], [[0, 0, 1]]], [[0, 50, 200]], causes=CAUSES)
    (ax,) = drawn(cumulative_incidence_figure(rare["incidence"])).axes
    assert ax.get_ylim()[1] == pytest.approx(0.103)
    everybody = incidence_tables([[[0, 3]], [[0, 0]]], [[0, 0]], causes=CAUSES)
    (ax,) = drawn(cumulative_incidence_figure(everybody["incidence"])).axes
    assert ax.get_ylim()[1] == pytest.approx(1.03)


def test_no_curve_at_all() -> None:
    empty = incidence_tables([[[0, 0]], [[0, 0]]], [[0, 0]], causes=CAUSES)
    drawn(cumulative_incidence_figure(empty["incidence"], empty["event_free"]))


MODEL = pd.DataFrame(
    {
        "variable": ["age", "sex", "sex", "stage", "dose"],
        "term": ["age", "male", "female", "stage", "dose"],
        "people": pd.array([228, 138, 90, pd.NA, 228], dtype="Int64"),
        "events": pd.array([165, 112, 53, pd.NA, 165], dtype="Int64"),
        "exp_coef": [1.16, 1.0, 0.5754, np.nan, 30.0],
        "exp_coef_lower": [0.97, np.nan, 0.41, np.nan, 2.0],
        "exp_coef_upper": [1.39, np.nan, 0.8, np.nan, 40_000.0],
        "p_value": [0.1, np.nan, 0.00086, np.nan, 0.0234],
    }
)


def columns(ax: Axes) -> dict[float, list[str]]:
    """Texts by row, from left to right."""
    rows: dict[float, list[tuple[float, str]]] = {}
    for text in ax.texts:
        rows.setdefault(text.xy[1], []).append((text.get_window_extent().x0, text.get_text().strip()))
    return {row: [text for _, text in sorted(found)] for row, found in rows.items()}


def test_forest_rows() -> None:
    figure = drawn(forest_figure(MODEL, footer="165 events; concordance 0.64", title="Cox regression"))
    (ax,) = figure.axes
    assert columns(ax) == {
        -1: ["People", "Events", "HR (95% CI)", "p"],
        0: ["age", "228", "165", "1.16 (0.97–1.39)", "0.10"],
        1: ["sex"],
        2: ["male", "138", "112", "1 (reference)"],
        3: ["female", "90", "53", "0.58 (0.41–0.80)", "<0.001"],
        4: ["stage", "–", "–", "not estimable"],
        5: ["dose", "228", "165", "30.00 (2.00–4.0e+04)", "0.023"],
    }
    assert ax.get_xscale() == "log"
    assert "Hazard ratio" in ax.get_xlabel()
    assert [text.get_text() for text in figure.texts] == ["165 events; concordance 0.64", "Cox regression"]


def test_forest_squares_and_whiskers() -> None:
    (ax,) = drawn(forest_figure(MODEL)).axes
    squares = [line for line in ax.lines if line.get_marker() == "s"]
    filled = [line.get_xydata()[0].tolist() for line in squares if to_rgb(line.get_color()) == to_rgb(style.COLOURS[0])]
    assert filled == [[1.16, 0], [0.5754, 3], [30, 5]]
    lines = [line for line in ax.lines if line.get_marker() == "None"]
    spans = [[float(x) for x in line.get_xdata()] for line in lines]
    assert [0.97, 1.39] in spans
    assert [0.41, 0.8] in spans
    assert spans.count([1, 1]) == 1
    # the wide interval leaves the axis with an arrow
    assert [line.get_xdata()[0] for line in ax.lines if line.get_marker() == ">"] == [ax.get_xlim()[1]]
    assert ax.get_xlim()[1] < 40_000


def test_forest_estimates_without_an_interval() -> None:
    alone = MODEL.assign(exp_coef=[8.0, 0.2, 1.0, np.nan, 1.5], exp_coef_lower=np.nan, exp_coef_upper=np.nan)
    (ax,) = drawn(forest_figure(alone.assign(p_value=np.nan))).axes
    rows = columns(ax)
    assert rows[0][-1] == "8.00 (no interval)"
    assert rows[2][-1] == "0.20 (no interval)"
    assert rows[3][-1] == "1 (reference)"
    assert rows[4][-1] == "not estimable"
    low, high = ax.get_xlim()
    assert low < 0.2 < 8 < high
    squares = [line for line in ax.lines if line.get_marker() == "s" and line.get_color() == style.COLOURS[0]]
    assert [float(line.get_xdata()[0]) for line in squares] == [8.0, 0.2, 1.5]


def test_forest_texts_do_not_touch() -> None:
    figure = drawn(forest_figure(MODEL, title="A title", footer="one line\nand another"))
    (ax,) = figure.axes
    boxes = [text.get_window_extent() for text in [*ax.texts, *figure.texts]] + [ax.xaxis.label.get_window_extent()]
    boxes += [label.get_window_extent() for label in ax.get_xticklabels()]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
    assert not any(box.overlaps(ax.get_window_extent()) for box in boxes[: len(ax.texts)])


def test_forest_footer_stays_on_the_page() -> None:
    footer = "1,600 people, 255 events; " * 8 + "\nlast line"
    figure = drawn(forest_figure(MODEL.iloc[:1], footer=footer.strip()))
    (text,) = figure.texts
    box = text.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
    assert box.y0 >= 0
    assert not box.overlaps(figure.axes[0].xaxis.label.get_window_extent())
    assert " ".join(text.get_text().split()) == " ".join(footer.split())
    assert text.get_text().splitlines()[-1] == "last line"


def test_forest_of_a_bare_coefficient_table() -> None:
    """The columns of a Cox summary are enough; a long list of long names stays on the page."""
    count = 30
    bare = pd.DataFrame(
        {
            "term": [f"a covariate with a rather long name, number {k}" for k in range(count)],
            "exp_coef": np.geomspace(0.02, 60, count),
            "exp_coef_lower": np.geomspace(0.01, 30, count),
            "exp_coef_upper": np.geomspace(0.04, 120, count),
            "p_value": np.geomspace(1e-12, 0.9, count),
        }
    )
    figure = drawn(forest_figure(bare, effect="SHR", effect_label="Subdistribution hazard ratio", conf_level=0.9))
    (ax,) = figure.axes
    assert columns(ax)[-1] == ["SHR (90% CI)", "p"]
    assert figure.get_size_inches()[1] > 8


def test_forest_without_any_estimate() -> None:
    drawn(forest_figure(MODEL.iloc[3:4]))
    drawn(forest_figure(MODEL.iloc[:0]))
