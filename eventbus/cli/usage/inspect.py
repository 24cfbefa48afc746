"""
The options of ``eventbus inspect``, and its help.
"""

from __future__ import annotations

import click

from ..lazy import runs
from ..terminal.options import INPUT

_EPILOG = """\b
Exit codes:
    1  output that can't be written, or an extra that isn't installed
    2  wrong arguments, or a host that is open to others, and no token
    3  a journal that can't be read
    4  the port is in use, or the host isn't an address of this machine
  130  interrupted, 143 by SIGTERM; there is no other good end
"""


@click.command("inspect", epilog=_EPILOG, short_help="See calls in a browser.")
@click.argument(
    "journals",
    nargs=-1,
    required=True,
    metavar="JOURNAL…",
    type=INPUT,
)
@click.option(
    "--port",
    default=7420,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port; 0 for any that is free.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--token", help="The word that a browser must know; by default a random one.")
@runs("inspect", "inspect")
def command() -> None:
    """
    Show the calls in JOURNALs in a browser: speech, turns, tools, errors.

    It prints the address to open, and serves until Ctrl-C. A journal that is still being written
    is followed. Journals hold voices: only this machine can open the page, unless --host and
    --token are given.
    """
