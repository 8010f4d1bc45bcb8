"""`[limits]` of party.toml: how much a party takes, and its quiet hours, in which it takes part in no scheduled run."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from typing import Self

from pydantic import Field, model_validator

from mpcstats.node.settings.limits import Limits

__all__ = ["LimitsConfig"]

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class LimitsConfig(Limits):
    """`[limits]` of party.toml: how much of everything, and when scheduled runs have to wait.

    Attributes
    ----------
    quiet_hours : str or None
        "07:00-18:00": from the first time to before the second, every day; may go past midnight.
    tz : str or None
        Time zone of these hours, such as Europe/Stockholm.
    """

    quiet_hours: str | None = Field(default=None, max_length=20)
    tz: str | None = Field(default=None, max_length=64)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.quiet_hours is None:
            return self
        match = _HOURS.fullmatch(self.quiet_hours)
        if match is None or match[1] + match[2] == match[3] + match[4]:
            raise ValueError('quiet_hours: write two times of the day, such as "07:00-18:00"')
        if self.tz is None:
            raise ValueError('tz: quiet_hours need a time zone; add tz = "Europe/Stockholm"')
        if self.tz not in zoneinfo.available_timezones():
            raise ValueError(f"tz: {self.tz!r} is no time zone; write a name such as Europe/Stockholm")
        return self

    def quiet_until(self, now: datetime.datetime) -> datetime.datetime | None:
        """The end of the quiet hours (UTC) when `now` is in them; else None."""
        if self.quiet_hours is None or self.tz is None:
            return None
        zone = zoneinfo.ZoneInfo(self.tz)
        start, end = (datetime.time.fromisoformat(text) for text in self.quiet_hours.split("-"))
        today = now.astimezone(zone).date()
        for day in (today - datetime.timedelta(days=1), today):
            last = day if start < end else day + datetime.timedelta(days=1)
            begins = datetime.datetime.combine(day, start, zone).astimezone(datetime.UTC)
            ends = datetime.datetime.combine(last, end, zone).astimezone(datetime.UTC)
            if begins <= now < ends:
                return ends
        return None
