"""
``eventbus inspect``: recorded calls in a browser.
"""

from __future__ import annotations

import time
from pathlib import Path

import click

from ...exceptions import InspectorError, JournalError
from ...inspector import Inspector
from ..terminal.escaping import printable
from ..terminal.exits import BadInput, unreadable

__all__ = ["command"]


def command(journals: tuple[Path, ...], port: int, host: str, token: str | None) -> None:
    """Run the command; see ``eventbus.cli.usage.inspect``."""
    try:
        with Inspector(paths=journals, host=host, port=port, token=token) as inspector:
            click.echo(printable(inspector.url))
            click.echo("Open it in a browser; Ctrl-C ends it.", err=True)
            while True:
                time.sleep(3600)
    except InspectorError as exc:
        raise click.ClickException(printable(str(exc))) from exc
    except JournalError as exc:
        raise BadInput(str(exc)) from exc
    except OSError as exc:
        raise unreadable(Path(exc.filename or journals[0]), exc) from exc
