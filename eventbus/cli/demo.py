"""
``eventbus demo``: a call that the package ships, through an application that it ships.

The call, ``demo.jsonl``, is synthetic: ``tests/cli/make_demo.py`` writes it.
"""

from __future__ import annotations

import inspect
import math
import time
from pathlib import Path

import click

from ..bus import EventBus
from . import demo_app
from .console import LiveScreen, Output, PlainScreen
from .exits import ExitCode
from .frames import FrameFile
from .options import read_speed
from .player import Player
from .recorder import Recorder
from .summary import summary_lines

__all__ = ["command"]

_CALL = Path(__file__).with_name("demo.jsonl")

_BEFORE = """\
A synthetic call, replayed through the handlers of a small example app:
{app}
"""

_AFTER = """
One handler has crashed on purpose, and the caller has not noticed.
Your own:  eventbus replay FRAMES.jsonl --app my_agent:bus
"""


class _Clock:
    """How long the call has lasted: what its frames say, and the time that has passed since."""

    def __init__(self, speed: float) -> None:
        self._speed = speed if math.isfinite(speed) else 0.0
        self._seconds = 0.0
        self._set_at = time.monotonic()

    def set(self, seconds: float) -> None:
        self._seconds = seconds
        self._set_at = time.monotonic()

    def __call__(self) -> float:
        return self._seconds + (time.monotonic() - self._set_at) * self._speed


@click.command("demo", short_help="Replay a synthetic call through an example app.")
@click.option(
    "--speed",
    default="1x",
    metavar="1x|max|…",
    show_default=True,
    callback=read_speed,
    help="How fast the call goes by.",
)
@click.pass_context
def command(ctx: click.Context, speed: float) -> None:
    """
    Replay a short call: two turns, a tool call, an interruption, a crash.

    It takes about ten seconds, and neither a key nor a server. No audio is played.
    """
    output = Output()
    click.echo(_BEFORE.format(app=inspect.getfile(demo_app)), err=True)
    bus = EventBus()
    clock = _Clock(speed)
    screen = (LiveScreen if output.is_terminal else PlainScreen)(output, clock)
    with _CALL.open("rb") as file, screen:
        bus.register(demo_app.PhoneAgent(screen, speed))
        summary = Player(
            FrameFile(file, str(_CALL)),
            bus,
            Recorder(bus),
            speed,
            on_due=clock.set,
            before_wait=output.flush,
        ).run()
    for line in summary_lines(summary, output.width):
        output.line(line)
    output.flush()
    if summary.was_interrupted:
        ctx.exit(ExitCode.INTERRUPTED)
    click.echo(_AFTER, err=True)
