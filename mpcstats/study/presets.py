"""Presets of disclosure rules: house rules that institutions know by name.

Sources: PCORnet and CMS hide cells of 1 to 10 (`cms11`); OpenSAFELY redacts 7 and less and rounds to 5
(`opensafely7r5`); DataSHIELD's `nfilter.tab` and `nfilter.glm` (`datashield3`). Where a source is silent, `standard`
speaks. What no preset but `open` allows: exact curves, statistics of every variant, genotype counts, small remainders.
None asks for noise.
"""

from __future__ import annotations

from typing import Any

__all__ = ["PRESETS"]

PRESETS: dict[str, dict[str, Any]] = {
    # Everything exact: for embedded sessions on one's own or public data.
    "open": {
        "minimum_count": 0,
        "rounding_base": 1,
        "step_minimum": 1,
        "at_risk_floor": 0,
        "time_grid": 1,
        "exact_curve": True,
        "minimum_parties": 1,
        "association_minimum_people": 0,
        "minimum_allele_count": 0,
        "all_variants": True,
        "hits_log10_p": 0,
        "allele_counts": True,
        "small_remainders": True,
        "events_per_parameter": 0,
        "noise_scale": 0,
    },
    # Where deployed parties start: 1 to 10 people hidden (and zero with them), counts in fives.
    "standard": {
        "minimum_count": 11,
        "rounding_base": 5,
        "step_minimum": 5,
        "at_risk_floor": 11,
        "time_grid": 30,
        "exact_curve": False,
        "minimum_parties": 3,
        "association_minimum_people": 500,
        "minimum_allele_count": 20,
        "all_variants": False,
        "hits_log10_p": 5,
        "allele_counts": False,
        "small_remainders": False,
        "events_per_parameter": 10,
        "noise_scale": 0,
    },
}

PRESETS["cms11"] = {**PRESETS["standard"], "rounding_base": 1, "step_minimum": 11}
PRESETS["opensafely7r5"] = {**PRESETS["standard"], "minimum_count": 8, "step_minimum": 8, "at_risk_floor": 8}
PRESETS["datashield3"] = {
    **PRESETS["standard"],
    "minimum_count": 3,
    "rounding_base": 1,
    "step_minimum": 3,
    "at_risk_floor": 3,
    "minimum_parties": 2,
    "events_per_parameter": 3,
}
PRESETS["strict20"] = {
    **PRESETS["standard"],
    "minimum_count": 20,
    "rounding_base": 10,
    "step_minimum": 10,
    "at_risk_floor": 20,
    "time_grid": 90,
    "association_minimum_people": 1000,
    "minimum_allele_count": 40,
    "hits_log10_p": 7,
    "events_per_parameter": 20,
}
