"""Runs in two phases: computed and sealed first, released later, if every party does.

While it computes, a run stops before the first opening of a result. What each party keeps is its journal: that is its
shares. To release, every party replays its part from its journal, and the openings of results follow live.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from mpcstats.errors import ConfigurationError, Divergence, JournalMismatch
from mpcstats.node.ledger.releases import Account, Entry, ReleaseLedger
from mpcstats.runtime import Manifest, Session
from mpcstats.study.spec import canonical_json
from mpcstats.transport.journal import Journal
from mpcstats.transport.journaled import JournaledChannel

__all__ = ["LedgerOfRun", "Phase", "SealedRun", "check_sealed", "seal", "sealed_run", "withdraw"]

Phase = Literal["whole", "compute", "release"]
"""All at once; up to the first result; from the journal of that, and on."""

_SEALED, _RELEASING = "sealed", "releasing"


@dataclass(frozen=True)
class SealedRun:
    """A run that was computed and waits to be released. It tells no more than that its decisions let it go on.

    Attributes
    ----------
    study_digest : str
        Hex.
    before : str or None
        The result whose opening the run waits before; None: it opens none.
    decisions : tuple of str
        Names of the bits that were opened; all of them let the run go on.
    manifest : Manifest
        What was declared so far.
    rounds, bytes_sent : int
        Of this party so far.
    masked_openings : int
    kappa_total : float or None
    journal : str
        Digest of this party's journal (hex): `FileJournal.open` checks that it reaches as far.
    """

    study_digest: str
    before: str | None
    decisions: tuple[str, ...]
    manifest: Manifest
    rounds: int
    bytes_sent: int
    masked_openings: int
    kappa_total: float | None
    journal: str = ""


class LedgerOfRun(ReleaseLedger):
    """The ledger of released counts as a run with a journal sees it: as it was when the run began, in every attempt.

    The entry of a run that is to be sealed is written with the seal (`remember`), not before: a run that is
    refused leaves none.
    """

    def __init__(self, ledger: ReleaseLedger, journal: Journal, phase: Phase) -> None:
        # the same file; what is not said here, the ledger says
        self.__dict__.update(vars(ledger))
        self._journal, self._late, self._new = journal, phase == "compute", list[Entry]()

    def entries(self, dataset: str) -> list[Entry]:
        """See `ReleaseLedger.entries`.

        Raises
        ------
        ConfigurationError
            A release that was there when the run began is not there any more.
        """
        now = super().entries(dataset)
        noted = self._journal.noted(f"released/{dataset}")
        if noted is None:
            plain = [[known.id, known.release.shown] for known in now]
            self._journal.note(f"released/{dataset}", json.dumps(plain).encode())
            return now
        entries = {known.id: known for known in now}
        then = json.loads(noted)
        if not {identity for identity, _ in then} <= entries.keys():
            raise ConfigurationError(
                "the ledger of released counts lacks a release that it had when this run began",
                party=self._party,
                hint="restore state/released.sqlite from a backup",
            )
        return [_as_shown(entries[identity], shown) for identity, shown in then]

    def account(self, dataset: str, budget: Fraction | None) -> Account:
        """See `ReleaseLedger.account`: what the other parties were told when the run began."""
        noted = self._journal.noted(f"account/{dataset}")
        if noted is None:
            now = super().account(dataset, budget)
            plain = [str(now.used), None if budget is None else str(budget), now.now]
            self._journal.note(f"account/{dataset}", json.dumps(plain).encode())
            return now
        used, most, at = json.loads(noted)
        return Account(Fraction(used), None if most is None else Fraction(most), at)

    def begin(self, entry: Entry) -> None:
        """See `ReleaseLedger.begin`; an earlier attempt of this run may have entered it."""
        self._new.append(entry)
        if not self._late:
            self.remember()

    def remember(self) -> None:
        """Write what `begin` kept back."""
        for entry in self._new:
            if all(known.id != entry.id for known in super().entries(entry.dataset)):
                super().begin(entry)
        self._new.clear()


def _as_shown(entry: Entry, shown: list[bool] | None) -> Entry:
    return replace(entry, release=replace(entry.release, shown=None if shown is None else tuple(shown)))


def sealed_run(session: Session, study_digest: bytes, before: str | None) -> SealedRun:
    """What is known of a run that stopped before its results."""
    accounts, opened = session.accounts, session.openings.manifest.values()
    assert not any(entry.values for entry in opened if entry.kind == "result")
    return SealedRun(
        study_digest.hex(),
        before,
        tuple(entry.name for entry in opened if entry.values),
        Manifest.of(session.openings),
        accounts.rounds,
        sum(accounts.bytes_sent.values()),
        accounts.masked_openings,
        session.kappa_total,
    )


async def seal(channel: JournaledChannel, journal: Journal, ledger: LedgerOfRun | None, run: SealedRun) -> SealedRun:
    """Keep a computed run, and hear that every other party keeps it at the same place.

    Raises
    ------
    Divergence
        A party stopped elsewhere.
    JournalMismatch
        It was sealed before, elsewhere.
    """
    plain = [run.study_digest, run.before, list(run.decisions), run.manifest.to_plain()]
    state = hashlib.sha256(b"mpcstats/v1/sealed" + canonical_json(plain)).digest()
    if ledger is not None:
        ledger.remember()
    noted = journal.noted(_SEALED)
    if noted is None:
        journal.note(_SEALED, state)
    elif noted != state:
        raise JournalMismatch("the run was sealed before, at another place", party=channel.parties[channel.index - 1])
    digest = journal.seal()
    for j, theirs in (await channel.part(state)).items():
        if theirs != state:
            raise Divergence("stopped at another result than this party", party=channel.parties[j - 1])
    return replace(run, journal=digest.hex())


def check_sealed(journal: Journal, party: str) -> None:
    """Before a release: the journal must be that of a sealed run. From here on, results may have left.

    Raises
    ------
    JournalMismatch
        The run was not sealed.
    """
    if journal.noted(_SEALED) is None:
        raise JournalMismatch("the run was not computed to its end: there is nothing to release", party=party)
    if journal.noted(_RELEASING) is None:
        journal.note(_RELEASING, b"")
        journal.seal()


def withdraw(journal: Journal, ledger: ReleaseLedger | None, study_digest: bytes) -> bool:
    """Forget a computed run that is never to be released: its journal, and its entry in the ledger of released counts.

    Returns
    -------
    bool
        Whether the entry went, too. It stays where this party has once begun to release: shares of results may have
        left then. Before that no honest party sent any, because a release begins with word of all parties.
    """
    untouched = journal.noted(_RELEASING) is None
    if untouched and ledger is not None:
        ledger.withdraw(study_digest.hex())
    journal.discard()
    return untouched
