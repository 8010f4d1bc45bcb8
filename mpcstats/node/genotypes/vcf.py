"""VCF and BCF files: read once into a PLINK 1 file set of the party's own, which is read in blocks from then on.

Genotypes (GT) alone are used; FILTER, QUAL and dosages are not. An allele that is not called makes the call missing;
a haploid call counts twice, as in PLINK.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tempfile
import time
import weakref
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import ConfigurationError, DataError
from mpcstats.node.genotypes.base import sibling
from mpcstats.node.genotypes.lists import check_variants, refuse_repeated_people
from mpcstats.node.genotypes.plink1 import BedGenotypes, open_bed, write_bed
from mpcstats.node.records.tables import unreadable

__all__ = ["VCF_SUFFIXES", "open_vcf"]

VCF_SUFFIXES = (".vcf", ".vcf.gz", ".vcf.bgz", ".bcf")
_FORMAT = 1  # of the kept files; another number makes them anew
_NAME = "calls"
_BLOCK_BYTES = 1 << 24
_ABANDONED_SECONDS = 7 * 24 * 3600
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def open_vcf(path: Path, party: str, cache: Path | None) -> BedGenotypes:
    """Check a VCF or BCF file and list its people and variants; the first time, all calls are read.

    Parameters
    ----------
    cache : Path, optional
        Directory in which the calls stay (2 bits each, readable by this user alone) until the file changes. Without it
        they are in a temporary directory that goes with the object.

    Raises
    ------
    ConfigurationError
        cyvcf2 is not installed.
    DataError
        The file is unreadable, truncated, has no genotypes, or variants with several ALT alleles.
    """
    try:
        status = path.stat()
    except OSError as error:
        unreadable(path, error, party)
    # the time of the last change of anything cannot be set back, so equal numbers mean the same content
    state = (_FORMAT, str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    if cache is None:
        folder = Path(tempfile.mkdtemp(prefix="mpcstats-"))
        try:
            _convert(path, folder, party)
            return _opened(path, folder, party, temporary=True)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    file = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]
    folder = cache / f"{file}-{hashlib.sha256(repr(state).encode()).hexdigest()[:32]}"
    if not folder.is_dir():
        _convert_into(path, folder, party)
        _forget(cache, file, folder)
    return _opened(path, folder, party, temporary=False)


@dataclass(frozen=True, eq=False)
class _VcfGenotypes(BedGenotypes):
    """Its directory goes with it if it is temporary."""


def _forget(cache: Path, file: str, folder: Path) -> None:
    """What was read from earlier states of the file, and what a process that was killed left behind."""
    stale = [each for each in cache.glob(".new-*") if time.time() - each.stat().st_mtime > _ABANDONED_SECONDS]
    for older in {*cache.glob(f"{file}-*"), *stale} - {folder}:
        shutil.rmtree(older, ignore_errors=True)


def _opened(path: Path, folder: Path, party: str, *, temporary: bool) -> BedGenotypes:
    bed = open_bed(folder / _NAME, party)
    names = {name: getattr(bed, name) for name in ("samples", "variants", "party", "prefix")}
    found = _VcfGenotypes(**names, sample_file=path.name, variant_file=path.name)
    if temporary:
        weakref.finalize(found, shutil.rmtree, folder, True)
    return found


def _convert_into(path: Path, folder: Path, party: str) -> None:
    """All or nothing: another process may do the same at the same time."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=folder.parent))
    try:
        _convert(path, fresh, party)
        try:
            os.replace(fresh, folder)
        except OSError:
            if not folder.is_dir():  # the other one was faster: its files are the same
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _convert(path: Path, folder: Path, party: str) -> None:
    _check_end(path, party)
    reader = _reader(path, party)
    try:
        samples = pd.DataFrame({"fid": "0", "iid": list(reader.samples)}, dtype=object)
        if not len(samples):
            raise DataError(f"{path.name} has no samples: it lists variants only", party=party)
        refuse_repeated_people(samples, path, party)
        _refuse_blanks(samples["iid"], "sample names", path, party)
        prefix = folder / _NAME
        rows: list[tuple[str, int, str, str, str]] = []
        with sibling(prefix, ".bed").open("wb") as bed:
            bed.write(b"\x6c\x1b\x01")
            for calls in _blocks(reader, rows, len(samples), path, party):
                bed.write(write_bed(calls))
    finally:
        reader.close()
    if not rows:
        raise DataError(f"{path.name} has no variants", party=party)
    variants = pd.DataFrame(rows, columns=["chrom", "pos", "id", "ref", "alt"])
    check_variants(variants, path, party)
    bim = variants.assign(cm="0")[["chrom", "id", "cm", "pos", "alt", "ref"]]
    bim.to_csv(sibling(prefix, ".bim"), sep="\t", header=False, index=False)
    fam = samples.assign(father="0", mother="0", sex="0", phenotype="-9")
    fam.to_csv(sibling(prefix, ".fam"), sep="\t", header=False, index=False)


def _reader(path: Path, party: str) -> Any:
    try:
        import cyvcf2
    except ImportError:
        raise ConfigurationError(
            f"{path.name}: reading VCF and BCF files needs the package cyvcf2, which is not installed",
            party=party,
            hint="pip install 'mpcstats[vcf]'",
        ) from None
    try:
        return cyvcf2.VCF(str(path))
    except Exception:
        raise DataError(f"{path.name} is not a readable VCF or BCF file", party=party) from None


def _blocks(reader: Any, rows: list[Any], people: int, path: Path, party: str) -> Iterator[NDArray[np.int8]]:
    """Copies of ALT (variants, people), block by block; the variants are appended to `rows`."""
    several = without = 0
    block: list[NDArray[np.int8]] = []
    for variant in _records(reader, path, party):
        if len(variant.ALT) > 1:
            several += 1
            continue
        try:
            genotype = variant.genotype
        except Exception:  # cyvcf2's own kind
            without += 1
            continue
        alt = variant.ALT[0] if variant.ALT else "."
        rows.append((variant.CHROM, variant.POS, variant.ID or ".", variant.REF, alt))
        block.append(_copies(genotype.array(), len(rows), path, party))
        if len(block) * people >= _BLOCK_BYTES:
            yield np.stack(block)
            block = []
    if several:
        raise DataError(
            f"{path.name}: {several} variants have more than one ALT allele",
            party=party,
            hint=f"one row per ALT allele: bcftools norm -m -any {path.name} -Oz -o split.vcf.gz",
        )
    if without:
        raise DataError(f"{path.name}: {without} variants have no genotypes (FORMAT field GT)", party=party)
    if block:
        yield np.stack(block)


def _records(reader: Any, path: Path, party: str) -> Iterator[Any]:
    try:
        yield from reader
    except Exception:
        raise DataError(f"{path.name} has a line that cannot be read; it may be truncated", party=party) from None


def _copies(alleles: NDArray[np.int16], number: int, path: Path, party: str) -> NDArray[np.int8]:
    """From alleles (people, ploidy + 1): the last column says whether phase is known, -1 is no call, -2 no allele."""
    alleles = alleles[:, :-1]
    if alleles.shape[1] > 2:
        problem = f"{path.name}: variant {number} has calls of {alleles.shape[1]} alleles; people have one or two"
        raise DataError(problem, party=party)
    if alleles.shape[1] == 1:
        alleles = np.repeat(alleles, 2, axis=1)
    first, second = alleles[:, 0], alleles[:, 1]
    second = np.where(second == -2, first, second)
    if max(first.max(), second.max()) > 1:
        raise DataError(f"{path.name}: variant {number} has calls of an allele that is not listed", party=party)
    copies: NDArray[np.int8] = np.where((first < 0) | (second < 0), -1, first + second).astype(np.int8)
    return copies


def _check_end(path: Path, party: str) -> None:
    """Htslib reads a truncated file to its end and says nothing."""
    try:
        with path.open("rb") as file:
            start = file.read(18)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(_BGZF_END)))
            end = file.read()
        blocked = start[:4] == b"\x1f\x8b\x08\x04" and start[12:14] == b"BC"
        if blocked:
            whole = end == _BGZF_END
        elif start[:2] == b"\x1f\x8b":
            whole = _unpacks(path)
        else:
            whole = not start.startswith(b"#") or end.endswith(b"\n")
    except OSError as error:
        unreadable(path, error, party)
    if not whole:
        raise DataError(f"{path.name} is truncated", party=party, hint="copy it again from where it was made")


def _unpacks(path: Path) -> bool:
    try:
        with gzip.open(path) as file:
            while file.read(1 << 20):
                pass
    except (EOFError, zlib.error):
        return False
    return True


def _refuse_blanks(names: pd.Series[Any], what: str, path: Path, party: str) -> None:
    blank = int(names.str.contains(r"\s").sum())
    if blank:
        raise DataError(f"{path.name}: {blank} {what} have blanks in them", party=party)
