"""Tests of contingency tables over institutions, against R's answers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import DisclosureRefused, SpecError
from mpcstats.sdk.results.table_test import TableTestResult
from mpcstats.stats import table_tests
from mpcstats.stats.fisher_table import fisher_table
from tests.stats.r_truth import SHARED, everything, shipped, text

DATA = Path(__file__).parents[1] / "data"

Check = tuple[str, Any, float]


def people(entry: dict[str, Any]) -> pd.DataFrame:
    """One row per person of the entry's table; from its data where they are at hand."""
    path = SHARED / "data/clinical" / entry["file"]
    names = [entry["row"], entry["col"], *([entry["strata"]] if entry.get("strata") else [])]
    if entry["id"] == "lung_sex_status":
        return pd.read_csv(DATA / "lung.csv")[names].dropna()
    if path.exists():
        return pd.read_csv(path)[names].dropna()
    counts = np.array(entry["result"]["counts"])
    rows = [
        [level_of(entry["result"]["row_levels"][i]), level_of(entry["result"]["col_levels"][j])]
        for (i, j), n in np.ndenumerate(counts)
        for _ in range(n)
    ]
    return pd.DataFrame(rows, columns=names[:2])


def level_of(text: str) -> Any:
    return int(text) if text.lstrip("-").isdigit() else text


def split(frame: pd.DataFrame, sites: int, seed: int) -> dict[str, pd.DataFrame]:
    target = np.random.default_rng(seed).integers(0, sites, len(frame))
    return {f"site{k}": frame[target == k].reset_index(drop=True) for k in range(sites)}


def close(result: TableTestResult, checks: Sequence[Check]) -> None:
    for name, expected, tolerance in checks:
        if expected is None:
            continue
        found, wanted = result[name], float(expected)
        assert math.isclose(found, wanted, rel_tol=tolerance), (name, found, wanted)


def compare(entry: dict[str, Any], sites: int, seed: int) -> None:
    truth, row, col = entry["result"], entry["row"], entry["col"]
    frame = people(entry)
    with ms.local(split(frame, sites, seed)) as consortium:
        chi = consortium.chi_square(row, col)
        close(chi, chi_checks(truth))
        expected = chi.cells["expected"].to_numpy()
        np.testing.assert_allclose(np.sort(expected), np.sort(np.ravel(truth["chisq"]["expected"])), rtol=1e-9)
        if "fisher" in truth:
            close(consortium.fisher(row, col), fisher_checks(truth))
        if "mcnemar" in truth:
            close(consortium.mcnemar(row, col), mcnemar_checks(truth["mcnemar"]))
            close(consortium.risk(row, col), risk_checks(truth))
        if "cochran_armitage_trend_scores_1_to_k" in truth:
            # scores follow R's order of the levels, which is that of texts
            levels = list(dict.fromkeys(chi.cells[row]))
            scores = [truth["row_levels"].index(str(level)) + 1 for level in levels]
            trend = truth["cochran_armitage_trend_scores_1_to_k"]
            checks = [("chi_square", trend["statistic"], 1e-9), ("p_value", trend["p"], 1e-9)]
            close(consortium.trend_test(row, col, scores=scores), checks)
        if "mantel_haenszel" in truth and entry["strata"] in frame.columns:
            close(consortium.mantel_haenszel(row, col, entry["strata"]), haenszel_checks(truth["mantel_haenszel"]))


def compare_statistics(entry: dict[str, Any], sites: int, seed: int) -> None:
    """As `compare`, of tests whose counts stay on shares."""
    truth, row, col, frame = entry["result"], entry["row"], entry["col"], people(entry)

    def checked(result: TableTestResult, checks: Sequence[Check]) -> None:
        assert "cells" not in result.outcome.tables
        have = set(result.table["statistic"])
        close(result, [(name, value, 1e-6) for name, value, _ in checks if name in have])

    with ms.local(split(frame, sites, seed)) as consortium:
        checked(consortium.chi_square(row, col, mode="statistic"), chi_checks(truth))
        if "mcnemar" in truth:
            checked(consortium.mcnemar(row, col, mode="statistic"), mcnemar_checks(truth["mcnemar"]))
        if "cochran_armitage_trend_scores_1_to_k" in truth:
            trend = truth["cochran_armitage_trend_scores_1_to_k"]
            checks = [("chi_square", trend["statistic"], 1e-6), ("p_value", trend["p"], 1e-6)]
            levels = [text(level) for level in pd.unique(frame[row].sort_values())]
            scores = [truth["row_levels"].index(level) + 1 for level in levels]
            checked(consortium.trend_test(row, col, scores=scores, mode="statistic"), checks)
        if "mantel_haenszel" in truth and entry["strata"] in frame.columns:
            found = consortium.mantel_haenszel(row, col, entry["strata"], mode="statistic")
            checked(found, haenszel_checks(truth["mantel_haenszel"]))


def chi_checks(truth: dict[str, Any]) -> list[Check]:
    checks = [("chi_square", truth["chisq"]["statistic"], 1e-9), ("p_value", truth["chisq"]["p"], 1e-9)]
    checks += [("degrees_of_freedom", truth["chisq"]["df"], 0), ("cramers_v", truth["cramers_v"], 1e-9)]
    checks += [("g", truth["g_test"]["statistic"], 1e-9), ("g_p_value", truth["g_test"]["p"], 1e-9)]
    if "chisq_yates" in truth:
        yates = truth["chisq_yates"]
        checks += [("chi_square_yates", yates["statistic"], 1e-9), ("p_value_yates", yates["p"], 1e-9)]
    return checks


def fisher_checks(truth: dict[str, Any]) -> list[Check]:
    found = truth["fisher"]
    checks: list[Check] = [("p_value", found["p"], 1e-9)]
    if found["conf_int"]:
        checks += [("odds_ratio", found["conditional_mle_or"], 1e-3)]
        checks += [("odds_ratio_lower", found["conf_int"][0], 1e-3), ("odds_ratio_upper", found["conf_int"][1], 1e-3)]
        checks += [("p_value_less", truth["fisher_less"], 1e-9), ("p_value_greater", truth["fisher_greater"], 1e-9)]
    return checks


def mcnemar_checks(truth: dict[str, Any]) -> list[Check]:
    return [
        ("chi_square_corrected", truth["statistic"], 1e-9),
        ("p_value_corrected", truth["p"], 1e-9),
        ("chi_square", truth["statistic_uncorrected"], 1e-9),
        ("p_value", truth["p_uncorrected"], 1e-9),
    ]


def risk_checks(truth: dict[str, Any]) -> list[Check]:
    odds, ratio = truth["odds_ratio_wald"], truth["risk_ratio_row1_vs_row2_of_col1"]
    difference, test = truth["risk_difference"], truth["prop_test"]
    checks = [("odds_ratio", odds["or"]), ("log_odds_ratio_standard_error", odds["log_se"])]
    checks += [("odds_ratio_lower", odds["lower"]), ("odds_ratio_upper", odds["upper"])]
    checks += [("risk_ratio", ratio["rr"]), ("log_risk_ratio_standard_error", ratio["log_se"])]
    checks += [("risk_ratio_lower", ratio["lower"]), ("risk_ratio_upper", ratio["upper"])]
    checks += [("risk_difference", difference["rd"]), ("risk_difference_standard_error", difference["se"])]
    checks += [("risk_difference_lower", difference["lower"]), ("risk_difference_upper", difference["upper"])]
    checks += [("chi_square", test["statistic"]), ("p_value", test["p"])]
    checks += [("chi_square_corrected", test["statistic_cc"]), ("p_value_corrected", test["p_cc"])]
    checks += [("lower_corrected", test["conf_int_cc"][0]), ("upper_corrected", test["conf_int_cc"][1])]
    return [(name, value, 1e-9) for name, value in checks]


def haenszel_checks(truth: dict[str, Any]) -> list[Check]:
    checks = [("chi_square", truth["statistic"]), ("p_value", truth["p"])]
    checks += [("chi_square_corrected", truth["statistic_cc"]), ("p_value_corrected", truth["p_cc"])]
    checks += [("common_odds_ratio", truth["common_or"])]
    checks += [("lower", truth["conf_int"][0]), ("upper", truth["conf_int"][1]), ("strata", len(truth["strata"]))]
    return [(name, value, 1e-9) for name, value in checks]


@pytest.mark.parametrize(
    ("entry", "sites"), [pytest.param(*p.values, 2 + k % 3, id=p.id) for k, p in enumerate(shipped("contingency.json"))]
)
def test_tests_are_those_of_r(entry: dict[str, Any], sites: int) -> None:
    compare(entry, sites, sites)


@pytest.mark.parametrize(
    "entry", [p for p in shipped("contingency.json") if p.id in {"lung_sex_status", "pbc_stage_hepato"}]
)
def test_statistics_of_closed_tables_are_those_of_r(entry: dict[str, Any]) -> None:
    compare_statistics(entry, 3, 3)


@pytest.mark.long
@pytest.mark.parametrize("analysis", [compare, compare_statistics])
@pytest.mark.parametrize(
    "entry",
    [p for p in everything("tests.json") if p.values[0] is None or p.values[0]["analysis"] == "contingency table"],
)
def test_all_tests_are_those_of_r(entry: dict[str, Any], analysis: Callable[..., None]) -> None:
    rng = np.random.default_rng(len(entry["id"]))
    analysis(entry, int(rng.integers(2, 8)), int(rng.integers(1000)))


# --- without an oracle ----------------------------------------------------------------------------------------------


def fisher_by_listing(table: np.ndarray) -> float:
    """Every table with these margins."""
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    weights, seen = [], 0.0
    free = (table.shape[0] - 1) * (table.shape[1] - 1)
    for cells in itertools.product(range(int(max(rows.max(), columns.max())) + 1), repeat=free):
        inner = np.reshape(cells, (table.shape[0] - 1, table.shape[1] - 1))
        full = np.zeros_like(table)
        full[:-1, :-1] = inner
        full[:-1, -1] = rows[:-1] - inner.sum(axis=1)
        full[-1] = columns - full[:-1].sum(axis=0)
        if (full >= 0).all():
            weights.append(1 / math.prod(math.factorial(int(n)) for n in full.reshape(-1)))
            if (full == table).all():
                seen = weights[-1]
    found = np.array(weights)
    return float(found[found <= seen * (1 + 1e-7)].sum() / found.sum())


@pytest.mark.parametrize(
    "table", [[[1, 4, 2], [5, 0, 3]], [[2, 3], [0, 4], [5, 1]], [[1, 2, 3], [3, 2, 1], [0, 4, 1]], [[3, 1], [1, 3]]]
)
def test_fisher_adds_up_all_tables(table: list[list[int]]) -> None:
    counts = np.array(table)
    assert math.isclose(fisher_table(counts), fisher_by_listing(counts), rel_tol=1e-12)


def test_fisher_refuses_what_takes_too_long() -> None:
    with pytest.raises(SpecError, match="too many tables"):
        fisher_table(np.full((5, 5), 200))


def test_homogeneity_of_equal_strata() -> None:
    strata = np.array([[[10, 20], [30, 40]], [[20, 40], [60, 80]]])
    found = table_tests.mantel_haenszel(strata, 0.95)
    assert math.isclose(found["common_odds_ratio"], 2 / 3, rel_tol=1e-12)
    assert abs(found["breslow_day"]) < 1e-12
    assert abs(found["woolf"]) < 1e-12
    same = table_tests.mantel_haenszel(np.array([[[10, 10], [20, 20]], [[5, 5], [7, 7]]]), 0.95)
    assert same["chi_square"] == 0
    assert same["breslow_day_p_value"] == pytest.approx(1)


@pytest.mark.parametrize("odds", [0.2, 1.0, 7.0])
def test_expected_cells_have_the_common_odds_ratio(odds: float) -> None:
    first, second, column = np.array([30.0, 7.0]), np.array([50.0, 90.0]), np.array([40.0, 11.0])
    cell = table_tests._expected(first, second, column, odds)
    ratio = cell * (second - column + cell) / ((first - cell) * (column - cell))
    np.testing.assert_allclose(ratio, odds, rtol=1e-9)


def test_edges_are_those_of_r() -> None:
    assert math.isnan(table_tests.mcnemar(np.array([[3, 0], [0, 4]]))["chi_square"])
    fisher = table_tests.fisher_two_by_two(np.array([[5, 0], [0, 5]]), 0.95)
    assert fisher["odds_ratio"] == math.inf
    assert fisher["odds_ratio_upper"] == math.inf
    weights = [math.comb(5, x) ** 2 * fisher["odds_ratio_lower"] ** x for x in range(6)]
    assert weights[5] / sum(weights) == pytest.approx(0.025)  # what the lower limit is
    assert table_tests.risk(np.array([[5, 0], [2, 5]]), 0.95)["odds_ratio"] == math.inf


def two_columns(people_of_cells: Sequence[int]) -> pd.DataFrame:
    cells = [(0, 0), (0, 1), (1, 0), (1, 1)]
    return pd.DataFrame(
        [cell for cell, n in zip(cells, people_of_cells, strict=True) for _ in range(n)], columns=list("xy")
    )


def test_a_test_is_not_computed_from_rounded_or_hidden_cells(tmp_path: Path) -> None:
    sites = split(two_columns([60, 50, 40, 70]), 3, 1)
    with ms.local(sites, policy="standard") as consortium:
        with pytest.raises(DisclosureRefused, match="rounding_base = 5"):
            consortium.chi_square("x", "y", mode="table")
        with pytest.raises(DisclosureRefused, match="rounding_base = 5"):
            consortium.fisher("x", "y")
        closed = consortium.chi_square("x", "y")
        assert [entry["name"] for entry in closed.run["opened"]] == ["test can be released", "statistic"]
        assert closed["chi_square"] == pytest.approx(22 / 3, rel=1e-6)
        assert closed.outcome.values["mode"] == "statistic"
        looks: list[Callable[[], object]] = [lambda: closed.cells, closed.plot]
        for look in looks:
            with pytest.raises(SpecError, match="stayed on shares"):
                look()
        assert "21 significant bits" in closed.summary()
        assert not any(path.suffix == ".png" for path in closed.save(tmp_path / "closed"))
    exact = ms.Policy.model_validate({"extends": "standard", "disclosure": {"rounding_base": 1}})
    with ms.local(sites, policy=exact) as consortium:
        result = consortium.chi_square("x", "y")
        assert result.cells["count"].tolist() == [60, 50, 40, 70]
        assert [entry["name"] for entry in result.run["opened"]] == ["counts"]
    sites = split(two_columns([60, 50, 40, 5]), 3, 1)
    with ms.local(sites, policy=exact) as consortium, pytest.raises(DisclosureRefused, match="1 of 4 cells"):
        consortium.chi_square("x", "y")


def test_requests_that_do_not_fit() -> None:
    frame = two_columns([9, 8, 7, 6]).assign(z=[0, 1, 2] * 10, age=np.arange(30) + 0.5)
    with ms.local(split(frame, 3, 1)) as consortium:
        requests: list[tuple[Callable[[], object], str]] = [
            (lambda: consortium.mcnemar("x", "z"), "square"),
            (lambda: consortium.trend_test("x", "z"), "two columns"),
            (lambda: consortium.trend_test("z", "x", scores=[1, 2]), "3 scores"),
            (lambda: consortium.trend_test("z", "x", scores=[1, 1, 1]), "not all equal"),
            (lambda: consortium.risk("z", "x"), "2 x 2"),
            (lambda: consortium.table_test("fisher", "x", "y", mode="statistic"), "no mode stat"),
            (lambda: consortium.mantel_haenszel("z", "x", "y"), "2 x 2"),
            (lambda: consortium.chi_square("x", "age"), "levels"),
            (lambda: consortium.chi_square("x", "x"), "named twice"),
            (lambda: consortium.chi_square("x", "y", where="z == 9 and x == 0"), "table has 0 and 0|not one of|z"),
            (lambda: consortium.chi_square("x", "y", where="x == 0"), "two rows and two columns"),
        ]
        for ask, text in requests:
            with pytest.raises(SpecError, match=text):
                ask()


def test_how_a_result_looks(tmp_path: Path) -> None:
    with ms.local(split(two_columns([9, 8, 7, 6]), 3, 1)) as consortium:
        result = consortium.fisher("x", "y", conf_level=0.9)
    assert "Fisher's exact test: x by y." in result.summary()
    assert "0.9" in result.conventions["confidence level"]
    assert 0 < result.p_value <= 1
    with pytest.raises(SpecError, match="no 'g'"):
        result["g"]
    names = {path.name for path in result.save(tmp_path / "t")}
    assert {"t.statistics.csv", "t.cells.csv", "t.png"} <= names
