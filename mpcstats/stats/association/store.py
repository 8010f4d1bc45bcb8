"""Opened numbers of a scan, kept block by block: what a scan that was interrupted need not do again.

Everything in here was opened to all parties. A block is a file that appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpcstats.runtime import Session, tell_everybody
from mpcstats.stats.contributions.association import AssociationContribution

__all__ = ["Block", "BlockStore", "inputs_digest"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bits = NDArray[np.bool_]

_KEY = "inputs"


@dataclass
class Block:
    """Opened numbers of the variants start, start + 1, ...; where calls are missing, the sums are over s_yy.

    `shown`: variants of which anything was opened but a bit. Other arrays mean nothing elsewhere.
    """

    start: int
    observed: Ints
    shown: Bits
    a1_is_alt: Bits
    passes: Bits
    solvable: Bits
    s_xx: Floats
    s_xy: Floats

    @classmethod
    def empty(cls, start: int, size: int) -> Block:
        """Nothing is opened yet."""
        yes, no, zeros = np.ones(size, np.bool_), np.zeros(size, np.bool_), np.zeros(size)
        return cls(start, np.zeros(size, np.int64), no, yes, yes.copy(), yes.copy(), zeros, zeros.copy())


class BlockStore:
    """Blocks in the order in which they were scanned.

    Parameters
    ----------
    folder : Path, optional
        None: in memory.
    kind : class
        Dataclass of a block: `start`, and arrays.
    """

    def __init__(self, folder: Path | None = None, kind: type[Any] = Block) -> None:
        self._folder, self._kind = folder, kind
        self._count = 0
        self._blocks: list[Any] = []

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
        self._blocks, self._count = [], count
        if self._folder is not None:
            for file in self._folder.glob("*.npz"):
                if int(file.stem) >= count:
                    file.unlink()

    def append(self, block: Any) -> None:
        """Keep a block."""
        if self._folder is None:
            self._blocks.append(block)
        else:
            target = self._file(self._count)
            partial = target.with_suffix(".partial")
            with partial.open("wb") as file:
                np.savez(file, **vars(block))
            os.replace(partial, target)
        self._count += 1

    def each(self) -> Iterator[Any]:
        """The blocks in the order of the variants; those in files are read one by one."""
        for number in range(self._count):
            yield self._blocks[number] if self._folder is None else self._read(self._file(number))

    async def resumed(
        self,
        session: Session,
        inputs: bytes,
        count: int,
        size: int,
        scan: Callable[[int, int], Awaitable[Any]],
        anew: bool = False,
    ) -> None:
        """Complete the blocks of `count` variants: those that every party has of a scan that was interrupted are there.

        Parameters
        ----------
        inputs : bytes
            See `inputs_digest`.
        size : int
            Variants of a block.
        scan : coroutine function (start, stop) -> dataclass
            Scans one block. The first field is the number `start`, others are arrays.
        anew : bool
            Nothing is taken over.
        """
        stored = self.stored(inputs)
        done = await _agree_on_start(session, 0 if anew else stored)
        self.keep(done)
        if done:
            session.progress(f"goes on behind {done} blocks of variants that were scanned before")
        for number, start in enumerate(range(0, count, size)):
            stop = min(count, start + size)
            if number >= done:
                self.append(await scan(start, stop))
            session.progress(f"{stop:,} of {count:,} variants")

    def _read(self, file: Path) -> Any:
        with np.load(file, allow_pickle=False) as found:
            fields = {name: found[name] for name in found.files}
        return self._kind(**{**fields, "start": int(fields["start"])})

    def clear(self) -> None:
        """Delete everything: the scan is over."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number:08d}.npz"


def inputs_digest(people: int, numbers: NDArray[np.float64], own: AssociationContribution | None) -> bytes:
    """SHA-256 over what the blocks of this party depend on, beside request and plan: public numbers of the null model,
    and own data."""
    state = hashlib.sha256(b"mpcstats scan 1")
    state.update(f"{people} {numbers.shape} ".encode() + np.ascontiguousarray(numbers).tobytes())
    if own is not None:
        for array in (own.phenotype, own.covariates):
            state.update(f"{array.shape} ".encode() + np.ascontiguousarray(array).tobytes())
        state.update(own.origin)
    return state.digest()


async def _agree_on_start(session: Session, stored: int) -> int:
    """The fewest blocks that a party has. One round, two with several guests; everybody hears the numbers."""
    sizes = {j: 8 for j in range(1, len(session.channel.parties) + 1) if j != session.index}
    told = await tell_everybody(session, stored.to_bytes(8, "little"), sizes)
    return min([stored, *(int.from_bytes(data, "little") for data in told.values())])
