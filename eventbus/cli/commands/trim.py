"""
``eventbus trim``: a part of a journal, as a journal.
"""

from __future__ import annotations

from typing import Any

import click

from ..terminal.copies import copy_journal

__all__ = ["command"]


@click.pass_context
def command(ctx: click.Context, /, **copy: Any) -> None:
    """Run the command; see ``eventbus.cli.usage.trim``."""
    ctx.exit(copy_journal(**copy, is_part=True))
