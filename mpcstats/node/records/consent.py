"""Consent, applied before anything else sees a row: `[datasets.NAME.consent]` of `party.toml`.

    [datasets.main.consent]
    column = "research_consent"      # of the table as it is, before any renaming
    allow = ["yes", "broad"]         # rows with another value, or with none, are left out

The rows that are left out have no part in any check, count or id. How many they are is for the owner's own log.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from mpcstats.errors import DataError
from mpcstats.study.canonical import document_digest
from mpcstats.study.values import as_text

__all__ = ["Consent", "code_text"]


class Consent(BaseModel):
    """Which rows may be used.

    Attributes
    ----------
    column : str
        Column of the table as the party has it; it need not be in the data dictionary.
    allow : tuple
        Values that allow the use: text, whole numbers, true or false.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    column: str = Field(min_length=1, max_length=256)
    allow: tuple[StrictBool | StrictInt | str, ...] = Field(min_length=1, max_length=1000)

    def allowed(self, cells: pd.Series[Any]) -> NDArray[np.bool_]:
        """The rows (bool, one per row) whose value allows the use; a missing value does not."""
        texts = code_text(cells)
        known = {text for text in code_text(pd.Series(list(self.allow), dtype=object)) if text is not None}
        codes, found = pd.factorize(pd.Series(texts, dtype=object))
        fine = np.array(
            [*(text in known for text in found), False], dtype=np.bool_
        )  # the last one for code -1, missing
        return fine[codes]

    def require_column(self, names: list[str], where: str, party: str) -> None:
        """Refuse a table without the column.

        Raises
        ------
        DataError
            It has none: nothing is used without consent.
        """
        if self.column not in names:
            raise DataError(
                f"{where} has no column {self.column!r}, which says who consented: no row may be used",
                party=party,
                hint="correct [datasets.NAME.consent] in party.toml, or the table",
            )

    @property
    def digest(self) -> str:
        """SHA-256 of the rule (hex)."""
        return document_digest("consent", self.model_dump(mode="json")).hex()


def code_text(cells: pd.Series[Any]) -> NDArray[np.object_]:
    """Codes as text: 1 and 1.0 are "1", true, True and TRUE are "true"; missing is None."""
    texts = as_text(cells)
    codes, found = pd.factorize(pd.Series(texts, dtype=object))
    plain = [text.casefold() if text.casefold() in {"true", "false"} else text for text in found]
    return np.array([*plain, None], dtype=object)[codes]
