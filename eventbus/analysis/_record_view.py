"""
A view of a record that has the same properties for every kind of record.

Filters, listings and exports look at every record. So a property is computed when it is first
read: most records are skipped for their type alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ..events import RealtimeModelConnectionStatusEvent, RealtimeModelRawServerEvent
from ..journal._reader import Journal
from ..journal._records import (
    CallRecord,
    DropRecord,
    EndRecord,
    EventRecord,
    FrameRecord,
    GapRecord,
    HeaderRecord,
    Record,
    SentRecord,
    StatusRecord,
)
from ..journal._selection import FAILED_EVENTS, ids_in
from ..wire._names import frame_name, read_names, shown_type

_KINDS: Final[Mapping[type[Record], str]] = {
    HeaderRecord: "header",
    FrameRecord: "frame",
    EventRecord: "event",
    SentRecord: "sent",
    CallRecord: "call",
    DropRecord: "drop",
    StatusRecord: "status",
    GapRecord: "gap",
    EndRecord: "end",
}

_CALL_STATES: Final = {"crashed": ("crash", "error"), "started": ("started",)}
_AUDIO_DELTAS: Final = frozenset({"response.output_audio.delta", "response.audio.delta"})
_AUDIO: Final = frozenset({"audio"})  # base64 contains any short word somewhere
_BLOB: Final = frozenset({"data"})  # as Gemini has it
_parse: Final = msgspec.json.Decoder().decode
_MAX_DEPTH: Final = 64  # of searched documents; deeper than any real one
_RAW: Final = ("raw_server_event", RealtimeModelRawServerEvent.__name__)
_STATUS: Final = ("connection_status", RealtimeModelConnectionStatusEvent.__name__)


if TYPE_CHECKING:
    from functools import cached_property as _read_once
else:

    class _read_once:  # noqa: N801  # as functools.cached_property
        """
        A property that is computed when it is first read.

        That of functools takes a lock (until Python 3.12) and makes a dict of each view, which
        takes longer than most properties of most records.
        """

        def __init__(self, make: Callable[[Any], Any]) -> None:
            self._make = make
            self._name = make.__name__
            self.__doc__ = make.__doc__

        def __get__(self, view: Any, owner: object = None) -> Any:
            if view is None:
                return self
            value = self._make(view)
            setattr(view, self._name, value)  # hides this property from now on
            return value


def kind_name(record: Record) -> str:
    """Return the name of a record's kind: for example ``event``."""
    return _KINDS.get(type(record), "unknown")


class RecordView:
    """
    A record of any kind, with its types, ids, states and texts; `views` makes them.

    Args:
        record: The record.
        origin_ns: The ``mono_ns`` of the journal's beginning.

    Attributes:
        record: The record.
        seq: Its number.
        since_ns: Nanoseconds since the journal's beginning.
        kind: The name of its kind: ``event``, ``frame``, ``call`` and so on.
    """

    def __init__(self, record: Record, origin_ns: int = 0) -> None:
        self.record = record
        self.seq = record.seq
        self.since_ns = record.mono_ns - origin_ns
        self.kind = _KINDS.get(type(record), "unknown")
        self._has_data = False

    @property
    def sender(self) -> str | None:
        """The name of the sender, as text."""
        sender = self.record.sender
        return None if sender is None else str(sender)

    @_read_once
    def types(self) -> tuple[str, ...]:
        """The event's type and class, or the vendor's name of a frame."""
        match self.record:
            case EventRecord(type_name=type_name, class_name=class_name):
                # Of a class with a module, its own name will do as well.
                names = (type_name, class_name, class_name.rpartition(".")[2])
                return tuple(dict.fromkeys(filter(None, names)))
            case FrameRecord() | SentRecord():
                kind = self._names.get("type")
                name = kind if isinstance(kind, str) else frame_name(self.data)
                raw = () if self.kind == "sent" else _RAW
                return raw if name is None else (*raw, name)
            case StatusRecord():
                return _STATUS
            case _:
                return ()

    @_read_once
    def type(self) -> str | None:
        """The name to show, which is an event's type or class, or the vendor's name of a frame."""
        match self.record:
            case EventRecord(type_name=type_name, class_name=class_name):
                return type_name or class_name
            case FrameRecord() | SentRecord():
                kind = self._names.get("type")
                # Of a service without types, the name is in the other fields.
                return frame_name(self.data) if kind is None else shown_type(kind)
            case StatusRecord():
                return _STATUS[0]
            case _:
                return None

    @_read_once
    def data(self) -> Mapping[str, Any]:
        """An event's fields, or a message's; empty if it has none, or they can't be read."""
        self._has_data = True
        match self.record:
            case EventRecord() as record:
                return _mapping(lambda: record.fields)
            case FrameRecord(data=data, form="json") | SentRecord(data=data, form="json"):
                return _mapping(lambda: _parse(data))
            case StatusRecord(status=status):
                return {"status": status}
            case _:
                return {}

    @_read_once
    def _names(self) -> Mapping[str, Any]:
        """The part of the data that has a type and ids; more of it, if it is at hand."""
        record = self.record
        if isinstance(record, (FrameRecord, SentRecord)) and not self._has_data:
            return _names_in(record.data) if record.form == "json" else {}
        return self.data

    @_read_once
    def items(self) -> frozenset[str]:
        """The ids of its conversation items."""
        names = self._names
        found = ids_in(names, "item")
        own = None if names.get("call_id") is None else names.get("id")
        # A tool call is an item itself.
        return frozenset(found | {own} if isinstance(own, str) else found)

    @_read_once
    def responses(self) -> frozenset[str]:
        """The ids of its responses."""
        return frozenset(ids_in(self._names, "response"))

    @property
    def handler(self) -> str | None:
        """The name of the handler, of a call or a drop."""
        match self.record:
            case CallRecord(handler=handler) | DropRecord(handler=handler):
                return handler
            case _:
                return None

    @property
    def run_ns(self) -> int | None:
        """The run time of the handler, of a call that has ended."""
        return self.record.run_ns if isinstance(self.record, CallRecord) else None

    @property
    def queued_ns(self) -> int | None:
        """The time that the event waited for the handler, of a call."""
        return self.record.queued_ns if isinstance(self.record, CallRecord) else None

    @_read_once
    def states(self) -> frozenset[str]:
        """The states that ``is:`` in a filter can ask for; see `parse_filter`."""
        record = self.record
        if isinstance(record, CallRecord):
            return frozenset((self.kind, *_CALL_STATES.get(record.state, ())))
        return frozenset((self.kind, "error") if self.is_failure else (self.kind,))

    @property
    def is_failure(self) -> bool:
        """True if it tells of a failure; the crash of a handler is one, too."""
        record = self.record
        if isinstance(record, EventRecord):
            name = record.type_name
            return name in FAILED_EVENTS or (
                name == "turn_ended" and self.data.get("status") == "failed"
            )
        if isinstance(record, FrameRecord):
            return record.form != "json" or self._names.get("type") == "error"
        if isinstance(record, CallRecord):
            return record.state == "crashed"
        return isinstance(record, (DropRecord, GapRecord))

    @property
    def error(self) -> str | None:
        """The class and message of a crash or an exception; the reason of a gap."""
        match self.record:
            case CallRecord(error=error) if error is not None:
                return str(error)
            case EventRecord(type_name="exception"):
                exception = self.data.get("exception")
                if isinstance(exception, Mapping):
                    message = exception.get("message")
                    name = str(exception.get("type", "")).rpartition(".")[2]
                    return f"{name}: {message}" if message else name
            case GapRecord(reason=reason):
                return reason
            case _:
                pass
        return None

    def texts(self) -> Iterator[str]:
        """Yield every text in it, which are names, ids and transcripts."""
        yield from filter(None, (self.sender, self.handler, self.error))
        yield from self.types
        is_audio = self.kind == "frame" and self.type in _AUDIO_DELTAS
        hidden = _AUDIO | {"delta"} if is_audio else _AUDIO
        for name, value in self.data.items():
            if name not in hidden:
                yield from _strings(value, _MAX_DEPTH)


def views(records: Iterable[Record | RecordView]) -> Iterator[RecordView]:
    """
    Yield a view of each record, with times since the journal's beginning.

    Args:
        records: A `Journal`, or records in their order, of which the first is the beginning. A
            view among them is passed on as it is.

    Raises:
        TypeError: It is a path, or something else that has no records.
    """
    check_records(records)
    origin_ns = records.header.mono_ns if isinstance(records, Journal) else None
    for record in records:
        if isinstance(record, RecordView):
            yield record
            continue
        if origin_ns is None:
            origin_ns = record.mono_ns
        yield RecordView(record, origin_ns)


def check_records(records: object) -> None:
    """
    Check an argument that is a journal, or records.

    Raises:
        TypeError: It is a path, or something else that has no records.
    """
    if isinstance(records, (str, bytes, os.PathLike)) or not isinstance(records, Iterable):
        msg = f"Records are a journal, or records of one, not {records!r}; see open_journal()."
        raise TypeError(msg)


def _mapping(read: Callable[[], Any]) -> Mapping[str, Any]:
    """Return the mapping that *read* gives; an empty one if it fails or gives something else."""
    try:
        data = read()
    except (ValueError, RecursionError):  # no JSON, or not the codec's
        return {}
    return data if isinstance(data, Mapping) else {}


_LONG: Final = 1024  # bytes of a frame; in a longer one, most are audio
_AUDIO_FIELD: Final = re.compile(rb'"(?:delta|data|audio)"\s*+:\s*+"')


def _names_in(data: bytes) -> Mapping[str, Any]:
    """Return the type and the ids in a JSON object, without looking at its audio."""
    if len(data) > _LONG and b"\\" not in data:
        # Without a backslash, every quote begins or ends a string.
        found = _AUDIO_FIELD.search(data)
        if found is not None:
            end = data.find(b'"', found.end())
            data = data[: found.end()] + data[max(end, found.end()) :]
    try:
        names = read_names(data)
    except ValueError:
        return {}
    return msgspec.structs.asdict(names)


def _strings(value: object, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, Mapping):
        hidden = _BLOB if "mimeType" in value or "mime_type" in value else _AUDIO
        for name, each in value.items():
            if name not in hidden:
                yield from _strings(each, depth - 1)
    elif depth and isinstance(value, (list, tuple)):
        for each in value:
            yield from _strings(each, depth - 1)
