"""
Pages in a browser: beside a live call, for the option ``--inspect``, and for recorded ones.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

import click

from ..bus import EventBus, Inspection
from ..exceptions import InspectorError, JournalError
from .lazy import load
from .terminal.escaping import printable
from .terminal.exits import BadInput, NoConnection, unreadable
from .waking import wait_for_interrupt

_INSPECTOR: Final = "eventbus.inspector._inspector"  # which needs the extra, as the page doesn't


def serve_journals(
    journals: Sequence[Path],
    command: str,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    token: str | None = None,
    view: str = "",
) -> NoReturn:
    """
    Show recorded calls, and serve them until Ctrl-C.

    Args:
        journals: The files.
        command: As in `inspected`.
        port, host, token: As in `eventbus.inspector.Inspector`.
        view: The part of the address that says which view of them is shown first.

    Raises:
        click.BadParameter: The host is open to other machines, and there is no token.
        NoConnection: The address is in use, or isn't one of this machine.
        BadInput: One isn't a journal.
    """
    module = load(_INSPECTOR, command, ("inspect",))
    try:
        inspector = module.Inspector(paths=journals, host=host, port=port, token=token)
    except InspectorError as exc:
        raise click.BadParameter(printable(str(exc)), param_hint="'--host'") from exc
    try:
        with inspector:
            click.echo(printable(f"{inspector.url}#{view}" if view else inspector.url))
            click.echo("Open it in a browser; Ctrl-C ends it.", err=True)
            wait_for_interrupt()
    except InspectorError as exc:
        raise NoConnection(str(exc)) from exc
    except JournalError as exc:
        raise BadInput(str(exc)) from exc
    except OSError as exc:
        path = Path(exc.filename or journals[0])
        if isinstance(exc, PermissionError):  # of the journal, or of its folder
            path = next((each for each in journals if path in (each, each.parent)), path)
        raise unreadable(path, exc) from exc


@contextlib.contextmanager
def inspected(
    bus: EventBus, command: str, *, is_wanted: bool, waits: bool = True
) -> Iterator[Inspection | None]:
    """
    Show *bus* in a browser, if that is wanted.

    Args:
        bus: The bus.
        command: The command's name, for the message that the extra is missing.
        is_wanted: True if the option was given.
        waits: Whether the page stays after the call, until Ctrl-C; at a terminal only.

    Raises:
        click.ClickException: It can't be shown; the message says why.
    """
    if not is_wanted:
        yield None
        return
    load(_INSPECTOR, f"{command} --inspect", ("inspect",))
    try:
        with bus.inspect(port=0) as inspection:
            click.echo(printable(f"inspector: {inspection.url}"), err=True)
            yield inspection
            if waits and sys.stdin.isatty():
                click.echo("The call is over, and the page stays until Ctrl-C.", err=True)
                with contextlib.suppress(KeyboardInterrupt):
                    wait_for_interrupt()
    except InspectorError as exc:
        raise click.ClickException(printable(str(exc))) from exc
