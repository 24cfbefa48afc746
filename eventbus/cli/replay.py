"""
``eventbus replay``: a file of frames through the user's handlers, or onto the screen.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import click

from ..bus import EventBus
from ..codec import dumps
from .apps import load_app
from .bad_lines import BadLines
from .console import Bar, Output
from .exits import exit_code
from .frames import FrameFile
from .options import read_speed
from .player import Player
from .recorder import Recorder
from .show import event_line
from .summary import report_crash, write_summary

__all__ = ["command"]

_EPILOG = """\b
Exit codes:
    0  fine
    1  output that can't be written
    2  wrong arguments
    3  input that can't be read; stderr has the lines and what is wrong with them
    5  a handler has crashed
  130  interrupted
"""

_FOREIGN = (
    "no line that was read has a type that OpenAI Realtime sends; is this a file of its frames?"
)


@click.command(
    "replay", epilog=_EPILOG, short_help="Replay a recorded session through your handlers."
)
@click.argument("file", type=click.File("rb"))
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
    "clock is that of the lines, where they have a time. Elsewhere the model's speech takes as "
    "long as it sounds, the user's as long as audio_start_ms and audio_end_ms say, and nothing "
    "else takes time. At max, mailboxes may overflow that never would in a call.",
)
@click.option(
    "--json",
    "is_json",
    is_flag=True,
    help="Write JSON, one object a line: without --app each event, as eventbus.codec writes it, "
    'and at the end {"summary": …}. What the app prints goes to stderr.',
)
@click.option(
    "--strict", "is_strict", is_flag=True, help="Stop at the first line that can't be read."
)
@click.pass_context
def command(
    ctx: click.Context,
    file: Any,
    app_spec: str | None,
    speed: float,
    is_json: bool,
    is_strict: bool,
) -> None:
    """
    Replay a recorded session through your handlers.

    FILE has the frames that a realtime service has sent, one JSON object a line; - is stdin.
    A line may also be an envelope, {"t": 1.25, "direction": "received", "frame": {…}}, with or
    without the time in seconds and the direction; what was sent is passed over.

    At the end comes a summary: the events by class, the run time of each handler, what has
    crashed and what was dropped. Events that handlers publish themselves are counted as well.
    """
    output = Output()
    name = file.name if file is not sys.stdin.buffer else "stdin"
    frames = FrameFile(file, name)
    bad_lines = BadLines(name)
    shows_events = app_spec is None

    def show(number: int, event: Any) -> None:
        if is_json:
            output.json_line(dumps(event))
        else:
            output.line(event_line(number, event))

    # What the app prints is its own, and no JSON.
    with contextlib.redirect_stdout(sys.stderr) if is_json else contextlib.nullcontext():
        bus = EventBus() if app_spec is None else _load(app_spec)
        player = Player(
            frames,
            bus,
            Recorder(bus, on_crash=report_crash),
            speed,
            is_strict=is_strict,
            on_bad_line=bad_lines.report,
            on_event=show if shows_events else _ignore,
            before_wait=output.flush,
            # Where the events themselves go by, nobody needs to be told that it goes on.
            bar=Bar(frames.size, is_wanted=not (shows_events and output.is_terminal)),
        )
        summary = player.run()
    bad_lines.report_rest()
    if player.is_foreign:
        click.echo(f"{name}: {_FOREIGN}", err=True)
    write_summary(output, summary, is_json=is_json)
    ctx.exit(exit_code(summary))


def _load(spec: str) -> EventBus:
    try:
        return load_app(spec)
    except click.BadParameter as exc:
        exc.param_hint = "'--app'"
        raise


def _ignore(number: int, event: object) -> None:
    """Show nothing: the app does."""
