"""What the opened sums of a regression tell, as an attacker reads them, and that the gate is where it must be."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import DisclosureRefused
from mpcstats.stats.regression.fit import Sums
from mpcstats.stats.regression.model import Model

MINIMUM = 11
RULES = {"kind": "Policy", "extends": "standard", "disclosure": {"events_per_parameter": 0, "minimum_parties": 2}}


def table(seed: int) -> pd.DataFrame:
    """Three columns of levels, cells of some ten people, an outcome."""
    rng = np.random.default_rng(seed)
    people = int(rng.integers(130, 260))
    return pd.DataFrame(
        {
            "a": rng.choice(list("pqr"), people, p=rng.dirichlet([6, 6, 6])),
            "b": rng.choice(list("uv"), people, p=rng.dirichlet([9, 9])),
            "c": rng.integers(0, 2, people),
            "site": rng.integers(0, 3, people),
            "x": rng.normal(size=people),
            "y": rng.normal(size=people),
            "died": rng.integers(0, 2, people),
        }
    )


def sites(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {f"site{k}": frame[frame["site"] == k].drop(columns="site").reset_index(drop=True) for k in range(3)}


def safe(frame: pd.DataFrame, groups: list[tuple[str, ...]], empty: bool = False) -> bool:
    """Whether every cell has enough people, and what all but one party hold of it is nobody or enough."""
    for group in groups:
        for cell in product(*(sorted(frame[name].unique()) for name in group)):
            held = np.logical_and.reduce([frame[name] == level for name, level in zip(group, cell, strict=True)])
            total = int(held.sum())
            rests = [int((held & (frame["site"] != k)).sum()) for k in range(3)]
            if total < MINIMUM and not (empty and total == 0):
                return False
            if any(0 < rest < MINIMUM for rest in rests):
                return False
    return True


@pytest.mark.parametrize("seed", range(5))
def test_models_are_let_out_exactly_where_all_cells_are_large(seed: int) -> None:
    frame = table(seed)
    with ms.local(sites(frame), policy=ms.Policy.model_validate(RULES)) as consortium:
        requests = {
            "ols": ("y ~ x + a + b + c", list(combinations("abc", 2)), []),
            "glm": ("died ~ a + b", list(combinations(["a", "b", "died"], 2)), [("a", "b")]),
        }
        for method, (formula, pairs, patterns) in requests.items():
            allowed = safe(frame, pairs) and safe(frame, patterns, empty=True)
            try:
                getattr(consortium, method)(formula)
                released = True
            except DisclosureRefused:
                released = False
            assert released == allowed, (seed, method)


def test_both_answers_occur() -> None:
    answers = {safe(table(seed), list(combinations("abc", 2))) for seed in range(5)}
    assert answers == {True, False}


def test_informations_of_several_steps_tell_every_combination(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attack that the gate on combinations is for: any two levels have enough people together, three have not."""
    rng = np.random.default_rng(1)
    cells = np.array(list(product((0, 1), repeat=3)))
    sizes = np.array([40, 30, 25, 35, 20, 45, 30, 3])
    frame = pd.DataFrame(np.repeat(cells, sizes, axis=0), columns=list("stu"))
    frame["site"] = rng.integers(0, 3, len(frame))
    frame["died"] = (rng.random(len(frame)) < 0.3 + 0.15 * frame[list("stu")].sum(axis=1)).astype(int)
    equations, right = [], []
    evaluate = Model.evaluate

    async def recorded(self: Model, gamma: np.ndarray | None) -> Sums:
        sums = await evaluate(self, gamma)
        # all of this is opened: rough means and spreads, coefficients, informations
        scaled = (2.0 * cells - 1 - self.survey.middle[:-1]) / self.survey.spread[:-1]
        z = np.column_stack([np.ones(len(cells)), scaled])
        p = np.full(len(cells), 0.25) if gamma is None else 1 / (1 + np.exp(-z @ gamma))
        upper = np.triu_indices(4)
        equations.append((p * (1 - p))[:, None, None] * z[:, :, None] * z[:, None, :])
        equations[-1] = equations[-1][:, upper[0], upper[1]].T
        right.append(sums.information[upper])
        return sums

    with monkeypatch.context() as patched, ms.local(sites(frame), policy="open") as consortium:
        patched.setattr(Model, "evaluate", recorded)
        consortium.glm("died ~ s + t + u")
    assert len(right) >= 3 * 4
    found = np.linalg.lstsq(np.concatenate(equations), np.concatenate(right), rcond=None)[0]
    np.testing.assert_allclose(found, sizes, atol=0.01)
    with (
        ms.local(sites(frame), policy=ms.Policy.model_validate(RULES)) as consortium,
        pytest.raises(DisclosureRefused, match="any combination"),
    ):
        consortium.glm("died ~ s + t + u")
