"""A rehearsal: the whole run in this process, with all parties, on dummy records.

The protocols are oblivious: what is sent, how much and in which order depends on public numbers alone. So a run with
made-up records opens values under the same names, takes as many rounds and sends as many bytes as the run that is
planned, except where opened values decide how it goes on (see `mpcstats.node.planning.steering`). Everything between
key agreement and the last account is the code of a real run (`execute`); nothing is read from this party's records, and
nothing leaves the process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from mpcstats.errors import DisclosureRefused
from mpcstats.node.genotypes.dummy import dummy_genotypes
from mpcstats.node.ledger.releases import Entry, ReleaseLedger, Snapshot
from mpcstats.node.planning.costs import Moment, record
from mpcstats.node.records.preparation import people_of, prepare
from mpcstats.node.records.source import Records
from mpcstats.node.runs.execution import execute
from mpcstats.node.runs.in_process import first_error, in_own_thread
from mpcstats.node.runs.plan_codec import plan_to_plain
from mpcstats.runtime import Session
from mpcstats.sharing.committee import Committee
from mpcstats.stats.contributions import Contribution, Plan
from mpcstats.stats.differencing import Members
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses import analysis_of
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.dummy import WATERMARK, dummy_records, wanted_by
from mpcstats.study.plan import columns_used, make_plan
from mpcstats.study.spec import AnalysisSpec, digest
from mpcstats.study.values import as_numbers
from mpcstats.transport.memory import MemoryNetwork
from mpcstats.types import DisclosureRules

__all__ = ["Rehearsal", "dummy_site", "marked", "rehearse"]


ROWS = 600
"""Dummy people of a party, unless said otherwise."""

PATIENCE = 3600.0
ID = "dummy id"


@dataclass(frozen=True)
class Rehearsal:
    """What a run on dummy records did.

    Attributes
    ----------
    outcome : Outcome or None
        Its result, marked as dummy; None where it was refused.
    refused : str
        Why dummy records were refused; "" where they were not.
    opened : list of dict
        The manifest: name, limit, kind, why, and values (opened).
    rounds, masked_openings : int
    bytes_sent : dict of str to int
        By party.
    kappa_total : float or None
        Bits of statistical security left after all bounded masks.
    seconds : float
        In this process, which does the work of all parties.
    rows : int
        Dummy people of each party with data.
    moments : dict of str to list of Moment
        What each party opened when.
    """

    outcome: Outcome | None
    refused: str
    opened: list[dict[str, Any]]
    rounds: int
    bytes_sent: dict[str, int]
    masked_openings: int
    kappa_total: float | None
    seconds: float
    rows: int
    moments: dict[str, list[Moment]] = field(default_factory=dict)


def rehearse(
    spec: AnalysisSpec,
    dictionary: Dictionary,
    variants: pd.DataFrame | None,
    parties: Sequence[str],
    data_parties: Sequence[str],
    rules: DisclosureRules,
    owners: Mapping[str, str],
    *,
    committee: Committee | None = None,
    rows: int = ROWS,
    earlier: Sequence[Entry] = (),
    recipients: Sequence[str] = (),
    seed: str = "rehearsal",
    complete: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Rehearsal:
    """Run an analysis on dummy records, at all parties.

    Parameters
    ----------
    spec, dictionary
        The request, and what the columns are.
    variants : DataFrame or None
        The study's public list of variants, where the analysis needs genotypes.
    parties : sequence of str
        All parties, in the order of the roster.
    data_parties : sequence of str
        Those with data.
    rules, owners
        The rules in force, and whose they are.
    committee : Committee, optional
        The first m parties compute; see `execute`.
    rows : int
        Dummy people of each party with data, if the request has room for so many. What is sent depends on it only where
        records are shared one by one.
    earlier : sequence of Entry
        Releases that the ledger will compare this one with; of these, sizes are used, people are not.
    recipients : sequence of str
        Parties that get the results; default all.
    seed : str
        Other seeds give other dummy people.
    complete : bool
        No cell that the request reads is missing.

    Returns
    -------
    Rehearsal
        Where the rules refuse a result of dummy people, `refused` says why, and the costs are those up to there.

    Raises
    ------
    SpecError
        The request does not fit the dictionary, or its results cannot go to some parties alone.
    DataError
        It refuses what the dictionary allows.
    """
    tell = progress or (lambda text: None)
    plan = replace(make_plan(spec, dictionary, variants), dictionary=dictionary.digest().hex())
    rows = min(rows, wanted_by(spec).most_rows or rows)
    tell(f"making {rows:,} dummy people for each of {', '.join(data_parties)}")
    sites = {
        name: dummy_site(spec, dictionary, variants, rows, f"{seed}/{name}", name, complete=complete)
        for name in data_parties
    }
    own: dict[str, Contribution] = {}
    people: dict[str, Callable[[], Snapshot] | None] = {}
    for name, records in sites.items():
        own[name] = prepare(spec, plan, records, dictionary, name)
        people[name] = people_of(spec, plan, records, dictionary, name)
    to = tuple(number for number, name in enumerate(parties, start=1) if name in (recipients or parties))
    company = _Company(
        spec, plan, tuple(parties), tuple(data_parties), rules, dict(owners), committee, variants, tell, to
    )
    started = time.monotonic()
    ended, sessions, moments = in_own_thread(company.run(own, people, _ledgers(parties, earlier, people)))
    named = {company.parties[i - 1]: each for i, each in moments.items()}
    return replace(_report(company, ended, sessions, time.monotonic() - started, rows), moments=named)


def dummy_site(
    spec: AnalysisSpec,
    dictionary: Dictionary,
    variants: pd.DataFrame | None,
    rows: int,
    seed: str,
    party: str,
    *,
    complete: bool = False,
) -> Records:
    """The dummy records of one party, as the analysis would read them."""
    genotypes = analysis_of(spec).needs_genotypes
    id_column = dictionary.unit_of_count or (ID if genotypes or "rows" in type(spec).model_fields else None)
    where = getattr(spec, "where", None)
    wanted = wanted_by(spec)
    if complete:
        wanted = replace(wanted, complete=wanted.complete | set(columns_used(spec)))
    frame = dummy_records(dictionary, rows, seed, wanted, id_column, where)
    if not genotypes:
        return Records(frame, id_column=id_column)
    assert variants is not None
    assert id_column is not None
    ids = [str(one) for one in frame[id_column]]
    phenotype = getattr(spec, "phenotype", None)
    trait = None if phenotype is None else as_numbers(frame[phenotype])
    return Records(frame, dummy_genotypes(ids, variants, party, seed, trait), id_column, None, variants)


def _ledgers(
    parties: Sequence[str], earlier: Sequence[Entry], people: Mapping[str, Callable[[], Snapshot] | None]
) -> dict[str, ReleaseLedger]:
    """The ledgers of all parties: earlier releases in their sizes, without people in them, as though all of them could
    be compared."""
    nobody = Members(np.zeros(0, np.uint64), np.zeros(0, np.int64))
    ledgers = {name: ReleaseLedger(None, name) for name in parties}
    now = {name: found() for name, found in people.items() if found is not None} if earlier else {}
    for entry in earlier:
        for name, ledger in ledgers.items():
            held = name in now and name in entry.parties
            ledger.begin(replace(entry, own=replace(now[name], members=nobody) if held else None))
    return ledgers


@dataclass(frozen=True)
class _Company:
    """Who takes part, under which rules."""

    spec: AnalysisSpec
    plan: Plan
    parties: tuple[str, ...]
    data_parties: tuple[str, ...]
    rules: DisclosureRules
    owners: dict[str, str]
    committee: Committee | None
    variants: pd.DataFrame | None
    progress: Callable[[str], None]
    recipients: tuple[int, ...]

    async def run(
        self,
        own: Mapping[str, Contribution],
        people: Mapping[str, Callable[[], Snapshot] | None],
        ledgers: Mapping[str, ReleaseLedger],
    ) -> tuple[list[Outcome | BaseException | None], dict[int, Session], dict[int, list[Moment]]]:
        """Outcome or error of every party, their sessions, and what they opened when."""
        network = MemoryNetwork(self.parties, PATIENCE)
        sessions: dict[int, Session] = {}
        moments: dict[int, list[Moment]] = {}
        plain = {"rehearsal": self.spec.model_dump(mode="json"), "plan": plan_to_plain(self.plan)}
        study = digest(plain | {"parties": list(self.parties)})

        def watch(index: int, session: Session) -> None:
            sessions[index] = session
            moments[index] = record(session)

        async def party(index: int) -> Outcome | None:
            channel = network.channel(index)
            name = self.parties[index - 1]
            try:
                return await execute(
                    channel,
                    spec=self.spec,
                    plan=self.plan,
                    contribution=own.get(name),
                    study_digest=study,
                    data_parties=self.data_parties,
                    rules=self.rules,
                    rules_owner=self.owners,
                    variants=self.variants,
                    progress=self.progress if index == self.recipients[0] else (lambda text: None),
                    committee=self.committee,
                    recipients=self.recipients,
                    ledger=ledgers[name],
                    people=people.get(name),
                    observe=lambda session: watch(index, session),
                )
            except Exception as error:
                await channel.abort(error)
                raise

        everybody = (party(i + 1) for i in range(len(self.parties)))
        return list(await asyncio.gather(*everybody, return_exceptions=True)), sessions, moments


def _report(
    company: _Company,
    ended: list[Outcome | BaseException | None],
    sessions: dict[int, Session],
    seconds: float,
    rows: int,
) -> Rehearsal:
    first = first_error(ended)
    if first is not None and not isinstance(first, DisclosureRefused):
        raise first
    first_recipient = company.recipients[0]
    session, found = sessions[first_recipient], ended[first_recipient - 1]
    outcome = found if isinstance(found, Outcome) else None
    sent = {session.name(i): sum(each.accounts.bytes_sent.values()) for i, each in sessions.items()}
    return Rehearsal(
        outcome=None if outcome is None else marked(outcome),
        refused="" if first is None else first.message,
        opened=[dict(vars(entry)) for entry in session.openings.manifest.values()],
        rounds=session.accounts.rounds,
        # the parties tell each other their accounts in the last round, after they made them
        bytes_sent={name: sent[name] for name in company.parties} if outcome is None else outcome.run["bytes_sent"],
        masked_openings=session.accounts.masked_openings,
        kappa_total=session.kappa_total,
        seconds=seconds,
        rows=rows,
    )


def marked(outcome: Outcome) -> Outcome:
    """The outcome with the watermark of dummy records: in its conventions, and as what is withheld."""
    return replace(
        outcome,
        conventions={"records": WATERMARK, **outcome.conventions},
        withheld=[WATERMARK, *outcome.withheld],
        run=outcome.run | {"dummy": True},
    )
