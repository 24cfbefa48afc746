"""
The files of a journal, each by itself: its ends, its records from any place, a place by bisection.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterator
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from ..exceptions import JournalDamaged, JournalTooNew, NotAJournal
from ._format import (
    FILE_HEADER_BYTES,
    RECORD_HEADER_BYTES,
    bytes_needed,
    read_file_header,
    read_record,
    split_records,
)
from ._records import HeaderRecord, Record, decode_record

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Segment", "SegmentFile", "TornTail", "segment_path", "segment_paths"]

# Bytes that are read at once, in order; and where few will do.
_CHUNK: Final = 1 << 20
_WINDOW: Final = 1 << 16


@attrs.frozen
class TornTail:
    """
    What a crash has left at the end of a segment: a record that is cut short.

    Attributes:
        path: The segment's file.
        offset: Where it begins.
        size: How many bytes it has.
    """

    path: str
    offset: int
    size: int


def segment_path(path: Path, number: int) -> Path:
    """Return where segment *number* of the journal that begins at *path* is."""
    return path if number == 1 else path.with_name(f"{path.stem}.{number:05}{path.suffix}")


def segment_paths(path: str | os.PathLike[str]) -> list[Path]:
    """Return the files of the journal that begins at *path*, in order; there may be none."""
    base = Path(path)
    pattern = re.compile(rf"{re.escape(base.stem)}\.(\d{{5,}}){re.escape(base.suffix)}")
    numbered: dict[int, Path] = {}
    if base.parent.is_dir():
        for name in os.listdir(base.parent):  # noqa: PTH208  # no Path for each of ten thousand
            match = pattern.fullmatch(name)
            if match is not None:
                numbered[int(match[1])] = base.with_name(name)
    first = [base] if base.exists() else []
    return first + [numbered[number] for number in sorted(numbered)]


class SegmentFile:
    """
    One segment, open for reading.

    Args:
        path: Where it is.
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
        """How many bytes it has by now."""
        return os.fstat(self._file.fileno()).st_size

    def read_at(self, offset: int, count: int) -> bytes:
        """Return *count* bytes from *offset* on, or as many as there are."""
        self._file.seek(offset)
        parts = []
        while count > 0 and (part := self._file.read(count)):
            parts.append(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def record_at(self, offset: int) -> bytes | None:
        """Return the payload of the record at *offset*, if a whole one is there."""
        head = self.read_at(offset, RECORD_HEADER_BYTES)
        needed = bytes_needed(head, 0, self._marker)
        if not needed or offset + needed > self.size:
            return None
        return read_record(self.read_at(offset, needed), 0, offset, self._marker)

    def walk(
        self, offset: int, chunk: int = _CHUNK
    ) -> Generator[tuple[int, list[bytes]], None, int]:
        """
        Yield payloads from *offset* on, many at a time, each time after the offset of the first.

        Args:
            chunk: How many bytes are read at once.

        Returns:
            The offset at which no whole record is, be it the end.
        """
        while True:
            data = self.read_at(offset, chunk)
            payloads, length = split_records(data, offset, self._marker)
            if not payloads:  # what begins here is longer than the chunk, or isn't whole
                long = self.record_at(offset) if len(data) == chunk else None
                if long is None:
                    return offset
                payloads, length = [long], RECORD_HEADER_BYTES + len(long)
            yield offset, payloads
            offset += length

    def find(self, offset: int, stop: int | None = None) -> int | None:
        """Return where the first whole record begins, at *offset* or later, before *stop*."""
        end = self.size if stop is None else stop
        while offset < end:
            data = self.read_at(offset, _WINDOW)
            place = data.find(self._marker)
            if place < 0:  # the marker may lie across the end
                offset += max(1, len(data) - len(self._marker) + 1)
            elif offset + place < end and self.record_at(offset + place) is not None:
                return offset + place
            else:
                offset += place + 1
        return None


@attrs.frozen
class Segment:
    """
    One file of a journal.

    Attributes:
        path: Where it is.
        marker: What its records begin with.
        header: Its first record; None if that is damaged.
    """

    path: Path
    marker: bytes
    header: HeaderRecord | None = None

    @classmethod
    def open(cls, path: Path) -> Self:
        """
        Look at the beginning of the file at *path*.

        Raises:
            JournalEmpty, NotAJournal, JournalTooNew, JournalDamaged: As `read_file_header` does.
        """
        with path.open("rb") as file:
            head = file.read(_WINDOW)
        return cls.of(path, read_file_header(head, str(path)), head)

    @classmethod
    def of(cls, path: Path, marker: bytes, head: bytes) -> Self:
        """Return the segment that begins with *head*, and has that *marker*."""
        payload = read_record(head, FILE_HEADER_BYTES, 0, marker)
        record = None if payload is None else decode_record(payload)
        return cls(path, marker, record if isinstance(record, HeaderRecord) else None)

    def reading(self) -> SegmentFile:
        """Open it, as a context manager."""
        return SegmentFile(self.path, self.marker)

    @property
    def size(self) -> int:
        """How many bytes it has; 0 if it was deleted."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def is_begun(self) -> bool:
        """Whether its first record is whole, or any after that."""
        if self.header is not None:
            return True
        with self.reading() as file:
            return file.find(FILE_HEADER_BYTES) is not None

    def first(self, key: Callable[[Record], int]) -> int | None:
        """Return the *key* of the first record that is no header."""
        with self.reading() as file:
            records = (record for _, record in self._records(file, FILE_HEADER_BYTES))
            return next((key(r) for r in records if not isinstance(r, HeaderRecord)), None)

    def locate(self, wanted: int, key: Callable[[Record], int]) -> int:
        """
        Return the offset of the first record whose *key* is *wanted* or more; or the end.

        It takes as many looks as the file's size has bits.

        Args:
            key: Of a record, a number that never falls from one to the next; less than any
                number that is wanted, of a header.
        """
        with self.reading() as file:
            low, high = FILE_HEADER_BYTES, file.size
            while high - low > _WINDOW:
                middle = (low + high) // 2
                found = file.find(middle, high)
                payload = None if found is None else file.record_at(found)
                if found is None or payload is None or key(decode_record(payload)) >= wanted:
                    high = middle
                else:
                    low = found
            records = self._records(file, low)
            return next((start for start, r in records if key(r) >= wanted), file.size)

    def read_end(self) -> tuple[Record | None, TornTail | None]:
        """Return the last whole record, and what comes after it."""
        with self.reading() as file:
            size, window = file.size, _WINDOW
            while True:
                start = max(FILE_HEADER_BYTES, size - window)
                places = list(_places(file, start))
                if places or start == FILE_HEADER_BYTES:
                    break
                window *= 8
        offset, payload = places[-1] if places else (FILE_HEADER_BYTES, None)
        last = None if payload is None else decode_record(payload)
        end = offset if payload is None else offset + RECORD_HEADER_BYTES + len(payload)
        tail = TornTail(str(self.path), end, size - end) if end < size else None
        return last, tail

    @staticmethod
    def _records(file: SegmentFile, start: int) -> Iterator[tuple[int, Record]]:
        """Yield all whole records from *start* on, which may be anywhere, each after its offset."""
        for offset, payload in _places(file, start):
            yield offset, decode_record(payload)


def _places(file: SegmentFile, start: int) -> Iterator[tuple[int, bytes]]:
    """Yield all payloads from *start* on, which may be anywhere, each after its record's offset."""
    found = file.find(start)
    while found is not None:
        walk = file.walk(found, _WINDOW)
        while True:
            try:
                offset, payloads = next(walk)
            except StopIteration as stop:
                found = file.find(stop.value + 1)
                break
            for payload in payloads:
                yield offset, payload
                offset += RECORD_HEADER_BYTES + len(payload)


def damage_at(path: Path, offset: int, resume_at: int) -> JournalDamaged:
    """Return the error of a file that has no whole record from *offset* to *resume_at*."""
    msg = (
        f"{path} is damaged at offset {offset}: the next undamaged record begins at {resume_at}. "
        f"To read on from there, give open_journal an on_damage."
    )
    return JournalDamaged(msg, path=str(path), offset=offset, resume_at=resume_at)


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


def no_segment(path: Path, journal: Path, error: NotAJournal | JournalTooNew) -> JournalDamaged:
    """Return the error of a file that lies where a segment of *journal* may, and can't be read."""
    reason = (
        f"it has version {error.version} of the journal format, which is too new"
        if isinstance(error, JournalTooNew)
        else "it doesn't begin like a journal"
    )
    problem = (
        f"{path} isn't read as a segment of {journal}: {reason}. If it belongs to something else, "
        f"move it to another folder."
    )
    msg = f"{problem} To read without it, give open_journal an on_damage."
    return JournalDamaged(msg, path=str(path), offset=0, problem=problem)
