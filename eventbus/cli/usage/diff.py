"""
The options of ``eventbus diff``, and its help.
"""

from __future__ import annotations

from typing import Final

import click

from ..lazy import runs
from ..terminal.options import epilog, filter_argument, journal_argument, json_option

_EPILOG: Final = epilog(ok="the same", no="different")


@click.command("diff", epilog=_EPILOG, short_help="Compare the events of two journals.")
@journal_argument("a")
@journal_argument("b")
@filter_argument
@click.option("--calls", is_flag=True, help="Compare handler calls as well.")
@click.option("--ids", is_flag=True, help="Compare ids, which differ between any two runs.")
@click.option(
    "-n",
    "--max",
    "max_count",
    type=click.IntRange(min=1),
    metavar="N",
    default=20,
    show_default=True,
    help="The number of differences to write.",
)
@click.option(
    "--inspect",
    "is_inspected",
    is_flag=True,
    help="Show both calls in a browser, one below the other, with their turns side by side.",
)
@json_option("Write JSON, one difference a line.")
@runs("diff")
def command() -> None:
    """
    Compare the events of the journals A and B, in order; times are not compared.
    """
