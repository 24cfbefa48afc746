"""
``eventbus redact``: a journal without what isn't to be given away.
"""

from __future__ import annotations

from pathlib import Path

import click

from ..journal.copying import write_copy
from ..journal.withholding import Withholding
from .journals import (
    JournalInput,
    epilog,
    filter_argument,
    journal_argument,
    json_option,
    read_filter,
)
from .options import withholding_options
from .outputs import force_option, journal_output, prepare_output, tell_written

__all__ = ["command"]


@click.command("redact", epilog=epilog(), short_help="Write a journal without what is private.")
@journal_argument()
@filter_argument
@journal_output
@withholding_options
@force_option
@json_option("Write what was written as a JSON object.")
@click.pass_context
def command(
    ctx: click.Context,
    journal: Path,
    terms: tuple[str, ...],
    *,
    to: Path,
    no_audio: bool,
    no_content: bool,
    fields: tuple[str, ...],
    is_forced: bool,
    is_json: bool,
) -> None:
    """
    Write JOURNAL again, to be given to somebody else; the original stays as it is.

    What is withheld leaves an empty value behind. Its length is kept where that is audio, so that
    the figures are the same.
    """
    if not (no_audio or no_content or fields):
        msg = "Say what to leave out: --no-audio, --no-content or --redact FIELD."
        raise click.UsageError(msg)
    where = read_filter(terms)
    source = JournalInput(journal)
    prepare_output(to, source.journal.paths, is_forced=is_forced)
    withholding = Withholding(audio=not no_audio, content=not no_content, redact=fields)
    count = write_copy(
        source.records(where), to, header=source.journal.header, withholding=withholding
    )
    tell_written(to, count, is_json=is_json)
    ctx.exit(source.exit_code)
