"""`mpcstats policy`: what leaves this party, and who decides about it."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from mpcstats.cli.options import AsJson, Party
from mpcstats.errors import ConfigurationError

__all__ = ["app"]

app = typer.Typer(
    help="Show and choose this party's policy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Dataset = Annotated[str, typer.Option(metavar="NAME", help="The policy of one data set.")]


@app.command()
def show(party: Party, dataset: Dataset = "", as_json: AsJson = False) -> None:
    """Show the policy in force, preset and own values together."""
    from dataclasses import asdict

    from mpcstats.node.settings.config import PartyDirectory

    policy = PartyDirectory(party).policy(dataset or None)
    if policy is None:
        typer.echo("this party computes without data: it has no policy")
        return
    rules = asdict(policy.rules)
    if as_json:
        typer.echo(json.dumps(policy.model_dump(mode="json") | {"rules": rules}, indent=2))
        return
    own = policy.disclosure.model_dump(exclude_none=True)
    typer.echo(f"preset      {policy.extends}")
    for name, value in rules.items():
        typer.echo(f"  {name:<28} {value!s:<10} {'own value' if name in own else ''}".rstrip())
    approval = policy.approval
    typer.echo(f"analyses    {', '.join(policy.analyses)}")
    typer.echo(
        f"columns     {', '.join(policy.columns.allow or ['all'])}; never {', '.join(policy.columns.never) or '-'}"
    )
    typer.echo(
        f"approval    {approval.needed} of {', '.join(approval.people) or 'the operator'}; by itself: "
        f"{', '.join(approval.auto) or 'nothing'}"
    )
    typer.echo(f"release     {policy.release.rule}")
    typer.echo(f"budget      {policy.budget.runs_per_month or 'no limit of'} runs per month")
    if policy.rules.noise_scale or policy.budget.epsilon is not None:
        most = "no limit of epsilon" if policy.budget.epsilon is None else f"epsilon {policy.budget.epsilon_per_year:g}"
        typer.echo(f"noise       {_epsilon(policy.rules.noise_scale)}; {most} in 365 days")


@app.command()
def use(
    preset: Annotated[str, typer.Argument(help="standard, cms11, opensafely7r5, datashield3, strict20 or open.")],
    party: Party,
    dataset: Dataset = "",
    rules: Annotated[
        list[str] | None, typer.Option("--set", metavar="RULE=VALUE", help="An own value; repeatable.")
    ] = None,
    analyses: Annotated[str, typer.Option(metavar="A,B", help="Analyses that may run; default: all.")] = "",
    approvers: Annotated[str, typer.Option(metavar="A,B", help="People who decide about studies.")] = "",
    rule: Annotated[str, typer.Option(help="How many of them: any, all, 2-of, ...")] = "any",
    two_person: Annotated[
        bool, typer.Option("--two-person", help="At least two, and nobody about an own study.")
    ] = False,
    auto: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help='What needs nobody: "count", "*", ...; repeatable.')
    ] = None,
    release: Annotated[str, typer.Option(help="manual, or auto: what passed all checks leaves by itself.")] = "manual",
    budget: Annotated[int | None, typer.Option("--runs-per-month", help="At most so many runs a month.")] = None,
    epsilon: Annotated[
        float | None, typer.Option("--epsilon-per-year", help="Budget of noisy releases of a data set (noise_scale).")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Replace the policy that is there.")] = False,
) -> None:
    """Write policy.toml (of one data set: policy.NAME.toml) from a preset and own values."""
    from mpcstats.node.settings.config import PartyDirectory
    from mpcstats.node.settings.policy_file import write_policy

    directory = PartyDirectory(party)
    if dataset and dataset not in directory.config.datasets:
        known = ", ".join(directory.config.datasets) or "none"
        raise ConfigurationError(f"there is no data set {dataset!r} (data sets: {known})", hint="mpcstats dataset add")
    approval: dict[str, Any] = {
        "people": _listed(approvers),
        "rule": rule,
        "two_person": two_person,
        "auto": auto or [],
    }
    plain: dict[str, Any] = {"extends": preset, "disclosure": dict(map(_assignment, rules or [])), "approval": approval}
    plain |= {"release": {"rule": release}} | ({"analyses": _listed(analyses)} if analyses else {})
    budgets = {"runs_per_month": budget, "epsilon_per_year": epsilon}
    found = {name: value for name, value in budgets.items() if value is not None}
    plain |= {"budget": found} if found else {}
    path = directory.path / (f"policy.{dataset}.toml" if dataset else "policy.toml")
    policy = write_policy(path, plain, replace=yes)
    typer.echo(f"wrote {path}")
    for person in policy.approval.people:
        if not (directory.path / "keys" / "people" / f"{person}.pub").exists():
            typer.echo(f"next: mpcstats party person {party} {person}")


def _epsilon(scale: int) -> str:
    return f"epsilon {100 / scale:.4g} for each release" if scale else "off"


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _assignment(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign:
        raise ConfigurationError(f"{text!r} is not RULE=VALUE", hint="--set minimum_count=15")
    try:
        return name.strip(), json.loads(value)
    except ValueError:
        raise ConfigurationError(
            f"{value!r} is neither a number nor true or false", hint="--set minimum_count=15"
        ) from None
