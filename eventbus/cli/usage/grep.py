"""
The options of ``eventbus grep``, and its help.
"""

from __future__ import annotations

import click

from ..lazy import runs
from ..terminal.options import epilog, filter_argument, journal_argument, json_option


@click.command(
    "grep", epilog=epilog(no="no record matches"), short_help="Find records of a journal."
)
@journal_argument()
@filter_argument
@click.option("-c", "--count", "is_count", is_flag=True, help="Write only their number.")
@json_option("Write JSON, one record a line.")
@runs("grep")
def command() -> None:
    """
    Write the records of JOURNAL that match FILTER; without one, all of them.

    The exit code is 1 if there is none.
    """
