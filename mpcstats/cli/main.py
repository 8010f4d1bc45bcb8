"""The command `mpcstats`. Commands are imported when they are used; this module stays light."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mpcstats.errors import ConfigurationError, MpcStatsError

__all__ = ["app", "main"]

# name -> (module, attribute); an attribute is a typer application, or a function that is the command
_COMMANDS = {
    "demo": ("mpcstats.cli.demo.command", "demo"),
    "party": ("mpcstats.cli.party", "app"),
    "consortium": ("mpcstats.cli.consortium", "app"),
    "policy": ("mpcstats.cli.policy", "app"),
    "study": ("mpcstats.cli.study", "app"),
    "inbox": ("mpcstats.cli.inbox", "inbox"),
    "result": ("mpcstats.cli.result", "app"),
    "dataset": ("mpcstats.cli.dataset", "app"),
    "doctor": ("mpcstats.cli.doctor", "doctor"),
    "run": ("mpcstats.cli.run", "app"),
    "ledger": ("mpcstats.cli.ledger", "app"),
    "schedule": ("mpcstats.cli.schedule", "app"),
    "variants": ("mpcstats.cli.variants", "app"),
    "schema": ("mpcstats.cli.schema", "schema"),
    "audit": ("mpcstats.cli.audit", "app"),
    "verify": ("mpcstats.cli.verify", "verify"),
}


class _Commands(TyperGroup):
    """Finds a command when it is asked for. The demonstration may be left out of an installation."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name in _COMMANDS if _installed(name)] + super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _COMMANDS or not _installed(cmd_name):
            return super().get_command(ctx, cmd_name)
        module, attribute = _COMMANDS[cmd_name]
        found = getattr(importlib.import_module(module), attribute)
        if isinstance(found, typer.Typer):
            command = typer.main.get_command(found)
        else:
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            single.command(name=cmd_name)(found)
            command = typer.main.get_command(single)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Joint statistics over institutions that may not show each other their records.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def _root(
    wanted: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Without a callback, typer would make `version` the only command."""


@app.command()
def version() -> None:
    """Show the version."""
    from mpcstats.version import __version__

    typer.echo(f"mpcstats {__version__}")


def main() -> None:
    """Entry point: an error of ours becomes a message and its exit code."""
    try:
        app()
    except (MpcStatsError, OSError) as problem:
        error = problem if isinstance(problem, MpcStatsError) else _of_the_system(problem)
        typer.echo(f"mpcstats: {error}", err=True)
        sys.exit(error.exit_code)


def _of_the_system(error: OSError) -> ConfigurationError:
    """A file that cannot be written, a full disk."""
    where = f"{error.filename}: " if error.filename else ""
    return ConfigurationError(f"{where}{error.strerror or error}", hint="check path, permissions and free space")


def _installed(name: str) -> bool:
    module = _COMMANDS[name][0]
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    main()
