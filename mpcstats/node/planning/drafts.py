"""A study before it is proposed, at one party: whether it fits, what dummy records give, and what it will open."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from mpcstats.errors import MpcStatsError, SpecError
from mpcstats.node.consortium.roster import Roster
from mpcstats.node.governance.locking import make_lock
from mpcstats.node.ledger.releases import Entry, ReleaseLedger
from mpcstats.node.planning.rehearsal import ROWS, Rehearsal, rehearse
from mpcstats.node.planning.study import plan_study
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.node.site import Site
from mpcstats.runtime.manifest import Manifest
from mpcstats.study.dictionary import Dictionary, load_dictionary
from mpcstats.study.files.study import Study, load_study
from mpcstats.study.lock import Cost
from mpcstats.study.policy import Policy, strictest
from mpcstats.study.study_plan import StudyPlan
from mpcstats.study.variants import variant_digest
from mpcstats.types import DisclosureRules
from mpcstats.version import __version__

__all__ = ["Draft", "Finding"]

R = TypeVar("R")
Terms = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Finding:
    """One thing that `lint` noticed.

    Attributes
    ----------
    level : "error", "warning" or "fine"
    who : str
        The party, or the file.
    text : str
    next : str
        What to do; "" where there is nothing.
    """

    level: str
    who: str
    text: str
    next: str = ""


class Draft:
    """A study file at a party.

    Parameters
    ----------
    file : Path
        `study.toml`.
    directory : PartyDirectory
        The party whose dictionary, policy and roster are used; it has data.
    terms_of_others : mapping of party to its terms, optional
        As `Site.terms` says them at each other party. Without them, only own rules are known.

    Raises
    ------
    ConfigurationError
        The file is wrong.
    """

    def __init__(self, file: Path, directory: PartyDirectory, terms_of_others: Terms | None = None) -> None:
        self.file, self._directory = file, directory
        self.study: Study = load_study(file)
        self.spec = self.study.spec
        self.party = directory.config.name
        self._site = Site(directory)
        self._others = terms_of_others or {}

    @cached_property
    def roster(self) -> Roster:
        """The consortium."""
        return self._directory.roster()

    @cached_property
    def dictionary(self) -> Dictionary:
        """Of the data set at this party."""
        return load_dictionary(self._directory.dataset(self.spec.dataset).dictionary)

    @cached_property
    def variants(self) -> pd.DataFrame | None:
        """The study's public list of variants, where the analysis needs genotypes."""
        return self._site.variants(self.spec)

    @cached_property
    def terms(self) -> dict[str, Mapping[str, Any]]:
        """Terms of the parties that are known, in the order of the roster."""
        known = {**self._others, self.party: self._site.terms(self.spec)}
        return {name: known[name] for name in self.roster.names if name in known}

    @property
    def unknown(self) -> tuple[str, ...]:
        """Parties with data whose rules are not known here."""
        return tuple(name for name in self.roster.data_parties if name not in self.terms)

    @cached_property
    def rules(self) -> dict[str, DisclosureRules]:
        """Rules by owner, as far as they are known: parties with data, and the preset that the request names."""
        found = {name: DisclosureRules(**terms["rules"]) for name, terms in self.terms.items() if terms.get("rules")}
        if self.spec.policy is not None:
            found[f"preset {self.spec.policy}"] = Policy.preset(self.spec.policy).rules
        if not found:
            raise SpecError("no party's rules are known here", hint="ask at a party with data")
        return found

    # --- verbs ------------------------------------------------------------------------------------------------------

    def lint(self, now: datetime.datetime) -> list[Finding]:
        """Everything that would be refused, as far as it is known here; nothing is sent."""
        findings = [
            Finding("fine", str(self.file), f"{self.study.id}: {self.spec.type} of data set {self.spec.dataset}")
        ]
        if now >= self.study.expires:
            findings.append(Finding("error", str(self.file), "the study has expired", "write a later date: expires"))
        if not self.study.software.fits(__version__):
            asked = self.study.software.mpcstats
            findings.append(
                Finding("error", str(self.file), f"asks for mpcstats {asked}, and this is {__version__}", "[software]")
            )
        findings += self._of_consortium()
        for check, said in (
            (lambda: self._site.make_plan(self.spec), f"fits the dictionary of {self.spec.dataset}"),
            (lambda: self._site.terms(self.spec), "the own policy allows it"),
        ):
            try:
                check()
                findings.append(Finding("fine", self.party, said))
            except MpcStatsError as error:
                found = Finding("error", error.party or self.party, error.message, error.hint or "")
                findings += [found] if found not in findings else []
        return findings

    def rehearse(self, rows: int = ROWS, progress: Callable[[str], None] | None = None) -> Rehearsal:
        """Run it on dummy records, with all parties in this process."""
        return self._asked(rehearse)(rows=rows, progress=progress)

    def plan(
        self,
        rows: int = ROWS,
        round_trip_ms: float = 20.0,
        megabits: float = 100.0,
        progress: Callable[[str], None] | None = None,
    ) -> StudyPlan:
        """What it will open and cost; with the releases that this party's ledger has of the data set."""
        line = {"round_trip_ms": round_trip_ms, "megabits": megabits}
        return self._asked(plan_study)(rows=rows, earlier=self._earlier(), progress=progress, **line)

    def _asked(self, answer: Callable[..., R]) -> Callable[..., R]:
        """A rehearsal or a plan of this study: what both are told about it."""
        rules, owners = strictest(self.rules)
        names = self.roster.names
        return partial(
            answer,
            self.spec,
            self.dictionary,
            self.variants,
            names,
            self.roster.data_parties,
            rules,
            owners,
            committee=self.roster.computing,
            recipients=self.study.recipients_of(names),
        )

    def lock(self, plan: StudyPlan) -> dict[str, Any]:
        """The content of `study.lock`: what follows from the study, all terms, the dictionary and the roster.

        Raises
        ------
        SpecError, Divergence
            Terms are not known, or contradict each other.
        """
        lock = make_lock(
            self.spec,
            self.roster,
            self.terms,
            Manifest.from_plain(plan.manifest()),
            Cost.model_validate(plan.cost()),
            self.study.recipients_of(self.roster.names),
            "" if self.variants is None else variant_digest(self.variants),
        )
        return lock.model_dump(mode="json")

    # --- parts --------------------------------------------------------------------------------------------------------

    def _of_consortium(self) -> list[Finding]:
        try:
            roster = self.roster
        except MpcStatsError as error:
            return [Finding("error", self.party, error.message, error.hint or "")]
        found = []
        if roster.consortium != self.study.consortium:
            near = difflib.get_close_matches(self.study.consortium, [roster.consortium], cutoff=0.0)
            text = f"consortium is {self.study.consortium!r}, and this party's roster is of {roster.consortium!r}"
            found.append(Finding("error", str(self.file), text, f'consortium = "{near[0]}"'))
        try:
            self.study.recipients_of(roster.names)
        except SpecError as error:
            found.append(Finding("error", str(self.file), error.message, error.hint or ""))
        others = [name for name in roster.data_parties if name != self.party and name not in self._others]
        if others:
            text = f"rules of {', '.join(others)} are not known here: they may refuse what this party allows"
            found.append(Finding("warning", "roster", text))
        return found

    def _earlier(self) -> list[Entry]:
        """This party's earlier releases of the data set, without the people in them."""
        if not self._directory.ledger_file.exists():
            return []
        return ReleaseLedger(self._directory.ledger_file, self.party).entries(self.spec.dataset)
