"""`mpcstats verify`: check a result bundle, offline."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mpcstats.errors import BundleInvalid, ConfigurationError

__all__ = ["verify"]


def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle (zip).")],
    roster: Annotated[
        Path | None, typer.Option(help="The consortium's roster, from somebody you trust; else the bundle's own.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check every file, signature, approval and proof of a result bundle. Needs no network. Exit code 6: it fails."""
    from mpcstats.node.bundles.archive import LARGEST
    from mpcstats.node.bundles.checks import check_bundle, failures
    from mpcstats.node.consortium.roster import past_roster

    try:
        size = bundle.stat().st_size
        data = bundle.read_bytes() if size <= LARGEST else b""
        trusted = None if roster is None else past_roster(roster.read_text(encoding="utf-8"), str(roster))
    except OSError as error:
        raise ConfigurationError(f"cannot read {error.filename}: {error.strerror}") from None
    if size > LARGEST:
        raise BundleInvalid(f"{bundle} has {size:,} bytes, a bundle at most {LARGEST:,}")
    checks = check_bundle(data, trusted)
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            mark = {True: "ok", False: "FAILED", None: "-"}[check.passed]
            where = " ".join(part for part in (check.file, check.field) if part)
            typer.echo(f"{mark:<7} {check.name:<22} {where + ': ' if where else ''}{check.detail}")
    wrong = failures(checks)
    if wrong:
        first = wrong[0]
        raise BundleInvalid(
            f"{first.file or bundle.name}: {first.field + ': ' if first.field else ''}{first.detail}",
            hint="ask the party that wrote it for the bundle again; do not use the result",
        )
    if not as_json:
        typer.echo("the bundle is as it was written, and its parts belong together")
