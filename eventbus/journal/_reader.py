"""
Reading a journal: in order, from any place, filtered, and while it is being written.

Rules
-----

* What is given is what was written, or nothing: a record whose CRC doesn't fit is never looked
  into.
* A torn tail, which a crash leaves at the end of a segment, is no error: `Journal.torn_tails`
  has it, and so has the log. Damage anywhere else is `JournalDamaged`, raised where it is met;
  with *on_damage* it is reported, and reading goes on with the next record that is whole.
* A segment says with which number it begins. If that isn't the next one, a segment before it was
  deleted, emptied or cut short, and that is damage, too; but the oldest ones may be gone.
* A segment says of which journal it is. One that isn't of that of the first, or is no journal that
  can be read, is damage as a whole: nothing of it is read, and reading goes on with the next one
  that belongs.
* Opening reads the two ends of the journal; seeking bisects it (see `eventbus.journal._format`).
  Neither depends on its size.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time as clock
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import anyio

from ..exceptions import JournalDamaged, JournalEmpty, JournalTooNew, NotAJournal
from ..handlers import ANY
from ._format import FILE_HEADER_BYTES
from ._records import EndRecord, HeaderRecord, Record, decode_record, encode_record
from ._segments import (
    Segment,
    TornTail,
    damage_at,
    hole_before,
    no_segment,
    segment_of_another,
    segment_paths,
)
from ._selection import Selection

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Journal", "open_journal"]

logger = logging.getLogger(__name__)

_R = TypeVar("_R", bound=Record)


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
        JournalEmpty, NotAJournal, JournalTooNew: It can't be read at all.
        JournalDamaged: Its file header is damaged, or a later segment belongs to another journal or
            isn't one, and there is no *on_damage*.
    """
    return Journal(path, on_damage=on_damage)


class Journal:
    """
    A journal to read; `open_journal` makes it. Iterating over it gives its records in order.

    Files are open only while they are read, and what is written meanwhile is read, too.

    Attributes:
        path: As it was given.
        header: The first header: whose journal it is, and what was recorded. One with defaults,
            if there is none that is whole.
        last: The last record that was there when the journal was opened.
        damages: The damage that was met so far, where *on_damage* was given.
        torn_tails: What crashes have left at the ends of segments, as far as it was met; at the
            end of the last one from the beginning.
        position_bytes: How far the latest iteration has come, of `size_bytes`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        on_damage: Callable[[JournalDamaged], object] | None = None,
    ) -> None:
        self.path = Path(path)
        self.damages: list[JournalDamaged] = []
        self.torn_tails: list[TornTail] = []
        self.position_bytes = 0
        self._on_damage = on_damage
        self._segments: list[Segment] = []
        # Files that are damaged as a whole, with their markers: another one may take their place.
        self._reported: set[tuple[Path, bytes | None]] = set()
        self._open_segments()
        if not self._segments:
            if self.damages:
                raise self.damages[0]
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        headers = [segment.header for segment in self._segments]
        self.header = next((h for h in headers if h is not None), HeaderRecord())
        self.last, tail = self._segments[-1].read_end()
        if tail is not None:
            self._note_tail(tail)
        self._start: tuple[int, int] = (0, FILE_HEADER_BYTES)

    @property
    def size_bytes(self) -> int:
        """How large its files are, together."""
        return sum(segment.size for segment in self._segments)

    @property
    def paths(self) -> list[Path]:
        """Its files, in order."""
        return [segment.path for segment in self._segments]

    @property
    def is_closed(self) -> bool:
        """Whether its recorder has closed it; if not, it is still at work, or has died."""
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
            seq: The first record with this number, or a greater one.
            time: The first record that was made so many seconds after the beginning, or later;
                or at that time of day, by the clock as it was at the beginning.

        Raises:
            TypeError: Not one of them was given, or a datetime without a time zone.
        """
        if (seq is None) == (time is None):
            msg = "seek() takes one of seq= and time=."
            raise TypeError(msg)
        if seq is not None:
            wanted, key = seq, _seq
        else:
            assert time is not None
            wanted, key = self._mono_ns(time), _made_at
        number = 0
        for index, segment in enumerate(self._segments):
            first = segment.first(key)
            if first is not None and first < wanted:
                number = index
        self._start = (number, self._segments[number].locate(wanted, key))
        return self

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
            sender: The session, as the records name it; None for what has none.
            item: Only what names this conversation item.
            response: Only what names this response.

        Raises:
            JournalDamaged: There is damage, and there was no *on_damage*; it names the offset.
        """
        selection = Selection.of(classes, sender=sender, item=item, response=response)
        number, offset = self._start
        before = sum(segment.size for segment in self._segments[:number])
        last = self._last_before()
        for segment in self._segments[number:]:
            self._check_hole(segment, last)
            for start, payloads in self._payloads(segment, offset):
                last = payloads[-1]
                self.position_bytes = before + start
                if selection.is_all:
                    yield from map(decode_record, payloads)
                else:
                    yield from selection.pick(payloads)
            before += segment.size
            offset = FILE_HEADER_BYTES
        self.position_bytes = before

    def __iter__(self) -> Iterator[Record]:
        return self.read()

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
        """
        selection = Selection.of(classes, sender=sender, item=item, response=response)
        for record in self._follow(selection):
            if record is None:
                clock.sleep(poll)
            else:
                yield record

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
        """
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
        Add the file at *path*, if it can be read and belongs here; report once what is wrong.

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
            if damage.marker is not None:
                self._segments.append(Segment(path, damage.marker))
            return
        except (NotAJournal, JournalTooNew) as error:
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

    def _mono_ns(self, moment: float | datetime) -> int:
        if not isinstance(moment, datetime):
            return self.header.mono_ns + round(moment * 1e9)
        if moment.tzinfo is None:
            msg = f"time={moment!r} has no time zone; use moment.astimezone(), or an offset in s."
            raise TypeError(msg)
        return self.header.mono_ns + round(moment.timestamp() * 1e9) - self.header.wall_ns

    # --- reading --------------------------------------------------------------------------

    def _last_before(self) -> bytes | None:
        """Return the payload that must come before what is read, as far as that is known."""
        number, offset = self._start
        if number or offset > FILE_HEADER_BYTES:
            return None
        first = self._segments[0]
        if first.path == self.path:
            is_beginning = first.header is None or first.header.segment == 1
        else:  # that was deleted, as the oldest are; or there is nothing in it
            is_beginning = self.path.exists()
        return _NOTHING if is_beginning else None

    def _check_hole(self, segment: Segment, last: bytes | None) -> None:
        """Report that records are missing between the payload *last* and a segment, if so."""
        if last is None or segment.header is None:
            return
        record = decode_record(last)
        number = record.first_seq - 1 if isinstance(record, HeaderRecord) else record.seq
        if segment.header.first_seq > number + 1:
            self._report(hole_before(segment.path, number, segment.header.first_seq))

    def _payloads(self, segment: Segment, offset: int) -> Iterator[tuple[int, list[bytes]]]:
        """Yield payloads from *offset* to the end of the segment, as `SegmentFile.walk` does."""
        with segment.reading() as file:
            while True:
                offset = yield from file.walk(offset)
                # It may have become whole by now: then it was just being written.
                found = file.find(offset)
                if found is None:
                    break
                if found > offset:
                    self._report(damage_at(segment.path, offset, found))
                offset = found
            if offset < file.size:
                self._note_tail(TornTail(str(segment.path), offset, file.size - offset))

    def _follow(self, selection: Selection) -> Iterator[Any]:
        """Yield records, and None wherever there is no other yet."""
        number, offset = self._start
        last = self._last_before()
        self._check_hole(self._segments[number], last)
        while True:
            segment, is_last = self._segments[number], number == len(self._segments) - 1
            with segment.reading() as file:
                walk = file.walk(offset)
                try:
                    while True:
                        _, payloads = next(walk)
                        last = payloads[-1]
                        yield from selection.pick(payloads)
                        if isinstance(decode_record(last), EndRecord):
                            return
                except StopIteration as stop:
                    offset = stop.value
                found = file.find(offset)
                if found is not None:
                    if found > offset:
                        self._report(damage_at(segment.path, offset, found))
                    offset = found
                    continue
            if is_last:
                yield None
                # Looked for before the rest of this one is read: when there is another one,
                # nothing is added here any more.
                self._add_new_segments()
                continue
            number, offset = number + 1, FILE_HEADER_BYTES
            self._check_hole(self._segments[number], last)

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


_NOTHING: Final = encode_record(HeaderRecord())
"""Stands for what a journal begins with."""


def _seq(record: Record) -> int:
    return record.seq


def _made_at(record: Record) -> int:
    return record.mono_ns
