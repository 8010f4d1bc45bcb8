"""Opened numbers of a scan, kept block by block: what a scan that was interrupted need not do again.

Everything in here was opened to all parties. A block is a file that appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mpcstats.runtime import Session
from mpcstats.stats.association.null_model import NullModel
from mpcstats.stats.association.scan import Block
from mpcstats.stats.contributions.association import AssociationContribution

__all__ = ["BlockStore", "agree_on_start", "inputs_digest"]

_KEY = "inputs"


class BlockStore:
    """Blocks in the order in which they were scanned.

    Parameters
    ----------
    folder : Path, optional
        None: in memory.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._blocks: list[Block] = []

    def stored(self, key: bytes) -> int:
        """Blocks of an earlier scan with the same inputs; those of other inputs are deleted."""
        if self._folder is None:
            return 0
        file = self._folder / _KEY
        if not file.is_file() or file.read_bytes() != key:
            self.clear()
            self._folder.mkdir(parents=True)
            file.write_bytes(key)
        count = 0
        while self._file(count).is_file():
            count += 1
        return count

    def keep(self, count: int) -> None:
        """The first `count` blocks are taken over, the others deleted."""
        self._blocks = []
        if self._folder is not None:
            for file in self._folder.glob("*.npz"):
                if int(file.stem) >= count:
                    file.unlink()
            self._blocks = [_read(self._file(k)) for k in range(count)]

    def append(self, block: Block) -> None:
        """Keep a block."""
        if self._folder is not None:
            target = self._file(len(self._blocks))
            partial = target.with_suffix(".partial")
            with partial.open("wb") as file:
                np.savez(file, **vars(block))
            os.replace(partial, target)
        self._blocks.append(block)

    def __iter__(self) -> Iterator[Block]:
        return iter(self._blocks)

    def clear(self) -> None:
        """Delete everything: the scan is over."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number:08d}.npz"


def _read(file: Path) -> Block:
    with np.load(file, allow_pickle=False) as found:
        fields = {name: found[name] for name in found.files}
    return Block(**{**fields, "start": int(fields["start"])})


def inputs_digest(model: NullModel, own: AssociationContribution | None) -> bytes:
    """SHA-256 over what the blocks of this party depend on, beside request and plan."""
    state = hashlib.sha256(b"mpcstats scan 1")
    state.update(np.array([model.people, model.residual_scale]).tobytes())
    if own is not None:
        for array in (own.phenotype, own.covariates):
            state.update(str(array.shape).encode())
            state.update(np.ascontiguousarray(array).tobytes())
        state.update(own.origin)
    return state.digest()


async def agree_on_start(session: Session, stored: int) -> int:
    """The fewest blocks that a party has. One round; everybody hears the numbers."""
    told = await session.exchange(
        dict.fromkeys(session.others, stored.to_bytes(8, "little")), dict.fromkeys(session.others, 8)
    )
    return min([stored, *(int.from_bytes(data, "little") for data in told.values())])
