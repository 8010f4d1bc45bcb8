"""One run of one analysis at one party: from an open channel to the released outcome."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pandas as pd

from mpcstats.errors import DisclosureRefused
from mpcstats.runtime import Session, agree_on_keys, confirm
from mpcstats.sharing.committee import Committee, default_threshold
from mpcstats.stats.association.linear import joint_linear_scan, plan_kappa
from mpcstats.stats.contributions import (
    AssociationContribution,
    AssociationPlan,
    Contribution,
    CountContribution,
    CountPlan,
    Plan,
    SurvivalContribution,
    SurvivalPlan,
)
from mpcstats.stats.counts import joint_count
from mpcstats.stats.disclosure import Ruling
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.survival import joint_kaplan_meier, joint_logrank
from mpcstats.study.spec import AnalysisSpec, GwasSpec, KaplanMeierSpec
from mpcstats.transport.channel import Channel
from mpcstats.types import DisclosureRules

__all__ = ["execute"]

KAPPA = 64
"""Bits of one bounded mask where the number of masks is not known to need a choice."""


async def execute(
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
    threshold: int | None = None,
) -> Outcome:
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
    threshold : int, optional
        Default: the largest with an honest majority (1 for four parties).

    Returns
    -------
    Outcome
        The released result, the same at every party, with the account of the run.

    Raises
    ------
    MpcStatsError
        The caller tells the peers (`channel.abort`).
    """
    m = len(channel.parties)
    committee = Committee(m, default_threshold(m) if threshold is None else threshold)
    if len(data_parties) < rules.minimum_parties:
        raise DisclosureRefused(
            f"{len(data_parties)} parties contribute data where {rules.minimum_parties} are needed "
            f"({Ruling(rules, rules_owner).cite('minimum_parties')})"
        )
    kappa = plan_kappa(plan) if isinstance(plan, AssociationPlan) else KAPPA
    # a session has no coins before its keys are agreed on
    session = Session(channel, committee, None, kappa=kappa, progress=progress)  # type: ignore[arg-type]
    started = time.monotonic()
    await agree_on_keys(session, study_digest)
    dealers = tuple(channel.parties.index(name) + 1 for name in data_parties)
    outcome = await _analyse(session, spec, plan, contribution, dealers, Ruling(rules, rules_owner), variants)
    await confirm(session)
    account = await _account(session, rules, rules_owner, study_digest)
    return replace(outcome, run=account | {"seconds": time.monotonic() - started, "data_parties": list(data_parties)})


async def _analyse(
    session: Session,
    spec: AnalysisSpec,
    plan: Plan,
    own: Contribution | None,
    dealers: tuple[int, ...],
    ruling: Ruling,
    variants: pd.DataFrame | None,
) -> Outcome:
    if isinstance(plan, CountPlan):
        assert own is None or isinstance(own, CountContribution)
        return await joint_count(session, plan, own, dealers, ruling)
    if isinstance(plan, SurvivalPlan):
        assert own is None or isinstance(own, SurvivalContribution)
        if isinstance(spec, KaplanMeierSpec):
            return await joint_kaplan_meier(
                session,
                plan,
                own,
                dealers,
                ruling,
                conf_type=spec.conf_type,
                conf_level=spec.conf_level,
                time_label=spec.time,
            )
        return await joint_logrank(session, plan, own, dealers, ruling)
    assert isinstance(spec, GwasSpec)
    assert own is None or isinstance(own, AssociationContribution)
    labels = _unlabelled(plan.variant_count) if variants is None else variants
    return await joint_linear_scan(session, plan, own, dealers, ruling, labels)


def _unlabelled(count: int) -> pd.DataFrame:
    """A party without data has no variant table: it numbers the variants."""
    return pd.DataFrame({"chrom": "", "pos": 0, "id": [str(k + 1) for k in range(count)], "ref": "", "alt": ""})


async def _account(
    session: Session, rules: DisclosureRules, rules_owner: dict[str, str], study_digest: bytes
) -> dict[str, Any]:
    """What the run opened and cost; the parties tell each other how many bytes they sent."""
    accounts = session.accounts
    total = sum(accounts.bytes_sent.values())
    told = await session.exchange(
        dict.fromkeys(session.others, total.to_bytes(8, "little")), dict.fromkeys(session.others, 8)
    )
    sent = {session.name(session.index): total} | {
        session.name(j): int.from_bytes(data, "little") for j, data in told.items()
    }
    return {
        "parties": list(session.channel.parties),
        "threshold": session.committee.t,
        "rounds": accounts.rounds,
        "bytes_sent": {name: sent[name] for name in session.channel.parties},
        "opened": [
            {"name": entry.name, "values": entry.values, "declared": entry.limit, "why": entry.why}
            for entry in session.openings.manifest.values()
        ],
        "masked_openings": accounts.masked_openings,
        "kappa_total": session.kappa_total,
        "openings_digest": session.openings.digest.hex(),
        "study_digest": study_digest.hex(),
        "rules": {name: {"value": value, "owner": rules_owner[name]} for name, value in asdict(rules).items()},
    }
