"""What analyses of numeric columns in groups do with the table of a site: selected rows, values, groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.node.records.checks import check_records
from mpcstats.node.records.rows import Preparation, positions, refuse_several_rows_per_person, report, selected_rows
from mpcstats.node.records.source import Records
from mpcstats.stats.contributions import Level
from mpcstats.stats.contributions.values import ValuesContribution, ValuesPlan
from mpcstats.study.dictionary import Dictionary

__all__ = ["groups_of_rows", "prepare_values"]


def prepare_values(
    plan: ValuesPlan,
    where: str | None,
    columns: tuple[str, ...],
    records: Records,
    dictionary: Dictionary,
    party: str,
    use: str,
) -> tuple[ValuesContribution, Preparation]:
    """Rows that `where` selects and that have a group; `columns` are all that the request reads."""
    frame = check_records(records, dictionary, columns, party)
    refuse_several_rows_per_person(records, dictionary, use, party)
    selected = selected_rows(where, frame)
    group = groups_of_rows(frame, plan.by, plan.levels)
    complete = selected & (group >= 0)
    values = np.stack([frame[name].to_numpy(dtype=np.float64)[complete] for name in plan.columns])
    return ValuesContribution(values, group[complete], plan.groups), report(selected, complete)


def groups_of_rows(
    frame: pd.DataFrame, by: tuple[str, ...], levels: tuple[tuple[Level, ...], ...]
) -> NDArray[np.int64]:
    """The group of each row; -1 where a column of it is missing."""
    group, known = np.zeros(len(frame), dtype=np.int64), np.ones(len(frame), dtype=np.bool_)
    for name, axis in zip(by, levels, strict=True):
        place = positions(frame[name], axis)
        group, known = group * len(axis) + place, known & (place >= 0)
    return np.where(known, group, -1)
