"""What quality control and contingency tests open, and what the network sees of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mpcstats as ms
from mpcstats.field import M61, M127
from mpcstats.runtime import Session, Shared, opening
from mpcstats.sdk import local as local_module
from mpcstats.stats import disclosure
from mpcstats.stats.association.contingency_shares import MASKS_PER_VARIANT
from mpcstats.transport.memory import MemoryNetwork, Message
from tests.sdk.test_local import genotype_sites

CLOSED = ms.Policy.model_validate({"extends": "open", "disclosure": {"allele_counts": False, "minimum_count": 5}})


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Every message of every run."""
    seen: list[Message] = []

    def observed(parties: tuple[str, ...], patience: float) -> MemoryNetwork:
        return MemoryNetwork(parties, patience, observe=seen.append)

    monkeypatch.setattr(local_module, "MemoryNetwork", observed)
    return seen


@pytest.fixture
def numbers(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Per name, the integers that party 1 sees opened."""
    seen: dict[str, list[int]] = {}

    async def watched(session: Session, x: Shared, name: str) -> Any:
        value = await opening.open_declared(session, x, name)
        if session.index == 1:
            plain = M61.to_int64(value) if x.field == M61 else M127.to_signed(value)
            seen.setdefault(name, []).extend(int(n) for n in plain.ravel())
        return value

    monkeypatch.setattr(disclosure, "open_declared", watched)
    return seen


def test_messages_tell_nothing_about_variants_without_a_hit(tmp_path: Path, wire: list[Message]) -> None:
    """Cohorts of equal size: the same steps, senders, receivers and lengths, whatever the genotypes are."""
    shapes = []
    for seed in (31, 32):
        parties, *_ = genotype_sites(tmp_path, 3, seed)
        wire.clear()
        with ms.local(parties, policy=CLOSED) as consortium:
            found = consortium.contingency(phenotype="smoker", release="hits", threshold=1e-30, maf=0.01, hwe=1e-9)
        assert len(found.table) == 0
        shapes.append(sorted((m.step, m.sender, m.receiver, len(m.payload)) for m in wire))
    assert shapes[0] == shapes[1]
    assert shapes[0]


def test_only_bits_and_rounded_statistics_are_opened(tmp_path: Path, numbers: dict[str, list[int]]) -> None:
    parties, traits, calls = genotype_sites(tmp_path, 3, 33)
    with ms.local(parties, policy=CLOSED) as consortium:
        consortium.variant_quality(phenotype="smoker", maf=0.2, geno=0.03)
        quality = dict(numbers)
        numbers.clear()
        found = consortium.contingency(phenotype="smoker")
    smokers = int(traits["smoker"].sum())
    assert set(quality) == {"enough people", "people", "variant passes"}
    assert sorted(quality["people"]) == sorted([smokers, len(traits) - smokers])
    assert set(quality["variant passes"]) == {0, 1}
    assert set(numbers) == {
        "enough people",
        "people",
        "variant is released",
        "rarer allele",
        "test is defined",
        "chi-square",
        "odds ratio",
    }
    for name in ("variant is released", "rarer allele", "test is defined"):
        assert set(numbers[name]) <= {0, 1}, name
    # a mantissa of 21 bits and an exponent each: no sum, no product, no count
    for name in ("chi-square", "odds ratio"):
        half = len(numbers[name]) // 2
        assert max(abs(n) for n in numbers[name][:half]) <= 2**21
        assert max(abs(n) for n in numbers[name][half:]) <= 127
    assert 0 < found.outcome.run["masked_openings"] <= MASKS_PER_VARIANT * calls.shape[1]
    called = (calls >= 0).all(axis=1)
    assert called.sum() < len(called)  # calls are missing, and nothing says how many


def test_a_chi_square_tells_its_table() -> None:
    """What `open_statistics` says: rounding to 21 bits hides no table of 500 cases and 500 controls."""
    copies = np.arange(1001.0)
    a, c = (x.ravel() for x in np.meshgrid(copies, copies, indexing="ij"))
    kept = (a + c >= 20) & (a + c <= 1000) & (a != c)
    a, c = a[kept], c[kept]
    chi_square = 2000 * (1000 * (a - c)) ** 2 / (1e6 * (a + c) * (2000 - a - c))
    mantissa, exponent = np.frexp(chi_square)
    rounded = np.rint(mantissa * 2**21) + exponent * 2.0**30
    _, sharing = np.unique(rounded, return_counts=True)
    assert sharing[sharing <= 2].sum() / sharing.sum() == pytest.approx(0.96, abs=0.005)
