"""`study plan`: what a study will open and cost, from rehearsals on dummy records."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pandas as pd

from mpcstats.node.analyses import node_analysis_of
from mpcstats.node.ledger.releases import Entry as LedgerEntry
from mpcstats.node.planning.costs import more_rounds
from mpcstats.node.planning.rehearsal import ROWS, Rehearsal, rehearse
from mpcstats.node.planning.steering import LISTED, Limit, depends_on, limit_of, more_bytes
from mpcstats.sharing.committee import Committee
from mpcstats.stats.contributions import Plan
from mpcstats.stats.differencing import Release
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.plan import make_plan
from mpcstats.study.spec import AnalysisSpec
from mpcstats.study.study_plan import PlannedOpening, StudyPlan, governing_rules, merged, rules_in_force
from mpcstats.types import DisclosureRules

__all__ = ["plan_study"]

THIN = (6, 40)
"""People of each party in further rehearsals, which go the ways that few people lead to."""

BLOCK = {"logistic": 2048, "linear": 8192}
"""Variants in the largest block of a scan, by model. Lists of more than two blocks are not rehearsed as a whole: what
is opened and sent grows with each block."""

FEW_VARIANTS = 64
"""Half of the variants in rehearsals with few people."""


def plan_study(
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
    recipients: Sequence[str] = (),
    earlier: Sequence[LedgerEntry] = (),
    round_trip_ms: float = 20.0,
    megabits: float = 100.0,
    progress: Callable[[str], None] | None = None,
) -> StudyPlan:
    """Plan a run: the reveal manifest, and what it costs.

    Parameters
    ----------
    spec, dictionary, variants, parties, data_parties, rules, owners, committee, earlier
        See `rehearse`.
    rows : int
        People of each party that are expected, about; rounds and bytes follow it where opened numbers of people decide.
    recipients : sequence of str
        Parties to whom results are opened; default all. Decisions are opened to all.
    round_trip_ms, megabits : float
        Between parties, for the estimate of the time.

    Returns
    -------
    StudyPlan
        Its manifest holds for any records, and `rounds` and `bytes_sent` where `exact`. Elsewhere `rounds_at_most` and
        `bytes_at_most` hold for as many people, whatever is opened.

    Notes
    -----
    A refusal ends a run before that. Dummy people that the rules refuse are made again, four times as many.
    """
    tell = progress or (lambda text: None)
    company = (parties, data_parties, rules, owners)

    # without missing cells, as many records are listed as there can be
    listed = LISTED in depends_on(spec, make_plan(spec, dictionary, variants), rules)
    # the ledger's bit is in the manifest even where there is no earlier release yet
    probe = LedgerEntry("0" * 64, spec.dataset, "0" * 64, tuple(data_parties), Release((1,), False, (True,)), None)

    def once(people: int, seed: str, some: pd.DataFrame | None) -> Rehearsal:
        thin = people in THIN
        return rehearse(
            spec,
            dictionary,
            some,
            *company,
            committee=committee,
            rows=people,
            earlier=(*earlier, probe) if thin else earlier,
            recipients=recipients,
            seed=seed,
            complete=listed and not thin,
            progress=None if thin else tell,
        )

    def go(people: int, seed: str, block: int) -> Rehearsal:
        if variants is None or len(variants) <= 2 * block:
            return once(people, seed, variants)
        short, long = (once(people, seed, variants.iloc[:size].reset_index(drop=True)) for size in (block, 2 * block))
        return _grown(short, long, Fraction(len(variants) - 2 * block, block))

    block = BLOCK["logistic" if getattr(spec, "model", "") == "logistic" else "linear"]
    main = go(rows, "plan", block)
    for factor in (4, 16):
        if not main.refused:
            break
        tell("the rules refuse a result of so few dummy people; again with more")
        more = go(rows * factor, "plan", block)
        if len(more.opened) == len(main.opened) and more.rounds == main.rounds:
            break  # the same refusal, which has nothing to do with how many they are
        main = more
    tell(f"again with {' and '.join(map(str, THIN))} dummy people each, for the ways that few people lead to")
    others = [go(people, f"thin {people}", FEW_VARIANTS) for people in THIN if people < main.rows]
    plan = _plan(spec, dictionary, variants, main, others, company, recipients, round_trip_ms, megabits)
    return replace(plan, notes=_notes(spec, rules, len(earlier)))


def _notes(spec: AnalysisSpec, rules: DisclosureRules, earlier: int) -> tuple[str, ...]:
    if node_analysis_of(spec).released is None:
        return ()
    noise: tuple[str, ...] = ()
    if rules.noise_scale:
        epsilon = f"{100 / rules.noise_scale:.4g}"
        noise = (
            f"noise: costs epsilon {epsilon} of every party's budget for the data set, times the number of cells where "
            "a person may be in several; nothing where the same request of the same tables was released before",
        )
    if rules.minimum_count <= 1:
        return noise
    return (
        *noise,
        f"compared with {earlier:,} earlier releases of the data set, as this party knows them; later ones add to it",
    )


def _grown(short: Rehearsal, long: Rehearsal, blocks: Fraction) -> Rehearsal:
    """What so many blocks more than in the long rehearsal make of it; the short one has a block less."""
    before = {entry["name"]: entry for entry in short.opened}

    def more(after: int, earlier: int) -> int:
        return after + math.ceil(blocks * max(0, after - earlier))

    def grown(entry: dict[str, Any]) -> dict[str, Any]:
        earlier = before.get(entry["name"], entry)
        return {**entry, **{key: more(entry[key], earlier[key]) for key in ("limit", "values")}}

    return replace(
        long,
        opened=[grown(entry) for entry in long.opened],
        rounds=long.rounds + math.ceil(blocks) * (long.rounds - short.rounds),
        bytes_sent={name: more(sent, short.bytes_sent[name]) for name, sent in long.bytes_sent.items()},
        masked_openings=more(long.masked_openings, short.masked_openings),
        seconds=long.seconds + float(blocks) * max(0.0, long.seconds - short.seconds),
    )


def _plan(
    spec: AnalysisSpec,
    dictionary: Dictionary,
    variants: pd.DataFrame | None,
    main: Rehearsal,
    others: Sequence[Rehearsal],
    company: tuple[Sequence[str], Sequence[str], DisclosureRules, Mapping[str, str]],
    recipients: Sequence[str],
    round_trip_ms: float,
    megabits: float,
) -> StudyPlan:
    parties, data_parties, rules, owners = company
    public = make_plan(spec, dictionary, variants)
    manifest = merged([each.opened for each in (main, *others)])
    openings, limits = [], dict[str, tuple[int, int | None]]()
    for entry in manifest:
        limit = _limit(entry, spec, public)
        limits[entry["name"]] = (limit.values, limit.openings)
        to = tuple(parties) if entry["kind"] == "decision" else tuple(recipients or parties)
        governed = governing_rules(entry["name"], entry["why"], entry["kind"], rules, owners)
        openings.append(PlannedOpening(entry["name"], limit.values, entry["kind"], entry["why"], to, governed))
    steered = depends_on(spec, public, rules)
    rounds, sent = main.rounds, main.bytes_sent
    if steered:
        rounds, sent = _at_most(main, limits, len(parties), more_bytes(public, steered, len(parties)))
        rounds = max([rounds, *(each.rounds for each in others)])
    return StudyPlan(
        analysis=spec.type,
        parties=tuple(parties),
        data_parties=tuple(data_parties),
        rows=main.rows,
        openings=tuple(openings),
        rules=rules_in_force(rules, owners),
        rounds=main.rounds,
        rounds_at_most=rounds,
        bytes_sent=main.bytes_sent,
        bytes_at_most=sent,
        depends_on=steered,
        masked_openings=main.masked_openings,
        kappa_total=_kappa(spec, public, len(data_parties), main),
        compute_seconds=main.seconds / len(parties),
        round_trip_ms=round_trip_ms,
        megabits=megabits,
        refused=main.refused,
    )


def _kappa(spec: AnalysisSpec, public: Plan, sites: int, main: Rehearsal) -> float | None:
    """Bits left after all bounded masks, with the width that the whole plan has."""
    if not main.masked_openings:
        return None
    return node_analysis_of(spec).kappa(spec, public, sites) - math.log2(main.masked_openings)


def _limit(entry: Mapping[str, Any], spec: AnalysisSpec, public: Plan) -> Limit:
    """The most values under a name: as declared, or as any records could lead to."""
    known = limit_of(entry["name"], spec, public)
    return Limit(entry["limit"]) if known is None else replace(known, values=max(known.values, entry["limit"]))


def _at_most(
    main: Rehearsal, limits: dict[str, tuple[int, int | None]], parties: int, beside: int
) -> tuple[int, dict[str, int]]:
    """Rounds and bytes by party where everything that may be opened is."""
    value_bytes = 16 * (parties - 1)
    more = {name: more_rounds(moments, limits, value_bytes) for name, moments in main.moments.items()}
    rounds = main.rounds + max(rounds for rounds, _ in more.values())
    return rounds, {name: sent + more[name][1] + beside for name, sent in main.bytes_sent.items()}
