"""Embedded parties: all institutions in one process, real secret sharing between them, for notebooks and rehearsals.

One process holds every party's records, so nothing is protected from whoever runs it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from mpcstats.errors import DataError, SpecError
from mpcstats.node.ledger.releases import ReleaseLedger, Snapshot
from mpcstats.node.records.preparation import people_of, prepare_with_report
from mpcstats.node.records.source import Dataset, Records, load
from mpcstats.node.runs.execution import execute
from mpcstats.node.runs.in_process import first_error, in_own_thread
from mpcstats.node.runs.plan_codec import plan_to_plain
from mpcstats.sdk.consortium import Consortium
from mpcstats.sharing.committee import Committee, default_committee, default_threshold
from mpcstats.stats.contributions import Contribution, Plan
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses import analysis_of
from mpcstats.study.dictionary import Dictionary, infer_dictionary, load_dictionary
from mpcstats.study.plan import make_plan
from mpcstats.study.policy import Policy, strictest
from mpcstats.study.spec import AnalysisSpec, digest
from mpcstats.study.variants import variant_digest
from mpcstats.transport.memory import MemoryNetwork

__all__ = ["LocalConsortium", "local"]

LARGEST = 60
HELPER = "compute-only party"


def local(
    parties: Mapping[str, Dataset | pd.DataFrame | str | Path],
    *,
    policy: str | Policy = "open",
    dictionary: Dictionary | str | Path | None = None,
    threshold: int | None = None,
    committee: int | None = None,
    patience_seconds: float = 600.0,
    progress: Callable[[str], None] | None = None,
) -> LocalConsortium:
    """Start embedded parties.

    Parameters
    ----------
    parties : mapping of name to DataFrame, path (CSV, Parquet) or `Dataset`
        Two to sixty institutions. With two, a compute-only party joins them: a pair has no honest majority. Of eight or
        more the first five compute, and the others deal shares to them.
    policy : str or Policy
        What all of them let out. "open" releases everything exactly: for one's own or public data.
    dictionary : Dictionary or path, optional
        Types, levels and ranges of the columns; by default taken from all tables together.
    threshold : int, optional
        Computing parties that learn nothing together; default as large as possible.
    committee : int, optional
        How many of the institutions compute, the first ones: 3 to 9; default: all of up to seven, else five.
    progress : function of str, optional
        Told what happens.

    Returns
    -------
    LocalConsortium

    Raises
    ------
    DataError
        A table cannot be used; names its party.

    Examples
    --------
    >>> import pandas as pd, mpcstats as ms
    >>> site = pd.DataFrame({"age": [61, 72, 80], "sex": ["F", "M", "F"]})
    >>> with ms.local({"north": site, "south": site, "west": site}) as consortium:
    ...     consortium.count(where="age >= 65", by="sex").to_frame()["count"].tolist()
    [3, 3]
    """
    return LocalConsortium(
        parties,
        policy=policy,
        dictionary=dictionary,
        threshold=threshold,
        committee=committee,
        patience_seconds=patience_seconds,
        progress=progress,
    )


class LocalConsortium(Consortium):
    """See `local`."""

    def __init__(
        self,
        parties: Mapping[str, Dataset | pd.DataFrame | str | Path],
        *,
        policy: str | Policy,
        dictionary: Dictionary | str | Path | None,
        threshold: int | None,
        committee: int | None,
        patience_seconds: float,
        progress: Callable[[str], None] | None,
    ) -> None:
        if not 2 <= len(parties) <= LARGEST:
            raise SpecError(f"{len(parties)} institutions were given; embedded sessions take 2 to {LARGEST}")
        self._policy = Policy.preset(policy) if isinstance(policy, str) else policy
        self._patience = patience_seconds
        self._progress = progress or (lambda text: None)
        given = dictionary if isinstance(dictionary, Dictionary) or dictionary is None else load_dictionary(dictionary)
        self._records: dict[str, Records] = {name: load(data, name, given) for name, data in parties.items()}
        self._dictionary = given or infer_dictionary({name: r.frame for name, r in self._records.items()})
        helpers = (HELPER,) if len(parties) == 2 else ()
        self.parties: tuple[str, ...] = (*self._records, *helpers)
        self._committee = _committee(len(self.parties), committee, threshold)
        self._ledgers = {name: ReleaseLedger(None, name) for name in self.parties}

    def __repr__(self) -> str:
        return f"<embedded consortium of {', '.join(self.parties)}: one process sees all records, nothing is protected>"

    def _dictionary_of(self, dataset: str) -> Dictionary:
        return self._dictionary

    def _run(self, spec: AnalysisSpec) -> Outcome:
        if spec.type not in self._policy.analyses:
            raise SpecError(f"the policy does not allow {spec.type}")
        variants = self._variants() if analysis_of(spec).needs_genotypes else None
        plan = make_plan(spec, self._dictionary, variants)
        contributions: dict[str, Contribution] = {}
        people: dict[str, Callable[[], Snapshot] | None] = {}
        for name, records in self._records.items():
            contributions[name], report = prepare_with_report(spec, plan, records, self._dictionary, name)
            people[name] = people_of(spec, plan, records, self._dictionary, name)
            if variants is not None:
                self._progress(f"{name}: {report}")
        return in_own_thread(self._compute(spec, plan, contributions, variants, people))

    def _variants(self) -> pd.DataFrame:
        tables = {}
        for name, records in self._records.items():
            if records.genotypes is None:
                if records.rows == 0:
                    continue  # an empty site takes part with zeros
                raise DataError(
                    "has no genotypes",
                    party=name,
                    hint='name the files: ms.Dataset("traits.csv", genotypes="chr10", id="IID")',
                )
            assert records.variants is not None
            tables[name] = records.variants
        if not tables:
            raise DataError("no institution has genotypes")
        digests = {name: variant_digest(table) for name, table in tables.items()}
        first, *rest = tables
        for name in rest:
            if digests[name] != digests[first]:
                raise DataError(
                    f"the variant list ({len(tables[name])} variants) is not the one of {first} ({len(tables[first])})",
                    party=name,
                    hint="give every party the same variants, in the same order, with the same alleles; or agree on a "
                    "list of variants (mpcstats variants make A.bim B.bim --out study.tsv) and name it everywhere: "
                    'ms.Dataset(..., variants="study.tsv")',
                )
        return tables[first]

    async def _compute(
        self,
        spec: AnalysisSpec,
        plan: Plan,
        contributions: Mapping[str, Contribution],
        variants: pd.DataFrame | None,
        people: Mapping[str, Callable[[], Snapshot] | None],
    ) -> Outcome:
        owners = dict.fromkeys(contributions, self._policy.rules)
        if spec.policy is not None:
            owners[f"preset {spec.policy}"] = Policy.preset(spec.policy).rules
        rules, rules_owner = strictest(owners)
        session = digest(
            {
                "session": secrets.token_hex(16),
                "spec": spec.model_dump(mode="json"),
                "plan": plan_to_plain(plan),
                "parties": list(self.parties),
                "committee": [self._committee.m, self._committee.t],
            }
        )
        network = MemoryNetwork(self.parties, self._patience)

        async def party(index: int) -> Outcome:
            channel = network.channel(index)
            name = self.parties[index - 1]
            try:
                return await execute(
                    channel,
                    spec=spec,
                    plan=plan,
                    contribution=contributions.get(name),
                    study_digest=session,
                    data_parties=tuple(contributions),
                    rules=rules,
                    rules_owner=rules_owner,
                    variants=variants,
                    progress=self._progress if index == 1 else (lambda text: None),
                    committee=self._committee,
                    ledger=self._ledgers[name],
                    people=people.get(name),
                    noise_budget=self._policy.budget.epsilon,
                )
            except Exception as error:
                await channel.abort(error)
                raise

        outcomes = await asyncio.gather(*(party(i + 1) for i in range(len(self.parties))), return_exceptions=True)
        error = first_error(outcomes)
        if error is not None:
            raise error
        assert isinstance(outcomes[0], Outcome)
        return outcomes[0]


def _committee(parties: int, members: int | None, threshold: int | None) -> Committee:
    m = default_committee(parties).m if members is None else members
    if m > parties:
        raise SpecError(f"a committee of {m} was asked for, and there are {parties} parties")
    return Committee(m, default_threshold(m) if threshold is None else threshold)
