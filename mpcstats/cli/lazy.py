"""A group of commands that are imported when they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperGroup

__all__ = ["lazy_group"]


def lazy_group(commands: Mapping[str, tuple[str, str]], help_text: str) -> typer.Typer:
    """A typer application whose commands are functions elsewhere.

    Parameters
    ----------
    commands : mapping of name to (module, function)
    help_text : str
    """

    class Group(TyperGroup):
        """Finds a command by name."""

        def list_commands(self, ctx: Any) -> list[str]:
            return [*commands, *super().list_commands(ctx)]

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            if cmd_name not in commands:
                return super().get_command(ctx, cmd_name)
            module, function = commands[cmd_name]
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            single.command(name=cmd_name)(getattr(importlib.import_module(module), function))
            command = typer.main.get_command(single)
            command.name = cmd_name
            return command

    app = typer.Typer(
        cls=Group, help=help_text, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )

    @app.callback()
    def _root() -> None:
        """Without a callback, typer would make the first command the only one."""

    return app
