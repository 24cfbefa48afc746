"""
Recording what happens on a bus.

Rules
-----

* A recorder observes a bus (`eventbus.middleware.EventObserver`): it sees each event as it is
  published, before middleware, and each handler call. It changes nothing, and takes no event's
  handler away from the fallback.
* A class of events may say that it is something else: with ``recorded_as = "sent"``, its ``data``
  is a message to the service; with ``"repeat"`` it repeats the latest of the model's events, so
  that no more is recorded of it than that it did: its handlers' calls name that event.
* Everything is recorded as it is at that moment: what a handler does to a mutable payload later
  isn't seen.
* The loop waits for no disk. What was recorded during a tick of the event loop is written at its
  end, by one call; a thread makes it durable. Without a loop in the thread, it is written at once.
* Nothing that is wrong with an event or with the file reaches the call: an event that can't be
  written is recorded by its class, a file that can't be written is one Exception event.

What becomes of an event or a call is `eventbus.journal._tap`'s business.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio.to_thread
import msgspec

from ..bus import EventBus
from ..events import RealtimeModelExceptionEvent
from ..exceptions import JournalWriteError
from ._encoding import MAX_DATA_BYTES, TOO_LONG, document_of
from ._fsync import FsyncPolicy, Syncer
from ._records import EventRecord, HeaderRecord
from ._redaction import Redact, Withholding
from ._segments import segment_paths
from ._tap import Book, SelectiveTap, Sink, Tap
from ._writer import JournalWriter

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Recorder", "Recording", "SendingModel"]

logger = logging.getLogger(__name__)

_SENDER: Final = "{sender}"
_LABEL: Final = 50  # characters of a session's name in that of its file, which may have 255 bytes
_PROBLEM: Final = 9  # the place in the array of an event's record


class SendingModel(Protocol):
    """A model that tells its listeners what it sends, as an `eventbus.realtime.RealtimeModel`."""

    def add_listener(self, listener: Any, /) -> None:
        """Call ``listener.on_sent`` with each message from the next one on."""

    def remove_listener(self, listener: Any, /) -> None:
        """Don't, any more."""


class Recording:
    """
    What is being recorded; `Recorder.attach` and `Recorder.listen` begin it.

    It ends with `detach`, at the end of a ``with`` block, or when the recorder is closed.
    """

    __slots__ = ("_stack",)

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def detach(self) -> None:
        """Record nothing more of it; again is fine."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.detach()


class Recorder:
    """
    Records what happens on a bus, into a journal.

    ::

        with Recorder("call.journal") as recorder, recorder.attach(bus):
            async with bus:
                ...

    Everything is recorded: frames as they came, events, handler calls, drops, and with `listen` or
    `sent` what is sent to the model. Audio is in a journal twice, in its frame and in its event:
    of 24 kHz PCM, a minute of speech is 6.7 MB.

    Args:
        path: The journal's file; none may be there. With ``{sender}`` in its name, each session
            gets a journal of its own, which is begun with its first event.
        audio: Whether audio is recorded; how long it was always is.
        content: Whether what was said and written is recorded; without it, no audio is, either.
        redact: What else isn't: names and paths of fields, and functions; see
            `eventbus.journal._redaction`.
        fsync: When it is made durable: ``interval``, ``group``, ``every`` or ``none``; see
            `eventbus.journal._fsync`.
        segment_bytes: How long a file gets before the next one is begun beside it.
        segment_seconds: How old; None for any age.
        clock_ns: The monotonic clock; for tests, that of the event loop.
        wall_ns: The time of day, in nanoseconds since the epoch.

    Raises:
        JournalWriteError: The file can't be created, or there is one.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        audio: bool = True,
        content: bool = True,
        redact: Redact = (),
        fsync: FsyncPolicy = "interval",
        segment_bytes: int = 1 << 28,
        segment_seconds: float | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.path = Path(path)
        withholding = Withholding(audio=audio, content=content, redact=redact)
        self._syncer = Syncer(0 if fsync == "group" else 0.05)
        self._settings: dict[str, Any] = {
            "header": HeaderRecord(
                has_audio=withholding.has_audio,
                has_content=withholding.has_content,
                redacted=withholding.redacted,
            ),
            "fsync": fsync,
            "segment_bytes": segment_bytes,
            "segment_seconds": segment_seconds,
            "clock_ns": clock_ns,
            "wall_ns": wall_ns,
            "syncer": self._syncer,
            "on_failure": self._failed,
            "rewrite": _rewrite,
        }
        self._book = Book(withholding, clock_ns, self._sink_of)
        self._buses: list[EventBus] = []
        self._recordings: list[contextlib.ExitStack] = []
        self._sinks: dict[str | int | None, Sink] = {}
        self._only: Sink | None = None
        self._dirty: list[Sink] = []
        self._scheduled_in: Any = None
        self._failure: JournalWriteError | None = None
        self._is_closed = False
        if _SENDER not in self.path.name:
            self._only = self._open(self.path)

    # --- for users ------------------------------------------------------------------------

    def attach(
        self, bus: EventBus, *, without: Collection[Callable[..., object]] = ()
    ) -> Recording:
        """
        Record what happens on *bus* from now on, until the recorder is closed.

        A handler that is working through its mailbox is seen from when it has run dry; so do it
        before the bus is entered.

        Args:
            bus: The bus.
            without: Handlers whose calls aren't recorded, like those that only look on: the first
                handler that gets the model's audio is taken for the one that plays it.

        Returns:
            What ends it, also as a context manager.

        Raises:
            JournalWriteError: The recorder is closed.
        """
        stack = self._begin()
        tap = SelectiveTap(self._book, without) if without else Tap(self._book)
        stack.enter_context(bus.observe(tap))
        self._buses.append(bus)
        stack.callback(self._buses.remove, bus)
        return Recording(stack)

    def listen(self, model: SendingModel, sender: Any = None) -> Recording:
        """
        Record what is sent through *model* from now on, until the recorder is closed.

        ::

            with Recorder("call.journal") as recorder, recorder.attach(bus), recorder.listen(model):
                async with bus, RealtimeSession(model, bus):
                    ...

        What the model emits is recorded where it is published, so the bus needs `attach`.

        Args:
            model: The model.
            sender: The session that the messages belong to, as its events have it.

        Returns:
            What ends it, also as a context manager.

        Raises:
            JournalWriteError: The recorder is closed.
        """
        stack = self._begin()
        name = self._book.name_of(sender)
        self._book.heard.append(name)
        stack.callback(self._book.heard.remove, name)
        listener = _SentListener(self, sender)
        model.add_listener(listener)
        stack.callback(model.remove_listener, listener)
        return Recording(stack)

    def sent(self, message: Mapping[str, Any] | str | bytes, sender: Any = None) -> None:
        """
        Record a message to the service; from any thread.

        Args:
            message: The message, in the service's own words.
            sender: The session that it belongs to.
        """
        try:
            self._book.add_sent(message, self._book.session_of(sender))
        except Exception:
            logger.exception("a message to the service could not be recorded")

    @property
    def last_seq(self) -> int:
        """The number of the latest record; the sum, if each session has a journal."""
        return sum(sink.writer.last_seq for sink in self._all_sinks())

    @property
    def failure(self) -> JournalWriteError | None:
        """Why records were lost, the first time; None if none were."""
        return self._failure

    @property
    def durable_seq(self) -> int:
        """Up to which record all is durable, gaps apart; the sum, if there are several journals."""
        return sum(sink.writer.durable_seq for sink in self._all_sinks())

    async def flush(self) -> int:
        """
        Return when all that was recorded so far is durable; with ``fsync="none"``, written.

        If it is cancelled, that happens all the same.

        Returns:
            What `durable_seq` is then.
        """
        return await anyio.to_thread.run_sync(self.sync, abandon_on_cancel=True)

    def sync(self) -> int:
        """Do what `flush` does, and wait for the disk in this thread."""
        for sink in self._all_sinks():
            sink.flush()
            sink.writer.sync()
        return self.durable_seq

    def end(self, sender: Any) -> None:
        """
        Close the journal of a session that is over, where each has one.

        What is recorded of it later begins another one, with a number behind its name.
        """
        name = self._book.name_of(sender)
        sink = self._sinks.pop(name, None)
        if sink is not None:
            self._book.sessions.pop(name, None)
            sink.flush()
            sink.writer.close()

    def close(self) -> None:
        """Write and sync what is left, and close the files; again is fine."""
        if self._is_closed:
            return
        self._is_closed = True
        self._detach()
        for sink in self._all_sinks():
            sink.flush()
            sink.writer.close()
        self._syncer.stop()

    async def aclose(self) -> None:
        """Do what `close` does, without keeping the event loop waiting."""
        self._detach()  # here, where the bus is
        await anyio.to_thread.run_sync(self.close, abandon_on_cancel=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<Recorder {str(self.path)!r}>"

    def _begin(self) -> contextlib.ExitStack:
        """Return what ends a recording, when it is closed."""
        if self._is_closed:
            msg = f"The recorder of {self.path} is closed; make another one, with another path."
            raise JournalWriteError(msg, path=str(self.path))
        stack = contextlib.ExitStack()
        self._recordings.append(stack)
        stack.callback(self._recordings.remove, stack)
        return stack

    def _detach(self) -> None:
        for stack in tuple(self._recordings):
            stack.close()

    # --- journals -------------------------------------------------------------------------

    def _all_sinks(self) -> list[Sink]:
        return [self._only] if self._only is not None else list(self._sinks.values())

    def _open(self, path: Path, *, must_open: bool = True) -> Sink:
        sink = Sink(lambda: self._touch(sink, may_wait=True))
        sink.writer = JournalWriter(
            path,
            must_open=must_open,
            on_waiting=lambda: self._touch(sink),
            **self._settings,
        )
        return sink

    def _sink_of(self, name: str | int | None) -> Sink:
        """Return the journal of the session with that name."""
        sink = self._only or self._sinks.get(name)
        if sink is None:
            label = re.sub(r"[^\w.-]", "_", "none" if name is None else str(name))[:_LABEL]
            path = self.path.with_name(self.path.name.replace(_SENDER, label))
            sink = self._sinks[name] = self._open(_free(path), must_open=False)
        return sink

    # --- batches --------------------------------------------------------------------------

    def _touch(self, sink: Sink, *, may_wait: bool = False) -> None:
        """
        Let what was recorded be written at the end of the tick; now, if there is no loop.

        Args:
            may_wait: Whether it need not be written now.
        """
        if not sink.is_dirty:
            sink.is_dirty = True
            self._dirty.append(sink)
        try:
            loop: Any = asyncio.get_running_loop()
        except RuntimeError:
            loop = _trio_token()
        if loop is None:
            if not may_wait:
                self._flush_dirty()
        elif loop is not self._scheduled_in:
            self._scheduled_in = loop
            call_soon = getattr(loop, "call_soon", None) or loop.run_sync_soon
            call_soon(self._tick)

    def _tick(self) -> None:
        self._scheduled_in = None
        self._flush_dirty()

    def _flush_dirty(self) -> None:
        dirty, self._dirty = self._dirty, []
        for sink in dirty:
            sink.flush()

    def _failed(self, error: JournalWriteError) -> None:
        """Tell those who are recorded that they aren't any more."""
        self._failure = self._failure or error
        event = RealtimeModelExceptionEvent(error, f"recording to {error.path or self.path}")
        for bus in tuple(self._buses):
            try:
                bus.publish(event)
            except Exception:
                logger.exception("a journal can't be written, and no bus can be told")


class _SentListener:
    """
    Takes note of what a model sends.

    Its methods are those of an `eventbus.realtime.model.RealtimeModelNowaitListener`, which is no
    base of it: whoever records a bus needs no live session.
    """

    __slots__ = ("_recorder", "_sender")

    def __init__(self, recorder: Recorder, sender: Any) -> None:
        self._recorder = recorder
        self._sender = sender

    def on_event_nowait(self, event: object) -> None:
        """Do nothing: what is emitted is published."""

    async def on_event(self, event: object) -> None:
        """Do nothing, in a model that awaits every listener."""

    def on_sent(self, message: Mapping[str, Any]) -> None:
        """Record *message*."""
        self._recorder.sent(message, self._sender)


def _trio_token() -> Any:
    """Return what trio's loop in this thread is told by what to run; None if there is none."""
    trio = sys.modules.get("trio")
    if trio is None or not trio.lowlevel.in_trio_run():
        return None
    return trio.lowlevel.current_trio_token()


def _rewrite(record: list[Any]) -> list[Any]:
    """Return a record that can be written in place of one that can't, or is too long."""
    if record[0] != EventRecord.kind:
        return record[:6]
    *named, event = record[:_PROBLEM]
    _, document, problem = document_of(event)
    if document is not None and len(msgspec.msgpack.encode(document)) > MAX_DATA_BYTES:
        document, problem = None, TOO_LONG
    return [*named, document, problem, *record[_PROBLEM + 1 :]]


def _free(path: Path) -> Path:
    """Return *path*, or the first with a number that no journal has."""
    try:
        return next(each for each in _numbered(path) if not segment_paths(each))
    except OSError:  # no more files may be open; what writes it will say so
        return path


def _numbered(path: Path) -> Iterator[Path]:
    """Yield *path*, and then the same with numbers."""
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")
