"""
The options of ``eventbus redact``, and its help.
"""

from __future__ import annotations

import click

from ..lazy import runs
from ..terminal.options import copying_options, epilog, withholding_options


@click.command(
    "redact",
    epilog=epilog(no="no record matches"),
    short_help="Write a journal without what is private.",
)
@withholding_options
@copying_options
@runs("redact")
def command() -> None:
    """
    Write JOURNAL again, to be given to somebody else; the original stays as it is.

    A value that is withheld becomes an empty one. The length of audio is kept, so that the figures
    are the same.
    """
