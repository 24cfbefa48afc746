"""
Plays on a bus what was recorded: a journal, or a file of frames.

* Handlers get what they got: the recorded events, in their order, with their senders; one that
  was an object is its name. With *decode* they get what a decoder makes of the frames now.
* What handlers have published themselves, and what the bus has reported of them, is left out:
  if the handlers are there, that happens again.
* At a finite speed, an event is published as long after the first one as it was recorded, on the
  event loop's clock, and like in a call: whoever is slow falls behind, and mailboxes may overflow.
* At an infinite speed the next event comes when the handlers of the one before it have finished.
  So nothing is lost, however small the mailboxes are, and handlers are called in the same order
  each time. A handler may wait for a later event, which would never come: after *patience* the
  next one is published all the same. The report has how often that was.
* In trio, two async handlers of one event begin in an order that trio draws; each handler by
  itself still sees the same events in the same order.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import anyio
import anyio.lowlevel
import attrs

from ..analysis._record_view import Facts
from ..bus import EventBus
from ..events import EVENT_TYPES, RealtimeModelEvent, RealtimeModelExceptionEvent
from ..exceptions import BusClosed, CodecError, EventBusError, JournalError
from ..journal._format import MAGIC
from ..journal._reader import Journal, open_journal
from ..journal._records import (
    EventRecord,
    FrameRecord,
    HeaderRecord,
    Record,
    StatusRecord,
)
from ..journal._segments import segment_paths
from ..wire import Decoder
from ..wire.openai._decoder import OpenAIRealtimeDecoder
from ._frame_file import BadLine, FrameFile
from ._pacing import Pacer
from ._strict import Comparison, is_decodable, is_report

__all__ = ["Player", "Point", "ReplayReport", "Source", "is_journal", "replay"]

Source: TypeAlias = str | os.PathLike[str] | FrameFile | Iterable[Record]
"""What can be played: the path of a journal or of a file of frames, or one that is open."""

Point: TypeAlias = int | timedelta
"""Where in a recording: a sequence number (of a file of frames: a line), or a time since its
beginning."""

_NS_PER_S: Final = 1_000_000_000
_MOMENT: Final = 0.001  # seconds


@attrs.frozen
class ReplayReport:
    """
    What a replay has done.

    Attributes:
        published: How many events it has published.
        unreadable: How many it could not, as the journal only names them, or a line is no frame.
        overtaken: How many were followed by the next one before their handlers had finished,
            at an infinite speed; see *patience*.
        last: The sequence number of the last event, or its line; 0 if there was none.
    """

    published: int = 0
    unreadable: int = 0
    overtaken: int = 0
    last: int = 0


def is_journal(path: str | os.PathLike[str]) -> bool:
    """
    Whether the file begins like a journal; anything else may be a file of frames.

    Of an empty file, its name tells, which then ends in ``.journal``; of an empty or a missing
    one, later segments of the journal do.

    Raises:
        OSError: It can't be read.
    """
    first = Path(path)
    try:
        head = _head(first)
    except FileNotFoundError:
        if not _has_later_segments(first):
            raise
        return True
    if head:
        return MAGIC.startswith(head)  # a part of it is what a crash leaves of a journal
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
    decoder: Callable[[], Decoder] = OpenAIRealtimeDecoder,
    where: Callable[[Facts], bool] | None = None,
    patience: float = 5.0,
    with_content: bool = False,
) -> ReplayReport:
    """
    Play a recording on *bus*, and return when its last event was published.

    At an infinite speed, its handlers have finished then, too. If it is cancelled, what was
    published stays so. All arguments are as in `Player`, which can also pause.

    Raises:
        ReplayDifference: With *strict*: the decoder gives something else than was recorded.
        JournalError: The journal can't be read, or with *strict*, a line of a file of frames.
        Exception: What publishing raises: `BusClosed`, `BusNotRunning`, `MailboxFull`, and what
            handlers of a strict bus do.
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
        source: What to play.
        bus: Where the events go to. It must run if it has async handlers.
        speed: 1 is as fast as it happened, 2 twice as fast; infinite is as fast as the handlers
            allow.
        start: Where to begin; what comes before is not published. A decoder is still told of it.
        stop: Where to end; what is there is published.
        is_paused: Whether to begin with a pause.
        strict: Compare what the decoder makes of each recorded frame now with what was recorded,
            and raise the first difference; of a file of frames, raise the first line that can't
            be read.
        decode: Publish what the decoder makes of the frames of a journal now, instead of the
            recorded events.
        decoder: Makes a decoder for each session.
        where: Which records of a journal to publish, like `Filter.matches`.
        patience: Seconds to wait for the handlers of one event, at an infinite speed. Each time
            that is in vain, it is half as long, until no handler is behind any more; `math.inf`
            waits forever.
        with_content: Whether a difference may quote what was said.
        on_event: Called with an event's sequence number, or its line, and the event, right before
            it is published.
        on_error: Called with what publishing raises (a full mailbox with `Overflow.RAISE`, a
            handler of a strict bus), and the replay goes on. Without it, that is raised.

    Raises:
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
        decoder: Callable[[], Decoder] = OpenAIRealtimeDecoder,
        where: Callable[[Facts], bool] | None = None,
        patience: float = 5.0,
        with_content: bool = False,
        on_event: Callable[[int, Any], object] | None = None,
        on_error: Callable[[Exception], object] | None = None,
    ) -> None:
        if not patience >= 0:
            msg = f"patience= is how many seconds to wait, from 0 on, not {patience!r}."
            raise ValueError(msg)
        options = _Options(start, stop, strict, decode, decoder, where, with_content)
        self._steps = _steps_of(source, options)
        self._bus = bus
        self._speed = _checked(speed)
        self._patience = self._patience_left = patience
        self._on_event = on_event
        self._on_error = on_error
        self._is_paused = is_paused
        self._is_stopped = False
        self._has_run = False
        self._is_over = False
        self._changed = _Bell()
        self._progress = _Bell()
        self._to_step = 0
        self._stepped = 0
        # While time goes by: at this time of the loop's clock, that time of the recording was
        # reached. While it doesn't, only the latter; None before the first event.
        self._anchor: tuple[float, int] | None = None
        self._reached_ns: int | None = None
        self._report = ReplayReport()

    @property
    def speed(self) -> float:
        """How fast it goes; it can be changed at any time."""
        return self._speed

    @speed.setter
    def speed(self, speed: float) -> None:
        speed = _checked(speed)
        self._halt()
        self._speed = speed
        self._changed.ring()

    @property
    def is_paused(self) -> bool:
        """Whether it waits to be resumed or stepped."""
        return self._is_paused

    @property
    def report(self) -> ReplayReport:
        """What it has done so far."""
        return self._report

    def pause(self) -> None:
        """Publish nothing more until it is resumed or stepped."""
        self._halt()
        self._is_paused = True
        self._changed.ring()

    def resume(self) -> None:
        """Go on; time goes on where it was paused."""
        self._is_paused = False
        self._changed.ring()

    async def step(self, count: int = 1) -> None:
        """
        Publish the next events, whenever they are due, and pause then; return when it is done.

        If it is cancelled, they are published all the same. It returns at once when it is over.

        Args:
            count: How many.
        """
        self.pause()
        self._to_step += count
        target = self._stepped + self._to_step
        while self._stepped < target and not self._is_over:
            await self._progress.wait()

    def stop(self) -> None:
        """End the replay: `run` returns before the next event."""
        self._is_stopped = True
        self._changed.ring()

    async def run(self) -> ReplayReport:
        """
        Replay, and return what was done; as `replay`.

        If it is cancelled, what was published stays so.

        Raises:
            EventBusError: It has run before.
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
            self._progress.ring()
            await self._steps.aclose()
        return self._report

    # --- when -----------------------------------------------------------------------------

    async def _wait_for(self, step: _Step) -> bool:
        """Wait until *step* may be published; whether it may at all."""
        await anyio.lowlevel.checkpoint()  # so that others get a word in, at any speed
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
            with anyio.CancelScope(deadline=due):
                await self._changed.wait()
        return False

    def _halt(self) -> None:
        """Let no more time go by in the recording."""
        if self._anchor is not None:
            began, began_ns = self._anchor
            passed = (anyio.current_time() - began) * self._speed
            self._reached_ns, self._anchor = began_ns + round(passed * _NS_PER_S), None

    # --- what -----------------------------------------------------------------------------

    async def _play(self, step: _Step) -> None:
        report = self._report
        if step.is_readable:
            if self._on_event is not None:
                self._on_event(step.seq, step.event)
            overtaken = await self._publish(step)
            report = attrs.evolve(
                report, published=report.published + 1, overtaken=report.overtaken + overtaken
            )
        else:
            report = attrs.evolve(report, unreadable=report.unreadable + 1)
        self._report = attrs.evolve(report, last=step.seq)
        if self._anchor is None:
            self._reached_ns = step.at_ns
        self._stepped += 1
        self._progress.ring()

    async def _publish(self, step: _Step) -> bool:
        """Publish an event; whether its handlers had not finished when it was time to go on."""
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
            # A moment is left to handlers that are not to blame.
            self._patience_left = max(self._patience_left / 2, min(self._patience, _MOMENT))
        elif self._patience_left < self._patience and not self._bus.stats.pending:
            self._patience_left = self._patience  # they have all caught up
        return scope.cancelled_caught


class _Bell:
    """Wakes whoever waits, as often as it is rung."""

    def __init__(self) -> None:
        self._event: anyio.Event | None = None

    def ring(self) -> None:
        event, self._event = self._event, None
        if event is not None:
            event.set()

    async def wait(self) -> None:
        """Wait until it is rung the next time."""
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()


def _checked(speed: float) -> float:
    if not speed > 0:
        msg = f"speed= is a factor above 0, math.inf for as fast as possible, not {speed!r}."
        raise ValueError(msg)
    return speed


# --- steps ------------------------------------------------------------------------------------


@attrs.frozen
class _Step:
    """
    One event to publish.

    Attributes:
        seq: The record that has it, or the line.
        at_ns: When it happened, since the beginning.
        event: The event.
        sender: The session that it belongs to.
        is_readable: Whether there is an event; without, the recording only says that there was.
    """

    seq: int
    at_ns: int
    event: Any = None
    sender: Any = None
    is_readable: bool = True


@attrs.frozen
class _Options:
    """What `Player` was asked for."""

    start: Point | None
    stop: Point | None
    is_strict: bool
    decodes: bool
    decoder: Callable[[], Decoder]
    where: Callable[[Facts], bool] | None
    with_content: bool

    def is_before(self, seq: int, at_ns: int) -> bool:
        """Whether that is before the start."""
        return self.start is not None and _compare(self.start, seq, at_ns) > 0

    def is_after(self, seq: int, at_ns: int) -> bool:
        """Whether that is after the stop."""
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
    return _record_steps(source, options)


async def _file_steps(path: Path, options: _Options) -> AsyncGenerator[_Step, None]:
    with path.open("rb") as file:
        async with contextlib.aclosing(_frame_steps(FrameFile(file, str(path)), options)) as steps:
            async for step in steps:
                yield step


async def _frame_steps(file: FrameFile, options: _Options) -> AsyncGenerator[_Step, None]:
    """Yield the events of a file of frames, each frame's when that is due."""
    decoder, pacer = options.decoder(), Pacer()
    async with contextlib.aclosing(file.lines()) as lines:
        async for line in lines:
            if isinstance(line, BadLine):
                if options.is_strict:
                    msg = f"{file.name}, line {line.number}: {line.reason}"
                    raise JournalError(msg, path=file.name)
                yield _Step(line.number, 0, is_readable=False)
                continue
            events = decoder.decode(line.frame)
            at_ns = round(pacer.due(events, line.seconds) * _NS_PER_S)
            if options.is_after(line.number, at_ns):
                return
            if options.is_strict:
                _raise_bad_frame(file.name, line.number, events)
            if not options.is_before(line.number, at_ns):
                for event in events:
                    yield _Step(line.number, at_ns, event)


def _raise_bad_frame(name: str, number: int, events: Sequence[RealtimeModelEvent]) -> None:
    for event in events:
        if isinstance(event, RealtimeModelExceptionEvent):
            reason = getattr(event.exception, "problem", event.exception)
            msg = f"{name}, line {number}: {reason}."
            raise JournalError(msg, path=name) from event.exception


async def _record_steps(
    records: Iterable[Record], options: _Options
) -> AsyncGenerator[_Step, None]:
    """Yield the events of a journal."""
    reader = _Reader(records, options)
    for record in reader.records():
        for step in reader.steps(record):
            yield step


class _Reader:
    """Picks from records what is to be published."""

    def __init__(self, records: Iterable[Record], options: _Options) -> None:
        self._records = records
        self._options = options
        self._origin_ns: int | None = None
        self._frames: dict[str | int | None, int] = {}
        self._latest: dict[str | int | None, Record] = {}  # what may be repeated
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
        if self._options.is_before(record.seq, at_ns) or not self._is_wanted(record):
            return
        if self._options.decodes and isinstance(record, FrameRecord):
            for event in decoded:
                yield _Step(record.seq, at_ns, event, record.sender)
        elif isinstance(record, EventRecord) and record.is_repeat:
            yield from self._repeat(record, at_ns)
        elif is_from_outside and not self._is_decoded(record):
            yield _step(record, at_ns)

    def _repeat(self, record: EventRecord, at_ns: int) -> Iterator[_Step]:
        """Yield what repeats an event that comes from outside; not what nobody here knows."""
        latest = self._latest.get(record.sender)
        cls: Any = EVENT_TYPES.get(record.type_name or "")
        if latest is None or latest.seq != record.cause or not hasattr(cls, "repeating"):
            return
        repeated = _step(latest, at_ns)
        if repeated.is_readable:
            yield _Step(record.seq, at_ns, cls.repeating(repeated.event), record.sender)

    def _is_wanted(self, record: Record) -> bool:
        where, origin_ns = self._options.where, self._origin_ns
        return where is None or where(Facts(record, origin_ns or 0))

    def _is_from_outside(self, record: Record) -> bool:
        """Whether an event doesn't come again by itself, when its cause does."""
        match record:
            case FrameRecord() | StatusRecord():
                return True
            case EventRecord(cause=cause) if cause in (0, self._frames.get(record.sender)):
                return not record.is_repeat and not is_report(record)
            case _:
                return False

    def _is_decoded(self, record: Record) -> bool:
        """Whether an event was published with its frame, as the decoder makes it now."""
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
