"""What a study will open and cost, known before anybody's records are read: the result of a rehearsal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mpcstats.errors import SpecError
from mpcstats.types import DisclosureRules

__all__ = ["PlannedOpening", "StudyPlan", "governing_rules"]

_GOVERN: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"threshold|suppressed|hidden|enough people|people and events|differ by too few", ("minimum_count",)),
    (r"rounded|rounding", ("rounding_base",)),
    (r"with noise", ("noise_scale",)),
    (r"without any (one )?party", ("small_remainders",)),
    (r"curve|grid point|step of the baseline|shown step", ("step_minimum", "at_risk_floor", "time_grid")),
    (r"exact (curve|table)|events by time|events per stratum and time", ("exact_curve",)),
    (r"number of co(lumns|efficients)", ("events_per_parameter",)),
    (r"variant|allele|copies", ("minimum_allele_count", "all_variants")),
    (r"people with phenotype|enough people, in total", ("association_minimum_people",)),
    (r"hit\b|below the threshold", ("hits_log10_p",)),
    (r"people with 0, 1, 2|cases and controls with", ("allele_counts",)),
)
"""Words in an opening's name and reason, and the rules that decide about it."""


@dataclass(frozen=True)
class PlannedOpening:
    """One line of the reveal manifest.

    Attributes
    ----------
    name : str
    limit : int
        Most values that can be opened under this name, whatever the records are.
    kind : "decision" or "result"
        A decision says only whether the run goes on.
    why : str
    recipients : tuple of str
        Parties to whom the values are opened.
    rules : tuple of str
        Rules that decide about it, with their owners: "minimum_count = 20 because of westbay".
    """

    name: str
    limit: int
    kind: str
    why: str
    recipients: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudyPlan:
    """A planned run.

    Attributes
    ----------
    analysis : str
    parties, data_parties : tuple of str
    rows : int
        Dummy people of each party with data that the plan was made with.
    openings : tuple of PlannedOpening
    rules : dict
        Name of each rule to {"value", "owner"}.
    rounds : int
        Of the rehearsal: exact, where nothing is in `depends_on`.
    rounds_at_most : int
        For as many people, whatever is opened.
    bytes_sent, bytes_at_most : dict of str to int
        By party, likewise.
    depends_on : tuple of str
        Opened values that decide how the run goes on, and with it rounds and bytes; () where there are none.
    masked_openings : int
    kappa_total : float or None
        Bits of statistical security left.
    compute_seconds : float
        What one party computes, measured here.
    round_trip_ms, megabits : float
        The network that `seconds` is for.
    refused : str
        Why dummy records were refused; "" where they were not. Costs are those up to there.
    notes : tuple of str
        What the numbers take for granted.
    """

    analysis: str
    parties: tuple[str, ...]
    data_parties: tuple[str, ...]
    rows: int
    openings: tuple[PlannedOpening, ...]
    rules: dict[str, dict[str, Any]]
    rounds: int
    rounds_at_most: int
    bytes_sent: dict[str, int]
    bytes_at_most: dict[str, int]
    depends_on: tuple[str, ...] = ()
    masked_openings: int = 0
    kappa_total: float | None = None
    compute_seconds: float = 0.0
    round_trip_ms: float = 20.0
    megabits: float = 100.0
    refused: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def exact(self) -> bool:
        """Whether rounds and bytes are those of the run, whatever the records are."""
        return not self.depends_on and not self.refused

    @property
    def seconds(self) -> float:
        """Rough: a round trip for each round, the largest sender's bytes, and computing."""
        most = max(self.bytes_sent.values(), default=0)
        return self.rounds * self.round_trip_ms / 1e3 + most * 8 / (self.megabits * 1e6) + self.compute_seconds

    @property
    def values(self) -> int:
        """Results that can be opened at most."""
        return sum(opening.limit for opening in self.openings if opening.kind == "result")

    def manifest(self) -> list[dict[str, Any]]:
        """name, limit, kind and why of every opening, as a run is held to it."""
        return [{"name": x.name, "limit": x.limit, "kind": x.kind, "why": x.why} for x in self.openings]

    def cost(self) -> dict[str, Any]:
        """For `study.lock`: rounds (the most that can come), whether that is exact, bytes by party, whole seconds."""
        return {
            "rounds": self.rounds if self.exact else self.rounds_at_most,
            "exact": self.exact,
            "bytes_sent": self.bytes_sent if self.exact else self.bytes_at_most,
            "seconds": max(1, round(self.seconds)),
        }

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> StudyPlan:
        """Read what `to_plain` wrote.

        Raises
        ------
        SpecError
            Something else.
        """
        try:
            found = dict(plain)
            openings = tuple(
                PlannedOpening(**{**x, "recipients": tuple(x["recipients"]), "rules": tuple(x["rules"])})
                for x in found.pop("openings")
            )
            for name in ("parties", "data_parties", "depends_on", "notes"):
                found[name] = tuple(found[name])
            return cls(openings=openings, **found)
        except (TypeError, KeyError, AttributeError) as error:
            raise SpecError(f"this is no plan of a study: {error}", hint="plan the study again") from None


def governing_rules(
    name: str, why: str, kind: str, rules: DisclosureRules, owners: Mapping[str, str]
) -> tuple[str, ...]:
    """The rules that decide about an opening, by its words, with values and owners; none that lets all out."""
    text = f"{name}: {why}"
    found = dict.fromkeys(rule for words, some in _GOVERN if re.search(words, text) for rule in some)
    if kind == "decision" and not found:
        found = {"minimum_count": None}
    return tuple(
        f"{rule} = {getattr(rules, rule)} because of {owners.get(rule, 'the policy')}"
        for rule in found
        if _restricts(rule, rules)
    )


def _restricts(rule: str, rules: DisclosureRules) -> bool:
    value = getattr(rules, rule)
    return not value if isinstance(value, bool) else value > 1


def rules_in_force(rules: DisclosureRules, owners: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Each rule with value and owner."""
    return {name: {"value": value, "owner": owners.get(name, "the policy")} for name, value in asdict(rules).items()}


def merged(manifests: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """One manifest of several rehearsals: every name, with its largest limit."""
    found: dict[str, dict[str, Any]] = {}
    for entry in (entry for manifest in manifests for entry in manifest):
        known = found.setdefault(entry["name"], dict(entry))
        known["limit"] = max(known["limit"], entry["limit"])
    return list(found.values())
