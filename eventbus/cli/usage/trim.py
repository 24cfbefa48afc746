"""
The options of ``eventbus trim``, and its help.
"""

from __future__ import annotations

import click

from ..lazy import runs
from ..terminal.options import copying_options, epilog


@click.command(
    "trim", epilog=epilog(no="no record matches"), short_help="Write a part of a journal."
)
@copying_options
@runs("trim")
def command() -> None:
    """
    Write the records of JOURNAL that match FILTER, like t:3s..5s, to a journal of their own.

    Records keep their numbers and times of day; the new journal begins with the first of them.
    """
