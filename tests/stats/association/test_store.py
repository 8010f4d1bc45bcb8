"""A scan that was interrupted goes on behind the last block that all parties have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import PartyUnreachable
from mpcstats.runtime import Session
from mpcstats.stats.association import linear, scan
from mpcstats.stats.association.options import ScanOptions
from mpcstats.stats.association.scan import Block
from mpcstats.stats.association.store import BlockStore
from tests.stats.association.test_linear_scan import Cohort, cohort

SMALL = 64
"""The least size of a block."""


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Cohort:
    monkeypatch.setattr(scan, "_MOST", SMALL)
    return cohort(31, people=120, variants=5 * SMALL - 10)


def run(own: Cohort, folder: Path | None, options: ScanOptions | None = None, stop: int | None = None) -> pd.DataFrame:
    """The scan with stores folder/1, 2, 3; after `stop` blocks party 2 is lost."""
    real = linear.joint_linear_scan

    async def stored(session: Session, *rest: object) -> object:
        store = None if folder is None else BlockStore(folder / str(session.index) / "request")
        return await real(session, *rest, store=store)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.stats.association.test_linear_scan.joint_linear_scan", stored)
        if stop is not None:
            patch.setattr(scan.Scan, "block", interrupted(scan.Scan.block, stop))
        return own.scan(options or ScanOptions(missing="mean")).tables["variants"]


def interrupted(real: object, stop: int) -> object:
    async def block(self: scan.Scan, start: int, end: int) -> Block:
        if self.session.index == 2 and start >= stop * SMALL:
            raise PartyUnreachable("gone", party="party2")
        return await real(self, start, end)  # type: ignore[operator]

    return block


def stored_blocks(folder: Path, party: int) -> int:
    return len(list((folder / str(party)).rglob("*.npz")))


def test_a_scan_goes_on_where_it_stopped(own: Cohort, tmp_path: Path) -> None:
    whole = run(own, None)
    with pytest.raises(PartyUnreachable):
        run(own, tmp_path, stop=3)
    assert [stored_blocks(tmp_path, k) for k in (1, 2, 3)] == [3, 3, 3]
    (tmp_path / "3" / "request" / "00000002.npz").unlink()  # a party may have fewer
    scanned: list[int] = []
    real = scan.Scan.block

    async def counted(self: scan.Scan, start: int, stop: int) -> Block:
        if self.session.index == 1:
            scanned.append(start // SMALL)
        return await real(self, start, stop)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan.Scan, "block", counted)
        resumed = run(own, tmp_path)
    assert scanned == [2, 3, 4]
    # the last digits are random
    pd.testing.assert_frame_equal(resumed, whole, rtol=1e-9)
    assert [stored_blocks(tmp_path, k) for k in (1, 2, 3)] == [0, 0, 0]  # nothing is left of a finished scan


@pytest.mark.parametrize("change", ["phenotype", "covariates"])
def test_other_inputs_begin_anew(own: Cohort, tmp_path: Path, change: str) -> None:
    with pytest.raises(PartyUnreachable):
        run(own, tmp_path, stop=3)
    changed = replace(
        own, **{change: getattr(own, change) + np.eye(1, 120)[0].reshape(-1, *[1] * (getattr(own, change).ndim - 1))}
    )
    pd.testing.assert_frame_equal(run(changed, tmp_path), run(changed, None), rtol=1e-9)


@pytest.mark.long
def test_hits_with_lambda_begin_anew_and_without_go_on(own: Cohort, tmp_path: Path) -> None:
    for genomic_control in (True, False):
        options = ScanOptions(missing="mean", release="hits", threshold=0.1, genomic_control=genomic_control)
        with pytest.raises(PartyUnreachable):
            run(own, tmp_path, options, stop=3)
        pd.testing.assert_frame_equal(run(own, tmp_path, options), run(own, None, options), rtol=1e-9)


def test_blocks_survive_the_file(tmp_path: Path) -> None:
    store = BlockStore(tmp_path / "a")
    assert store.stored(b"key") == 0
    store.keep(0)
    block = Block.empty(0, 3)
    block.s_xx[:] = [1e-300, np.nan, np.inf]
    store.append(block)
    again = BlockStore(tmp_path / "a")
    assert again.stored(b"key") == 1
    again.keep(1)
    (found,) = again.each()
    for name, value in vars(block).items():
        np.testing.assert_array_equal(getattr(found, name), value)
        assert np.asarray(getattr(found, name)).dtype == np.asarray(value).dtype
    assert BlockStore(tmp_path / "a").stored(b"another key") == 0
    assert not list((tmp_path / "a").glob("*.npz"))
