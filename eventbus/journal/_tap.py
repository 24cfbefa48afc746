"""
The tap of a recorder: it turns the events and calls of a bus into the records of a journal.

Causes
------

A call names its event. An event that a decoder made names its frame: the decoder marks its events
(`eventbus.wire.origin_of`). An event that a handler publishes names the call: a context variable
has it, as far as the handler's own tasks. An event that a session makes of a model's (classes with
``falls_back = False``) names the latest frame of its sender, if it was published where that was,
by the same call and the same task. So does any other event of the vocabulary, if the frame's
decoder marks nothing; otherwise it comes from elsewhere, like the end of a turn that the transport
tells of when the connection is lost. An event that the session publishes by itself does, too.

Stored events
-------------

An event that a decoder made is not stored: its class, and its place among the events of the frame,
are enough to derive it again. That takes every frame that the decoder had. So as soon as one is
missing (the recorder was attached in mid-call, or a record was lost), or a frame was withheld as a
whole, the events of that decoder are stored, until there is a new one.

A stream of frames is continued by another one now and then, whose name has the decoder's state, so
that reading needs not begin at a session's first frame. Where the state has words or names that
are to be left out, it isn't.

Speed
-----

A second of speech is two hundred records. So the functions here are compiled into the routes of
the bus (see ``eventbus._core.observing``), and on the way of a frame, its event and a call they
call next to nothing: a tuple of numbers goes into the buffer, and the writer's thread does the
rest. Nothing of it takes a lock, or makes a system call but for the time.

Most frames are one of a stream, mean one event and have nothing to leave out. Of such a frame
`Tap.take_frame` records the event as well, and the function that is called with the event next has
nothing left to do. Most handlers never wait: only a call that does is noted as running.
"""

from __future__ import annotations

import asyncio
import logging
import operator
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Collection, Generator, Sequence
from functools import partial
from types import CoroutineType, coroutine
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .._core.observing import Sending, Waiting, Watch
from .._event_base import set_mark
from ..codec import to_plain
from ..events import (
    RealtimeModelAudioEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelRawServerEvent,
)
from ..exceptions import MailboxFull, RemoteException
from ..handlers import handler_name
from ..wire._origin import FRAME_STEP, decoder_of
from ._batches import CALL, DERIVED, DROP, EVENT, FRAME, REPEAT, STATUS
from ._buffer import ENTRY_BYTES
from ._derivation import StreamName
from ._encoding import DECODED, MAX_DATA_BYTES, TOO_LONG, bytes_of, write_document
from ._sessions import OF_MODEL, OpenCall, RecordedSession, RecordingState

if TYPE_CHECKING:
    from ..middleware import DropReason
    from ._records import Form

logger = logging.getLogger(__name__)

_LISTED: Final = 100

# A mark (see `eventbus.wire._origin`): decoder, frame and position, from the left.
_POSITION: Final = 0xFFFF
_FRAME_BITS: Final = 16
_DECODER_BITS: Final = 48
_FRAME_NUMBER: Final = 0xFFFFFFFF

# To read an event, the frames of its stream are decoded from the first one on. So after so many
# frames, or so many records of the journal, another one is begun; that is looked at every 32.
_STREAM_FRAMES: Final = 512
_STREAM_RECORDS: Final = 1 << 15
_CHECKPOINT: Final = 31 << _FRAME_BITS

_Failure = Callable[[BaseException], BaseException]

_Stamp: TypeAlias = tuple[RecordedSession, int, int] | None
"""
An event's session, the number of its record, and the present time; None if it isn't recorded.
"""

_DONE: Final = object()


class Tap:
    """
    Records the events and calls of one bus; an ``eventbus._core.observing.Tap``.

    Args:
        state: Shared by all taps of the recorder.
        only: Returns whether a sender's events are recorded; None for all.
        without: Handlers whose calls aren't recorded.

    Attributes:
        stamp: That of the present event. The time is when the latest of its handlers was called.
        is_on: Whether anything is recorded.
    """

    __slots__ = (
        "_clock_ns", "_crashed", "_current", "_last_drop", "_only", "_sessions", "_state", "_taken",
        "_without", "is_on", "stamp",
    )  # fmt: skip

    def __init__(
        self,
        state: RecordingState,
        *,
        only: Callable[[Any], bool] | None = None,
        without: Collection[Callable[..., object]] = (),
    ) -> None:
        self._state = state
        self._only = only
        self._without = without
        # Of one sender only, a name alone doesn't tell whose an event is.
        self._sessions = state.sessions if only is None else {}
        self._clock_ns = state.clock_ns
        self._current = state.current
        self._crashed: dict[tuple[int, str, int], int] = {}
        self._last_drop = 0
        self._taken: object = None  # the event that comes next, and was recorded with its frame
        self.stamp: _Stamp = None
        self.is_on = True

    def stop(self) -> None:
        """Record nothing more, also of what the bus is about to do."""
        self.is_on = False

    def _find_session(self, sender: Any) -> RecordedSession | None:
        """Return the recording of *sender*; None if its events aren't recorded."""
        if not self.is_on or (self._only is not None and not self._only(sender)):
            return None
        return self._state.session_of(sender)

    # --- frames ---------------------------------------------------------------------------

    def take_frame(self, raw: bytes, mark: int, sender: Any, event: Any, /) -> None:
        """Record a frame that has no raw event."""
        try:
            is_name = type(sender) is str or sender is None
            session = self._sessions.get(sender) if is_name else None
            if session is None:
                session = self._find_session(sender)
                if session is None:
                    return
            withholding, problem = self._state.withholding, None
            is_audio = type(event) is RealtimeModelAudioEvent
            if len(raw) > MAX_DATA_BYTES:
                raw, problem = b"", TOO_LONG
            elif not is_audio:
                raw, problem = withholding.of_frame(raw, "json")
            elif not withholding.is_idle:
                raw, problem, session.audio_form = withholding.of_audio_frame(
                    raw, len(event.data), session.audio_form
                )
            set_mark(event, mark + 1)
            buffer = session.buffer
            if (
                mark != session.end_mark
                or not mark & _CHECKPOINT
                or buffer.losses != session.losses
                or session.next_state is not None
                or problem is not None
                or self._current.get() is not None
            ):
                self._add_frame(raw, "json", problem, mark, session)
                return
            cls = type(event)
            names = session.sink.classes.get(cls) or session.sink.class_numbers(cls)
            class_name, type_name = names
            size = len(raw) + 2 * ENTRY_BYTES  # here, as it is a call: see `_buffer`
            buffer.room = room = buffer.room - size
            if room < 0:
                buffer.room += size
                self._add_frame(raw, "json", problem, mark, session)
                return
            seq = session.frame = buffer.next_seq()
            event_seq = buffer.next_seq()
            now, stream = self._clock_ns(), session.stream
            entries = (
                (FRAME, seq, now, stream, 0, raw),
                (
                    DERIVED, event_seq, now, stream, event_seq - seq, 0, class_name, type_name,
                    len(event.data),
                )
                if is_audio
                else (DERIVED, event_seq, now, stream, event_seq - seq, 0, class_name, type_name),
            )  # fmt: skip
            buffer.extend(entries)
            if not buffer.is_noted:
                buffer.note()
            session.frame_mark = mark
            session.latest_mark = mark + 1
            session.end_mark = mark + FRAME_STEP
            session.frame_call = None
            loop = _running_loop()
            task = None if loop is None else _find_task(loop)
            session.frame_task = _task() if task is None else _reference(task)
            session.event, session.event_seq = event, event_seq
            self.stamp, self._taken = (session, event_seq, now), event
        except Exception:
            logger.exception("a frame could not be recorded")

    def _add_frame(
        self, raw: bytes, form: Form, problem: str | None, mark: int, session: RecordedSession
    ) -> int:
        buffer = session.buffer
        call = self._current.get()
        cause = 0 if call is None else call.begin(self._clock_ns)
        session.frame = seq = buffer.next_seq()
        if (
            mark != session.frame_mark + FRAME_STEP
            or buffer.losses != session.losses
            or problem is not None
            or session.next_state is not None
        ):
            self._begin_stream(session, mark, problem, seq)
        if not mark & _CHECKPOINT and session.end_mark:
            self._save_state(session, mark, seq)
        session.frame_mark = session.latest_mark = mark
        if session.end_mark:
            session.end_mark = mark + FRAME_STEP
        entry: tuple[Any, ...] = (
            FRAME, seq, self._clock_ns(), session.stream, seq - cause if cause else 0, raw,
        )  # fmt: skip
        if problem is not None or form != "json":
            entry = (*entry, form, problem)
        buffer.put(entry, len(raw) + ENTRY_BYTES)
        session.frame_call = call
        loop = _running_loop()
        task = None if loop is None else _find_task(loop)
        session.frame_task = _task() if task is None else _reference(task)
        return seq

    def _begin_stream(
        self, session: RecordedSession, mark: int, problem: str | None, seq: int
    ) -> None:
        """Begin the stream of a new decoder, or note that a frame of the present one is missing."""
        buffer = session.buffer
        is_next = mark == session.frame_mark + FRAME_STEP
        is_complete = buffer.losses == session.losses and problem is None
        session.losses = buffer.losses
        state, session.next_state = session.next_state, None
        if not (is_next and is_complete):
            session.end_mark, state = 0, None
        if not mark or self._state.is_stored or problem is not None:
            return
        decoder = decoder_of(mark >> _DECODER_BITS)
        is_first = not is_next and mark >> _FRAME_BITS & _FRAME_NUMBER == 1
        if decoder is None or not (is_first or (state is not None and session.end_mark)):
            return
        if session.stream_name is not None:
            buffer.retire(session.stream_name, seq)
        session.stream_name = StreamName(
            session.name, seq, decoder.name, decoder.version, decoder.options, state
        )
        session.stream = buffer.number_of(session.stream_name)
        session.stream_mark = mark
        session.end_mark = mark  # of this frame; it moves on with each

    def _save_state(self, session: RecordedSession, mark: int, seq: int) -> None:
        """Note the decoder's state, if the stream is so long that reading should begin later."""
        name = session.stream_name
        if name is None:
            return
        frames = (mark - session.stream_mark) >> _FRAME_BITS
        if frames < _STREAM_FRAMES and seq - name.first_seq < _STREAM_RECORDS:
            return
        state_at = getattr(decoder_of(mark >> _DECODER_BITS), "state_at", None)
        state = None if state_at is None else state_at(mark)
        if state is not None and self._state.withholding.leaves(state):
            session.next_state = state

    # --- events ---------------------------------------------------------------------------

    def watch_events(self, event_type: type[Any], dispatch: Sending, /) -> Callable[[Any], object]:
        """Return the function that records each event of a class."""
        if event_type is RealtimeModelRawServerEvent:
            return self._watch_raw(dispatch)
        return self._watch_class(event_type, dispatch)

    def _watch_class(self, event_type: type[Any], dispatch: Sending) -> Callable[[Any], object]:
        """Return the function that records each event of a class but the raw ones."""
        sessions, find_session = self._sessions, self._find_session
        get_call, clock_ns = self._current.get, self._clock_ns
        is_of_model = event_type in OF_MODEL
        is_audio = event_type is RealtimeModelAudioEvent

        def see(event: Any) -> None:
            if event is self._taken:
                self._taken = None
                return
            try:
                sender = dispatch.sender
                is_name = type(sender) is str or sender is None
                session = sessions.get(sender) if is_name else None
                if session is None:
                    session = find_session(sender)
                    if session is None:
                        self.stamp = None
                        return
                mark = getattr(event, "_origin", 0) if is_of_model else 0
                buffer = session.buffer
                if (
                    session.latest_mark < mark < session.end_mark
                    and buffer.losses == session.losses
                ):
                    session.latest_mark = mark
                    sink = session.sink
                    names = sink.classes.get(event_type) or sink.class_numbers(event_type)
                    class_name, type_name = names
                    seq, now = buffer.next_seq(), clock_ns()
                    index, back = (mark & _POSITION) - 1, seq - session.frame
                    buffer.put(
                        (
                            DERIVED, seq, now, session.stream, back, index, class_name, type_name,
                            len(event.data),
                        )
                        if is_audio
                        else (
                            DERIVED, seq, now, session.stream, back, index, class_name, type_name,
                        )
                    )  # fmt: skip
                else:
                    seq = self._add_other(event, type(event), mark, session)
                    now = clock_ns()
                self.stamp = session, seq, now
                if is_of_model:
                    call = get_call()
                    if event_type is RealtimeModelExceptionEvent and event.handler is not None:
                        return
                    # By call: what a handler of the event publishes comes before its repeats.
                    if call is None:
                        session.event, session.event_seq = event, seq
                    else:
                        call.event, call.event_seq, call.event_session = event, seq, session
            except Exception:
                self.stamp = None
                logger.exception("an event could not be recorded")

        return see

    def _watch_raw(self, dispatch: Sending) -> Callable[[Any], object]:
        """Return the function that records each frame by its raw event, as a live session does."""
        sessions, find_session = self._sessions, self._find_session
        get_call = self._current.get

        def see(event: Any) -> None:
            try:
                sender = dispatch.sender
                is_name = type(sender) is str or sender is None
                session = sessions.get(sender) if is_name else None
                if session is None:
                    session = find_session(sender)
                    if session is None:
                        self.stamp = None
                        return
                mark, raw = getattr(event, "_origin", 0), getattr(event, "_source", None)
                # With a mark, a decoder has made it, of bytes that are a JSON object.
                if mark and type(raw) is bytes and len(raw) <= MAX_DATA_BYTES:
                    raw, problem, session.audio_form = self._state.withholding.of_raw_frame(
                        raw, session.audio_form
                    )
                    seq = self._add_frame(raw, "json", problem, mark, session)
                else:
                    seq = self._add_other(event, type(event), mark, session)
                self.stamp = session, seq, self._clock_ns()
                call = get_call()
                if call is None:
                    session.event, session.event_seq = event, seq
                else:
                    call.event, call.event_seq, call.event_session = event, seq, session
            except Exception:
                self.stamp = None
                logger.exception("an event could not be recorded")

        return see

    def _add_other(self, event: Any, cls: type[Any], mark: int, session: RecordedSession) -> int:
        """Record an event that is not derived from a frame."""
        if cls is RealtimeModelRawServerEvent:
            raw, form, problem = bytes_of(event.data)
            if raw is None:
                return self._add_stored(event, cls, mark, session)
            if problem is None:
                raw, problem = self._state.withholding.of_frame(raw, form)
            return self._add_frame(raw, form, problem, mark, session)
        if cls is RealtimeModelConnectionStatusEvent:
            return self._add_status(event, session)
        recorded_as = getattr(event, "recorded_as", None)
        if recorded_as == "sent":
            is_known = session.name in self._state.heard  # the model has told of it
            return 0 if is_known else self._state.add_sent(event.data, session)
        if recorded_as != "repeat":
            return self._add_stored(event, cls, mark, session)
        call = self._current.get()
        latest = session if call is None or call.event_session is not session else call
        if not _is_repeat(event, cls, latest.event):
            return self._add_stored(event, cls, mark, session)
        buffer = session.buffer
        names = session.sink.classes.get(cls) or session.sink.class_numbers(cls)
        seq = buffer.next_seq()
        cause = latest.event_seq
        back = seq - cause if cause else 0
        buffer.put((REPEAT, seq, self._clock_ns(), session.stream, back, *names))
        return cause

    def _add_status(
        self, event: RealtimeModelConnectionStatusEvent, session: RecordedSession
    ) -> int:
        caller = self._state.caller()
        buffer = session.buffer
        seq = buffer.next_seq()
        back = seq - caller if caller else 0
        buffer.put((STATUS, seq, self._clock_ns(), session.stream, back, event.status))
        return seq

    def _add_stored(self, event: Any, cls: type[Any], mark: int, session: RecordedSession) -> int:
        """Record an event with its document."""
        return self._put_stored(event, cls, self._cause(event, cls, mark, session), session)

    def _put_stored(self, event: Any, cls: type[Any], cause: int, session: RecordedSession) -> int:
        document, problem = write_document(event, self._state.withholding)
        sink, buffer = session.sink, session.buffer
        names = sink.classes.get(cls) or sink.class_numbers(cls)
        audio_bytes = None
        if cls is RealtimeModelAudioEvent and isinstance(event.data, (bytes, bytearray)):
            audio_bytes = len(event.data)
        seq = buffer.next_seq()
        size = ENTRY_BYTES + (0 if document is None else len(memoryview(document)))
        back = seq - cause if cause else 0
        entry = (
            EVENT, seq, self._clock_ns(), session.stream, back, *names, document, problem,
            audio_bytes,
        )  # fmt: skip
        buffer.put(entry, size)
        return seq

    def _cause(self, event: Any, cls: type[Any], mark: int, session: RecordedSession) -> int:
        """Return the number of the record that led to *event*."""
        if cls is RealtimeModelExceptionEvent and event.handler is not None:
            if isinstance(event.exception, MailboxFull):
                return self._last_drop
            # The key is not always the exception: a call that took too long has another one.
            key = id(event.event), handler_name(event.handler), _owner_of(event.handler)
            return self._crashed.pop(key, 0)
        if mark and mark & ~_POSITION == session.frame_mark:
            return session.frame
        call = self._current.get()
        may_be_decoded = not session.frame_mark and cls in DECODED
        if (
            not mark
            and call is session.frame_call
            and (may_be_decoded or not getattr(cls, "falls_back", True))
            and session.frame_task == _task()
        ):
            return session.frame
        return 0 if call is None else call.begin(self._clock_ns)

    def event_replaced(self, event: Any, _sender: Any, _sequence: int, /) -> None:
        """Record the event that a middleware has put in the place of the present one."""
        if self.stamp is not None:
            session, seq, _ = self.stamp
            seq = self._put_stored(event, type(event), seq, session)
            self.stamp = session, seq, self._clock_ns()

    # --- calls ----------------------------------------------------------------------------

    def watch_call(
        self, handler: Callable[..., object], call: Callable[..., object], /
    ) -> Callable[..., object]:
        """Return the function that calls a sync handler, and records that."""
        if handler in self._without:
            return call
        name, owner = handler_name(handler), _owner_of(handler)
        clock_ns, set_call, end = self._clock_ns, self._current.set, self._end

        reset_call = self._current.reset

        def watched(*args: Any) -> object:
            stamp = self.stamp
            if stamp is None:
                return call(*args)
            session, cause, _ = stamp
            opened = OpenCall(session, cause, clock_ns(), 0, name)
            token = set_call(opened)
            try:
                result = call(*args)
            except BaseException as exc:
                reset_call(token)
                self.stamp = session, cause, end(opened, exc, args[0], owner)
                raise
            reset_call(token)
            self.stamp = session, cause, end(opened)
            return result

        return watched

    def watch_async_call(self, handler: Callable[..., object], /) -> Watch:
        """Return the watch that records the calls of an async handler."""
        name, owner = handler_name(handler), _owner_of(handler)
        is_left_out = handler in self._without
        clock_ns, set_call, end, state = self._clock_ns, self._current.set, self._end, self._state

        def begin(
            call: Callable[..., Awaitable[object]],
            args: tuple[Any, ...],
            stamp: _Stamp,
            failure: _Failure = _as_it_is,
        ) -> Waiting | None:
            """Make the first step of a call, after which most are over; see `Watch.first_step`."""
            if stamp is None or is_left_out or not self.is_on:
                steps = _steps_of(call(*args))
                awaited = next(steps, _DONE)
                return None if awaited is _DONE else (steps, awaited)
            session, cause, queued_at_ns = stamp
            started_ns = clock_ns()
            opened = OpenCall(session, cause, started_ns, started_ns - queued_at_ns, name)
            set_call(opened)  # for good: this runs in a context of its own
            try:
                result: Any = call(*args)
                steps = result.__await__() if type(result) is CoroutineType else _steps_of(result)
                awaited = next(steps, _DONE)
            except BaseException as exc:
                end(opened, failure(exc), args[0], owner)
                raise
            if awaited is _DONE:
                end(opened)
                return None
            state.add_running(opened)
            rest = go_on(opened, steps, awaited, args[0], failure)
            return rest, next(rest)

        def go_on(
            opened: OpenCall,
            steps: Generator[Any, Any, object],
            awaited: object,
            event: Any,
            failure: _Failure,
        ) -> Generator[Any, Any, None]:
            """Make the further steps of a call."""
            try:
                yield from _further(steps, awaited)
            except BaseException as exc:
                end(opened, failure(exc), event, owner)
                raise
            end(opened)

        async def run(
            call: Callable[..., Awaitable[object]],
            args: tuple[Any, ...],
            stamp: _Stamp,
            _sender: Any,
            failure: _Failure,
        ) -> None:
            waiting = begin(call, args, stamp, failure)
            if waiting is not None:
                await _await_further(*waiting)

        return Watch(partial(_stamp_of, self), run, self, begin)

    def _end(
        self,
        opened: OpenCall,
        error: BaseException | None = None,
        event: Any = None,
        owner: int = 0,
    ) -> int:
        """
        Record the end of a call, and return the time of it.

        Args:
            opened: The call.
            error: Its failure.
            event: Its event, if it has failed.
            owner: As `_owner_of` the handler has it, if it has failed.
        """
        opened.is_over = True
        now = self._clock_ns()
        if not self.is_on:
            return now
        try:
            session = opened.session
            buffer = session.buffer
            cause, first, handler = opened.cause, opened.seq, opened.handler
            ago_ns = now - opened.started_ns
            number = buffer.numbers.get(handler) or buffer.number_of(handler)
            seq = buffer.next_seq()
            entry: tuple[Any, ...] = (
                CALL, seq, now, session.stream, seq - cause if cause else 0, number,
                opened.queued_ns, ago_ns, ago_ns,
            )  # fmt: skip
            if first or error is not None:
                entry = (*entry, seq - first if first else 0)
            if not first:
                opened.seq = seq  # what it has published may still be in the bus's queue
            if error is not None:
                entry = (*entry, self._error(error))
            buffer.put(entry)
            if error is not None:
                self._note_crash(opened, event, owner)
        except Exception:
            logger.exception("a handler call could not be recorded")
        return now

    def _note_crash(self, opened: OpenCall, event: Any, owner: int) -> None:
        """Remember a failed call until its report is published."""
        # The bus publishes every failure but those of handlers of failures.
        if isinstance(event, RealtimeModelExceptionEvent):
            return
        if len(self._crashed) >= _LISTED:  # nor those that were cancelled at its end
            del self._crashed[next(iter(self._crashed))]
        self._crashed[id(event), opened.handler, owner] = opened.seq

    def _error(self, error: BaseException) -> tuple[str, str, str]:
        plain = to_plain(RealtimeModelExceptionEvent(error))["exception"]
        told = self._state.withholding.of_error(
            RemoteException(plain["type"], plain["message"], plain["traceback"])
        )
        return told.type_name, told.message, told.traceback_text

    def items_dropped(
        self,
        handler: Callable[..., object] | None,
        sender: Any,
        stamps: Sequence[tuple[RecordedSession, int, int] | None],
        reason: DropReason,
        /,
    ) -> None:
        """Record that a handler will not get some events."""
        try:
            session = self._find_session(sender)
            if session is None:
                return
            seqs = [0 if stamp is None else stamp[1] for stamp in stamps[:_LISTED]]
            buffer = session.buffer
            number = 0 if handler is None else buffer.number_of(handler_name(handler))
            self._last_drop = seq = buffer.next_seq()
            cause = seqs[0]
            common = DROP, seq, self._clock_ns(), session.stream, seq - cause if cause else 0
            buffer.put((*common, number, reason, len(stamps), seqs))
        except Exception:
            logger.exception("dropped events could not be recorded")


_stamp_of: Final[Callable[[Tap], _Stamp]] = operator.attrgetter("stamp")


async def _awaiting(result: Awaitable[object]) -> None:
    """Await any object that can be awaited; not each has the methods of a coroutine."""
    await result


def _steps_of(result: Any) -> Generator[Any, Any, object]:
    """Return the steps of what an async handler has returned; it may only be marked as one."""
    steps: Generator[Any, Any, object] = _awaiting(result).__await__()
    return steps


def _as_it_is(exc: BaseException) -> BaseException:
    """Return the exception of a handler without a timeout, which is its failure."""
    return exc


def _further(steps: Generator[Any, Any, object], awaited: object) -> Generator[Any, Any, None]:
    """Make the steps of a call that waits for *awaited*."""
    try:
        while True:
            try:
                sent = yield awaited
            except BaseException as exc:  # noqa: BLE001  # for the call to deal with
                awaited = steps.throw(exc)
            else:
                awaited = steps.send(sent)
    except StopIteration:
        return


_await_further: Final = coroutine(_further)


def _owner_of(handler: Any) -> int:
    """Return what tells handlers of one name apart, without keeping the handler."""
    # A method of two objects has one name; one that is held weakly is a new object each time.
    return id(getattr(handler, "__self__", handler))


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

_reference: Final = weakref.ref
_running_loop: Final = asyncio._get_running_loop  # noqa: SLF001  # it raises nothing, and is documented
_find_task: Callable[[Any], object] = asyncio.current_task
if sys.version_info < (3, 12):
    # What current_task() looks into, without its Python code. 3.11 doesn't change any more.
    _find_task = vars(asyncio.tasks)["_current_tasks"].get


def _task() -> object:
    """
    Return an object that stands for the task that this is called in, or the thread without a loop.

    Not its id, which may be that of a later one. It is 0 for a plain callback.
    """
    place: object
    try:
        place = _find_task(asyncio.get_running_loop())
    except RuntimeError:  # no asyncio in this thread
        trio = sys.modules.get("trio")
        if trio is None or not trio.lowlevel.in_trio_task():
            place = _here.place
        else:
            place = trio.lowlevel.current_task()
    return 0 if place is None else weakref.ref(place)
