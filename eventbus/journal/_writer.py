"""
Writing a journal: records into files, in batches, made durable by a policy.

Rules
-----

* What is appended is in memory until it is flushed. `JournalWriter.flush` writes all of it with
  one call of the system, and never waits for a disk that is being synced: then the thread that
  syncs writes it, too.
* A journal is never overwritten, and readable for its owner only (mode 0600).
* Nothing that goes wrong with a file is raised at who appends. What can't be written is lost and
  counted: the sequence goes on. Once writing works again, a `GapRecord` says what is missing.
* Memory is bounded: where the file can't keep up, records are lost in the same way.
* The file is that of the process that has begun it: one that is forked off writes nothing.

How a failure is dealt with. The file is cut back to the last whole record. If that can't be done,
or the file is gone, a new segment is begun, which is named as the lost one was if that is gone.
It is tried once a second, by the thread if there is one. A full disk may have room for the record
of a gap, and for nothing else; so it is tried with more than that, which is cut off again.
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import msgspec

from ..exceptions import JournalWriteError
from ._format import (
    MAX_PAYLOAD_BYTES,
    file_header,
    join_records,
    make_marker,
)
from ._fsync import FsyncPolicy, Syncer
from ._records import EndRecord, GapRecord, HeaderRecord, Record, encode_record
from ._segments import segment_path, segment_paths

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["JournalWriter"]

logger = logging.getLogger(__name__)

_BATCH: Final = 512  # records are written at once, without waiting for the end of the tick
_MAX_WAITING: Final = 1 << 16
_COMMON: Final = 6  # elements that all records have
_RETRY_NS: Final = 1_000_000_000
_LOOK_NS: Final = 500_000_000
_ROOM: Final = bytes(1 << 18)  # that much must fit before anything is written after a failure
_NEW: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)

_encode: Final = msgspec.msgpack.Encoder().encode


@functools.cache
def creator() -> str:
    """Return what a header names as the program that wrote it."""
    try:
        return f"eventbus {version('eventbus')}"
    except PackageNotFoundError:  # it runs from a checkout
        return "eventbus"


@attrs.define
class _Gap:
    """Records that are being lost: from which one on, why, and when to try again."""

    first_seq: int
    reason: str
    retry_ns: int


class JournalWriter:
    """
    Writes one journal; from any thread.

    Args:
        path: The first segment; others are put beside it, as ``name.00002.suffix``.
        header: What the headers are to say of what is recorded; their times, numbers and ids
            are the writer's business, unless this one has a journal's id.
        fsync: When it is made durable.
        segment_bytes: A segment that is longer is the last but one.
        segment_seconds: So is one that is older; None for any age.
        clock_ns: The monotonic clock.
        wall_ns: The time of day, in nanoseconds since the epoch.
        syncer: What makes it durable; one of its own, unless it is shared.
        on_failure: Called when writing begins to fail, once until it works again; in any thread.
        rewrite: Called with the kind and the fields of a record that can't be encoded, or is too
            long, when it is written; returns those of one that can be. By default that is one
            with defaults.
        on_waiting: Called when something waits to be written, and nothing did before; and with
            each record that is being lost.
        must_open: Whether the file must be there in the end; else it is tried again later.

    Raises:
        JournalWriteError: The file can't be created, or there is one, and it must be there.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        header: HeaderRecord | None = None,
        fsync: FsyncPolicy = "interval",
        segment_bytes: int = 1 << 28,
        segment_seconds: float | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
        syncer: Syncer | None = None,
        on_failure: Callable[[JournalWriteError], object] | None = None,
        on_waiting: Callable[[], object] | None = None,
        must_open: bool = True,
        rewrite: Callable[[list[Any]], list[Any]] = lambda record: record[:_COMMON],
    ) -> None:
        if fsync not in ("interval", "group", "every", "none"):
            msg = f"fsync= is 'interval', 'group', 'every' or 'none', not {fsync!r}."
            raise ValueError(msg)
        self.path = Path(path)
        self._fsync = fsync
        self._limit = 1 if fsync == "every" else _BATCH
        self._segment_bytes = segment_bytes
        self._segment_ns = None if segment_seconds is None else round(segment_seconds * 1e9)
        self._clock_ns = clock_ns
        self._wall_ns = wall_ns
        self._owns_syncer = syncer is None
        self._syncer = syncer or Syncer(0 if fsync == "group" else 0.05)
        self._on_failure = on_failure
        self._on_waiting = on_waiting
        self._rewrite = rewrite
        template = header or HeaderRecord()
        self._header = attrs.evolve(
            template,
            journal_id=template.journal_id or uuid.uuid4().hex,
            creator=template.creator or creator(),
        )

        # What is to be written: records by their fields, or their payloads; under the lock.
        self._lock = threading.Lock()
        self._waiting: list[list[Any] | bytes] = []
        self._is_much = self._limit  # as many as that are written early
        self._seq = 0
        self._last_ns = 0
        self._gap: _Gap | None = None
        self._failure: JournalWriteError | None = None
        self._last_was_end = False

        # The file, and how far it has been written and made durable; for who holds the file.
        self._holding = threading.Lock()
        self._fd = -1
        self._file_path = self.path
        self._number = 0
        self._marker = b""
        self._segment_first_seq = 1
        self._segment_began_ns = 0
        self._written = 0
        self._written_seq = 0
        self._durable = 0
        self._durable_seq = 0
        self._retired: list[int] = []
        self._is_name_durable = False
        self._looked_ns = 0
        self._is_closed = False
        self._process = os.getpid()
        try:
            self._create()
        except JournalWriteError as exc:
            if must_open:
                raise
            # Told by the first flush, when whoever made this has it.
            self._begin_gap(1, getattr(exc.__cause__, "strerror", None) or str(exc))

    # --- what was written -----------------------------------------------------------------

    @property
    def last_seq(self) -> int:
        """The number of the last record that was appended."""
        return self._seq

    @property
    def durable_seq(self) -> int:
        """Up to which record all is as durable as the policy makes it, gaps apart."""
        return self._written_seq if self._fsync == "none" else self._durable_seq

    # --- appending ------------------------------------------------------------------------

    def append(self, kind: int, sender: str | int | None, cause: int, *fields: Any) -> int:
        """
        Append a record of now; return its number.

        Args:
            kind, sender, cause, fields: As in `eventbus.journal._records`; the fields in order,
                those at the end that have their defaults may be left out.
        """
        return self.append_list([kind, 0, 0, 0, sender, cause, *fields])

    def append_list(self, record: list[Any]) -> int:
        """
        Do what `append` does, in less time.

        Args:
            record: The elements of the record's array. Its number and times are filled in here,
                and the list is kept until it is written.
        """
        with self._lock:
            self._seq = seq = self._seq + 1
            if self._gap is None:
                now = self._clock_ns()
                if now < self._last_ns:  # noqa: PLR1730  # max() is a call, too
                    now = self._last_ns
                self._last_ns = now
                record[1], record[2], record[3] = seq, now, self._wall_ns()
                self._waiting.append(record)
            waiting = len(self._waiting)
        if waiting < 2 and self._on_waiting is not None:
            self._on_waiting()
        if waiting >= self._is_much:
            self._write_early()
        return seq

    def write(self, record: Record) -> None:
        """
        Append *record* with the number and times that it has: a copy, not news.

        Raises:
            ValueError: It is longer than any record may be.
        """
        payload = encode_record(record)
        if len(payload) > MAX_PAYLOAD_BYTES:
            msg = f"Record {record.seq} has {len(payload)} bytes, more than {MAX_PAYLOAD_BYTES}."
            raise ValueError(msg)
        with self._lock:
            self._seq = max(self._seq, record.seq)
            self._last_ns = max(self._last_ns, record.mono_ns)
            self._last_was_end = isinstance(record, EndRecord)
            if self._gap is not None:
                return
            self._waiting.append(payload)
        if len(self._waiting) >= self._is_much:
            self._write_early()

    def _now(self) -> int:
        """Return the time; never less than before."""
        self._last_ns = max(self._last_ns, self._clock_ns())
        return self._last_ns

    def _write_early(self) -> None:
        """Write what waits, as it is too much to wait any longer."""
        if self._fsync == "every":
            self.sync()
        else:
            self.flush()
            waiting = len(self._waiting)  # still, if the thread is at work on the file
            self._is_much = waiting + self._limit
            if waiting >= _MAX_WAITING:
                self._begin_gap(self._seq + 1, "the file can't keep up")

    # --- writing --------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what waits; leave it to the thread, if that is at work on the file."""
        if self._is_elsewhere():
            return
        if self._holding.acquire(blocking=False):
            try:
                self._write_out()
            finally:
                self._holding.release()
        self._tell_failure()
        if self._waiting or self._gap is not None or self._is_behind:
            self._syncer.note(self)

    def sync(self) -> int:
        """
        Write what waits, and make it durable by the policy; waits for the disk.

        Returns:
            Up to which record all is durable.
        """
        if self._is_elsewhere():
            return self.durable_seq
        with self._holding:
            self._write_out()
            if self._gap is not None:
                self._resume(self._gap)
            if self._fsync != "none":
                self._sync_files()
        self._tell_failure()
        if (self._waiting or self._gap is not None) and not self._is_closed:
            self._syncer.note(self)
        return self.durable_seq

    def close(self, *, end: bool = True) -> None:
        """
        Write what waits, make it durable, and close the file; again is fine.

        Args:
            end: Whether to write first that this is the end.
        """
        if self._is_closed or self._is_elsewhere():
            return
        if end and not self._last_was_end:
            self.append(EndRecord.kind, None, 0)
        self._is_closed = True
        if self._owns_syncer:
            self._syncer.stop()
        if self._gap is not None:
            self._gap.retry_ns = 0
        self.sync()
        with self._holding:
            self._abandon()
        with self._lock:  # a handler may end, or a task send, after that: it isn't recorded
            self._waiting.clear()
            self._gap = _Gap(self._seq + 1, "closed", sys.maxsize)

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
        return f"<JournalWriter {str(self.path)!r}, {self._seq} records>"

    def _is_elsewhere(self) -> bool:
        """Whether this is another process, that was forked off; then nothing waits any more."""
        is_elsewhere = os.getpid() != self._process
        if is_elsewhere:  # before any lock: what has held it isn't here
            self._waiting.clear()
        return is_elsewhere

    # What follows is for who holds the file.

    @property
    def _is_behind(self) -> bool:
        return self._fsync != "none" and self._durable_seq < self._written_seq

    def _write_out(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._is_much = self._limit
            seq = self._seq if self._gap is None else self._gap.first_seq - 1
        if waiting:
            data = self._join(waiting)
            try:
                self._look()
                _write_all(self._fd, data)
            except OSError as exc:
                self._fail(exc)
                return
            self._written += len(data)
            self._written_seq = seq
        if self._gap is None and self._is_full():
            self._rotate()

    def _join(self, records: list[list[Any] | bytes]) -> bytes:
        """Return the bytes of *records*, to be written at the end of the file."""
        try:
            payloads = [r if type(r) is bytes else _encode(r) for r in records]
        except Exception:  # noqa: BLE001  # whatever is in there isn't of our making
            payloads = []
        if not payloads or max(map(len, payloads)) > MAX_PAYLOAD_BYTES:
            payloads = [r if isinstance(r, bytes) else self._encode(r) for r in records]
        return join_records(payloads, self._marker, self._written)

    def _encode(self, record: list[Any]) -> bytes:
        """Return the payload of *record*; or of what can be written of it."""
        try:
            payload = _encode(record)
            if len(payload) <= MAX_PAYLOAD_BYTES:
                return payload
        except Exception:  # noqa: BLE001  # whatever is in there isn't of our making
            pass
        return _encode(self._rewrite(record))

    def _look(self) -> None:
        """
        Look from time to time whether the file still is where others will look for it.

        Raises:
            FileNotFoundError: It isn't; writing to it would succeed all the same.
        """
        now = self._clock_ns()
        if now - self._looked_ns < _LOOK_NS:
            return
        self._looked_ns = now
        if not os.path.samestat(self._file_path.stat(), os.fstat(self._fd)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._file_path))

    def _sync_files(self) -> None:
        try:
            while self._retired:
                os.fsync(self._retired[-1])
                os.close(self._retired.pop())
            if self._fd >= 0 and self._durable < self._written:
                os.fsync(self._fd)
            if not self._is_name_durable:
                _sync_folder(self.path.parent)
                self._is_name_durable = True
        except OSError as exc:
            # Nobody knows what has become of what was written since: it counts as lost.
            self._written, self._written_seq = self._durable, self._durable_seq
            self._fail(exc)
            self._abandon()
            return
        self._durable, self._durable_seq = self._written, self._written_seq

    # --- segments ---

    def _create(self) -> None:
        """Begin a new segment."""
        number = self._number + 1
        if number == 1 and self._exists():
            msg = f"{self.path} exists, and a journal is never overwritten; choose another name."
            raise JournalWriteError(msg, path=str(self.path))
        while number > 1 and os.path.lexists(segment_path(self.path, number)):
            number += 1  # it isn't ours, and mustn't keep us from going on
        path = segment_path(self.path, number)
        marker = make_marker()
        payload = encode_record(self._next_header(number))
        head = file_header(marker)
        head += join_records([payload], marker, len(head))
        try:
            fd = os.open(path, _NEW, 0o600)
            try:
                _write_all(fd, head)
            except OSError:
                os.close(fd)
                path.unlink(missing_ok=True)
                raise
        except OSError as exc:
            raise _write_error(path, exc) from exc
        self._fd, self._file_path, self._number, self._marker = fd, path, number, marker
        self._written = len(head)
        self._durable = 0
        self._is_name_durable = False
        self._segment_first_seq = self._written_seq + 1
        self._segment_began_ns = self._looked_ns = self._clock_ns()

    def _exists(self) -> bool:
        try:
            return os.path.lexists(self.path) or bool(segment_paths(self.path))
        except OSError as exc:  # no more files may be open, or its name is too long
            raise _write_error(self.path, exc) from exc

    def _next_header(self, number: int) -> HeaderRecord:
        now, wall = self._now(), self._wall_ns()
        if number > 1:
            return attrs.evolve(
                self._header,
                segment=number,
                first_seq=self._written_seq + 1,
                mono_ns=now,
                wall_ns=wall,
            )
        return attrs.evolve(
            self._header,
            segment=1,
            mono_ns=self._header.mono_ns or now,
            wall_ns=self._header.wall_ns or wall,
        )

    def _is_full(self) -> bool:
        if self._written >= self._segment_bytes:
            return True
        return (
            self._segment_ns is not None
            and self._clock_ns() - self._segment_began_ns >= self._segment_ns
        )

    def _rotate(self) -> None:
        full = self._fd
        try:
            self._create()
        except OSError as exc:  # the present one still works
            self._segment_bytes = 2 * max(self._segment_bytes, self._written)
            logger.warning("a segment could not be begun", extra={"reason": str(exc)})
        else:
            self._retire(full)

    def _retire(self, fd: int) -> None:
        if self._fsync == "none":
            os.close(fd)
        else:
            self._retired.append(fd)

    def _abandon(self) -> None:
        """Write to the present file no more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # --- failures ---

    def _begin_gap(self, first_seq: int, reason: str) -> None:
        with self._lock:
            if self._gap is None:
                self._gap = _Gap(first_seq, reason, self._clock_ns() + _RETRY_NS)
                msg = f"Nothing is recorded to {self._file_path} for the moment: {reason}."
                self._failure = JournalWriteError(msg, path=str(self._file_path))
            self._gap.first_seq = min(self._gap.first_seq, first_seq)

    def _fail(self, exc: OSError) -> None:
        """Lose what could not be written, and what was appended since."""
        is_gone = isinstance(exc, FileNotFoundError)
        self._begin_gap(
            self._segment_first_seq if is_gone else self._written_seq + 1,
            exc.strerror or type(exc).__name__,
        )
        with self._lock:
            self._waiting.clear()
            if self._failure is not None:
                self._failure.__cause__ = exc
        if is_gone:
            self._abandon()
            self._number -= 1
            self._written_seq = self._segment_first_seq - 1  # with which the next one goes on
        else:
            self._cut_back()

    def _cut_back(self) -> None:
        """Leave no part of a record in the file; if that can't be done, begin another one."""
        try:
            os.ftruncate(self._fd, self._written)
            os.lseek(self._fd, self._written, os.SEEK_SET)
        except OSError:
            self._abandon()

    def _resume(self, gap: _Gap) -> None:
        """Try whether writing works again, and say what is missing."""
        now = self._clock_ns()
        if now < gap.retry_ns:
            return
        gap.retry_ns = now + _RETRY_NS
        try:
            if self._fd < 0:
                self._create()
            if not self._is_closed:  # else nothing comes after the gap
                _write_all(self._fd, _ROOM)
                os.ftruncate(self._fd, self._written)
                os.lseek(self._fd, self._written, os.SEEK_SET)
            with self._lock:
                self._write_gap(gap)
        except OSError:
            if self._fd >= 0:
                self._cut_back()

    def _write_gap(self, gap: _Gap) -> None:
        last = self._seq
        record = GapRecord(
            seq=last + 1,
            mono_ns=self._now(),
            wall_ns=self._wall_ns(),
            first_seq=gap.first_seq,
            last_seq=last,
            reason=gap.reason,
        )
        payload = encode_record(record)
        data = join_records([payload], self._marker, self._written)
        _write_all(self._fd, data)
        self._written += len(data)
        self._seq = self._written_seq = last + 1
        self._gap = None

    def _tell_failure(self) -> None:
        """Tell who wants to know, once nothing is held that telling may need."""
        failure, self._failure = self._failure, None
        if failure is not None and self._on_failure is not None:
            self._on_failure(failure)


def _write_all(fd: int, data: bytes) -> None:
    """Write *data*; all of it, or raise `OSError`."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def _sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable, where the system has a way to."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_error(path: Path, exc: OSError) -> JournalWriteError:
    reason = exc.strerror or type(exc).__name__
    msg = f"{path} can't be written: {reason}. Give a path in a folder that is there and has room."
    return JournalWriteError(msg, path=str(path))
