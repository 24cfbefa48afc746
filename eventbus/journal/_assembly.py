"""
Records from the batches of a journal, and elements of batches from records.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import attrs

from . import _batches as batches
from ._batches import (
    BadEntry,
    BatchHead,
    CallEntry,
    DerivedEntry,
    DropEntry,
    EndEntry,
    FrameEntry,
    GapEntry,
    HeaderEntry,
    OtherEntry,
    RepeatEntry,
    SentEntry,
    StatusEntry,
    StoredEntry,
)
from ._derivation import DerivedEvent, Stream, StreamName
from ._records import (
    COMMON,
    CallRecord,
    DropRecord,
    EndRecord,
    EventRecord,
    FrameRecord,
    GapRecord,
    HeaderRecord,
    Record,
    Repetition,
    SentRecord,
    StatusRecord,
    UnknownRecord,
)
from ._redaction import Withholding

UNKNOWN_NAME: Final = "?"
"""Stands for a name that was lost with a damaged batch."""

_Common: TypeAlias = tuple[int, int, int, str | int | None, int]
_RECENT: Final = 1024  # records, at least, that a repeat may refer to without a look into the file
_KIND_OF: Final[Mapping[type[Any], int]] = {
    FrameEntry: FrameRecord.kind,
    StoredEntry: EventRecord.kind,
    DerivedEntry: EventRecord.kind,
    RepeatEntry: EventRecord.kind,
    SentEntry: SentRecord.kind,
    CallEntry: CallRecord.kind,
    DropEntry: DropRecord.kind,
    StatusEntry: StatusRecord.kind,
    GapEntry: GapRecord.kind,
    EndEntry: EndRecord.kind,
    HeaderEntry: HeaderRecord.kind,
    OtherEntry: -1,
    BadEntry: -2,
}
_NEEDED_FOR_EVENTS: Final = frozenset({FrameRecord.kind, EventRecord.kind, StatusRecord.kind})


class Assembler:
    """
    Makes records of batches, in the order of a journal.

    Args:
        kinds: The kinds of records that are wanted; None for all.
        find_name: Returns the value of a name that no batch so far has defined; None if it can't
            be found.
        find_record: Returns the record with a number, from before the ones that were read.
        find_frames: Yields number and data of the frames of a stream with a number from the first
            argument on, below the second one.

    Attributes:
        last_seq: The number that the next record must go on from.
    """

    def __init__(
        self,
        kinds: frozenset[int] | None = None,
        *,
        find_name: Callable[[int], Any] = lambda _: None,
        find_record: Callable[[int], Record | None] = lambda _: None,
        find_frames: Callable[[StreamName, int], Iterable[tuple[int, bytes | None]]] = (
            lambda _, __: ()
        ),
    ) -> None:
        self._kinds = kinds
        self._has_events = kinds is None or EventRecord.kind in kinds
        self._find_name = find_name
        self._find_record = find_record
        self._find_frames = find_frames
        self.last_seq = 0
        self._withholding = Withholding()
        self._names: dict[int, Any] = {}
        self._stream_names: dict[int, StreamName] = {}
        self._streams: dict[StreamName, Stream] = {}
        self._latest: dict[str | int | None, StreamName] = {}
        self._recent: dict[int, Record] = {}
        self._older: dict[int, Record] = {}
        self._makers = self._makers_by_entry()

    def _makers_by_entry(self) -> Mapping[type[Any], Callable[[Any, _Common], Any]]:
        """Return the functions that make a record of each kind of entry."""
        return {
            HeaderEntry: self._header,
            FrameEntry: self._frame,
            StoredEntry: self._stored,
            DerivedEntry: self._derived,
            RepeatEntry: self._repeat,
            SentEntry: self._sent,
            CallEntry: self._call,
            DropEntry: self._drop,
            StatusEntry: self._status,
            GapEntry: lambda entry, common: GapRecord(
                *common, entry.first_seq, entry.last_seq, entry.reason
            ),
            EndEntry: lambda _, common: EndRecord(*common),
        }

    def take_header(self, header: HeaderRecord) -> None:
        """Take the header of the journal, where reading begins after it."""
        self._withholding = withholding_of(header)

    def begin_segment(self) -> None:
        """Forget the names of the segment before."""
        self._names.clear()
        self._stream_names.clear()

    def records(  # noqa: C901  # in one frame
        self, payload: bytes, on_damage: Callable[[str], object] = lambda _: None
    ) -> Iterator[Record]:
        """
        Yield the wanted records of a batch.

        Args:
            payload: The batch's.
            on_damage: Called with the problem of each record that is not well-formed.
        """
        decoded = batches.decode_batch(payload)
        if decoded is None:
            on_damage("it has no records")
            return
        head, names, entries = decoded
        self._names.update(names)
        now = head.mono_ns
        kinds, makers, stream_name = self._kinds, self._makers, self._stream_name
        shift = head.wall_ns - head.mono_ns
        latest, sender = 0, None
        for entry in entries:
            kind = _KIND_OF[type(entry)]
            if kind == -2:
                on_damage(f"a record is not well-formed: {entry.problem}")
                continue
            if kind == -1:
                record = self._other(entry.elements, head)
                self.last_seq = record.seq
                if kinds is None:
                    yield record
                continue
            if entry.mono_ns > now:  # noqa: PLR1730  # a call of max() takes longer
                now = entry.mono_ns
            seq = entry.seq
            self.last_seq = seq if kind else entry.first_seq - 1  # a header has no number
            if (
                kinds is not None
                and kind not in kinds
                and not (self._has_events and kind in _NEEDED_FOR_EVENTS)
            ):
                continue
            # Here, not in a function: it would be called for each record.
            stream, back = entry.stream, entry.back
            if stream != latest:
                latest, sender = stream, stream_name(stream).sender if stream else None
            common = (
                seq,
                now,
                shift + now,
                sender,
                (seq - back if back < seq else 0) if back else 0,
            )
            made: Record | None = makers[type(entry)](entry, common)
            if made is None:
                on_damage(f"record {seq} is not well-formed")
            elif kinds is None or kind in kinds:
                yield made

    def frames(self, payload: bytes) -> Iterator[tuple[StreamName, int, bytes | None]]:
        """Yield stream, number and data of the frames in a batch; None for withheld data."""
        decoded = batches.decode_batch(payload)
        if decoded is None:
            return
        _, names, entries = decoded
        self._names.update(names)
        for entry in entries:
            if isinstance(entry, FrameEntry) and entry.stream:
                data = entry.data if entry.problem is None else None
                yield self._stream_name(entry.stream), entry.seq, data

    # --- names ----------------------------------------------------------------------------

    def _value(self, number: int) -> Any:
        if number not in self._names:
            self._names[number] = self._find_name(number)
        return self._names[number]

    def _text(self, number: int) -> str:
        value = self._value(number)
        return value if isinstance(value, str) else UNKNOWN_NAME

    def _text_or_none(self, number: int) -> str | None:
        return self._text(number) if number else None

    def _stream_name(self, number: int) -> StreamName:
        found = self._stream_names.get(number)
        if found is None:
            found = StreamName.of(self._value(number)) or StreamName(UNKNOWN_NAME)
            self._stream_names[number] = found
        return found

    # --- records --------------------------------------------------------------------------

    def _header(self, entry: HeaderEntry, common: _Common) -> HeaderRecord:
        record = HeaderRecord(
            *common,
            entry.journal_id,
            entry.segment,
            entry.first_seq,
            entry.creator,
            entry.has_audio,
            entry.has_content,
            entry.redacted,
            entry.clock,
            entry.events,
            entry.is_copy,
        )
        self._withholding = withholding_of(record)
        return record

    def _frame(self, entry: FrameEntry, common: _Common) -> FrameRecord:
        name = self._add_frame(entry) if entry.stream else None
        seq, mono_ns, wall_ns, sender, cause = common  # half the time of a call with a star
        record = FrameRecord(
            seq, mono_ns, wall_ns, sender, cause, entry.data, entry.form, entry.problem, name
        )
        if self._has_events:
            self._remember(record)
        return record

    def _add_frame(self, entry: FrameEntry) -> StreamName | None:
        """Add a frame to its stream, and return the stream's name; None without a decoder."""
        name = self._stream_name(entry.stream) if entry.stream else None
        if name is None or name.decoder is None:
            return None
        if self._has_events:
            stream = self._stream(name, entry.seq)
            stream.add(entry.seq, entry.data if entry.problem is None else None)
        return name

    def _stream(self, name: StreamName, seq: int) -> Stream:
        stream = self._streams.get(name)
        if stream is None:
            find = functools.partial(self._find_frames, name, seq)
            earlier = find if name.first_seq < seq else None
            stream = self._streams[name] = Stream(name, self._withholding, earlier)
            # Nothing refers to the one before any more but its own events.
            before, self._latest[name.sender] = self._latest.get(name.sender), name
            if name.state is not None and before is not None and before.first_seq < name.first_seq:
                self._streams.pop(before, None)
        return stream

    def _stored(self, entry: StoredEntry, common: _Common) -> EventRecord | None:
        is_valid, document = batches.decode_document(entry.document)
        if not is_valid:
            return None
        document = document or None
        problem = entry.problem
        if document is None and problem is None:
            problem = "it has no document"
        record = EventRecord(
            *common,
            self._text(entry.class_name),
            self._text_or_none(entry.type_name),
            document,
            problem,
            entry.audio_bytes,
        )
        self._remember(record)
        return record

    def _derived(self, entry: DerivedEntry, common: _Common) -> EventRecord:
        label = self._text(entry.class_name)
        type_name = self._text_or_none(entry.type_name)
        seq, mono_ns, wall_ns, sender, cause = common
        record = EventRecord(
            seq, mono_ns, wall_ns, sender, cause,
            label, type_name, None, None, entry.audio_bytes, self._source_of(entry, cause, label),
        )  # fmt: skip
        self._remember(record)
        return record

    def _source_of(self, entry: DerivedEntry, cause: int, label: str) -> DerivedEvent:
        """Return the source of a derived event."""
        name = self._stream_name(entry.stream)
        stream = self._streams.get(name)
        frame = None if stream is None else stream.events_of(cause)
        if frame is None and name.decoder is not None and cause < entry.seq:
            frame = self._frame_before(name, cause)
        return DerivedEvent(name, frame, entry.index, label, entry.audio_bytes)

    def _frame_before(self, name: StreamName, cause: int) -> Any:
        """Return the events of a frame that comes before the place where reading began."""
        if name in self._streams:
            return None
        record = self._find_record(cause)
        if not isinstance(record, FrameRecord):
            return None
        stream = self._stream(name, cause)
        stream.add(cause, record.data if record.problem is None else None)
        return stream.events_of(cause)

    def _repeat(self, entry: RepeatEntry, common: _Common) -> EventRecord:
        label, type_name = self._text(entry.class_name), self._text_or_none(entry.type_name)
        cause = None
        if common[4] < common[0]:
            number = common[4]
            cause = self._recent.get(number) or self._older.get(number)
            cause = cause or self._find_record(number)
        source = None if cause is None else Repetition(label, type_name, cause)
        return EventRecord(*common, label, type_name, None, None, None, source)

    def _remember(self, record: Record) -> None:
        recent = self._recent
        recent[record.seq] = record
        if len(recent) >= _RECENT:
            self._older, self._recent = recent, {}

    def _status(self, entry: StatusEntry, common: _Common) -> StatusRecord:
        record = StatusRecord(*common, entry.status)
        self._remember(record)
        return record

    def _sent(self, entry: SentEntry, common: _Common) -> SentRecord:
        seq, mono_ns, wall_ns, sender, cause = common
        return SentRecord(
            seq, mono_ns, wall_ns, sender, cause,
            entry.data, entry.form, entry.problem, entry.audio_bytes,
        )  # fmt: skip

    def _call(self, entry: CallEntry, common: _Common) -> CallRecord:
        seq, mono_ns, wall_ns, sender, cause = common
        return CallRecord(
            seq, mono_ns, wall_ns, sender, cause,
            seq - entry.call_back,
            self._text(entry.handler),
            "crashed" if entry.error is not None else _state(entry.run_ns),
            entry.queued_ns,
            entry.mono_ns - entry.ago_ns,
            entry.run_ns,
            entry.error,
        )  # fmt: skip

    def _drop(self, entry: DropEntry, common: _Common) -> DropRecord:
        handler = self._text(entry.handler) if entry.handler else ""
        return DropRecord(*common, handler, entry.reason, entry.count, entry.events)

    def _other(self, elements: list[Any], head: BatchHead) -> UnknownRecord:
        number, seq, mono_ns, stream, back, *fields = elements
        wall_ns = head.wall_ns + mono_ns - head.mono_ns
        sender = self._stream_name(stream).sender if stream else None
        cause = seq - back if back else 0
        return UnknownRecord(seq, mono_ns, wall_ns, sender, cause, number, tuple(fields))


def _state(run_ns: int | None) -> Any:
    return "started" if run_ns is None else "finished"


def withholding_of(header: HeaderRecord) -> Withholding:
    """Return the rules by which the recorder of a journal has left something out."""
    return Withholding(audio=header.has_audio, content=header.has_content, redact=header.redacted)


def header_in(payload: bytes) -> HeaderRecord | None:
    """Return the header in a segment's first batch; None if it has none."""
    for record in Assembler(frozenset({HeaderRecord.kind})).records(payload):
        if isinstance(record, HeaderRecord):
            return record
    return None


# --- elements of batches ---------------------------------------------------------------------


def entry_of(record: Record, number_of: Callable[[Any], int]) -> tuple[Any, ...]:
    """
    Return the elements of *record*; an event with its document, as it is stored.

    Args:
        record: A record.
        number_of: Returns the number of a name in the journal.
    """
    stream = 0 if record.sender is None else number_of(StreamName(record.sender))
    back = record.seq - record.cause if record.cause else 0
    common = record.seq, record.mono_ns, stream, back
    match record:
        case HeaderRecord():
            return (record.kind, *common, *_own_fields(record))
        case FrameRecord() if record.form == "json" and record.problem is None:
            return (batches.FRAME, *common, record.data)
        case FrameRecord():
            return (batches.FRAME, *common, record.data, record.form, record.problem)
        case EventRecord():
            names = number_of(record.class_name), _number_or_0(record.type_name, number_of)
            if record.is_repeat:
                return (batches.REPEAT, *common, *names)
            document = record.document
            problem = record.problem
            if document is None and problem is None:
                problem = "it can't be written"
            return (batches.EVENT, *common, *names, document, problem, record.audio_bytes)
        case CallRecord(error=error):
            told = None if error is None else (error.type_name, error.message, error.traceback_text)
            return (
                batches.CALL,
                *common,
                number_of(record.handler),
                record.queued_ns,
                record.mono_ns - record.started_ns,
                record.run_ns,
                record.seq - record.call,
                told,
            )
        case DropRecord():
            handler = _number_or_0(record.handler, number_of)
            return (batches.DROP, *common, handler, *_own_fields(record)[1:])
        case UnknownRecord():
            return (record.number, *common, *record.fields)
        case _:
            return (record.kind, *common, *_own_fields(record))


def _number_or_0(name: str | None, number_of: Callable[[Any], int]) -> int:
    return number_of(name) if name else 0


def _own_fields(record: Record) -> tuple[Any, ...]:
    names = [field.name for field in attrs.fields(type(record)) if field.name not in COMMON]
    return tuple(getattr(record, name) for name in names)
