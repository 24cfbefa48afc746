"""
``eventbus redact``: a copy of a journal without its private parts.
"""

from __future__ import annotations

from typing import Any

import click

from ...journal._redaction import Withholding
from ..terminal.copies import copy_journal

__all__ = ["command"]


@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    no_audio: bool,
    no_content: bool,
    fields: tuple[str, ...],
    **copy: Any,
) -> None:
    """Run the command; see ``eventbus.cli.usage.redact``."""
    if not (no_audio or no_content or fields):
        msg = "Say what to leave out: --no-audio, --no-content or --redact FIELD."
        raise click.UsageError(msg)
    withholding = Withholding(audio=not no_audio, content=not no_content, redact=fields)
    ctx.exit(copy_journal(**copy, withholding=withholding))
