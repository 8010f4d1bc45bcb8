"""`study.toml`: what a statistician asks for, and why. Shared with all parties, and signed.

apiVersion = "mpcstats/v1"
kind = "Study"
id = "sglt2-survival"
title = "Survival after SGLT2 start, heart failure"
purpose = "Comparative effectiveness; ethics 2026-01234"
principal = "anna@ki.example"
recipients = ["uppsala"]                 # parties that get the result; default all
consortium = "cvd-nordic"
expires = 2027-01-31T00:00:00Z

[data]
dataset = "cvd"
where = "age >= 18"

[analysis]
type = "kaplan-meier"
time = "time_days"
event = "death"
by = "arm"
"""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mpcstats.errors import SpecError
from mpcstats.study.analyses import ANALYSES, parse_spec
from mpcstats.study.files.problems import Problem, file_error, problems_of
from mpcstats.study.files.reading import read_toml
from mpcstats.study.schedule import parse_schedule
from mpcstats.study.spec import AnalysisSpec
from mpcstats.version import __version__

__all__ = ["Schedule", "Study", "load_study", "parse_study"]

_ID = r"^[a-z][a-z0-9-]{1,63}$"
_DUO = r"^DUO:[0-9]{7}$"
_RELEASE = re.compile(r"==[0-9]+(\.[0-9]+)*(\.\*)?")

Text = Annotated[str, Field(min_length=1, max_length=4000)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Data(_Section):
    """Which records."""

    dataset: str = Field(default="main", min_length=1, max_length=100)
    """Name of the data set; every party maps it to its own file or table."""
    where: str | None = None
    """Filter, such as "age >= 65 and sex == 'F'"."""


class Security(_Section):
    """Against whom."""

    model: Literal["semi-honest-honest-majority"] = "semi-honest-honest-majority"
    """Parties follow the protocol; any number up to the threshold may pool what they see."""


class Software(_Section):
    """With what."""

    mpcstats: str = f"=={'.'.join(__version__.split('.')[:2])}"
    """The release, such as "==0.1": every version that begins so."""

    @field_validator("mpcstats")
    @classmethod
    def _a_release(cls, text: str) -> str:
        if not _RELEASE.fullmatch(text):
            raise ValueError('must be a release such as "==0.1"')
        return text

    def fits(self, version: str) -> bool:
        """Whether a version is of this release."""
        asked = self.mpcstats.removeprefix("==").removesuffix(".*").split(".")
        return version.split(".")[: len(asked)] == asked


class Schedule(_Section):
    """When it runs again by itself."""

    name: str = Field(pattern=_ID)
    """Name of the schedule."""
    cron: str = Field(min_length=1, max_length=200)
    """When, such as "0 6 1 * *"; weekdays by name."""
    tz: str = "UTC"
    """Time zone, such as "Europe/Stockholm"."""
    starts: AwareDatetime | datetime.date
    """The first moment; a date: from its midnight."""
    until: AwareDatetime | datetime.date
    """No run after this; a date: to the end of the day."""
    max_runs: int | None = Field(default=None, ge=1, le=100_000)
    """Runs at most."""
    catch_up: Literal["latest", "all", "none"] = "latest"
    """Runs that could not start in time: the latest, all, or none are made up for."""
    grace_minutes: int = Field(default=60, ge=1, le=10_080)
    """How late a run may start and still be in time."""

    @model_validator(mode="after")
    def _has_due_times(self) -> Self:
        try:
            parse_schedule(self.model_dump())
        except SpecError as error:
            raise ValueError(error.message.removeprefix("schedule").lstrip(".: ")) from None
        return self


class Study(_Section):
    """The content of `study.toml`. The text under a field is its help in templates."""

    apiVersion: Literal["mpcstats/v1"]
    kind: Literal["Study"]
    id: str = Field(pattern=_ID)
    """Short name: 2 to 64 lower-case letters, digits and '-', starting with a letter."""
    title: Text
    """One line."""
    purpose: Text
    """What the result is for; with the approval of the ethics committee, where there is one."""
    principal: Text
    """Who answers for the study: an e-mail address."""
    recipients: tuple[str, ...] = ()
    """Parties that get the result; all of them unless listed."""
    consortium: Text
    """Name of the consortium, as in the roster."""
    expires: AwareDatetime
    """After this nothing runs and nothing is released."""
    duo_use: tuple[Annotated[str, Field(pattern=_DUO)], ...] = ()
    """Data uses, by the Data Use Ontology: "DUO:0000007"."""
    publication: str = Field(default="", max_length=4000)
    """What becomes of the result."""
    ethics: str = Field(default="", max_length=4000)
    """Number of the ethical approval."""
    authors: tuple[str, ...] = ()
    """Who wrote the study."""
    data: Data = Data()
    analysis: dict[str, Any]
    """`type`, and the fields of that analysis."""
    security: Security = Security()
    software: Software = Software()
    schedule: Schedule | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        repeated = len(set(self.recipients)) < len(self.recipients)
        if repeated:
            raise ValueError("recipients: a party is listed twice")
        try:
            parse_spec(_request(self.analysis, self.data.model_dump(exclude_none=True, exclude_unset=True)))
        except SpecError as error:
            raise ValueError(error.message) from None
        return self

    @property
    def spec(self) -> AnalysisSpec:
        """The request: [analysis], with `dataset` and `where` of [data]."""
        return parse_spec(_request(self.analysis, self.data.model_dump(exclude_none=True, exclude_unset=True)))

    def plain(self) -> dict[str, Any]:
        """As written, without what is not given; for signing."""
        return self.model_dump(exclude_unset=True, exclude_none=True)

    def recipients_of(self, parties: tuple[str, ...]) -> tuple[str, ...]:
        """The parties that get the result, in their order.

        Raises
        ------
        SpecError
            A recipient is no party.
        """
        unknown = [name for name in self.recipients if name not in parties]
        if unknown:
            near = difflib.get_close_matches(unknown[0], parties, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"parties: {', '.join(parties)}"
            raise SpecError(f"recipients: {unknown[0]!r} is no party of {self.consortium}", hint=hint)
        return tuple(name for name in parties if name in self.recipients) or parties


def load_study(path: Path) -> Study:
    """Read `study.toml`.

    Raises
    ------
    ConfigurationError
        It cannot be read, or is wrong; names file, line, field and fix.
    """
    plain, text = read_toml(path, hint=f"mpcstats study new {path.stem} --template kaplan-meier")
    return parse_study(plain, str(path), text)


def parse_study(plain: Mapping[str, Any], source: str = "study.toml", text: str | None = None) -> Study:
    """Validate a study; `source` and `text` (the file's) are for errors."""
    problems = _of_analysis(plain)
    try:
        found = Study.model_validate(plain)
    except ValidationError as error:
        own = problems_of(error, Study, plain)
        # what is wrong with the analysis is said with its line already
        known = {problem.path for problem in problems}
        problems = [*(p for p in own if (p.path or not problems) and p.path not in known), *problems]
        raise file_error(problems, source, plain, text) from None
    if problems:
        raise file_error(problems, source, plain, text)
    return found


def _request(analysis: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    for name in sorted(set(analysis) & set(data)):
        if analysis[name] != data[name]:
            raise SpecError(f"{name} is written in [data] and, with another value, in [analysis]")
    return {**analysis, **data}


def _of_analysis(plain: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with the request, at the place where it is written."""
    analysis, data = plain.get("analysis"), plain.get("data", {})
    if not isinstance(analysis, dict) or not isinstance(data, dict):
        return []
    name = analysis.get("type")
    if not isinstance(name, str) or name not in ANALYSES:
        near = difflib.get_close_matches(str(name), list(ANALYSES), n=1)
        fix = f"did you mean {near[0]!r}?" if near else f"analyses: {', '.join(ANALYSES)}"
        return [Problem(("analysis", "type"), "is missing" if name is None else "is no analysis", fix)]
    model = ANALYSES[name].spec
    if "where" in data and "where" not in model.model_fields:
        return [Problem(("data", "where"), f"{name} has no filter", "leave it out")]
    known = {key: value for key, value in data.items() if key in Data.model_fields}
    try:
        request = _request(analysis, known)
        model.model_validate(request)
    except SpecError as error:
        return [Problem(("data",), error.message, "write it once")]
    except ValidationError as error:
        found = problems_of(error, model, request)
        moved = {key for key in known if key not in analysis}
        tables = ["data" if problem.path and problem.path[0] in moved else "analysis" for problem in found]
        return [Problem((table, *p.path), p.what, p.fix) for table, p in zip(tables, found, strict=True)]
    return []


def expired(study: Study, now: datetime.datetime) -> bool:
    """Whether a study has run out."""
    return now >= study.expires
