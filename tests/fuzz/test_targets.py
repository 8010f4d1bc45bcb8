"""Every parser of foreign bytes: only the package's own errors escape, within a second and 256 MB."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutation import mutant
from tests.fuzz.target import CORPUS, execute
from tests.fuzz.targets import TARGETS

_FEW = 4
"""Inputs of each target here; scripts/fuzz makes as many as one likes."""

_NATIVE = {"pgen", "vcf", "vcf_gz"}
"""Read by C libraries of others: a crash there would end this process. scripts/fuzz runs them."""

_SLOW = {name for name in TARGETS if name.startswith(("bundle_", "bim", "fam", "pvar", "psam", "bed"))}

# Arrow's handler of wrong rows is not called for one that is no UTF-8; the file is refused all the same
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def test_every_target_has_seeds_and_every_seed_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_a_valid_example_is_taken(name: str) -> None:
    assert any(execute(TARGETS[name], seed) for seed in TARGETS[name].seeds)


@pytest.mark.parametrize("name", sorted(set(TARGETS) - _NATIVE))
def test_what_is_near_a_valid_example(name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds

    @settings(max_examples=2 if name in _SLOW else _FEW, deadline=None, derandomize=True, database=None)
    @given(st.integers(0, 1 << 32))
    def run(number: int) -> None:
        execute(target, mutant(target, seeds, number))

    run()


@pytest.mark.parametrize("name", sorted(set(TARGETS) - _NATIVE))
def test_any_bytes(name: str) -> None:
    @settings(max_examples=1 if name in _SLOW else _FEW // 2, deadline=None, derandomize=True, database=None)
    @given(st.binary(max_size=200))
    def run(data: bytes) -> None:
        execute(TARGETS[name], data)

    run()
