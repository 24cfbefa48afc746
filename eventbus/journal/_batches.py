"""
The payload of a batch: records as arrays of a few numbers, and the names that they refer to.

Rules
-----

* A payload is one MessagePack array: ``[first_seq, mono_ns, wall_ns, names_at, names, records]``.
  ``names`` has pairs of a number and a value, which later records of the segment refer to by that
  number; 0 is none. ``names_at`` is the offset of the batch before that has names, or 0.
* A record is an array: ``[kind, seq, mono_ns, stream, back, ...]``, and then the fields of its
  kind. ``stream`` is a name; ``back`` is ``seq`` less the ``seq`` of its cause, or 0.
* A stream is the sender, and if a decoder has made its events, the decoder's identity: records of
  one sender may belong to several streams.
* An event is stored, derived from the frame that is its cause, or repeats its cause: three kinds.
* Elements at the end of an array that aren't known here are ignored, and so is a kind of record;
  anything else that would make a reader misunderstand gets a new version of the format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Raw, Struct

from ._format import MAX_PAYLOAD_BYTES

_Count: TypeAlias = Annotated[int, Meta(ge=0)]
_Int: TypeAlias = int

HEADER: Final = 0
FRAME: Final = 1
EVENT: Final = 2
SENT: Final = 3
CALL: Final = 4
DROP: Final = 5
STATUS: Final = 6
GAP: Final = 7
END: Final = 8
DERIVED: Final = 9
REPEAT: Final = 10


_COMMON: Final = 5  # elements that all records have


class Entry(Struct, array_like=True, gc=False):
    """The elements that all records have."""

    seq: _Count
    mono_ns: _Int
    stream: _Count
    back: _Int


class HeaderEntry(Entry, tag=HEADER, array_like=True, gc=False):
    """The first record of a segment; see `eventbus.journal.HeaderRecord`."""

    journal_id: str
    segment: _Count
    first_seq: _Count
    creator: str
    has_audio: bool
    has_content: bool
    redacted: list[str]
    clock: Literal["monotonic", "virtual"] = "monotonic"
    events: Literal["derived", "stored"] = "derived"
    is_copy: bool = False


class FrameEntry(Entry, tag=FRAME, array_like=True, gc=False):
    """A frame."""

    data: bytes
    form: Literal["json", "str", "bytes"] = "json"
    problem: str | None = None


class StoredEntry(Entry, tag=EVENT, array_like=True, gc=False):
    """An event with its document; *class_name* and *type_name* are names."""

    class_name: _Count
    type_name: _Count
    document: Raw
    problem: str | None = None
    audio_bytes: _Count | None = None


class DerivedEntry(Entry, tag=DERIVED, array_like=True, gc=False):
    """An event that the stream's decoder makes of its cause: the event *index* after the raw."""

    index: _Count
    class_name: _Count
    type_name: _Count
    audio_bytes: _Count | None = None


class RepeatEntry(Entry, tag=REPEAT, array_like=True, gc=False):
    """An event that repeats its cause."""

    class_name: _Count
    type_name: _Count


class SentEntry(Entry, tag=SENT, array_like=True, gc=False):
    """A message to the service."""

    data: bytes
    form: Literal["json", "str", "bytes"] = "json"
    problem: str | None = None
    audio_bytes: _Count | None = None


class CallEntry(Entry, tag=CALL, array_like=True, gc=False):
    """
    A call.

    Attributes:
        handler: A name.
        queued_ns: As in `eventbus.journal.CallRecord`.
        ago_ns: *mono_ns* less the time at which it began.
        run_ns: None while it runs.
        call_back: *seq* less that of the first record of the call; 0 in the first.
        error: Class, message and traceback of what it raised; None if nothing.
    """

    handler: _Count
    queued_ns: _Int
    ago_ns: _Int
    run_ns: _Int | None = None
    call_back: _Count = 0
    error: Annotated[list[str], Meta(min_length=3, max_length=3)] | None = None


class DropEntry(Entry, tag=DROP, array_like=True, gc=False):
    """Events that a handler did not get; *handler* is a name."""

    handler: _Count
    reason: str
    count: _Count
    events: list[_Count]


class StatusEntry(Entry, tag=STATUS, array_like=True, gc=False):
    """A change of the connection."""

    status: Literal["connecting", "connected", "disconnected"]


class GapEntry(Entry, tag=GAP, array_like=True, gc=False):
    """Records that are missing."""

    first_seq: _Count
    last_seq: _Count
    reason: str


class EndEntry(Entry, tag=END, array_like=True, gc=False):
    """The end of the journal."""


AnyEntry: TypeAlias = (
    HeaderEntry
    | FrameEntry
    | StoredEntry
    | DerivedEntry
    | RepeatEntry
    | SentEntry
    | CallEntry
    | DropEntry
    | StatusEntry
    | GapEntry
    | EndEntry
)

Names: TypeAlias = list[tuple[_Count, Any]]
"""Pairs of a number and a value: a string, or a stream."""


class BatchHead(Struct, array_like=True, gc=False):
    """The elements of a payload that a place is found by."""

    first_seq: _Count
    mono_ns: _Int
    wall_ns: _Int
    names_at: _Count


class _Batch(BatchHead, array_like=True, gc=False):
    names: Names
    entries: list[AnyEntry]


class _RawBatch(BatchHead, array_like=True, gc=False):
    names: Names
    entries: list[Raw]


class _BatchNames(BatchHead, array_like=True, gc=False):
    names: Names


class BadEntry(Struct):
    """A record whose fields are not of their types, though the checksum is right."""

    problem: str


class OtherEntry(Struct):
    """A record of a kind that is not known here: its elements."""

    elements: list[Any]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_head: Final = msgspec.msgpack.Decoder(BatchHead).decode
_decode_names: Final = msgspec.msgpack.Decoder(_BatchNames).decode
_decode_batch: Final = msgspec.msgpack.Decoder(_Batch).decode
_decode_raw: Final = msgspec.msgpack.Decoder(_RawBatch).decode
_decode_entry: Final = msgspec.msgpack.Decoder(AnyEntry).decode
_decode_any: Final = msgspec.msgpack.Decoder().decode
_decode_document: Final = msgspec.msgpack.Decoder(dict[str, Any]).decode

_Common: TypeAlias = tuple[_Count, _Count, _Int, _Count, _Int]


def encode_batch(
    first_seq: int, mono_ns: int, wall_ns: int, names_at: int, names: Any, entries: Any
) -> bytes:
    """
    Return the payload of a batch.

    Raises:
        Exception: An element can't be written as MessagePack.
    """
    return _encode((first_seq, mono_ns, wall_ns, names_at, names, entries))


def encodable(entry: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return an entry that can be written, in place of one that can't, or is too long."""
    try:
        if len(encode_batch(0, 0, 0, 0, (), (entry,))) <= MAX_PAYLOAD_BYTES:
            return entry
    except Exception:  # noqa: BLE001  # whatever is in there isn't of our making
        pass
    kind, *rest = entry
    common = (kind, *rest[: _COMMON - 1])
    if kind in (FRAME, SENT):
        return (*common, b"", "bytes", "it can't be written")
    if kind == EVENT:
        return (*common, *rest[4:6], None, "it can't be written")
    if kind == CALL:
        return (*common, *rest[4:8])
    return (GAP, entry[1], entry[2], 0, 0, entry[1], entry[1], "it can't be written")


def head_of(payload: bytes) -> BatchHead | None:
    """Return the first elements of a payload; None if they aren't those of one."""
    try:
        return _decode_head(payload)
    except (ValueError, RecursionError):
        return None


def names_of(payload: bytes) -> tuple[int, Names]:
    """Return the offset of the batch before that has names, and the names of this one."""
    try:
        batch = _decode_names(payload)
    except (ValueError, RecursionError):
        return 0, []
    return batch.names_at, batch.names


def decode_batch(
    payload: bytes,
) -> tuple[BatchHead, Names, list[Any]] | None:
    """
    Return head, names and records of a payload; None if it isn't one at all.

    Of the records, one that isn't well-formed is a `BadEntry`, one of an unknown kind an
    `OtherEntry`.
    """
    try:
        batch = _decode_batch(payload)
    except (ValueError, RecursionError):
        return _decode_one_by_one(payload)
    return batch, batch.names, batch.entries


def _decode_one_by_one(payload: bytes) -> tuple[BatchHead, Names, list[Any]] | None:
    try:
        batch = _decode_raw(payload)
    except (ValueError, RecursionError):
        return None
    return batch, batch.names, [_decode_single(raw) for raw in batch.entries]


def _decode_single(raw: Raw) -> AnyEntry | BadEntry | OtherEntry:
    try:
        return _decode_entry(raw)
    except (ValueError, RecursionError) as exc:
        problem = str(exc)
    try:
        elements = _decode_any(raw)
        kind = msgspec.convert(elements[:5], _Common)[0]
        if kind > REPEAT:
            return OtherEntry(elements)
    except (ValueError, TypeError, RecursionError):
        pass
    return BadEntry(problem)


def decode_document(raw: Raw) -> tuple[bool, Mapping[str, Any] | None]:
    """Return whether an event's document is one, or nil; and the document."""
    data = bytes(raw)
    if data == b"\xc0":
        return True, None
    try:
        return True, _decode_document(data)
    except (ValueError, RecursionError):
        return False, None
