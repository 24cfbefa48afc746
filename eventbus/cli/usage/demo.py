"""
The options of ``eventbus demo``, and its help.
"""

from __future__ import annotations

import click

from ..lazy import runs
from ..terminal.options import inspect_option, read_speed

_EPILOG = """\b
Exit codes:
    0  fine; the crash is part of the call
    1  output that can't be written, or an extra that isn't installed
    2  wrong arguments
    4  with --forward, no connection, or a stream that doesn't fit
  130  interrupted; 143 by SIGTERM
"""


@click.command("demo", epilog=_EPILOG, short_help="Watch a synthetic call through an example app.")
@click.option(
    "--speed",
    default="1x",
    metavar="1x|max|…",
    show_default=True,
    callback=read_speed,
    help="How fast the call goes by.",
)
@click.option(
    "--forward",
    "forward_to",
    metavar="URL",
    help="Forward the call's events to this NATS server.",
)
@inspect_option
@runs("demo", "openai", "sim")
def command() -> None:
    """
    Watch a short call: three turns, a tool call, an interruption, a crash.

    It takes about ten seconds, and neither a key nor a network: the service is the simulator, in
    this process, behind a real socket. No audio is played.

    At the speed max nothing waits: the time is virtual, as in tests.

    With --forward, other processes can receive the call's events; the stream is named calls.
    """
