"""
Events, frames and messages in the form in which they are written.

An event becomes the plain data of `eventbus.codec`. Most events of a session are deltas, whose
fields are strings, numbers and bytes: such an event is its own plain data, as msgspec writes the
object the same way, in a tenth of the time.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Mapping
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

import attrs
import msgspec

from ..codec import to_plain
from ..events import (
    EVENT_TYPES,
    RealtimeModelAudioEvent,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelEndOfStreamEvent,
    RealtimeModelEvent,
)
from ..exceptions import CodecError
from ..wire._audio_text import APPENDS, GEMINI_INPUTS, caller_audio
from ..wire._frames import Frame
from ..wire._intake import to_bytes
from ..wire.openai import RealtimeModelSilenceEvent
from ._format import MAX_PAYLOAD_BYTES
from ._records import Form
from ._redaction import Withholding

MAX_DATA_BYTES: Final = MAX_PAYLOAD_BYTES - 4096
"""The longest frame or document; the rest is for the other fields of its record."""

TOO_LONG: Final = "it is longer than a record can be"
"""Why one that is longer isn't there."""

DECODED: Final = frozenset((*RealtimeModelEvent.__args__, RealtimeModelSilenceEvent)) - frozenset(
    (RealtimeModelConnectionStatusEvent, RealtimeModelEndOfStreamEvent)
)
"""The classes that a decoder may make of a frame; the others are the transport's."""

# Messages with the caller's audio have one of these at their edges.
_WITH_AUDIO: Final = tuple(f'"{name}"'.encode() for name in (*APPENDS, *GEMINI_INPUTS))
_APPEND_STARTS: Final = tuple(f'{{"type":"{name}","audio":"'.encode() for name in APPENDS)
_EDGE: Final = 200  # bytes at the beginning and at the end that are searched for it
_parse: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.msgpack.Encoder().encode

_FLAT_TYPES: Final = frozenset({str, int, bool, bytes, types.NoneType})
_MAY_HAVE_SECRETS: Final = frozenset({"arguments", "message", "output"})  # a text can, too


def _is_flat_type(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Literal:
        return all(type(value) in _FLAT_TYPES for value in get_args(annotation))
    if origin is types.UnionType:
        return all(map(_is_flat_type, get_args(annotation)))
    return annotation in _FLAT_TYPES


def _flat_classes() -> dict[type[Any], tuple[str, str]]:
    """Return the classes of the vocabulary that can be written as they are, and their names."""
    return {
        cls: (class_label(cls), name)
        for name, cls in EVENT_TYPES.items()
        if cls.__module__.partition(".")[0] == __name__.partition(".")[0]
        and all(_is_flat_type(hint) for hint in _field_types(cls))
        and _MAY_HAVE_SECRETS.isdisjoint(attrs.fields_dict(cls))
    }


def _field_types(cls: type[Any]) -> list[Any]:
    hints = get_type_hints(cls)
    return [hints[field.name] for field in attrs.fields(cls)]


def class_label(cls: type[Any]) -> str:
    """Return the name of a class, with its module unless that is the vocabulary's."""
    name = cls.__qualname__
    return name if cls.__module__ == "eventbus.events" else f"{cls.__module__}.{name}"


_FLAT: Final = _flat_classes()
_FLAT_FIELDS: Final = {
    cls: tuple(name for name in attrs.fields_dict(cls) if name != "type") for cls in _FLAT
}


def names_if_flat(event: Any) -> tuple[str, str] | None:
    """
    Return the class label and the type name of an event that can be written as it is, else None.

    Such an event has no place for a secret, either. A value that isn't of its field's declared
    type may still be refused by msgspec.
    """
    cls = type(event)
    names = _FLAT.get(cls)
    if names is None or EVENT_TYPES.get(names[1]) is not cls:
        return None
    if cls is RealtimeModelAudioEvent and type(event.data) is not bytes:
        return None  # it may change before it is written
    return names


def plain_if_flat(event: Any) -> dict[str, Any] | None:
    """Return the plain data of a decoder's event that can be written as it is, else None."""
    names = names_if_flat(event)
    if names is None:
        return None
    plain: dict[str, Any] = {"type": names[1]}
    for name in _FLAT_FIELDS[type(event)]:
        plain[name] = value = getattr(event, name)
        if type(value) is str and not value.isascii() and not _is_unicode(value):
            return None
    return plain


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # for the codec to judge
        return False
    return True


def document_of(event: Any) -> tuple[dict[str, Any] | None, str | None]:
    """
    Return the plain data of *event*, and why there is none, if there is none.

    Nothing is raised for any event.
    """
    try:
        document = to_plain(event)
    except CodecError as exc:
        return None, str(exc)
    except Exception as exc:  # noqa: BLE001  # other people's attributes
        return None, f"it can't be written: {type(exc).__qualname__}"
    del document["$v"]
    return document, None


def write_document(event: Any, withholding: Withholding) -> tuple[msgspec.Raw | None, str | None]:
    """
    Return an event as MessagePack, without withheld parts, and why there is none.

    Args:
        event: Any object.
        withholding: Leaves something out.
    """
    if withholding.is_idle and names_if_flat(event) is not None:
        with contextlib.suppress(Exception):  # a field isn't of its type: for the codec to judge
            return _fitting(_encode(event))
    document, problem = document_of(event)
    if document is not None:
        document, withheld = withholding.of_document(document)
        problem = withheld or problem
    if document is None:
        return None, problem
    try:
        return _fitting(_encode(document))
    except Exception as exc:  # noqa: BLE001  # other people's values
        return None, f"it can't be written: {type(exc).__qualname__}"


def _fitting(data: bytes) -> tuple[msgspec.Raw | None, str | None]:
    if len(data) > MAX_DATA_BYTES:
        return None, TOO_LONG
    return msgspec.Raw(data), None


def type_name_of(cls: type[Any]) -> str | None:
    """Return the type name of a class in the codec; None if it has none."""
    field = getattr(cls, "__attrs_attrs__", None) and attrs.fields_dict(cls).get("type")
    name = field.default if field is not None and isinstance(field.default, str) else None
    if name is not None and EVENT_TYPES.get(name) is cls:
        return name
    return next((known for known, other in EVENT_TYPES.items() if other is cls), None)


def bytes_of(data: Any) -> tuple[bytes | None, Form, str | None]:
    """Return a frame or a message as bytes, its form, and why it can't be; None if neither."""
    raw: bytes | None = None
    form: Form = "json"
    problem: str | None = None
    if type(data) is Frame:
        raw = data.raw
        if len(raw) <= MAX_DATA_BYTES:
            return raw, form, None
    elif isinstance(data, str):
        raw, form = data.encode(errors="replace"), "str"
    elif isinstance(data, (bytes, bytearray, memoryview)):
        raw, form = bytes(data), "bytes"
    elif isinstance(data, Mapping):
        raw, error = to_bytes(data)
        problem = None if error is None else error.problem
    if raw is not None and len(raw) > MAX_DATA_BYTES:
        raw, problem = b"", TOO_LONG
    return raw, form, problem


def audio_in(message: Any, data: bytes) -> int | None:
    """Return how many bytes of audio a message to the service has; None if it is no audio."""
    # Clients differ in the order of the names: the type may come before the audio or after it.
    first, last = data[:_EDGE], data[-_EDGE:]
    if not any(name in first or name in last for name in _WITH_AUDIO):
        return None
    if type(message) is Frame and data.isascii() and b"\\" not in data:
        for start in _APPEND_STARTS:  # as our own sessions write them: nothing is parsed
            if data.startswith(start) and data.find(b'"', len(start)) == len(data) - 2:
                size = len(data) - len(start) - 2
                return max(0, size * 3 // 4 - data.count(b"=", -4))
    if not isinstance(message, Mapping):
        try:
            message = _parse(data)
        except (ValueError, RecursionError):
            return None
    audio = caller_audio(message) if isinstance(message, Mapping) else None
    return None if audio is None else max(0, len(audio) * 3 // 4 - audio.count("=", -2))
