"""Genotype files of one party behind one protocol: a module per format, calls read in blocks, never all at once."""

from __future__ import annotations

from pathlib import Path

from mpcstats.node.genotypes.base import Genotypes
from mpcstats.node.genotypes.plink1 import open_bed
from mpcstats.node.genotypes.plink2 import open_pgen
from mpcstats.node.genotypes.vcf import VCF_SUFFIXES, open_vcf
from mpcstats.study.variants import variant_digest

__all__ = ["Genotypes", "open_genotypes", "variant_digest"]

_PLINK1 = (".bed", ".bim", ".fam")
_PLINK2 = (".pgen", ".pvar", ".psam", ".pvar.zst")


def open_genotypes(path: Path | str, party: str, cache: Path | None = None) -> Genotypes:
    """Check genotype files and list their people and variants.

    Parameters
    ----------
    path : path
        A prefix of PLINK 1 (bed, bim, fam) or PLINK 2 files (pgen, pvar, psam), or one of these files; a prefix with
        both means the bed file. Or a .vcf, .vcf.gz or .bcf file.
    party : str
        Owner, for errors.
    cache : Path, optional
        Where a VCF file's calls are kept between runs; without it, in a private temporary directory as long as the
        object lives.

    Raises
    ------
    DataError
        A file is missing or malformed, files do not belong together, or people or variants repeat.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(VCF_SUFFIXES):
        return open_vcf(path, party, cache)
    ending = next((ending for ending in (*_PLINK1, *_PLINK2) if name.endswith(ending)), "")
    prefix = path.with_name(path.name[: len(path.name) - len(ending)])
    second = ending in _PLINK2 or (
        ending == ""
        and not prefix.with_name(prefix.name + ".bed").exists()
        and prefix.with_name(prefix.name + ".pgen").exists()
    )
    return open_pgen(prefix, party) if second else open_bed(prefix, party)
