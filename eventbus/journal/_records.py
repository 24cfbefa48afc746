"""
The records of a journal: one class for each kind.

Rules
-----

* Iterating over records parses no frame and makes no event: an event is derived from its frame,
  and a document decoded, when it is first asked for.
* A kind of record that is not known here is an `UnknownRecord`.

The layout of records in a file is described in `eventbus.journal._batches`, and for readers in
other languages in ``docs/reference/journal-format.md``.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, Protocol, TypeAlias

import attrs
import msgspec

from ..codec import from_plain
from ..events import (
    EVENT_TYPES,
    RealtimeConnectionStatus,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelRawServerEvent,
)
from ..exceptions import CodecError, RemoteException
from ..wire._frames import frame_of

_decode: Final = msgspec.msgpack.Decoder().decode

_CODEC_VERSION: Final = 1
_PACKAGE: Final = __name__.partition(".")[0]

Form: TypeAlias = Literal["json", "str", "bytes"]
"""
The form of a frame or a message before it was bytes: a JSON object; else text, or bytes.
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
    The fields that all records have.

    Attributes:
        seq: The record's number in the journal, from 1 on without holes; 0 for a header.
        mono_ns: When it was made, on the monotonic clock (`time.monotonic_ns`): never less than
            that of the record before. Its zero has no meaning.
        wall_ns: When it was made, in nanoseconds since the epoch (`time.time_ns`).
        sender: The session that it belongs to: a string or an integer as it was given, the name
            that the recorder made of any other object, or None if there is none.
        cause: The ``seq`` of the record that led to this one; 0 if none is known. Of an event it
            is the frame that means it, the call that published it, or the event that it
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
        has_content: Whether texts of user and model were recorded.
        redacted: The names and paths of fields that were redacted.
        clock: ``monotonic``, or ``virtual`` if the times are those of an event loop whose clock is
            not the system's.
        events: ``derived`` if a decoder's events are not in the journal, but made again when
            it is read; ``stored`` if each event is.
        is_copy: Whether it was copied from another journal: without an `EndRecord`, the copy was
            cut short.
    """

    kind: ClassVar[int] = 0

    journal_id: str = ""
    segment: int = 1
    first_seq: int = 1
    creator: str = ""
    has_audio: bool = True
    has_content: bool = True
    redacted: tuple[str, ...] = attrs.field(default=(), converter=_as_tuple)
    clock: Literal["monotonic", "virtual"] = "monotonic"
    events: Literal["derived", "stored"] = "derived"
    is_copy: bool = False


@attrs.define
class FrameRecord(Record):
    """
    A message of the service, as it came.

    Attributes:
        data: Its bytes; text as UTF-8, a mapping as JSON.
        form: ``json`` for a JSON object; else ``str`` or ``bytes``.
        problem: Why the data isn't the frame's, if it had to be withheld as a whole.
        stream: The stream of the decoder that has taken it; None if there was none.
    """

    kind: ClassVar[int] = 1

    data: bytes = attrs.field(default=b"", repr=lambda data: f"<{len(data)} bytes>")
    form: Form = "json"
    problem: str | None = None
    stream: Any = attrs.field(default=None, eq=False, repr=False)

    @property
    def event(self) -> RealtimeModelRawServerEvent:
        """The raw event that it was published as."""
        return RealtimeModelRawServerEvent(_in_form(self.data, self.form))


class EventSource(Protocol):
    """The origin of an event that has no document of its own in the journal."""

    @property
    def event(self) -> Any:
        """The event; raises CodecError if it can't be had."""

    @property
    def document(self) -> Mapping[str, Any] | None:
        """The event as plain data; None if it can't be had, or only repeats its cause."""

    @property
    def problem(self) -> str | None:
        """The reason why the event can't be had; None if it can."""


# Compared by what it shows: a derived event equals the same event with its document.
@attrs.define(eq=False)
class EventRecord(Record):
    """
    An event that was published.

    Attributes:
        class_name: The name of its class, with the module unless that is the vocabulary's.
        type_name: Its type name in the codec; None if it has none, and so is only named here.
        document: The event as the plain data that `eventbus.codec.to_plain` gives, without its
            version, which is 1; None if it could not be written, or only repeats its cause. It
            may be given as `eventbus.codec.packs` writes it.
        problem: Why it could not be written or derived, or was withheld.
        audio_bytes: The length of its audio, also if that was withheld; None if it has none.
        source: Gives the event, if it has no document in the journal.
    """

    kind: ClassVar[int] = 2

    class_name: str = ""
    type_name: str | None = None
    _document: Mapping[str, Any] | None = attrs.field(
        default=None,
        converter=_as_document,
        repr=lambda document: f"<{len(document or ())} fields>",
    )
    _problem: str | None = None
    audio_bytes: int | None = None
    source: EventSource | None = attrs.field(default=None, repr=False)

    @property
    def document(self) -> Mapping[str, Any] | None:
        """The event as plain data; see the class."""
        if self._document is None and self.source is not None and self._problem is None:
            return self.source.document
        return self._document

    @property
    def problem(self) -> str | None:
        """Why there is no event; see the class."""
        if self._problem is None and self._document is None and self.is_derived:
            assert self.source is not None
            return self.source.problem
        return self._problem

    @property
    def is_derived(self) -> bool:
        """True if a decoder made the event of the frame that is its cause, and makes it again."""
        return isinstance(self.source, Derived) and self._document is None

    @property
    def is_repeat(self) -> bool:
        """True if it only repeats the event that is its cause, as a session's events do."""
        return self._document is None and self._problem is None and not self.is_derived

    @property
    def fields(self) -> Mapping[str, Any]:
        """The document; an empty one, if there is none."""
        return self.document or {}

    @property
    def event(self) -> Any:
        """
        The event. Audio that was withheld is silence of its length.

        A repeat is made of the event that it repeats.

        Raises:
            CodecError: It could not be written, or can't be read or derived here.
        """
        if self._document is None and self._problem is None and self.source is not None:
            return self.source.event
        if self.is_repeat:
            msg = f"Record {self.seq} repeats record {self.cause}, which is not at hand."
            raise CodecError(msg)
        if not self._document:
            msg = f"Record {self.seq} only names its event, {self.class_name}: {self._problem}"
            raise CodecError(msg)
        _class_named(self.class_name, self.type_name)
        fields = {"$v": _CODEC_VERSION, **self._document}
        if self.audio_bytes and self.type_name == "audio" and not fields.get("data"):
            fields["data"] = bytes(self.audio_bytes)
        return from_plain(fields)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EventRecord):
            return NotImplemented
        return self._shown() == other._shown()

    __hash__ = None  # as attrs has it for the other records

    def _shown(self) -> tuple[Any, ...]:
        common = tuple(getattr(self, name) for name in COMMON)
        return (
            *common,
            self.class_name,
            self.type_name,
            self.is_repeat,
            self.document,
            self.problem,
            self.audio_bytes,
        )


class Derived:
    """Marks the source of an event that is derived from a frame."""

    __slots__ = ()


class Repetition:
    """
    The source of an event that repeats another one.

    Args:
        class_name: As in `EventRecord`.
        type_name: As in `EventRecord`.
        cause: The record of the repeated event.
    """

    __slots__ = ("_cause", "_names")

    def __init__(self, class_name: str, type_name: str | None, cause: Any) -> None:
        self._names = class_name, type_name
        self._cause = cause

    @property
    def event(self) -> Any:
        """The event, made of the repeated one."""
        cls = _class_named(*self._names)
        if cls is None or not hasattr(cls, "repeating"):
            msg = f"{self._names[0]} is not known here; import the module that registers it."
            raise CodecError(msg)
        return cls.repeating(self._cause.event)

    @property
    def document(self) -> None:
        """Nothing: the repeated event has it."""
        return

    @property
    def problem(self) -> None:
        """Nothing."""
        return


@attrs.define
class SentRecord(Record):
    """
    A message to the service.

    Attributes:
        data: Its bytes; text as UTF-8, a mapping as JSON.
        form: ``json`` for a mapping; else ``str`` or ``bytes``.
        problem: Why the data isn't the message's, if it had to be withheld as a whole.
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
    never ended. So does one with a handler that publishes something, which names it as its cause.

    Attributes:
        call: The call; both of its records have the same: the ``seq`` of the first.
        handler: The name of the handler.
        state: ``started``, ``finished`` or ``crashed``.
        queued_ns: The time that the event waited in the handler's mailbox; 0 for a sync handler.
        started_ns: When the call began, as ``mono_ns``.
        run_ns: The time that it took; None while it runs.
        error: Its exception, timeouts and cancellations included; None if there was none.
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
        count: The number of events.
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
    Records that could not be written are missing here; its ``seq`` is that of the last of them.

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
    """The last record of a journal that was closed; without it, its writer has died."""

    kind: ClassVar[int] = 8


@attrs.define
class UnknownRecord(Record):
    """
    A kind of record that is not known here.

    Attributes:
        number: The kind.
        fields: Its fields besides those of all records.
    """

    number: int = -1
    fields: tuple[Any, ...] = attrs.field(default=(), repr=False)


RECORD_CLASSES: Final[Mapping[int, type[Record]]] = {
    cls.kind: cls
    for cls in (
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
"""The classes of the records that are appended, by kind."""


def _in_form(data: bytes, form: Form) -> Any:
    if form == "json":
        return frame_of(data)
    return data.decode(errors="replace") if form == "str" else data


COMMON: Final = tuple(field.name for field in attrs.fields(Record))
"""The names of the fields that all records have."""


def _class_named(class_name: str, type_name: str | None) -> type[Any] | None:
    """Return an event class; a module of this package is imported for it, and no other."""
    name = type_name or ""
    if name not in EVENT_TYPES and class_name.startswith(f"{_PACKAGE}."):
        try:
            importlib.import_module(class_name.rpartition(".")[0])
        except ImportError:  # an extra that is not installed
            return None
    return EVENT_TYPES.get(name)
