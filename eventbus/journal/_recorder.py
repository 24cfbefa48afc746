"""
Recording the events and calls of a bus.

Rules
-----

* A recorder is compiled into the routes of a bus: it sees each event as it is published, before
  middleware, each event that a middleware has put in its place, and each handler call. It changes
  nothing, and takes no event's handler away from the fallback.
* A class of events may be recorded as something else: with ``recorded_as = "sent"``, its ``data``
  is a message to the service; with ``"repeat"`` it repeats the latest of the model's events, so
  that no more is recorded of it than that it did: its handlers' calls name that event.
* Everything is recorded as it is at that moment: later changes of a mutable payload aren't seen.
* Nothing waits for the disk. A record is put into a buffer; a thread writes the buffer each 5 ms
  and makes the file durable (see `eventbus.journal._writer`).
* Times are those of the event loop, if its clock is not the system's.
* Nothing that is wrong with an event or with the file reaches the call: an event that can't be
  written is recorded by its class, a file that can't be written is one Exception event.

The records are made by `eventbus.journal._tap`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import anyio.to_thread

from .._core.registry import sender_key
from ..bus import EventBus, Scope, bus_and_sender
from ..events import RealtimeModelExceptionEvent
from ..exceptions import EventBusError, JournalWriteError
from ._buffer import BUFFER_BYTES
from ._fsync import BATCH, FsyncPolicy, Syncer
from ._records import HeaderRecord
from ._redaction import Redact, Withholding
from ._segments import JournalNames, path_of
from ._sessions import JournalSink, RecordingState
from ._tap import Tap
from ._writer import JournalWriter, check_settings

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

logger = logging.getLogger(__name__)

_SENDER: Final = "{sender}"
_LABEL: Final = 50  # characters of a session's name in that of its file, which may have 255 bytes
_NS_PER_S: Final = 1_000_000_000
_ALL: Final = object()  # the key of all senders of a bus


class SendingModel(Protocol):
    """A model that tells its listeners of its messages, as an `eventbus.realtime.RealtimeModel`."""

    def add_listener(self, listener: Any, /) -> None:
        """Call ``listener.on_sent`` with each message from the next one on."""

    def remove_listener(self, listener: Any, /) -> None:
        """Stop calling it."""


class Recording:
    """
    A recording that goes on; `Recorder.attach` and `Recorder.listen` begin it.

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
    Records the events and calls of a bus in a journal.

    ::

        with Recorder("call.journal") as recorder, recorder.attach(bus):
            async with bus:
                ...

    Everything is recorded: frames as they came, events, handler calls, drops, and with `listen` or
    `sent` the messages to the model. A frame is recorded once, and the events that a decoder made
    of it are made again when the journal is read.

    Args:
        path: The journal's file; none may be there. With ``{sender}`` in its name, each session
            gets a journal of its own, which is begun with its first event.
        audio: Whether audio is recorded; its length always is.
        content: Whether texts of user and model are recorded; without them, no audio is, either.
        redact: Further data to leave out: names and paths of fields, and functions; see
            ``eventbus.journal._redaction``.
        events: ``stored`` to record each event itself: for fixtures, which then don't depend on a
            decoder.
        fsync: When it is made durable: ``interval``, ``group``, ``every`` or ``none``; see
            ``eventbus.journal._fsync``.
        overwrite: Whether to replace a journal that is there.
        segment_bytes: A file that is longer is followed by another one beside it.
        segment_seconds: So is one that is older; None for any age.
        buffer_bytes: The bytes that may wait for the disk, in each journal; records that come
            when it is full are lost, and a gap in the journal.
        clock_ns: The monotonic clock; by default that of the event loop if its time is virtual
            (`eventbus.testing.FakeClock`, trio's ``MockClock``), else the system's.
        wall_ns: The time of day, in nanoseconds since the epoch.

    Raises:
        JournalWriteError: The file can't be created, or there is one.
        TypeError: *path* is not a path, or *redact* neither names nor functions.
        ValueError: *events* or *fsync* is unknown, or a bound isn't above 0.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        audio: bool = True,
        content: bool = True,
        redact: Redact = (),
        events: Literal["derived", "stored"] = "derived",
        fsync: FsyncPolicy = "interval",
        overwrite: bool = False,
        segment_bytes: int = 1 << 28,
        segment_seconds: float | None = None,
        buffer_bytes: int = BUFFER_BYTES,
        clock_ns: Callable[[], int] | None = None,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if events not in ("derived", "stored"):
            msg = f"events= is 'derived' or 'stored', not {events!r}."
            raise ValueError(msg)
        check_settings(
            fsync=fsync,
            segment_bytes=segment_bytes,
            segment_seconds=segment_seconds,
            buffer_bytes=buffer_bytes,
        )
        self.path = path_of(path, "Recorder")
        withholding = Withholding(audio=audio, content=content, redact=redact)
        virtual = None if clock_ns is not None else _virtual_clock()
        self._clock_ns = clock_ns or virtual or time.monotonic_ns
        self._settings: dict[str, Any] = {
            "header": HeaderRecord(
                has_audio=withholding.has_audio,
                has_content=withholding.has_content,
                redacted=withholding.redacted,
                clock="monotonic" if virtual is None else "virtual",
                events=events,
            ),
            "fsync": fsync,
            "segment_bytes": segment_bytes,
            "segment_seconds": segment_seconds,
            "buffer_bytes": buffer_bytes,
            "clock_ns": self._clock_ns,
            "wall_ns": wall_ns,
            "on_failure": self._failed,
            "overwrite": overwrite,
        }
        self._state = RecordingState(
            withholding,
            self._clock_ns,
            self._sink_of,
            self._note_running,
            is_stored=events == "stored",
        )
        self._state.is_virtual = virtual is not None
        # The keys of the senders that are recorded of each bus; `_ALL` for all of them.
        self._recorded: dict[EventBus, set[Any]] = {}
        self._models: set[int] = set()
        self._recordings: list[contextlib.ExitStack] = []
        self._sinks: dict[str | int | None, JournalSink] = {}
        self._names = JournalNames()
        self._only: JournalSink | None = None
        self._scheduled_in: Any = None
        self._failure: JournalWriteError | None = None
        self._is_closed = False
        self._syncer = Syncer(0.0 if fsync in ("group", "every") else 0.05)
        self._settings["syncer"] = self._syncer
        if _SENDER not in self.path.name:
            try:
                self._only = JournalSink(JournalWriter(self.path, **self._settings))
            except BaseException:
                self._syncer.stop()
                raise

    # --- for users ------------------------------------------------------------------------

    def attach(
        self, bus: EventBus | Scope, *, without: Collection[Callable[..., object]] = ()
    ) -> Recording:
        """
        Record the events and calls of *bus* from now on, until the recorder is closed.

        A handler that is working through its mailbox is seen from when it has run dry; so do it
        before the bus is entered.

        Args:
            bus: The bus; or a scope of it, to record the events of its sender only.
            without: Handlers whose calls aren't recorded, like those that only look on: the first
                handler that gets the model's audio is taken for the one that plays it.

        Returns:
            A recording; `Recording.detach` ends it, and so does the end of a ``with`` block.

        Raises:
            EventBusError: This recorder records it already: the bus, or that sender of it.
            JournalWriteError: The recorder is closed.
            TypeError: *bus* is neither a bus nor a scope, or *without* not a list.
        """
        bus, sender = bus_and_sender(bus, "attach() records")
        if callable(without) or not isinstance(without, Collection):
            msg = f"without= is a list of handlers, like [show]; not {without!r}."
            raise TypeError(msg)
        stack = self._begin()
        only = None if sender is None else functools.partial(_is_same_sender, sender)
        try:
            self._claim(stack, bus, sender)
            tap = Tap(self._state, only=only, without=without)
            observer: Any = tap  # of a kind that only this package knows
            stack.enter_context(bus.observe(observer))
            stack.callback(tap.stop)
        except BaseException:
            stack.close()
            raise
        return Recording(stack)

    def _claim(self, stack: contextlib.ExitStack, bus: EventBus, sender: Any) -> None:
        """Note that a bus, or a sender of it, is recorded until the stack is closed."""
        keys = self._recorded.setdefault(bus, set())
        key = _ALL if sender is None else sender_key(sender)
        if keys and (key is _ALL or key in keys or _ALL in keys):
            msg = (
                f"{self!r} records this bus already, or the same sender of it, and would record "
                f"each event twice; detach() the other recording first, or use another Recorder."
            )
            raise EventBusError(msg)
        keys.add(key)
        stack.callback(self._release, bus, key)

    def _release(self, bus: EventBus, key: Any) -> None:
        keys = self._recorded[bus]
        keys.discard(key)
        if not keys:
            del self._recorded[bus]

    def listen(self, model: SendingModel, sender: Any = None) -> Recording:
        """
        Record the messages that are sent through *model* from now on, until it is closed.

        ::

            with Recorder("call.journal") as recorder, recorder.attach(bus), recorder.listen(model):
                async with bus, RealtimeSession(model, bus):
                    ...

        The events that the model emits are recorded where they are published, so the bus needs
        `attach`.

        Args:
            model: The model.
            sender: The session that the messages belong to, as its events have it.

        Returns:
            A recording; `Recording.detach` ends it, and so does the end of a ``with`` block.

        Raises:
            EventBusError: This recorder listens to *model* already.
            JournalWriteError: The recorder is closed.
            TypeError: *model* doesn't tell its messages.
        """
        if not callable(getattr(model, "add_listener", None)) or isinstance(model, type):
            msg = (
                f"listen() takes a model with add_listener(), like a RealtimeModel; not {model!r}."
            )
            raise TypeError(msg)
        if id(model) in self._models:
            msg = (
                f"{self!r} listens to this model already, and would record each message twice; "
                f"detach() the other recording first."
            )
            raise EventBusError(msg)
        stack = self._begin()
        self._models.add(id(model))
        stack.callback(self._models.discard, id(model))
        name = self._state.name_of(sender)
        self._state.heard.append(name)
        stack.callback(self._state.heard.remove, name)
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
            self._state.add_sent(message, self._state.session_of(sender))
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
        """The number up to which all is durable, gaps apart; the sum, if there are journals."""
        return sum(sink.writer.durable_seq for sink in self._all_sinks())

    async def flush(self) -> int:
        """
        Return when all records so far are durable; with ``fsync="none"``, written.

        If it is cancelled, that happens all the same.

        Returns:
            The `durable_seq` of then.
        """
        self._state.begin_running()
        return await anyio.to_thread.run_sync(self.sync, abandon_on_cancel=True)

    def sync(self) -> int:
        """Flush as `flush` does, and wait for the disk in this thread."""
        for sink in self._all_sinks():
            sink.writer.sync()
        return self.durable_seq

    def end(self, sender: Any) -> None:
        """
        Close the journal of a session that is over, where each has one; the disk is waited for.

        Later records of it begin another one, with a number behind its name.
        """
        name = self._state.name_of(sender)
        sink = self._sinks.pop(name, None)
        if sink is not None:
            self._state.sessions.pop(name, None)
            sink.writer.close()

    def close(self) -> None:
        """Write and sync the rest, and close the files; again is fine."""
        if self._is_closed:
            return
        self._is_closed = True
        self._detach()
        self._state.begin_running()
        for sink in self._all_sinks():
            sink.writer.close()
        self._syncer.stop()

    async def aclose(self) -> None:
        """Close as `close` does, without keeping the event loop waiting."""
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
        """Return the stack that ends a recording, when it is closed."""
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

    def _all_sinks(self) -> list[JournalSink]:
        return [self._only] if self._only is not None else list(self._sinks.values())

    def _sink_of(self, name: str | int | None) -> JournalSink:
        """Return the journal of the session with that name."""
        if self._only is not None:
            return self._only
        sink = self._sinks.get(name)
        if sink is None:
            label = re.sub(r"[^\w.-]", "_", "none" if name is None else str(name))[:_LABEL]
            path = self.path.with_name(self.path.name.replace(_SENDER, label))
            writer = JournalWriter(path, opens="later", choose=self._free, **self._settings)
            sink = self._sinks.setdefault(name, JournalSink(writer))
        return sink

    def _free(self, path: Path) -> Path:
        """Return *path*, or the first with a number that no journal has."""
        return next(each for each in _numbered(path) if not self._names.has(each))

    # --- calls that run on ----------------------------------------------------------------

    def _note_running(self) -> None:
        """Record the calls that still run, once other records of now are written, too."""
        loop: Any
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = _trio_token()
        if loop is None or loop is self._scheduled_in:
            return
        self._scheduled_in = loop
        if hasattr(loop, "call_later") and not self._state.is_virtual:
            loop.call_later(BATCH, self._tick)
        else:  # a timer would let virtual time go on
            call_soon = getattr(loop, "call_soon", None) or loop.run_sync_soon
            call_soon(self._tick)

    def _tick(self) -> None:
        self._scheduled_in = None
        self._state.begin_running()

    def _failed(self, error: JournalWriteError) -> None:
        """Tell the recorded buses that nothing is recorded."""
        self._failure = self._failure or error
        event = RealtimeModelExceptionEvent(error, f"recording to {error.path or self.path}")
        for bus in tuple(self._recorded):
            try:
                bus.publish(event)
            except Exception:
                logger.exception("a journal can't be written, and no bus can be told")


class _SentListener:
    """
    Records the messages that a model sends.

    Its methods are those of an `eventbus.realtime.model.RealtimeModelNowaitListener`, which is not
    a base of it: recording a bus takes no live session.
    """

    __slots__ = ("_recorder", "_sender")

    hears_events = False  # so a session beside it is as fast as one that is alone

    def __init__(self, recorder: Recorder, sender: Any) -> None:
        self._recorder = recorder
        self._sender = sender

    def on_event_nowait(self, event: object) -> None:
        """Do nothing: emitted events are published."""

    async def on_event(self, event: object) -> None:
        """Do nothing, in a model that awaits every listener."""

    def on_sent(self, message: Mapping[str, Any]) -> None:
        """Record *message*."""
        self._recorder.sent(message, self._sender)


def _is_same_sender(mine: Any, sender: Any) -> bool:
    if sender is mine:
        return True
    return isinstance(mine, (str, int)) and type(sender) is type(mine) and sender == mine


def _trio_token() -> Any:
    """Return the token of trio's loop in this thread; None if there is none."""
    trio = sys.modules.get("trio")
    if trio is None or not trio.lowlevel.in_trio_run():
        return None
    return trio.lowlevel.current_trio_token()


def _virtual_clock() -> Callable[[], int] | None:
    """Return the clock of the event loop in this thread, if that isn't the system's."""
    current_time: Callable[[], float] | None = None
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        trio = sys.modules.get("trio")
        if trio is not None and trio.lowlevel.in_trio_run():
            clock = trio.lowlevel.current_clock()
            if type(clock).__name__ != "SystemClock":
                current_time = clock.current_time
    else:
        # A clock that takes the loop's place has put its own method there.
        if getattr(loop.time, "__self__", loop) is not loop:
            current_time = loop.time
    if current_time is None:
        return None
    return lambda: round(current_time() * _NS_PER_S)


def _numbered(path: Path) -> Iterator[Path]:
    """Yield *path*, and then the same with numbers."""
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")
