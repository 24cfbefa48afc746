"""
``eventbus trim``: a part of a journal, as a journal.
"""

from __future__ import annotations

from typing import Any

import click

from ..terminal.copies import copy_journal, copying_options
from ..terminal.journals import epilog

__all__ = ["command"]


@click.command("trim", epilog=epilog(), short_help="Write a part of a journal.")
@copying_options
@click.pass_context
def command(ctx: click.Context, /, **copy: Any) -> None:
    """
    Write the records of JOURNAL that match FILTER, like t:3s..5s, to a journal of their own.

    Records keep their numbers and times of day; the new journal begins with the first of them.
    """
    ctx.exit(copy_journal(**copy, is_part=True))
