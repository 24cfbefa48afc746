"""
The options of ``eventbus forward``, and its help.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from ..lazy import runs
from ..terminal.options import journal_argument

_EPILOG: Final = """\b
Exit codes:
    0  the stream has all events of the journal
    1  some could not be forwarded
    2  wrong arguments
    3  a journal that can't be read
    4  no connection, or a stream that doesn't fit
  130  interrupted
"""


@click.command("forward", epilog=_EPILOG, short_help="Forward a journal to other processes.")
@journal_argument()
@click.option(
    "--to",
    "url",
    metavar="URL",
    default="nats://127.0.0.1:4222",
    show_default=True,
    help="The NATS server.",
)
@click.option(
    "--stream", metavar="NAME", default="calls", show_default=True, help="The stream's name."
)
@click.option(
    "--partitions",
    type=click.IntRange(min=1),
    metavar="N",
    help="Partitions of the stream; those that it has, or 64.",
)
@click.option(
    "--creds",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A credentials file of NATS.",
)
@click.option("--audio", "has_audio", is_flag=True, help="Forward the model's audio, too.")
@click.option("--follow", "is_followed", is_flag=True, help="Wait for more until it is closed.")
@runs("forward", "nats")
def command() -> None:
    """
    Store the events of JOURNAL in a NATS JetStream stream, from the last one that it has on.

    The journal may be being written, or be that of a process that was killed. Events that the
    stream has already are not stored again.
    """
