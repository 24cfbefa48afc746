"""
Commands that are imported when they run: each may need packages of its own, and help needs none.
"""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import click

_USAGE = f"{__package__}.usage"
_COMMANDS = f"{__package__}.commands"


def runs(name: str, *extras: str) -> Callable[[Callable[[], None]], Callable[..., None]]:
    """
    Return a decorator for the function of a command, of which only the docstring counts.

    Called, it imports the module in ``eventbus.cli.commands``, and calls its ``command``.

    Args:
        name: The command's name, and the module's.
        extras: The extras of this package that it needs beside ``cli``.
    """

    def decorate(function: Callable[[], None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(*values: Any, **options: Any) -> None:
            load(f"{_COMMANDS}.{name}", f"eventbus {name}", extras).command(*values, **options)

        return run

    return decorate


class LazyGroup(click.Group):
    """
    A group of commands that are modules of ``eventbus.cli.usage``, each with a ``command``.

    Args:
        lazy_commands: By name, the line that stands for it in the group's help.
        attributes: Those of a `click.Group`.
    """

    def __init__(self, *, lazy_commands: Mapping[str, str], **attributes: Any) -> None:
        super().__init__(**attributes)
        self._lazy_commands = lazy_commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of *lazy_commands*."""
        return [*self._lazy_commands, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the options of the command of that name, if there is one."""
        if cmd_name not in self._lazy_commands:
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module(f"{_USAGE}.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, and suggest the nearest one if there is none of that name."""
        name = args[0]
        if name not in self._lazy_commands and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, self._lazy_commands, n=1)
            hint = f"did you mean {near[0]}?" if near else "eventbus --help lists them."
            msg = f"There is no command {name!r}; {hint}"
            raise click.UsageError(msg, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        """Write the list of commands, and import none of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._lazy_commands.items()))


def load(module: str, user: str, extras: tuple[str, ...]) -> ModuleType:
    """
    Import *module*, which needs *extras*.

    Args:
        module: Its full name.
        user: The command or the part of it that needs the module, for messages.
        extras: The extras of this package that it needs beside ``cli``.

    Raises:
        click.ClickException: One of the packages in *extras* is missing.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        missing = (exc.name or "").partition(".")[0]
        if not extras or missing in ("", __name__.partition(".")[0]):
            raise  # a module of ours: a bug, and not a matter of packages
        names = ",".join(("cli", *extras))
        msg = (
            f"{user} needs the package {missing}: pip install 'eventbus[{names}]', or in a clone "
            f"of eventbus: pip install '.[{names}]'."
        )
        raise click.ClickException(msg) from exc
