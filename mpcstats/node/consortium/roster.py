"""The roster: who computes, with which key, at which address. All parties use the same one, byte for byte in content.

    apiVersion = "mpcstats/v1"
    kind = "Roster"
    consortium = "cvd-nordic"
    version = 1
    threshold = 1                 # members who may pool what they see and still learn nothing; default (m - 1) // 2
    committee = ["northfield", "lakeside", "westbay"]     # who computes; default: all of up to seven parties, else five

    [[party]]
    name = "northfield"
    role = "data"                 # or "compute": takes part without data
    operator = "Northfield Hospital"
    address = "mpc.northfield.example:4710"
    certificate = '''-----BEGIN CERTIFICATE----- ...'''

A party card is one such party, with kind = "PartyCard"; `mpcstats party card` prints it.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from mpcstats.errors import ConfigurationError
from mpcstats.node.identity.keys import check_name, fingerprint_words, load_certificate, signing_public
from mpcstats.sharing.committee import DEFAULT_MEMBERS, MOST_WITHOUT_GUESTS, Committee, default_threshold
from mpcstats.study.files.reading import read_toml, validated
from mpcstats.study.files.writing import toml_block, toml_scalar
from mpcstats.study.spec import digest
from mpcstats.transport.tls import PinnedPeer, fingerprint

__all__ = [
    "CARD_ONLY",
    "MAX_COMPUTING",
    "MAX_LISTED",
    "MIN_COMPUTING",
    "Card",
    "LongText",
    "Member",
    "Role",
    "Roster",
    "address_parts",
    "load_card",
    "load_roster",
    "make_roster",
    "past_roster",
    "parse_toml",
    "read_model",
]

MIN_COMPUTING, MAX_COMPUTING = 3, 9
MAX_LISTED = 60
"""Parties of a consortium: a node has a connection to each other one."""

Role = Literal["data", "compute"]
CARD_ONLY = ("legal", "contact", "dpo")
"""What a card says of the institution, and a roster does not repeat."""
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]):(?P<port>[0-9]{1,5})")
_Model = TypeVar("_Model", bound=BaseModel)


def address_parts(address: str) -> tuple[str, int]:
    """Split "host:port".

    Raises
    ------
    ValueError
        It is not one.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ValueError(f"{address!r} is not host:port, such as mpc.example.org:4710")
    return match["host"], int(match["port"])


def _address(text: str) -> str:
    address_parts(text)
    return text


def _name(text: str) -> str:
    try:
        return check_name(text)
    except ConfigurationError as error:
        raise ValueError(error.message) from None


Address = Annotated[str, AfterValidator(_address)]
LongText = Annotated[str, Field(max_length=300)]
PartyName = Annotated[str, AfterValidator(_name)]


class Member(BaseModel):
    """One party of a roster."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: PartyName
    role: Role
    operator: str = Field(min_length=1, max_length=200)
    address: Address
    certificate: str = Field(max_length=20_000)
    succession: str = Field(default="", pattern=r"^([0-9a-f]{128})?$")
    """Of a party that changed its keys: the old signing key's signature of the new certificate (hex)."""

    @property
    def certificate_pem(self) -> bytes:
        """The certificate, PEM."""
        return (self.certificate.strip() + "\n").encode()

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the public key (32 bytes)."""
        return fingerprint(self.certificate_pem)

    @property
    def signing_public(self) -> bytes:
        """The key with which the party signs (32 bytes), named and signed by the certificate."""
        return signing_public(self.certificate_pem)

    @property
    def words(self) -> str:
        """The fingerprint for the telephone."""
        return fingerprint_words(self.certificate_pem)

    @model_validator(mode="after")
    def _readable(self, info: ValidationInfo) -> Self:
        past = bool(info.context and info.context.get("past"))
        try:
            certificate = load_certificate(self.certificate_pem, self.name, past=past)
        except ConfigurationError as error:
            raise ValueError(error.message) from None
        # every certificate in here would be trusted by TLS, and the text is copied into rosters
        if self.certificate.split() != certificate.public_bytes(Encoding.PEM).decode().split():
            raise ValueError(f"the certificate of {self.name} holds something else beside one certificate")
        return self

    def to_toml(self) -> str:
        """The fields as TOML lines."""
        names = ("name", "role", "operator", "address", *(("succession",) if self.succession else ()))
        fields = (f"{key} = {toml_scalar(getattr(self, key))}" for key in names)
        return "\n".join((*fields, f"certificate = {toml_block(self.certificate)}")) + "\n"


class Card(Member):
    """What a party hands to the lead of a consortium. Public."""

    apiVersion: Literal["mpcstats/v1"] = "mpcstats/v1"
    kind: Literal["PartyCard"] = "PartyCard"
    legal: LongText = ""
    """The institution's full legal name. This and the next two stay on the card: no roster lists or hashes them."""
    contact: LongText = ""
    """Who answers for the node: a person or an office, with mail address or telephone number."""
    dpo: LongText = ""
    """The data protection officer."""

    def to_toml(self) -> str:
        """The whole card."""
        head = 'apiVersion = "mpcstats/v1"\nkind = "PartyCard"\n'
        own = (f"{key} = {toml_scalar(value)}\n" for key in CARD_ONLY if (value := getattr(self, key)))
        return head + "".join(own) + super().to_toml()


class Roster(BaseModel):
    """The parties of a consortium: who is in it, and who of them computes.

    Numbers of a session follow `ordered`: the committee is 1..m, the other parties (guests) are m + 1..n.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    apiVersion: Literal["mpcstats/v1"] = "mpcstats/v1"
    kind: Literal["Roster"] = "Roster"
    consortium: PartyName
    version: int = Field(ge=1)
    previous: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """Digest (hex) of the version before; "" for the first."""
    committee: tuple[PartyName, ...]
    threshold: int = Field(ge=1)
    party: tuple[Member, ...]

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, plain: Any) -> Any:
        if not isinstance(plain, dict) or not isinstance(plain.get("party"), list | tuple):
            return plain
        plain = {"committee": _usual_committee(plain["party"]), **plain}
        if isinstance(plain["committee"], list | tuple):
            plain = {"threshold": max(1, default_threshold(len(plain["committee"]))), **plain}
        return plain

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        n, m = len(self.party), len(self.committee)
        if not MIN_COMPUTING <= n <= MAX_LISTED:
            raise ValueError(f"{n} parties are listed, at least {MIN_COMPUTING} and at most {MAX_LISTED} are possible")
        for what in ("name", "fingerprint", "address"):
            seen: set[object] = set()
            for member in self.party:
                if getattr(member, what) in seen:
                    raise ValueError(f"the {what} of {member.name} is listed twice")
                seen.add(getattr(member, what))
        self._check_committee()
        if 2 * self.threshold >= m:
            raise ValueError(f"threshold {self.threshold} is not below half of {m} parties that compute")
        self._check_operators()
        if not self.data_parties:
            raise ValueError("no party has the role 'data'")
        return self

    def _check_committee(self) -> None:
        m, listed = len(self.committee), {member.name for member in self.party}
        for name in self.committee:
            if name not in listed:
                raise ValueError(f"the committee names {name}, which is no party of this roster")
            if self.committee.count(name) > 1:
                raise ValueError(f"the committee names {name} twice")
        if not MIN_COMPUTING <= m <= MAX_COMPUTING:
            raise ValueError(f"the committee has {m} members, {MIN_COMPUTING} to {MAX_COMPUTING} can compute together")
        for member in self.party:
            if member.role == "compute" and member.name not in self.committee:
                raise ValueError(f"{member.name} has no data and is not in the committee: it would have nothing to do")

    def _check_operators(self) -> None:
        """No operator may run more members of the committee than the threshold: it could put their shares together."""
        nodes: dict[str, list[str]] = {}
        for member in self.ordered[: len(self.committee)]:
            # "Hospital A" and "hospital  a " are one operator
            nodes.setdefault(" ".join(member.operator.split()).casefold(), []).append(member.operator)
        for operators in nodes.values():
            if len(operators) > self.threshold:
                raise ValueError(
                    f"{operators[0]!r} operates {len(operators)} parties that compute where the threshold is "
                    f"{self.threshold}: "
                    "it alone could put their shares together and read every secret"
                )

    @functools.cached_property
    def digest(self) -> bytes:
        """SHA-256 of the content (32 bytes): parties with different rosters refuse each other."""
        return digest(self.model_dump(mode="json"))

    @functools.cached_property
    def ordered(self) -> tuple[Member, ...]:
        """The parties by number: the committee in its order, then the others in the roster's."""
        by_name = {member.name: member for member in self.party}
        guests = (member for member in self.party if member.name not in self.committee)
        return (*(by_name[name] for name in self.committee), *guests)

    @property
    def names(self) -> tuple[str, ...]:
        """Names by number."""
        return tuple(member.name for member in self.ordered)

    @property
    def data_parties(self) -> tuple[str, ...]:
        """Names of the parties that hold data."""
        return tuple(member.name for member in self.ordered if member.role == "data")

    @property
    def has_usual_committee(self) -> bool:
        """Whether those compute who do where a roster names no committee."""
        return self.committee == _usual_committee([{"name": x.name, "role": x.role} for x in self.party])

    @property
    def computing(self) -> Committee:
        """Who computes, for the sharing."""
        return Committee(len(self.committee), self.threshold)

    @property
    def peers(self) -> tuple[PinnedPeer, ...]:
        """All parties for the transport, by number."""
        return tuple(
            PinnedPeer(number, member.name, member.address, member.certificate_pem)
            for number, member in enumerate(self.ordered, start=1)
        )

    def index(self, certificate_pem: bytes) -> int:
        """The number of the party with this key.

        Raises
        ------
        ConfigurationError
            The key is not in the roster.
        """
        own = fingerprint(certificate_pem)
        for number, member in enumerate(self.ordered, start=1):
            if member.fingerprint == own:
                return number
        raise ConfigurationError(
            f"the roster of {self.consortium} does not contain this party's key ({fingerprint_words(certificate_pem)})",
            hint="send the card of this party (mpcstats party card) to the lead and ask for a new roster",
        )

    def to_toml(self) -> str:
        """The whole roster."""
        head = (
            f'apiVersion = "mpcstats/v1"\nkind = "Roster"\nconsortium = {toml_scalar(self.consortium)}\n'
            f"version = {self.version}\nthreshold = {self.threshold}\n"
        )
        if self.previous:
            head += f"previous = {toml_scalar(self.previous)}\n"
        if not self.has_usual_committee:
            head += f"committee = [{', '.join(map(toml_scalar, self.committee))}]\n"
        return head + "".join(f"\n[[party]]\n{member.to_toml()}" for member in self.party)


def _usual_committee(parties: Sequence[Any]) -> tuple[Any, ...]:
    """All of up to seven parties; else five: first those without data, who have nothing else to do."""
    if len(parties) <= MOST_WITHOUT_GUESTS:
        return tuple(party.get("name") if isinstance(party, dict) else None for party in parties)
    named = [party for party in parties if isinstance(party, dict)]
    by_role = sorted(named, key=lambda party: party.get("role") != "compute")
    return tuple(party.get("name") for party in by_role[:DEFAULT_MEMBERS])


def make_roster(
    consortium: str,
    cards: Sequence[Member],
    version: int = 1,
    threshold: int | None = None,
    previous: str = "",
    committee: Sequence[str] | None = None,
) -> Roster:
    """A roster of the given cards, in their order; every field is checked."""
    members = [card.model_dump(exclude={"apiVersion", "kind", *CARD_ONLY}) for card in cards]
    plain: dict[str, Any] = {"consortium": consortium, "version": version, "previous": previous, "party": members}
    if threshold is not None:
        plain["threshold"] = threshold
    if committee is not None:
        plain["committee"] = list(committee)
    return read_model(Roster, plain, "the roster")


def load_roster(path: Path) -> Roster:
    """Read `roster.toml`.

    Raises
    ------
    ConfigurationError
        Names file and field.
    """
    plain, text = read_toml(path, hint="mpcstats consortium join ROSTER --party DIR")
    return read_model(Roster, plain, str(path), text)


def past_roster(text: str, source: str) -> Roster:
    """A roster as it was when something was signed: its certificates need not be valid today.

    Raises
    ------
    ConfigurationError
        Names source and field.
    """
    try:
        plain = tomllib.loads(text)
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{source} is not TOML") from None
    try:
        return Roster.model_validate(plain, context={"past": True})
    except ValidationError as error:
        raise ConfigurationError(f"{source} is not a roster: {error.errors(include_url=False)[0]['msg']}") from None


def load_card(path: Path) -> Card:
    """Read a party card."""
    plain, text = read_toml(path, hint="mpcstats party card DIR > NAME.card.toml")
    return read_model(Card, plain, str(path), text)


def parse_toml(path: Path, hint: str | None = None) -> dict[str, Any]:
    """Read a TOML file; errors name the file."""
    return read_toml(path, hint)[0]


def read_model(model: type[_Model], plain: Mapping[str, Any], source: str, text: str | None = None) -> _Model:
    """Validate; errors name source and field (of a file's `text` the line, too), and never repeat the value."""
    return validated(model, plain, source, text)
