"""Small value types that several floors share."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DisclosureRules"]


@dataclass(frozen=True)
class DisclosureRules:
    """What may leave the computation, as plain numbers. Made by `mpcstats.study.policy`, applied by `mpcstats.stats`.

    Attributes
    ----------
    minimum_count : int
        People; a released count is at least this (0: no threshold). Smaller counts, zero included, are hidden.
    rounding_base : int
        Released counts are multiples of this (1: exact).
    step_minimum : int
        Events and censorings per visible step of a survival curve (1: exact steps).
    at_risk_floor : int
        People; a survival curve ends where fewer are at risk.
    time_grid : int
        Width of the grid on which a curve is released, in units of the time column (1: the recording unit).
    exact_curve : bool
        True allows the exact table (time, at_risk, events, censored): it is the list of events.
    minimum_parties : int
        Institutions with data that must take part.
    association_minimum_people : int
        People with phenotype and covariates.
    minimum_allele_count : int
        Pooled copies of the rarer allele; rarer variants are hidden.
    all_variants : bool
        True allows statistics of every variant.
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
