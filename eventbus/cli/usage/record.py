"""
The options of ``eventbus record``, and its help.
"""

from __future__ import annotations

import click

from ..lazy import runs
from ..terminal.options import (
    force_option,
    frames_argument,
    journal_output,
    json_option,
    read_speed,
    withholding_options,
)

_EPILOG = """\b
Exit codes:
    0  fine
    1  a journal that can't be written, or not all of it
    2  wrong arguments
    3  a file or a line that can't be read; stderr says what is wrong
    5  a handler has crashed
  130  interrupted; the journal has what came before
"""


@click.command("record", epilog=_EPILOG, short_help="Write frames, their events and handler calls.")
@frames_argument
@journal_output
@click.option(
    "--app",
    "app_spec",
    metavar="MODULE:NAME",
    help="Let the handlers of this EventBus or listener run, and record their calls; as for "
    "replay.",
)
@click.option(
    "--speed",
    default="max",
    metavar="1x|max|…",
    show_default=True,
    callback=read_speed,
    help="How fast, as for replay.",
)
@click.option("--sender", metavar="NAME", help="What the session is called in the journal.")
@withholding_options
@force_option
@json_option("Write what was written as a JSON object.")
@runs("record")
def command() -> None:
    """
    Write the frames in FILE to a journal, with their events and handler calls.

    FILE has a frame a line, as for replay; - is stdin. Envelopes of sent messages are recorded as
    such. At the speed max, a file's own times are recorded, as if it happened then; frames from a
    pipe get the time of their arrival.

    A live call is recorded by eventbus run --record, and that of any other client by eventbus
    proxy --record.
    """
