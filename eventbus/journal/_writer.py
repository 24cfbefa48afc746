"""
Writing a journal: records into batches, batches into files, made durable by a policy.

Rules
-----

* Appending takes a number and puts the record's elements into a buffer: no lock, no system call,
  no wait. A thread writes the buffer as batches (see `eventbus.journal._fsync`); a call of
  `JournalWriter.flush` or `JournalWriter.sync` does it in the caller's thread, and waits.
* The buffer is bounded in bytes. A record that doesn't fit is lost, and so is one that can't be
  written; its number is not given again. In their place comes a `GapRecord`, once writing works.
* A journal is never overwritten unless that is asked for, and readable for its owner only (mode
  0600).
* Appending raises no error of the file, and nothing readable is cut off.
* The file is that of the process that has begun it: one that is forked off writes nothing.

Failures. After a write that failed, the file is cut back to the last whole batch; if that can't be
done, a new segment is begun. It is tried again once a second. A full disk may have room for the
record of a gap, and for nothing else, so it is tried with more than that, which is cut off again.
A file that was deleted, replaced, cut or extended by another program is left alone: the records
that are no longer there are a gap, and a new segment is begun. A segment that can't be made
durable is written again beside it, made durable, and renamed.
"""

from __future__ import annotations

import functools
import logging
import os
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from ..exceptions import JournalError, JournalWriteError
from ._assembly import entry_of
from ._batches import encodable, encode_batch
from ._buffer import BUFFER_BYTES, ENTRY_BYTES, Entry, RecordBuffer, gap_entry
from ._derivation import StreamName
from ._encoding import MAX_DATA_BYTES
from ._files import Gone, OpenSegment, cause_of, reason_of, sync_folder, write_error
from ._format import (
    MAX_PAYLOAD_BYTES,
    file_header,
    make_batch,
    make_marker,
)
from ._fsync import FsyncPolicy, Syncer
from ._records import RECORD_CLASSES, EndRecord, FrameRecord, HeaderRecord, Record
from ._segments import path_of, segment_path, segment_paths

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

logger = logging.getLogger(__name__)

_BATCH_RECORDS: Final = 512
_BATCH_BYTES: Final = 1 << 17  # 5 ms of 200 sessions fit
_COPY_RECORDS: Final = 16  # of a copy, which nobody waits for: damage costs no more
_COPY_BYTES: Final = 1 << 14
_RETRY_NS: Final = 1_000_000_000
# For retries and checks: it goes on where the clock of the records stands.
_now_ns = time.monotonic_ns


@functools.cache
def creator() -> str:
    """Return the name of the program, as a header has it."""
    try:
        return f"eventbus {version('eventbus')}"
    except PackageNotFoundError:  # it runs from a checkout
        return "eventbus"


def check_settings(
    *, fsync: str, segment_bytes: int, segment_seconds: float | None, buffer_bytes: int
) -> None:
    """
    Check settings of a `JournalWriter` before there is one.

    Raises:
        ValueError: *fsync* is unknown, or a bound isn't above 0.
    """
    if fsync not in ("interval", "group", "every", "none"):
        msg = f"fsync= is 'interval', 'group', 'every' or 'none', not {fsync!r}."
        raise ValueError(msg)
    for name, value in (("segment_bytes", segment_bytes), ("buffer_bytes", buffer_bytes)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            msg = f"{name}= is a whole number of bytes from 1 on, not {value!r}."
            raise ValueError(msg)
    if segment_seconds is not None and not _is_time(segment_seconds):
        msg = f"segment_seconds= is a number of seconds above 0, or None; not {segment_seconds!r}."
        raise ValueError(msg)


def _is_time(value: Any) -> bool:
    """Return whether *value* is a number of seconds above 0, of less than some hundred years."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and 0 < value < 1e10


@attrs.define
class _Gap:
    """Records that are being lost: from which one on, why, and when to try again."""

    first_seq: int
    reason: str
    retry_ns: int


_open_writers: Final[weakref.WeakSet[JournalWriter]] = weakref.WeakSet()


class JournalWriter:
    """
    Writes one journal; records are appended from any thread, and from signal handlers.

    Args:
        path: The first segment; others are put beside it, as ``name.00002.suffix``.
        header: The header's fields about the recording; times, numbers and ids are filled in
            here, unless this one has a journal's id.
        fsync: When it is made durable.
        segment_bytes: A segment that is longer is followed by another one.
        segment_seconds: So is one that is older; None for any age.
        buffer_bytes: The bound of the buffer.
        clock_ns: The monotonic clock.
        wall_ns: The time of day, in nanoseconds since the epoch.
        syncer: The thread that writes it; one of its own, unless it is shared.
        on_failure: Called when writing begins to fail, once until it works again; in any thread.
        opens: ``now``: the file is made at once, or an error is raised. ``later``: it is made by
            the thread, with the first record; if it can't be, that is tried again.
        choose: Returns the path to take instead of *path*, which no journal has, when the file is
            made.
        overwrite: Whether a journal that is there is replaced.

    Raises:
        JournalWriteError: The file can't be created, or there is one.
        ValueError: *fsync* is unknown, or a bound isn't above 0.
    """

    def __init__(  # the state of a buffer and of a file
        self,
        path: str | os.PathLike[str],
        *,
        header: HeaderRecord | None = None,
        fsync: FsyncPolicy = "interval",
        segment_bytes: int = 1 << 28,
        segment_seconds: float | None = None,
        buffer_bytes: int = BUFFER_BYTES,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
        syncer: Syncer | None = None,
        on_failure: Callable[[JournalWriteError], object] | None = None,
        opens: Literal["now", "later"] = "now",
        choose: Callable[[Path], Path] | None = None,
        overwrite: bool = False,
    ) -> None:
        check_settings(
            fsync=fsync,
            segment_bytes=segment_bytes,
            segment_seconds=segment_seconds,
            buffer_bytes=buffer_bytes,
        )
        self.path = path_of(path, "JournalWriter")
        self._choose = choose
        self._fsync = fsync
        self._overwrite = overwrite
        self._segment_bytes = segment_bytes
        self._segment_ns = None if segment_seconds is None else round(segment_seconds * 1e9)
        self.clock_ns = clock_ns
        self._wall_ns = wall_ns
        self._on_failure = on_failure
        template = header or HeaderRecord()
        self._header = attrs.evolve(
            template,
            journal_id=template.journal_id or uuid.uuid4().hex,
            creator=template.creator or creator(),
        )

        self.buffer = RecordBuffer(
            buffer_bytes, clock_ns, note=self._note, on_full=self._note_full, now_ns=_now_ns
        )
        self._streams: dict[str | int, int] = {}
        self._is_closed = False
        self._is_over = False  # closed, and nothing is written any more

        # The file, for the one who holds it.
        self._holding = threading.Lock()
        self._segment: OpenSegment | None = None
        self._number = 0
        self._written_seq = 0
        self._written_ns = 0
        self._durable_seq = 0
        self._is_behind = False
        self._retired: list[OpenSegment] = []  # complete, and to be made durable
        self._is_folder_durable = False
        self._copied: list[Entry] = []
        self._copied_bytes = 0
        self._copied_wall = 0  # the time of day less the monotonic time
        self._is_copy = self._has_end = False
        self._names: list[tuple[int, Any]] = []
        self._gap: _Gap | None = None
        self._gap_seq = 0  # the last record that is missing
        self._gone_seq = 0  # the first one that another program has removed
        self._failure: JournalWriteError | None = None
        self._is_failing = False
        if opens == "now":
            self._create()
        _open_writers.add(self)
        self._owns_syncer = syncer is None
        self._syncer = syncer or Syncer(0.0 if fsync in ("group", "every") else 0.05)

    # --- for users ------------------------------------------------------------------------

    @property
    def last_seq(self) -> int:
        """The number of the last record that was appended."""
        return self.buffer.last_seq

    @property
    def durable_seq(self) -> int:
        """The number up to which all is as durable as the policy makes it, gaps apart."""
        return self._written_seq if self._fsync == "none" else self._durable_seq

    @property
    def needs_sync(self) -> bool:
        """True if written records are to be made durable, or a failure is to be retried."""
        is_behind = self._is_behind and self._fsync != "none"
        return (
            is_behind or self._gap is not None or self.buffer.is_holding
        ) and not self._is_closed

    def append(self, kind: int, sender: str | int | None, cause: int, *fields: Any) -> int:
        """
        Append a record of now; return its number.

        Args:
            kind: The kind, as ``eventbus.journal.FrameRecord.kind``.
            sender: The session that it belongs to.
            cause: The number of the record that led to it.
            fields: Its further fields in order; those at the end that have their defaults may be
                left out.
        """
        seq = self.buffer.next_seq()
        if kind == FrameRecord.kind and len(fields) == 1 and type(fields[0]) is bytes:
            # As below, without the record: most records are frames.
            (data,) = fields
            stream = 0 if sender is None else self._stream_of(sender)
            back = seq - cause if cause else 0
            entry = (kind, seq, self.clock_ns(), stream, back, data)
            self.buffer.put(entry, len(data) + ENTRY_BYTES)
            return seq
        record = RECORD_CLASSES[kind](seq, self.clock_ns(), 0, sender, cause, *fields)
        self.buffer.put(entry_of(record, self.buffer.number_of), _size_of(record))
        return seq

    def _stream_of(self, sender: str | int) -> int:
        """Return the number of the stream of a sender."""
        number = self._streams.get(sender)
        if number is None:
            number = self._streams[sender] = self.buffer.number_of(StreamName(sender))
        return number

    def write(self, record: Record) -> None:
        """
        Append *record* with the number and times that it has: a copy, not news.

        It may wait for the disk.

        Raises:
            ValueError: It is longer than a record may be.
        """
        size = _size_of(record)
        entry = entry_of(record, self.buffer.number_of)
        self.copy(entry, size, record.wall_ns, is_end=isinstance(record, EndRecord))

    def copy(
        self, entry: tuple[Any, ...], size: int, wall_ns: int, *, is_end: bool = False
    ) -> None:
        """Do what `write` does, with a record's elements."""
        if size > MAX_DATA_BYTES:
            msg = f"Record {entry[1]} has {size} bytes, more than {MAX_DATA_BYTES}."
            raise ValueError(msg)
        offset = wall_ns - entry[2]
        if offset != self._copied_wall and self._copied:  # a batch has one
            self.flush()
        self._copied_wall = offset
        self.buffer.pass_seq(entry[1])
        self._has_end, self._is_copy = is_end, True
        self._copied.append(entry)
        self._copied_bytes += size
        if self._copied_bytes > _COPY_BYTES or len(self._copied) >= _COPY_RECORDS:
            self.flush()

    def flush(self) -> None:
        """Write the records that wait; in this thread, and so wait for the file."""
        with self._holding:
            self._write_out()
        self._tell_failure()

    def sync(self) -> int:
        """
        Write the records that wait, and make them durable by the policy; wait for the disk.

        Returns:
            The number up to which all is durable.
        """
        with self._holding:
            self._write_out()
            if self._fsync != "none":
                self._sync_files()
        self._tell_failure()
        return self.durable_seq

    def close(self, *, end: bool = True) -> None:
        """
        Write the records that wait, make them durable, and close the file; again is fine.

        Args:
            end: Whether to write first that this is the end.
        """
        if self._is_closed:
            return
        buffer = self.buffer
        seq = buffer.last_seq + 1 if self._is_copy else buffer.next_seq()
        self._is_closed = True
        buffer.close()
        if end and not self._has_end:
            buffer.pass_seq(seq)
        if self._owns_syncer:
            self._syncer.stop()
        with self._holding:
            self._write_out()
            self._close_gap(seq - 1)
            if end and not self._has_end:
                self._write_end(seq)
            if self._fsync != "none":
                self._sync_files()
            self._abandon()
            self._is_over = True
        buffer.clear()
        self._tell_failure()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<JournalWriter {str(self.path)!r}, {self.buffer.last_seq} records>"

    def _note(self) -> None:
        """Have the thread write what waits."""
        self._syncer.note(self)

    def _note_full(self) -> None:
        """Tell, once, that records don't fit into the buffer."""
        if not self._is_failing:
            self._is_failing = True
            self._failure = self._failure_of("the file can't keep up")
            self._tell_failure()

    # --- writing, for the one who holds the file --------------------------------------------

    def _write_out(self) -> None:
        """Write the records that wait."""
        if self._is_over:
            return
        buffer = self.buffer
        waiting = buffer.begin_taking()
        if self._gap is not None:
            self._lose_all()
            buffer.free(waiting)
            self._resume(self._gap)
            return
        size = self._copied_bytes if self._is_copy else waiting
        entries = self._copied if self._is_copy else buffer.take(self._written_seq + 1)
        self._copied, self._copied_bytes = [], 0
        try:
            self._write_entries(entries, size)
        except (OSError, JournalError) as exc:
            self._fail(exc)
            return
        finally:
            buffer.free(waiting)
        if buffer.settle(self._written_seq):
            self._is_failing = False
        if self._is_full():
            self._rotate()

    def _write_entries(self, entries: list[Entry], size: int) -> None:
        """Write records of so many bytes as batches."""
        if entries and self._segment is None:
            self._create()
        limit = 1 if self._fsync == "every" else _BATCH_RECORDS
        if size > _BATCH_BYTES and limit > 1:  # as many as fit, if they are much the same
            limit = max(1, min(limit, len(entries) * _BATCH_BYTES * 7 // (8 * size)))
        for start in range(0, len(entries), limit):
            part = entries[start : start + limit]
            try:
                self._write_batch(part)
            except Gone as exc:
                self._go_on_elsewhere(exc)
                self._write_batch([entry for entry in part if entry[1] > self._written_seq])
            if limit == 1:
                self._sync_files()

    def _write_batch(self, entries: list[Entry]) -> None:
        """Write one batch; two halves of it if it is large."""
        if not entries:
            return
        segment = self._present()
        base_ns = max(self._written_ns, entries[0][2])
        new = self.buffer.take_names()
        payload = self._encode(entries, base_ns, segment.names_with(new))
        if len(payload) > _BATCH_BYTES and len(entries) > 1:
            self.buffer.return_names(new)
            middle = len(entries) // 2
            self._write_batch(entries[:middle])
            self._write_batch(entries[middle:])
            return
        try:
            segment.check(self._written_seq)
            segment.append(payload, new)
        except OSError:
            self.buffer.return_names(new)
            raise
        self._names.extend(new)
        last = entries[-1]
        self._written_seq = last[1]
        self._written_ns = max(base_ns, last[2])
        self._is_behind = True

    def _present(self) -> OpenSegment:
        """Return the present file."""
        assert self._segment is not None
        return self._segment

    def _encode(self, entries: list[Entry], base_ns: int, names: list[tuple[int, Any]]) -> bytes:
        """Return the payload of a batch; a record that can't be written has its defaults."""
        names_at = self._present().names_at
        head = entries[0][1], base_ns, self._wall_at(base_ns), names_at, names
        try:
            payload = encode_batch(*head, entries)
            if len(payload) <= MAX_PAYLOAD_BYTES or len(entries) > 1:
                return payload
        except Exception:  # noqa: BLE001  # whatever is in there isn't of our making
            pass
        return encode_batch(*head, [encodable(entry) for entry in entries])

    def _wall_at(self, mono_ns: int) -> int:
        """Return the time of day at a time of the monotonic clock."""
        if self._is_copy:
            return mono_ns + self._copied_wall
        return self._wall_ns() - self.clock_ns() + mono_ns

    def _write_end(self, seq: int) -> None:
        """Write the last record, and all names that were written only once."""
        try:
            if self._segment is None:
                self._create()
            self._look_closely()
            segment = self._present()
            now = max(self._written_ns, self.clock_ns())
            names, entry = segment.names_again(), (EndRecord.kind, seq, now, 0, 0)
            segment.append(
                encode_batch(seq, now, self._wall_at(now), segment.names_at, names, (entry,))
            )
            self._written_seq = seq
            self._is_behind = True
        except (OSError, JournalError) as exc:
            self._fail(exc)

    # --- segments ---

    def _create(self) -> None:
        """Begin a new segment."""
        number = self._number + 1
        if number == 1 and self._choose is not None:
            try:
                self.path = self._choose(self.path)
            except OSError as exc:  # no more files may be open
                raise write_error(self.path, exc) from exc
        elif number == 1 and not self._overwrite and self._exists():
            msg = f"{self.path} exists, and a journal is never overwritten; choose another name."
            raise JournalWriteError(msg, path=str(self.path))
        while number > 1 and os.path.lexists(segment_path(self.path, number)):
            number += 1  # it isn't ours, and mustn't keep us from going on
        path = segment_path(self.path, number)
        marker = make_marker()
        head = file_header(marker, self._header.creator)
        header = self._next_header(number)
        entry = entry_of(header, self.buffer.number_of)
        retired = self.buffer.retired_names(self._written_seq)
        self._names = names = [name for name in self._names if name[0] not in retired]
        payload = encode_batch(header.first_seq, header.mono_ns, header.wall_ns, 0, names, (entry,))
        head += make_batch(payload, marker, len(head))
        self._segment = OpenSegment(
            path,
            marker,
            head,
            first_seq=header.first_seq,
            began_ns=self.clock_ns(),
            has_names=bool(names),
            replaces=number == 1 and self._overwrite,
            now_ns=_now_ns,
        )
        self._number = number
        self._is_folder_durable = False
        self._is_behind = True

    def _exists(self) -> bool:
        try:
            return os.path.lexists(self.path) or bool(segment_paths(self.path))
        except OSError as exc:  # no more files may be open, or its name is too long
            raise write_error(self.path, exc) from exc

    def _next_header(self, number: int) -> HeaderRecord:
        now = max(self._written_ns, self.clock_ns())
        mono_ns, wall_ns = now, self._wall_at(now)
        if number == 1:
            mono_ns, wall_ns = self._header.mono_ns or mono_ns, self._header.wall_ns or wall_ns
        return attrs.evolve(
            self._header,
            segment=number,
            first_seq=self._written_seq + 1,
            mono_ns=mono_ns,
            wall_ns=wall_ns,
            sender=None,
        )

    def _is_full(self) -> bool:
        segment = self._segment
        if segment is None or self._written_seq < segment.first_seq:
            return False
        if segment.size >= self._segment_bytes:
            return True
        age_ns = self.clock_ns() - segment.began_ns
        return self._segment_ns is not None and age_ns >= self._segment_ns

    def _rotate(self) -> None:
        full = self._present()
        try:
            self._create()
        except OSError as exc:  # the present one still works
            self._segment_bytes = 2 * max(self._segment_bytes, full.size)
            logger.warning("a segment could not be begun", extra={"reason": str(exc)})
        else:
            self._retire(full)

    def _retire(self, segment: OpenSegment) -> None:
        if self._fsync == "none":
            segment.close()
        else:
            self._retired.append(segment)

    def _abandon(self) -> None:
        """Write to the present file no more."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
        if self._is_closed:
            for segment in self._retired:
                segment.close()
            self._retired.clear()

    # --- making durable ---

    def _sync_files(self) -> None:
        """Make all that was written durable, or tell that it isn't."""
        if self._gap is not None or (self._segment is None and not self._retired):
            return
        try:
            self._look_closely()
            while self._retired:
                self._retired[0].sync()
                self._retired.pop(0).close()
            if self._segment is not None:
                self._segment.sync()
            if not self._is_folder_durable:
                sync_folder(self.path.parent)
                self._is_folder_durable = True
        except OSError as exc:
            # The records are there, and may be gone after a power failure: not durable yet.
            self._note_failure(reason_of(exc), exc, "made durable")
            return
        if self._gap is None:
            self._durable_seq = self._written_seq
            self._is_behind = False
            if not self.buffer.has_lost:
                self._is_failing = False

    def _look_closely(self) -> None:
        """Check that the file is as it was written, in its place; else go on in another one."""
        segment = self._segment
        if segment is None:
            return
        try:
            segment.check(self._written_seq)
            segment.check_name()
        except Gone as exc:
            try:
                self._go_on_elsewhere(exc)
            except (OSError, JournalError) as failure:
                self._fail(failure)

    # --- failures ---

    def _failure_of(self, reason: str, done: str = "recorded") -> JournalWriteError:
        path = str(self.path if self._number < 2 else segment_path(self.path, self._number))
        msg = f"Nothing is {done} to {path} for the moment: {reason}."
        return JournalWriteError(msg, path=path)

    def _note_failure(self, reason: str, exc: BaseException, done: str = "recorded") -> None:
        if not self._is_failing:
            self._is_failing = True
            self._failure = self._failure_of(reason, done)
            self._failure.__cause__ = cause_of(exc)

    def _fail(self, exc: Exception) -> None:
        """Lose the records that could not be written, and those that come until it works."""
        if self._segment is not None:
            self._cut_back(exc, self._segment)
        reason = reason_of(exc)
        first = self._gone_seq or self._written_seq + 1
        self._gone_seq = 0
        self._gap = _Gap(first, reason, _now_ns() + _RETRY_NS)
        self._gap_seq = max(self._written_seq, self.buffer.last_seq)
        self.buffer.losses += 1
        self._note_failure(reason, exc)

    def _go_on_elsewhere(self, gone: Gone) -> None:
        """
        Leave a file that another program has changed as it is, and begin another segment.

        Raises:
            OSError: That can't be done.
        """
        left, self._segment = self._present(), None
        left.close()
        if not os.path.lexists(left.path):  # then the next one may have its name
            self._number -= 1
        first, last = gone.last_seq + 1, self._written_seq
        if first > last:
            self._create()
            return
        self.buffer.losses += 1
        self._gone_seq = first  # until the gap is written
        self._note_failure(gone.reason, gone)
        self._written_seq = first - 1
        try:
            self._create()
        finally:
            self._written_seq = last
        self._write_gap(_Gap(first, gone.reason, 0), last)
        self._gone_seq = 0

    def _lose_all(self) -> None:
        """Lose the records that wait, while nothing can be written."""
        copied = [entry[1] for entry in self._copied]
        self._gap_seq = max(self._gap_seq, self.buffer.drop_all(), *copied)
        self._copied, self._copied_bytes = [], 0

    def _cut_back(self, exc: Exception, segment: OpenSegment) -> None:
        """Leave no part of a batch in the file; if that can't be done, begin another one."""
        if not isinstance(exc, Gone):  # else they are another program's bytes
            try:
                segment.cut_back()
            except OSError:
                pass
            else:
                return
        self._retire(segment)
        self._segment = None

    def _resume(self, gap: _Gap) -> None:
        """Try whether writing works again, and record the gap."""
        now = _now_ns()
        if now < gap.retry_ns:
            return
        gap.retry_ns = now + _RETRY_NS
        try:
            if self._segment is None:
                self._written_seq = gap.first_seq - 1
                self._create()
            if not self._is_closed:  # else nothing comes after the gap
                self._present().try_room()
            self._write_gap(gap, max(self._gap_seq, gap.first_seq))
        except (OSError, JournalError) as exc:
            if self._segment is not None:
                self._cut_back(exc, self._segment)

    def _close_gap(self, last_seq: int) -> None:
        """Record the records that are missing at the end."""
        if self._gap is None and last_seq > self._written_seq and not self._is_copy:
            self._gap = _Gap(self._written_seq + 1, self.buffer.gap_reason(), 0)
        if self._gap is not None:
            self._gap_seq = max(last_seq, self._gap.first_seq)
            self._gap.retry_ns = 0
            self._resume(self._gap)

    def _write_gap(self, gap: _Gap, last: int) -> None:
        if last >= gap.first_seq:
            now = max(self._written_ns, self.clock_ns())
            entry = gap_entry(gap.first_seq, last, gap.reason, now)
            segment = self._present()
            segment.check(self._written_seq)
            wall_ns = self._wall_at(now)
            segment.append(encode_batch(last, now, wall_ns, segment.names_at, (), (entry,)))
            self._written_seq = last
            self._written_ns = now
        self.buffer.settle(last)
        self._gap = None
        self._is_failing = False
        self._is_behind = True

    def _tell_failure(self) -> None:
        """Tell of a failure, once nothing is held that telling may need."""
        failure, self._failure = self._failure, None
        if failure is not None and self._on_failure is not None:
            self._on_failure(failure)


def _size_of(record: Record) -> int:
    """Return about the bytes that a record takes."""
    data = getattr(record, "data", b"")
    return ENTRY_BYTES + (len(data) if isinstance(data, bytes) else 0)


def _forget_all() -> None:
    """Write nothing in a process that was forked off: the files are the other one's."""
    for writer in tuple(_open_writers):
        writer._is_closed = True  # noqa: SLF001  # this module's
        writer.buffer.close()
        writer.buffer.clear()
        writer._segment = None  # noqa: SLF001  # as above; its copy of the handle is left open


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
