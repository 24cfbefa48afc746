"""
``eventbus record``: frames into a journal, with the calls of the handlers that get them.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from ...bus import EventBus
from ...journal._recorder import Recorder
from ...journal._segments import segment_paths
from ...telemetry._summary import SummaryObserver
from ..apps import load_app_option
from ..replay_run import ReplayRun
from ..terminal.console import Bar
from ..terminal.exits import BadInput, exit_code
from ..terminal.inputs import is_stdin, opened_frames, seems_journal
from ..terminal.outputs import (
    journal_beside,
    prepare_output,
    tell_written,
)

__all__ = ["command"]


@click.pass_context
def command(
    ctx: click.Context,
    file: Path,
    *,
    to: Path,
    app_spec: str | None,
    speed: float,
    sender: str | None,
    no_audio: bool,
    no_content: bool,
    fields: tuple[str, ...],
    is_forced: bool,
    is_json: bool,
) -> None:
    """Run the command; see ``eventbus.cli.usage.record``."""
    if seems_journal(file):
        msg = f"{file} is a journal already; eventbus record takes frames, eventbus trim a journal."
        raise BadInput(msg)
    frames = ctx.with_resource(opened_frames(file))
    bus = EventBus() if app_spec is None else load_app_option(app_spec)
    prepare_output(to, () if is_stdin(file) else (file,), is_forced=is_forced)
    # A new journal is written where it belongs, so that it is there whatever happens.
    place = journal_beside(to) if segment_paths(to) else contextlib.nullcontext(to)
    clock = _Clock(is_real=frames.size is None or not math.isinf(speed))
    with place as path:
        recorder = Recorder(
            path,
            audio=not no_audio,
            content=not no_content,
            redact=fields,
            clock_ns=clock.mono_ns,
            wall_ns=clock.wall_ns,
        )
        run = ReplayRun(
            frames,
            bus,
            SummaryObserver(bus),
            bar=Bar(frames.size, label="recording"),
            speed=speed,
            sender=sender,
            on_sent=lambda line: recorder.sent(_message(line.frame), sender),
            on_time=clock.set,
        )
        # The app's own prints are not JSON.
        stdout = contextlib.redirect_stdout(sys.stderr) if is_json else contextlib.nullcontext()
        with stdout, recorder, recorder.attach(bus):
            summary = run.run()
        if recorder.failure is not None:
            raise recorder.failure
    tell_written(to, recorder.last_seq, is_json=is_json)
    ctx.exit(exit_code(summary))


def _message(frame: bytes) -> Mapping[str, Any] | bytes:
    """Return a message as the mapping that its sender had; other bytes as they are."""
    try:
        message = msgspec.json.decode(frame)
    except ValueError:
        return frame
    return message if isinstance(message, dict) else frame


class _Clock:
    """
    The time that records get.

    Args:
        is_real: True if time passes by itself; False if the frames tell it.
    """

    def __init__(self, *, is_real: bool) -> None:
        self._is_real = is_real
        self._mono_ns, self._wall_ns = time.monotonic_ns(), time.time_ns()
        self._passed_ns = 0

    def mono_ns(self) -> int:
        """Return the monotonic time."""
        return time.monotonic_ns() if self._is_real else self._mono_ns + self._passed_ns

    def wall_ns(self) -> int:
        """Return the time of day."""
        return time.time_ns() if self._is_real else self._wall_ns + self._passed_ns

    def set(self, ns: int) -> None:
        """Set the time since the beginning, in nanoseconds; a real clock ignores it."""
        self._passed_ns = max(self._passed_ns, ns)
