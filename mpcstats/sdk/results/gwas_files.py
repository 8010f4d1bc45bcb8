"""Files that other tools read: summary statistics in the GWAS catalog's format, and a log of all options in effect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mpcstats.stats.outcome import Outcome
from mpcstats.version import __version__

__all__ = ["SSF_COLUMNS", "write_gwas_ssf", "write_log"]

SSF_COLUMNS = (
    "chromosome",
    "base_pair_location",
    "effect_allele",
    "other_allele",
    "beta",
    "standard_error",
    "effect_allele_frequency",
    "neg_log_10_p_value",
    "variant_id",
    "rsid",
    "n",
)
"""GWAS-SSF 1.0 (Hayhurst et al. 2022): mandatory columns first, in their order; p as -log10: it does not underflow."""


def write_gwas_ssf(table: pd.DataFrame, path: Path) -> Path:
    """Write variants with a result as GWAS-SSF, sorted as the format asks for; allele frequencies are not released: NA.
    The effect of a logistic regression is the log odds ratio.

    Parameters
    ----------
    table : DataFrame
        With PLINK 2 columns and LOG10_P.
    path : Path
        Compressed when it ends with .gz.
    """
    found, logistic = table[table["ERRCODE"] == "."], "OR" in table.columns
    a1_is_alt = (found["A1"] == found["ALT"]).to_numpy()
    ids = found["ID"].astype(str)
    frame = pd.DataFrame(
        {
            "chromosome": _chromosomes(found["#CHROM"]),
            "base_pair_location": found["POS"].to_numpy(np.int64),
            "effect_allele": found["A1"].to_numpy(),
            "other_allele": np.where(a1_is_alt, found["REF"], found["ALT"]),
            "beta": np.log(found["OR"].to_numpy()) if logistic else found["BETA"].to_numpy(),
            "standard_error": found["LOG(OR)_SE" if logistic else "SE"].to_numpy(),
            "effect_allele_frequency": np.nan,
            "neg_log_10_p_value": found["LOG10_P"].to_numpy(),
            "variant_id": [
                f"{chrom}_{pos}_{ref}_{alt}"
                for chrom, pos, ref, alt in zip(found["#CHROM"], found["POS"], found["REF"], found["ALT"], strict=True)
            ],
            "rsid": ids.where(ids.str.fullmatch(r"rs\d+"), "NA").to_numpy(),
            "n": found["OBS_CT"].to_numpy(np.int64),
        },
        columns=list(SSF_COLUMNS),
    )
    frame = frame.sort_values(["chromosome", "base_pair_location"], kind="stable")
    frame.to_csv(path, sep="\t", index=False, na_rep="NA", lineterminator="\n")
    return path


def _chromosomes(names: pd.Series[Any]) -> Any:
    """Numbers; the format counts X, Y and MT as 23, 24 and 25."""
    text = names.astype(str).str.removeprefix("chr").str.upper()
    return pd.to_numeric(text.replace({"X": "23", "Y": "24", "MT": "25", "M": "25"}), errors="coerce").astype("Int64")


def write_log(outcome: Outcome, files: list[Path], path: Path) -> Path:
    """Write what was asked, with every option in effect, what was found, and what it cost."""
    run = outcome.run
    lines = [f"mpcstats {__version__}: {outcome.analysis}", "", "Options in effect:"]
    lines += [f"  {name} = {json.dumps(value)}" for name, value in sorted(run.get("request", {}).items())]
    lines += ["", "Rules in effect:"]
    lines += [
        f"  {name} = {json.dumps(rule['value'])} ({rule['owner']})" for name, rule in run.get("rules", {}).items()
    ]
    lines += ["", *(f"{name}: {text}" for name, text in outcome.conventions.items())]
    lines += [f"{name} = {json.dumps(value)}" for name, value in outcome.values.items()]
    lines += [f"withheld: {text}" for text in outcome.withheld]
    facts = ("parties", "data_parties", "rounds", "bytes_sent", "seconds", "study_digest", "openings_digest")
    lines += ["", *(f"{name}: {json.dumps(run[name])}" for name in facts if name in run)]
    lines += ["", *(f"wrote {file.name}" for file in files)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
