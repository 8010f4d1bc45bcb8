"""Lists of variants and people as PLINK writes them: bim, pvar, fam, psam. Nothing is repaired or left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import DataError
from mpcstats.node.genotypes.base import size_and_time
from mpcstats.node.memory import trim
from mpcstats.node.records.tables import MAX_ROWS, read_text_rows, unreadable
from mpcstats.study.variants import VARIANT_COLUMNS

__all__ = ["as_text", "check_variants", "read_bim", "read_fam", "read_psam", "read_pvar", "refuse_repeated_people"]

_BIM = ["chrom", "id", "cm", "pos", "a1", "a2"]
_FAM = ["fid", "iid", "father", "mother", "sex", "phenotype"]
_BIM_USED = ["chrom", "pos", "id", "a2", "a1"]
_PVAR = ["#CHROM", "POS", "ID", "REF", "ALT"]
_FEW = ("chrom", "ref", "alt")
"""Columns with few different texts."""

_NO_ID = (".", "0", "")
_PIECE = 1 << 20


def read_bim(path: Path, party: str) -> pd.DataFrame:
    """Variants of a bim file: its A1 is alt, its A2 is ref.

    Returns
    -------
    DataFrame
        chrom (text), pos (int64), id, ref, alt (text).
    """

    def parse(data: bytes) -> Any:
        table = read_text_rows(_tabs(data, path, party), _BIM, path, party, missing=("",))
        _refuse_missing(table, _BIM, path, party)
        return table.select(_BIM_USED).rename_columns(list(VARIANT_COLUMNS))

    return _variants(path, party, parse)


def read_pvar(path: Path, party: str) -> pd.DataFrame:
    """Variants of a pvar file (or one compressed with zstandard); columns beyond ALT are not used.

    Raises
    ------
    DataError
        Also where a variant has several ALT alleles.
    """

    def parse(data: bytes) -> Any:
        data, names, skip = _headed(data, path, "#CHROM", party)
        absent = [name for name in _PVAR if name not in names]
        if absent:
            raise DataError(f"{path.name} has no column {', '.join(absent)}", party=party, hint="write it with plink2")
        table = read_text_rows(data, names, path, party, skip=skip, missing=("",), only=_PVAR)
        table = table.select(_PVAR).rename_columns(list(VARIANT_COLUMNS))
        _refuse_missing(table, list(VARIANT_COLUMNS), path, party)
        _refuse_several_alleles(table["alt"], path, party)
        return table

    return _variants(path, party, parse)


def read_fam(path: Path, party: str) -> pd.DataFrame:
    """People of a fam file: fid, iid (text)."""
    table = read_text_rows(_tabs(_bytes(path, party), path, party), _FAM, path, party, missing=("",))
    _refuse_missing(table, ["fid", "iid"], path, party)
    return _people(table, path, party)


def read_psam(path: Path, party: str) -> pd.DataFrame:
    """People of a psam file: fid, iid (text); fid is "0" where the file has none."""
    data, names, skip = _headed(_bytes(path, party), path, "#FID", party, "#IID")
    names = [names[0].removeprefix("#"), *names[1:]]
    if "IID" not in names:
        raise DataError(f"{path.name} has no column IID", party=party, hint="write it with plink2")
    wanted: list[str] = [name for name in ("FID", "IID") if name in names]
    table = read_text_rows(data, names, path, party, skip=skip, missing=("",), only=wanted)
    _refuse_missing(table, wanted, path, party)
    return _people(table.select(wanted).rename_columns([name.lower() for name in wanted]), path, party)


def as_text(variants: pd.DataFrame) -> pd.DataFrame:
    """Variants with all names as plain texts: for what compares and joins them."""
    return variants.astype(dict.fromkeys(("chrom", "id", "ref", "alt"), object))


def check_variants(variants: pd.DataFrame, path: Path, party: str) -> None:
    """Refuse variants that are listed twice, and ids that name several places."""
    repeated = int(_suspects(variants).duplicated().sum())
    if repeated:
        raise DataError(
            f"{path.name}: {repeated} of {len(variants)} variants (chromosome, position, id and alleles) are "
            "duplicates of earlier rows",
            party=party,
            hint="plink2 --rm-dup force-first leaves one of each",
        )
    doubtful = _suspects(variants[["id"]]).index
    named = variants.loc[doubtful, ["chrom", "pos", "id"]]
    named = named[~named["id"].isin(_NO_ID)].astype({"chrom": object, "id": object})
    several = named[named["id"].duplicated(keep=False)]  # rows of one place with other alleles share an id by right
    places = several.drop_duplicates()["id"]
    ambiguous = int(places[places.duplicated()].nunique())
    if ambiguous:
        raise DataError(
            f"{path.name}: {ambiguous} variant ids are used at several positions",
            party=party,
            hint="plink2 --set-all-var-ids '@:#:$r:$a' makes new ones",
        )


def _suspects(table: pd.DataFrame) -> pd.DataFrame:
    """Rows whose hash is that of another row: with 64 bits hardly any beside those that are repeated."""
    keys = pd.util.hash_pandas_object(table, index=False).to_numpy()
    ordered = np.sort(keys)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    return table[np.isin(keys, repeated)]


def refuse_repeated_people(samples: pd.DataFrame, path: Path, party: str) -> None:
    """Refuse people who are listed twice."""
    repeated = int(samples.duplicated().sum())
    if repeated:
        raise DataError(
            f"{path.name}: {repeated} of {len(samples)} people (family and individual id) are duplicates of earlier "
            "rows",
            party=party,
        )


def _bytes(path: Path, party: str) -> bytes:
    """The file, unpacked."""
    return b"".join(_chunks(path, party, -1))


def _chunks(path: Path, party: str, size: int) -> Iterator[bytes]:
    """The file, unpacked, in pieces of `size` bytes; -1 for a single one."""
    import pyarrow as pa

    try:
        with pa.input_stream(str(path), compression="zstd" if path.suffix == ".zst" else None) as stream:
            while chunk := stream.read(None if size < 0 else size):
                yield chunk
    except OSError as error:
        if error.errno is None:  # Arrow's for what it cannot unpack
            raise DataError(f"{path.name} cannot be unpacked; it may be truncated", party=party) from None
        unreadable(path, error, party)


def _pieces(path: Path, party: str) -> Iterator[bytes]:
    """The file in whole lines, some megabytes at a time, each piece below the header line if there is one."""
    header, rest = b"", b""
    for chunk in _chunks(path, party, _PIECE):
        rest += chunk
        if not header and rest.startswith(b"#"):
            header = _header(rest)
            if not header:  # it goes on in the next piece
                continue
            rest = rest[len(header) :]
            header = header[header.rfind(b"\n", 0, -1) + 1 :]
        end = rest.rfind(b"\n") + 1
        if end:
            yield header + rest[:end]
            rest = rest[end:]
    if rest:
        yield header + rest


def _header(data: bytes) -> bytes:
    """Lines at the start that begin with "#"; b"" where the data end among them."""
    start = 0
    while data.startswith(b"#", start):
        start = data.find(b"\n", start) + 1
        if not start:
            return b""
    return data[:start] if start < len(data) else b""


def _tabs(data: bytes, path: Path, party: str) -> bytes:
    """PLINK accepts blanks and tabs."""
    if b" " in data:
        data = b"".join(b"\t".join(line.split()) + b"\n" for line in data.splitlines())
    if not data.strip():
        raise DataError(f"{path.name} is empty", party=party)
    return data


def _headed(data: bytes, path: Path, first: str, party: str, other: str | None = None) -> tuple[bytes, list[str], int]:
    """Content, column names and lines before the rows of a file whose header line begins with `first`."""
    if not data.strip():
        raise DataError(f"{path.name} is empty", party=party)
    skip, start = 0, 0
    while data.startswith(b"##", start):
        end = data.find(b"\n", start)
        if end < 0:
            break
        skip, start = skip + 1, end + 1
    end = data.find(b"\n", start)
    header = data[start : end if end >= 0 else len(data)]
    try:
        names = header.decode().split()
    except UnicodeDecodeError:
        raise DataError(f"{path.name} is not UTF-8 text", party=party) from None
    if not names or names[0] not in {first, other}:
        known = first if other is None else f"{first} or {other}"
        raise DataError(f"{path.name} has no header line that begins with {known}", party=party)
    if len(set(names)) != len(names):
        raise DataError(f"{path.name}: two columns have the same name", party=party)
    if b"\t" not in header and len(names) > 1:
        return _tabs(data[start:], path, party), names, 1
    return data, names, skip + 1


_last: dict[tuple[Path, int, int], pd.DataFrame] = {}
"""The list that was read last: a request is planned with it, and its scan needs it again."""


def _variants(path: Path, party: str, parse: Callable[[bytes], Any]) -> pd.DataFrame:
    """The list, read again only where it is another file than last time. Nobody changes the table."""
    key = (path.resolve(), *size_and_time(path, party))
    variants = _last.get(key)
    if variants is None:
        _last.clear()
        variants = _last[key] = _read_variants(path, party, parse)
        trim()
    return variants


def _read_variants(path: Path, party: str, parse: Callable[[bytes], Any]) -> pd.DataFrame:
    """The rows of a list in little memory: piece by piece, texts of which there are few as categories, ids in Arrow's
    buffers. `parse` makes a table of `VARIANT_COLUMNS` (text) of some lines."""
    import pyarrow as pa

    def narrow(data: bytes) -> tuple[Any, ...]:
        table = parse(data)
        few = [table[name].dictionary_encode().to_pandas().array for name in _FEW]
        return *few, _positions(table["pos"], path, party), table["id"].combine_chunks()

    try:
        parts = [narrow(piece) for piece in _pieces(path, party)] or [narrow(b"")]
    except DataError:
        parts = [narrow(_bytes(path, party))]  # once more as a whole: errors count what is wrong in all of it
    *few, positions, ids = zip(*parts, strict=True)
    del parts
    rows = sum(map(len, ids))
    if rows > MAX_ROWS:
        raise DataError(f"{path.name} has {rows:,} rows; at most {MAX_ROWS:,} are allowed", party=party)
    columns: dict[str, Any] = {
        name: pd.api.types.union_categoricals(list(column)) for name, column in zip(_FEW, few, strict=True)
    }
    columns |= {"pos": np.concatenate(positions), "id": pd.arrays.ArrowExtensionArray(pa.chunked_array(ids))}
    variants = pd.DataFrame({name: columns[name] for name in VARIANT_COLUMNS}, copy=False)
    if _may_repeat(ids):  # different ids make different rows
        check_variants(variants, path, party)
    return variants


def _may_repeat(ids: Sequence[Any]) -> bool:
    """Whether two ids have one hash of 64 bits: sure for equal ones, and in less memory than a set of them."""
    hashes = np.concatenate([_hashes(chunk) for chunk in ids])
    hashes.sort()
    return bool((hashes[1:] == hashes[:-1]).any())


def _hashes(texts: Any) -> NDArray[np.uint64]:
    """A polynomial in each text's bytes, modulo 2^64; no text is empty."""
    if not len(texts):
        return np.zeros(0, np.uint64)
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32, len(texts) + 1, 4 * texts.offset)
    starts, lengths = ends[:-1] - ends[0], np.diff(ends)
    powers = np.cumprod(np.full(int(lengths.max()), 0x9E3779B97F4A7C15, np.uint64))
    characters = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]].astype(np.uint64) + np.uint64(1)
    characters *= powers[np.arange(len(characters)) - np.repeat(starts, lengths)]
    return np.add.reduceat(characters, starts)


def _positions(text: Any, path: Path, party: str) -> Any:
    from pyarrow import compute

    good = compute.match_substring_regex(text, r"^\d{1,18}$")
    bad = len(text) - int(compute.sum(good).as_py() or 0)
    if bad:
        problem = f"{path.name}: {bad} of {len(text)} positions are not whole numbers from 0 up"
        raise DataError(problem, party=party)
    return text.cast("int64").to_numpy()


def _people(table: Any, path: Path, party: str) -> pd.DataFrame:
    iid = table["iid"].to_pandas().astype(object)
    fid = table["fid"].to_pandas().astype(object) if "fid" in table.column_names else np.full(len(iid), "0", object)
    samples = pd.DataFrame({"fid": fid, "iid": iid})
    refuse_repeated_people(samples, path, party)
    return samples


def _refuse_missing(table: Any, names: list[str], path: Path, party: str) -> None:
    for name in names:
        if table[name].null_count:
            raise DataError(f"{path.name}: {table[name].null_count} rows have no {name}", party=party)


def _refuse_several_alleles(alt: Any, path: Path, party: str) -> None:
    from pyarrow import compute

    several = int(compute.sum(compute.match_substring(alt, ",")).as_py() or 0)
    if several:
        raise DataError(
            f"{path.name}: {several} of {len(alt)} variants have more than one ALT allele",
            party=party,
            hint="one row per ALT allele: bcftools norm -m -any before the import; or plink2 --max-alleles 2",
        )
