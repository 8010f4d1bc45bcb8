"""What a node keeps of the runs of studies until their results are out at all parties: its journal, which is its
shares, and a copy of the table that they are computed from. Both go when the results are out, or will never be."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from mpcstats.errors import MpcStatsError
from mpcstats.node.ledger.releases import ReleaseLedger
from mpcstats.node.runs.journal import FileJournal, storage_key
from mpcstats.node.runs.sealing import withdraw

__all__ = ["Vault"]


class Vault:
    """The unfinished and the sealed runs of one party.

    Parameters
    ----------
    directory : Path
        The party's directory; keys/storage.key is in it.
    state : Path
        Folder of the node's state.
    party : str
    """

    def __init__(self, directory: Path, state: Path, party: str) -> None:
        self._directory, self._sealed, self._party = directory, state / "sealed", party

    def journal(self, run: str, sealed: str = "") -> FileJournal:
        """The journal of a run, begun or gone on with.

        Parameters
        ----------
        run : str
            Id (hex).
        sealed : str
            Digest (hex) that the journal had when the run was sealed: it must reach as far.

        Raises
        ------
        JournalMismatch, ConfigurationError
            See `FileJournal.open`.
        """
        key, until = storage_key(self._directory), bytes.fromhex(sealed) or None
        return FileJournal.open(self._journal(run), key, bytes.fromhex(run), party=self._party, sealed=until)

    def has(self, run: str) -> bool:
        """Whether there is a journal of a run."""
        return self._journal(run).exists()

    def last_used(self, run: str) -> float:
        """When something was last written about a run (seconds since 1970)."""
        folder, journal = self._folder(run), self._journal(run)
        return (journal if journal.exists() else folder).stat().st_mtime

    def snapshot(self, run: str) -> Path:
        """Folder for the table that a run is computed from."""
        return self._folder(run) / "data"

    def forget(self, run: str, ledger: ReleaseLedger | None = None, session: str = "") -> None:
        """Delete everything of a run; its journal so that it cannot be read again.

        Parameters
        ----------
        ledger : ReleaseLedger, optional
            Of a run that will never be released: its entry among the released counts goes, too.
        session : str
            Digest (hex) under which the run was computed, which names that entry.
        """
        folder = self._folder(run)
        if not folder.exists():
            return
        path = self._journal(run)
        if ledger is not None and session and path.exists():
            with contextlib.suppress(MpcStatsError):  # a damaged one goes, too; its entry stays, which is the safe side
                withdraw(self.journal(run), ledger, bytes.fromhex(session))
        FileJournal.remove(path)
        shutil.rmtree(folder, ignore_errors=True)

    def runs(self) -> list[str]:
        """Ids of the runs there is something of."""
        return sorted(path.name for path in self._sealed.glob("*/"))

    def _journal(self, run: str) -> Path:
        return self._folder(run) / "run.journal"

    def _folder(self, run: str) -> Path:
        assert run.isalnum()  # a hexadecimal id, checked where it came in
        return self._sealed / run
