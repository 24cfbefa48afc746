"""
Commands that are imported when they are called: each may need packages of its own.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import attrs
import click

_PACKAGE = f"{__package__}.commands"


@attrs.frozen
class LazyCommand:
    """
    A command that isn't imported yet.

    Attributes:
        short_help: The line that stands for it in the help of its group.
        extras: The extras of this package that it needs beside ``cli``.
    """

    short_help: str
    extras: tuple[str, ...] = ()


class LazyGroup(click.Group):
    """
    A group whose commands are modules of `eventbus.cli.commands`, each with a ``command``.

    Args:
        lazy_commands: By name.
        attributes: Those of a `click.Group`.
    """

    def __init__(self, *, lazy_commands: Mapping[str, LazyCommand], **attributes: Any) -> None:
        super().__init__(**attributes)
        self._lazy_commands = lazy_commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of *lazy_commands*."""
        return [*self._lazy_commands, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name, if there is one."""
        lazy = self._lazy_commands.get(cmd_name)
        if lazy is None:
            return super().get_command(ctx, cmd_name)
        command: click.Command = load(
            f"{_PACKAGE}.{cmd_name}", f"eventbus {cmd_name}", lazy.extras
        ).command
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
        rows = [(name, lazy.short_help) for name, lazy in self._lazy_commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def load(module: str, what: str, extras: tuple[str, ...]) -> ModuleType:
    """
    Import *module*, which needs *extras*.

    Args:
        module: Its full name.
        what: The command or the part of it that needs the module, for messages.
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
            f"{what} needs the package {missing}: pip install 'eventbus[{names}]', or in a clone "
            f"of eventbus: pip install '.[{names}]'."
        )
        raise click.ClickException(msg) from exc
