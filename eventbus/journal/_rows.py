"""
Records in short, for code that looks at all of a large journal.

A row has the facts that a list or a chart shows, and an event's row has the event itself. Neither
a record nor plain data is made for it, so a journal is read in a third of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from ..events import (
    RealtimeModelConnectionStatusEvent,
    RealtimeModelExceptionEvent,
    RealtimeModelTurnEndedEvent,
)
from ..exceptions import CodecError, RemoteException
from ..wire._names import frame_name, read_names, shown_type
from ._assembly import Assembler
from ._batches import (
    BatchHead,
    CallEntry,
    DerivedEntry,
    DropEntry,
    EndEntry,
    FrameEntry,
    GapEntry,
    HeaderEntry,
    RepeatEntry,
    SentEntry,
    StatusEntry,
    StoredEntry,
)
from ._records import EventRecord
from ._selection import FAILED_EVENTS, ids_in

RowKind: TypeAlias = Literal[
    "header", "frame", "event", "sent", "call", "drop", "status", "gap", "end", "unknown"
]
"""The kind of a record, as a row has it."""


class Row(msgspec.Struct):
    """
    A record in short; `Journal.rows` makes it.

    Attributes:
        seq: The record's number.
        mono_ns: When it was made, as in `Record`.
        sender: The session, as in `Record`.
        cause: The number of the record that it comes from, as in `Record`.
        kind: ``frame``, ``event``, ``sent``, ``call``, ``drop``, ``status``, ``gap``, ``header``,
            ``end`` or ``unknown``.
        type: The name to show: an event's type or class, the vendor's name of a frame or a
            message; None if it has none.
        item_id: The conversation item that a frame, a message or an event names first, if any.
        response_id: The response, the same way.
        event: The event itself, of an event and a status; None if it can't be had here, or only
            repeats its cause.
        data: The bytes of a frame or a message.
        audio_bytes: As in `EventRecord` and `SentRecord`.
        handler: The name of the handler, of a call and a drop.
        state: As in `CallRecord`; the reason of a drop.
        queued_ns: As in `CallRecord`.
        run_ns: As in `CallRecord`.
        started_ns: As in `CallRecord`.
        count: The number of events, of a drop.
        error: The class and message of a failure; the reason of a gap.
        is_error: Whether it is a failure, or tells of one: also a frame that isn't JSON.
    """

    seq: int
    mono_ns: int
    sender: str | int | None
    cause: int
    kind: RowKind
    type: str | None = None
    item_id: str | None = None
    response_id: str | None = None
    event: Any = None
    data: bytes | None = None
    audio_bytes: int | None = None
    handler: str | None = None
    state: str | None = None
    queued_ns: int | None = None
    run_ns: int | None = None
    started_ns: int | None = None
    count: int | None = None
    error: str | None = None
    is_error: bool = False


_parse: Final = msgspec.json.Decoder().decode
_Common: TypeAlias = tuple[int, int, int, str | int | None, int]


class RowAssembler(Assembler):
    """Makes rows of batches, in the order of a journal."""

    def _makers_by_entry(self) -> Mapping[type[Any], Callable[[Any, _Common], Any]]:
        return {
            HeaderEntry: self._header_row,
            FrameEntry: self._frame_row,
            StoredEntry: self._stored_row,
            DerivedEntry: self._derived_row,
            RepeatEntry: self._repeat_row,
            SentEntry: self._sent_row,
            CallEntry: self._call_row,
            DropEntry: self._drop_row,
            StatusEntry: self._status_row,
            GapEntry: self._gap_row,
            EndEntry: lambda _, common: Row(common[0], common[1], common[3], common[4], "end"),
        }

    def _header_row(self, entry: HeaderEntry, common: _Common) -> Row:
        self._header(entry, common)
        return Row(common[0], common[1], common[3], common[4], "header")

    def _frame_row(self, entry: FrameEntry, common: _Common) -> Row:
        self._add_frame(entry)
        row = _message_row("frame", entry, common)
        row.is_error = entry.form != "json" or row.type == "error"
        return row

    def _sent_row(self, entry: SentEntry, common: _Common) -> Row:
        row = _message_row("sent", entry, common)
        row.audio_bytes = entry.audio_bytes
        return row

    def _derived_row(self, entry: DerivedEntry, common: _Common) -> Row:
        label = self._text(entry.class_name)
        source = self._source_of(entry, common[4], label)
        row = Row(
            common[0], common[1], common[3], common[4], "event",
            self._text_or_none(entry.type_name) or label,
        )  # fmt: skip
        row.audio_bytes = entry.audio_bytes
        event = source.event_if_any
        if event is not None:
            _tell_event(row, event)
        row.is_error = row.type in FAILED_EVENTS or row.is_error
        return row

    def _stored_row(self, entry: StoredEntry, common: _Common) -> Row | None:
        record = self._stored(entry, common)
        if record is None:
            return None
        type_name = record.type_name or record.class_name
        row = Row(common[0], common[1], common[3], common[4], "event", type_name)
        row.audio_bytes = record.audio_bytes
        event = _event_of(record)
        if event is None:
            row.item_id = _first(ids_in(record.fields, "item"))
            row.response_id = _first(ids_in(record.fields, "response"))
        else:
            _tell_event(row, event)
        row.is_error = row.type in FAILED_EVENTS or row.is_error
        return row

    def _repeat_row(self, entry: RepeatEntry, common: _Common) -> Row:
        type_name = self._text_or_none(entry.type_name) or self._text(entry.class_name)
        return Row(common[0], common[1], common[3], common[4], "event", type_name)

    def _status_row(self, entry: StatusEntry, common: _Common) -> Row:
        event = RealtimeModelConnectionStatusEvent(entry.status)
        row = Row(common[0], common[1], common[3], common[4], "status", event.type)
        row.event = event
        return row

    def _call_row(self, entry: CallEntry, common: _Common) -> Row:
        row = Row(common[0], common[1], common[3], common[4], "call")
        row.handler = self._text(entry.handler)
        row.state = "finished" if entry.run_ns is not None else "started"
        row.queued_ns, row.run_ns = entry.queued_ns, entry.run_ns
        row.started_ns = entry.mono_ns - entry.ago_ns
        if entry.error is not None:
            row.state, row.is_error = "crashed", True
            row.error = str(RemoteException(*entry.error))
        return row

    def _drop_row(self, entry: DropEntry, common: _Common) -> Row:
        row = Row(common[0], common[1], common[3], common[4], "drop")
        row.handler = self._text(entry.handler) if entry.handler else ""
        row.state, row.count, row.is_error = entry.reason, entry.count, True
        return row

    def _gap_row(self, entry: GapEntry, common: _Common) -> Row:
        row = Row(common[0], common[1], common[3], common[4], "gap")
        row.error, row.is_error = entry.reason, True
        return row

    def _other(self, elements: list[Any], head: BatchHead) -> Any:
        record = super()._other(elements, head)
        return Row(record.seq, record.mono_ns, record.sender, record.cause, "unknown")


def _message_row(
    kind: Literal["frame", "sent"], entry: FrameEntry | SentEntry, common: _Common
) -> Row:
    row = Row(common[0], common[1], common[3], common[4], kind)
    row.data = entry.data
    if entry.form == "json":
        try:
            names = read_names(entry.data)
        except ValueError:
            return row
        row.type = _frame_name(entry.data) if names.type is None else shown_type(names.type)
        row.item_id = _id_in(names.item_id, names.item, "item_id")
        row.response_id = _id_in(names.response_id, names.response, "response_id")
    return row


def _frame_name(data: bytes) -> str | None:
    """Return the name of a frame without a type."""
    try:
        frame = _parse(data)
    except (ValueError, RecursionError):  # it isn't checked as much where only names are read
        return None
    return frame_name(frame) if isinstance(frame, Mapping) else None


def _id_in(own: object, inner: object, name: str) -> str | None:
    if isinstance(own, str):
        return own
    if isinstance(inner, Mapping):
        return next(
            (each for each in (inner.get(name), inner.get("id")) if isinstance(each, str)), None
        )
    return None


def _event_of(record: EventRecord) -> Any:
    try:
        return record.event
    except (CodecError, ValueError):
        return None


def _tell_event(row: Row, event: Any) -> None:
    """Fill in the facts that the event has."""
    row.event = event
    item_id = getattr(event, "item_id", None)
    if item_id is None:
        item = getattr(event, "item", event)
        item_id = getattr(item, "item_id", None) or getattr(item, "id", None)
    row.item_id = item_id if isinstance(item_id, str) else None
    response_id = getattr(event, "response_id", None)
    row.response_id = response_id if isinstance(response_id, str) else None
    if isinstance(event, RealtimeModelExceptionEvent):
        row.error = _described(event.exception)
    elif isinstance(event, RealtimeModelTurnEndedEvent):
        row.is_error = event.status == "failed"


def _described(error: object) -> str:
    name = error.type_name if isinstance(error, RemoteException) else type(error).__qualname__
    message = error.message if isinstance(error, RemoteException) else str(error)
    short = name.rpartition(".")[2]
    return f"{short}: {message}" if message else short


def _first(ids: set[str]) -> str | None:
    return min(ids, default=None)
