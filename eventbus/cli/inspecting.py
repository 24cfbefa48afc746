"""
The option ``--inspect``: a page beside a live call.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

import click

from ..bus import EventBus, Inspection
from ..exceptions import InspectorError
from .lazy import load
from .terminal.escaping import printable


@contextlib.contextmanager
def inspected(
    bus: EventBus, command: str, *, is_wanted: bool, waits: bool = True
) -> Iterator[Inspection | None]:
    """
    Show *bus* in a browser, if that is wanted.

    Args:
        bus: The bus.
        command: The command's name, for the message of what is missing.
        is_wanted: Whether the option was given.
        waits: Whether the page stays after the call, until Ctrl-C; at a terminal only.

    Raises:
        click.ClickException: It can't be shown; the message says why.
    """
    if not is_wanted:
        yield None
        return
    load("eventbus.inspector", f"{command} --inspect", ("inspect",))
    try:
        with bus.inspect(port=0) as inspection:
            click.echo(printable(f"inspector: {inspection.url}"), err=True)
            yield inspection
            if waits and sys.stdin.isatty():
                click.echo("The call is over, and the page stays until Ctrl-C.", err=True)
                with contextlib.suppress(KeyboardInterrupt):
                    threading.Event().wait()
    except InspectorError as exc:
        raise click.ClickException(printable(str(exc))) from exc
