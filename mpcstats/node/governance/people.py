"""The people of a party: their keys, and what they state about studies.

A person's key is a file of the person's; the party keeps the public half (keys/people/NAME.pub). A statement counts for
one study, one subject and one decision, and is signed by the person; how many make a decision of the party says its
policy.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mpcstats.errors import ConfigurationError, NotPermitted, SignatureInvalid
from mpcstats.node.identity.passphrase import unlocked_person
from mpcstats.study.signing import PUBLIC_KEY_BYTES, SigningKey, verify

__all__ = [
    "OPERATOR",
    "SignedStatement",
    "Statement",
    "add_person",
    "check_statement",
    "person_key",
    "person_public",
    "private_file",
]

OPERATOR = "operator"
"""Who acts where the policy names nobody: whoever holds the node's own key."""

KIND = "statement"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}(@[A-Za-z0-9][A-Za-z0-9.-]{0,120})?")


class Statement(BaseModel):
    """What one person says.

    Attributes
    ----------
    subject : str
        "approval", or "release RUN".
    decision : "approve", "reject", "release" or "withhold"
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["Statement"] = "Statement"
    party: str
    person: str = Field(max_length=200)
    study: str = Field(pattern=r"^[0-9a-f]{64}$")
    subject: str = Field(max_length=80)
    decision: Literal["approve", "reject", "release", "withhold"]
    reason: str = Field(default="", max_length=2000)
    time: str = Field(max_length=40)


class SignedStatement(BaseModel):
    """A statement with its person's key and signature."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    statement: Statement
    public: str = Field(pattern=r"^[0-9a-f]{64}$")
    signature: str = Field(pattern=r"^[0-9a-f]{128}$")

    @classmethod
    def make(cls, statement: Statement, key: SigningKey) -> SignedStatement:
        """Sign a statement."""
        signature = key.sign(KIND, statement).hex()
        return cls(statement=statement, public=key.public.hex(), signature=signature)

    def check(self) -> None:
        """Verify the signature with the key it came with.

        Raises
        ------
        SignatureInvalid
        """
        said = self.statement
        what = f"{said.person}'s statement"
        verify(bytes.fromhex(self.public), KIND, said, bytes.fromhex(self.signature), what=what, party=said.party)


def add_person(directory: Path, name: str) -> Path:
    """Make a person's key; returns the file of the private half, which belongs to the person.

    Raises
    ------
    ConfigurationError
        The name is no name, or there is a key already.
    """
    folder = _folder(directory, name)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key, private = SigningKey.generate(), folder / f"{name}.key"
    try:
        descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(
            f"{private} exists: {name} has a key", hint="delete both files to replace it"
        ) from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key.secret.hex() + "\n")
    public = folder / f"{name}.pub"
    public.write_text(key.public.hex() + "\n", encoding="ascii")
    public.chmod(0o600)  # like everything under keys/
    return private


def private_file(directory: Path, name: str) -> Path:
    """Where the private half of a person's key is made."""
    return _folder(directory, name) / f"{name}.key"


def person_key(directory: Path, name: str, file: Path | None = None) -> SigningKey:
    """A person's private key, from the party's directory or from a file of the person's.

    Raises
    ------
    ConfigurationError
        It is missing, readable by others, or no key.
    """
    path = file or private_file(directory, name)
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"{path} can be read by other users", hint=f"chmod 600 {path}")
        return SigningKey(bytes.fromhex(unlocked_person(path, path.read_bytes()).decode("ascii").strip()))
    except OSError as error:
        hint = f"mpcstats party person {directory} {name}, or --key FILE"
        raise ConfigurationError(f"cannot read {path}: {error.strerror}", hint=hint) from None
    except ValueError:
        raise ConfigurationError(f"{path} holds no key") from None


def person_public(directory: Path, name: str) -> bytes:
    """A person's public key, as the party registered it.

    Raises
    ------
    ConfigurationError
        There is none.
    """
    path = _folder(directory, name) / f"{name}.pub"
    try:
        public = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        public = b""
    if len(public) != PUBLIC_KEY_BYTES:
        hint = f"mpcstats party person {directory} {name}"
        raise ConfigurationError(f"{name} has no key at this party ({path} is missing)", hint=hint)
    return public


def check_statement(directory: Path, signed: SignedStatement, party: str, people: tuple[str, ...]) -> None:
    """Check that a person of this party made a statement.

    Raises
    ------
    NotPermitted
        The policy does not name the person, or the statement is another party's.
    SignatureInvalid
        It was signed with another key than the registered one.
    """
    said = signed.statement
    if said.party != party or said.person not in people:
        raise NotPermitted(
            f"{said.person} does not decide here (people: {', '.join(people) or 'nobody'})",
            party=party,
            hint="[approval] people in policy.toml",
        )
    if bytes.fromhex(signed.public) != person_public(directory, said.person):
        raise SignatureInvalid(f"the statement is not signed with {said.person}'s key", party=party)
    signed.check()


def _folder(directory: Path, name: str) -> Path:
    if not _NAME.fullmatch(name) or ".." in name:
        raise ConfigurationError(f"{name[:80]!r} cannot name a person", hint="a name or an address such as dpo@uu.se")
    return directory / "keys" / "people"
