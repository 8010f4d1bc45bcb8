"""Result objects: what users read, save and compute on."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import SpecError
from mpcstats.sdk.results import CountResult, GwasResult, KaplanMeierResult, LogrankResult, wrap
from mpcstats.stats.kaplan_meier import rounded_tables
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.secure_logrank.release import group_table

from . import outcomes

ALL = {
    "count": outcomes.count,
    "exact": outcomes.exact_curve,
    "rounded": outcomes.rounded_curve,
    "logrank": outcomes.logrank,
    "gwas": outcomes.gwas,
}


@pytest.fixture(params=sorted(ALL))
def outcome(request: pytest.FixtureRequest) -> Outcome:
    made = ALL[request.param]()
    assert isinstance(made, Outcome)
    return made


def test_wrap_chooses_the_class() -> None:
    kinds = {name: type(wrap(make())) for name, make in ALL.items()}
    assert kinds == {
        "count": CountResult,
        "exact": KaplanMeierResult,
        "rounded": KaplanMeierResult,
        "logrank": LogrankResult,
        "gwas": GwasResult,
    }
    with pytest.raises(SpecError, match="'no such'"):
        wrap(Outcome("no such", {"x": pd.DataFrame()}))


def test_every_summary_ends_with_conventions_withheld_and_run(outcome: Outcome) -> None:
    text = wrap(outcome).summary()
    for line in (
        "Withheld",
        "Run",
        "northfield, lakeside, westbay (threshold 1)",
        "4 in 0.42 s",
        "events and censorings (4,092 values)",
        "rules of lakeside",
        "minimum_count = 11",
        "12 (statistical security 60.4 bits)",
        "lakeside 123,400",
    ):
        assert line in text
    for sentence in outcome.withheld or ["nothing"]:
        assert sentence in text
    assert max(map(len, text.splitlines())) <= 120
    assert str(wrap(outcome)) == text


def test_to_frame_is_a_copy_of_the_main_table(outcome: Outcome) -> None:
    result = wrap(outcome)
    frame = result.to_frame()
    pd.testing.assert_frame_equal(frame, result.table)
    frame.iloc[:, 0] = "changed"
    assert not (result.table.iloc[:, 0] == "changed").any()


def test_save_writes_every_digit(outcome: Outcome, tmp_path: Path) -> None:
    written = wrap(outcome).save(tmp_path / "new folder" / "run.1")
    assert all(path.exists() and path.stat().st_size > 0 for path in written)
    names = {path.name for path in written}
    assert {f"run.1.{name}.csv" for name in outcome.tables} | {"run.1.json", "run.1.txt"} <= names
    assert any(name.endswith(".png") for name in names)
    for name, table in outcome.tables.items():
        back = pd.read_csv(
            tmp_path / "new folder" / f"run.1.{name}.csv",
            float_precision="round_trip",
            dtype={"group": str, "#CHROM": str, "ID": str},
        )
        for column in table.select_dtypes("float"):
            np.testing.assert_array_equal(back[column].to_numpy(), table[column].to_numpy())
    again = Outcome.from_json((tmp_path / "new folder" / "run.1.json").read_text())
    pd.testing.assert_frame_equal(next(iter(again.tables.values())), next(iter(outcome.tables.values())))
    assert wrap(again).summary() == wrap(outcome).summary()


def test_notebook_view_escapes(outcome: Outcome) -> None:
    html = wrap(outcome)._repr_html_()
    assert "<table" in html
    assert "<b>" not in html
    if outcome.analysis == "count":
        assert "II &lt;b&gt;" in html
        assert "sex &lt; 3" in html


def test_count_of_one_cell() -> None:
    assert wrap(outcomes.single_count(138)).value == 138  # type: ignore[attr-defined]
    hidden = wrap(outcomes.single_count(None))
    assert isinstance(hidden, CountResult)
    assert hidden.value is None
    assert hidden.suppressed == 1
    assert "suppressed" in hidden.summary()


def test_count_with_a_breakdown() -> None:
    result = wrap(outcomes.count())
    assert isinstance(result, CountResult)
    assert result.by == ["stage", "sex"]
    assert result.suppressed == 1
    assert str(result.table["count"].dtype) == "Int64"
    assert result.table["count"].isna().tolist() == [False, False, False, True]
    lines = [line.split() for line in result.summary().splitlines()]
    assert ["I", "F", "1,200"] in lines
    assert ["II", "<b>", "M", "suppressed"] in lines
    with pytest.raises(SpecError, match="4 cells"):
        _ = result.value


def test_survival_medians_in_r_layout() -> None:
    result = wrap(outcomes.exact_curve(by="sex", conf_type="log", conf_level=0.95))
    assert isinstance(result, KaplanMeierResult)
    lines = [line.split() for line in result.summary().splitlines()]
    assert ["group", "records", "events", "median", "0.95LCL", "0.95UCL"] in lines
    # R prints for this data set: sex=1 138 112 270 212 310; sex=2 90 53 426 348 550
    assert ["sex=1", "138", "112", "270", "212", "310"] in lines
    assert ["sex=2", "90", "53", "426", "348", "550"] in lines
    assert result.medians["median"].tolist() == [270, 426]
    assert result.curve is result.table
    assert not result.rounded


def test_survival_quantiles_and_numbers_at_risk() -> None:
    result = wrap(outcomes.exact_curve())
    assert isinstance(result, KaplanMeierResult)
    quantiles = result.quantiles([0.5], rule="lifelines")
    assert quantiles["group"].tolist() == ["1", "2"]
    assert quantiles["quantile"].tolist() == [270, 426]
    at_risk = result.at_risk([0, 180, 365, 730])
    # R: summary(survfit, times = c(0, 180, 365, 730))$n.risk
    assert at_risk["1"].tolist() == [138, 89, 35, 7]
    assert at_risk["2"].tolist() == [90, 71, 30, 6]


def test_rounded_survival_says_so() -> None:
    result = wrap(outcomes.rounded_curve())
    assert isinstance(result, KaplanMeierResult)
    assert result.rounded
    assert "rounded by disclosure control" in result.summary()
    assert any("rounded" in caption for caption, _ in result.html_tables())


def test_logrank_in_r_layout() -> None:
    result = wrap(outcomes.logrank())
    assert isinstance(result, LogrankResult)
    assert result.chi_square == pytest.approx(10.326741954885632, rel=1e-12)
    assert result.degrees_of_freedom == 1
    assert result.p_value == pytest.approx(0.0013111645203554882, rel=1e-11)
    assert result.p_text == "log-rank p = 0.00131"
    text = result.summary()
    assert "Chisq= 10.33  on 1 degrees of freedom, p = 0.00131" in text
    assert ["sex=1", "138", "112", "91.582", "4.5523", "10.327"] in [line.split() for line in text.splitlines()]


@pytest.mark.parametrize("opened", [False, True])
def test_logrank_on_shares_prints_what_was_opened(opened: bool) -> None:
    numbers = np.array([[4.0, 6.0], [5.5, 4.5]]) if opened else None
    values = {"chi_square": 3.2, "degrees_of_freedom": 1, "p_value": 0.07, "by": "arm", "mode": "statistic"}
    trend = pd.DataFrame({"chi_square": [2.5], "degrees_of_freedom": [1], "p_value": [0.114]})
    outcome = Outcome("logrank", {"groups": group_table(["a", "b"], numbers), "trend": trend}, values)
    text = wrap(Outcome.from_json(outcome.to_json())).summary()
    table = text.split("\n\n")[1].splitlines()
    assert table[0].split() == (["group", "observed", "expected", "(O-E)^2/E"] if opened else ["group"])
    assert [line.split()[0] for line in table[1:]] == ["arm=a", "arm=b"]
    assert "Trend: Chisq= 2.5  on 1 degrees of freedom, p = 0.114" in text
    assert "nan" not in text.lower()


def test_a_rounded_curve_that_happens_to_end_at_nobody_is_still_cut() -> None:
    tables = rounded_tables([30, 60], [17], [[15, 15]], [[5, 5]], [1], groups=["a"])
    tables["curve"]["at_risk"] = 20
    result = wrap(Outcome("kaplan-meier", tables, {"curve": "rounded"}))
    assert isinstance(result, KaplanMeierResult)
    assert result.at_risk([30, 45])["a"].isna().tolist() == [False, True]


def test_logrank_without_a_test() -> None:
    table = pd.DataFrame({"group": ["a", "b"], "records": [2, 3], "observed": [2, 3], "expected": [2.0, 3.0]})
    outcome = Outcome(
        "logrank", {"groups": table}, {"chi_square": math.nan, "degrees_of_freedom": 1, "p_value": math.nan}
    )
    result = wrap(Outcome.from_json(outcome.to_json()))
    assert isinstance(result, LogrankResult)
    assert math.isnan(result.p_value)
    assert "p = NA" in result.summary()


def test_gwas_columns_and_totals() -> None:
    result = wrap(outcomes.gwas())
    assert isinstance(result, GwasResult)
    table = result.table
    assert result.effect_size["568"] == table.loc[table["ID"] == "568", "BETA"].item()
    for series, column in ((result.standard_error, "SE"), (result.statistic, "T_STAT"), (result.p_value, "P")):
        np.testing.assert_array_equal(series.to_numpy(), table[column].to_numpy())
    assert result.top(3)["ID"].tolist() == ["568", "455", "789"]
    assert result.genomic_control_lambda == pytest.approx(0.984, abs=2e-3)
    lines = [line.split() for line in result.summary().splitlines()]
    for expected in (
        ["people", "500"],
        ["variants", "1,000"],
        ["with", "a", "result", "999"],
        ["MAC_BELOW_MINIMUM", "1"],
        ["p", "<", "5e-8", "0"],
    ):
        assert expected in lines


def test_gwas_lambda_is_computed_where_it_was_not_released() -> None:
    outcome = outcomes.gwas()
    result = wrap(Outcome("gwas", outcome.tables, {"people": 500, "lambda_gc": None}))
    released = wrap(outcome)
    assert isinstance(result, GwasResult)
    assert isinstance(released, GwasResult)
    assert result.genomic_control_lambda == released.genomic_control_lambda


def test_gwas_saves_plink_and_both_plots(tmp_path: Path) -> None:
    more = ("q.gwas-ssf.tsv.gz", "q.log")
    names = [path.name for path in wrap(outcomes.gwas()).save(tmp_path / "q")]
    assert names == ["q.variants.csv", "q.json", "q.txt", "q.glm.linear", *more, "q.manhattan.png", "q.qq.png"]
    rows = (tmp_path / "q.glm.linear").read_text().splitlines()
    assert len(rows) == 1001
    assert rows[8].endswith("NA\tNA\tNA\tNA\tMAC_BELOW_MINIMUM")


def test_importing_results_does_not_import_matplotlib() -> None:
    code = "import sys, mpcstats.sdk.results, mpcstats.sdk.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
