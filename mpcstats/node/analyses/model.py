"""What regressions of times on covariates do with the table of a site: complete rows, times, columns of the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.node.analyses.survival import Lattice, lattice_times
from mpcstats.node.records.checks import check_records
from mpcstats.node.records.rows import positions, refuse_missing, refuse_several_rows_per_person, selected_rows
from mpcstats.node.records.source import Records
from mpcstats.study.analyses.cox import CoxSpec
from mpcstats.study.analyses.fine_gray import FineGraySpec
from mpcstats.study.analyses.model import model_columns
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import columns_used

__all__ = ["ModelRows", "design", "model_rows"]


@dataclass(frozen=True)
class ModelRows:
    """The rows of one site's table.

    Attributes
    ----------
    frame : DataFrame
        Checked columns, all rows.
    selected, complete : bool (rows,)
        Rows that `where` selects, and those of them that lack no covariate, nor another column the model needs.
    time : int64 (rows,)
        On the lattice; 0 where missing.
    """

    frame: pd.DataFrame
    selected: NDArray[np.bool_]
    complete: NDArray[np.bool_]
    time: NDArray[np.int64]


def model_rows(
    spec: CoxSpec | FineGraySpec,
    plan: Lattice,
    records: Records,
    dictionary: Dictionary,
    party: str,
    *,
    needed: tuple[str, ...],
    use: str,
) -> ModelRows:
    """Select and check the rows of a model; `use` is the analysis, for errors.

    Parameters
    ----------
    needed : names
        Columns without which a table is refused, or a row is dropped, as `missing` says.

    Raises
    ------
    DataError
        A missing value, a person with several rows, a time off the lattice. Depends on the whole table.
    """
    frame = check_records(records, dictionary, columns_used(spec), party)
    selected = selected_rows(spec.where, frame)
    complete = selected & frame[list(spec.covariates)].notna().all(axis=1).to_numpy()
    for name in needed:
        if spec.missing == "refuse":
            refuse_missing(frame, name, party)
        complete &= frame[name].notna().to_numpy()
    refuse_several_rows_per_person(records, dictionary, use, party)
    time = lattice_times(frame[spec.time].to_numpy(dtype=np.float64), plan, spec.time, party)
    return ModelRows(frame, selected, complete, time)


def design(frame: pd.DataFrame, spec: CoxSpec | FineGraySpec, dictionary: Dictionary) -> NDArray[np.float64]:
    """The columns of the model: (people, columns)."""
    columns = [
        frame[column.source].to_numpy(dtype=np.float64)
        if column.level is None
        else (positions(frame[column.source], (column.level,)) == 0).astype(np.float64)
        for column in model_columns(spec.covariates, spec.factors, dictionary)
    ]
    return np.stack(columns, axis=1)
