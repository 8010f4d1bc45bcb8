"""One run of one analysis at one party: from an open channel to the released outcome."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mpcstats.errors import ConfigurationError, DisclosureRefused, ProtocolError, SpecError, TransportError
from mpcstats.node.analyses import Run, can_open_to_some, node_analysis_of
from mpcstats.node.analyses.base import AnyNodeAnalysis, ReleasedCells
from mpcstats.node.auditing.certify import Certifying, certify
from mpcstats.node.ledger.check import compare_and_remember, complete, request_digest
from mpcstats.node.ledger.noise_budget import noise_of
from mpcstats.node.ledger.releases import Entry, ReleaseLedger, Snapshot
from mpcstats.node.runs.sealing import LedgerOfRun, Phase, SealedRun, check_sealed, seal, sealed_run
from mpcstats.runtime import Manifest, Sealed, Session, agree_on_keys, confirm, tell_everybody
from mpcstats.sharing.committee import Committee, connected_to, default_committee
from mpcstats.stats.contributions import Contribution, Plan
from mpcstats.stats.differencing import Members, Release
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.joint_noise import JointNoise
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses import analysis_of
from mpcstats.study.spec import AnalysisSpec, digest
from mpcstats.transport.channel import Channel
from mpcstats.transport.journal import Journal
from mpcstats.transport.journaled import JournaledChannel
from mpcstats.types import DisclosureRules
from mpcstats.version import __version__

__all__ = ["execute"]


@overload
async def execute(channel: Channel, *, phase: Literal["whole"] = "whole", **arguments: Any) -> Outcome:
    """All at once."""


@overload
async def execute(channel: Channel, *, phase: Literal["compute"], journal: Journal, **arguments: Any) -> SealedRun:
    """Up to the first result."""


@overload
async def execute(channel: Channel, *, phase: Literal["release"], journal: Journal, **arguments: Any) -> Outcome | None:
    """From the journal, and on."""


async def execute(
    channel: Channel, *, phase: Phase = "whole", journal: Journal | None = None, **arguments: Any
) -> Outcome | SealedRun | None:
    """Take part in one run.

    Parameters
    ----------
    channel : Channel
        Open connections to all parties of the run.
    plan, spec, study_digest, data_parties, rules, rules_owner
        Public and equal at all parties; `study_digest` covers them.
    contribution : Contribution or None
        This party's own numbers; None at a party without data.
    variants : DataFrame or None
        Public variant table of a genetic analysis, for the labels of the result; None at a party without data.
    progress : function of str
    committee : Committee, optional
        The first m parties of the channel compute, the others are guests. Default: all compute, up to seven; else the
        first five (`default_committee`).
    scratch : Path, optional
        Folder for what interrupted runs need not do again; each request has its own in it. Not used with a journal.
    results : Path, optional
        File for a large table of the result.
    ledger : ReleaseLedger, optional
        Where released counts are remembered; at all parties or at none.
    people : function, optional
        This party's people of the request, see `mpcstats.node.records.preparation.people_of`; None without data.
    noise_budget : Fraction, optional
        Epsilon that this party's releases of the data set with noise may use in 365 days; default: no limit.
    approved : Manifest, optional
        What the approvals of the study cover; a run that would open more ends before that.
    certifying : Certifying, optional
        Makes the certificate of what is released, with all parties; at all of them or at none. It is put into
        `run["certificate"]`.
    observe : function of Session, optional
        Given the session before its first round, for whoever wants its accounts even of a run that is refused.
    phase : "whole", "compute" or "release"
        All at once; up to the first result, which stays closed; or what `compute` left, on other connections, with the
        same arguments. The same at all parties.
    journal : Journal, optional
        At all parties or at none, for one `study_digest`. With it, a run that broke off is taken up again by calling
        this again, in either phase. Keep it until the result is released, not longer.

    recipients : tuple of int, optional
        Numbers of the parties that get the results, the same at all parties; default all. The others send their shares
        and see nothing.

    Returns
    -------
    Outcome
        The released result, the same at every recipient, with the account of the run.
    SealedRun
        In the phase "compute".
    None
        At a party that is no recipient.

    Raises
    ------
    SpecError
        `recipients` are not all parties, and the analysis opens values that those who compute must see.
    MpcStatsError
        The caller tells the peers (`channel.abort`).
    JournalMismatch
        The run does not repeat what the journal says; nothing was sent that differs.
    """
    if journal is None:
        if phase != "whole":
            raise ConfigurationError(f"the phase {phase!r} of a run needs a journal")
        return await _take_part(channel, **arguments | {"recipients": _some(channel, arguments)})
    # the journal keeps what an interrupted run need not do again
    arguments |= {"scratch": None, "seed": journal.seed, "sealing": phase == "compute"}
    ledger = arguments.get("ledger")
    if ledger is not None:
        arguments["ledger"] = ledger = LedgerOfRun(ledger, journal, phase)
    if phase == "compute":
        arguments.pop("recipients", None)
    else:
        arguments["recipients"] = _some(channel, arguments)
    if phase == "release":
        check_sealed(journal, channel.parties[channel.index - 1])
    arguments["committee"] = committee = arguments.get("committee") or default_committee(len(channel.parties))
    connected = connected_to(channel.index, len(channel.parties), committee)
    study, attempt = arguments["study_digest"], f"{phase} for {arguments.get('recipients')}".encode()
    async with JournaledChannel.attach(channel, journal, study, peers=connected, attempt=attempt) as journaled:
        outcome = await _take_part(journaled, **arguments)
        return await seal(journaled, journal, ledger, outcome) if isinstance(outcome, SealedRun) else outcome


def _some(channel: Channel, arguments: dict[str, Any]) -> tuple[int, ...] | None:
    """Recipients; None: all parties."""
    recipients: tuple[int, ...] | None = arguments.get("recipients")
    everybody = set(range(1, len(channel.parties) + 1))
    if recipients is None or set(recipients) == everybody:
        return None
    if not recipients or not set(recipients) <= everybody:
        raise SpecError(f"results go to one party or more of the run, not to {recipients}")
    if not can_open_to_some(arguments["spec"], arguments["rules"]):
        raise SpecError(
            f"recipients of {arguments['spec'].type} must be all parties under these rules: intermediate values are "
            "opened to those who compute",
            hint="name all parties as recipients",
        )
    return tuple(recipients)


async def _take_part(
    channel: Channel,
    *,
    spec: AnalysisSpec,
    plan: Plan,
    contribution: Contribution | None,
    study_digest: bytes,
    data_parties: tuple[str, ...],
    rules: DisclosureRules,
    rules_owner: dict[str, str],
    variants: pd.DataFrame | None,
    progress: Callable[[str], None],
    committee: Committee | None = None,
    scratch: Path | None = None,
    results: Path | None = None,
    ledger: ReleaseLedger | None = None,
    people: Callable[[], Snapshot] | None = None,
    noise_budget: Fraction | None = None,
    approved: Manifest | None = None,
    observe: Callable[[Session], None] | None = None,
    certifying: Certifying | None = None,
    seed: bytes | None = None,
    sealing: bool = False,
    recipients: tuple[int, ...] | None = None,
) -> Outcome | SealedRun | None:
    """See `execute`; a SealedRun where results are sealed, None where others get them."""
    committee = committee or default_committee(len(channel.parties))
    ruling = Ruling(rules, rules_owner)
    _check_parties(data_parties, ruling)
    analysis = node_analysis_of(spec)
    _check_noise(analysis, spec, ruling)
    assert isinstance(plan, analysis_of(spec).plan_type)
    assert isinstance(contribution, analysis.contribution | None)
    # a session has no coins before its keys are agreed on
    session = Session(
        channel,
        committee,
        None,  # type: ignore[arg-type]
        kappa=analysis.kappa(spec, plan, len(data_parties)),
        progress=progress,
        approved=approved,
        seal=sealing,
        recipients=recipients,
    )
    if observe is not None:
        observe(session)
    started = time.monotonic()
    await agree_on_keys(session, study_digest, seed)
    dealers = tuple(channel.parties.index(name) + 1 for name in data_parties)
    own_scratch = None if scratch is None else scratch / _request_name(spec, plan, rules, data_parties)
    run = Run(session, spec, plan, contribution, dealers, ruling, variants, results, own_scratch)
    entry, notes = None, list[str]()
    if (released := _remembered(analysis, run)) is not None and ledger is not None:
        new = await _entry(released, run, data_parties, people, study_digest)
        entry, notes = await compare_and_remember(session, ledger, new, dealers, rules, noise_budget)
        run = replace(run, noise=ledger.noise_seed(entry) if rules.noise_scale else None)
    outcome = await _computed(analysis, run, study_digest, sealing)
    if isinstance(outcome, SealedRun):
        return outcome
    await confirm(session)
    account = await _account(session, rules, rules_owner, study_digest) | _noise_account(session, rules, entry)
    account |= {"data_parties": list(data_parties), "request": spec.model_dump(mode="json")}
    # what was shown to some only, the others are not told: the ledger goes by the thresholds
    if outcome is not None and ledger is not None and entry is not None and released is not None and recipients is None:
        complete(ledger, entry, released.shown(plan, outcome).tolist())
    if notes and outcome is not None:
        outcome = replace(outcome, withheld=[*outcome.withheld, *notes])
    if certifying is not None:
        account |= await certify(session, certifying, account, _with_labels(run, outcome))
    account |= {"seconds": time.monotonic() - started}
    return None if outcome is None else replace(outcome, run=account)


def _check_parties(data_parties: tuple[str, ...], ruling: Ruling) -> None:
    needed = ruling.rules.minimum_parties
    if len(data_parties) < needed:
        raise DisclosureRefused(
            f"{len(data_parties)} parties contribute data where {needed} are needed ({ruling.cite('minimum_parties')})"
        )


def _remembered(analysis: AnyNodeAnalysis, run: Run[Any, Any, Any]) -> ReleasedCells[Any, Any] | None:
    """What the ledger remembers of this run; None where small counts may leave, for then there is nothing to protect by
    comparing. Releases with noise are accounted for."""
    rules, released = run.ruling.rules, analysis.released
    if released is None or (rules.minimum_count <= 1 and not rules.noise_scale):
        return None
    return released if released.leaves(run.spec, run.plan, run.ruling) else None


def _check_noise(analysis: AnyNodeAnalysis, spec: AnalysisSpec, ruling: Ruling) -> None:
    """What cannot have noise is not released without it: it would tell what the noise of other results hides."""
    if ruling.rules.noise_scale and not analysis.noisy:
        raise DisclosureRefused(
            f"{spec.type} is not released with noise, which the rules ask for ({ruling.cite('noise_scale')})",
            hint="count and crosstab have noise; or agree on rules without it",
        )


def _noise_account(session: Session, rules: DisclosureRules, entry: Entry | None) -> dict[str, Any]:
    """The noise of the counts, and what it costs every party's budget, once; nothing without noise."""
    if entry is None or entry.spending is None:
        return {}
    noise = JointNoise.of(rules.noise_scale, session.committee)
    return {
        "noise": {
            "distribution": "two-sided geometric",
            "epsilon": str(noise.epsilon),
            "epsilon_of_release": str(entry.spending.epsilon),
            "scale": noise.scale,
            "parts": noise.members,
            "enough": noise.together,
            "standard_deviation": noise.standard_deviation,
        }
    }


def _with_labels(run: Run[Any, Any, Any], outcome: Outcome | None) -> Outcome | None:
    """The result; None at a party that lacks the public table of variants, and numbers them."""
    return outcome if run.variants is not None or not analysis_of(run.spec).needs_genotypes else None


async def _computed(
    analysis: AnyNodeAnalysis, run: Run[Any, Any, Any], study_digest: bytes, sealing: bool
) -> Outcome | SealedRun | None:
    """The outcome; None where this party saw no results."""
    session = run.session
    try:
        outcome = await analysis.run(run)
    except Sealed as sealed:
        return sealed_run(session, study_digest, sealed.name)
    except Exception as error:
        # zeros in place of results may look like anything; what others do wrong stays an error
        if not session.blind or isinstance(error, TransportError | ProtocolError):
            raise
        return None
    if sealing:
        return sealed_run(session, study_digest, None)
    return None if session.blind else outcome


async def _entry(
    released: ReleasedCells[Any, Any],
    run: Run[Any, Any, Any],
    data_parties: tuple[str, ...],
    people: Callable[[], Snapshot] | None,
    study_digest: bytes,
) -> Entry:
    """What the ledger will keep of this run."""
    sets = released.sets(run.plan)
    own = None
    overlapping = False
    if run.own is not None:
        assert people is not None
        # a large table takes a while, and peers must be heard
        own = await asyncio.to_thread(people)
        members = own.members
        families = len(sets)
        overlapping = own.several
        in_sets = Members(np.tile(members.keys, families), sets[:, members.sets].reshape(-1))
        own = replace(own, members=in_sets)
    return Entry(
        id=study_digest.hex(),
        dataset=run.spec.dataset,
        request=request_digest(
            run.spec,
            run.plan,
            run.ruling.rules,
            data_parties,
            noise_of(run.ruling.rules, run.session) if run.ruling.rules.noise_scale else None,
        ),
        parties=data_parties,
        release=Release(
            tuple(len(np.unique(family)) for family in sets),
            overlapping,
            axes=released.axes(run.plan),
            sums=_sums(sets),
        ),
        own=own,
    )


def _sums(sets: NDArray[np.int64]) -> tuple[tuple[int, tuple[int, ...]], ...]:
    """Margins, and the cells that they count."""
    return tuple(
        (int(margin), tuple(map(int, sets[0][family == margin]))) for family in sets[1:] for margin in np.unique(family)
    )


def _request_name(spec: AnalysisSpec, plan: Plan, rules: DisclosureRules, data_parties: tuple[str, ...]) -> str:
    """The same for the same request by the same parties, whenever it is run."""
    plain = {
        "spec": spec.model_dump(mode="json"),
        "plan": asdict(plan),
        "rules": asdict(rules),
        "parties": list(data_parties),
        "version": __version__,
    }
    return digest(plain).hex()[:32]


def _for_some(session: Session) -> dict[str, Any]:
    """Who got the results, and the digest of what only these have seen; nothing where all parties did."""
    if session.recipients is None:
        return {}
    names = [session.name(j) for j in session.recipients]
    return {"recipients": names, "recipients_digest": session.openings.seen_digest.hex()}


async def _account(
    session: Session, rules: DisclosureRules, rules_owner: dict[str, str], study_digest: bytes
) -> dict[str, Any]:
    """What the run opened and cost; the parties tell each other how many bytes they sent."""
    accounts = session.accounts
    total = sum(accounts.bytes_sent.values())
    others = [j for j in range(1, len(session.channel.parties) + 1) if j != session.index]
    told = await tell_everybody(session, total.to_bytes(8, "little"), dict.fromkeys(others, 8))
    sent = {session.name(session.index): total} | {
        session.name(j): int.from_bytes(data, "little") for j, data in told.items()
    }
    return {
        "parties": list(session.channel.parties),
        "committee": list(session.channel.parties[: session.committee.m]),
        "threshold": session.committee.t,
        "rounds": accounts.rounds,
        "bytes_sent": {name: sent[name] for name in session.channel.parties},
        "opened": [
            {"name": entry.name, "values": entry.values, "declared": entry.limit, "kind": entry.kind, "why": entry.why}
            for entry in session.openings.manifest.values()
        ],
        "masked_openings": accounts.masked_openings,
        "kappa_total": session.kappa_total,
        "openings_digest": session.openings.declared_digest.hex(),
        "study_digest": study_digest.hex(),
        **_for_some(session),
        "rules": {name: {"value": value, "owner": rules_owner[name]} for name, value in asdict(rules).items()},
    }
