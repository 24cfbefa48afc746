"""
The options of ``eventbus show``, and its help.
"""

from __future__ import annotations

import click

from ..lazy import runs
from ..terminal.options import epilog, journal_argument, json_option


@click.command(
    "show", epilog=epilog(about=""), short_help="Show an event, its frame and its handler calls."
)
@journal_argument()
@click.argument("seq", type=click.IntRange(min=1))
@click.option(
    "--all",
    "is_all",
    is_flag=True,
    help="Look for effects up to the journal's end, not only up to 30 s after the last one.",
)
@json_option('Write one JSON object: "record", "causes" and "effects".')
@runs("show")
def command() -> None:
    """
    Show the record number SEQ of JOURNAL.

    Its causes come before it, like the frame that an event was decoded from; its effects come after
    it, like the calls of its handlers and the events that these published.
    """
