"""`mpcstats run`: one analysis through one's own node."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from mpcstats.errors import ConfigurationError

__all__ = ["app"]

app = typer.Typer(help="Run an analysis with all parties.", no_args_is_help=True, add_completion=False)

Party = Annotated[Path, typer.Option("--party", metavar="DIR", help="The party's directory.")]
Out = Annotated[Path | None, typer.Option("--out", metavar="PREFIX", help="Write tables and plots PREFIX.*")]
Dataset = Annotated[str, typer.Option(help="Name of the data set.")]
PolicyName = Annotated[str | None, typer.Option("--policy", help="A preset that makes the release stricter.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the whole outcome as JSON.")]
Where = Annotated[str | None, typer.Option(help="Filter, such as \"age >= 65 and sex == 'F'\".")]
Time = Annotated[str, typer.Option(help="Column with the time.")]
Event = Annotated[str, typer.Option(help="Column that says whether the event happened.")]
EventValues = Annotated[list[str] | None, typer.Option("--event-value", help="Value that means so; repeatable.")]
TimeUnit = Annotated[float, typer.Option(help="Times are whole multiples of this.")]
Missing = Annotated[str, typer.Option(help="Tables with rows without time or event: refuse, or drop the rows.")]


@app.command()
def count(
    party: Party,
    where: Where = None,
    by: Annotated[list[str] | None, typer.Option(help="Column of the breakdown; repeatable.")] = None,
    out: Out = None,
    dataset: Dataset = "main",
    policy: PolicyName = None,
    as_json: AsJson = False,
) -> None:
    """Count people, with a filter and a breakdown."""
    plain = {"type": "count", "where": where, "by": by or []}
    _run(party, {**plain, "dataset": dataset, "policy": policy}, out, as_json)


@app.command("kaplan-meier")
def kaplan_meier(
    party: Party,
    time: Time,
    event: Event,
    by: Annotated[str | None, typer.Option(help="Column of the groups.")] = None,
    where: Where = None,
    event_values: EventValues = None,
    time_unit: TimeUnit = 1.0,
    missing: Missing = "refuse",
    conf_type: Annotated[str, typer.Option(help="log, log-log, plain, logit or arcsin.")] = "log",
    conf_level: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    out: Out = None,
    dataset: Dataset = "main",
    policy: PolicyName = None,
    as_json: AsJson = False,
) -> None:
    """Estimate survival curves with confidence limits and medians."""
    plain = {
        "type": "kaplan-meier",
        **_survival(time, event, by, where, event_values, time_unit, missing),
        "conf_type": conf_type,
        "conf_level": conf_level,
    }
    _run(party, {**plain, "dataset": dataset, "policy": policy}, out, as_json)


@app.command()
def logrank(
    party: Party,
    time: Time,
    event: Event,
    by: Annotated[str, typer.Option(help="Column of the groups.")],
    where: Where = None,
    event_values: EventValues = None,
    time_unit: TimeUnit = 1.0,
    missing: Missing = "refuse",
    out: Out = None,
    dataset: Dataset = "main",
    policy: PolicyName = None,
    as_json: AsJson = False,
) -> None:
    """Compare the survival of groups."""
    plain = {"type": "logrank", **_survival(time, event, by, where, event_values, time_unit, missing)}
    _run(party, {**plain, "dataset": dataset, "policy": policy}, out, as_json)


@app.command()
def gwas(
    party: Party,
    phenotype: Annotated[str, typer.Option(help="Column with the phenotype.")],
    covariates: Annotated[list[str] | None, typer.Option("--covariate", help="Column; repeatable.")] = None,
    out: Out = None,
    dataset: Dataset = "main",
    policy: PolicyName = None,
    as_json: AsJson = False,
) -> None:
    """Regress a phenotype on each variant and the covariates."""
    plain = {"type": "gwas", "phenotype": phenotype, "covariates": covariates or []}
    _run(party, {**plain, "dataset": dataset, "policy": policy}, out, as_json)


def _survival(
    time: str,
    event: str,
    by: str | None,
    where: str | None,
    event_values: list[str] | None,
    time_unit: float,
    missing: str,
) -> dict[str, Any]:
    values = None if not event_values else [_level(text) for text in event_values]
    return {
        "time": time,
        "event": event,
        "by": by,
        "where": where,
        "event_values": values,
        "time_unit": time_unit,
        "missing": missing,
    }


def _level(text: str) -> str | int | float | bool:
    """A value from the command line: true, false, a number, or text."""
    if text in {"true", "false"}:
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _check_prefix(out: Path) -> None:
    """Before the run: what it opens is opened even if nothing can be written afterwards."""
    if out.is_dir():
        raise ConfigurationError(
            f"{out} is a folder, and --out is the beginning of file names", hint=f"--out {out / 'result'}"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{out.parent} is not writable", hint="--out PREFIX in another folder")


def _run(party: Path, plain: dict[str, Any], out: Path | None, as_json: bool) -> None:
    from mpcstats.sdk.connect import NodeClient
    from mpcstats.sdk.results import wrap
    from mpcstats.study.analyses import parse_spec

    spec = parse_spec(plain)
    if out is not None:
        _check_prefix(out)
    outcome = NodeClient(party).run(spec, lambda text: typer.echo(f"  {text}", err=True))
    result = wrap(outcome)
    typer.echo(outcome.to_json() if as_json else result.summary())
    if out is not None:
        for path in result.save(out):
            typer.echo(f"wrote {path}", err=True)
