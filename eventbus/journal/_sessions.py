"""
The state of a recording: its journals, its sessions, and the calls that run.

Names stand for what an object is called in a journal: a sender by `SenderNames`, a handler by its
qualified name, an event class by its label; each has a number in each journal.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final

import msgspec

from ..events import RealtimeModelEvent
from ._batches import CALL, SENT
from ._buffer import ENTRY_BYTES, RecordBuffer
from ._derivation import StreamName
from ._encoding import audio_in, bytes_of, class_label, type_name_of
from ._redaction import AudioForm, Withholding
from ._writer import JournalWriter

_REMEMBERED: Final = 1 << 16  # senders
_INT64: Final = 1 << 63

OF_MODEL: Final = frozenset(RealtimeModelEvent.__args__)
"""The classes of the vocabulary."""


class JournalSink:
    """
    One journal that is being written.

    Attributes:
        writer: Writes it.
        classes: The numbers that class and type name of an event have in it.
    """

    __slots__ = ("classes", "writer")

    def __init__(self, writer: JournalWriter) -> None:
        self.writer = writer
        self.classes: dict[type[Any], tuple[int, int]] = {}

    def class_numbers(self, cls: type[Any]) -> tuple[int, int]:
        """Return the numbers of an event class: of its label, and of its type name or 0."""
        type_name = type_name_of(cls)
        number_of = self.writer.buffer.number_of
        numbers = number_of(class_label(cls)), 0 if type_name is None else number_of(type_name)
        if cls in OF_MODEL:
            self.classes[cls] = numbers
        return numbers


class RecordedSession:
    """
    One sender's part of a recording.

    Attributes:
        name: Its name in the journal.
        sink: Its journal.
        buffer: Takes its records.
        stream: The number of its stream in the journal.
        stream_name: That stream, if a decoder makes its events.
        stream_mark: The mark of the stream's first frame.
        next_state: The decoder's state before the next frame, if that begins a stream.
        frame_mark: The mark of its latest frame, without position; see `eventbus.wire.origin_of`.
        latest_mark: The mark of the latest event that was derived from that; else the same.
        end_mark: Marks below it may be of events that are derived from that frame; 0 if none are,
            as not all frames of the decoder are in the journal.
        audio_form: The form of its audio frames; see `Withholding.of_audio_frame`.
        losses: The number of times that the journal had lost records at the latest frame.
        frame: The number of its latest frame's record; 0 before the first.
        frame_call: The call in which that was published, if that was in one.
        frame_task: The task, as `_tap` has it.
        event: The latest of the model's events that was published in no call.
        event_seq: Its number.
    """

    __slots__ = (
        "audio_form",
        "buffer",
        "end_mark",
        "event",
        "event_seq",
        "frame",
        "frame_call",
        "frame_mark",
        "frame_task",
        "latest_mark",
        "losses",
        "name",
        "next_state",
        "sink",
        "stream",
        "stream_mark",
        "stream_name",
    )  # fmt: skip

    def __init__(self, name: str | int | None, sink: JournalSink) -> None:
        self.name = name
        self.sink = sink
        self.buffer: RecordBuffer = sink.writer.buffer
        self.stream = 0 if name is None else self.buffer.number_of(StreamName(name))
        self.stream_name: StreamName | None = None
        self.next_state: Mapping[str, Any] | None = None
        self.frame_mark = self.latest_mark = self.end_mark = self.stream_mark = 0
        self.losses = self.frame = self.event_seq = 0
        self.audio_form: AudioForm | None = None
        self.event: object = None
        self.frame_call: OpenCall | None = None
        self.frame_task: object = None


class OpenCall(msgspec.Struct):
    """
    A call that has been started.

    Attributes:
        session: The session that it belongs to.
        cause: The number of its event's record.
        started_ns: When it began.
        queued_ns: The time that its event waited in a mailbox.
        handler: The handler's name.
        seq: The number of its first record; 0 if there is none yet.
        is_over: Whether it has finished.
        event, event_seq: As in `RecordedSession`, of the events that were published in this call.
        event_session: The session of those.
    """

    session: RecordedSession
    cause: int
    started_ns: int
    queued_ns: int
    handler: str
    seq: int = 0
    is_over: bool = False
    event: Any = None
    event_seq: int = 0
    event_session: RecordedSession | None = None

    def begin(self, clock_ns: Callable[[], int]) -> int:
        """Make sure that there is a record of it, and return its number."""
        if not self.seq and not self.is_over:
            session = self.session
            buffer = session.buffer
            self.seq = seq = buffer.next_seq()
            now = clock_ns()
            buffer.put(
                (
                    CALL,
                    seq,
                    now,
                    session.stream,
                    seq - self.cause if self.cause else 0,
                    buffer.number_of(self.handler),
                    self.queued_ns,
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
        note_running: Called when an async call has begun to wait, and none before it had.

    Attributes:
        sessions: By name.
        heard: The names of sessions with a model that tells of their messages.
        running: Async calls that have begun to wait since `begin_running`.
        current: The call that the code runs in.
        is_stored: Whether each event is stored, also those that could be derived.
        is_virtual: Whether the clock is not the system's; the recorder sets it.
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

    def add_running(self, call: OpenCall) -> None:
        """Note that an async call waits for something, and so may run for long."""
        if not self.running:
            self.note_running()
        self.running.append(call)

    def begin_running(self) -> None:
        """Record that calls have been started that still run."""
        running, self.running = self.running, []
        for call in running:
            if not call.is_over:
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
        buffer = session.buffer
        seq = buffer.next_seq()
        common = SENT, seq, self.clock_ns(), session.stream, seq - cause if cause else 0
        buffer.put((*common, data, form, problem, audio_bytes), len(data) + ENTRY_BYTES)
        return seq
