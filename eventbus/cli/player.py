"""
Runs a file of frames over a bus: decode, wait until it is due, publish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import anyio
import attrs
import click

from ..bus import EventBus
from ..events import RealtimeModelEvent, RealtimeModelExceptionEvent, RealtimeModelRawServerEvent
from ..exceptions import BusClosed, FrameError, MailboxFull
from ..replay._frame_file import BadLine, FrameFile, FrameLine
from ..replay._pacing import Pacer
from ..telemetry._summary import Recorder, Summary
from ..wire.openai._decoder import TABLE, OpenAIRealtimeDecoder
from .terminal.console import Bar
from .terminal.escaping import printable

__all__ = ["Player"]

_FOREIGN: Final = (
    "no line that was read has a type that OpenAI Realtime sends; is this a file of its frames?"
)
_NOTHING: Final = "0 events; it has no frame that a service has sent"
_KNOWN_TYPES: Final = tuple(TABLE)  # what a foreign frame calls its type may have no hash


@attrs.define
class Player:
    """
    What a replay needs; `run` does it, once.

    Attributes:
        file: Where the frames come from.
        bus: Where their events go to.
        recorder: Watches the bus.
        speed: 1 is as fast as it was spoken; infinite is as fast as it can be read.
        is_strict: Whether the first bad line ends the replay.
        on_bad_line: Called with each line that can't be read.
        on_event: Called with a line's number and an event of it, before it is published; not
            with raw events, which the file itself has.
        on_sent: Called with each line that the client has sent, when that was; without it, they
            are passed over.
        on_due: Called with the time that a frame is due at, in seconds, before its events.
        before_wait: Called before anything that may take time.
        bar: Shows how far it is.
        sender: The session that the events belong to; None for none.
    """

    file: FrameFile
    bus: EventBus
    recorder: Recorder
    speed: float
    is_strict: bool = False
    on_bad_line: Callable[[BadLine], object] = lambda _: None
    on_event: Callable[[int, RealtimeModelEvent], object] = lambda _, __: None
    on_sent: Callable[[FrameLine], object] | None = None
    on_due: Callable[[float], object] = lambda _: None
    before_wait: Callable[[], object] = lambda: None
    bar: Bar = attrs.field(factory=lambda: Bar(None))
    sender: object = None
    _bad_lines: int = attrs.field(default=0, init=False)
    _has_lines: bool = attrs.field(default=False, init=False)
    _has_frames: bool = attrs.field(default=False, init=False)
    _has_known_type: bool = attrs.field(default=False, init=False)

    def run(self) -> Summary:
        """
        Replay the file, and return what has happened; after Ctrl-C, what had happened by then.

        Handlers have finished when it returns, unless it was interrupted.
        """
        was_interrupted = False
        with self.recorder.recording(), self.bar.shown():
            try:
                anyio.run(self._run)
            except KeyboardInterrupt:
                was_interrupted = True
            return self.recorder.summary(bad_lines=self._bad_lines, was_interrupted=was_interrupted)

    def report_oddity(self, summary: Summary) -> None:
        """Say on stderr if the file, when it was read, has turned out to be empty or foreign."""
        if self._has_frames and not self._has_known_type:
            click.echo(printable(f"{self.file.name}: {_FOREIGN}"), err=True)
        elif not self._has_lines and not summary.was_interrupted:
            click.echo(printable(f"{self.file.name}: {_NOTHING}"), err=True)

    async def _run(self) -> None:
        is_fed = False
        try:
            async with self.bus:
                await self._feed()
                is_fed = True
                self.before_wait()
        except Exception:
            # A strict bus raises at its end what its handlers have raised: that is recorded.
            if not is_fed or not self.recorder.crashed:
                raise

    async def _feed(self) -> None:
        decoder, pacer = OpenAIRealtimeDecoder(), Pacer()
        start = anyio.current_time()
        with_sent = self.on_sent is not None
        async for line in self.file.lines(self.before_wait, with_sent=with_sent):
            self.bar.update(self.file.bytes_read)
            self._has_lines = True
            if isinstance(line, BadLine):
                self._note_bad_line(line)
                if self.is_strict:
                    return
                continue
            events = () if line.is_sent else self._decode(decoder, line)
            if self._is_bad(line, events) and self.is_strict:
                return
            due = pacer.due(events, line.seconds)
            await self._wait_until(start + due / self.speed)
            self.on_due(due)
            if line.is_sent and self.on_sent is not None:
                self.on_sent(line)
                continue
            for event in events:
                if not isinstance(event, RealtimeModelRawServerEvent):
                    self.on_event(line.number, event)
            try:
                await self._publish(events)
            except BusClosed:  # by a handler: the app has had enough
                return

    def _decode(
        self, decoder: OpenAIRealtimeDecoder, line: FrameLine
    ) -> Sequence[RealtimeModelEvent]:
        events = decoder.decode(line.frame)
        self._has_frames = True
        self._has_known_type = self._has_known_type or any(map(_has_known_type, events))
        return events

    async def _wait_until(self, deadline: float) -> None:
        # A lateness of a moment is not worth a turn of the event loop for each frame.
        if deadline > anyio.current_time():
            self.before_wait()
            await anyio.sleep_until(deadline)

    async def _publish(self, events: Sequence[Any]) -> None:
        *first, last = events
        for event in first:
            try:
                self.bus.publish(event, sender=self.sender)
            except Exception as exc:  # noqa: BLE001  # a strict bus raises what handlers raise
                self._raise_if_unknown(exc)
        # Once a frame is often enough to wait until a mailbox with Overflow.BLOCK has room.
        try:
            await self.bus.publish_async(last, sender=self.sender)
        except Exception as exc:  # noqa: BLE001  # as above
            self._raise_if_unknown(exc)

    def _raise_if_unknown(self, exc: Exception) -> None:
        """Pass over a full mailbox, and what a strict bus raises: the summary has them."""
        if isinstance(exc, BusClosed) or not (
            isinstance(exc, MailboxFull) or self.recorder.crashed
        ):
            raise exc

    def _is_bad(self, line: FrameLine, events: Sequence[RealtimeModelEvent]) -> bool:
        """Whether the decoder could not read *line*, and said so."""
        for event in events:
            if isinstance(event, RealtimeModelExceptionEvent):
                error = event.exception
                # The rest of the message tells where the frame is; a reader of a file has its line.
                reason = f"{error.problem}." if isinstance(error, FrameError) else str(error)
                self._note_bad_line(BadLine(line.number, reason))
                return True
        return False

    def _note_bad_line(self, line: BadLine) -> None:
        self._bad_lines += 1
        self.on_bad_line(line)


def _has_known_type(event: RealtimeModelEvent) -> bool:
    """Whether *event* is a frame of a type that the decoder knows, or says that one is wrong."""
    match event:
        case RealtimeModelRawServerEvent(data=Mapping() as frame):
            return frame.get("type") in _KNOWN_TYPES
        case RealtimeModelExceptionEvent(exception=FrameError(frame_type=frame_type)):
            return frame_type in _KNOWN_TYPES
        case _:
            return False
