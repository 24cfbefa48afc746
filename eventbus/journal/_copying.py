"""
Copies of journals: fewer records, or less in them.

Records keep their numbers and times, so the cause of a record is the same in a copy, if it is
there. The original is never changed.

An event that the original derives from its frame is derived in the copy, too, if the copied frames
give the same event. Else (frames before it were left out, or a part of its own) it is stored.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from ..codec import to_plain
from ..events import RealtimeModelRawServerEvent
from ..exceptions import CodecError, JournalWriteError
from ._assembly import entry_of
from ._batches import DERIVED
from ._buffer import ENTRY_BYTES
from ._derivation import StreamName
from ._encoding import class_label
from ._fsync import NoSyncer
from ._records import EndRecord, EventRecord, FrameRecord, HeaderRecord, Record, StatusRecord
from ._redaction import Withholding
from ._segments import segment_paths
from ._writer import JournalWriter

_REMEMBERED: Final = 4096  # records that a repeat may refer to
_KEEP_ALL: Final = Withholding()


@attrs.define
class _Clock:
    """Stands at the time of the record that is being copied."""

    mono_ns: int
    wall_ns: int


def write_copy(
    records: Iterable[Record],
    path: str | os.PathLike[str],
    *,
    header: HeaderRecord,
    withholding: Withholding | None = None,
) -> int:
    """
    Write records to a new journal, and return their count.

    Where it fails or is interrupted, no file is left: half a copy could be taken for a whole one.
    If the process is killed, the part of a copy has no end, and so is known as cut short.

    Args:
        records: The records to copy; headers among them are left out.
        path: The copy's path.
        header: The header of the original; the copy begins at its time.
        withholding: Leaves something out of each record.

    Raises:
        JournalWriteError: It can't be written, or there is a file already.
        Exception: Any error that *records* raises.
    """
    clock = _Clock(header.mono_ns, header.wall_ns)
    failures: list[JournalWriteError] = []
    writer = JournalWriter(
        path,
        header=_header_of(header, withholding),
        fsync="none",
        clock_ns=lambda: clock.mono_ns,
        wall_ns=lambda: clock.wall_ns,
        syncer=NoSyncer(),
        on_failure=failures.append,
    )
    copier = _Copier(writer, withholding)
    try:
        count = 0
        for record in records:
            if isinstance(record, (HeaderRecord, EndRecord)):
                continue
            clock.mono_ns, clock.wall_ns = record.mono_ns, record.wall_ns
            copier.copy(record)
            count += 1
            if failures:
                break
        writer.close()
        _raise_first(failures, path)
    except BaseException:
        writer.close(end=False)
        with contextlib.suppress(OSError):  # then it has no end, at least
            for written in segment_paths(path):  # there was none before: the writer refuses that
                written.unlink(missing_ok=True)
        raise
    return count


@attrs.define
class _Stream:
    """A stream of frames in the copy, and the events that its latest frame gives there."""

    name: StreamName
    decoder: Any
    frame_seq: int = 0
    events: list[Any] = attrs.field(factory=list)


class _Copier:
    """
    Copies records one by one.

    Args:
        writer: Writes the copy.
        withholding: Leaves something out.
    """

    def __init__(self, writer: JournalWriter, withholding: Withholding | None) -> None:
        self._writer = writer
        self._withholding = withholding
        self._streams: dict[StreamName, _Stream] = {}
        self._copied: dict[int, None] = {}

    def copy(self, record: Record) -> None:
        """Copy a record."""
        left = record if self._withholding is None else self._withholding.apply(record)
        if isinstance(left, FrameRecord) and left.stream is not None:
            self._copy_frame(left, left.stream)
        elif isinstance(record, EventRecord) and record.is_derived:
            self._copy_derived(record)
        elif isinstance(record, EventRecord) and record.is_repeat:
            self._copy_repeat(record)
        else:
            self._writer.write(left)
        if isinstance(record, (FrameRecord, EventRecord, StatusRecord)):
            self._copied[record.seq] = None
            if len(self._copied) > _REMEMBERED:
                del self._copied[next(iter(self._copied))]

    def _copy_frame(self, record: FrameRecord, name: StreamName) -> None:
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = self._stream_from(record, name)
        stream.frame_seq, stream.events = record.seq, []
        if stream.decoder is not None and record.problem is None:
            events = stream.decoder.decode(record.data)
            stream.events = [e for e in events if not isinstance(e, RealtimeModelRawServerEvent)]
        entry = entry_of(record, self._writer.buffer.number_of)
        kind, seq, mono_ns, _, *rest = entry
        number = self._writer.buffer.number_of(stream.name)
        size = len(record.data) + ENTRY_BYTES
        self._writer.copy((kind, seq, mono_ns, number, *rest), size, record.wall_ns)

    def _stream_from(self, record: FrameRecord, name: StreamName) -> _Stream:
        """Return the stream of the copy that begins with a frame, or goes on with it."""
        kept = self._withholding
        if name.state is not None and kept is not None and not kept.leaves(name.state):
            before = next(
                (s for n, s in reversed(self._streams.items()) if n.sender == name.sender), None
            )
            if before is not None:
                return before
            name = attrs.evolve(name, state=None)
        return _Stream(attrs.evolve(name, first_seq=record.seq), name.make())

    def _copy_derived(self, record: EventRecord) -> None:
        source: Any = record.source
        stream = self._streams.get(source.stream) if source.stream is not None else None
        number_of = self._writer.buffer.number_of
        document = self._document(record)
        if (
            stream is not None
            and stream.frame_seq == record.cause
            and self._is_derived_again(stream, source.index, record, document)
        ):
            names = number_of(record.class_name), number_of(record.type_name or "")
            if record.type_name is None:
                names = names[0], 0
            common = DERIVED, record.seq, record.mono_ns, number_of(stream.name)
            back = record.seq - record.cause
            entry = (*common, back, source.index, *names, record.audio_bytes)
            self._writer.copy(entry, ENTRY_BYTES, record.wall_ns)
            return
        self._store(record, document, record.problem)

    def _is_derived_again(
        self, stream: _Stream, index: int, record: EventRecord, document: Any
    ) -> bool:
        """Return whether the copied frame gives the event of the original."""
        if stream.decoder is None:  # it isn't known here: nothing can be said against it
            return True
        if index >= len(stream.events):
            return record.document is None
        event = stream.events[index]
        if class_label(type(event)) != record.class_name:
            return record.document is None
        if record.document is None:
            return False
        try:
            again = to_plain(event)
        except CodecError:
            return False
        del again["$v"]
        kept = self._withholding or _KEEP_ALL
        left, _ = kept.of_document(again)
        return bool(_without_traceback(left) == _without_traceback(document))

    def _document(self, record: EventRecord) -> Mapping[str, Any] | None:
        document = record.document
        if document is None or self._withholding is None:
            return document
        left, _ = self._withholding.of_document(document)
        return left if isinstance(left, Mapping) else None

    def _copy_repeat(self, record: EventRecord) -> None:
        if record.cause in self._copied:
            self._writer.write(record)
            return
        try:
            document = to_plain(record.event)
            del document["$v"]
        except CodecError as exc:
            self._store(record, None, str(exc))
            return
        kept = self._withholding or _KEEP_ALL
        self._store(record, *kept.of_document(document))

    def _store(self, record: EventRecord, document: Any, problem: str | None) -> None:
        if document is None and problem is None:
            problem = "it was left out"
        stored = attrs.evolve(record, document=document, problem=problem, source=None)
        self._writer.write(stored)


def _without_traceback(document: Any) -> Any:
    """Return an event's plain data without the traceback of an exception."""
    told = document.get("exception") if isinstance(document, Mapping) else None
    if not isinstance(told, Mapping):
        return document
    return {**document, "exception": {**told, "traceback": ""}}


def _raise_first(failures: list[JournalWriteError], path: str | os.PathLike[str]) -> None:
    """Raise the first failure, if there is one, in words for a copy, which is not resumed."""
    for failure in failures:
        reason = getattr(failure.__cause__, "strerror", None) or str(failure)
        msg = (
            f"{os.fspath(path)} can't be written: {reason}. No part of it is left; make room, or "
            f"give another path."
        )
        raise JournalWriteError(msg, path=os.fspath(path)) from failure


def _header_of(header: HeaderRecord, withholding: Withholding | None) -> HeaderRecord:
    """Return the header of a copy, which is a journal of its own."""
    if withholding is None:
        return attrs.evolve(header, journal_id="", is_copy=True)
    news = tuple(name for name in withholding.redacted if name not in header.redacted)
    return attrs.evolve(
        header,
        journal_id="",
        has_audio=header.has_audio and withholding.has_audio,
        has_content=header.has_content and withholding.has_content,
        redacted=(*header.redacted, *news),
        is_copy=True,
    )
