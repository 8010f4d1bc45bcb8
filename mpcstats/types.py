"""Small value types that several floors share."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LARGEST_COUNT", "LARGEST_NOISE", "LARGEST_STEP", "DisclosureRules"]

LARGEST_COUNT = 1 << 29
"""Counts of people and thresholds on them stay below this, far from where numbers modulo 2^61-1 wrap around."""

LARGEST_STEP = 1000
"""Rounding bases and steps of curves."""

LARGEST_NOISE = 10_000
"""Percent of 1 / epsilon: epsilon is 1/100 or more."""

_RANGES = {
    "minimum_count": (0, LARGEST_COUNT),
    "rounding_base": (1, LARGEST_STEP),
    "step_minimum": (1, LARGEST_STEP),
    "at_risk_floor": (0, LARGEST_COUNT),
    "time_grid": (1, LARGEST_COUNT),
    "minimum_parties": (1, LARGEST_COUNT),
    "association_minimum_people": (0, LARGEST_COUNT),
    "minimum_allele_count": (0, LARGEST_COUNT),
    "hits_log10_p": (0, 100),
    "events_per_parameter": (0, LARGEST_COUNT),
    "noise_scale": (0, LARGEST_NOISE),
}


@dataclass(frozen=True)
class DisclosureRules:
    """What may leave the computation, as plain numbers. Made by `mpcstats.study.policy`, applied by `mpcstats.stats`.

    The strictest value of all parties is in force, so a number beyond the range of what can be compared would not be
    strict: it would switch the rule off for everybody. Such rules cannot be made, wherever they come from.

    Raises
    ------
    ValueError
        A number is out of range.

    Attributes
    ----------
    minimum_count : int
        People; a released count is at least this (0: no threshold). Smaller counts, zero included, are hidden.
    rounding_base : int
        Released counts are multiples of this (1: exact).
    step_minimum : int
        Least events and censorings per visible step of a survival curve (1: exact steps).
    at_risk_floor : int
        People; a survival curve ends where fewer are at risk.
    time_grid : int
        Width of the grid on which a curve is released, in units of the time column (1: the recording unit).
    exact_curve : bool
        True allows the exact table (time, at_risk, events, censored) of groups that reach `minimum_count`: it is the
        list of events.
    minimum_parties : int
        Institutions with data that must take part.
    association_minimum_people : int
        People with phenotype and covariates.
    minimum_allele_count : int
        Pooled copies of the rarer allele; rarer variants are hidden.
    all_variants : bool
        True allows statistics of every variant.
    hits_log10_p : int
        -log10 of the largest threshold of p that picks a scan's hits (0: any). A larger threshold would let most
        variants out.
    allele_counts : bool
        True allows the exact pooled counts of genotypes, also by case and control, of the variants whose statistics are
        released: hits, and with `all_variants` all that have `minimum_allele_count`. Cells of one person are shown
        whatever `minimum_count` says.
    small_remainders : bool
        True allows totals of groups of which one party's own numbers leave 1 to `minimum_count` - 1 people: the party
        subtracts them. False hides such groups; the others' total must be 0 or at least `minimum_count`.
    events_per_parameter : int
        Events that a survival model needs for each of its parameters (0: no limit).
    noise_scale : int
        Percent of 1 / epsilon: counts leave with two-sided geometric noise, 100 for epsilon = 1, 1000 for 0.1 (0: no
        noise). Analyses without noise are refused where it is asked for.
    """

    minimum_count: int
    rounding_base: int
    step_minimum: int
    at_risk_floor: int
    time_grid: int
    exact_curve: bool
    minimum_parties: int
    association_minimum_people: int
    minimum_allele_count: int
    all_variants: bool
    hits_log10_p: int
    allele_counts: bool
    small_remainders: bool
    events_per_parameter: int
    noise_scale: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be within {low} to {high}")
