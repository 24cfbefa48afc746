"""
The options of ``eventbus tail``, and its help.
"""

from __future__ import annotations

import click

from ..lazy import runs
from ..terminal.options import epilog, filter_argument, journal_argument, json_option


@click.command("tail", epilog=epilog(), short_help="Follow a journal that is being written.")
@journal_argument()
@filter_argument
@click.option(
    "-n",
    "--lines",
    "count",
    type=click.IntRange(min=0),
    metavar="N",
    default=10,
    show_default=True,
    help="The number of earlier records to write.",
)
@click.option("--no-follow", "is_over", is_flag=True, help="Don't wait for new records.")
@json_option("Write JSON, one record a line.")
@runs("tail")
def command() -> None:
    """
    Write the last records of JOURNAL that match FILTER, and then each new one when it comes.

    It ends when the journal is closed, or with Ctrl-C.
    """
