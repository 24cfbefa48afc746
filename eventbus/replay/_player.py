"""
Playing a recording on a bus: a journal, or a file of frames.

Rules
-----

* Handlers get the recorded events, in their order, with their senders; a sender that was an object
  is its name. With *decode* they get the events that a decoder makes of the frames now.
* Events that handlers published, and the bus's reports of failures, are left out: with the
  handlers there, they happen again.
* At a finite speed, an event is published as long after the first one as it was recorded, on the
  event loop's clock. As in a call, a slow handler falls behind, and mailboxes may overflow.
* At an infinite speed the next event is published when the handlers of the one before it have
  finished. So nothing is lost, however small the mailboxes are, and handlers are called in the
  same order each time. A handler may wait for a later event, which would never come: after
  *patience* the next one is published all the same. The report counts these.
* In trio, two async handlers of one event start in an order that trio draws; each handler by
  itself still sees the same events in the same order.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Final, TypeAlias

import anyio
import anyio.lowlevel
import attrs

from ..analysis._record_view import RecordView
from ..bus import EventBus, check_bus
from ..events import EVENT_TYPES, RealtimeModelEvent, RealtimeModelExceptionEvent
from ..exceptions import BusClosed, CodecError, EventBusError, FrameError, JournalError
from ..journal._format import MAGIC
from ..journal._reader import Journal, open_journal
from ..journal._records import (
    EventRecord,
    FrameRecord,
    HeaderRecord,
    Record,
    StatusRecord,
)
from ..journal._segments import path_of, segment_paths
from ..wire import Decoder
from ..wire._guessing import decoder_for
from ._frame_file import BadLine, FrameFile, FrameLine
from ._pacing import Pacer
from ._strict import Comparison, is_decodable, is_report, is_skip

Source: TypeAlias = str | os.PathLike[str] | FrameFile | Iterable[Record]
"""A recording: the path of a journal or of a file of frames, or one that is open."""

Point: TypeAlias = int | timedelta
"""A place in a recording: a sequence number (of a file of frames: a line), or the time since its
beginning."""

_NS_PER_S: Final = 1_000_000_000
_MOMENT: Final = 0.001  # seconds
_LONGEST: Final = 1e10  # seconds; no recording is that long


@attrs.frozen
class ReplayReport:
    """
    The result of a replay.

    Attributes:
        published: Number of events that were published.
        unreadable: Number of events that could not be, because the journal only names them or the
            line is not a frame.
        overtaken: Number of events that were followed by the next one before their handlers had
            finished, at an infinite speed; see *patience*.
        last: Sequence number of the last event, or its line; 0 without any.
    """

    published: int = 0
    unreadable: int = 0
    overtaken: int = 0
    last: int = 0


def is_journal(path: str | os.PathLike[str]) -> bool:
    """
    Return whether the file begins like a journal; anything else may be a file of frames.

    An empty file is a journal if its name ends in ``.journal``; an empty or missing one also is
    if there are later segments of it.

    Raises:
        OSError: The file can't be read.
        TypeError: *path* is not a path.
    """
    first = path_of(path, "is_journal")
    try:
        head = _head(first)
    except FileNotFoundError:
        if not _has_later_segments(first):
            raise
        return True
    if head:
        return MAGIC.startswith(head)  # a crash may leave a part of it
    return first.name.endswith(".journal") or _has_later_segments(first)


def _has_later_segments(first: Path) -> bool:
    # Files of frames may have numbers in their names, too.
    later = (path for path in segment_paths(first) if path != first and path.is_file())
    return any(_head(path) == MAGIC for path in later)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(MAGIC))


async def replay(
    source: Source,
    bus: EventBus,
    *,
    speed: float = 1.0,
    start: Point | None = None,
    stop: Point | None = None,
    strict: bool = False,
    decode: bool = False,
    decoder: Callable[[], Decoder] | None = None,
    where: Callable[[RecordView], bool] | None = None,
    patience: float = 5.0,
    with_content: bool = False,
) -> ReplayReport:
    """
    Play a recording on *bus*, and return when its last event was published.

    At an infinite speed, the handlers have finished by then as well. Cancelling ends the replay;
    events that were published stay published. The arguments are those of `Player`, which can also
    pause.

    Raises:
        TypeError, ValueError: As for `Player`.
        ReplayDifference: With *strict*, the decoder makes different events than were recorded.
        JournalError: The journal can't be read or, with *strict*, a line of a file of frames.
        Exception: As publishing does: `BusClosed`, `BusNotRunning`, `MailboxFull`, and the
            failures of handlers of a strict bus.
    """
    player = Player(
        source,
        bus,
        speed=speed,
        start=start,
        stop=stop,
        strict=strict,
        decode=decode,
        decoder=decoder,
        where=where,
        patience=patience,
        with_content=with_content,
    )
    return await player.run()


class Player:
    """
    A replay that can be paused, stepped and stopped; `run` does it, once.

    All methods belong to the event loop that it runs in.

    Args:
        source: The recording.
        bus: The bus to publish on. It must be running if it has async handlers.
        speed: A factor: 1 is the original speed, 2 twice as fast; infinite is as fast as the
            handlers allow.
        start: The first place to publish; a decoder is still fed with the frames before it.
        stop: The last place to publish.
        is_paused: Whether to begin with a pause.
        strict: Compare the events that the decoder makes of each recorded frame now with those
            that were recorded, and raise the first difference; of a file of frames, raise the
            first line that can't be read.
        decode: Publish the events that the decoder makes of a journal's frames now, instead of
            the recorded ones.
        decoder: Makes a decoder for each session. By default it is the one that the journal names,
            and for a file of frames that of the protocol that its first frame belongs to: Gemini
            Live, if the frame has no type and a field of that protocol, GPT-Live, if it is
            ``session.started``, or else OpenAI Realtime.
        where: Which records of a journal to publish, like `Filter.matches`.
        patience: Seconds to wait for the handlers of one event, at an infinite speed. It is halved
            each time that the handlers take longer, until no handler is behind any more;
            `math.inf` waits forever.
        with_content: Whether a difference may quote transcripts and texts.
        sender: The sender of the events of a file of frames.
        on_event: Called with an event's sequence number, or its line, and the event, right before
            it is published.
        on_error: Called with an exception that publishing raises (a full mailbox with
            `Overflow.RAISE`, a handler of a strict bus), and the replay goes on. Without it, the
            exception ends the replay.
        on_bad_line: Called with each line of a file of frames that can't be read, before *strict*
            raises it.
        on_sent: Called with each message of the client's in a file of frames, when it is due;
            without it, they are skipped.
        on_time: Called with the time that the recording has reached, in nanoseconds since its
            beginning, before *on_event* and *on_sent*.
        before_wait: Called before anything that may take time; useful for flushing output.

    Raises:
        TypeError: *source* is not a recording, *bus* not a bus, *start* or *stop* not a place, or
            a function isn't one.
        ValueError: *speed* isn't above 0, or *patience* is below.
    """

    def __init__(
        self,
        source: Source,
        bus: EventBus,
        *,
        speed: float = 1.0,
        start: Point | None = None,
        stop: Point | None = None,
        is_paused: bool = False,
        strict: bool = False,
        decode: bool = False,
        decoder: Callable[[], Decoder] | None = None,
        where: Callable[[RecordView], bool] | None = None,
        patience: float = 5.0,
        with_content: bool = False,
        sender: object = None,
        on_event: Callable[[int, Any], object] | None = None,
        on_error: Callable[[Exception], object] | None = None,
        on_bad_line: Callable[[BadLine], object] | None = None,
        on_sent: Callable[[FrameLine], object] | None = None,
        on_time: Callable[[int], object] | None = None,
        before_wait: Callable[[], object] | None = None,
    ) -> None:
        if not _is_number(patience) or not patience >= 0:
            msg = f"patience= is a number of seconds from 0 on, not {patience!r}."
            raise ValueError(msg)
        _check_point("start", start)
        _check_point("stop", stop)
        for name, function in (
            ("decoder", decoder),
            ("where", where),
            ("on_event", on_event),
            ("on_error", on_error),
            ("on_bad_line", on_bad_line),
            ("on_sent", on_sent),
            ("on_time", on_time),
            ("before_wait", before_wait),
        ):
            if function is not None and not callable(function):
                msg = f"{name}= is a function, not {function!r}."
                raise TypeError(msg)
        self._bus = check_bus(bus, "A replay publishes on")
        self._before_wait = before_wait or _nothing
        options = _Options(
            start,
            stop,
            strict,
            decode,
            decoder,
            where,
            with_content,
            sender,
            on_bad_line or _nothing,
            on_sent is not None,
            self._before_wait,
        )
        self._steps = _steps_of(source, options)
        self._speed = _checked(speed)
        self._patience = self._patience_left = patience
        self._on_event = on_event
        self._on_error = on_error
        self._on_sent = on_sent
        self._on_time = on_time or _nothing
        self._is_paused = is_paused
        self._is_stopped = False
        self._has_run = False
        self._is_over = False
        self._changed = _Signal()
        self._progress = _Signal()
        self._to_step = 0
        self._stepped = 0
        # While time goes by: at this time of the loop's clock, that time of the recording was
        # reached. While it doesn't, only the latter; None before the first event.
        self._anchor: tuple[float, int] | None = None
        self._reached_ns: int | None = None
        self._published = self._unreadable = self._overtaken = self._last = 0

    @property
    def speed(self) -> float:
        """The factor; it can be changed at any time."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        speed = _checked(speed)
        self._halt()
        self._speed = speed
        self._changed.set()

    @property
    def is_paused(self) -> bool:
        """True while the replay waits for `resume` or `step`."""
        return self._is_paused

    @property
    def report(self) -> ReplayReport:
        """The result so far."""
        return ReplayReport(self._published, self._unreadable, self._overtaken, self._last)

    def pause(self) -> None:
        """Publish nothing more until `resume` or `step`."""
        self._halt()
        self._is_paused = True
        self._changed.set()

    def resume(self) -> None:
        """Continue, at the time where the replay was paused."""
        self._is_paused = False
        self._changed.set()

    async def step(self, count: int = 1) -> None:
        """
        Publish the next events without waiting until they are due, and pause then.

        Returns when they are published, or when the replay is over. If it is cancelled, they are
        published all the same.

        Args:
            count: Number of events.

        Raises:
            ValueError: *count* isn't a number from 1 on.
        """
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            msg = f"count= is a whole number of events from 1 on, not {count!r}."
            raise ValueError(msg)
        self.pause()
        self._to_step += count
        target = self._stepped + self._to_step
        while self._stepped < target and not self._is_over:
            await self._progress.wait()

    def stop(self) -> None:
        """End the replay: `run` returns before the next event."""
        self._is_stopped = True
        self._changed.set()

    async def run(self) -> ReplayReport:
        """
        Replay, and return the result; as `replay` does.

        Cancelling ends the replay; events that were published stay published.

        Raises:
            EventBusError: The player has run before.
        """
        if self._has_run:
            msg = "A Player runs once; make another one."
            raise EventBusError(msg)
        self._has_run = True
        try:
            async for step in self._steps:
                if not await self._wait_for(step):
                    break
                await self._play(step)
        finally:
            self._is_over = True
            self._progress.set()
            await self._steps.aclose()
        return self.report

    # --- timing -----------------------------------------------------------------------------

    async def _wait_for(self, step: _Step) -> bool:
        """Wait until *step* is due; return whether it is to be published at all."""
        await anyio.lowlevel.checkpoint()  # other tasks run in between, at any speed
        while not self._is_stopped:
            if self._is_paused:
                if self._to_step:
                    self._to_step -= 1
                    return True
                await self._changed.wait()
                continue
            if math.isinf(self._speed):
                return True
            now = anyio.current_time()
            if self._anchor is None:
                self._anchor = now, step.at_ns if self._reached_ns is None else self._reached_ns
            began, began_ns = self._anchor
            due = began + (step.at_ns - began_ns) / _NS_PER_S / self._speed
            if due <= now:
                return True
            self._before_wait()
            with anyio.CancelScope(deadline=due):
                await self._changed.wait()
        return False

    def _halt(self) -> None:
        """Stop the recording's clock."""
        if self._anchor is not None:
            began, began_ns = self._anchor
            passed = (anyio.current_time() - began) * self._speed
            # A speed may be so great that the product is infinite.
            passed_ns = round(min(passed, _LONGEST) * _NS_PER_S)
            self._reached_ns, self._anchor = began_ns + passed_ns, None

    # --- publishing -----------------------------------------------------------------------------

    async def _play(self, step: _Step) -> None:
        self._on_time(step.at_ns)
        if isinstance(step.event, FrameLine):
            assert self._on_sent is not None
            self._on_sent(step.event)
        elif step.is_readable:
            if self._on_event is not None:
                self._on_event(step.seq, step.event)
            self._overtaken += await self._publish(step)
            self._published += 1
        else:
            self._unreadable += 1
        self._last = step.seq
        if self._anchor is None:
            self._reached_ns = step.at_ns
        self._stepped += 1
        self._progress.set()

    async def _publish(self, step: _Step) -> bool:
        """Publish an event; return whether its handlers had not finished after *patience*."""
        try:
            if not math.isinf(self._speed):
                await self._bus.publish_async(step.event, sender=step.sender)
                return False
            with anyio.move_on_after(self._patience_left) as scope:
                await self._bus.publish_and_wait(step.event, sender=step.sender)
        except BusClosed:
            raise
        except Exception as exc:
            if self._on_error is None:
                raise
            self._on_error(exc)
            return False
        if scope.cancelled_caught:
            # Handlers that have not caused this still get a moment.
            self._patience_left = max(self._patience_left / 2, min(self._patience, _MOMENT))
        elif self._patience_left < self._patience and not self._bus.stats.pending:
            self._patience_left = self._patience  # they have all caught up
        return scope.cancelled_caught


class _Signal:
    """An event that can be set again and again; each time it wakes all waiting tasks."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def set(self) -> None:
        event, self._event = self._event, None
        if event is not None:
            event.set()

    async def wait(self) -> None:
        """Wait until it is set the next time."""
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()


def _nothing(*_: object) -> None:
    """Do nothing: the default of callbacks."""


def _checked(speed: float) -> float:
    if not _is_number(speed) or not speed > 0:
        msg = f"speed= is a factor above 0, math.inf for as fast as possible, not {speed!r}."
        raise ValueError(msg)
    return speed


def _is_number(value: object) -> bool:
    """Return whether *value* is a number, and not greater than a float can be."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        float(value)
    except OverflowError:
        return False
    return True


def _check_point(name: str, point: object) -> None:
    if point is None or isinstance(point, timedelta):
        return
    if not isinstance(point, Integral) or isinstance(point, bool):
        msg = f"{name}= is the number of a record or line, or a timedelta; not {point!r}."
        raise TypeError(msg)


# --- steps ------------------------------------------------------------------------------------


@attrs.frozen
class _Step:
    """
    One event to publish, or one message of the client's.

    Attributes:
        seq: Its record, or its line.
        at_ns: When it happened, since the beginning.
        event: The event; or the line that the client has sent.
        sender: The session that it belongs to.
        is_readable: Whether the event is there; if not, the recording only says that there was
            one.
    """

    seq: int
    at_ns: int
    event: Any = None
    sender: Any = None
    is_readable: bool = True


@attrs.frozen
class _Options:
    """The arguments of `Player` that pick the events."""

    start: Point | None
    stop: Point | None
    is_strict: bool
    decodes: bool
    decoder: Callable[[], Decoder] | None
    where: Callable[[RecordView], bool] | None
    with_content: bool
    sender: object
    on_bad_line: Callable[[BadLine], object]
    with_sent: bool
    before_wait: Callable[[], object]

    def is_before(self, seq: int, at_ns: int) -> bool:
        """Return whether a place is before the start."""
        return self.start is not None and _compare(self.start, seq, at_ns) > 0

    def is_after(self, seq: int, at_ns: int) -> bool:
        """Return whether a place is after the stop."""
        return self.stop is not None and _compare(self.stop, seq, at_ns) < 0


def _compare(point: Point, seq: int, at_ns: int) -> int:
    """Return whether a point is after (above 0) or before (below) a place."""
    if isinstance(point, timedelta):
        return point // timedelta(microseconds=1) - at_ns // 1000
    return point - seq


def _steps_of(source: Source, options: _Options) -> AsyncGenerator[_Step, None]:
    if isinstance(source, FrameFile):
        return _frame_steps(source, options)
    if isinstance(source, (str, os.PathLike)):
        if not is_journal(source):
            return _file_steps(Path(source), options)
        return _record_steps(open_journal(source), options)
    if not isinstance(source, Iterable) or isinstance(source, (bytes, type)):
        msg = f"A replay takes the path of a recording, or a journal, not {source!r}."
        raise TypeError(msg)
    return _record_steps(source, options)


async def _file_steps(path: Path, options: _Options) -> AsyncGenerator[_Step, None]:
    with path.open("rb") as file:
        async with contextlib.aclosing(_frame_steps(FrameFile(file, str(path)), options)) as steps:
            async for step in steps:
                yield step


async def _frame_steps(file: FrameFile, options: _Options) -> AsyncGenerator[_Step, None]:
    """Yield the events of a file of frames, each frame's when that is due."""
    decoder = None if options.decoder is None else options.decoder()
    pacer = Pacer()
    reading = file.lines(options.before_wait, with_sent=options.with_sent)
    async with contextlib.aclosing(reading) as lines:
        async for line in lines:
            if isinstance(line, BadLine):
                _note_bad_line(file, line, options)
                yield _Step(line.number, 0, is_readable=False)
                continue
            if decoder is None and not line.is_sent:
                decoder = decoder_for(line.frame)
            events = () if line.is_sent or decoder is None else decoder.decode(line.frame)
            problem = _problem(line, events)
            at_ns = round(pacer.due(events, line.seconds) * _NS_PER_S)
            if options.is_after(line.number, at_ns):
                return
            if problem is not None:
                _note_bad_line(file, problem, options)
            if options.is_before(line.number, at_ns):
                continue
            if line.is_sent:
                yield _Step(line.number, at_ns, line)
            for event in events:
                yield _Step(line.number, at_ns, event, options.sender)


def _note_bad_line(file: FrameFile, line: BadLine, options: _Options) -> None:
    options.on_bad_line(line)
    if options.is_strict:
        msg = f"{file.name}, line {line.number}: {line.reason}"
        raise JournalError(msg, path=file.name)


def _problem(line: FrameLine, events: Sequence[RealtimeModelEvent]) -> BadLine | None:
    """Return why the decoder could not read a frame, if it couldn't."""
    for event in events:
        if isinstance(event, RealtimeModelExceptionEvent):
            error = event.exception
            # The rest of the message tells where the frame is; a reader of a file has its line.
            reason = f"{error.problem}." if isinstance(error, FrameError) else str(error)
            return BadLine(line.number, reason)
    return None


async def _record_steps(
    records: Iterable[Record], options: _Options
) -> AsyncGenerator[_Step, None]:
    """Yield the events of a journal."""
    reader = _Reader(records, options)
    for record in reader.records():
        for step in reader.steps(record):
            yield step
    for step in reader.rest():
        yield step


@attrs.define
class _Held:
    """The events of a decoded frame that are still to be published."""

    seq: int
    at_ns: int
    events: deque[RealtimeModelEvent]


class _Reader:
    """The events of a journal that are to be published."""

    def __init__(self, records: Iterable[Record], options: _Options) -> None:
        self._records = records
        self._options = options
        self._origin_ns: int | None = None
        self._frames: dict[str | int | None, int] = {}
        self._held: dict[str | int | None, _Held] = {}
        self._latest: dict[str | int | None, Record] = {}  # may be repeated
        needs_all = options.is_strict or options.decodes
        self._comparison = (
            Comparison(
                options.decoder,
                with_content=options.with_content,
                is_strict=options.is_strict,
            )
            if needs_all
            else None
        )
        if isinstance(records, Journal):
            self._origin_ns = records.header.mono_ns
            if not needs_all:
                _seek(records, options.start)

    def records(self) -> Iterator[Record]:
        """Yield the records up to the stop."""
        for record in self._records:
            if self._origin_ns is None:
                self._origin_ns = record.mono_ns
            if not isinstance(record, HeaderRecord) and self._options.is_after(
                record.seq, record.mono_ns - self._origin_ns
            ):
                return
            yield record

    def steps(self, record: Record) -> Iterator[_Step]:
        """Yield the events that are to be published for *record*."""
        decoded = () if self._comparison is None else self._comparison.take(record)
        assert self._origin_ns is not None
        at_ns = record.mono_ns - self._origin_ns
        if isinstance(record, FrameRecord):
            self._frames[record.sender] = record.seq
        is_from_outside = self._is_from_outside(record)
        if is_from_outside:
            self._latest[record.sender] = record
        yield from self._release(record)
        if self._options.is_before(record.seq, at_ns) or not self._is_wanted(record):
            return
        if self._options.decodes and isinstance(record, FrameRecord):
            held = self._held[record.sender] = _Held(record.seq, at_ns, deque(decoded))
            yield _Step(record.seq, at_ns, held.events.popleft(), record.sender)
        elif isinstance(record, EventRecord) and record.is_repeat:
            yield from self._repeat(record, at_ns)
        elif is_from_outside and not self._is_decoded(record):
            yield _step(record, at_ns)

    def rest(self) -> Iterator[_Step]:
        """Yield the events of frames after which nothing came."""
        for sender in tuple(self._held):
            yield from self._let_go(sender)

    def _release(self, record: Record) -> Iterator[_Step]:
        """Yield the events of now that come before *record*, or in its place."""
        sender = getattr(record, "sender", None)
        held = self._held.get(sender)
        if held is None:
            return
        if isinstance(record, EventRecord) and record.cause == held.seq:
            is_next = is_skip(record) or (is_decodable(record) and not is_report(record))
            if is_next and held.events:
                event = held.events.popleft()
                if not is_skip(record):
                    yield _Step(held.seq, held.at_ns, event, sender)
        elif self._is_from_outside(record):
            yield from self._let_go(sender)

    def _let_go(self, sender: str | int | None) -> Iterator[_Step]:
        held = self._held.pop(sender)
        for event in held.events:
            yield _Step(held.seq, held.at_ns, event, sender)

    def _repeat(self, record: EventRecord, at_ns: int) -> Iterator[_Step]:
        """Yield the repeat of an event that comes from outside, if its class is known here."""
        latest = self._latest.get(record.sender)
        cls: Any = EVENT_TYPES.get(record.type_name or "")
        if latest is None or latest.seq != record.cause or not hasattr(cls, "repeating"):
            return
        repeated = _step(latest, at_ns)
        if repeated.is_readable:
            yield _Step(record.seq, at_ns, cls.repeating(repeated.event), record.sender)

    def _is_wanted(self, record: Record) -> bool:
        where, origin_ns = self._options.where, self._origin_ns
        return where is None or where(RecordView(record, origin_ns or 0))

    def _is_from_outside(self, record: Record) -> bool:
        """Return whether an event comes from outside, so that nothing here publishes it again."""
        match record:
            case FrameRecord() | StatusRecord():
                return True
            case EventRecord(cause=cause) if cause in (0, self._frames.get(record.sender)):
                return not record.is_repeat and not is_report(record)
            case _:
                return False

    def _is_decoded(self, record: Record) -> bool:
        """Return whether the decoder's own event takes the place of a recorded one."""
        if not self._options.decodes or not isinstance(record, EventRecord):
            return False
        return record.cause != 0 and is_decodable(record)


def _step(record: Record, at_ns: int) -> _Step:
    assert isinstance(record, (FrameRecord, EventRecord, StatusRecord))
    try:
        return _Step(record.seq, at_ns, record.event, record.sender)
    except CodecError:
        return _Step(record.seq, at_ns, sender=record.sender, is_readable=False)


def _seek(journal: Journal, start: Point | None) -> None:
    if isinstance(start, timedelta):
        journal.seek(time=start.total_seconds())
    else:
        journal.seek(seq=start or 0)
