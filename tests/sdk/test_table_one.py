"""Table 1 from Python."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import SpecError
from mpcstats.sdk.table_one import category_rows, category_smd, numeric_smd


def sites(people: int = 180) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(11)
    frame = pd.DataFrame(
        {
            "arm": rng.choice(["drug", "placebo"], people),
            "age": rng.integers(40, 80, people),
            "crp": rng.gamma(1.5, 4, people).round(1),
            "sex": rng.choice(["F", "M"], people),
            "smoker": rng.random(people) < 0.4,
            "stage": rng.choice([1, 2, 3], people, p=[0.6, 0.36, 0.04]),
        }
    )
    frame.loc[:4, "crp"] = math.nan
    return {name: frame[k::3] for k, name in enumerate(("a", "b|c", "<d>"))}


COLUMNS = ["age", "crp", "sex", "smoker", "stage"]


def test_the_table_of_the_pooled_people(tmp_path: Path) -> None:
    from scipy import stats

    parts = sites()
    pooled = pd.concat(parts.values())
    with ms.local(parts) as consortium:
        found = consortium.table_one(
            COLUMNS, by="arm", categorical=["stage"], nonnormal=["crp"], p_values=True, smd=True
        )
        alone = consortium.table_one("age")
    table = found.to_frame().set_index("characteristic")
    groups = dict(tuple(pooled.groupby("arm")))
    for arm, part in groups.items():
        column = table[f"arm: {arm}"]
        assert column["n"] == f"{len(part)}"
        assert column["age, mean (SD)"] == f"{part['age'].mean():.0f} ({part['age'].std():.0f})"
        low, middle, high = part["crp"].quantile([0.25, 0.5, 0.75])
        assert column["crp, median [IQR]"] == f"{middle:.1f} [{low:.1f}, {high:.1f}]"
        women = (part["sex"] == "F").sum()
        assert column["  F"] == f"{women} ({100 * women / len(part):.1f}%)"
    test = stats.ttest_ind(groups["drug"]["age"], groups["placebo"]["age"], equal_var=False)
    assert table.loc["age, mean (SD)", "p"] == f"{test.pvalue:.3f}"
    chi = stats.chi2_contingency(pd.crosstab(pooled["arm"], pooled["stage"]), correction=False)
    assert table.loc["stage, n (%)", "p"] == f"{chi.pvalue:.3f}"
    assert table.loc["crp, median [IQR]", "p"] == ""
    means, spread = (pooled.groupby("arm")["age"].agg(f) for f in ("mean", "var"))
    assert table.loc["age, mean (SD)", "SMD"] == f"{abs(means.diff().iloc[1]) / math.sqrt(spread.mean()):.3f}"
    assert alone.to_frame().columns.tolist() == ["characteristic", "all"]
    assert {path.name for path in found.save(tmp_path / "t.one")} == {"t.one.csv", "t.one.md", "t.one.html"}
    assert found.to_markdown().splitlines()[1].count("|") == found.table.shape[1] + 1
    assert "<td style='padding-left:1.5em'>F</td>" in found._repr_html_()
    assert "Welch" in str(found)


def test_what_standard_hides_stays_hidden_in_the_table() -> None:
    with ms.local(sites(), policy="standard") as consortium:
        found = consortium.table_one(
            COLUMNS, by="arm", categorical=["stage"], nonnormal=["crp"], p_values=True, smd=True
        )
    table = found.to_frame().set_index("characteristic")
    for arm in ("drug", "placebo"):
        column = table[f"arm: {arm}"]
        assert int(column["n"]) % 5 == 0
        # level 3 is hidden: beside the size of the group, it would follow from the others
        assert (column[["  1", "  2", "  3"]] == "suppressed").all()
        assert "%" not in "".join(column[["  1", "  2", "  3"]])
        assert "%" in column["  F"]
    assert table.loc["stage, n (%)", "SMD"] == ""
    assert float(table.loc["sex, n (%)", "p"]) > 0  # rounded counts make no test, but shares do
    assert any("no test of stage" in text for text in found.withheld)
    assert float(table.loc["age, mean (SD)", "p"]) > 0
    assert any("stage not counted" in text for text in found.withheld)
    assert "Withheld: " in found.to_markdown()


def test_a_category_that_few_people_lack_is_not_counted() -> None:
    parts = sites()
    name = next(iter(parts))
    parts[name] = parts[name].assign(sex=parts[name]["sex"].mask(np.arange(len(parts[name])) < 3))
    with ms.local(parts, policy="standard") as consortium:
        found = consortium.table_one(["age", "sex"], by="arm")
    table = found.to_frame().set_index("characteristic")
    assert (table.loc[["  F", "  M"], ["arm: drug", "arm: placebo"]] == "suppressed").all(axis=None)
    assert int(table.loc["n", "arm: drug"]) > 0
    assert any("sex not counted" in text for text in found.withheld)


def test_requests_that_make_no_sense() -> None:
    with ms.local(sites()) as consortium:
        for request, text in (
            ({"columns": "nothing"}, "no column"),
            ({"columns": "age", "nonnormal": ["crp"]}, "not among"),
            ({"columns": "sex", "nonnormal": ["sex"]}, "no median"),
            ({"columns": "age", "p_values": True}, "compare groups"),
            ({"columns": "age", "by": "stage", "smd": True}, "two groups"),
        ):
            with pytest.raises(SpecError, match=text):
                consortium.table_one(**request)


def test_rows_of_categories() -> None:
    assert category_rows("x", ["a", "b"], [[1, 3]]) == [["x, n (%)", ""], ["  a", "1 (25.0%)"], ["  b", "3 (75.0%)"]]
    assert [row[1] for row in category_rows("x", "abc", [[None, 15, 20]])[1:]] == ["suppressed", "suppressed", "20"]
    assert [row[1] for row in category_rows("x", "abc", [[None, None, 20]])[1:]] == ["suppressed", "suppressed", "20"]
    assert [row[1] for row in category_rows("x", "ab", [[None, 15]])[1:]] == ["suppressed", "suppressed"]
    assert [row[1] for row in category_rows("x", "ab", [[0, 0]])[1:]] == ["0", "0"]


def test_standardised_differences() -> None:
    assert numeric_smd([{"mean": 1.0, "sd": 2.0}, {"mean": 3.0, "sd": 2.0}]) == 1
    assert math.isnan(numeric_smd([{"mean": 1.0, "sd": 0.0}, {"mean": 3.0, "sd": 0.0}]))
    p, q = 0.2, 0.5
    two = abs(p - q) / math.sqrt((p * (1 - p) + q * (1 - q)) / 2)
    assert category_smd([[8, 2], [10, 10]]) == pytest.approx(two)
    assert math.isnan(category_smd([[8, None], [10, 10]]))
    assert math.isnan(category_smd([[0, 0], [10, 10]]))
