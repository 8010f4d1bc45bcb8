"""Runs of `execute` between parties of one process: with hands on every party's channel, analysis and arguments."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from mpcstats.node.records.preparation import people_of, prepare
from mpcstats.node.records.source import Records, load
from mpcstats.node.runs.execution import execute
from mpcstats.study.dictionary import Dictionary, infer_dictionary
from mpcstats.study.plan import make_plan
from mpcstats.study.policy import Policy
from mpcstats.study.spec import AnalysisSpec
from mpcstats.transport.channel import Channel
from mpcstats.transport.journal import Journal
from mpcstats.transport.memory import MemoryNetwork, Message
from mpcstats.types import DisclosureRules

__all__ = ["Parties"]


@dataclass
class Parties:
    """Three parties or more with tables, and what they run.

    Attributes
    ----------
    spec : AnalysisSpec
    tables : mapping of party to DataFrame, or None for a party without data
    """

    spec: AnalysisSpec
    tables: Mapping[str, Any]
    rules: DisclosureRules = Policy.preset("open").rules
    dictionary: Dictionary | None = None
    study: bytes = hashlib.sha256(b"study").digest()
    patience_seconds: float = 20.0
    records: dict[str, Records] = field(init=False)

    def __post_init__(self) -> None:
        self.records = {name: load(table, name) for name, table in self.tables.items() if table is not None}
        if self.dictionary is None:
            self.dictionary = infer_dictionary({name: r.frame for name, r in self.records.items()})
        genotyped = next((r.variants for r in self.records.values() if r.genotypes is not None), None)
        self.variants: pd.DataFrame | None = genotyped
        self.plan = make_plan(self.spec, self.dictionary, self.variants)

    @property
    def names(self) -> tuple[str, ...]:
        """All parties in order."""
        return tuple(self.tables)

    def arguments(self, name: str) -> dict[str, Any]:
        """What a party gives to `execute` beside its channel."""
        here = self.records.get(name)
        assert self.dictionary is not None
        return {
            "spec": self.spec,
            "plan": self.plan,
            "contribution": None if here is None else prepare(self.spec, self.plan, here, self.dictionary, name),
            "study_digest": self.study,
            "data_parties": tuple(self.records),
            "rules": self.rules,
            "rules_owner": dict.fromkeys(DisclosureRules.__dataclass_fields__, "test"),
            "variants": self.variants,
            "progress": lambda text: None,
            "people": None if here is None else people_of(self.spec, self.plan, here, self.dictionary, name),
        }

    def part(self, journals: Sequence[Journal], phase: str, **more: Any) -> Callable[[Channel], Awaitable[Any]]:
        """What each party does in one phase of a run with journals, for `mpcstats.testing.attempts`.

        Parameters
        ----------
        more
            Further arguments of `execute`; a dict by party's name for different ones (`ledger`).
        """

        async def part(channel: Channel) -> Any:
            name, journal = self.names[channel.index - 1], journals[channel.index - 1]
            own = {key: value[name] if isinstance(value, dict) else value for key, value in more.items()}
            arguments = {**self.arguments(name), **own}
            return await execute(channel, phase=phase, journal=journal, **arguments)  # type: ignore[call-overload]

        return part

    def run(
        self,
        more: Callable[[str], Mapping[str, Any]] = lambda name: {},
        observe: Callable[[Message], None] | None = None,
        channel: Callable[[str, Channel], Channel] = lambda name, channel: channel,
    ) -> list[Any]:
        """Run at every party; outcomes or exceptions, in order.

        Parameters
        ----------
        more : function of a party's name -> further arguments of its `execute`
        observe : function of Message, optional
        channel : function (name, channel) -> channel
            Puts something between a party and its network.
        """
        network = MemoryNetwork(self.names, self.patience_seconds, observe)

        async def party(number: int, name: str) -> Any:
            own = channel(name, network.channel(number))
            try:
                return await execute(own, **{**self.arguments(name), **more(name)})
            except Exception as error:
                await own.abort(error)
                raise

        async def everybody() -> list[Any]:
            parties = [party(number, name) for number, name in enumerate(self.names, 1)]
            return await asyncio.gather(*parties, return_exceptions=True)

        return asyncio.run(everybody())
