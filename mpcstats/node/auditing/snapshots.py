"""A commitment to the records that a run read: binding, and it tells nobody anything.

Rows are encoded in blocks, each block is hashed with a secret of the party (keys/snapshot.salt), and the Merkle root
of the blocks is the commitment. So equal columns give equal commitments at one party, which shows that a later run read
the same; without the secret nobody can try out what the rows may be, nor see whether two parties have the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import ConfigurationError
from mpcstats.node.records.source import Records
from mpcstats.study.merkle import GrowingTree, leaf_hash

__all__ = ["SALT_BYTES", "commitment", "snapshot_salt"]

SALT_BYTES = 32
_BLOCK = 1024
"""Rows of one leaf."""

_HASH = 32

_DOMAIN = b"mpcstats/v1/snapshot"
_EXACT = 2.0**53


def snapshot_salt(directory: Path) -> bytes:
    """The party's secret for commitments, `directory`/keys/snapshot.salt; made on first use (mode 0600).

    Raises
    ------
    ConfigurationError
        It cannot be read, or is not one.
    """
    path = directory / "keys" / "snapshot.salt"
    with contextlib.suppress(FileExistsError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SALT_BYTES))
    salt = path.read_bytes()
    if len(salt) != SALT_BYTES:
        raise ConfigurationError(f"{path} is damaged", hint="delete it: commitments of earlier runs cannot be compared")
    return salt


def commitment(records: Records, columns: Sequence[str], salt: bytes) -> bytes:
    """Commit to some columns of a party's records, all rows in their order (32 bytes).

    Names of columns and the number of rows are part of it; whether a whole number is stored as integer or decimal is
    not. Of genotypes the people and variants are, but not the calls.

    Parameters
    ----------
    columns : sequence of str
        Names that the table lacks are left out. The order does not matter.
    salt : 32 bytes
        See `snapshot_salt`.

    Raises
    ------
    DataError
        A file has changed since it was opened.
    """
    names = sorted(set(columns) & set(records.names))
    frame = records.columns(names)
    cells = [_encoded(frame[name], salt) for name in names]
    kinds = ["number" if cell.ndim == 1 else "text" for cell in cells]
    head = "\x1f".join([str(len(frame)), *names, *kinds, *_genotypes(records, salt)])
    tree = GrowingTree()
    tree.add(leaf_hash(salt + _DOMAIN + head.encode()))
    for start in range(0, len(frame) if names else 0, _BLOCK):
        tree.add(leaf_hash(salt + b"".join(cell[start : start + _BLOCK].tobytes() for cell in cells)))
    return tree.root


def _encoded(column: pd.Series[Any], salt: bytes) -> NDArray[Any]:
    """Numbers as doubles (one axis), all else as keyed hashes (two); missing values are the same NaN, or zeros."""
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        whole = not pd.api.types.is_float_dtype(column.dtype)
        if not (whole and (np.abs(np.nan_to_num(numbers)) >= _EXACT).any()):  # a double holds all of them
            return np.where(np.isnan(numbers), np.nan, numbers + 0.0).astype("<f8")  # -0.0 is 0.0
    codes, values = pd.factorize(column.astype(object), use_na_sentinel=True)
    keyed = hashlib.blake2b(key=salt, digest_size=_HASH, person=b"mpcstats/cell")
    digests = [_ended(keyed.copy(), value) for value in values]
    digests.append(bytes(_HASH))  # of missing values: their code is -1
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, _HASH)[codes]


def _ended(state: Any, value: object) -> bytes:
    state.update((f"s{value}" if isinstance(value, str) else _other(value)).encode("utf-8", "surrogatepass"))
    return state.digest()  # type: ignore[no-any-return]


def _other(value: object) -> str:
    return f"{'i' if isinstance(value, int | np.integer) else type(value).__name__}:{value}"


def _genotypes(records: Records, salt: bytes) -> list[str]:
    """Who was genotyped and how many variants there are; the calls themselves would take as long as the scan."""
    if records.genotypes is None:
        return []
    samples = records.genotypes.samples
    people = hashlib.sha256(salt + _DOMAIN)
    for family, person in zip(samples["fid"].astype(str), samples["iid"].astype(str), strict=True):
        people.update(f"{family}\x1f{person}\x1e".encode("utf-8", "surrogatepass"))
    variants = 0 if records.variants is None else len(records.variants)
    return ["genotypes", people.hexdigest(), str(variants)]
