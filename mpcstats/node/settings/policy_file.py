"""Writing `policy.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mpcstats.errors import ConfigurationError
from mpcstats.study.files.writing import toml_scalar
from mpcstats.study.policy import Policy, parse_policy

__all__ = ["write_policy"]


def write_policy(path: Path, plain: Mapping[str, Any], *, replace: bool) -> Policy:
    """Check a policy and write it; what was there stays as NAME.before.

    Raises
    ------
    ConfigurationError
        A value is not valid, or there is a policy and `replace` is False.
    """
    policy = parse_policy(plain, "the new policy")
    if path.exists():
        if not replace:
            raise ConfigurationError(f"{path} exists", hint="--yes replaces it, and keeps the old one beside it")
        path.replace(path.with_name(f"{path.name}.before"))
    lines = ['apiVersion = "mpcstats/v1"', 'kind = "Policy"']
    lines += [f"{key} = {toml_scalar(value)}" for key, value in plain.items() if not isinstance(value, Mapping)]
    for section, content in plain.items():
        if isinstance(content, Mapping) and content:
            lines += ["", f"[{section}]", *(f"{key} = {toml_scalar(value)}" for key, value in content.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return policy
