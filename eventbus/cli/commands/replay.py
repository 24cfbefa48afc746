"""
``eventbus replay``: a recording through handlers, or onto the screen.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from pathlib import Path
from typing import Any

import click

from ...bus import EventBus
from ...codec import dumps
from ...exceptions import CodecError
from ...telemetry._summary import Summary, SummaryObserver
from ..apps import load_app_option
from ..replay_run import ReplayRun
from ..terminal.console import Bar, Output
from ..terminal.escaping import printable
from ..terminal.event_lines import event_line
from ..terminal.exits import ExitCode, exit_code
from ..terminal.inputs import is_stdin, opened_frames, seems_journal
from ..terminal.journals import JournalInput, read_filter
from ..terminal.summary import report_crash, write_summary


@click.pass_context
def command(
    ctx: click.Context,
    file: Path,
    terms: tuple[str, ...],
    *,
    app_spec: str | None,
    speed: float,
    is_json: bool,
    is_strict: bool,
    decodes: bool,
    with_content: bool,
) -> None:
    """Run the command; see ``eventbus.cli.usage.replay``."""
    output = Output()
    show = _ignore if app_spec is not None else functools.partial(_show, output, is_json=is_json)
    journal = _journal_in(file, terms, output, decodes=decodes)
    # The app's own prints are not JSON.
    with contextlib.redirect_stdout(sys.stderr) if is_json else contextlib.nullcontext():
        bus = EventBus() if app_spec is None else load_app_option(app_spec)
        observer = SummaryObserver(bus, on_crash=report_crash)
        source = ctx.with_resource(opened_frames(file)) if journal is None else journal
        # A bar is of no use where the events themselves are shown.
        is_quiet = app_spec is None and output.is_terminal
        run = ReplayRun(
            source,
            bus,
            observer,
            where=None if journal is None else read_filter(terms),
            bar=None
            if isinstance(source, JournalInput)
            else Bar(source.size, is_wanted=not is_quiet),
            on_event=show,
            before_wait=output.flush,
            speed=speed,
            strict=is_strict,
            decode=decodes,
            with_content=with_content,
        )
        summary = run.run()
    write_summary(output, summary, is_json=is_json)
    ctx.exit(_judge(run, journal, summary))


def _journal_in(
    file: Path, terms: tuple[str, ...], output: Output, *, decodes: bool
) -> JournalInput | None:
    """Open *file* if it is a journal; return None if it isn't."""
    if seems_journal(file):
        return JournalInput(file, label=None if output.is_terminal else "replaying")
    if terms or decodes:
        what = "--decode" if decodes else "A FILTER"
        name = "stdin" if is_stdin(file) else file
        msg = f"{what} is for journals, and {name} isn't one; eventbus record makes one of frames."
        raise click.UsageError(printable(msg))
    return None


def _judge(run: ReplayRun, journal: JournalInput | None, summary: Summary) -> ExitCode:
    """Return the exit code; print the difference that was found, if there is one."""
    if run.difference is not None:
        click.echo(printable(str(run.difference)), err=True)
    code = exit_code(summary)
    if code is ExitCode.INTERRUPTED:
        return code
    damage = ExitCode.OK if journal is None else journal.exit_code
    return damage or (ExitCode.NO if run.difference is not None else code)


def _show(output: Output, number: int, event: Any, *, is_json: bool) -> None:
    try:
        if is_json:
            output.json_line(dumps(event))
        else:
            output.line(event_line(number, event, output.width))
    except CodecError as exc:
        click.echo(printable(str(exc)), err=True)


def _ignore(number: int, event: object) -> None:
    """Show nothing: the app has its own output."""
