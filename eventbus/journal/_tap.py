"""
The observer that turns the events and calls of a bus into the records of a journal.

Causes
------

A call names the event that it was made with, by the number that the bus gave that event. An event
that a decoder made names its frame: the decoder marks its events (`eventbus.wire.origin_of`).
An event that a handler publishes names the call: a context variable has it, as far as the
handler's own tasks. Any other event of the vocabulary names the latest frame of its sender, if it
was published where that was, by the same call and the same task, and so does an event that a
session makes of a model's (classes with ``falls_back = False``). An event that the session
publishes by itself comes from elsewhere.

Stored events
-------------

An event that a decoder made is not stored: its class, and its place among the events of the frame,
are enough to derive it again. That takes every frame that the decoder had. So as soon as one is
missing (the recorder was attached in mid-call, or a record was lost), or a frame was withheld as a
whole, the events of that decoder are stored, until there is a new one.

Speed
-----

A second of speech is two hundred records, so the work for a frame, for a derived event and for a
call is spelled out in `Tap`, at the price of some repetition: no lock, no system call, a tuple of
numbers for each record.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import weakref
from array import array
from collections import Counter
from collections.abc import Callable, Collection
from contextvars import ContextVar, Token
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
from ..wire._origin import decoder_of
from ._batches import CALL, DERIVED, DROP, EVENT, FRAME, REPEAT, SENT, STATUS
from ._derivation import StreamName
from ._encoding import (
    DECODED,
    audio_in,
    bytes_of,
    class_label,
    type_name_of,
    write_document,
)
from ._redaction import Withholding
from ._writer import ENTRY_BYTES, JournalWriter

_LISTED: Final = 100
_REMEMBERED: Final = 1 << 16  # senders; and events whose calls may still come, for each bus
_OF_MODEL: Final = frozenset(RealtimeModelEvent.__args__)
_INT64: Final = 1 << 63

# A mark (see `eventbus.wire._origin`): decoder, frame and position, from the left.
_POSITION: Final = 0xFFFF
_FRAME_BITS: Final = 16
_DECODER_BITS: Final = 48
_FRAME_NUMBER: Final = 0xFFFFFFFF


class JournalSink:
    """
    One journal that is being written.

    Attributes:
        writer: Writes it.
        classes: The numbers that class and type name of an event have in it.
        handlers: The numbers that handlers have in it, by identity, and the handlers.
    """

    __slots__ = ("classes", "handlers", "writer")

    def __init__(self, writer: JournalWriter) -> None:
        self.writer = writer
        self.classes: dict[type[Any], tuple[int, int]] = {}
        self.handlers: dict[int, tuple[Callable[..., object], int]] = {}

    def class_numbers(self, cls: type[Any]) -> tuple[int, int]:
        """Return the numbers of an event class: of its label, and of its type name or 0."""
        type_name = type_name_of(cls)
        number_of = self.writer.number_of
        numbers = number_of(class_label(cls)), 0 if type_name is None else number_of(type_name)
        if cls in _OF_MODEL:
            self.classes[cls] = numbers
        return numbers

    def handler_number(self, handler: Callable[..., object]) -> int:
        """Return the number of a handler; by identity, as it may be equal to another one."""
        known = self.handlers.get(id(handler))
        if known is not None and known[0] is handler:
            return known[1]
        if len(self.handlers) >= _REMEMBERED:
            self.handlers.clear()
        number = self.writer.number_of(handler_name(handler))
        self.handlers[id(handler)] = handler, number
        return number


class RecordedSession:
    """
    One sender's part of a recording.

    Attributes:
        name: Its name in the journal.
        sink: Its journal.
        stream: The number of its stream in the journal.
        mark: Decoder and number of its latest frame that a decoder has marked.
        position: The place of the latest event of that frame.
        is_derivable: Whether all frames of that decoder are in the journal.
        losses: The number of times that the journal had lost records at the latest frame.
        frame: The number of its latest frame's record; 0 before the first.
        frame_call: The call in which that was published, if that was in one.
        frame_task: The task, as `_task` has it.
        event: The latest of the model's events that was published in no call.
        event_seq: Its number.
    """

    __slots__ = (
        "event", "event_seq", "frame", "frame_call", "frame_task", "is_derivable", "losses",
        "mark", "name", "position", "sink", "stream",
    )  # fmt: skip

    def __init__(self, name: str | int | None, sink: JournalSink) -> None:
        self.name = name
        self.sink = sink
        self.stream = 0 if name is None else sink.writer.number_of(StreamName(name))
        self.mark = self.position = self.losses = self.frame = self.event_seq = 0
        self.is_derivable = False
        self.event: object = None
        self.frame_call: OpenCall | None = None
        self.frame_task: object = None


class OpenCall:
    """
    A call that has been started.

    Attributes:
        call: The call, until it has finished.
        seq: The number of its first record; 0 if there is none yet.
        event, event_seq: As in `RecordedSession`, of the events that were published in this call.
        event_session: The session of those.
    """

    __slots__ = (
        "call", "cause", "event", "event_seq", "event_session", "seq", "session", "started_ns",
        "token",
    )  # fmt: skip

    def __init__(
        self, call: HandlerCall, session: RecordedSession, cause: int, started_ns: int
    ) -> None:
        self.call: HandlerCall | None = call
        self.session = session
        self.cause = cause
        self.started_ns = started_ns
        self.seq = 0
        self.event: object = None
        self.event_seq = 0
        self.event_session: RecordedSession | None = None
        self.token: Token[OpenCall | None] | None = None

    def begin(self, clock_ns: Callable[[], int]) -> int:
        """Make sure that there is a record of it, and return its number."""
        call = self.call
        if not self.seq and call is not None:
            sink = self.session.sink
            writer = sink.writer
            self.seq = seq = writer.next_seq()
            now = clock_ns()
            writer.put(
                (
                    CALL,
                    seq,
                    now,
                    self.session.stream,
                    seq - self.cause if self.cause else 0,
                    sink.handler_number(call.handler),
                    call.queued_ns,
                    now - self.started_ns,
                    None,
                )
            )
        return self.seq


class SenderNames:
    """
    Names senders: strings and integers as they are, other objects by class and number.

    An object keeps its name as long as it lives, ``Session#1`` for the first of its class; no
    other one gets it.
    """

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._holders: dict[int, Any] = {}
        self._numbers: Counter[str] = Counter()

    def name(self, sender: Any) -> str | int | None:
        """Return the name of *sender*."""
        if sender is None or (type(sender) is str and sender.isascii()):
            return sender
        if isinstance(sender, str):
            return str(sender).encode(errors="backslashreplace").decode()
        if isinstance(sender, int):
            number = int(sender)
            return number if -_INT64 <= number < _INT64 else str(number)
        key = id(sender)
        name = self._names.get(key)
        return self._begin(key, sender) if name is None else name

    def _begin(self, key: int, sender: Any) -> str:
        label = type(sender).__qualname__
        self._numbers[label] += 1
        name = self._names[key] = f"{label}#{self._numbers[label]}"
        try:
            self._holders[key] = weakref.ref(sender, lambda _: self._forget(key))
        except TypeError:  # it can't be referred to weakly, and must not give its id to another
            self._holders[key] = sender
        return name

    def _forget(self, key: int) -> None:
        self._names.pop(key, None)
        self._holders.pop(key, None)


class RecordingState:
    """
    The state that all recordings of one recorder share.

    Args:
        withholding: Leaves something out.
        clock_ns: The monotonic clock.
        open_sink: Opens the journal of the session with that name.
        note_running: Called when an async call was started, and none before it was.

    Attributes:
        sessions: By name.
        heard: The names of sessions with a model that tells of their messages.
        running: Async calls that were started since `begin_running`.
        current: The call that the code runs in.
        is_stored: Whether each event is stored, also those that could be derived.
        is_virtual: Whether the clock is not the system's.
    """

    def __init__(
        self,
        withholding: Withholding,
        clock_ns: Callable[[], int],
        open_sink: Callable[[str | int | None], JournalSink],
        note_running: Callable[[], object],
        *,
        is_stored: bool = False,
    ) -> None:
        self.withholding = withholding
        self.clock_ns = clock_ns
        self.sessions: dict[str | int | None, RecordedSession] = {}
        self.heard: list[str | int | None] = []
        self.name_of = SenderNames().name
        self.running: list[OpenCall] = []
        self.note_running = note_running
        self.is_stored = is_stored
        self.is_virtual = False
        # One for each recorder; a call takes its own value away when it ends.
        self.current: ContextVar[OpenCall | None] = ContextVar(
            "eventbus_recorded_call", default=None
        )
        self._open_sink = open_sink

    def session_of(self, sender: Any) -> RecordedSession:
        """Return the recording of *sender*."""
        name = self.name_of(sender)
        session = self.sessions.get(name)
        return self._begin(name) if session is None else session

    def _begin(self, name: str | int | None) -> RecordedSession:
        while len(self.sessions) >= _REMEMBERED:
            self.sessions.pop(next(iter(self.sessions)), None)
        # No lock: of two threads or a signal handler, the first one's is taken by all.
        return self.sessions.setdefault(name, RecordedSession(name, self._open_sink(name)))

    def caller(self) -> int:
        """Return the number of the call that this is called in; 0 if it is none."""
        call = self.current.get()
        return 0 if call is None else call.begin(self.clock_ns)

    def begin_running(self) -> None:
        """Record that calls have been started that still run."""
        running, self.running = self.running, []
        for call in running:
            if call.call is not None:
                call.begin(self.clock_ns)

    def add_sent(self, message: Any, session: RecordedSession) -> int:
        """Record a message to the service; return its number."""
        data, form, problem = bytes_of(message)
        if data is None:
            data, problem = b"", f"a {type(message).__qualname__} is not a message"
        audio_bytes = audio_in(message, data)
        if problem is None:
            data, problem = self.withholding.of_frame(data, form)
        cause = self.caller()
        writer = session.sink.writer
        seq = writer.next_seq()
        common = SENT, seq, self.clock_ns(), session.stream, seq - cause if cause else 0
        writer.put((*common, data, form, problem, audio_bytes), len(data) + ENTRY_BYTES)
        return seq


class Tap:
    """
    Sees the events and calls of one bus; an `eventbus.middleware.EventObserver`.

    It remembers the records of the latest events in two rings: at the place of the event's
    number, that number and that of the record.
    """

    __slots__ = (
        "_clock_ns", "_crashed", "_current", "_last_drop", "_numbers", "_published_ns", "_seqs",
        "_sessions", "_state",
    )  # fmt: skip

    def __init__(self, state: RecordingState) -> None:
        self._state = state
        self._sessions = state.sessions
        self._clock_ns = state.clock_ns
        self._current = state.current
        self._numbers = array("Q", bytes(8 * _REMEMBERED))
        self._seqs = array("Q", bytes(8 * _REMEMBERED))
        # Of a virtual clock: when the events were published.
        self._published_ns: dict[int, int] = {}
        self._crashed: dict[tuple[int, str, int], int] = {}
        self._last_drop = 0

    def _session_of(self, sender: Any) -> RecordedSession:
        is_name = sender is None or type(sender) is str
        session = self._sessions.get(sender) if is_name else None
        return self._state.session_of(sender) if session is None else session

    def _seq_of(self, sequence: int) -> int:
        """Return the number of the record of the event with that number; 0 if it isn't known."""
        place = sequence % _REMEMBERED
        return self._seqs[place] if self._numbers[place] == sequence else 0

    # --- events ---------------------------------------------------------------------------

    def event_published(self, event: Any, sender: Any, sequence: int, /) -> None:
        """Record an event as it is published."""
        session = self._sessions.get(sender) if type(sender) is str else None
        if session is None:
            session = self._session_of(sender)
        cls = type(event)
        is_of_model = cls in _OF_MODEL
        mark = getattr(event, "_origin", 0) if is_of_model else 0
        call = self._current.get()
        if cls is RealtimeModelRawServerEvent:
            seq = self._add_frame(event, mark, session, call)
        elif (
            mark
            and session.is_derivable
            and mark >> _FRAME_BITS == session.mark
            and mark & _POSITION > session.position
            and (writer := (sink := session.sink).writer).losses == session.losses
        ):
            session.position = position = mark & _POSITION
            names = sink.classes.get(cls) or sink.class_numbers(cls)
            seq = writer.next_seq()
            entry: tuple[Any, ...] = (
                DERIVED, seq, self._clock_ns(), session.stream, seq - session.frame,
                position - 1, *names,
            )  # fmt: skip
            if cls is RealtimeModelAudioEvent:
                entry = (*entry, len(event.data))
            writer.put(entry)
        else:
            seq = self._add_other(event, cls, mark, session)
        if is_of_model and (cls is not RealtimeModelExceptionEvent or event.handler is None):
            # By call: what a handler of the event publishes itself comes before its repeats.
            if call is None:
                session.event, session.event_seq = event, seq
            else:
                call.event, call.event_seq, call.event_session = event, seq, session
        place = sequence % _REMEMBERED
        self._seqs[place] = seq
        self._numbers[place] = sequence
        if self._state.is_virtual:
            self._note_time(sequence)

    def _note_time(self, sequence: int) -> None:
        times = self._published_ns
        times[sequence] = self._clock_ns()
        if len(times) > _REMEMBERED:
            del times[next(iter(times))]

    def _add_frame(
        self,
        event: RealtimeModelRawServerEvent,
        mark: int,
        session: RecordedSession,
        call: OpenCall | None,
    ) -> int:
        data = event.data
        raw, form, problem = bytes_of(data)
        if raw is None:
            return self._add_stored(event, type(event), mark, session)
        writer = session.sink.writer
        if problem is None:
            raw, problem = self._state.withholding.of_frame(raw, form)
        cause = 0 if call is None else call.begin(self._clock_ns)
        session.frame = seq = writer.next_seq()
        whole = mark >> _FRAME_BITS
        if whole != session.mark + 1 or writer.losses != session.losses or problem is not None:
            self._begin_stream(session, whole, problem, seq)
        session.mark = whole
        session.position = 0
        entry: tuple[Any, ...] = (
            FRAME, seq, self._clock_ns(), session.stream, seq - cause if cause else 0, raw,
        )  # fmt: skip
        if problem is not None or form != "json":
            entry = (*entry, form, problem)
        writer.put(entry, len(raw) + ENTRY_BYTES)
        session.frame_call = call
        session.frame_task = _task()
        return seq

    def _begin_stream(
        self, session: RecordedSession, whole: int, problem: str | None, seq: int
    ) -> None:
        """Begin the stream of a new decoder, or note that a frame of the present one is missing."""
        writer = session.sink.writer
        is_next = whole == session.mark + 1
        is_complete = writer.losses == session.losses and problem is None
        session.losses = writer.losses
        session.is_derivable = is_next and is_complete and session.is_derivable
        if is_next or not whole or self._state.is_stored or problem is not None:
            return
        decoder = decoder_of(whole >> (_DECODER_BITS - _FRAME_BITS))
        if whole & _FRAME_NUMBER == 1 and decoder is not None:
            name = StreamName(session.name, seq, decoder.name, decoder.version, decoder.options)
            session.stream = writer.number_of(name)
            session.is_derivable = True

    def _add_other(self, event: Any, cls: type[Any], mark: int, session: RecordedSession) -> int:
        """Record an event that is not derived from a frame."""
        if cls is RealtimeModelConnectionStatusEvent:
            return self._add_status(event, session)
        form = getattr(event, "recorded_as", None)
        if form == "sent":
            is_known = session.name in self._state.heard  # the model has told of it
            return 0 if is_known else self._state.add_sent(event.data, session)
        if form != "repeat":
            return self._add_stored(event, cls, mark, session)
        call = self._current.get()
        latest = session if call is None or call.event_session is not session else call
        if not _is_repeat(event, cls, latest.event):
            return self._add_stored(event, cls, mark, session)
        sink = session.sink
        names = sink.classes.get(cls) or sink.class_numbers(cls)
        seq = sink.writer.next_seq()
        cause = latest.event_seq
        back = seq - cause if cause else 0
        sink.writer.put((REPEAT, seq, self._clock_ns(), session.stream, back, *names))
        return cause

    def _add_status(
        self, event: RealtimeModelConnectionStatusEvent, session: RecordedSession
    ) -> int:
        caller = self._state.caller()
        writer = session.sink.writer
        seq = writer.next_seq()
        back = seq - caller if caller else 0
        writer.put((STATUS, seq, self._clock_ns(), session.stream, back, event.status))
        return seq

    def _add_stored(self, event: Any, cls: type[Any], mark: int, session: RecordedSession) -> int:
        """Record an event with its document."""
        cause = self._cause(event, cls, mark, session)
        document, problem = write_document(event, self._state.withholding)
        return self._put_stored(event, cls, cause, document, problem, session)

    def _put_stored(
        self,
        event: Any,
        cls: type[Any],
        cause: int,
        document: Any,
        problem: str | None,
        session: RecordedSession,
    ) -> int:
        sink = session.sink
        names = sink.classes.get(cls) or sink.class_numbers(cls)
        audio_bytes = None
        if cls is RealtimeModelAudioEvent and isinstance(event.data, (bytes, bytearray)):
            audio_bytes = len(event.data)
        writer = sink.writer
        seq = writer.next_seq()
        size = ENTRY_BYTES + (0 if document is None else len(memoryview(document)))
        back = seq - cause if cause else 0
        entry = (
            EVENT, seq, self._clock_ns(), session.stream, back, *names, document, problem,
            audio_bytes,
        )  # fmt: skip
        writer.put(entry, size)
        return seq

    def _cause(self, event: Any, cls: type[Any], mark: int, session: RecordedSession) -> int:
        """Return the number of the record that led to *event*."""
        if cls is RealtimeModelExceptionEvent and event.handler is not None:
            if isinstance(event.exception, MailboxFull):
                return self._last_drop
            return self._crashed.pop(self._failure_of(event.event, event.handler), 0)
        if mark and mark >> _FRAME_BITS == session.mark:
            return session.frame
        call = self._current.get()
        if (
            not mark
            and call is session.frame_call
            and (cls in DECODED or not getattr(cls, "falls_back", True))
            and session.frame_task == _task()
        ):
            return session.frame
        return 0 if call is None else call.begin(self._clock_ns)

    def event_replaced(self, replacement: Any, sender: Any, sequence: int, /) -> None:
        """Record the event that a middleware has put in the place of another one."""
        session = self._session_of(sender)
        cls = type(replacement)
        cause = self._seq_of(sequence)
        document, problem = write_document(replacement, self._state.withholding)
        seq = self._put_stored(replacement, cls, cause, document, problem, session)
        place = sequence % _REMEMBERED
        self._seqs[place] = seq
        self._numbers[place] = sequence

    # --- calls ----------------------------------------------------------------------------

    def handler_started(self, call: HandlerCall, /) -> None:
        """Note a call that is about to run."""
        sender = call.sender
        session = self._sessions.get(sender) if type(sender) is str else None
        if session is None:
            session = self._session_of(sender)
        sequence = call.sequence
        place = sequence % _REMEMBERED
        cause = self._seqs[place] if self._numbers[place] == sequence else 0
        opened = OpenCall(call, session, cause, self._clock_ns())
        opened.token = self._current.set(opened)
        if call.queued_ns:  # an async one
            state = self._state
            if not state.running:
                state.note_running()
            state.running.append(opened)

    def handler_finished(self, call: HandlerCall, /) -> None:
        """Record the end of a call."""
        opened = self._current.get()
        if opened is None or opened.call is None or opened.call.event is not call.event:
            return  # the handler was called before this began to observe
        opened.call = None
        self._leave(opened)
        session = opened.session
        sink = session.sink
        writer = sink.writer
        queued_ns, run_ns = call.queued_ns, call.run_ns
        now = self._clock_ns()
        ago_ns = now - opened.started_ns
        if self._state.is_virtual:
            run_ns = ago_ns
            if queued_ns:
                published = self._published_ns.get(call.sequence, opened.started_ns)
                queued_ns = opened.started_ns - published
        seq = writer.next_seq()
        cause, first = opened.cause, opened.seq
        entry: tuple[Any, ...] = (
            CALL, seq, now, session.stream, seq - cause if cause else 0,
            sink.handler_number(call.handler), queued_ns, ago_ns, run_ns,
            seq - first if first else 0,
        )  # fmt: skip
        if not first:
            opened.seq = seq  # what it has published may still be in the bus's queue
        if call.error is not None:
            entry = (*entry, self._error(call.error))
        writer.put(entry)
        # The bus publishes every failure but those of handlers of failures.
        if call.error is not None and not isinstance(call.event, RealtimeModelExceptionEvent):
            if len(self._crashed) >= _LISTED:  # nor those that were cancelled at its end
                del self._crashed[next(iter(self._crashed))]
            self._crashed[self._failure_of(call.event, call.handler)] = opened.seq

    def _leave(self, opened: OpenCall) -> None:
        """Let the code that follows run in the call around *opened*, if there is one."""
        token, opened.token = opened.token, None
        assert token is not None
        try:
            self._current.reset(token)
        except ValueError:  # it ends in another context than it began in
            self._current.set(None)

    def _failure_of(self, event: Any, handler: Callable[..., object]) -> tuple[int, str, int]:
        """Return the key that a failed call and its report share; not always the exception."""
        # A method of two objects has one name; one that is held weakly is a new object each time.
        return id(event), handler_name(handler), id(getattr(handler, "__self__", handler))

    def _error(self, error: BaseException) -> tuple[str, str, str]:
        plain = to_plain(RealtimeModelExceptionEvent(error))["exception"]
        told = self._state.withholding.of_error(
            RemoteException(plain["type"], plain["message"], plain["traceback"])
        )
        return told.type_name, told.message, told.traceback_text

    def events_dropped(self, dropped: EventsDropped, /) -> None:
        """Record that a handler will not get some events."""
        session = self._session_of(dropped.sender)
        seqs = [self._seq_of(sequence) for sequence in dropped.sequences[:_LISTED]]
        sink = session.sink
        handler = 0 if dropped.handler is None else sink.handler_number(dropped.handler)
        self._last_drop = seq = sink.writer.next_seq()
        cause = seqs[0]
        common = DROP, seq, self._clock_ns(), session.stream, seq - cause if cause else 0
        sink.writer.put((*common, handler, dropped.reason, len(dropped.events), seqs))


class SelectiveTap(Tap):
    """Doesn't see the calls of some handlers."""

    __slots__ = ("_without",)

    def __init__(self, state: RecordingState, without: Collection[Callable[..., object]]) -> None:
        super().__init__(state)
        self._without = without

    def handler_started(self, call: HandlerCall, /) -> None:
        """Note a call, if it is to be seen."""
        if call.handler not in self._without:
            super().handler_started(call)

    def handler_finished(self, call: HandlerCall, /) -> None:
        """Record the end of a call, if it is to be seen."""
        if call.handler not in self._without:
            super().handler_finished(call)


def _is_repeat(event: Any, cls: Any, latest: object) -> bool:
    """Return whether *event* says of *latest*, an event of the model, no more than that it came."""
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
    Return an object that stands for the task that this is called in, or the thread without a loop.

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
