"""
The options of ``eventbus events``, and its help.
"""

from __future__ import annotations

import click

from ..lazy import runs

_EPILOG = """\b
Exit codes:
    0  fine
    1  output that can't be written
    2  wrong arguments, or no event of that name
  130  interrupted
"""


@click.command("events", epilog=_EPILOG, short_help="List the classes of events.")
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--json", "is_json", is_flag=True, help="Write JSON, one object a line.")
@runs("events")
def command() -> None:
    """
    List the events: type name, class, fields, and their source; those of sessions come last.

    NAME picks events by type or class. On a terminal each takes a few lines, anywhere else one,
    with tabs between the columns.
    """
