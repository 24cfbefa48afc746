"""
The command ``eventbus``: the group of its commands, and how it ends.
"""

from __future__ import annotations

import importlib.metadata
import io
import logging
import sys
from typing import Final

import click

from .lazy import LazyGroup
from .terminal.escaping import printable, printable_lines
from .terminal.exits import ExitCode
from .terminal.shutdown import Shutdown

_COMMANDS: Final = {
    "demo": "Watch a synthetic call through an example app.",
    "run": "Talk to a model through your handlers.",
    "sim": "Be a realtime service, for clients to try.",
    "proxy": "Stand between a client and the service, and watch.",
    "record": "Write frames, their events and handler calls.",
    "replay": "Replay a session through handlers.",
    "tail": "Follow a journal that is being written.",
    "grep": "Find records of a journal.",
    "show": "Show an event, its frame and its handler calls.",
    "inspect": "See calls in a browser.",
    "stats": "Measure a journal: latency, and its parts.",
    "diff": "Compare the events of two journals.",
    "export": "Write a journal as audio, text, table.",
    "trim": "Write a part of a journal.",
    "redact": "Write a journal without what is private.",
    "forward": "Forward a journal to other processes.",
    "validate": "Check a journal, and repair its end.",
    "events": "List the classes of events.",
}


def _version(ctx: click.Context, _param: click.Parameter, is_wanted: bool) -> None:
    if not is_wanted or ctx.resilient_parsing:
        return
    try:
        version = importlib.metadata.version("eventbus")
    except importlib.metadata.PackageNotFoundError:
        version = "(not installed: a checkout)"
    click.echo(f"eventbus {version}")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    lazy_commands=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """
    A typed event bus for realtime voice models.

    Begin with: eventbus demo
    """
    # Without a handler, Python would print the traceback of each failure, which the summary
    # has in two lines. An app that sets up logging gets them all the same.
    logger = logging.getLogger("eventbus")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def main() -> None:
    """Run the command that `sys.argv` names, and exit."""
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")
    shutdown = Shutdown()
    with shutdown.watching():
        code = _run(shutdown)
    sys.exit(code)


def _run(shutdown: Shutdown) -> int:
    """Run the command, and return its exit code."""
    code: int
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as exc:
        shown = io.StringIO()
        exc.show(shown)
        click.echo(printable_lines(shown.getvalue()), err=True, nl=False)
        code = exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = ExitCode.INTERRUPTED
    except OSError as exc:  # commands report those of input
        if shutdown.output_error is None:
            click.ClickException(printable(str(exc))).show()
        code = ExitCode.NO_OUTPUT
    if shutdown.output_error is not None:
        if not isinstance(shutdown.output_error, BrokenPipeError):  # the reader has had enough
            click.ClickException(f"stdout can't be written: {shutdown.output_error}").show()
        return ExitCode.NO_OUTPUT
    if shutdown.signal_number is not None:
        return 128 + shutdown.signal_number
    return code
