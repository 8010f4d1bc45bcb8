"""What an operator sees of the ledger of released counts, and what may be deleted in it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mpcstats.errors import ConfigurationError
from mpcstats.node.identity.lockfile import hold_lock
from mpcstats.node.ledger.releases import FORGOTTEN, Entry, ReleaseLedger
from mpcstats.node.records.cells import table_digest
from mpcstats.node.records.source import load
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.site import source_of
from mpcstats.study.dictionary import load_dictionary

__all__ = ["LedgerLine", "ledger_lines", "prune_ledger"]


@dataclass(frozen=True)
class LedgerLine:
    """One release, without its people.

    Attributes
    ----------
    id, dataset, request
        Of the entry; digests in hex.
    parties : tuple of str
        With data.
    cells : int
    released : int or None
        Cells that were shown; None: the run broke off, or its result is not released yet.
    people : int or None
        Of this party, in any cell; None where it has none in the entry.
    known_by : str or None
        The column that tells who is a person; "rows" of the table.
    table : str or None
        Digest of the table.
    epsilon : str or None
        What the release costs of the budget of noise; None: it has no noise.
    """

    id: str
    dataset: str
    request: str
    parties: tuple[str, ...]
    cells: int
    released: int | None
    people: int | None
    known_by: str | None
    table: str | None
    epsilon: str | None = None


def ledger_lines(directory: PartyDirectory) -> list[LedgerLine]:
    """All releases, by data set, oldest first.

    Raises
    ------
    ConfigurationError
        The ledger cannot be read.
    """
    if not directory.ledger_file.exists():
        return []
    ledger = ReleaseLedger(directory.ledger_file, directory.config.name)
    return [_line(entry) for dataset in ledger.datasets() for entry in ledger.entries(dataset)]


def _line(entry: Entry) -> LedgerLine:
    own, shown = entry.own, entry.release.shown
    known = own is not None and own.keyed_by != FORGOTTEN
    return LedgerLine(
        id=entry.id,
        dataset=entry.dataset,
        request=entry.request,
        parties=entry.parties,
        cells=entry.release.sets,
        released=None if shown is None else sum(shown),
        people=len(np.unique(own.members.keys)) if own is not None and known else None,
        known_by=None if own is None else own.keyed_by,
        table=None if own is None else own.content,
        epsilon=None if entry.spending is None else str(entry.spending.epsilon),
    )


def prune_ledger(directory: PartyDirectory) -> dict[str, int]:
    """Delete who was in releases of tables that are gone; how many releases of each data set these are.

    Only where people are known by rows: those can be compared with no other table. Nothing else may be deleted.

    Raises
    ------
    ConfigurationError
        The node runs, or the ledger cannot be used.
    DataError
        A data set cannot be read.
    """
    if not directory.ledger_file.exists():
        return {}
    name = directory.config.name
    with hold_lock(directory.state):
        ledger = ReleaseLedger(directory.ledger_file, name)
        found = {}
        for dataset in ledger.datasets():
            if dataset not in directory.config.datasets:
                raise ConfigurationError(
                    f"there are releases of the data set {dataset!r}, which is not in {directory.config_file}: whether "
                    "its table is gone cannot be told",
                    party=name,
                    hint="list it again, or leave the ledger as it is",
                )
            files = directory.dataset(dataset)
            # as a run reads it: another rule of consent or other codes make another table
            source = replace(source_of(files), genotypes=None, variants=None)
            records = load(source, name, load_dictionary(files.dictionary))
            found[dataset] = ledger.prune(dataset, table_digest(records.source))
        return found
