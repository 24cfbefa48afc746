"""
A replay as a command does it: watched, with a progress bar, until its end or Ctrl-C.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import click

from ..analysis._filters import Filter
from ..bus import EventBus
from ..events import RealtimeModelExceptionEvent, RealtimeModelRawServerEvent
from ..exceptions import BusClosed, FrameError, JournalError, MailboxFull, ReplayDifference
from ..journal._records import Record
from ..replay._frame_file import BadLine, FrameFile
from ..replay._player import Player, Source
from ..telemetry._summary import Summary, SummaryObserver
from ..wire._names import GEMINI_NAMES, frame_name
from ..wire.openai._decoder import TABLE
from ..wire.openai._gpt_live import LIVE_TABLE
from .terminal.bad_lines import BadLines
from .terminal.console import Bar
from .terminal.escaping import printable
from .terminal.journals import JournalInput
from .waking import run_loop

_FOREIGN: Final = (
    "no line that was read is a frame of OpenAI Realtime, GPT-Live or Gemini Live; is this a file "
    "of their frames?"
)
_NOTHING: Final = "0 events; it has no frame that a service has sent"
_KNOWN: Final = frozenset({*TABLE, *LIVE_TABLE, *GEMINI_NAMES})


class ReplayRun:
    """
    One run of an `eventbus.replay.Player`.

    Args:
        source: A file of frames, or a journal.
        bus: The bus to publish on.
        observer: Observes the bus.
        where: The records of a journal to publish.
        bar: Shows the progress of a file of frames; a journal has its own.
        on_event: Called with a line's or a record's number and an event before it is published;
            not with raw events, which the recording itself has.
        before_wait: Called before anything that may take time.
        options: The other arguments of `Player`.

    Attributes:
        difference: The first difference of a strict replay, if it found one.
    """

    def __init__(
        self,
        source: FrameFile | JournalInput,
        bus: EventBus,
        observer: SummaryObserver,
        *,
        where: Filter | None = None,
        bar: Bar | None = None,
        on_event: Callable[[int, Any], object] = lambda _, __: None,
        before_wait: Callable[[], object] = lambda: None,
        **options: Any,
    ) -> None:
        self.difference: ReplayDifference | None = None
        self._source = source
        self._bus = bus
        self._observer = observer
        self._where = where
        self._bar = bar or Bar(None)
        self._on_event = on_event
        self._before_wait = before_wait
        self._options = options
        self._bad_lines = BadLines(source.name)
        self._count_bad_lines = 0
        self._frames = 0
        self._has_known_type = False

    def run(self) -> Summary:
        """
        Replay, and return the summary; after Ctrl-C, that of the time until then.

        Handlers have finished by then, unless it was interrupted. Problems of the input are on
        stderr.
        """
        was_interrupted = False
        with self._observer.observing(), self._bar.shown():
            try:
                run_loop(self._run)
            except KeyboardInterrupt:
                was_interrupted = True
            summary = self._observer.summary(
                bad_lines=self._count_bad_lines, was_interrupted=was_interrupted
            )
        self._report(summary)
        return summary

    async def _run(self) -> None:
        has_played = False
        try:
            async with self._bus:
                await self._play()
                has_played = True
                self._before_wait()
        except ReplayDifference as difference:
            self.difference = difference
        except Exception:
            # A strict bus raises at its end what its handlers have raised: that is recorded.
            if not has_played or not self._observer.crashed:
                raise

    async def _play(self) -> None:
        player = Player(
            self._recording(),
            self._bus,
            where=None if self._where is None else self._where.matches,
            on_event=self._note_event,
            on_error=self._raise_if_unknown,
            on_bad_line=self._note_bad_line,
            before_wait=self._wait,
            **self._options,
        )
        with contextlib.suppress(BusClosed):  # by a handler: the app ends the replay
            try:
                await player.run()
            except JournalError:
                # With strict=True, a line that was reported already.
                if not self._count_bad_lines:
                    raise

    def _recording(self) -> Source:
        return self._source if isinstance(self._source, FrameFile) else self._records(self._source)

    def _records(self, source: JournalInput) -> Iterator[Record]:
        yield source.journal.header  # its time is that of the beginning
        # A decoder must be fed with all frames; else only the records of the time are read.
        needs_all = self._options.get("strict") or self._options.get("decode")
        where = None if needs_all or self._where is None else self._where.only_times()
        yield from source.records(where)

    def _wait(self) -> None:
        self._before_wait()
        if isinstance(self._source, FrameFile):
            self._bar.update(self._source.bytes_read)

    def _note_event(self, number: int, event: Any) -> None:
        if isinstance(event, RealtimeModelRawServerEvent):
            self._frames += 1
            if not self._has_known_type:
                self._has_known_type = _is_known(event.data)
            return
        if isinstance(event, RealtimeModelExceptionEvent) and not self._has_known_type:
            error = event.exception
            self._has_known_type = isinstance(error, FrameError) and error.frame_type in _KNOWN
        self._on_event(number, event)

    def _note_bad_line(self, line: BadLine) -> None:
        self._count_bad_lines += 1
        self._bad_lines.report(line)

    def _raise_if_unknown(self, exc: Exception) -> None:
        """Ignore a full mailbox, and failures that a strict bus raises: the summary has them."""
        if isinstance(exc, BusClosed) or not (
            isinstance(exc, MailboxFull) or self._observer.crashed
        ):
            raise exc

    def _report(self, summary: Summary) -> None:
        """Write to stderr which lines were bad, and if the file is empty or of something else."""
        self._bad_lines.report_rest()
        if not isinstance(self._source, FrameFile):
            return
        if self._frames and not self._has_known_type:
            click.echo(printable(f"{self._source.name}: {_FOREIGN}"), err=True)
        elif not (self._frames or self._count_bad_lines or summary.was_interrupted):
            click.echo(printable(f"{self._source.name}: {_NOTHING}"), err=True)


def _is_known(frame: object) -> bool:
    try:
        return isinstance(frame, Mapping) and frame_name(frame) in _KNOWN
    except ValueError:  # not JSON
        return False
