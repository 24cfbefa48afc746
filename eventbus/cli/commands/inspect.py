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


@click.command("inspect", short_help="See calls in a browser.")
@click.argument(
    "journals",
    nargs=-1,
    required=True,
    metavar="JOURNAL…",
    type=click.Path(path_type=Path),
)
@click.option("--port", default=7420, show_default=True, help="The port; 0 for any that is free.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--token", help="The word that a browser must know; by default a random one.")
def command(journals: tuple[Path, ...], port: int, host: str, token: str | None) -> None:
    """
    Show the calls in JOURNALs in a browser: speech, turns, tools, errors.

    It prints the address to open, and serves until Ctrl-C. A journal that is still being written
    is followed. Journals hold voices: only this machine can open the page, unless --host and
    --token are given.
    """
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
