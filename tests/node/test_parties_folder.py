"""The three institutions of the demonstration: their files are valid, and their policies say what they mean to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpcstats.node.records.source import Dataset, load
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.study.dictionary import load_dictionary
from mpcstats.study.policy import PRESETS, load_policy, strictest

PARTIES = Path(__file__).parents[2] / "parties"
NAMES = ("northfield", "lakeside", "westbay")


@pytest.mark.parametrize("name", NAMES)
def test_settings_lead_to_readable_records(name: str) -> None:
    party = PartyDirectory(PARTIES / name, environment={})
    assert party.config.name == name
    assert party.config.role == "data"
    for dataset, people in (("survival", 76), ("genetics", {"northfield": 200, "lakeside": 170, "westbay": 130}[name])):
        files = party.dataset(dataset)
        dictionary = load_dictionary(files.dictionary)
        records = load(Dataset(files.table, files.genotypes, files.id), name, dictionary)
        assert len(records.frame) == people
        assert tuple(records.frame.columns) == dictionary.names


def test_parties_differ_in_name_operator_and_address() -> None:
    configs = [PartyDirectory(PARTIES / name, environment={}).config for name in NAMES]
    for values in zip(*((c.name, c.operator, c.network.listen, c.network.advertise) for c in configs), strict=True):
        assert len(set(values)) == 3


def test_counts_stay_under_standard_and_the_exceptions_are_explicit() -> None:
    rules, _ = strictest({name: load_policy(PARTIES / name / "policy.toml").rules for name in NAMES})
    expected = {**PRESETS["standard"], "exact_curve": True, "all_variants": True}
    assert {name: getattr(rules, name) for name in expected} == expected
