"""
What happens on a bus, as records: what a `eventbus.journal.Recorder` sees, and what it makes of it.

What led to what
----------------

A call names the event that it was made with, by the number that the bus gave that event. An event
that a handler publishes names the call: a context variable has it, as far as the handler's own
tasks. Any other event of the vocabulary names the latest frame of its sender, if it was published
where that was, by the same call and the same task: a decoder's events are published right after
their frame, and so is what a session makes of them (classes with ``falls_back = False``). What a
session says by itself comes from elsewhere.

How it is fast
--------------

A second of speech is two hundred records, so what is done for each of them is spelled out in
`Tap`, at the price of some repetition. An event whose fields are all flat isn't made plain data
of (see `eventbus.journal._encoding`), and nothing is encoded before a batch of it is written.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import weakref
from array import array
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from typing import Any, Final

from ..codec import to_plain
from ..events import (
    RealtimeModelAudioEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelRawServerEvent,
)
from ..exceptions import MailboxFull, RemoteException
from ..handlers import handler_name
from ..middleware import EventsDropped, HandlerCall
from ._encoding import (
    DECODED,
    audio_in,
    bytes_of,
    class_label,
    document_of,
    names_if_flat,
    type_name_of,
)
from ._records import CallRecord, DropRecord, EventRecord, FrameRecord, SentRecord, StatusRecord
from ._redaction import Withholding
from ._senders import SenderNames
from ._writer import JournalWriter

__all__ = ["Book", "OpenCall", "SelectiveTap", "Session", "Sink", "Tap"]

_LISTED: Final = 100
_REMEMBERED: Final = 1 << 16  # senders; and events whose calls may still come, for each bus
_OF_MODEL: Final = frozenset(RealtimeModelEvent.__args__)

_FRAME: Final = FrameRecord.kind
_EVENT: Final = EventRecord.kind
_CALL: Final = CallRecord.kind


class Sink:
    """
    One journal that is being written.

    Attributes:
        writer: Writes it.
        started: Calls that have been started since the last batch.
        note_start: Called before the first of them is added.
        is_dirty: Whether there is something to be written.
    """

    __slots__ = ("is_dirty", "note_start", "started", "writer")

    writer: JournalWriter

    def __init__(self, note_start: Callable[[], object]) -> None:
        self.started: list[OpenCall] = []
        self.note_start = note_start
        self.is_dirty = False

    def flush(self) -> None:
        """Write the batch; calls that still run are in it."""
        started, self.started = self.started, []
        for call in started:
            if call.call is not None:
                call.begin()
        self.is_dirty = False
        self.writer.flush()


class Session:
    """
    What is recorded of one sender.

    Attributes:
        name: What the journal calls it.
        sink: Its journal.
        frame: The number of its latest frame; 0 before the first.
        frame_call: The call in which that was published, if that was in one.
        frame_task: The task, as `_task` has it.
        event: The latest of the model's events that was published in no call.
        event_seq: Its number.
    """

    __slots__ = ("event", "event_seq", "frame", "frame_call", "frame_task", "name", "sink")

    def __init__(self, name: str | int | None, sink: Sink) -> None:
        self.name = name
        self.sink = sink
        self.frame = self.event_seq = 0
        self.event: object = None
        self.frame_call: OpenCall | None = None
        self.frame_task: object = None


class OpenCall:
    """
    A call that has been started, and what its records will say.

    Attributes:
        event, event_seq: As in `Session`, of what was published in this call.
        event_session: Of which session that was.
    """

    __slots__ = (
        "call",
        "cause",
        "event",
        "event_seq",
        "event_session",
        "outer",
        "seq",
        "session",
        "started_ns",
    )

    def __init__(
        self,
        call: HandlerCall,
        session: Session,
        cause: int,
        started_ns: int,
        outer: OpenCall | None,
    ) -> None:
        self.call: HandlerCall | None = call  # until it has finished
        self.session = session
        self.cause = cause
        self.started_ns = started_ns
        self.outer = outer
        self.seq = self.event_seq = 0
        self.event: object = None
        self.event_session: Session | None = None

    def begin(self) -> int:
        """Make sure that there is a record of it, and return its number."""
        call = self.call
        if not self.seq and call is not None:
            self.seq = -1  # it may be written at once, and a batch begins calls that run
            self.seq = self.session.sink.writer.append(
                _CALL,
                self.session.name,
                self.cause,
                0,
                handler_name(call.handler),
                "started",
                call.queued_ns,
                self.started_ns,
            )
        return self.seq


class Book:
    """
    What all that is recorded by one recorder has in common.

    Args:
        withholding: What is not to be written.
        clock_ns: The monotonic clock.
        open_sink: Opens the journal of the session with that name.

    Attributes:
        sessions: By name.
        heard: The names of sessions whose messages are told of by their model.
    """

    def __init__(
        self,
        withholding: Withholding,
        clock_ns: Callable[[], int],
        open_sink: Callable[[str | int | None], Sink],
    ) -> None:
        self.withholding = withholding
        self.clock_ns = clock_ns
        self.sessions: dict[str | int | None, Session] = {}
        self.heard: list[str | int | None] = []
        self.name_of = SenderNames().name
        self._open_sink = open_sink
        self._lock = threading.Lock()

    def session_of(self, sender: Any) -> Session:
        """Return what is recorded of *sender*."""
        name = self.name_of(sender)
        session = self.sessions.get(name)
        return self._begin(name) if session is None else session

    def _begin(self, name: str | int | None) -> Session:
        with self._lock:  # of two threads, the first opens the journal
            session = self.sessions.get(name)
            if session is None:
                if len(self.sessions) >= _REMEMBERED:
                    del self.sessions[next(iter(self.sessions))]
                session = self.sessions[name] = Session(name, self._open_sink(name))
            return session

    def caller(self) -> int:
        """Return the number of the call that this is called in; 0 if it is none."""
        call = _current.get(_NO_CALLS).get(self)
        return 0 if call is None else call.begin()

    def add_sent(self, message: Any, session: Session) -> int:
        """Record a message to the service; return its number."""
        data, form, problem = bytes_of(message)
        if data is None:
            data, problem = b"", f"a {type(message).__qualname__} is no message"
        audio_bytes = audio_in(message, data)
        if problem is None:
            data, problem = self.withholding.of_frame(data, form)
        return session.sink.writer.append(
            SentRecord.kind, session.name, self.caller(), data, form, problem, audio_bytes
        )


# The call that this code runs in, by the book in which it is recorded.
_current: ContextVar[Mapping[Book, OpenCall]] = ContextVar("eventbus_recorded_call")
_NO_CALLS: Final[Mapping[Book, OpenCall]] = {}


class Tap:
    """
    Sees what happens on one bus; an `eventbus.middleware.EventObserver`.

    It remembers which record the latest events became, in two rings: at the place of the event's
    number, that number and that of the record.
    """

    __slots__ = ("_book", "_crashed", "_handlers", "_last_drop", "_numbers", "_seqs", "_sessions")

    def __init__(self, book: Book) -> None:
        self._book = book
        self._sessions = book.sessions
        self._numbers = array("Q", bytes(8 * _REMEMBERED))
        self._seqs = array("Q", bytes(8 * _REMEMBERED))
        self._crashed: dict[tuple[int, str, int], int] = {}
        self._handlers: dict[int, tuple[Callable[..., object], str]] = {}
        self._last_drop = 0

    def _session_of(self, sender: Any) -> Session:
        is_name = sender is None or type(sender) is str
        session = self._sessions.get(sender) if is_name else None
        return self._book.session_of(sender) if session is None else session

    def _seq_of(self, sequence: int) -> int:
        """Return which record the event with that number became; 0 if it isn't known."""
        place = sequence % _REMEMBERED
        return self._seqs[place] if self._numbers[place] == sequence else 0

    # --- events ---------------------------------------------------------------------------

    def event_published(self, event: Any, sender: Any, sequence: int, /) -> None:
        """Record an event as it is published."""
        session = self._session_of(sender)
        cls = type(event)
        if cls is RealtimeModelRawServerEvent:
            seq = self._add_frame(event, session)
        elif cls in DECODED:
            seq = self._add_event(event, cls, session)
        elif cls is RealtimeModelConnectionStatusEvent:
            caller = self._book.caller()
            seq = session.sink.writer.append(StatusRecord.kind, session.name, caller, event.status)
        else:
            seq = self._add_other(event, cls, session)
        if cls in _OF_MODEL and (cls is not RealtimeModelExceptionEvent or event.handler is None):
            # By call: what a handler of the event publishes itself comes before its repeats.
            calls = _current.get(_NO_CALLS)
            call = calls.get(self._book) if calls else None
            if call is None:
                session.event, session.event_seq = event, seq
            else:
                call.event, call.event_seq, call.event_session = event, seq, session
        place = sequence % _REMEMBERED
        self._seqs[place] = seq
        self._numbers[place] = sequence

    def _add_frame(self, event: RealtimeModelRawServerEvent, session: Session) -> int:
        data, form, problem = bytes_of(event.data)
        if data is None:
            return self._add_event(event, type(event), session)
        book = self._book
        if problem is None:
            data, problem = book.withholding.of_frame(data, form)
        call = _current.get(_NO_CALLS).get(book)
        record = [_FRAME, 0, 0, 0, session.name, 0 if call is None else call.begin(), data]
        if problem is not None or form != "json":
            record += form, problem
        session.frame = seq = session.sink.writer.append_list(record)
        session.frame_call = call
        session.frame_task = _task()
        return seq

    def _add_event(self, event: Any, cls: type[Any], session: Session) -> int:
        withholding = self._book.withholding
        cause = self._cause(event, cls, session)
        names = names_if_flat(event) if withholding.is_idle else None
        if names is not None:
            record = [_EVENT, 0, 0, 0, session.name, cause, *names, event, None]
        else:
            type_name, document, problem = document_of(event)
            if document is not None:
                document, withheld = withholding.of_document(document)
                problem = withheld or problem
            label = class_label(cls)
            record = [_EVENT, 0, 0, 0, session.name, cause, label, type_name, document, problem]
        if cls is RealtimeModelAudioEvent:
            data = event.data
            record.append(len(data) if isinstance(data, (bytes, bytearray)) else None)
        return session.sink.writer.append_list(record)

    def _add_other(self, event: Any, cls: type[Any], session: Session) -> int:
        form = getattr(event, "recorded_as", None)
        if form == "sent":
            is_known = session.name in self._book.heard  # the model has told of it
            return 0 if is_known else self._book.add_sent(event.data, session)
        if form != "repeat":
            return self._add_event(event, cls, session)
        call = _current.get(_NO_CALLS).get(self._book)
        latest = session if call is None or call.event_session is not session else call
        if not _is_repeat(event, cls, latest.event):
            return self._add_event(event, cls, session)
        names = class_label(cls), type_name_of(cls)
        session.sink.writer.append_list([_EVENT, 0, 0, 0, session.name, latest.event_seq, *names])
        return latest.event_seq

    def _cause(self, event: Any, cls: type[Any], session: Session) -> int:
        """Return the number of what led to *event*."""
        if cls is RealtimeModelExceptionEvent and event.handler is not None:
            if isinstance(event.exception, MailboxFull):
                return self._last_drop
            return self._crashed.pop(self._failure_of(event.event, event.handler), 0)
        call = _current.get(_NO_CALLS).get(self._book)
        if (
            call is session.frame_call
            and session.frame_task == _task()
            and (cls in DECODED or not getattr(cls, "falls_back", True))
        ):
            return session.frame
        return 0 if call is None else call.begin()

    # --- calls ----------------------------------------------------------------------------

    def handler_started(self, call: HandlerCall, /) -> None:
        """Take note of a call that is about to run."""
        book = self._book
        session = self._session_of(call.sender)
        cause = self._seq_of(call.sequence)
        calls = _current.get(_NO_CALLS)
        opened = OpenCall(call, session, cause, book.clock_ns(), calls.get(book))
        _current.set({**calls, book: opened} if calls else {book: opened})
        sink = session.sink
        if not sink.started:
            sink.note_start()
        sink.started.append(opened)

    def handler_finished(self, call: HandlerCall, /) -> None:
        """Record the end of a call."""
        calls = _current.get(_NO_CALLS)
        opened = calls.get(self._book)
        if opened is None or opened.call is None or opened.call.event is not call.event:
            return  # the handler was called before this began to observe
        self._leave(opened, calls)
        session = opened.session
        name = self._name(call.handler)
        record: list[Any] = [_CALL, 0, 0, 0, session.name, opened.cause, opened.seq, name]
        if call.error is None:
            record += "finished", call.queued_ns, opened.started_ns, call.run_ns
        else:
            error = self._error(call.error)
            record += "crashed", call.queued_ns, opened.started_ns, call.run_ns, error
        seq = session.sink.writer.append_list(record)
        opened.seq = opened.seq or seq  # what it has published may still be in the bus's queue
        # The bus publishes every failure but those of handlers of failures.
        if call.error is not None and not isinstance(call.event, RealtimeModelExceptionEvent):
            if len(self._crashed) >= _LISTED:  # nor those that were cancelled at its end
                del self._crashed[next(iter(self._crashed))]
            self._crashed[self._failure_of(call.event, call.handler)] = opened.seq

    def _leave(self, opened: OpenCall, calls: Mapping[Book, OpenCall]) -> None:
        """Let the code that follows run in the call around *opened*, if there is one."""
        outer = opened.outer
        if outer is not None:
            _current.set({**calls, self._book: outer})
        elif len(calls) == 1:
            _current.set(_NO_CALLS)
        else:
            _current.set({book: call for book, call in calls.items() if book is not self._book})
        opened.call = opened.outer = None  # tasks of the handler may keep it

    def _name(self, handler: Callable[..., object]) -> str:
        """Return what messages call *handler*; by identity, as it may be equal to another one."""
        known = self._handlers.get(id(handler))
        if known is not None and known[0] is handler:
            return known[1]
        if len(self._handlers) >= _REMEMBERED:
            self._handlers.clear()
        name = handler_name(handler)
        self._handlers[id(handler)] = handler, name
        return name

    def _failure_of(self, event: Any, handler: Callable[..., object]) -> tuple[int, str, int]:
        """Return what a failed call and its report have in common; not the exception, always."""
        # A method of two objects has one name; one that is held weakly is a new object each time.
        return id(event), self._name(handler), id(getattr(handler, "__self__", handler))

    def _error(self, error: BaseException) -> tuple[str, str, str]:
        plain = to_plain(RealtimeModelExceptionEvent(error))["exception"]
        told = self._book.withholding.of_error(
            RemoteException(plain["type"], plain["message"], plain["traceback"])
        )
        return told.type_name, told.message, told.traceback_text

    def events_dropped(self, dropped: EventsDropped, /) -> None:
        """Record that a handler will not get some events."""
        session = self._session_of(dropped.sender)
        seqs = [self._seq_of(sequence) for sequence in dropped.sequences[:_LISTED]]
        self._last_drop = session.sink.writer.append(
            DropRecord.kind,
            session.name,
            seqs[0],
            "" if dropped.handler is None else handler_name(dropped.handler),
            dropped.reason,
            len(dropped.events),
            seqs,
        )


class SelectiveTap(Tap):
    """Doesn't see the calls of some handlers."""

    __slots__ = ("_without",)

    def __init__(self, book: Book, without: Collection[Callable[..., object]]) -> None:
        super().__init__(book)
        self._without = without

    def handler_started(self, call: HandlerCall, /) -> None:
        """Take note of a call, if it is to be seen."""
        if call.handler not in self._without:
            super().handler_started(call)

    def handler_finished(self, call: HandlerCall, /) -> None:
        """Record the end of a call, if it is to be seen."""
        if call.handler not in self._without:
            super().handler_finished(call)


def _is_repeat(event: Any, cls: Any, latest: object) -> bool:
    """Whether *event* says of *latest*, an event of the model, no more than that it came."""
    try:
        return isinstance(latest, cls.repeats) and bool(cls.repeating(latest, event.info) == event)
    except Exception:  # noqa: BLE001  # other people's classes, and what they compare
        return False


class _Place:
    """Somewhere; it is told from others by its identity."""


class _Here(threading.local):
    """Has an object for each thread, which is gone when the thread is."""

    def __init__(self) -> None:
        self.place = _Place()


_here: Final = _Here()


def _task() -> object:
    """
    Return what stands for the task that this is called in, or the thread if it has no loop.

    Not its id, which may be that of a later one. It is 0 for a plain callback.
    """
    place: object
    try:
        place = asyncio.current_task()
    except RuntimeError:  # no asyncio in this thread
        trio = sys.modules.get("trio")
        if trio is None or not trio.lowlevel.in_trio_task():
            place = _here.place
        else:
            place = trio.lowlevel.current_task()
    return 0 if place is None else weakref.ref(place)
