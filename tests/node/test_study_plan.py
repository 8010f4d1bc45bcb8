"""A plan made of dummy records holds for other records: manifest, rounds, bytes."""

from __future__ import annotations

import asyncio
import json
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

import mpcstats as ms
from mpcstats.errors import SpecError
from mpcstats.node.planning import study as planning
from mpcstats.node.planning.costs import Moment, more_rounds
from mpcstats.node.planning.rehearsal import Rehearsal, rehearse
from mpcstats.node.planning.study import plan_study
from mpcstats.runtime import Manifest
from mpcstats.sharing.committee import Committee
from mpcstats.study.analyses import ANALYSES, parse_spec
from mpcstats.study.dictionary import load_dictionary
from mpcstats.study.dummy import WATERMARK
from mpcstats.study.policy import strictest
from mpcstats.study.study_plan import StudyPlan, governing_rules
from mpcstats.types import DisclosureRules
from tests.node.requests import DICTIONARY, PARTIES, REQUESTS, RULES, request, variants, variants_of

QUICK = (
    "count standard",
    "crosstab pooled standard",
    "kaplan-meier standard",
    "ols standard",
    "kruskal open",
)
OTHERS = (
    "missingness standard",
    "table-test standard",
    "variant-quality standard",
    "correlation open",
)
PATH = Path(__file__).parents[2] / "parties" / "northfield" / "dictionary.toml"


def owners(rules: DisclosureRules) -> dict[str, str]:
    return {field.name: "all parties" for field in fields(rules)}


def planned(name: str, rules: DisclosureRules) -> StudyPlan:
    spec = request(name)
    return plan_study(spec, DICTIONARY, variants_of(spec), PARTIES, PARTIES, rules, owners(rules))


def rehearsed(name: str, rules: DisclosureRules, rows: int, seed: str) -> Rehearsal:
    spec = request(name)
    company = (PARTIES, PARTIES, rules, owners(rules))
    return rehearse(spec, DICTIONARY, variants_of(spec), *company, rows=rows, seed=seed)


def check(name: str, rules: DisclosureRules, others: list[tuple[int, str]]) -> None:
    plan = planned(name, rules)
    manifest = Manifest.from_plain(plan.manifest())
    assert plan.openings or plan.refused, "a run opens something"
    for rows, seed in others:
        other = rehearsed(name, rules, rows, seed)
        for entry in other.opened:
            assert manifest.allows(entry["name"], entry["limit"], entry["kind"]), entry
        if other.refused:
            assert other.rounds <= plan.rounds_at_most
            continue
        assert not plan.refused, "what other people get, dummy people get"
        if plan.exact:
            assert (other.rounds, other.bytes_sent) == (plan.rounds, plan.bytes_sent)
        elif rows == plan.rows:
            assert other.rounds <= plan.rounds_at_most
            assert all(sent <= plan.bytes_at_most[party] for party, sent in other.bytes_sent.items())


def test_every_analysis_has_a_request() -> None:
    assert {name.split()[0] for name in REQUESTS} == set(ANALYSES)


@pytest.mark.parametrize("case", [*QUICK, *(pytest.param(case, marks=pytest.mark.long) for case in OTHERS)])
def test_a_plan_holds_for_other_people(case: str) -> None:
    name, _, rules = case.rpartition(" ")
    check(name, RULES[rules], [(600, "other"), (25, "few")])


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_every_plan_holds_for_other_people(name: str) -> None:
    check(name, RULES["standard"], [(600, "x"), (20, "z")])


@pytest.mark.exhaustive
@pytest.mark.parametrize("rules", sorted(RULES))
@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_every_plan_holds_for_any_people(name: str, rules: str) -> None:
    check(name, RULES[rules], [(600, "x"), (600, "y"), (20, "z"), (90, "u"), (250, "w"), (2500, "v")])


@pytest.mark.parametrize(
    "asked",
    [
        {"type": "count", "where": "age >= 65", "by": ["sex"]},
        pytest.param({"type": "kaplan-meier", "time": "time", "event": "status", "by": "sex"}, marks=pytest.mark.long),
        pytest.param({"type": "crosstab", "rows": "sex", "columns": "ph.ecog"}, marks=pytest.mark.long),
    ],
    ids=lambda asked: asked["type"],
)
def test_real_records_cost_what_was_planned(asked: dict[str, object]) -> None:
    """The lung cancer data of the three demonstration parties, under their rules: rounds exactly, bytes within 5%."""
    dictionary = load_dictionary(PATH)
    tables = {name: pd.read_csv(PATH.parents[1] / name / "data" / "lung.csv") for name in PARTIES}
    with ms.local(tables, policy="standard", dictionary=dictionary) as consortium:
        run = consortium._run(parse_spec(asked)).run
    rules, whose = strictest(dict.fromkeys(PARTIES, RULES["standard"]))
    plan = plan_study(parse_spec(asked), dictionary, None, PARTIES, PARTIES, rules, whose, rows=76)
    assert plan.exact
    assert run["rounds"] == plan.rounds
    for party, sent in run["bytes_sent"].items():
        assert abs(sent - plan.bytes_sent[party]) <= 0.05 * sent
    limits = {opening.name: opening.limit for opening in plan.openings}
    assert all(entry["declared"] <= limits[entry["name"]] for entry in run["opened"])


def test_a_long_list_of_variants_is_planned_from_its_beginnings(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, rules = request("variant-quality"), RULES["public"]
    company = (PARTIES, PARTIES, rules, owners(rules))
    whole = plan_study(spec, DICTIONARY, variants(200), *company)
    monkeypatch.setattr(planning, "BLOCK", {"linear": 40, "logistic": 40})
    parts = plan_study(spec, DICTIONARY, variants(200), *company)
    assert parts.manifest() == whole.manifest()
    assert parts.rounds == whole.rounds
    for party, sent in whole.bytes_sent.items():
        assert abs(parts.bytes_sent[party] - sent) <= 0.05 * sent


def test_a_refusal_is_part_of_the_plan() -> None:
    plan = planned("gray", RULES["standard"])
    assert "exact table of events" in plan.refused
    assert not plan.exact


def test_an_opening_names_the_rules_that_decide_and_whose_they_are() -> None:
    rules, whose = strictest({"northfield": RULES["standard"], "westbay": RULES["open"]})
    spec = request("count")
    plan = plan_study(spec, DICTIONARY, None, PARTIES, PARTIES, rules, whose, recipients=["westbay"])
    (counts,) = (opening for opening in plan.openings if opening.name == "counts")
    assert counts.limit == 6
    assert counts.recipients == ("westbay",)
    assert counts.rules[0] == "minimum_count = 11 because of northfield"
    (difference,) = (opening for opening in plan.openings if opening.kind == "decision")
    assert difference.recipients == PARTIES
    assert governing_rules("counts", "people per cell, rounded", "result", RULES["open"], whose) == ()


def test_a_plan_survives_json() -> None:
    plan = planned("count", RULES["standard"])
    assert StudyPlan.from_plain(json.loads(json.dumps(plan.to_plain()))) == plan
    with pytest.raises(SpecError, match="no plan"):
        StudyPlan.from_plain({"analysis": "count"})


def test_a_rehearsal_is_marked_and_repeatable() -> None:
    one, two = (rehearsed("count", RULES["standard"], 200, "a") for _ in range(2))
    assert one.outcome is not None
    assert two.outcome is not None
    assert one.outcome.tables["counts"].equals(two.outcome.tables["counts"])
    assert one.outcome.withheld[0] == WATERMARK
    assert one.outcome.conventions["records"] == WATERMARK
    assert one.outcome.run["dummy"] is True


async def test_a_rehearsal_runs_beside_an_event_loop() -> None:
    assert rehearsed("missingness", RULES["open"], 30, "a").rounds == 6
    await asyncio.sleep(0)


def test_further_turns_of_a_loop_cost_what_the_longest_one_cost() -> None:
    moments = [Moment(name, 2, rounds, 100 * rounds) for rounds in (10, 13, 17) for name in ("scores", "deviances")]
    # two of five turns are left, four rounds and 400 bytes each; both names are opened in the same turns
    assert more_rounds(moments, {"scores": (10, None), "deviances": (10, None)}, 0) == (8, 800)
    assert more_rounds(moments, {"scores": (100, 4), "deviances": (6, None)}, 1) == (4, 400 + 94)
    assert more_rounds(moments, {"once": (5, None)}, 16) == (0, 80)
    assert more_rounds([Moment("hits", 3, 4, 0)], {"hits": (8, None)}, 16) == (0, 80)


def test_recipients_and_guests_are_rehearsed() -> None:
    parties, rules = ("a", "b", "c", "guest"), RULES["standard"]
    company = (parties, parties, rules, owners(rules))
    spec = request("crosstab")
    some = plan_study(spec, DICTIONARY, None, *company, committee=Committee(3, 1), recipients=["b"], rows=60)
    everybody = plan_study(spec, DICTIONARY, None, *company, committee=Committee(3, 1), rows=60)
    assert some.rounds == everybody.rounds
    assert sum(some.bytes_sent.values()) < sum(everybody.bytes_sent.values())
    assert {opening.recipients for opening in some.openings if opening.kind == "result"} == {("b",)}
    with pytest.raises(SpecError, match="recipients of ols must be all parties"):
        plan_study(request("ols"), DICTIONARY, None, *company, committee=Committee(3, 1), recipients=["b"], rows=60)
