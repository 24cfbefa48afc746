"""
The files of a journal, each by itself: its ends, its batches from any place, a place by bisection.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator, Iterator
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from ..exceptions import JournalDamaged, JournalTooNew, JournalTooOld, NotAJournal
from ._assembly import header_in
from ._batches import BatchHead, head_of, names_of
from ._format import (
    BATCH_HEADER_BYTES,
    FILE_HEADER_BYTES,
    bytes_needed,
    read_batch,
    read_file_header,
    split_batches,
)
from ._records import HeaderRecord

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

# Bytes that are read at once, in order; and where few will do.
_CHUNK: Final = 1 << 20
_WINDOW: Final = 1 << 16
# Bytes in which each name is written twice; see `eventbus.journal._writer`.
_NAMES_WITHIN: Final = 1 << 18


@attrs.frozen
class TornTail:
    """
    The end of a segment after a crash: a batch of records that is cut short.

    Attributes:
        path: The segment's file.
        offset: The offset of the batch in it.
        size: The number of its bytes.
    """

    path: str
    offset: int
    size: int


def path_of(given: object, function: str) -> Path:
    """
    Return the argument *path* of a function.

    Raises:
        TypeError: It is not a path.
    """
    if isinstance(given, (str, os.PathLike)):
        return Path(given)
    msg = f"{function}() takes the path of a journal, a text or a Path; not {given!r}."
    raise TypeError(msg)


def segment_path(path: Path, number: int) -> Path:
    """Return the path of segment *number* of the journal that begins at *path*."""
    return path if number == 1 else path.with_name(f"{path.stem}.{number:05}{path.suffix}")


def segment_paths(path: str | os.PathLike[str]) -> list[Path]:
    """Return the files of the journal that begins at *path*, in order; there may be none."""
    base = Path(path)
    start, end = f"{base.stem}.", base.suffix
    numbered: dict[int, Path] = {}
    for name in _names_in(base.parent):
        if name.startswith(start) and name.endswith(end):
            number = name[len(start) : len(name) - len(end)]
            if _is_number(number):
                numbered[int(number)] = base.with_name(name)
    first = [base] if base.exists() else []
    return first + [numbered[number] for number in sorted(numbered)]


class JournalNames:
    """
    Tells which names journals have, of many in the same folders.

    A folder is listed once: with a hundred thousand files, that takes tens of milliseconds. So
    later segments whose first two are gone are found only if they were there by then.
    """

    def __init__(self) -> None:
        self._later: dict[Path, set[str]] = {}

    def has(self, path: Path) -> bool:
        """Return whether a journal begins at *path*, or has later segments for it."""
        if os.path.lexists(path) or os.path.lexists(segment_path(path, 2)):
            return True
        folder = path.parent
        if folder not in self._later:
            self._later[folder] = {
                first for name in _names_in(folder) for first in _first_names(name)
            }
        return path.name in self._later[folder]


def _names_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder; none if it isn't one."""
    # No Path for each of a hundred thousand.
    return os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208


def _is_number(text: str) -> bool:
    """Return whether a part of a name is the number of a segment."""
    return len(text) >= 5 and text.isascii() and text.isdecimal()  # as `segment_path` writes it


def _first_names(name: str) -> Iterator[str]:
    """Yield the names that a journal may have whose later segment has this one."""
    rest, _, last = name.rpartition(".")
    stem, _, number = rest.rpartition(".")
    if _is_number(last):
        yield rest
    if _is_number(number):
        yield f"{stem}.{last}"


class SegmentFile:
    """
    One segment, open for reading.

    Args:
        path: Its file.
        marker: The segment's.
    """

    def __init__(self, path: Path, marker: bytes) -> None:
        self._file: FileIO = path.open("rb", buffering=0)
        self._marker = marker

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def size(self) -> int:
        """The number of bytes it has by now."""
        return os.fstat(self._file.fileno()).st_size

    def read_at(self, offset: int, count: int) -> bytes:
        """Return *count* bytes from *offset* on, or as many as there are."""
        self._file.seek(offset)
        parts = []
        while count > 0 and (part := self._file.read(count)):
            parts.append(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def batch_at(self, offset: int) -> bytes | None:
        """Return the payload of the batch at *offset*, if a whole one is there."""
        head = self.read_at(offset, BATCH_HEADER_BYTES)
        needed = bytes_needed(head, 0, self._marker)
        if not needed or offset + needed > self.size:
            return None
        return read_batch(self.read_at(offset, needed), 0, offset, self._marker)

    def walk(
        self, offset: int, chunk: int = _CHUNK
    ) -> Generator[tuple[int, list[bytes]], None, int]:
        """
        Yield payloads from *offset* on, many at a time, each time after the offset of the first.

        Args:
            chunk: The number of bytes that are read at once.

        Returns:
            The offset at which no whole batch is; it may be the end.
        """
        while True:
            data = self.read_at(offset, chunk)
            payloads, length = split_batches(data, offset, self._marker)
            if not payloads:  # what begins here is longer than the chunk, or isn't whole
                long = self.batch_at(offset) if len(data) == chunk else None
                if long is None:
                    return offset
                payloads, length = [long], BATCH_HEADER_BYTES + len(long)
            yield offset, payloads
            offset += length

    def places(self, start: int) -> Iterator[tuple[int, bytes]]:
        """Yield all payloads from *start* on, which may be anywhere, each after its offset."""
        found = self.find(start)
        while found is not None:
            walk = self.walk(found, _WINDOW)
            while True:
                try:
                    offset, payloads = next(walk)
                except StopIteration as stop:
                    found = self.find(stop.value + 1)
                    break
                for payload in payloads:
                    yield offset, payload
                    offset += BATCH_HEADER_BYTES + len(payload)

    def find(self, offset: int, stop: int | None = None) -> int | None:
        """Return the offset of the first whole batch at *offset* or later, before *stop*."""
        end = self.size if stop is None else stop
        while offset < end:
            data = self.read_at(offset, _WINDOW)
            if not data.strip(b"\0"):  # a hole, which may be huge: see where it ends
                offset = self._data_after(offset, len(data))
                continue
            place = data.find(self._marker)
            if place < 0:  # the marker may lie across the end
                offset += max(1, len(data) - len(self._marker) + 1)
            elif offset + place < end and self.batch_at(offset + place) is not None:
                return offset + place
            else:
                offset += place + 1
        return None

    def _data_after(self, offset: int, count: int) -> int:
        """Return an offset behind *count* zeros, before which there is nothing but zeros."""
        behind = offset + max(1, count - len(self._marker) + 1)
        seek_data = getattr(os, "SEEK_DATA", None)
        if seek_data is None:
            return behind
        try:
            found = os.lseek(self._file.fileno(), offset + count, seek_data)
        except OSError as exc:  # there are no more data, or the filesystem can't tell
            return self.size if exc.errno == errno.ENXIO else behind
        return max(behind, found - len(self._marker) + 1)


@attrs.frozen
class Segment:
    """
    One file of a journal.

    Attributes:
        path: The file.
        marker: The first bytes of its batches.
        header: Its first record; None if that is damaged.
    """

    path: Path
    marker: bytes
    header: HeaderRecord | None = None
    # The names that were looked for, and those beside them; a number has one value in a segment.
    _names: dict[int, object] = attrs.field(factory=dict, init=False, eq=False, repr=False)

    @classmethod
    def open(cls, path: Path) -> Self:
        """
        Look at the beginning of the file at *path*.

        Raises:
            JournalEmpty, NotAJournal, JournalTooNew, JournalTooOld, JournalDamaged: As
                `read_file_header` does.
        """
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # to open a pipe may take forever
            msg = f"{path} is not a file, and a journal can't be read from a pipe or a device."
            raise NotAJournal(msg, path=str(path))
        with path.open("rb") as file:
            head = file.read(_WINDOW)
        return cls.of(path, read_file_header(head, str(path)), head)

    @classmethod
    def open_damaged(cls, path: Path, marker: bytes) -> Self:
        """Look at the beginning of the file at *path*, whose own file header is damaged."""
        with path.open("rb") as file:
            return cls.of(path, marker, file.read(_WINDOW))

    @classmethod
    def of(cls, path: Path, marker: bytes, head: bytes) -> Self:
        """Return the segment that begins with *head*, and has that *marker*."""
        payload = read_batch(head, FILE_HEADER_BYTES, 0, marker)
        if payload is None and len(head) == _WINDOW:  # the header of a later one has all names
            with SegmentFile(path, marker) as file:
                payload = file.batch_at(FILE_HEADER_BYTES)
        return cls(path, marker, None if payload is None else header_in(payload))

    def reading(self) -> SegmentFile:
        """Open it, as a context manager."""
        return SegmentFile(self.path, self.marker)

    @property
    def size(self) -> int:
        """The number of its bytes; 0 if it was deleted."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def is_begun(self) -> bool:
        """Whether its first batch is whole, or any after that."""
        if self.header is not None:
            return True
        with self.reading() as file:
            return file.find(FILE_HEADER_BYTES) is not None

    def first(self, key: Callable[[BatchHead], int]) -> int | None:
        """Return the *key* of the first batch that isn't the header."""
        head = self.first_batch()
        return None if head is None else key(head)

    def first_batch(self) -> BatchHead | None:
        """Return the first batch that isn't the header, by its head."""
        with self.reading() as file:
            for offset, payload in file.places(FILE_HEADER_BYTES):
                head = head_of(payload)
                if head is not None and (offset > FILE_HEADER_BYTES or self.header is None):
                    return head
        return None

    def locate(self, wanted: int, key: Callable[[BatchHead], int]) -> int:
        """
        Return the offset of the last batch whose *key* is less than *wanted*, or of the first one.

        It takes as many looks as the file's size has bits.

        Args:
            wanted: A record's number or time.
            key: Of a batch, the number or the time of its first record.
        """
        with self.reading() as file:
            low, high = FILE_HEADER_BYTES, file.size
            while high - low > _WINDOW:
                middle = (low + high) // 2
                found = file.find(middle, high)
                payload = None if found is None else file.batch_at(found)
                head = None if payload is None else head_of(payload)
                if found is None or head is None or key(head) >= wanted:
                    high = middle
                else:
                    low = found
            place = low
            for offset, payload in file.places(low):
                head = head_of(payload)
                if head is not None and key(head) >= wanted:
                    break
                place = offset
            return place

    def read_end(self) -> tuple[int, bytes | None, TornTail | None]:
        """Return offset and payload of the last whole batch, and the torn tail after it."""
        with self.reading() as file:
            size, window = file.size, _WINDOW
            while True:
                start = max(FILE_HEADER_BYTES, size - window)
                places = list(file.places(start))
                if places or start == FILE_HEADER_BYTES:
                    break
                window *= 8
        offset, payload = places[-1] if places else (FILE_HEADER_BYTES, None)
        end = offset if payload is None else offset + BATCH_HEADER_BYTES + len(payload)
        tail = TornTail(str(self.path), end, size - end) if end < size else None
        return offset, payload, tail

    def find_name(self, number: int, offset: int) -> object:
        """
        Return the value of a name that is used at *offset*, from the batches before; else None.

        If one of those is damaged, the name may have been written again, before or behind.
        """
        if number in self._names:
            return self._names[number]
        with self.reading() as file:
            place = offset
            while place >= FILE_HEADER_BYTES:
                payload = file.batch_at(place)
                if payload is None:
                    break
                before, names = names_of(payload)
                self._names.update(names)
                if number in self._names:
                    return self._names[number]
                if not before or before >= place:
                    break
                place = before
            for place, payload in file.places(FILE_HEADER_BYTES):
                found = _value_in(names_of(payload)[1], number)
                if found is not None or place > offset + _NAMES_WITHIN:
                    return found
        return None


def _value_in(names: list[tuple[int, object]], number: int) -> object:
    return next((value for each, value in names if each == number), None)


def damage_at(path: Path, offset: int, resume_at: int) -> JournalDamaged:
    """Return the error of a file that has no whole batch from *offset* to *resume_at*."""
    msg = (
        f"{path} is damaged at offset {offset}: the next undamaged records begin at {resume_at}. "
        f"To read on from there, give open_journal an on_damage."
    )
    return JournalDamaged(msg, path=str(path), offset=offset, resume_at=resume_at)


def bad_record_at(path: Path, offset: int, resume_at: int, problem: str) -> JournalDamaged:
    """Return the error of a record in the batch at *offset* that has wrong fields."""
    told = f"{path} is damaged at offset {offset}: {problem}."
    msg = f"{told} To read on from there, give open_journal an on_damage."
    return JournalDamaged(msg, path=str(path), offset=offset, resume_at=resume_at, problem=told)


def hole_before(path: Path, last_seq: int, first_seq: int) -> JournalDamaged:
    """Return the error of records that are missing before the segment at *path*."""
    problem = (
        f"{path} begins with record {first_seq}, and the one before is {last_seq}. A segment was "
        f"deleted, emptied or cut short."
    )
    msg = f"{problem} To read on from there, give open_journal an on_damage."
    return JournalDamaged(
        msg, path=str(path), offset=0, resume_at=FILE_HEADER_BYTES, problem=problem
    )


def segment_of_another(path: Path, header: HeaderRecord, journal: Path) -> JournalDamaged:
    """Return the error of a file with that *header* which isn't of the journal at *journal*."""
    problem = (
        f"{path} belongs to another journal than the files of {journal} before it, and isn't read "
        f"with them. Move it to another folder; by its own name it can be read where it is."
    )
    msg = f"{problem} To read without it, give open_journal an on_damage."
    return JournalDamaged(
        msg, path=str(path), offset=0, problem=problem, journal_id=header.journal_id
    )


def no_segment(
    path: Path, journal: Path, error: NotAJournal | JournalTooNew | JournalTooOld
) -> JournalDamaged:
    """Return the error of a file that lies where a segment of *journal* may, and can't be read."""
    reason = (
        "it doesn't begin like a journal"
        if isinstance(error, NotAJournal)
        else f"it has version {error.version} of the journal format"
    )
    problem = (
        f"{path} isn't read as a segment of {journal}: {reason}. If it belongs to something else, "
        f"move it to another folder."
    )
    msg = f"{problem} To read without it, give open_journal an on_damage."
    return JournalDamaged(msg, path=str(path), offset=0, problem=problem)
