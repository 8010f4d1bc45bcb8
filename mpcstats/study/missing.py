"""Runs without a party that is lost for good: when that is possible, and what every other party must have said.

Who holds data of a study is part of its question, so only parties that merely compute can be left out. What people
approved (request, rules, plan, manifest, recipients) stays, and so does the threshold: any t parties together learn
nothing, as before. It takes the signed word of every other party, for one run: nobody can leave out a party alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mpcstats.errors import PartyNeeded, SpecError
from mpcstats.study.entries import Entry
from mpcstats.study.lock import Lock, Proposal

__all__ = ["agreed", "can_do_without", "check_without", "in_order", "renounced"]


def in_order(lock: Lock, names: Iterable[str]) -> tuple[str, ...]:
    """Names in the order of the parties, each once.

    Raises
    ------
    SpecError
        One is no party of the study.
    """
    wanted = set(names)
    strangers = sorted(wanted - set(lock.parties))
    if strangers:
        raise SpecError(f"{strangers[0][:64]!r} is no party of the study", hint=f"parties: {', '.join(lock.parties)}")
    return tuple(name for name in lock.parties if name in wanted)


def check_without(proposal: Proposal, without: Sequence[str]) -> None:
    """Whether a run of a study can do without these parties.

    Raises
    ------
    PartyNeeded
        One has data in the study, is the only recipient, or too few members are left; with the numbers.
    SpecError
        Strangers, names out of order; or the study has a schedule.
    """
    lock = proposal.lock
    if tuple(without) != in_order(lock, without):
        raise SpecError("the parties that a run is without must be named once each, in their order")
    if proposal.schedule is not None:
        raise SpecError(
            f"study {proposal.name} has a schedule: its runs need all parties",
            hint="mpcstats consortium change removes a party; then plan and propose the study again",
        )
    for name in without:
        if name in lock.data_parties:
            raise PartyNeeded(
                f"has data in study {proposal.name} (as have {_others(lock.data_parties, name)}): without them it is "
                "another study",
                party=name,
                hint="mpcstats study run goes on when it is back; or consortium change removes it, and the study is "
                "planned and proposed again",
            )
    _check_members(lock, without)
    if set(lock.recipients) <= set(without):
        raise PartyNeeded("is the only one to whom the result is opened", party=without[0])


def _check_members(lock: Lock, without: Sequence[str]) -> None:
    left, needed = len(set(lock.committee) - set(without)), 2 * lock.threshold + 1
    if left < needed:
        raise PartyNeeded(
            f"cannot be left out: {left} members would be left, and threshold {lock.threshold} needs at least {needed}",
            party=without[0],
            hint="mpcstats study run goes on when it is back; or consortium change replaces it, and the study is "
            "planned and proposed again",
        )


def _others(names: Sequence[str], but: str) -> str:
    return ", ".join(name for name in names if name != but) or "no others"


def agreed(entries: Iterable[Entry], proposal: Proposal) -> dict[str, tuple[str, ...]]:
    """Whom each run is without: those of whom every other party has said so, and who can be left out at all.

    Parameters
    ----------
    entries : entries of the study by its parties, under its roster

    Returns
    -------
    dict of run (hex) to names
        Only runs that are without somebody.
    """
    said: dict[str, dict[str, set[tuple[str, ...]]]] = {}
    for entry in entries:
        run, names = entry.body.get("run"), _named(entry.body.get("without"))
        if entry.action == "missing" and isinstance(run, str):
            said.setdefault(run, {}).setdefault(entry.party, set()).add(names)
    found = {run: _common(by_party, proposal) for run, by_party in said.items()}
    return {run: names for run, names in found.items() if names}


def _named(found: Any) -> tuple[str, ...]:
    """What an entry says, as far as it is a list of names; () of anything else."""
    fine = isinstance(found, list) and all(isinstance(name, str) for name in found)
    return tuple(found) if fine else ()


def _common(by_party: dict[str, set[tuple[str, ...]]], proposal: Proposal) -> tuple[str, ...]:
    """The names that all but the named have said, and nothing else; () where there are none."""
    # a party with data is never left out: all that can be agreed on was said by each of these
    for names in by_party.get(proposal.lock.data_parties[0], ()):
        others = [name for name in proposal.lock.parties if name not in names]
        if names and all(by_party.get(name) == {names} for name in others) and can_do_without(proposal, names):
            return names
    return ()


def can_do_without(proposal: Proposal, names: tuple[str, ...]) -> bool:
    """Whether `check_without` has nothing against it."""
    try:
        check_without(proposal, names)
    except (PartyNeeded, SpecError):
        return False
    return True


def renounced(entries: Iterable[Entry], runs: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[int, str]]:
    """Who has taken back what it computed before: by party the last entry that agreed on another run, and that run.

    A sealed result that counts on a lost party cannot be opened. Who begins again without it does not keep its part.
    """
    return {
        entry.party: (entry.number, str(entry.body["run"]))
        for entry in sorted(entries, key=lambda entry: entry.number)
        if entry.action == "missing" and entry.party not in runs.get(str(entry.body.get("run")), (entry.party,))
    }
