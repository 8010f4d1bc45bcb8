"""Targets: files that people write or pass on. TOML, filters, formulas, certificates, bundles."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd

from mpcstats.node.auditing.auditors import load_auditors
from mpcstats.node.bundles.archive import compare_zip, read_zip, write_zip
from mpcstats.node.bundles.checks import check_bundle
from mpcstats.node.bundles.parts import INDEX, BundleIndex, field_digests, pretty_json
from mpcstats.node.consortium.roster import load_card, load_roster, past_roster
from mpcstats.node.governance.people import SignedStatement, person_key, person_public
from mpcstats.node.identity.keys import load_certificate, signing_public
from mpcstats.node.records.mapping import load_mapping
from mpcstats.node.schedules.file import study_schedule, write_schedule
from mpcstats.node.settings.config import PartyDirectory
from mpcstats.study.canonical import canonical_bytes, normalised, parse_moment
from mpcstats.study.design import design_of
from mpcstats.study.dictionary import Dictionary, load_dictionary, parse_dictionary
from mpcstats.study.files.positions import line_of, lines_of
from mpcstats.study.files.study import load_study
from mpcstats.study.filters import check_filter, evaluate_filter, parse_filter
from mpcstats.study.formula import parse_formula
from mpcstats.study.policy import load_policy
from mpcstats.study.schedule import parse_schedule
from tests.fuzz.messages import KEYS, text
from tests.fuzz.target import CORPUS, Target

__all__ = ["TARGETS", "folder", "on_disk"]


@functools.cache
def folder() -> Path:
    """A place for the files of this process; memory where there is such a disk."""
    shared = Path("/dev/shm")
    made = tempfile.TemporaryDirectory(prefix="mpcstats-fuzz-", dir=shared if shared.is_dir() else None)
    _kept.append(made)
    return Path(made.name)


_kept: list[Any] = []


def on_disk(name: str, data: bytes) -> Path:
    path = folder() / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    return path


@functools.cache
def dictionary() -> Dictionary:
    names = ("integer", "decimal", "category", "boolean", "date")
    ranges: dict[str, Any] = {"integer": [0, 120], "decimal": [0.5, 60], "date": ["1990-01-01", "2030-12-31"]}
    columns = [{"name": kind[:3], "type": kind, "range": ranges.get(kind)} for kind in names]
    columns += [
        {"name": "stage", "type": "category", "levels": ["I", "II", "it's"]},
        {"name": "age", "type": "integer", "range": [18, 90]},
        {"name": "sex", "type": "integer", "levels": [1, 2]},
        {"name": "waist cm", "type": "decimal", "range": [1, 300]},
        {"name": "death", "type": "boolean"},
    ]
    return parse_dictionary({"id": "fuzz", "column": columns})


@functools.cache
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "int": [1, 2, 3],
            "dec": [0.5, None, 2.5],
            "cat": ["a", None, "c"],
            "boo": pd.array([True, None, False], dtype="boolean"),
            "dat": pd.to_datetime(["2020-02-29", None, "1999-12-31"]),
            "stage": ["I", "II", "it's"],
            "age": [20, 65, 80],
            "sex": [1, 2, 1],
            "waist cm": [90.5, 100, None],
            "death": [True, False, True],
        }
    )


def where(data: bytes) -> None:
    parsed = parse_filter(text(data))
    check_filter(parsed, dictionary())
    evaluate_filter(parsed, frame())


def formula(data: bytes) -> None:
    design_of(parse_formula(text(data)), dictionary(), "a regression")


def positions(data: bytes) -> None:
    """Every text that tomllib reads has lines; of another, none or any."""
    written = text(data)
    try:
        plain = tomllib.loads(written)
    except (ValueError, RecursionError):
        line_of(written, ("a", 0))
        return
    found = lines_of(written)
    assert all(1 <= line <= written.count("\n") + 1 for line in found.values())
    assert all((key,) in found for key in plain)


def study(data: bytes) -> None:
    found = load_study(on_disk("study.toml", data))
    _ = found.spec, found.plain(), canonical_bytes(found.plain())


def schedule(data: bytes) -> None:
    path = on_disk("scheduled.toml", data)
    found = study_schedule(path)
    write_schedule(path, found.model_dump())


def cron(data: bytes) -> None:
    """A schedule in JSON, as it is in a proposal."""
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        return
    parse_schedule(plain)


def party(data: bytes) -> None:
    on_disk("party/party.toml", data)
    PartyDirectory(folder() / "party", {})


def environment(data: bytes) -> None:
    """Lines NAME=VALUE over a sound party.toml."""
    on_disk("party/party.toml", (CORPUS / "party" / "party.toml").read_bytes())
    pairs = (line.partition("=") for line in text(data).splitlines())
    PartyDirectory(folder() / "party", {name: value for name, _, value in pairs})


def moment(data: bytes) -> None:
    parse_moment(text(data))


def certificate(data: bytes) -> None:
    load_certificate(data, "westbay", past=True)
    signing_public(data)
    on_disk("site/keys/auditors/westbay.crt", data) if (folder() / "site/keys/auditors").is_dir() else None


def auditor(data: bytes) -> None:
    (folder() / "site/keys/auditors").mkdir(parents=True, exist_ok=True)
    on_disk("site/keys/auditors/westbay.crt", data)
    load_auditors(folder() / "site")


def key_file(data: bytes) -> None:
    path = on_disk("anna.key", data)
    path.chmod(0o600)
    person_key(folder(), "anna", path)


def public_key(data: bytes) -> None:
    (folder() / "site/keys/people").mkdir(parents=True, exist_ok=True)
    on_disk("site/keys/people/anna@example.org.pub", data)
    person_public(folder() / "site", "anna@example.org")


def statement(data: bytes) -> None:
    from pydantic import ValidationError

    try:
        signed = SignedStatement.model_validate_json(data)
    except ValidationError:
        return
    signed.check()


def bundle(data: bytes) -> None:
    """Never raises on content."""
    check_bundle(data)


def members(data: bytes) -> None:
    read = read_zip(data)
    compare_zip(data, read)


def _signed_member(name: str, data: bytes) -> None:
    """A bundle of which one file is anything, and the rest as a party would sign it."""
    files = read_zip((CORPUS / "bundle" / "bundle.zip").read_bytes())
    del files[INDEX]
    files[name] = data
    index = BundleIndex(
        party="westbay",
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        fields={name: found for name, content in files.items() if (found := field_digests(name, content))},
    )
    signature = KEYS["westbay"].sign("bundle", index).hex()
    head = pretty_json(index.model_dump(mode="json") | {"signature": signature})
    check_bundle(write_zip({INDEX: head, **files}))


def canonical(data: bytes) -> None:
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        return
    first = canonical_bytes(plain)
    assert canonical_bytes(json.loads(first)) == first or normalised(plain) != plain


TARGETS = (
    Target("filter", where, "text"),
    Target("formula", formula, "text"),
    Target("toml_lines", positions, "toml"),
    Target("study", study, "toml"),
    Target("schedule_file", schedule, "toml"),
    Target("schedule", cron, "json"),
    Target("dictionary", lambda data: load_dictionary(on_disk("dictionary.toml", data)), "toml"),
    Target("policy", lambda data: load_policy(on_disk("policy.toml", data)).digest, "toml"),
    Target("party", party, "toml"),
    Target("environment", environment, "text"),
    Target("roster", lambda data: load_roster(on_disk("roster.toml", data)), "toml"),
    Target("past_roster", lambda data: past_roster(text(data), "roster.toml"), "toml"),
    Target("card", lambda data: load_card(on_disk("card.toml", data)), "toml"),
    Target("mapping", lambda data: load_mapping(on_disk("mapping.toml", data)).check(dictionary()), "toml"),
    Target("moment", moment, "text"),
    Target("canonical", canonical, "json"),
    Target("certificate_file", certificate, "bytes"),
    Target("auditor", auditor, "bytes"),
    Target("key_file", key_file, "text"),
    Target("public_key", public_key, "text"),
    Target("statement", statement, "json"),
    Target("bundle", bundle, "bytes"),
    Target("zip", members, "bytes"),
    *(
        Target(f"bundle_{name.partition('.')[0]}", functools.partial(_signed_member, name), kind)
        for name, kind in (("entries.json", "json"), ("certificate.json", "json"), ("outcome.json", "json"))
    ),
    Target("bundle_lock", functools.partial(_signed_member, "study.lock"), "json"),
    Target("bundle_study", functools.partial(_signed_member, "study.toml"), "toml"),
    Target("bundle_roster", functools.partial(_signed_member, "roster.toml"), "toml"),
)
