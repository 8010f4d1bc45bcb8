"""Policies: the strictest value wins, and no value is so strict that it switches a rule off."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import ConfigurationError
from mpcstats.study.policy import Policy, parse_policy, strictest
from mpcstats.types import LARGEST_COUNT, LARGEST_NOISE, LARGEST_STEP, DisclosureRules

STANDARD = Policy.preset("standard").rules
NUMBERS = [field.name for field in fields(DisclosureRules) if type(getattr(STANDARD, field.name)) is int]
# modulo 2^61-1 these would be: no threshold at all; "at most eleven"; a small negative number
WRAPPING = [2**61 - 1, 2**60 + 11, 2**61 - 12]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [*WRAPPING, LARGEST_COUNT + 1, -1])
def test_no_rule_is_so_large_that_it_wraps_around(name: str, value: int) -> None:
    with pytest.raises(ConfigurationError, match=name):
        parse_policy({"disclosure": {name: value}})
    with pytest.raises(ValueError, match=name):
        replace(STANDARD, **{name: value})


def test_the_presets_and_the_largest_values_are_fine() -> None:
    for preset in ("open", "standard"):
        assert DisclosureRules(**asdict(Policy.preset(preset).rules)) == Policy.preset(preset).rules
    special = {"rounding_base": LARGEST_STEP, "step_minimum": LARGEST_STEP}
    special |= {"hits_log10_p": 100, "noise_scale": LARGEST_NOISE}
    largest = {name: special.get(name, LARGEST_COUNT) for name in NUMBERS}
    assert replace(STANDARD, **largest).minimum_count == LARGEST_COUNT


def test_the_strictest_rule_of_all_parties_hides_everything() -> None:
    strict = parse_policy({"disclosure": {"minimum_count": LARGEST_COUNT, "minimum_parties": 1}})
    rules, owner = strictest({"north": STANDARD, "south": strict.rules})
    assert rules.minimum_count == LARGEST_COUNT
    assert owner["minimum_count"] == "south"
    site = pd.DataFrame({"age": [70] * 30})
    with ms.local({"north": site, "south": site, "west": site}, policy=strict) as consortium:
        assert consortium.count().value is None
