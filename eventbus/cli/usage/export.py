"""
The options of ``eventbus export``, and its help.
"""

from __future__ import annotations

from pathlib import Path

import click

from ..lazy import runs
from ..terminal.options import (
    FILTER_HELP,
    epilog,
    filter_argument,
    force_option,
    journal_argument,
    json_option,
)

_HELP = """\b
Formats:
    wav           the audible call; the caller left, the model right
    srt           captions for it
    jsonl         a record a line
    csv           a record a row, without content
    chrome-trace  handler calls, for Perfetto and chrome://tracing
    html          a page to look at the call with, offline
"""


@click.command(
    "export",
    epilog=epilog(no="no record matches", about=f"{_HELP}\n{FILTER_HELP}"),
    short_help="Write a journal as audio, text, table.",
)
@journal_argument()
@filter_argument
@click.option(
    "--to",
    "format_name",
    type=click.Choice(["wav", "srt", "jsonl", "csv", "chrome-trace", "html"]),
    required=True,
    help="The format.",
)
@click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="The file to write; - is stdout. By default it has the journal's name.",
)
@force_option
@json_option("Write the name of the new file as a JSON object.")
@runs("export")
def command() -> None:
    """
    Write JOURNAL in another format. Times count from its beginning.

    Sound is placed where it was heard: speech from its arrival on, until it was interrupted. A WAV
    file and captions are of one call; FILTER picks it, like sender:call-42.
    """
