"""Releases with noise: the same numbers for who asks again, budgets that all parties account for, nothing without."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mpcstats.errors import ConfigurationError, DisclosureRefused, MpcStatsError, NotPermitted
from mpcstats.node.analyses import NODE_ANALYSES
from mpcstats.node.ledger.care import ledger_lines
from mpcstats.node.ledger.check import request_digest
from mpcstats.node.ledger.releases import YEAR, ReleaseLedger
from mpcstats.node.runs.sealing import SealedRun
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.stats.contributions.counts import CountPlan
from mpcstats.stats.outcome import Outcome
from mpcstats.study.analyses.counts import CountSpec
from mpcstats.study.analyses.crosstab import CrosstabSpec
from mpcstats.study.dictionary import Dictionary
from mpcstats.study.policy import Policy, parse_policy, strictest
from mpcstats.study.spec import AnalysisSpec
from mpcstats.testing.attempts import Attempts
from mpcstats.testing.processes import PartyFiles, ProcessNetwork, make_party_directories
from mpcstats.transport.journal import MemoryJournal
from tests.node.cases import CASES, parties_of
from tests.node.in_memory import Parties

NAMES = ("alpha", "beta", "gamma")
RULES = replace(Policy.preset("standard").rules, minimum_count=0, rounding_base=1, minimum_parties=1, noise_scale=1000)
STRICT = replace(RULES, minimum_count=4, small_remainders=True)
COLUMNS: list[dict[str, Any]] = [
    {"name": "age", "type": "integer", "levels": list(range(40, 80))},
    {"name": "sex", "type": "category", "levels": ["F", "M"]},
]
DICTIONARY = Dictionary.model_validate({"id": "test", "columns": COLUMNS})
TABLE = pd.DataFrame({"age": np.repeat(np.arange(40, 80), 5), "sex": ["F", "M"] * 100})
TABLES = {"alpha": TABLE, "beta": TABLE, "gamma": None}
BY_AGE = CountSpec(by=("age",))
NOW = 1_800_000_000.0


class World:
    """Two parties with data, one without, and their ledgers."""

    def __init__(self, folder: Path, budgets: dict[str, float] | None = None) -> None:
        self.folder, self.now, self.runs = folder, NOW, 0
        self.budgets = {name: Fraction(repr(most)) for name, most in (budgets or {}).items()}

    def ledger(self, name: str) -> ReleaseLedger:
        return ReleaseLedger(self.folder / name / "released.sqlite", name, lambda: self.now)

    def arguments(self, name: str) -> dict[str, Any]:
        return {"ledger": self.ledger(name), "noise_budget": self.budgets.get(name)}

    def parties(self, spec: AnalysisSpec, rules: Any = RULES, tables: Any = None, dictionary: Any = None) -> Parties:
        self.runs += 1
        study = self.runs.to_bytes(32, "big")
        return Parties(spec, tables or TABLES, rules=rules, dictionary=dictionary or DICTIONARY, study=study)

    def ask(self, spec: AnalysisSpec = BY_AGE, **more: Any) -> Outcome:
        found = self.parties(spec, **more).run(self.arguments)
        errors = [e for e in found if isinstance(e, BaseException)]
        if errors:
            raise first(errors)
        assert isinstance(found[0], Outcome)
        return found[0]

    def spent(self) -> list[list[Fraction]]:
        return [
            [entry.spending.epsilon for entry in self.ledger(name).entries("main") if entry.spending is not None]
            for name in NAMES
        ]


def first(errors: list[BaseException]) -> BaseException:
    return next((e for e in errors if not (isinstance(e, MpcStatsError) and "was stopped" in e.message)), errors[0])


def counts(outcome: Outcome) -> list[int]:
    return outcome.tables["counts"]["count"].astype(int).tolist()


# --- the same numbers again ---------------------------------------------------------------------------------------


def test_who_asks_again_gets_the_same_numbers_and_pays_once(tmp_path: Path) -> None:
    world = World(tmp_path, dict.fromkeys(NAMES, 0.1))
    one = world.ask()
    # standard deviation 17 and forty cells: none without noise has a chance below 1e-40
    assert counts(one) != [10] * 40
    for _ in range(3):
        assert counts(world.ask()) == counts(one)
    assert world.spent() == [[Fraction(1, 10)]] * 3
    assert one.run["noise"]["epsilon_of_release"] == "1/10"
    assert one.run["noise"]["standard_deviation"] == pytest.approx(17.3, abs=0.1)
    assert one.run["rules"]["noise_scale"] == {"value": 1000, "owner": "test"}


def test_another_question_or_table_gets_other_noise(tmp_path: Path) -> None:
    world = World(tmp_path)
    one = world.ask()
    other = world.ask(CountSpec(by=("age",), where="age >= 40"))
    assert counts(one) != counts(other)
    assert counts(world.ask(rules=replace(RULES, noise_scale=999))) != counts(one)
    changed = TABLE.copy()
    changed.loc[0, "age"] = 79
    third = world.ask(tables={**TABLES, "alpha": changed})
    assert counts(third)[1:-1] != counts(one)[1:-1]
    assert [sum(each) for each in world.spent()] == [3 * Fraction(1, 10) + Fraction(100, 999)] * 3


def test_parties_have_other_noise_with_other_keys(tmp_path: Path) -> None:
    assert counts(World(tmp_path / "a").ask()) != counts(World(tmp_path / "b").ask())


def test_a_crosstab_has_noise_and_no_pooled_margins(tmp_path: Path) -> None:
    world = World(tmp_path)
    spec = CrosstabSpec(rows="age", columns="sex")
    one, again = world.ask(spec), world.ask(spec)
    assert one.tables["cells"].equals(again.tables["cells"])
    with pytest.raises(DisclosureRefused, match="pooled margins are not released with noise"):
        world.ask(CrosstabSpec(rows="age", columns="sex", margins="pooled"))
    assert world.spent() == [[Fraction(1, 10)]] * 3


def test_sealed_runs_are_released_with_the_noise_they_were_computed_for(tmp_path: Path) -> None:
    """Also where the budget is used up between the phases, and where it was released before."""
    world = World(tmp_path, dict.fromkeys(NAMES, 0.2))
    parties, journals = world.parties(BY_AGE), [MemoryJournal(bytes([i]) * 32) for i in range(3)]

    def phase(name: str) -> list[Any]:
        more = {key: {n: world.arguments(n)[key] for n in NAMES} for key in ("ledger", "noise_budget")}
        return Attempts(NAMES).attempt(parties.part(journals, name, **more))

    assert all(isinstance(run, SealedRun) for run in phase("compute"))
    world.now += 5
    world.ask(CountSpec())
    assert world.spent() == [[Fraction(1, 10)] * 2] * 3
    released = phase("release")
    assert isinstance(released[0], Outcome), released
    assert world.spent() == [[Fraction(1, 10)] * 2] * 3
    assert counts(phase("release")[0]) == counts(released[0]) == counts(world.ask())
    with pytest.raises(NotPermitted):
        world.ask(CountSpec(where="age > 50"))


def test_a_party_that_lost_its_ledger_stops(tmp_path: Path) -> None:
    """It would deal other noise; the one without data, too."""
    for name in ("alpha", "gamma"):
        world = World(tmp_path / name)
        world.ask()
        (tmp_path / name / name / "released.sqlite").unlink()
        with pytest.raises(ConfigurationError, match="lacks a release") as caught:
            world.ask()
        assert caught.value.party == name


def test_a_release_that_one_party_never_entered_is_entered_now(tmp_path: Path) -> None:
    """The first run broke off: nothing says what was shown, and the party without data does not know it."""
    world = World(tmp_path)
    one = world.ask()
    for name in NAMES:
        with sqlite3.connect(tmp_path / name / "released.sqlite") as database:
            if name == "gamma":
                database.execute("DELETE FROM released")
        if name != "gamma":
            (entry,) = world.ledger(name).entries("main")
            world.ledger(name).finish(replace(entry, release=replace(entry.release, shown=None)))
    assert counts(world.ask()) == counts(one)
    assert world.spent() == [[Fraction(1, 10)]] * 3


# --- budgets ------------------------------------------------------------------------------------------------------


def ages(count: int) -> list[CountSpec]:
    return [CountSpec(where=f"age >= {40 + k}") for k in range(count)]


def test_budgets_are_exact_and_refusals_have_the_numbers(tmp_path: Path) -> None:
    """Three times 1/3 fit into 1, in any order of bases; a fourth does not, at anybody."""
    world = World(tmp_path, {"alpha": 2.5, "beta": 1.0})
    rules = replace(RULES, noise_scale=300)
    for spec in ages(3):
        world.ask(spec, rules=rules)
    assert [sum(each) for each in world.spent()] == [1, 1, 1]
    found = world.parties(CountSpec(where="age >= 60"), rules=rules).run(world.arguments)
    for error in found:
        assert isinstance(error, NotPermitted)
        assert error.party == "beta"
        assert "needs epsilon 0.333333" in error.message
        assert "1 in 365 days, 1 used, 0 left" in error.message
    # nobody paid for what was refused; what was released is still there
    assert [len(each) for each in world.spent()] == [3, 3, 3]
    world.ask(ages(1)[0], rules=rules)
    # with less epsilon nothing fits either, and more of the year does
    world.now += YEAR - 1
    with pytest.raises(NotPermitted):
        world.ask(CountSpec(where="age >= 60"), rules=replace(RULES, noise_scale=10_000))
    world.now += 1
    world.ask(CountSpec(where="age >= 60"), rules=rules)


@pytest.mark.long
def test_nodes_take_the_budget_from_the_policy_of_the_data_set(tmp_path: Path) -> None:
    dictionary = 'apiVersion = "mpcstats/v1"\nkind = "Dictionary"\nid = "test"\nversion = 1\n'
    dictionary += '[[column]]\nname = "age"\ntype = "integer"\nrange = [0, 120]\n'
    policy = 'apiVersion = "mpcstats/v1"\nkind = "Policy"\nextends = "standard"\n[approval]\nauto = ["*"]\n'
    policy += "[disclosure]\nminimum_parties = 2\n"
    datasets = {"main": {"table": "cohort.csv", "dictionary": "dictionary.toml"}}
    parties = {
        "alpha": PartyFiles(datasets=datasets, policy=policy + "noise_scale = 200\n"),
        "beta": PartyFiles(datasets=datasets, policy=policy + "[budget]\nepsilon_per_year = 0.7\n"),
        "gamma": PartyFiles(role="compute"),
    }
    directories = make_party_directories(tmp_path, parties)
    for name in ("alpha", "beta"):
        (directories[name] / "dictionary.toml").write_text(dictionary)
        (directories[name] / "cohort.csv").write_text("age\n" + "".join(f"{30 + k % 50}\n" for k in range(400)))
    with ProcessNetwork(directories, start_seconds=240) as network:
        one = network["alpha"].client.run(CountSpec())
        assert one.run["rules"]["noise_scale"] == {"value": 200, "owner": "alpha"}
        assert one.run["noise"]["epsilon_of_release"] == "1/2"
        again = network["beta"].client.run(CountSpec())
        pd.testing.assert_frame_equal(again.tables["counts"], one.tables["counts"])
        with pytest.raises(MpcStatsError, match=r"0\.7 in 365 days, 0\.5 used, 0\.2 left") as refused:
            network["alpha"].client.run(CountSpec(where="age >= 60"))
        assert refused.value.party == "beta"
    for name in NAMES:
        (line,) = ledger_lines(PartyDirectory(directories[name]))
        assert (line.epsilon, line.released) == ("1/2", 1)


def test_decimals_of_a_budget_are_what_was_written() -> None:
    assert parse_policy({"budget": {"epsilon_per_year": 0.3}}).budget.epsilon == Fraction(3, 10)
    assert parse_policy({}).budget.epsilon is None
    for wrong in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ConfigurationError, match="epsilon_per_year"):
            parse_policy({"budget": {"epsilon_per_year": wrong}})


def test_who_may_be_in_several_cells_costs_as_often(tmp_path: Path) -> None:
    """Rows of visits: a person of several ages is in several cells."""
    person = {"name": "pid", "type": "integer", "range": [0, 99]}
    visits = Dictionary.model_validate({"id": "visits", "columns": [*COLUMNS, person], "unit_of_count": "pid"})
    table = TABLE.assign(pid=np.arange(200) % 50)
    tables = {"alpha": table, "beta": table.assign(pid=table["pid"] + 50), "gamma": None}
    world = World(tmp_path, {"alpha": 3.9})
    world.ask(CountSpec(by=("sex",)), tables=tables, dictionary=visits)
    assert world.spent() == [[Fraction(2, 10)]] * 3
    with pytest.raises(NotPermitted, match=r"needs epsilon 4 .*: 3.9 in 365 days, 0.2 used, 3.7 left"):
        world.ask(tables=tables, dictionary=visits)


def test_the_ledger_refuses_small_differences_with_noise_too(tmp_path: Path) -> None:
    world = World(tmp_path)
    rules = replace(STRICT, minimum_count=7)
    fewer = "age < 79 or sex == 'F'"
    assert len(TABLE.query(fewer)) == len(TABLE) - 3
    world.ask(CountSpec(), rules=rules)
    with pytest.raises(DisclosureRefused):
        world.ask(CountSpec(where=fewer), rules=rules)
    assert world.spent() == [[Fraction(1, 10)]] * 3


# --- nothing without noise ----------------------------------------------------------------------------------------


def test_without_noise_requests_and_entries_are_what_they_were(tmp_path: Path) -> None:
    plan = CountPlan(by=("sex",), levels=(("F", "M"),))
    found = request_digest(CountSpec(where="age >= 60"), plan, Policy.preset("standard").rules, ("alpha", "beta"))
    # from before there was noise
    assert found == "340d4f71732fb10986a20fb2f4f72991b399f155adff4b10e4896a68ab8cd0e3"
    world = World(tmp_path, dict.fromkeys(NAMES, 0.001))
    outcome = world.ask(CountSpec(), rules=replace(STRICT, noise_scale=0))
    assert outcome.tables["counts"]["count"].tolist() == [400]
    assert "noise" not in outcome.run
    assert not outcome.conventions.keys() & {"epsilon", "noise"}
    with sqlite3.connect(tmp_path / "alpha" / "released.sqlite") as database:
        ((public,),) = database.execute("SELECT public FROM released").fetchall()
        assert database.execute("SELECT name FROM sqlite_master WHERE name = 'noise_key'").fetchall() == []
    assert set(json.loads(public)) == {"request", "parties", "sizes", "overlapping", "axes", "shown"}


@pytest.mark.parametrize("name", ["table-test", "missingness strict", "kaplan-meier"])
def test_nothing_else_is_released_where_noise_is_asked_for(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    parties = replace(parties_of(case, tmp_path), rules=replace(case.rules, noise_scale=100))
    sent: list[int] = []
    errors = parties.run(observe=lambda message: sent.append(len(message.payload)))
    assert all(isinstance(e, DisclosureRefused) and "not released with noise" in e.message for e in errors)
    assert sent == []


def test_two_analyses_have_noise() -> None:
    assert {spec.model_fields["type"].default for spec, analysis in NODE_ANALYSES.items() if analysis.noisy} == {
        "count",
        "crosstab",
    }


def test_the_most_noise_of_all_parties_wins() -> None:
    policies = {
        name: parse_policy({"disclosure": {"noise_scale": s}}) for name, s in zip(NAMES, (0, 300, 100), strict=True)
    }
    rules, owner = strictest({name: policy.rules for name, policy in policies.items()})
    assert (rules.noise_scale, owner["noise_scale"]) == (300, "beta")
    with pytest.raises(ConfigurationError, match="noise_scale"):
        parse_policy({"disclosure": {"noise_scale": 10_001}})
