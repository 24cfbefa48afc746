"""
The options of ``eventbus replay``, and its help.
"""

from __future__ import annotations

import click

from ..lazy import runs
from ..terminal.options import FILTER_HELP, filter_argument, frames_argument, read_speed

_EPILOG = """\b
Exit codes:
    0  fine
    1  output that can't be written; with --strict, a decoder that gives something else
    2  wrong arguments
    3  a file, a line or a filter that can't be read; stderr has the reason
    5  a handler has crashed
  130  interrupted
"""


@click.command(
    "replay", epilog=f"{_EPILOG}\n{FILTER_HELP}", short_help="Replay a session through handlers."
)
@frames_argument
@filter_argument
@click.option(
    "--app",
    "app_spec",
    metavar="MODULE:NAME",
    help="Publish on this EventBus, or to this listener: an object or a class with handlers that "
    "are marked with @on. MODULE alone is a module with such handlers. The current directory is "
    "importable. Without this option the events are shown.",
)
@click.option(
    "--speed",
    default="max",
    metavar="1x|max|…",
    show_default=True,
    callback=read_speed,
    help="1x is as fast as it was spoken, 2x twice as fast, max as fast as it can be read. The "
    "clock is that of the lines, where they have a time, and that of the records of a journal. "
    "Elsewhere the model's speech takes as long as it sounds, the user's as long as "
    "audio_start_ms and audio_end_ms say, and nothing else takes time. At max, each event waits "
    "for the handlers of the one before it.",
)
@click.option(
    "--json",
    "is_json",
    is_flag=True,
    help="Write JSON, one object a line: without --app each event, as eventbus.codec writes it, "
    'and at the end {"summary": …}. The app\'s own output goes to stderr.',
)
@click.option(
    "--strict",
    "is_strict",
    is_flag=True,
    help="Stop at the first line that can't be read; of a journal, at the first frame for which "
    "the decoder now gives other events than were recorded.",
)
@click.option(
    "--decode",
    "decodes",
    is_flag=True,
    help="For a journal: publish the events that the decoder now makes of the frames, not the "
    "recorded ones.",
)
@click.option(
    "--with-content", is_flag=True, help="Quote transcripts where --strict finds a difference."
)
@runs("replay")
def command() -> None:
    """
    Replay a recorded session through your handlers.

    FILE is a journal, or has the frames that a realtime service has sent, one JSON object a line; -
    is stdin. A line may also be an envelope, {"t": 1.25, "direction": "received", "frame": {…}},
    with or without the time in seconds and the direction; the client's messages are skipped.

    For a journal, FILTER picks the events to publish. Events that handlers published, and the bus's
    reports of failures, are left out: they happen again.

    The summary at the end has the events by class, the run time of each handler, crashes and
    drops. Events that your handlers publish are counted as well.
    """
