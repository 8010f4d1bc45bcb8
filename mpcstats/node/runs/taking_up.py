"""Runs of an approved study as their coordinator starts them: one that broke off is taken up again, where it can be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from mpcstats.errors import JournalMismatch, MpcStatsError, NothingToResume, PeerRefused
from mpcstats.node.runs.coordinator import Errand, coordinate
from mpcstats.node.runs.house import Ended, House
from mpcstats.study.lifecycle import StudyState
from mpcstats.study.missing import check_without, in_order

__all__ = ["Choice", "run_study"]

Choice = Literal["either", "resume", "afresh"]
"""Go on with the run that broke off, if all parties can; that or nothing; a new run, with new keys."""


async def run_study(
    house: House,
    state: StudyState,
    progress: Callable[[str], None],
    *,
    choice: Choice = "either",
    occurrence: str = "",
    without: Sequence[str] = (),
) -> Ended:
    """Compute an approved study with all parties, or all but those that are lost for good: a new run then.

    Raises
    ------
    PartyNeeded, PartyPresent
        The run cannot do without them, or one of them answers another party.
    NothingToResume
        `choice` is "resume", and a party (named) keeps nothing of the run; or none broke off.
    JournalMismatch
        A party's part does not repeat what it was: its journal is an old copy, or its data or software changed.
    MpcStatsError
        See `coordinate`.
    """
    assert house.office is not None
    request, name = state.proposal.lock.request, state.proposal.name
    errand = Errand(state.id, "whole" if state.proposal.lock.release == "auto" else "compute", occurrence)
    if without:
        lost = in_order(state.proposal.lock, without)
        check_without(state.proposal, lost)
        return await coordinate(house, request, progress, replace(errand, without=lost))
    run = None if choice == "afresh" else await asyncio.to_thread(house.office.unfinished.of, state, occurrence)
    if run is None:
        if choice == "resume":
            raise NothingToResume(
                f"no run of study {name} broke off at this party", party=house.name, hint=f"mpcstats study run {name}"
            )
        return await coordinate(house, request, progress, errand)
    progress("going on with the run that broke off")
    known = state.runs.get(run)
    lost = () if known is None else known.without
    try:
        return await coordinate(house, request, progress, replace(errand, resume=run, without=lost))
    except MpcStatsError as error:
        code, hint = _code(error), f"mpcstats study run {name} --afresh"
        if code == JournalMismatch.code:
            raise JournalMismatch(error.message, party=error.party, hint=hint) from None
        if code != NothingToResume.code:
            raise
        if choice == "resume":
            raise NothingToResume(
                f"keeps nothing of run {run[:12]}, so that it cannot be gone on with", party=error.party, hint=hint
            ) from None
        house.log.info("begins_afresh", run=run, study=state.id, party=error.party or "")
        progress(f"{error.party} keeps nothing of that run: beginning afresh")
    return await coordinate(house, request, progress, errand)


def _code(error: MpcStatsError) -> str:
    """Of the error where it arose."""
    return error.reason_code if isinstance(error, PeerRefused) else error.code
