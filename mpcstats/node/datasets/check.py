"""A data set against a data dictionary: everything that an analysis would refuse later, found now, at its owner.

Findings have names of columns and numbers of rows. Of ids they have formats ("AA9999"), never an id.

Codes: E2100 other, E2101 column absent, E2102 type, E2103 range, E2104 code without meaning, E2105 resolution, E2106
missing, E2107 id, E2108 rows per person, E2109 genotypes, E2110 unit, E2111 the data set cannot be read.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mpcstats.errors import DataError, MpcStatsError
from mpcstats.node.datasets.column_check import Finding, Status, column_findings
from mpcstats.node.records.linkage import match_ids
from mpcstats.node.records.source import Records, load, load_genotypes
from mpcstats.node.settings.config import DatasetConfig, PartyDirectory
from mpcstats.node.site import source_of
from mpcstats.study.dictionary import Dictionary, load_dictionary
from mpcstats.study.values import as_text

__all__ = ["Report", "check_dataset", "id_format"]

_FORMATS = 5
_NAMED = 10
_RUNS = (("9", r"[0-9]+"), ("A", r"[A-Z]+"), ("a", r"[a-z]+"), ("_", r"\s+"))


@dataclass(frozen=True)
class Report:
    """The outcome of a check.

    Attributes
    ----------
    rows : int
        Rows that were looked at.
    dictionary : str
        Digest (hex).
    findings : list of Finding
    """

    rows: int
    dictionary: str
    findings: list[Finding]

    @property
    def problems(self) -> int:
        """Findings that an analysis would refuse."""
        return sum(finding.status == "problem" for finding in self.findings)

    def to_plain(self) -> dict[str, Any]:
        """For --json."""
        found = [asdict(finding) for finding in self.findings]
        return {"rows": self.rows, "dictionary": self.dictionary, "problems": self.problems, "findings": found}


def check_dataset(directory: PartyDirectory, name: str, against: Path | None = None) -> Report:
    """Check a data set.

    Parameters
    ----------
    against : Path, optional
        Another dictionary than the data set's own.

    Raises
    ------
    ConfigurationError, SpecError
        There is no such data set, or no usable dictionary.
    """
    config, party = directory.dataset(name), directory.config.name
    dictionary = load_dictionary(against or config.dictionary)
    digest = dictionary.digest().hex()
    try:
        # what is wrong with ids and genotypes is found below, all of it
        source = replace(source_of(config), genotypes=None, variants=None)
        records = load(source, party, dictionary, check_ids=False)
    except MpcStatsError as error:
        return Report(0, digest, [_failure(error, "E2111")])
    findings = [*_consent(records, config), *_columns(records, dictionary, party), *_units(dictionary)]
    findings += [*_ids(records, config), *_people(records, dictionary)]
    if config.genotypes is not None:
        findings += _genotypes(directory, config, dictionary, party)
    return Report(records.rows, digest, findings)


def id_format(text: str) -> str:
    """The form of an id: runs of digits, capital and small letters and white space as 9, A, a, _, with their lengths.

    "NA12878" has the form "A{2}9{5}".
    """
    parts: list[str] = []
    rest = text
    while rest and len(parts) < 20:
        for sign, pattern in _RUNS:
            match = re.match(pattern, rest)
            if match is not None:
                length = match.end()
                parts.append(sign if length == 1 else f"{sign}{{{length}}}")
                break
        else:
            length = 1
            parts.append(rest[0] if rest[0] in "-_./:|#" else "?")
        rest = rest[length:]
    return "".join(parts) + ("..." if rest else "")


def _failure(error: MpcStatsError, code: str) -> Finding:
    return Finding("problem", error.message, code, hint=error.hint or "")


def _consent(records: Records, config: DatasetConfig) -> Iterable[Finding]:
    if config.consent is None:
        return
    left_out = records.without_consent
    yield Finding("ok", f"consent: {left_out:,} rows left out, {records.rows:,} rows may be used", rows=left_out)


def _columns(records: Records, dictionary: Dictionary, party: str) -> Iterable[Finding]:
    """Columns that are absent, or hold what they may not; then those that are fine, in one line."""
    fine = 0
    for column in dictionary.columns:
        if column.name not in records.names:
            near = difflib.get_close_matches(column.name, records.names, n=1)
            hint = f'{near[0]} = "{column.name}" in mapping.toml, [columns]?' if near else "add it, or map its own name"
            yield Finding("problem", f"{column.title} is not in the table", "E2101", column.name, hint=hint)
            continue
        found = column_findings(records, dictionary, column.name, party)
        fine += not found
        yield from found
    yield Finding("ok", f"{fine} of {len(dictionary.columns)} columns are as the dictionary says")
    unknown = [name for name in records.names if name not in dictionary.names]
    if unknown:
        named = ", ".join(unknown[:_NAMED]) + (", ..." if len(unknown) > _NAMED else "")
        yield Finding("ok", f"{len(unknown)} columns are not in the dictionary and will never be read: {named}")


def _units(dictionary: Dictionary) -> Iterable[Finding]:
    measured = [column for column in dictionary.columns if column.is_number and column.levels is None]
    without = [column.name for column in measured if column.unit in {"", "?"}]
    if without:
        named = ", ".join(without[:_NAMED]) + (", ..." if len(without) > _NAMED else "")
        yield Finding(
            "warning",
            f"{len(without)} of {len(measured)} numeric columns have no unit in the dictionary: {named}",
            "E2110",
            hint='unit = "..." in UCUM, so that no institution delivers another one ("1" for a pure number)',
        )
    elif measured:
        yield Finding("ok", f"units: all {len(measured)} numeric columns have one")


def _ids(records: Records, config: DatasetConfig) -> Iterable[Finding]:
    """The column that identifies the rows."""
    if config.id is None:
        return
    ids = pd.Series(as_text(records.columns([config.id])[config.id]), dtype=object)
    missing, repeated = int(ids.isna().sum()), int(ids.dropna().duplicated(keep=False).sum())
    if missing:
        yield Finding("problem", f"{missing:,} rows have no id in column {config.id!r}", "E2107", config.id, missing)
    if repeated:
        what = f"{repeated:,} rows share their id of column {config.id!r} with another row"
        hint = "keep one row per person; for several rows per person use unit_of_count in the dictionary, not id"
        yield Finding("problem", what, "E2107", config.id, repeated, hint)
    if not missing and not repeated:
        yield Finding("ok", f"ids: no row lacks one, none is repeated ({_formats(ids)})")


def _people(records: Records, dictionary: Dictionary) -> Iterable[Finding]:
    """Rows per person."""
    name = dictionary.unit_of_count
    if name is None or name not in records.names:
        return
    people = pd.Series(as_text(records.columns([name])[name]), dtype=object)
    missing = int(people.isna().sum())
    if missing:
        yield Finding(
            "problem", f"{missing:,} rows have no person in column {name!r} (unit_of_count)", "E2108", name, missing
        )
    rows = people.value_counts()
    several = int((rows > 1).sum())
    if several:
        what = f"{several:,} of {len(rows):,} people have more than one row"
        hint = "counts count people; regressions and survival need a data set with one row per person"
        yield Finding("warning", what, "E2108", name, int(rows[rows > 1].sum()), hint)
    elif not missing:
        yield Finding("ok", f"people: {len(rows):,}, one row each")


def _genotypes(
    directory: PartyDirectory, config: DatasetConfig, dictionary: Dictionary, party: str
) -> Iterable[Finding]:
    """Genotype files, and how their ids fit the table's."""
    try:
        genotypes, _ = load_genotypes(source_of(config), party, directory.genotype_cache)
        assert genotypes is not None
        records = load(source_of(config), party, dictionary, directory.genotype_cache)
        match = match_ids(records, genotypes, party)
    except DataError as error:
        yield _failure(error, "E2109")
        return
    linked = match.samples >= 0
    yield Finding("ok", f"genotypes: {len(genotypes.samples):,} people, {len(genotypes.variants):,} variants")
    matched, unmatched = int(linked.sum()), int((~linked).sum())
    absent = len(match.sample_ids) - len(np.unique(match.samples[linked]))
    families = isinstance(match.row_ids, pd.MultiIndex)
    by = "FID and IID together" if families else f"column {records.id_column!r} and the individual id"
    what = f"ids ({by}): {matched:,} rows matched, {unmatched:,} without genotypes, {absent:,} samples without a row"
    if not unmatched and not absent:
        yield Finding("ok", what)
        return
    taken = np.zeros(len(match.sample_ids), dtype=np.bool_)
    taken[match.samples[linked]] = True
    hint = (
        f"forms of unmatched ids: {_formats(match.row_ids[~linked])} in the table, "
        f"{_formats(match.sample_ids[~taken])} in {genotypes.sample_file}"
    )
    if match.nearly:
        hint += f"; {match.nearly:,} rows would match but for letter case, leading zeros or the family id"
    status: Status = "warning" if matched else "problem"
    yield Finding(status, what, "E2109", records.id_column or "", unmatched + absent, hint)


def _formats(ids: Iterable[Any]) -> str:
    """The first forms in which ids are written."""
    texts = (" ".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in ids if one is not None)
    forms = dict.fromkeys(id_format(text) for text in itertools.islice(texts, 100_000))
    shown = list(forms)[:_FORMATS]
    return " ".join(shown) + (f" and {len(forms) - _FORMATS} more" if len(forms) > _FORMATS else "") or "none"
