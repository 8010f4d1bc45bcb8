"""Data sets of a party: registered in `party.toml`, with what happened to them since in `state/datasets.json`."""

from __future__ import annotations

import datetime
import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpcstats.errors import ConfigurationError, DataError
from mpcstats.node.consortium.roster import read_model
from mpcstats.node.datasets.files import write_whole
from mpcstats.node.datasets.snapshot import Snapshot, parse_url, snapshot_of, take_snapshot
from mpcstats.node.records.source import load_genotypes
from mpcstats.node.settings.config import DatasetConfig, PartyConfig, PartyDirectory
from mpcstats.node.site import source_of
from mpcstats.study.dictionary import Dictionary, load_dictionary
from mpcstats.study.files.writing import toml_scalar

__all__ = [
    "NewDataset",
    "add_dataset",
    "list_datasets",
    "note_check",
    "publish_dataset",
    "refresh_dataset",
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_FIELDS = ("table", "dictionary", "genotypes", "id", "variants", "mapping")


@dataclass(frozen=True)
class NewDataset:
    """What is to be registered; paths as seen from the working directory, one of `table` and `source` is given.

    Attributes
    ----------
    table : Path or None
        A CSV or Parquet file.
    source, query, password_file
        A database, see `mpcstats.node.datasets.snapshot`.
    """

    name: str
    table: Path | None = None
    source: str | None = None
    query: Path | None = None
    password_file: Path | None = None
    dictionary: Path | None = None
    genotypes: Path | None = None
    id: str | None = None
    variants: Path | None = None
    mapping: Path | None = None
    consent_column: str | None = None
    consent_allow: tuple[str, ...] = ()


def add_dataset(
    directory: PartyDirectory, new: NewDataset, environment: Mapping[str, str] = os.environ
) -> DatasetConfig:
    """Register a data set: check that its files are there, take the snapshot, and write `[datasets.NAME]`.

    What is in `party.toml` already stays byte for byte.

    Returns
    -------
    DatasetConfig
        Paths as written.

    Raises
    ------
    ConfigurationError, DataError
        Nothing is changed then.
    """
    party = directory.config.name
    if not _NAME.fullmatch(new.name):
        raise ConfigurationError(
            f"{new.name!r} cannot name a data set: up to 64 letters, digits, '-' and '_', the first a letter or digit"
        )
    if new.name in directory.config.datasets:
        raise ConfigurationError(
            f"there is a data set {new.name!r} already",
            hint=f"choose another name, or edit [datasets.{new.name}] in {directory.config_file}",
        )
    if (new.table is None) == (new.source is None):
        raise ConfigurationError("a data set has one table: --csv FILE, --parquet FILE, or --from URL --query FILE")
    section = _section(directory, new)
    text = directory.config_file.read_text(encoding="utf-8")
    changed = text + ("" if text.endswith("\n") else "\n") + _section_text(new.name, section)
    try:
        plain = tomllib.loads(changed)
    except tomllib.TOMLDecodeError:  # datasets = { ... } in one line
        raise ConfigurationError(
            f"{directory.config_file} has its data sets in a form that cannot be added to",
            hint=f"write [datasets.NAME] sections, and add [datasets.{new.name}] by hand",
        ) from None
    config = read_model(PartyConfig, plain, "the new data set").datasets[new.name]
    _check_files(directory, config, new)
    if config.source is not None:
        _take(directory, config, party, environment)
    write_whole(directory.config_file, changed, directory.config_file.stat().st_mode & 0o777)
    _note(directory, new.name, registered=_now())
    return config


def refresh_dataset(
    directory: PartyDirectory, name: str, environment: Mapping[str, str] = os.environ
) -> tuple[Snapshot | None, Snapshot]:
    """Take a new snapshot of a data set's database in place of the last one; both are returned.

    Raises
    ------
    ConfigurationError
        The data set comes from a file.
    """
    directory.dataset(name)
    config = directory.config.datasets[name]
    if config.source is None:
        raise ConfigurationError(
            f"the data set {name!r} comes from a file, not from a database",
            hint=f"replace {directory.path / config.table}",
        )
    before = snapshot_of(directory.path / config.table)
    return before, _take(directory, config, directory.config.name, environment)


def publish_dataset(directory: PartyDirectory, name: str) -> tuple[Dictionary, str]:
    """Record that this version of the dictionary is the published one.

    Returns
    -------
    (Dictionary, str)
        And its digest (hex). It is all that others get to see of the data set: names, types, units, levels and ranges.

    Raises
    ------
    ConfigurationError
        The dictionary is missing, wrong or a draft, or another content was published under this version.
    """
    dictionary = load_dictionary(directory.dataset(name).dictionary)
    drafted = [column.name for column in dictionary.columns if "?" in {column.unit, column.description}]
    if drafted:
        raise ConfigurationError(
            f"the dictionary {dictionary.id!r} is a draft: unit or description of {len(drafted)} columns is still '?'",
            hint=f"complete {', '.join(drafted[:10])}{', ...' if len(drafted) > 10 else ''}",
        )
    digest = dictionary.digest().hex()
    last = _state(directory).get(name, {}).get("published")
    if last is not None and last["id"] == dictionary.id:
        if last["version"] > dictionary.version:
            raise ConfigurationError(
                f"version {last['version']} of the dictionary {dictionary.id!r} is published already, "
                f"this one is version {dictionary.version}",
                hint=f"version = {last['version'] + 1}",
            )
        if last["version"] == dictionary.version and last["digest"] != digest:
            raise ConfigurationError(
                f"version {dictionary.version} of the dictionary {dictionary.id!r} was published with another content",
                hint=f"version = {dictionary.version + 1} at every party, then publish again",
            )
    if last is None or last["digest"] != digest:
        entry = {"id": dictionary.id, "version": dictionary.version, "digest": digest, "at": _now()}
        _note(directory, name, published=entry)
    return dictionary, digest


def list_datasets(directory: PartyDirectory) -> list[dict[str, Any]]:
    """Every data set with its files and how far it is: registered, checked, published."""
    state, found = _state(directory), []
    for name, config in sorted(directory.config.datasets.items()):
        own = state.get(name, {})
        row: dict[str, Any] = {"name": name, "table": str(config.table), "dictionary": str(config.dictionary)}
        try:
            dictionary = load_dictionary(directory.path / config.dictionary)
            row |= {"id": dictionary.id, "version": dictionary.version, "digest": dictionary.digest().hex()}
        except ConfigurationError:
            row |= {"id": None, "version": None, "digest": None}
        published = own.get("published")
        row["published"] = published
        row["checked"] = own.get("checked")
        row["state"] = _how_far(row)
        row["genotypes"] = None if config.genotypes is None else str(config.genotypes)
        row["consent"] = None if config.consent is None else config.consent.column
        snapshot = None if config.source is None else snapshot_of(directory.path / config.table)
        row["extracted"] = None if snapshot is None else snapshot.extracted
        found.append(row)
    return found


def note_check(directory: PartyDirectory, name: str, dictionary: str, problems: int) -> None:
    """Remember the outcome of a check against a dictionary (its digest, hex)."""
    _note(directory, name, checked={"dictionary": dictionary, "problems": problems, "at": _now()})


def _note(directory: PartyDirectory, name: str, **facts: Any) -> None:
    state = _state(directory)
    state[name] = {**state.get(name, {}), **facts}
    write_whole(_state_file(directory), json.dumps(state, indent=2) + "\n")


def _how_far(row: Mapping[str, Any]) -> str:
    """A dictionary that changed since does not count."""
    if row["published"] is not None and row["published"]["digest"] == row["digest"]:
        return "published"
    checked = row["checked"]
    if checked is not None and checked["dictionary"] == row["digest"]:
        return "checked" if checked["problems"] == 0 else "has problems"
    return "registered"


def _section(directory: PartyDirectory, new: NewDataset) -> dict[str, Any]:
    """The new section, paths relative to the party's directory where they are inside."""
    section: dict[str, Any] = {
        "table": f"snapshots/{new.name}.parquet" if new.table is None else _path(directory, new.table),
        "dictionary": f"{new.name}.dictionary.toml" if new.dictionary is None else _path(directory, new.dictionary),
    }
    for field in ("genotypes", "variants", "mapping"):
        value = getattr(new, field)
        if value is not None:
            section[field] = _path(directory, value)
    if new.id is not None:
        section["id"] = new.id
    if new.consent_column is not None:
        section["consent"] = {"column": new.consent_column, "allow": list(new.consent_allow)}
    elif new.consent_allow:
        raise ConfigurationError("--consent-allow needs --consent-column")
    if new.source is None:
        return section
    if new.query is None:
        raise ConfigurationError("a database needs a query", hint="--query FILE, with one SELECT")
    url = parse_url(new.source)
    if url.drivername != "postgresql":
        url = url.set(database=str(Path(url.database or "").absolute()))
    section["source"] = {"url": url.render_as_string(), "query": _path(directory, new.query)}
    if new.password_file is not None:
        section["source"]["password_file"] = _path(directory, new.password_file)
    return section


def _path(directory: PartyDirectory, path: Path) -> str:
    absolute = path.absolute()
    inside = absolute.is_relative_to(directory.path)
    return str(absolute.relative_to(directory.path) if inside else absolute)


def _section_text(name: str, section: Mapping[str, Any]) -> str:
    head = f"datasets.{name}"
    lines = [f"\n[{head}]", *(f"{key} = {toml_scalar(section[key])}" for key in _FIELDS if key in section)]
    for part in ("consent", "source"):
        if part in section:
            lines += [f"\n[{head}.{part}]", *(f"{key} = {toml_scalar(value)}" for key, value in section[part].items())]
    return "\n".join(lines) + "\n"


def _check_files(directory: PartyDirectory, config: DatasetConfig, new: NewDataset) -> None:
    """Every file that was named is there; the dictionary, the mapping and the genotypes can be read."""
    named: list[Path | None] = [config.variants, config.mapping]
    named += [config.table] if config.source is None else [config.source.query, config.source.password_file]
    named += [config.dictionary] if new.dictionary is not None else []
    for path in named:
        if path is not None and not (directory.path / path).is_file():
            raise ConfigurationError(f"there is no file {directory.path / path}", hint="check the path")
    if new.dictionary is not None:
        load_dictionary(directory.path / config.dictionary)
    if config.genotypes is not None:
        absolute = {f: directory.path / v for f in ("table", "genotypes", "variants") if (v := getattr(config, f))}
        files = config.model_copy(update=absolute)
        load_genotypes(source_of(files), directory.config.name, directory.genotype_cache)


def _take(directory: PartyDirectory, config: DatasetConfig, party: str, environment: Mapping[str, str]) -> Snapshot:
    source = config.source
    assert source is not None
    password_file = None if source.password_file is None else directory.path / source.password_file
    target = directory.path / config.table
    if target.suffix != ".parquet":
        raise ConfigurationError(f"a snapshot is a Parquet file, and {config.table} is none")
    return take_snapshot(source.url, directory.path / source.query, target, party, environment, password_file)


def _state_file(directory: PartyDirectory) -> Path:
    return directory.state / "datasets.json"


def _state(directory: PartyDirectory) -> dict[str, dict[str, Any]]:
    path = _state_file(directory)
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        plain = None
    if not isinstance(plain, dict) or not all(isinstance(value, dict) for value in plain.values()):
        raise DataError(
            f"{path} cannot be read",
            party=directory.config.name,
            hint="delete it, check and publish the data sets again",
        )
    return plain


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
