"""Lists of variants and people as PLINK writes them: bim, pvar, fam, psam. Nothing is repaired or left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mpcstats.errors import DataError
from mpcstats.node.tables import read_text_rows, unreadable
from mpcstats.study.variants import VARIANT_COLUMNS

__all__ = ["as_text", "check_variants", "read_bim", "read_fam", "read_psam", "read_pvar", "refuse_repeated_people"]

_BIM = ["chrom", "id", "cm", "pos", "a1", "a2"]
_FAM = ["fid", "iid", "father", "mother", "sex", "phenotype"]
_PVAR = {"#CHROM": "chrom", "POS": "pos", "ID": "id", "REF": "ref", "ALT": "alt"}
_NO_ID = (".", "0", "")


def read_bim(path: Path, party: str) -> pd.DataFrame:
    """Variants of a bim file: its A1 is alt, its A2 is ref.

    Returns
    -------
    DataFrame
        chrom (text), pos (int64), id, ref, alt (text).
    """
    table = read_text_rows(_tabs(_bytes(path, party), path, party), _BIM, path, party, missing=("",))
    _refuse_missing(table, _BIM, path, party)
    return _variants(table, {"ref": "a2", "alt": "a1"}, path, party)


def read_pvar(path: Path, party: str) -> pd.DataFrame:
    """Variants of a pvar file (or one compressed with zstandard); columns beyond ALT are not used.

    Raises
    ------
    DataError
        Also where a variant has several ALT alleles.
    """
    data, names, skip = _headed(path, "#CHROM", party)
    absent = [name for name in _PVAR if name not in names]
    if absent:
        raise DataError(f"{path.name} has no column {', '.join(absent)}", party=party, hint="write it with plink2")
    wanted = list(_PVAR)
    table = read_text_rows(data, names, path, party, skip=skip, missing=("",), only=wanted)
    table = table.select(wanted).rename_columns([_PVAR[name] for name in wanted])
    _refuse_missing(table, list(_PVAR.values()), path, party)
    _refuse_several_alleles(table["alt"], path, party)
    return _variants(table, {"ref": "ref", "alt": "alt"}, path, party)


def read_fam(path: Path, party: str) -> pd.DataFrame:
    """People of a fam file: fid, iid (text)."""
    table = read_text_rows(_tabs(_bytes(path, party), path, party), _FAM, path, party, missing=("",))
    _refuse_missing(table, ["fid", "iid"], path, party)
    return _people(table, path, party)


def read_psam(path: Path, party: str) -> pd.DataFrame:
    """People of a psam file: fid, iid (text); fid is "0" where the file has none."""
    data, names, skip = _headed(path, "#FID", party, "#IID")
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
    import pyarrow as pa

    try:
        if path.suffix == ".zst":
            with pa.input_stream(str(path), compression="zstd") as stream:
                content: bytes = stream.read()
            return content
        return path.read_bytes()
    except OSError as error:
        if error.errno is None:  # Arrow's for what it cannot unpack
            raise DataError(f"{path.name} cannot be unpacked; it may be truncated", party=party) from None
        unreadable(path, error, party)


def _tabs(data: bytes, path: Path, party: str) -> bytes:
    """PLINK accepts blanks and tabs."""
    if b" " in data:
        data = b"".join(b"\t".join(line.split()) + b"\n" for line in data.splitlines())
    if not data.strip():
        raise DataError(f"{path.name} is empty", party=party)
    return data


def _headed(path: Path, first: str, party: str, other: str | None = None) -> tuple[bytes, list[str], int]:
    """Content, column names and lines before the rows of a file whose header line begins with `first`."""
    data = _bytes(path, party)
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


def _variants(table: Any, alleles: dict[str, str], path: Path, party: str) -> pd.DataFrame:
    from pyarrow import compute

    good = compute.match_substring_regex(table["pos"], r"^\d{1,18}$")
    bad = table.num_rows - int(compute.sum(good).as_py() or 0)
    if bad:
        problem = f"{path.name}: {bad} of {table.num_rows} positions are not whole numbers from 0 up"
        raise DataError(problem, party=party)
    # millions of rows: few different texts are categories, ids stay in Arrow's buffer
    text = {name: table[alleles.get(name, name)].dictionary_encode().to_pandas() for name in ("chrom", "ref", "alt")}
    ids = pd.Series(pd.arrays.ArrowExtensionArray(table["id"]))
    columns = {**text, "id": ids, "pos": table["pos"].cast("int64").to_numpy()}
    variants = pd.DataFrame({name: columns[name] for name in VARIANT_COLUMNS})
    if compute.count_distinct(table["id"]).as_py() < table.num_rows:  # different ids make different rows
        check_variants(variants, path, party)
    return variants


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
