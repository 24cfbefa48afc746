"""
Reading a journal: in order, from any place, filtered, and while it is being written.

Rules
-----

* Records are given as they were written, or not at all: a batch whose CRC doesn't fit is never
  looked into.
* A torn tail, which a crash leaves at the end of a segment, is not an error: `Journal.torn_tails`
  has it, and so has the log. Damage anywhere else is `JournalDamaged`, raised where it is met;
  with *on_damage* it is reported, and reading goes on with the next batch that is whole. A record
  that isn't well-formed is damage, though its batch has the right CRC.
* A segment says with which number it begins. If that isn't the next one, a segment before it was
  deleted, emptied or cut short, and that is damage, too; but the oldest ones may be gone.
* A segment says of which journal it is. One that isn't of that of the first, or that can't be
  read, is damage as a whole: nothing of it is read, and reading goes on with the next one that
  belongs.
* An event that was made of a frame is made again, when it is asked for: see
  `eventbus.journal._derivation`.
* Opening reads the two ends of the journal; seeking bisects it (see `eventbus.journal._format`).
  Neither depends on its size.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import time as clock
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import anyio
import attrs

from ..exceptions import (
    JournalDamaged,
    JournalEmpty,
    JournalTooNew,
    JournalTooOld,
    NotAJournal,
)
from ..handlers import ANY
from ._assembly import Assembler
from ._batches import BatchHead
from ._derivation import StreamName
from ._format import BATCH_HEADER_BYTES, FILE_HEADER_BYTES
from ._records import EndRecord, HeaderRecord, Record
from ._rows import Row, RowAssembler
from ._segments import (
    Segment,
    TornTail,
    bad_record_at,
    damage_at,
    hole_before,
    no_segment,
    path_of,
    segment_of_another,
    segment_paths,
)
from ._selection import Selection

if TYPE_CHECKING:
    from typing import Self

logger = logging.getLogger(__name__)

_R = TypeVar("_R", bound=Record)

_AGES: Final = 1e10  # seconds
_MAX_DEPTH: Final = 2  # a repeat, its event, and the frame of that
_END: Final = frozenset({EndRecord.kind})


@attrs.frozen
class _Start:
    """
    The place where iterations begin.

    Attributes:
        segment: The index of the segment.
        offset: The offset in it, of a batch.
        seq: The number of the first record.
        mono_ns: The time of the first record, or later.
    """

    segment: int = 0
    offset: int = FILE_HEADER_BYTES
    seq: int | None = None
    mono_ns: int | None = None

    def has(self, record: Record | Row) -> bool:
        """Return whether a record comes at this place or behind it."""
        if self.seq is not None:
            return record.seq >= self.seq
        return self.mono_ns is None or record.mono_ns >= self.mono_ns


_BEGINNING: Final = _Start()


@attrs.define
class _Place:
    """The batch that an iteration has come to."""

    segment: Segment
    offset: int

    def find_name(self, number: int) -> object:
        """Return the value of a name that is used here; None if it can't be found."""
        try:
            return self.segment.find_name(number, self.offset)
        except OSError:  # the segment was deleted meanwhile
            return None


def open_journal(
    path: str | os.PathLike[str],
    *,
    on_damage: Callable[[JournalDamaged], object] | None = None,
) -> Journal:
    """
    Open a journal; all its segments, if *path* is that of the first.

    Args:
        path: The path that the recorder was given, or that of one segment.
        on_damage: Called with each damage that reading meets, and reading goes on. Without it,
            damage is raised.

    Raises:
        FileNotFoundError: There is no such file, nor a later segment of it.
        JournalEmpty, NotAJournal, JournalTooNew, JournalTooOld: It can't be read at all.
        JournalDamaged: Its file header is damaged, or a later segment belongs to another journal or
            isn't one, and there is no *on_damage*.
        TypeError: *path* is not a path, or *on_damage* not a function.
    """
    if on_damage is not None and not callable(on_damage):
        msg = f"on_damage= is a function of the damage, not {on_damage!r}."
        raise TypeError(msg)
    return Journal(path, on_damage=on_damage)


class Journal:
    """
    A journal to read; `open_journal` makes it. Iterating over it gives its records in order.

    Files are open only while they are read, and records that are written meanwhile are read, too.

    Attributes:
        path: As it was given.
        header: The first header: the journal's id, and the recorder's settings. One with defaults,
            if there is none that is whole. Its times are those of the first record, if it isn't
            that of the first segment.
        last: The last record that was there when the journal was opened.
        damages: The damage that was met so far, where *on_damage* was given.
        torn_tails: The ends of segments that crashes have cut short, as far as they were met; that
            of the last one from the beginning.
        position_bytes: The bytes that the latest iteration has read, of `size_bytes`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        on_damage: Callable[[JournalDamaged], object] | None = None,
    ) -> None:
        self.path = path_of(path, "open_journal")
        self.damages: list[JournalDamaged] = []
        self.torn_tails: list[TornTail] = []
        self.position_bytes = 0
        self._on_damage = on_damage
        self._depth = 0  # of looks for a record that another one refers to
        self._segments: list[Segment] = []
        # Files that are damaged as a whole, with their markers: another one may take their place.
        self._reported: set[tuple[Path, bytes | None]] = set()
        self._open_segments()
        if not self._segments:
            if self.damages:
                raise self.damages[0]
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        self.header = self._find_header()
        self._start = _BEGINNING
        self.last = self._read_last()

    @property
    def size_bytes(self) -> int:
        """The size of its files together."""
        return sum(segment.size for segment in self._segments)

    @property
    def paths(self) -> list[Path]:
        """Its files, in order."""
        return [segment.path for segment in self._segments]

    @property
    def is_closed(self) -> bool:
        """True if its recorder has closed it; if not, that is still at work, or has died."""
        return isinstance(self.last, EndRecord)

    @property
    def duration_ns(self) -> int:
        """The time from its beginning to the last record."""
        return max(0, self.last.mono_ns - self.header.mono_ns) if self.last else 0

    @overload
    def seek(self, *, seq: int) -> Self: ...
    @overload
    def seek(self, *, time: float | datetime) -> Self: ...
    def seek(self, *, seq: int | None = None, time: float | datetime | None = None) -> Self:
        """
        Let iterations begin at a record; return the journal itself.

        Args:
            seq: Begin with this record, or the first one with a greater number.
            time: Begin with the first record that was made so many seconds after the beginning, or
                later; or at that time of day, by the clock as it was at the beginning.

        Raises:
            TypeError: Not one of them was given, another object, or a datetime without a time zone.
            ValueError: *time* is infinite, or not a number.
        """
        if (seq is None) == (time is None):
            msg = "seek() takes one of seq= and time=."
            raise TypeError(msg)
        if seq is not None:
            if not isinstance(seq, Integral) or isinstance(seq, bool):
                msg = f"seq= is the number of a record, not {seq!r}."
                raise TypeError(msg)
            self._start = self._locate_seq(seq)
        else:
            assert time is not None
            mono_ns = self._mono_ns(time)
            self._start = self._locate(mono_ns, _time_of, mono_ns=mono_ns)
        return self

    def _locate_seq(self, seq: int) -> _Start:
        return self._locate(seq + 1, _seq_of, seq=seq)  # the batch that begins with it will do

    def _locate(self, wanted: int, key: Callable[[BatchHead], int], **fields: int) -> _Start:
        number = 0
        for index, segment in enumerate(self._segments):
            first = segment.first(key)
            if first is not None and first < wanted:
                number = index
        return _Start(number, self._segments[number].locate(wanted, key), **fields)

    @overload
    def read(
        self,
        record_type: type[_R],
        /,
        *,
        sender: Any = ANY,
        item: str | None = None,
        response: str | None = None,
    ) -> Iterator[_R]: ...
    @overload
    def read(
        self,
        *classes: type[Any],
        sender: Any = ANY,
        item: str | None = None,
        response: str | None = None,
    ) -> Iterator[Any]: ...
    def read(
        self,
        *classes: type[Any],
        sender: Any = ANY,
        item: str | None = None,
        response: str | None = None,
    ) -> Iterator[Any]:
        """
        Yield records, from the place that was sought; all of them, or only some.

        Args:
            classes: Classes of records, or of events; of a class of the latter, the records of
                its instances.
            sender: The session, as the records name it; None for records without one.
            item: Only records that name this conversation item.
            response: Only records that name this response.

        Raises:
            JournalDamaged: There is damage, and there was no *on_damage*; it names the offset.
        """
        selection = Selection.of(classes, sender=sender, item=item, response=response)
        records = self._read(self._start, selection.kinds)
        if selection.is_all:
            yield from records
            return
        for record in records:
            if selection.has(record):
                yield record

    def rows(self, *, sender: Any = ANY) -> Iterator[Row]:
        """
        Yield all records in short, from the place that was sought.

        For code that looks at all of a large journal: it takes about half the time of `read`
        with the event of each record.

        Args:
            sender: As in `read`.

        Raises:
            JournalDamaged: As in `read`.
        """
        assembler, place = self._assembler(None, self._start, RowAssembler)
        rows: Iterator[Any] = self._read_with(assembler, place, self._start)
        for row in rows:
            if sender is ANY or row.sender == sender:
                yield row

    def _read(
        self, start: _Start, kinds: frozenset[int] | None, *, is_quiet: bool = False
    ) -> Iterator[Record]:
        """
        Return an iterator over the records of some kinds from a place on.

        Args:
            start: The place.
            kinds: The kinds; None for all.
            is_quiet: Whether to pass over damage without a word: another iteration reports it.
        """
        assembler, place = self._assembler(kinds, start)
        return self._read_with(assembler, place, start, is_quiet=is_quiet)

    def _read_with(
        self, assembler: Assembler, place: _Place, start: _Start, *, is_quiet: bool = False
    ) -> Iterator[Any]:
        """Yield the records that an assembler makes, from a place on."""
        last = self._last_before(start)
        before = sum(segment.size for segment in self._segments[: start.segment])
        is_before = start is not _BEGINNING
        offset = start.offset
        for segment in self._segments[start.segment :]:
            if not is_quiet:
                self._check_hole(segment, last)
            assembler.begin_segment()
            for first, payloads in self._payloads(segment, offset, is_quiet=is_quiet):
                if not is_quiet:
                    self.position_bytes = before + first
                for at, payload in _places(first, payloads):
                    place.segment, place.offset = segment, at
                    report = _ignore if is_quiet else self._reporter(segment, at, payload)
                    records = assembler.records(payload, report)
                    if is_before:
                        for record in records:
                            if start.has(record):
                                is_before = False
                                yield record
                                break
                    yield from records
                    last = assembler.last_seq
            before += segment.size
            offset = FILE_HEADER_BYTES
        if not is_quiet:
            self.position_bytes = before

    def _assembler(
        self,
        kinds: frozenset[int] | None,
        start: _Start,
        make: type[Assembler] = Assembler,
    ) -> tuple[Assembler, _Place]:
        """Return the parts of an iteration from a place on."""
        place = _Place(self._segments[start.segment], start.offset)
        assembler = make(
            kinds,
            find_name=place.find_name,
            find_record=self._find_record,
            find_frames=self._find_frames,
        )
        assembler.take_header(self.header)
        return assembler, place

    def _reporter(self, segment: Segment, offset: int, payload: bytes) -> Callable[[str], None]:
        """Return the function that reports a record of a batch that isn't well-formed."""
        end = offset + BATCH_HEADER_BYTES + len(payload)
        return lambda problem: self._report(bad_record_at(segment.path, offset, end, problem))

    def _find_record(self, seq: int) -> Record | None:
        """Return the record with a number, from anywhere in the journal."""
        if seq <= 0 or self._depth > _MAX_DEPTH:
            return None
        self._depth += 1
        try:
            start = self._locate_seq(seq)
            record = next(self._read(start, None, is_quiet=True), None)
        except OSError:  # a segment was deleted meanwhile
            return None
        finally:
            self._depth -= 1
        return record if record is not None and record.seq == seq else None

    def _find_frames(self, stream: StreamName, stop: int) -> Iterator[tuple[int, bytes | None]]:
        """Yield the frames of a stream from its first one on, below a number."""
        start = self._locate_seq(stream.first_seq)
        assembler, place = self._assembler(None, start)
        offset = start.offset
        for segment in self._segments[start.segment :]:
            assembler.begin_segment()
            for first, payloads in self._payloads(segment, offset, is_quiet=True):
                for at, payload in _places(first, payloads):
                    place.segment, place.offset = segment, at
                    for name, seq, data in assembler.frames(payload):
                        if seq >= stop:
                            return
                        if name == stream:
                            yield seq, data
            offset = FILE_HEADER_BYTES

    def __iter__(self) -> Iterator[Record]:
        return self.read()

    @overload
    def follow(
        self,
        record_type: type[_R],
        /,
        *,
        sender: Any = ANY,
        item: str | None = None,
        response: str | None = None,
        poll: float = 0.05,
    ) -> Iterator[_R]: ...
    @overload
    def follow(
        self,
        *classes: type[Any],
        sender: Any = ANY,
        item: str | None = None,
        response: str | None = None,
        poll: float = 0.05,
    ) -> Iterator[Any]: ...
    def follow(
        self,
        *classes: type[Any],
        sender: Any = ANY,
        item: str | None = None,
        response: str | None = None,
        poll: float = 0.05,
    ) -> Iterator[Any]:
        """
        Yield records as `read` does, and wait for more, until the journal is closed.

        Args:
            classes, sender, item, response: As in `read`.
            poll: Seconds between looks at the file.

        Raises:
            JournalDamaged: As in `read`.
            ValueError: *poll* isn't a number from 0 on.
        """
        _check_poll(poll)
        selection = Selection.of(classes, sender=sender, item=item, response=response)
        for record in self._follow(selection):
            if record is None:
                clock.sleep(poll)
            else:
                yield record

    def follow_nowait(self) -> Iterator[Record | None]:
        """
        Yield all records as `follow` does, and None wherever there is no other yet.

        Raises:
            JournalDamaged: As in `read`.
        """
        return self._follow(Selection())

    @overload
    def follow_async(
        self,
        record_type: type[_R],
        /,
        *,
        sender: Any = ANY,
        item: str | None = None,
        response: str | None = None,
        poll: float = 0.05,
    ) -> AsyncIterator[_R]: ...
    @overload
    def follow_async(
        self,
        *classes: type[Any],
        sender: Any = ANY,
        item: str | None = None,
        response: str | None = None,
        poll: float = 0.05,
    ) -> AsyncIterator[Any]: ...
    async def follow_async(
        self,
        *classes: type[Any],
        sender: Any = ANY,
        item: str | None = None,
        response: str | None = None,
        poll: float = 0.05,
    ) -> AsyncIterator[Any]:
        """
        Yield records as `follow` does, in an event loop.

        Cancelling it takes nothing from anybody.

        Args:
            classes, sender, item, response, poll: As in `follow`.

        Raises:
            JournalDamaged: As in `read`.
            ValueError: *poll* isn't a number from 0 on.
        """
        _check_poll(poll)
        selection = Selection.of(classes, sender=sender, item=item, response=response)
        for record in self._follow(selection):
            if record is None:
                await anyio.sleep(poll)
            else:
                yield record

    def __repr__(self) -> str:
        return f"<Journal {str(self.path)!r}, {self.size_bytes} bytes>"

    # --- opening --------------------------------------------------------------------------

    def _open_segments(self) -> None:
        paths = segment_paths(self.path)
        for path in paths:
            try:
                self._add_segment(path, is_only=len(paths) == 1)
            except JournalEmpty:  # it has just been begun; if it isn't the last, there is a hole
                if not self._segments and path == paths[-1]:
                    raise

    def _add_segment(self, path: Path, *, is_only: bool = False, is_new: bool = False) -> None:
        """
        Add the file at *path*, if it can be read and belongs here; report a problem once.

        Args:
            is_only: Whether there is no other, so that nothing can be read if it can't.
            is_new: Whether it may just be being begun; then it is left for the next time.
        """
        try:
            segment = Segment.open(path)
        except JournalDamaged as damage:
            if damage.marker is None and is_only:
                raise
            self._report_file(path, damage.marker, damage)
            if damage.marker is None:
                return
            segment = Segment.open_damaged(path, damage.marker)
        except (NotAJournal, JournalTooNew, JournalTooOld) as error:
            if is_only or path == self.path:
                raise
            self._report_file(path, None, no_segment(path, self.path, error))
            return
        if is_new and not segment.is_begun:
            return
        mine = next((each.header for each in self._segments if each.header is not None), None)
        header = segment.header
        if mine is None or header is None or header.journal_id == mine.journal_id:
            self._segments.append(segment)
        else:
            self._report_file(path, segment.marker, segment_of_another(path, header, self.path))

    def _report_file(self, path: Path, marker: bytes | None, damage: JournalDamaged) -> None:
        """Report the damage of a whole file, if that wasn't done already."""
        if (path, marker) not in self._reported:
            self._reported.add((path, marker))
            self._report(damage)

    def _find_header(self) -> HeaderRecord:
        """Return the first header, with times that no record comes before."""
        headers = (segment.header for segment in self._segments if segment.header is not None)
        header = next(headers, HeaderRecord())
        for segment in self._segments:
            if segment.header is not None:
                break
            # The clock of a journal may have begun with its machine: zero is no time to count from.
            first = segment.first_batch()
            if first is not None:
                return attrs.evolve(header, mono_ns=first.mono_ns, wall_ns=first.wall_ns)
        return header

    def _mono_ns(self, moment: float | datetime) -> int:
        if not isinstance(moment, datetime):
            if not isinstance(moment, Real) or isinstance(moment, bool):
                msg = f"time= is a number of seconds, or a datetime; not {moment!r}."
                raise TypeError(msg)
            if not -math.inf < moment < math.inf:
                msg = f"time= is a finite number of seconds, not {moment!r}."
                raise ValueError(msg)
            # Longer than any journal, and so far enough; a greater number would overflow.
            return self.header.mono_ns + round(min(max(moment, -_AGES), _AGES) * 1e9)
        if moment.tzinfo is None:
            msg = f"time={moment!r} has no time zone; use moment.astimezone(), or an offset in s."
            raise TypeError(msg)
        return self.header.mono_ns + round(moment.timestamp() * 1e9) - self.header.wall_ns

    # --- reading --------------------------------------------------------------------------

    def _read_last(self) -> Record | None:
        """Return the last record, and note a torn tail."""
        offset, payload, tail = self._segments[-1].read_end()
        if tail is not None:
            self._note_tail(tail)
        if payload is None:
            return None
        assembler, _ = self._assembler(None, _Start(len(self._segments) - 1, offset))
        last = None
        for record in assembler.records(payload):
            last = record
        return last

    def _last_before(self, start: _Start) -> int | None:
        """Return the number that must come before the first one, as far as that is known."""
        if start.segment or start.offset > FILE_HEADER_BYTES:
            return None
        first = self._segments[0]
        if first.path == self.path:
            is_beginning = first.header is None or first.header.segment == 1
        else:  # that was deleted, as the oldest are; or there is nothing in it
            is_beginning = self.path.exists()
        return 0 if is_beginning else None

    def _check_hole(self, segment: Segment, last: int | None) -> None:
        """Report that records are missing between number *last* and a segment, if so."""
        if last is None or segment.header is None:
            return
        if segment.header.first_seq > last + 1:
            self._report(hole_before(segment.path, last, segment.header.first_seq))

    def _payloads(
        self, segment: Segment, offset: int, *, is_quiet: bool = False
    ) -> Iterator[tuple[int, list[bytes]]]:
        """Yield payloads from *offset* to the end of the segment, as `SegmentFile.walk` does."""
        with segment.reading() as file:
            while True:
                offset = yield from file.walk(offset)
                # It may have become whole by now: then it was just being written.
                found = file.find(offset)
                if found is None:
                    break
                if found > offset and not is_quiet:
                    self._report(damage_at(segment.path, offset, found))
                offset = found
            if offset < file.size and not is_quiet:
                self._note_tail(TornTail(str(segment.path), offset, file.size - offset))

    def _follow(self, selection: Selection) -> Iterator[Any]:
        """Yield records, and None wherever there is no other yet."""
        start = self._start
        number, offset, is_before = start.segment, start.offset, start is not _BEGINNING
        last = self._last_before(start)
        kinds = None if selection.kinds is None else selection.kinds | _END
        is_all = selection.is_all
        assembler, at = self._assembler(kinds, start)
        self._check_hole(self._segments[number], last)
        while True:
            segment, is_last = self._segments[number], number == len(self._segments) - 1
            at.segment, at.offset = segment, offset
            for record in self._rest_of(at, assembler):
                is_before = is_before and not start.has(record)
                if not is_before and (is_all or selection.has(record)):
                    yield record
                if isinstance(record, EndRecord):
                    return
            offset, last = at.offset, assembler.last_seq or last
            if is_last:
                yield None
                # Looked for before the rest of this one is read: when there is another one,
                # nothing is added here any more.
                self._add_new_segments()
                continue
            number, offset = number + 1, FILE_HEADER_BYTES
            assembler.begin_segment()
            self._check_hole(self._segments[number], last)

    def _rest_of(self, at: _Place, assembler: Assembler) -> Iterator[Record]:
        """Yield the records of a segment from a place on, and move the place to their end."""
        segment = at.segment
        while True:
            with segment.reading() as file:
                walk = file.walk(at.offset)
                try:
                    while True:
                        first, payloads = next(walk)
                        for place, payload in _places(first, payloads):
                            at.offset = place
                            report = self._reporter(segment, place, payload)
                            yield from assembler.records(payload, report)
                except StopIteration as stop:
                    at.offset = stop.value
                found = file.find(at.offset)
            if found is None:
                return
            if found > at.offset:
                self._report(damage_at(segment.path, at.offset, found))
            at.offset = found

    def _add_new_segments(self) -> None:
        known = {segment.path for segment in self._segments}
        for path in segment_paths(self.path):
            if path not in known:
                with contextlib.suppress(JournalEmpty):  # it has just been begun
                    self._add_segment(path, is_new=True)

    def _report(self, damage: JournalDamaged) -> None:
        if self._on_damage is None:
            raise damage
        self.damages.append(damage)
        self._on_damage(damage)

    def _note_tail(self, tail: TornTail) -> None:
        if tail not in self.torn_tails:
            self.torn_tails.append(tail)
            logger.warning(
                "a journal ends in a record that is cut short",
                extra={"path": tail.path, "offset": tail.offset, "size": tail.size},
            )


def _places(offset: int, payloads: list[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield payloads that come one right after the other, each after its batch's offset."""
    for payload in payloads:
        yield offset, payload
        offset += BATCH_HEADER_BYTES + len(payload)


def _check_poll(poll: Any) -> None:
    is_number = isinstance(poll, (int, float)) and not isinstance(poll, bool)
    if not is_number or not 0 <= poll < _AGES:
        msg = f"poll= is a number of seconds from 0 on, not {poll!r}."
        raise ValueError(msg)


def _ignore(_: str) -> None:
    """Report nothing."""


def _seq_of(batch: BatchHead) -> int:
    return batch.first_seq


def _time_of(batch: BatchHead) -> int:
    return batch.mono_ns
