"""
The options of ``eventbus validate``, and its help.
"""

from __future__ import annotations

import click

from ..lazy import runs
from ..terminal.options import journal_argument, json_option

_EPILOG = """\b
Exit codes:
    0  whole, or repaired
    1  output that can't be written
    2  wrong arguments
    3  damaged, cut short, or no journal
  130  interrupted
"""


@click.command("validate", epilog=_EPILOG, short_help="Check a journal, and repair its end.")
@journal_argument()
@click.option(
    "--repair",
    "is_repair",
    is_flag=True,
    help="Cut off a last record that a crash has cut short. Nobody may be writing to it.",
)
@json_option("Write one JSON object.")
@runs("validate")
def command() -> None:
    """
    Read all of JOURNAL, and check that every record is as it was written.

    A record that a crash has cut short can be cut off. Damage elsewhere can't be repaired; all that
    is whole can be read.
    """
