"""`party.toml`: the settings of one party. The file is private to the site; paths in it are relative to its directory.

    apiVersion = "mpcstats/v1"
    kind = "Party"
    name = "northfield"
    role = "data"                     # or "compute": takes part without data
    operator = "Northfield Hospital"
    legal = "Northfield University Hospital Trust"   # optional, as the next two: for the card
    contact = "research-it@northfield.example"
    dpo = "dpo@northfield.example"

    [network]
    listen = "0.0.0.0:4710"           # MPCSTATS_LISTEN
    advertise = "mpc.northfield.example:4710"    # MPCSTATS_ADVERTISE; what the others dial, copied into the party card

    [datasets.main]
    table = "data/cohort.csv"         # CSV or Parquet
    dictionary = "dictionary.toml"
    genotypes = "data/chr10"          # PLINK 1 or 2 prefix, .vcf, .vcf.gz or .bcf; optional
    id = "IID"                        # column of the table that identifies the rows; optional
    variants = "study.tsv"            # the study's public list of variants, the same at every party; optional
    variant_match = "position"        # or "id": genotypes of another genome build; optional
    mapping = "mapping.toml"          # own names and codes -> the dictionary's, see node/records/mapping.py; optional

    [datasets.main.consent]           # optional: rows without consent are left out before anything else
    column = "research_consent"
    allow = ["yes"]

    [datasets.main.source]            # optional: where `dataset refresh` takes the table from
    url = "postgresql://reader@db.example/cohort"    # sqlite:///FILE, duckdb:///FILE; never with a password
    query = "sql/cohort.sql"
    password_file = "keys/database"   # or MPCSTATS_DATABASE_PASSWORD

    [run]
    patience_seconds = 30             # MPCSTATS_PATIENCE_SECONDS; how long the others may be silent during a run
    queue_seconds = 600               # how long a run waits for a party that is busy with another one
    preparation_seconds = 300         # how long a party may take to read its data

    [storage]
    state = "sqlite"                  # MPCSTATS_STATE; or postgresql://user@host/name (extra: postgres)
    retain_shares = "0d"              # how long shares are kept after a result was released

    [keys]
    passphrase_file = "/run/mpcstats.pass"    # of keys with a passphrase; optional, see node/identity/passphrase.py

    [limits]
    quiet_hours = "07:00-18:00"       # no scheduled runs in these hours; optional
    tz = "Europe/Stockholm"
    rows = 20000000                   # and many more, all with defaults: mpcstats.node.settings.limits

    [observability]
    metrics = "127.0.0.1:9471"        # MPCSTATS_METRICS; Prometheus metrics over HTTP, off unless given

    [logging]
    level = "info"                    # MPCSTATS_LOG_LEVEL; debug, info, warning, error

    [[notify]]                        # any number of them: mpcstats.node.notices.config

Every setting with one value has a variable in the environment, MPCSTATS_SECTION__FIELD, which wins over the file
(`mpcstats.node.settings.environment`, docs/configuration.md; `party config DIR` shows what is in force). The shorter
names above stay.

Beside `party.toml`, the directory holds `policy.toml` (parties with data), `roster.toml`, keys/, logs/ and state/.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mpcstats.errors import ConfigurationError, SpecError
from mpcstats.node.consortium.roster import Address, LongText, PartyName, Role, Roster, address_parts, load_roster
from mpcstats.node.identity.keys import load_identity, load_signing_key
from mpcstats.node.notices.config import NotifyTarget
from mpcstats.node.records.consent import Consent
from mpcstats.node.settings.environment import Setting, origins, overrides, with_overrides
from mpcstats.node.settings.quiet import LimitsConfig
from mpcstats.study.files.reading import read_toml, validated
from mpcstats.study.policy import Policy, load_policy
from mpcstats.study.signing import SigningKey
from mpcstats.transport.tls import KeyPair

__all__ = ["SHORT_VARIABLES", "DatasetConfig", "PartyConfig", "PartyDirectory", "RunConfig", "SourceConfig"]

# shorter name of an environment variable -> (section, field)
SHORT_VARIABLES: dict[str, tuple[str, ...]] = {
    "MPCSTATS_LISTEN": ("network", "listen"),
    "MPCSTATS_ADVERTISE": ("network", "advertise"),
    "MPCSTATS_PATIENCE_SECONDS": ("run", "patience_seconds"),
    "MPCSTATS_STATE": ("storage", "state"),
    "MPCSTATS_METRICS": ("observability", "metrics"),
    "MPCSTATS_LOG_LEVEL": ("logging", "level"),
}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkConfig(_Section):
    """Where this party listens, and where the others find it.

    Attributes
    ----------
    listen : str
        host:port of this machine; 0.0.0.0 is every address of it.
    advertise : str
        host:port that the others dial; copied into the party's card.
    """

    listen: Address
    advertise: Address

    @field_validator("advertise")
    @classmethod
    def _can_be_dialled(cls, address: str) -> str:
        if address_parts(address)[0] in {"0.0.0.0", "[::]"}:  # noqa: S104
            raise ValueError(
                f"{address} is every address of this machine, and none that others can dial; name one, such as "
                f"mpc.example.org:{address_parts(address)[1]} (party init --advertise)"
            )
        return address


class SourceConfig(_Section):
    """The database that a data set's table is a snapshot of."""

    url: str = Field(min_length=1, max_length=2000)
    query: Path
    password_file: Path | None = None


class DatasetConfig(_Section):
    """One data set; paths as written, relative to the party's directory."""

    table: Path
    dictionary: Path
    genotypes: Path | None = None
    id: str | None = None
    variants: Path | None = None
    variant_match: Literal["position", "id"] = "position"
    mapping: Path | None = None
    consent: Consent | None = None
    source: SourceConfig | None = None


class RunConfig(_Section):
    """Limits of waiting, in seconds.

    Attributes
    ----------
    patience_seconds : float
        How long the others may be silent during a run.
    queue_seconds : float
        How long a run waits for a party that is busy with another one.
    preparation_seconds : float
        How long a party may take to read its data.
    """

    patience_seconds: float = Field(default=30.0, ge=0.1, le=3600)
    queue_seconds: float = Field(default=600.0, ge=0, le=86_400)
    preparation_seconds: float = Field(default=300.0, ge=1, le=86_400)


class StorageConfig(_Section):
    """What the node keeps, and where.

    Attributes
    ----------
    state : str
        "sqlite" is state/state.db of the party's directory; or a URL, postgresql://user@host/name.
    retain_shares : str
        How long the shares of a run are kept after its result was released: "0d" (deleted then), "36h", "30d".
    """

    state: str = Field(default="sqlite", max_length=500)
    retain_shares: str = Field(default="0d", pattern=r"^[0-9]{1,4}[dh]$")

    @property
    def retention(self) -> datetime.timedelta:
        """`retain_shares` as a time."""
        number, unit = int(self.retain_shares[:-1]), self.retain_shares[-1]
        return datetime.timedelta(days=number) if unit == "d" else datetime.timedelta(hours=number)


class KeysConfig(_Section):
    """How the keys are protected.

    Attributes
    ----------
    passphrase_file : Path or None
        A file (mode 0600) with the passphrase of the keys, see `party passphrase`; relative to the party's directory.
    """

    passphrase_file: Path | None = None


class ObservabilityConfig(_Section):
    """Where Prometheus reads metrics.

    Attributes
    ----------
    metrics : str or None
        host:port. Nobody is asked for a key there: of this machine only, unless `expose` says otherwise.
    expose : bool
        Metrics may be read from other machines.
    """

    metrics: Address | None = None
    expose: bool = False

    @model_validator(mode="after")
    def _on_this_machine(self) -> Self:
        host = "127.0.0.1" if self.metrics is None else address_parts(self.metrics)[0]
        if not self.expose and host not in {"127.0.0.1", "localhost", "[::1]"}:
            raise ValueError(
                f"metrics: {host} can be reached from other machines, and no key is asked for; write 127.0.0.1, or "
                "expose = true"
            )
        return self


class LoggingConfig(_Section):
    """How much is logged.

    Attributes
    ----------
    level : str
        The least severe lines that are written: debug, info, warning or error.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"


class PartyConfig(_Section):
    """The content of `party.toml`.

    Attributes
    ----------
    name : str
        The party's name in the consortium; its certificate was made for it.
    role : str
        data, or compute: takes part without data.
    operator : str
        Who runs the node; nobody may run more of a committee's nodes than its threshold.
    legal : str
        For the card: the institution's full legal name.
    contact : str
        For the card: who answers for the node.
    dpo : str
        For the card: the data protection officer.
    """

    apiVersion: Literal["mpcstats/v1"]
    kind: Literal["Party"]
    name: PartyName
    role: Role
    operator: str = Field(min_length=1, max_length=200)
    legal: LongText = ""
    contact: LongText = ""
    dpo: LongText = ""
    network: NetworkConfig
    datasets: dict[str, DatasetConfig] = {}
    run: RunConfig = RunConfig()
    storage: StorageConfig = StorageConfig()
    keys: KeysConfig = KeysConfig()
    limits: LimitsConfig = LimitsConfig()
    notify: tuple[NotifyTarget, ...] = Field(default=(), max_length=20)
    observability: ObservabilityConfig = ObservabilityConfig()
    logging: LoggingConfig = LoggingConfig()

    @field_validator("notify")
    @classmethod
    def _own_names(cls, targets: tuple[NotifyTarget, ...]) -> tuple[NotifyTarget, ...]:
        if len({target.name for target in targets}) < len(targets):
            raise ValueError("each target needs a name of its own")
        return targets

    @model_validator(mode="after")
    def _compute_only(self) -> Self:
        if self.role == "compute" and self.datasets:
            raise ValueError("a party with role 'compute' has no datasets")
        return self


class PartyDirectory:
    """The files of one party.

    Parameters
    ----------
    path : Path
        The directory with `party.toml`.
    environment : mapping, optional
        Overrides; default the process' environment.

    Raises
    ------
    ConfigurationError
        `party.toml` is missing or wrong; names file, field and what to do.
    """

    def __init__(self, path: Path, environment: Mapping[str, str] | None = None) -> None:
        self.path = path.absolute()
        self.config_file = self.path / "party.toml"
        plain, text = read_toml(self.config_file, hint=f"mpcstats party init {path} --name NAME")
        given = overrides(PartyConfig, os.environ if environment is None else environment, SHORT_VARIABLES)
        elsewhere = {place: f"environment variable {name}" for place, (name, _) in given.items()}
        self.config: PartyConfig = validated(
            PartyConfig, with_overrides(plain, given), str(self.config_file), text, elsewhere=elsewhere
        )
        self._plain, self._given = plain, given

    def settings(self) -> list[tuple[Setting, Any, str]]:
        """Every setting with the value in force, and where that comes from.

        See `mpcstats.node.settings.environment.origins`.
        """
        return list(origins(self.config, self._plain, self._given))

    @property
    def log_file(self) -> Path:
        """JSON lines."""
        return self.path / "logs" / "node.log"

    @property
    def run_logs(self) -> Path:
        """Folder of the logs of single runs."""
        return self.path / "logs" / "runs"

    @property
    def state(self) -> Path:
        """Directory of the lock file and the ledger of released counts."""
        return self.path / "state"

    @property
    def results(self) -> Path:
        """Folder of the released outcomes of scheduled runs."""
        return self.state / "results"

    @property
    def ledger_file(self) -> Path:
        """The counts that were released, see `mpcstats.node.ledger.releases`. Losing it stops further counts."""
        return self.state / "released.sqlite"

    @property
    def state_url(self) -> str:
        """URL of the database of studies, see `mpcstats.node.state`."""
        state = self.config.storage.state
        return f"sqlite:///{self.state / 'state.db'}" if state == "sqlite" else state

    @property
    def genotype_cache(self) -> Path:
        """Calls read from VCF files."""
        return self.state / "genotypes"

    @property
    def roster_file(self) -> Path:
        """Where `consortium join` puts the roster."""
        return self.path / "roster.toml"

    def identity(self) -> KeyPair:
        """This party's key and certificate."""
        return load_identity(self.path, self.config.name)

    def signing_key(self) -> SigningKey:
        """The key with which this party signs."""
        return load_signing_key(self.path, self.config.name)

    def roster(self) -> Roster:
        """The roster, which lists this party under its own name, role and key."""
        roster = load_roster(self.roster_file)
        self.check_membership(roster)
        return roster

    @property
    def rosters(self) -> Path:
        """Folder of all versions of the roster that this party joined, named by digest."""
        return self.state / "rosters"

    def earlier_rosters(self) -> list[Roster]:
        """All versions of the roster that this party joined: what was signed under them stays valid."""
        return [load_roster(path) for path in sorted(self.rosters.glob("*.toml"))]

    def check_membership(self, roster: Roster) -> None:
        """Check that a roster lists this party under its own name, role and key.

        Raises
        ------
        ConfigurationError
            It does not.
        """
        member = roster.ordered[roster.index(self.identity().certificate_pem) - 1]
        for field in ("name", "role"):
            own, listed = getattr(self.config, field), getattr(member, field)
            if own != listed:
                raise ConfigurationError(
                    f"{self.config_file} has {field} = {own!r}, but the roster lists this key with {field} = {listed!r}"
                )

    def policy(self, dataset: str | None = None) -> Policy | None:
        """This party's policy, for one data set where that has its own; None for a party without data."""
        if self.config.role == "compute":
            return None
        own = self.path / f"policy.{dataset}.toml"
        if dataset is not None and dataset in self.config.datasets and own.exists():
            return load_policy(own)
        path = self.path / "policy.toml"
        if not path.exists():
            raise ConfigurationError(
                f"{path} is missing: a party with data needs a policy",
                hint=f"mpcstats policy use standard --party {self.path}",
            )
        return load_policy(path)

    def dataset(self, name: str) -> DatasetConfig:
        """A data set with absolute paths.

        Raises
        ------
        SpecError
            This party has no data set of this name.
        """
        if name not in self.config.datasets:
            known = ", ".join(sorted(self.config.datasets)) or "none"
            raise SpecError(
                f"there is no data set {name!r} (data sets: {known})",
                party=self.config.name,
                hint=f"mpcstats dataset add {name} --party {self.path} --csv FILE",
            )
        plain = self.config.datasets[name]
        paths = {
            field: self.path / value
            for field in ("table", "dictionary", "genotypes", "variants", "mapping")
            if (value := getattr(plain, field)) is not None
        }
        return plain.model_copy(update=paths)
