"""Studies from Python: what the command line does, as functions."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mpcstats.errors import ConfigurationError
from mpcstats.sdk.bundle import write_bundle
from mpcstats.sdk.connect import NodeClient
from mpcstats.sdk.results import Result, wrap
from mpcstats.sdk.results.text import beside
from mpcstats.stats.outcome import Outcome
from mpcstats.stats.outcome_codec import outcome_from_bytes
from mpcstats.study.entries import SignedEntry
from mpcstats.study.files.writing import study_text
from mpcstats.study.lock import Proposal, parse_proposal

__all__ = ["lock_file", "read_proposal", "save_result"]


def lock_file(study: Path) -> Path:
    """Where the lock of a study file is: study.toml -> study.lock."""
    return study.with_suffix(".lock")


def read_proposal(study: Path) -> Proposal:
    """A study file and its lock.

    Raises
    ------
    ConfigurationError
        A file is missing or cannot be read.
    SpecError
        They are not a valid proposal, or the study was changed after it was planned.
    """
    lock = lock_file(study)
    try:
        plain: dict[str, Any] = {
            "study": tomllib.loads(study.read_text(encoding="utf-8")),
            "lock": json.loads(lock.read_text(encoding="utf-8")),
        }
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {error.filename}: {error.strerror}", hint=f"mpcstats study plan {study}"
        ) from None
    except ValueError as error:
        raise ConfigurationError(f"{study} or {lock} cannot be read: {error}") from None
    return parse_proposal(plain)


def save_result(
    client: NodeClient, study: str, run: str, prefix: Path, progress: Callable[[str], None] = lambda text: None
) -> tuple[Result, list[Path]]:
    """Fetch a released result and write it; opens it first where that is still to do.

    Returns
    -------
    (Result, list of Path)
    """
    found = client.govern("result", progress, study=study, run=run)
    outcome = outcome_from_bytes(Path(found["path"]).read_bytes())
    result = wrap(outcome)
    files = [Path(path) for path in result.save(prefix)]
    if "certificate" in outcome.run:
        progress("writing the bundle that others can verify")
        files.append(_bundle(client, found["study"], outcome, beside(prefix, ".bundle.zip")))
    return result, files


def _bundle(client: NodeClient, study: str, outcome: Outcome, path: Path) -> Path:
    directory = client.directory
    joined, entries = client.govern("consortium")["entries"], client.govern("entries", study=study)["entries"]
    shown = client.govern("show", study=study)["study"]
    return write_bundle(
        path,
        outcome,
        directory.roster(),
        key=directory.signing_key(),
        party=client.name,
        entries=[SignedEntry.model_validate(plain) for plain in (*joined.values(), *entries)],
        study_toml=study_text(shown),
    )
