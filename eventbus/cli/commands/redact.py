"""
``eventbus redact``: a journal without what isn't to be given away.
"""

from __future__ import annotations

from typing import Any

import click

from ...journal._redaction import Withholding
from ..terminal.copies import copy_journal, copying_options
from ..terminal.journals import epilog
from ..terminal.options import withholding_options

__all__ = ["command"]


@click.command("redact", epilog=epilog(), short_help="Write a journal without what is private.")
@withholding_options
@copying_options
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
    """
    Write JOURNAL again, to be given to somebody else; the original stays as it is.

    What is withheld leaves an empty value behind. Its length is kept where that is audio, so that
    the figures are the same.
    """
    if not (no_audio or no_content or fields):
        msg = "Say what to leave out: --no-audio, --no-content or --redact FIELD."
        raise click.UsageError(msg)
    withholding = Withholding(audio=not no_audio, content=not no_content, redact=fields)
    ctx.exit(copy_journal(**copy, withholding=withholding))
