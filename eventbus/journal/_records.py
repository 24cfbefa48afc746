"""
What a journal consists of: one class for each kind of record.

Rules
-----

* A record's payload is one MessagePack array:
  ``[kind, seq, mono_ns, wall_ns, sender, cause, ...]``, and then the fields of its kind.
* A reader ignores fields at the end that it doesn't know, and gives a kind that it doesn't know
  as `UnknownRecord`. Anything else that would make it misunderstand gets a new version.
* Iterating over records parses no frame and makes no event: what a record holds is looked into
  when somebody asks.

The layout of a file is `eventbus.journal._format`'s business; ``docs/reference/journal-format.md``
has both, for readers in other languages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, TypeAlias

import attrs
import msgspec

from ..codec import from_plain
from ..events import (
    RealtimeConnectionStatus,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelRawServerEvent,
)
from ..exceptions import CodecError, RemoteException
from ..wire._frames import frame_of

__all__ = [
    "CallRecord",
    "DropRecord",
    "EndRecord",
    "EventRecord",
    "Form",
    "FrameRecord",
    "GapRecord",
    "HeaderRecord",
    "Record",
    "SentRecord",
    "StatusRecord",
    "UnknownRecord",
    "decode_record",
    "encode_record",
]

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final[Callable[[bytes], Any]] = msgspec.msgpack.Decoder().decode

_CODEC_VERSION: Final = 1

Form: TypeAlias = Literal["json", "str", "bytes"]
"""
What a frame or a message was before it was bytes: a JSON object; else text, or bytes.
"""


def _as_tuple(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(values)


def _as_document(document: Mapping[str, Any] | bytes | None) -> Mapping[str, Any] | None:
    if document is None or type(document) is dict:  # which takes less time than to ask what else
        return document
    if isinstance(document, Mapping):
        return document
    if not isinstance(document, bytes):  # a reader gives what has one as UnknownRecord
        msg = f"A document is a mapping, or bytes, not a {type(document).__qualname__}."
        raise TypeError(msg)
    try:
        fields = _decode(document)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    fields.pop("$v", None)
    return fields or None


def _as_error(error: RemoteException | Sequence[str] | None) -> RemoteException | None:
    return RemoteException(*error) if isinstance(error, Sequence) else error


# Not frozen, as events are: it takes a frozen class longer to be made than all else that it takes
# to read a record.
@attrs.define
class Record:
    """
    What all records have.

    Attributes:
        seq: The record's number in the journal, from 1 on without holes; 0 for a header.
        mono_ns: When it was made, on the monotonic clock (`time.monotonic_ns`): never less than
            that of the record before. Its zero has no meaning.
        wall_ns: When it was made, in nanoseconds since the epoch (`time.time_ns`).
        sender: The session that it belongs to: a string or an integer as it was given, the name
            that the recorder made of any other object, or None if there is none.
        cause: The ``seq`` of the record that led to this one; 0 if none is known. Of an event it
            is the frame that means it, the call whose handler published it, or the event that it
            only repeats; of a call or a drop, the event.
    """

    kind: ClassVar[int] = -1

    seq: int = 0
    mono_ns: int = 0
    wall_ns: int = 0
    sender: str | int | None = None
    cause: int = 0


@attrs.define
class HeaderRecord(Record):
    """
    The first record of each segment; its times are those of the segment's beginning.

    Attributes:
        journal_id: The same in all segments of a journal, and in no other journal.
        segment: The segment's number, from 1.
        first_seq: The number of the first record after this one.
        creator: The program that wrote it, and its version.
        has_audio: Whether audio was recorded.
        has_content: Whether what was said and written was recorded.
        redacted: The names and paths of fields that were redacted.
    """

    kind: ClassVar[int] = 0

    journal_id: str = ""
    segment: int = 1
    first_seq: int = 1
    creator: str = ""
    has_audio: bool = True
    has_content: bool = True
    redacted: tuple[str, ...] = attrs.field(default=(), converter=_as_tuple)


@attrs.define
class FrameRecord(Record):
    """
    A message of the service, as it came.

    Attributes:
        data: Its bytes; text as UTF-8, a mapping as JSON.
        form: ``json`` for what the decoder could take for a JSON object; else what came.
        problem: Why the data isn't what came, if it had to be withheld as a whole.
    """

    kind: ClassVar[int] = 1

    data: bytes = attrs.field(default=b"", repr=lambda data: f"<{len(data)} bytes>")
    form: Form = "json"
    problem: str | None = None

    @property
    def event(self) -> RealtimeModelRawServerEvent:
        """The raw event that it was published as."""
        return RealtimeModelRawServerEvent(_in_form(self.data, self.form))


@attrs.define
class EventRecord(Record):
    """
    An event that was published.

    Attributes:
        class_name: The name of its class, with the module unless that is the vocabulary's.
        type_name: Its type name in the codec; None if it has none, and so is only named here.
        document: The event as the plain data that `eventbus.codec.to_plain` gives, without its
            version, which is 1; None if it could not be written, or only repeats its cause. It
            may be given as `eventbus.codec.packs` writes it.
        problem: Why it could not be written, or was withheld.
        audio_bytes: The length of its audio, also if that was withheld; None if it has none.
    """

    kind: ClassVar[int] = 2

    class_name: str = ""
    type_name: str | None = None
    document: Mapping[str, Any] | None = attrs.field(
        default=None,
        converter=_as_document,
        repr=lambda document: f"<{len(document or ())} fields>",
    )
    problem: str | None = None
    audio_bytes: int | None = None

    @property
    def is_repeat(self) -> bool:
        """Whether it says again, as a session does, what the event says that is its cause."""
        return self.document is None and self.problem is None

    @property
    def fields(self) -> Mapping[str, Any]:
        """The document; an empty one, if there is none."""
        return self.document or {}

    @property
    def event(self) -> Any:
        """
        The event; a new object each time. Audio that was withheld is silence of its length.

        Raises:
            CodecError: It could not be written, or this process can't read it; or it only
                repeats its cause.
        """
        if self.is_repeat:
            msg = f"Record {self.seq} repeats an event; that is record {self.cause}."
            raise CodecError(msg)
        if not self.document:
            msg = f"Record {self.seq} only names its event, {self.class_name}: {self.problem}"
            raise CodecError(msg)
        fields = {"$v": _CODEC_VERSION, **self.document}
        if self.audio_bytes and self.type_name == "audio" and not fields.get("data"):
            fields["data"] = bytes(self.audio_bytes)
        return from_plain(fields)


@attrs.define
class SentRecord(Record):
    """
    A message to the service.

    Attributes:
        data: Its bytes; text as UTF-8, a mapping as JSON.
        form: ``json`` for a mapping; else what it was.
        problem: Why the data isn't what was sent, if it had to be withheld as a whole.
        audio_bytes: The length of the audio that it appends to the user's, decoded, also if that
            was withheld; None if it appends none.
    """

    kind: ClassVar[int] = 3

    data: bytes = attrs.field(default=b"", repr=lambda data: f"<{len(data)} bytes>")
    form: Form = "json"
    problem: str | None = None
    audio_bytes: int | None = None

    @property
    def message(self) -> Any:
        """The message: a read-only mapping, text or bytes, as it was."""
        return _in_form(self.data, self.form)


@attrs.define
class CallRecord(Record):
    """
    A call of a handler.

    A call that is over soon has one record, made at its end. One that is still running when
    records are written gets one as ``started``, and another one at its end: a call without that
    never ended. So does one whose handler publishes something, which names it as its cause.

    Attributes:
        call: The call; both of its records have the same: the ``seq`` of the first. In the file
            it is 0 in the first.
        handler: The name of the handler.
        state: ``started``, ``finished`` or ``crashed``.
        queued_ns: How long the event waited in the handler's mailbox; 0 for a sync handler.
        started_ns: When the call began, as ``mono_ns``.
        run_ns: How long it took; None while it runs.
        error: What it raised, timeouts and cancellations included; None if nothing.
    """

    kind: ClassVar[int] = 4

    call: int = 0
    handler: str = ""
    state: Literal["started", "finished", "crashed"] = "finished"
    queued_ns: int = 0
    started_ns: int = 0
    run_ns: int | None = None
    error: RemoteException | None = attrs.field(default=None, converter=_as_error)

    def __attrs_post_init__(self) -> None:
        self.call = self.call or self.seq


@attrs.define
class DropRecord(Record):
    """
    Events that a handler did not get; the cause is the first of them.

    Attributes:
        handler: The name of the handler.
        reason: ``full``: its mailbox was. ``purged``: one of its ``purged_by`` came. ``closed``:
            the bus was, without draining. ``cancelled``: its subscription was.
        count: How many.
        events: The ``seq`` of each, of the first hundred.
    """

    kind: ClassVar[int] = 5

    handler: str = ""
    reason: str = "full"
    count: int = 0
    events: tuple[int, ...] = attrs.field(default=(), converter=_as_tuple)


@attrs.define
class StatusRecord(Record):
    """The connection to the service has changed; a `RealtimeModelConnectionStatusEvent`."""

    kind: ClassVar[int] = 6

    status: RealtimeConnectionStatus = "connected"

    @property
    def event(self) -> RealtimeModelConnectionStatusEvent:
        """The event."""
        return RealtimeModelConnectionStatusEvent(self.status)


@attrs.define
class GapRecord(Record):
    """
    Records that could not be written are missing here.

    Attributes:
        first_seq: The first that is missing.
        last_seq: The last that is missing.
        reason: Why, as the system says it.
    """

    kind: ClassVar[int] = 7

    first_seq: int = 0
    last_seq: int = 0
    reason: str = ""


@attrs.define
class EndRecord(Record):
    """The last record of a journal that was closed; without it, whoever wrote it has died."""

    kind: ClassVar[int] = 8


@attrs.define
class UnknownRecord(Record):
    """
    A kind of record that a newer version of eventbus has.

    Attributes:
        number: The kind; -1 if the payload isn't that of a record.
        fields: What it has besides what all records have; the payload, if it isn't one's.
    """

    number: int = -1
    fields: tuple[Any, ...] = attrs.field(default=(), repr=False)


# --- payloads --------------------------------------------------------------------------------

_COMMON: Final = tuple(field.name for field in attrs.fields(Record))
# Kind -> class, and where its fields end in the array.
_CLASSES: Final[Mapping[int, tuple[type[Record], int]]] = {
    cls.kind: (cls, 1 + len(attrs.fields(cls)))
    for cls in (
        HeaderRecord,
        FrameRecord,
        EventRecord,
        SentRecord,
        CallRecord,
        DropRecord,
        StatusRecord,
        GapRecord,
        EndRecord,
    )
}


def encode_record(record: Record) -> bytes:
    """Return the payload of *record*."""
    if isinstance(record, UnknownRecord):
        common = (getattr(record, name) for name in _COMMON)
        return _encode((record.number, *common, *record.fields))
    values = (getattr(record, field.name) for field in attrs.fields(type(record)))
    return _encode((record.kind, *map(_as_plain, values)))


def decode_record(payload: bytes) -> Record:
    """Return the record with that *payload*; `UnknownRecord` if it is none that is known here."""
    try:
        values = _decode(payload)
        cls, end = _CLASSES[values[0]]
        return cls(*values[1:end])
    except (KeyError, TypeError, ValueError, IndexError):
        return _unknown(payload)


def _unknown(payload: bytes) -> UnknownRecord:
    """Return the record of a kind that isn't known here; of no kind, if it is no record at all."""
    try:
        number, seq, mono_ns, wall_ns, sender, cause, *fields = _decode(payload)
    except (ValueError, TypeError):
        return UnknownRecord(fields=(payload,))
    return UnknownRecord(seq, mono_ns, wall_ns, sender, cause, number, tuple(fields))


def _as_plain(value: Any) -> Any:
    if isinstance(value, RemoteException):
        return value.type_name, value.message, value.traceback_text
    return value


def _in_form(data: bytes, form: Form) -> Any:
    if form == "json":
        return frame_of(data)
    return data.decode(errors="replace") if form == "str" else data
