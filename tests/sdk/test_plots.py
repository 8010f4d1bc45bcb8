"""Figures: they render without warnings or global state, say what they show, and show the right numbers."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mpcstats.sdk.plots import style
from mpcstats.sdk.plots.association import plot_association, plot_manhattan, plot_qq
from mpcstats.sdk.plots.counts import plot_counts
from mpcstats.sdk.plots.survival import plot_survival
from mpcstats.sdk.results import CountResult, KaplanMeierResult, wrap
from mpcstats.stats.kaplan_meier import tables_from_counts
from mpcstats.stats.outcome import Outcome

from . import outcomes


def drawn(figure: object) -> Figure:
    """Render (warnings are errors), and check that nothing is outside the page."""
    assert isinstance(figure, Figure)
    assert isinstance(figure.canvas, FigureCanvasAgg)
    figure.set_dpi(72)
    figure.canvas.draw()
    page = figure.bbox
    for ax in filter(Axes.get_visible, figure.axes):
        box = ax.get_tightbbox()
        assert box is not None
        assert box.x0 >= page.x0 - 1
        assert box.y0 >= page.y0 - 1
        assert box.x1 <= page.x1 + 1
        assert box.y1 <= page.y1 + 1
    return figure


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def curves(ax: Axes) -> list[np.ndarray]:
    return [line.get_xydata() for line in ax.lines if line.get_drawstyle() == "steps-post"]


def test_survival_plot_of_two_groups() -> None:
    result = wrap(outcomes.exact_curve(by="sex", conf_type="log", conf_level=0.95, time_label="Time (days)"))
    assert isinstance(result, KaplanMeierResult)
    (ax,) = drawn(result.plot(p_text="log-rank p = 0.0013", title="Survival by sex")).axes
    assert ax.get_xlabel() == "Time (days)"
    assert ax.get_ylabel() == "Survival probability"
    assert ax.get_title(loc="left") == "Survival by sex"
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["sex = 1", "sex = 2"]
    note = texts(ax)[0]
    assert note.splitlines() == ["log-rank p = 0.0013", "band: 95% limits (log)"]
    men, women = curves(ax)
    assert men[0].tolist() == women[0].tolist() == [0, 1]
    assert men[-1][0] == 1022
    np.testing.assert_array_equal(women[1:, 1], result.curve.loc[result.curve["group"] == "2", "survival"])


def test_numbers_at_risk_stand_under_their_ticks() -> None:
    result = wrap(outcomes.exact_curve(by="sex"))
    (ax,) = drawn(result.plot()).axes
    ticks = ax.get_xticks().tolist()
    assert ticks == [0, 200, 400, 600, 800, 1000]
    cells = {
        (text.xy[0], text.get_color()): text.get_text()
        for text in ax.texts
        if hasattr(text, "xy") and text.xycoords == ("data", "axes fraction")
    }
    # R: summary(survfit(Surv(time, status) ~ sex, lung), times = ticks)$n.risk
    assert [cells[tick, style.colour(0)] for tick in ticks] == ["138", "78", "31", "13", "6", "2"]
    assert [cells[tick, style.colour(1)] for tick in ticks] == ["90", "66", "26", "11", "2", "0"]
    rows = [text.get_text() for text in ax.texts if text.get_text().startswith(("Number", "sex"))]
    assert rows == ["Number at risk", "sex = 1", "sex = 2"]


def test_rows_of_the_number_at_risk_table_do_not_touch() -> None:
    result = wrap(outcomes.exact_curve(by="sex"))
    figure = drawn(result.plot())
    (ax,) = figure.axes
    boxes = [text.get_window_extent() for text in ax.texts] + [ax.xaxis.label.get_window_extent()]
    boxes += [label.get_window_extent() for label in ax.get_xticklabels()]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])


def test_rounded_curve_is_labelled_and_has_no_censor_ticks() -> None:
    exact, rounded = wrap(outcomes.exact_curve()), wrap(outcomes.rounded_curve())
    (ax,) = drawn(rounded.plot()).axes
    assert "rounded by disclosure control" in texts(ax)[0]
    assert not [line for line in ax.lines if line.get_marker() == "|"]
    # the number at risk is unknown beyond the end of each curve, not 0
    assert "0" not in texts(ax)
    (exact_ax,) = drawn(exact.plot()).axes
    assert "rounded" not in texts(exact_ax)[0]
    assert [line for line in exact_ax.lines if line.get_marker() == "|"]


def test_unknown_numbers_at_risk_are_dashes() -> None:
    curve = pd.concat(
        [
            tables_from_counts([[0, 2, 0, 0, 3]], [[0, 0, 0, 0, 9]], groups=["long"], unit=100)["curve"],
            pd.DataFrame(
                {
                    "group": ["cut"],
                    "time": [100.0],
                    "at_risk": [30],
                    "events": [5],
                    "censored": [0],
                    "survival": [25 / 30],
                    "lower": [0.7],
                    "upper": [0.97],
                }
            ),
        ]
    )
    (ax,) = drawn(plot_survival(curve, rounded=True)).axes
    assert "–" in texts(ax)


def test_survival_plot_into_given_axes() -> None:
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    assert wrap(outcomes.exact_curve(by="sex")).plot(ax=left) is left
    assert wrap(outcomes.rounded_curve()).plot(ax=right) is right
    drawn(figure)


@pytest.mark.parametrize("conf_type", ["log", "log-log", "arcsin"])
def test_one_group_and_curves_to_zero(conf_type: str) -> None:
    tables = tables_from_counts([[0, 1, 2, 0, 1]], [[0, 0, 0, 1, 0]], conf_type=conf_type)
    (ax,) = drawn(plot_survival(tables["curve"], medians=tables["medians"])).axes
    assert ax.get_legend() is None
    (curve,) = curves(ax)
    assert curve[-1].tolist() == [4, 0]


def test_hidden_and_empty_groups_do_not_break_the_plot() -> None:
    tables = tables_from_counts([[0, 1, 2], [0, 0, 0]], [[0, 0, 1], [0, 0, 0]], groups=["a", "empty"])
    (ax,) = drawn(plot_survival(tables["curve"], medians=tables["medians"])).axes
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["a", "empty"]


def test_many_groups_with_long_names_stay_on_the_page() -> None:
    groups = [f"a rather long name of group number {index}" for index in range(8)]
    counts = np.tile(np.arange(1, 9), (8, 1))
    tables = tables_from_counts(counts, counts, groups=groups)
    drawn(plot_survival(tables["curve"], by="arm", medians=tables["medians"]))


def test_many_curves_of_strata_have_a_panel_each() -> None:
    counts = np.random.default_rng(1).integers(0, 4, (3, 3, 30))
    groups, strata = ["surgery", "chemotherapy", "combined"], ["I", "II", "III"]
    tables = tables_from_counts(counts, counts, groups=groups, strata=strata)
    values = {"curve": "exact", "by": "treatment", "strata": ["stage"]}
    result = wrap(Outcome("kaplan-meier", tables, values))
    assert isinstance(result, KaplanMeierResult)
    figure = drawn(result.plot(p_text="stratified log-rank p = 0.2", title="Survival by stage and treatment"))
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in shown] == ["stage=I", "stage=II", "stage=III"]
    assert [len(curves(ax)) for ax in shown] == [3, 3, 3]
    assert len({ax.get_xlim() for ax in shown}) == 1
    assert sum("stratified log-rank p = 0.2" in "".join(texts(ax)) for ax in shown) == 1
    own = tables["curve"][(tables["curve"]["stratum"] == "III") & (tables["curve"]["group"] == "combined")]
    np.testing.assert_array_equal(curves(shown[2])[2][1:, 1], own["survival"])
    one = Figure().add_subplot()
    assert result.plot(one) is one
    assert len(curves(one)) == 9


def test_observed_and_expected() -> None:
    (ax,) = drawn(wrap(outcomes.logrank()).plot()).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["sex = 1", "sex = 2"]
    assert texts(ax) == ["112", "91.6", "53", "73.4"]


def test_counts_show_suppressed_cells() -> None:
    result = wrap(outcomes.count())
    assert isinstance(result, CountResult)
    (ax,) = drawn(result.plot()).axes
    assert texts(ax) == ["1,200", "95", "40", "suppressed (fewer than 11)"]
    assert ax.get_xlabel() == "People"
    hatched = [bar for bar in ax.patches if bar.get_hatch()]
    assert [bar.get_width() for bar in hatched] == [10]


@pytest.mark.parametrize("number", [0, 138, None])
def test_a_single_count(number: int | None) -> None:
    drawn(wrap(outcomes.single_count(number)).plot())
    drawn(plot_counts(wrap(outcomes.single_count(number)).table))


def scan(chromosomes: list[str], count: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "#CHROM": np.repeat(chromosomes, count),
            "POS": np.tile(np.arange(count) * 5000 + 1, len(chromosomes)),
            "LOG10_P": -np.log10(rng.random(count * len(chromosomes))),
        }
    )


def test_manhattan_of_one_chromosome() -> None:
    (ax,) = drawn(plot_manhattan(scan(["10"], 2000))).axes
    assert ax.get_xlabel() == "Position on chromosome 10 (Mb)"
    assert texts(ax) == ["5e-8", "1e-5"]
    assert ax.get_ylim()[1] > 7.3


def test_manhattan_of_a_genome_has_chromosomes_in_order() -> None:
    names = [str(number) for number in range(22, 0, -1)] + ["X"]
    table = scan(names, 100)
    table.loc[3, "LOG10_P"] = np.inf
    table.loc[4, "LOG10_P"] = np.nan
    (ax,) = drawn(plot_manhattan(table)).axes
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert [label for label in labels if label][:10] == [str(number) for number in range(1, 11)]
    assert labels[-1] == "X"
    points = sum(len(collection.get_offsets()) for collection in ax.collections)
    assert points == len(table) - 1
    boxes = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def test_qq_has_lambda_and_a_band_that_holds_uniform_p() -> None:
    table = scan(["1"], 1000)
    (ax,) = drawn(plot_qq(table, genomic_control_lambda=1.0234)).axes
    assert any("1.023" in text for text in texts(ax))
    points = ax.collections[1].get_offsets()
    assert len(points) == 1000
    expected, observed = np.asarray(points).T
    assert (np.diff(observed) <= 0).all()
    assert expected[0] == pytest.approx(-np.log10(0.5 / 1000))
    band = ax.collections[0].get_paths()[0]
    inside = band.contains_points(np.column_stack([expected, observed])[::10])
    assert inside.mean() > 0.8


def test_association_plots_together_and_without_any_result() -> None:
    drawn(plot_association(scan(["1", "2"]), genomic_control_lambda=1.1))
    drawn(plot_association(scan(["1"]).iloc[:0]))


def test_no_global_state() -> None:
    drawn(wrap(outcomes.exact_curve()).plot())
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_notebooks_show_figures() -> None:
    figure = wrap(outcomes.single_count(5)).plot()
    assert isinstance(figure, style.NotebookFigure)
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (1022, [0, 200, 400, 600, 800, 1000]),
        (52, [0, 10, 20, 30, 40, 50]),
        (1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, [0]),
    ],
)
def test_ticks_are_round_numbers(end: float, expected: list[float]) -> None:
    assert style.nice_ticks(end) == pytest.approx(expected)
