"""
Recording what happens on a bus.

Rules
-----

* A recorder observes a bus (`eventbus.middleware.EventObserver`): it sees each event as it is
  published, before middleware, and each handler call. It changes nothing, and takes no event's
  handler away from the fallback.
* A class of events may say that it is something else: with ``recorded_as = "sent"``, its ``data``
  is a message to the service; with ``"repeat"`` it repeats the latest of the model's events, and
  isn't recorded: its handlers' calls name that event.
* Everything becomes bytes at once, as it is at that moment: what a handler does to a mutable
  payload later isn't recorded.
* The loop waits for no disk. What was recorded during a tick of the event loop is written at its
  end, by one call; a thread makes it durable. Without a loop in the thread, it is written at once.
* Nothing that is wrong with an event or with the file reaches the call: an event that can't be
  written is recorded by its class, a file that can't be written is one Exception event.

What led to what
----------------

A call names the event that it was made with, by the number that the bus gave that event. An event
that a handler publishes names the call: a context variable has it, as far as the handler's own
tasks. Any other event of the vocabulary names the latest frame of its sender, if it was published
where that was, by the same call and the same task: a decoder's events are published right after
their frame, and what a live session says by itself comes from elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import re
import sys
import threading
import time
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio.to_thread
import msgspec

from ..bus import EventBus
from ..codec import to_plain
from ..events import (
    RealtimeModelAudioEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelRawServerEvent,
)
from ..exceptions import JournalWriteError, MailboxFull, RemoteException
from ..handlers import handler_name
from ..middleware import EventsDropped, HandlerCall
from .documents import (
    MAX_DATA_BYTES,
    TOO_LONG,
    audio_in,
    bytes_of,
    class_label,
    document_of,
    is_flat,
)
from .records import (
    CallRecord,
    DropRecord,
    EventRecord,
    FrameRecord,
    HeaderRecord,
    SentRecord,
    StatusRecord,
)
from .segments import segment_paths
from .senders import SenderNames
from .syncing import FsyncPolicy, Syncer
from .withholding import Redact, Withholding
from .writer import JournalWriter

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Recorder", "SendingModel"]

logger = logging.getLogger(__name__)

_SENDER: Final = "{sender}"
_LISTED: Final = 100
_LABEL: Final = 50  # characters of a session's name in that of its file, which may have 255 bytes
_REMEMBERED: Final = 1 << 16  # events whose calls may still come, for each bus
_NOT_DECODED: Final = (RealtimeModelConnectionStatusEvent, RealtimeModelEndOfStreamEvent)

# What a decoder may make of a frame.
_DECODED: Final = frozenset(RealtimeModelEvent.__args__) - frozenset(_NOT_DECODED)


class _Open:
    """A call that has been started, and what its records will say."""

    __slots__ = ("call", "cause", "outer", "seq", "sink", "started_ns")

    def __init__(
        self, call: HandlerCall, sink: _Sink, cause: int, started_ns: int, outer: _Open | None
    ) -> None:
        self.call: HandlerCall | None = call  # until it has finished
        self.sink = sink
        self.cause = cause
        self.started_ns = started_ns
        self.outer = outer
        self.seq = 0

    def begin(self) -> int:
        """Make sure that there is a record of it, and return its number."""
        call = self.call
        if not self.seq and call is not None:
            self.seq = self.sink.writer.append(
                CallRecord.kind,
                self.sink.names(call.sender),
                self.cause,
                0,
                handler_name(call.handler),
                "started",
                call.queued_ns,
                self.started_ns,
            )
        return self.seq

    def end(self) -> None:
        """Let go of what only matters while it runs: tasks of the handler may keep this."""
        self.call = self.outer = None


# The call that this code runs in, by the recorder that records it.
_current: ContextVar[Mapping[Recorder, _Open]] = ContextVar("eventbus_recorded_call")
_NO_CALLS: Final[Mapping[Recorder, _Open]] = {}


class _Latest:
    """A sender's latest frame: its number, and where it was published; and the latest event."""

    __slots__ = ("call", "event", "seq", "task")

    def __init__(self, seq: int, call: _Open | None, task: int) -> None:
        self.seq = self.event = seq
        self.call = call
        self.task = task


class _Sink:
    """
    One journal that is being written.

    Attributes:
        writer: Writes it.
        names: Names senders.
        frames: By sender, its latest frame.
        started: Calls that have been started since the last batch.
        is_dirty: Whether there is something to be written.
    """

    __slots__ = ("frames", "is_dirty", "names", "started", "writer")

    def __init__(self, writer: JournalWriter, names: Callable[[Any], str | int | None]) -> None:
        self.writer = writer
        self.names = names
        self.frames: dict[str | int | None, _Latest] = {}
        self.started: list[_Open] = []
        self.is_dirty = False

    def flush(self) -> None:
        """Write the batch; calls that still run are in it."""
        started, self.started = self.started, []
        for call in started:
            call.begin()
        self.is_dirty = False
        self.writer.flush()


class SendingModel(Protocol):
    """A model that tells its listeners what it sends, as an `eventbus.realtime.RealtimeModel`."""

    def add_listener(self, listener: Any, /) -> None:
        """Call ``listener.on_sent`` with each message from the next one on."""

    def remove_listener(self, listener: Any, /) -> None:
        """Don't, any more."""


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
            `eventbus.journal.withholding`.
        fsync: When it is made durable: ``interval``, ``group``, ``every`` or ``none``; see
            `eventbus.journal.syncing`.
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
        self._withholding = Withholding(audio=audio, content=content, redact=redact)
        self._clock_ns = clock_ns
        self._syncer = Syncer(0 if fsync == "group" else 0.05)
        self._settings: dict[str, Any] = {
            "header": HeaderRecord(
                has_audio=self._withholding.has_audio,
                has_content=self._withholding.has_content,
                redacted=self._withholding.redacted,
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
        self._names = SenderNames()
        self._name = self._names.name
        self._buses: list[EventBus] = []
        self._heard: list[str | int | None] = []
        self._sinks: dict[str | int | None, _Sink] = {}
        self._only: _Sink | None = None
        self._dirty: list[_Sink] = []
        self._scheduled_in: Any = None
        self._crashed: dict[tuple[int, str], int] = {}
        self._last_drop = 0
        self._handlers: dict[int, tuple[Callable[..., object], str]] = {}
        self._failure: JournalWriteError | None = None
        self._is_closed = False
        if _SENDER not in self.path.name:
            self._only = self._open(self.path)

    # --- for users ------------------------------------------------------------------------

    @contextlib.contextmanager
    def attach(
        self, bus: EventBus, *, without: Collection[Callable[..., object]] = ()
    ) -> Iterator[Self]:
        """
        Record what happens on *bus*, while this is entered.

        A handler that is working through its mailbox is seen from when it has run dry; so enter
        it before the bus is.

        Args:
            bus: The bus.
            without: Handlers whose calls aren't recorded, like those that only look on: the first
                handler that gets the model's audio is taken for the one that plays it.

        Raises:
            JournalWriteError: The recorder is closed.
        """
        if self._is_closed:
            msg = f"The recorder of {self.path} is closed; make another one, with another path."
            raise JournalWriteError(msg, path=str(self.path))
        self._buses.append(bus)
        try:
            with bus.observe(_SelectiveTap(self, without) if without else _Tap(self)):
                yield self
        finally:
            self._buses.remove(bus)

    @contextlib.contextmanager
    def listen(self, model: SendingModel, sender: Any = None) -> Iterator[Self]:
        """
        Record what is sent through *model*, while this is entered.

        ::

            with Recorder("call.journal") as recorder, recorder.attach(bus), recorder.listen(model):
                async with bus, RealtimeSession(model, bus):
                    ...

        What the model emits is recorded where it is published, so the bus needs `attach`.

        Args:
            model: The model.
            sender: The session that the messages belong to, as its events have it.
        """
        name = self._name(sender)
        listener = _SentListener(self, sender)
        self._heard.append(name)
        model.add_listener(listener)
        try:
            yield self
        finally:
            model.remove_listener(listener)
            self._heard.remove(name)

    def sent(self, message: Mapping[str, Any] | str | bytes, sender: Any = None) -> None:
        """
        Record a message to the service; from any thread.

        Args:
            message: The message, in the service's own words.
            sender: The session that it belongs to.
        """
        try:
            self._record_sent(message, sender)
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
        sink = self._sinks.pop(self._name(sender), None)
        if sink is not None:
            sink.flush()
            sink.writer.close()

    def close(self) -> None:
        """Write and sync what is left, and close the files; again is fine."""
        if self._is_closed:
            return
        self._is_closed = True
        for sink in self._all_sinks():
            sink.flush()
            sink.writer.close()
        self._syncer.stop()

    async def aclose(self) -> None:
        """Do what `close` does, without keeping the event loop waiting."""
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

    # --- events ---------------------------------------------------------------------------

    def record_event(self, event: Any, sender: Any) -> int:
        """Record an event as it is published; return its number."""
        name = self._name(sender)
        sink = self._only or self._sink_of(name)
        if type(event) is RealtimeModelRawServerEvent:
            seq = self._record_frame(event, name, sink)
        elif type(event) is RealtimeModelConnectionStatusEvent:
            seq = sink.writer.append(StatusRecord.kind, name, self._caller(), event.status)
        elif type(event) in _DECODED or (form := getattr(event, "recorded_as", None)) is None:
            seq = self._record_typed(event, name, sink)
        elif form == "repeat":
            return sink.frames[name].event if name in sink.frames else 0
        elif name in self._heard:  # the model has told of it
            return 0
        else:
            seq = self._append_sent(event.data, name, sink)
        self._touch(sink)
        return seq

    def _record_frame(
        self, event: RealtimeModelRawServerEvent, name: str | int | None, sink: _Sink
    ) -> int:
        data, form, problem = bytes_of(event.data)
        if data is None:
            return self._record_typed(event, name, sink)
        if problem is None:
            data, problem = self._withholding.of_frame(data, form)
        call = self._call()
        cause = 0 if call is None else call.begin()
        append = sink.writer.append
        seq = (
            append(FrameRecord.kind, name, cause, data)
            if problem is None and form == "json"
            else append(FrameRecord.kind, name, cause, data, form, problem)
        )
        frames = sink.frames
        if name not in frames and len(frames) >= _REMEMBERED:
            del frames[next(iter(frames))]
        frames[name] = _Latest(seq, call, _task())
        return seq

    def _record_typed(self, event: Any, name: str | int | None, sink: _Sink) -> int:
        cls = type(event)
        document: Any = event
        problem = None
        if is_flat(event) and self._withholding.is_idle:
            type_name = event.type
        else:
            type_name, document, problem = document_of(event)
            if document is not None:
                document, withheld = self._withholding.of_document(document)
                problem = withheld or problem
        seq = sink.writer.append(
            EventRecord.kind,
            name,
            self._cause(event, cls, name, sink),
            class_label(cls),
            type_name,
            document,
            problem,
            _length(event.data) if cls is RealtimeModelAudioEvent else None,
        )
        if cls in _DECODED and name in sink.frames:
            sink.frames[name].event = seq
        return seq

    def _cause(self, event: Any, cls: type[Any], name: str | int | None, sink: _Sink) -> int:
        """Return the number of what led to *event*."""
        if cls is RealtimeModelExceptionEvent and event.handler is not None:
            error = event.exception
            is_drop = isinstance(error, MailboxFull)
            if is_drop:
                return self._last_drop
            return self._crashed.pop((id(event.event), self._handler_name(event.handler)), 0)
        call = self._call()
        if cls in _DECODED:
            frame = sink.frames.get(name)
            if frame is not None and frame.call is call and frame.task == _task():
                return frame.seq
        return 0 if call is None else call.begin()

    def _record_sent(self, message: Any, sender: Any) -> None:
        name = self._name(sender)
        sink = self._only or self._sink_of(name)
        self._append_sent(message, name, sink)
        self._touch(sink)

    def _append_sent(self, message: Any, name: str | int | None, sink: _Sink) -> int:
        data, form, problem = bytes_of(message)
        if data is None:
            data, problem = b"", f"a {type(message).__qualname__} is no message"
        audio_bytes = audio_in(message, data)
        if problem is None:
            data, problem = self._withholding.of_frame(data, form)
        return sink.writer.append(
            SentRecord.kind, name, self._caller(), data, form, problem, audio_bytes
        )

    # --- calls ----------------------------------------------------------------------------

    def record_start(self, call: HandlerCall, cause: int) -> None:
        """Take note of a call that is about to run."""
        sink = self._only or self._sink_of(self._name(call.sender))
        calls = _current.get(_NO_CALLS)
        opened = _Open(call, sink, cause, self._clock_ns(), calls.get(self))
        _current.set({**calls, self: opened} if calls else {self: opened})
        sink.started.append(opened)
        self._touch(sink, may_wait=True)

    def record_end(self, call: HandlerCall) -> None:
        """Record the end of a call."""
        opened = self._call()
        if opened is None or opened.call is None or opened.call.event is not call.event:
            return  # the handler was called before this began to observe
        self._leave(opened)
        error = None if call.error is None else self._error(call.error)
        seq = opened.sink.writer.append(
            CallRecord.kind,
            self._name(call.sender),
            opened.cause,
            opened.seq,
            self._handler_name(call.handler),
            "finished" if error is None else "crashed",
            call.queued_ns,
            opened.started_ns,
            call.run_ns,
            error,
        )
        opened.seq = opened.seq or seq  # what it has published may still be in the bus's queue
        # The bus publishes every failure but those of handlers of failures.
        if call.error is not None and not isinstance(call.event, RealtimeModelExceptionEvent):
            if len(self._crashed) >= _LISTED:  # nor those that were cancelled at its end
                del self._crashed[next(iter(self._crashed))]
            self._crashed[id(call.event), self._handler_name(call.handler)] = opened.seq
        self._touch(opened.sink)

    def _call(self) -> _Open | None:
        """Return the call that this is called in; None if it is none."""
        return _current.get(_NO_CALLS).get(self)

    def _caller(self) -> int:
        """Return its number; 0 if it is none."""
        call = self._call()
        return 0 if call is None else call.begin()

    def _leave(self, opened: _Open) -> None:
        """Let the code that follows run in the call around *opened*, if there is one."""
        calls, outer = _current.get(), opened.outer
        if outer is not None:
            _current.set({**calls, self: outer})
        elif len(calls) == 1:
            _current.set(_NO_CALLS)
        else:
            _current.set({each: call for each, call in calls.items() if each is not self})
        opened.end()

    def _handler_name(self, handler: Callable[..., object]) -> str:
        """Return what messages call *handler*; by identity, as it may be equal to another one."""
        known = self._handlers.get(id(handler))
        if known is not None and known[0] is handler:
            return known[1]
        if len(self._handlers) >= _REMEMBERED:
            self._handlers.clear()
        name = handler_name(handler)
        self._handlers[id(handler)] = handler, name
        return name

    def _error(self, error: BaseException) -> tuple[str, str, str]:
        plain = to_plain(RealtimeModelExceptionEvent(error))["exception"]
        told = self._withholding.of_error(
            RemoteException(plain["type"], plain["message"], plain["traceback"])
        )
        return told.type_name, told.message, told.traceback_text

    def record_drop(self, dropped: EventsDropped, seqs: list[int]) -> None:
        """Record that a handler will not get some events."""
        sink = self._only or self._sink_of(self._name(dropped.sender))
        self._last_drop = sink.writer.append(
            DropRecord.kind,
            self._name(dropped.sender),
            seqs[0],
            "" if dropped.handler is None else handler_name(dropped.handler),
            dropped.reason,
            len(dropped.events),
            seqs,
        )
        self._touch(sink)

    # --- journals -------------------------------------------------------------------------

    def _all_sinks(self) -> list[_Sink]:
        return [self._only] if self._only is not None else list(self._sinks.values())

    def _open(self, path: Path, *, must_open: bool = True) -> _Sink:
        writer = JournalWriter(path, must_open=must_open, **self._settings)
        return _Sink(writer, self._name)

    def _sink_of(self, name: str | int | None) -> _Sink:
        """Return the journal of a session, where each has one."""
        sink = self._sinks.get(name)
        if sink is None:
            label = re.sub(r"[^\w.-]", "_", "none" if name is None else str(name))[:_LABEL]
            path = self.path.with_name(self.path.name.replace(_SENDER, label))
            sink = self._sinks[name] = self._open(_free(path), must_open=False)
        return sink

    # --- batches --------------------------------------------------------------------------

    def _touch(self, sink: _Sink, *, may_wait: bool = False) -> None:
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


class _Tap:
    """
    Sees what happens on one bus; an `eventbus.middleware.EventObserver`.

    It remembers which record the latest events became, in two rings: at the place of the event's
    number, that number and that of the record.
    """

    __slots__ = ("_numbers", "_recorder", "_seqs")

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._numbers = array("Q", bytes(8 * _REMEMBERED))
        self._seqs = array("Q", bytes(8 * _REMEMBERED))

    def event_published(self, event: Any, sender: Any, sequence: int, /) -> None:
        place = sequence % _REMEMBERED
        self._seqs[place] = self._recorder.record_event(event, sender)
        self._numbers[place] = sequence

    def handler_started(self, call: HandlerCall, /) -> None:
        self._recorder.record_start(call, self._seq_of(call.sequence))

    def handler_finished(self, call: HandlerCall, /) -> None:
        self._recorder.record_end(call)

    def events_dropped(self, dropped: EventsDropped, /) -> None:
        seqs = [self._seq_of(sequence) for sequence in dropped.sequences[:_LISTED]]
        self._recorder.record_drop(dropped, seqs)

    def _seq_of(self, sequence: int) -> int:
        place = sequence % _REMEMBERED
        return self._seqs[place] if self._numbers[place] == sequence else 0


class _SelectiveTap(_Tap):
    """Doesn't see the calls of some handlers."""

    __slots__ = ("_without",)

    def __init__(self, recorder: Recorder, without: Collection[Callable[..., object]]) -> None:
        super().__init__(recorder)
        self._without = without

    def handler_started(self, call: HandlerCall, /) -> None:
        if call.handler not in self._without:
            super().handler_started(call)

    def handler_finished(self, call: HandlerCall, /) -> None:
        if call.handler not in self._without:
            super().handler_finished(call)


def _trio_token() -> Any:
    """Return what trio's loop in this thread is told by what to run; None if there is none."""
    trio = sys.modules.get("trio")
    if trio is None or not trio.lowlevel.in_trio_run():
        return None
    return trio.lowlevel.current_trio_token()


def _task() -> int:
    """Return what stands for the task that this is called in: 0 for a plain callback."""
    try:
        task: object = asyncio.current_task()
    except RuntimeError:  # no asyncio in this thread
        trio = sys.modules.get("trio")
        if trio is None or not trio.lowlevel.in_trio_task():
            return threading.get_ident()
        task = trio.lowlevel.current_task()
    return 0 if task is None else id(task)


def _rewrite(fields: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a record that can be written in place of one that can't, or is too long."""
    if fields[0] != EventRecord.kind:
        return fields[:6]
    *common, class_name, type_name, event, _, audio_bytes = fields
    _, document, problem = document_of(event)
    if document is not None and len(msgspec.msgpack.encode(document)) > MAX_DATA_BYTES:
        document, problem = None, TOO_LONG
    return (*common, class_name, type_name, document, problem, audio_bytes)


def _length(data: Any) -> int | None:
    return len(data) if isinstance(data, (bytes, bytearray)) else None


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
