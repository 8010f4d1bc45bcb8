"""`[[notify]]` of party.toml: whom the node tells what, and how.

[[notify]]
kind = "webhook"
name = "chat"
events = ["held", "run-failed"]            # all unless listed
url = "https://hooks.example.org/mpcstats"   # plain http only on this machine
secret_file = "keys/webhook.secret"        # mode 0600, 16 bytes or more; signs every notice

[[notify]]
kind = "email"
name = "dpo"
events = ["approval-needed", "release-needed"]
to = ["dpo@northfield.example"]
sender = "mpcstats@northfield.example"
host = "mail.northfield.example"
port = 587
security = "starttls"                      # or "ssl"; "none" only on this machine
user = "mpcstats"
password_file = "keys/mail.password"       # mode 0600
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

__all__ = ["EVENTS", "EmailTarget", "Event", "NotifyTarget", "WebhookTarget", "is_loopback"]

Event = Literal[
    "study-proposed",
    "approval-needed",
    "approved",
    "rejected",
    "computed",
    "release-needed",
    "released",
    "held",
    "run-failed",
    "schedule-paused",
    "run-without",
    "peer-unreachable",
    "key-expiring",
]
EVENTS: tuple[Event, ...] = Event.__args__  # type: ignore[attr-defined]

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9a-fA-F:]{2,39}")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Target(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    events: tuple[Event, ...] = EVENTS


class WebhookTarget(_Target):
    """Notices as JSON, posted to one address."""

    kind: Literal["webhook"]
    url: str = Field(max_length=1000)
    secret_file: Path
    ca_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _safe(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            raise ValueError("is no URL; write https://host/path") from None
        if not url.isascii() or not url.isprintable() or " " in url or not host or not _HOST.fullmatch(host):
            raise ValueError("is no URL; write https://host/path")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise ValueError("must have no user, password or fragment; the secret_file signs the notices")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
            raise ValueError("must begin with https:// (plain http only for this machine)")
        return url


class EmailTarget(_Target):
    """Notices as plain text, by one SMTP server."""

    kind: Literal["email"]
    to: tuple[str, ...] = Field(min_length=1, max_length=20)
    sender: str
    host: str = Field(max_length=255)
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "ssl", "none"] = "starttls"
    user: str | None = Field(default=None, min_length=1, max_length=200)
    password_file: Path | None = None
    ca_file: Path | None = None

    @field_validator("to", "sender")
    @classmethod
    def _plain_addresses(cls, value: tuple[str, ...] | str) -> tuple[str, ...] | str:
        for address in (value,) if isinstance(value, str) else value:
            if not _ADDRESS.fullmatch(address):
                raise ValueError("must be plain addresses such as dpo@northfield.example")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not _HOST.fullmatch(self.host):
            raise ValueError("host: is no name of a host")
        if self.security == "none" and not is_loopback(self.host):
            raise ValueError('security: "none" is for this machine only; use "starttls" or "ssl"')
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file belong together")
        return self


NotifyTarget = Annotated[WebhookTarget | EmailTarget, Field(discriminator="kind")]
