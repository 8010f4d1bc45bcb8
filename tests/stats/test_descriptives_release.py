"""What rounded descriptions tell: small groups enumerated, and the reconstruction of sums from means."""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction
from itertools import product

import numpy as np
import pandas as pd
import pytest

from mpcstats.sharing.committee import Committee
from mpcstats.stats.contributions.values import DescribePlan, ValuesContribution
from mpcstats.stats.descriptives import DescribeOptions, joint_describe
from mpcstats.stats.descriptives.rounded import has_enough_beside
from mpcstats.stats.disclosure import Ruling
from mpcstats.study.policy import Policy
from mpcstats.testing.network import run_parties
from mpcstats.types import DisclosureRules

STANDARD = Policy.preset("standard").rules
ONE = Committee(1, 0)  # the plaintext twin: the same code


def described(groups: list[np.ndarray], values: int, rules: DisclosureRules = STANDARD) -> pd.DataFrame:
    """Released rows, one for each group of whole numbers below `values`."""
    possible = tuple(map(float, range(values))) if values <= 50 else ()
    plan = DescribePlan(
        columns=("x",),
        ranges=((0.0, values - 1.0),),
        steps=(1.0,),
        possible=(possible,),
        by=("g",),
        levels=(tuple(range(len(groups))),),
    )
    group = np.repeat(np.arange(len(groups)), [len(g) for g in groups])
    own = ValuesContribution(np.concatenate(groups)[None].astype(float), group, len(groups))
    wanted = DescribeOptions(quantiles=(0.5,))
    outcome = run_parties(ONE, lambda s: joint_describe(s, plan, own, (1,), Ruling(rules, {}), wanted))[0]
    return outcome.tables["descriptives"]


def test_of_few_values_nothing_is_shown_that_a_table_of_counts_would_hide() -> None:
    tables = [t for n in (22, 30, 33, 35) for t in product(range(n + 1), repeat=3) if sum(t) == n][::11]
    shown = described([np.repeat(np.arange(3), t) for t in tables], 3)
    for table, row in zip(tables, shown.to_dict("records"), strict=True):
        assert pd.isna(row["n"]) == (min(table) < 11)
        assert pd.isna(row["n"]) == math.isnan(row["mean"]) == math.isnan(row["sd"]) == math.isnan(row["quantile_0.5"])


def test_groups_that_are_nearly_alike_are_hidden() -> None:
    def group(others: int, size: int = 60) -> np.ndarray:
        return np.concatenate([np.full(size - others, 7), np.arange(others) % 5])

    shown = described([group(k) for k in (0, 1, 10, 11, 12)], 20)
    assert shown["n"].isna().tolist() == [True, True, True, False, False]
    assert described([np.full(60, 7), group(1)], 200)["n"].isna().tolist() == [True, False]


@pytest.mark.parametrize("size", [23, 60, 228])
def test_every_number_of_people_fits_a_released_mean(size: int) -> None:
    rng = np.random.default_rng(size)
    groups = [rng.integers(low, 90, size + int(rng.integers(0, 5))) for low in rng.integers(20, 85, 40)]
    for group, row in zip(groups, described(groups, 100).to_dict("records"), strict=True):
        grid = 2.0 ** math.floor(math.log2(5 * row["sd"] / row["n"]))
        assert (row["mean"] - 50) % grid == 0  # 50 is the middle of the range
        assert abs(row["mean"] - group.mean()) <= grid / 2
        assert row["sd"] == pytest.approx(group.std(ddof=1), rel=5 / len(group))
        for people in range(int(row["n"]) - 2, int(row["n"]) + 3):
            low, high = (Fraction(row["mean"] + side * grid / 2) * people for side in (-1, 1))
            sums = math.floor(high) - math.ceil(low) + 1
            assert sums >= max(1, int(2 * row["sd"]))  # an attacker is left with so many sums for each number of people


def test_one_person_less_seldom_changes_what_is_released_and_never_by_much() -> None:
    rng = np.random.default_rng(2)
    everybody = rng.integers(30, 90, 150)
    # n of 150 and 149 are both released as 150
    groups = [everybody, *(np.delete(everybody, k) for k in range(0, 150, 3))]
    rows = described(groups, 100)
    grid = 2.0 ** math.floor(math.log2(5 * rows["sd"].max() / 150))
    assert rows["n"].nunique() == 1
    assert (rows["mean"] - rows["mean"][0]).abs().max() <= grid
    assert ((rows["mean"] == rows["mean"][0]) & (rows["sd"] == rows["sd"][0])).mean() > 0.8
    by_answer = defaultdict(set)
    for k, row in zip(range(0, 150, 3), rows.iloc[1:].itertuples(), strict=True):
        by_answer[row.mean, row.sd].add(int(everybody[k]))
    # next to a rounding bound an answer tells that the one who left was young, or old; not how old
    assert all(len(ages) >= 5 for ages in by_answer.values())


def test_a_quantile_is_decided_by_the_released_number_of_people() -> None:
    assert not has_enough_beside(45, 0.25, STANDARD)  # 43 to 47 people
    assert has_enough_beside(50, 0.25, STANDARD)
    assert not has_enough_beside(20, 0.5, STANDARD)
    assert has_enough_beside(25, 0.5, STANDARD)
    assert not has_enough_beside(1000, 0.01, STANDARD)
    assert not has_enough_beside(1000, 0.99, STANDARD)
