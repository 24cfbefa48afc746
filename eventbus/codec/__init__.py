"""
Our own format: an event as plain data, as JSON and as MessagePack, and back.

Rules:

* A written event comes back equal, or `CodecError` tells where it can't. Only
  exceptions, and the objects beside one in `RealtimeModelExceptionEvent`, lose more.
* Input is checked: any input gives an event or `CodecError`.
* Only classes that are known are built: those in `EVENT_TYPES`, those that
  their fields declare, and the classes of the vocabulary that are no events.

How it works. ``Documents`` makes plain data of an event, the document.
MessagePack is the document as it is; JSON has no bytes, NaN or infinity, and
gets ``{"$bytes": <base64>}`` and ``{"$float": "nan"}``. Readers know both, so a
document may come from either.

::

    codec       the functions, JSON and MessagePack
    documents   events: version, type name, unknown classes
    declared    attrs classes: a declared type decides how a field is written
    rules       the declared types, each with its way to be written
    plain       values without a declared type: the tags
    remote      exceptions and handlers, as text
    faults      where something is wrong
    utf8        where text isn't UTF-8

Why msgspec's support for attrs classes, with hooks, isn't enough: its hooks are not called for
the types that it knows, so in a field of type `Any` a tuple would come back as a list, a set as a
list, a Decimal, date or bytes as a string, an enum as its value; and ``dec_hook`` is not called for
`Any` at all, so tags could not be read. It leaves out the converters of attrs fields. Its errors
when writing have no path. The property tests of this package demand all four.

The format is specified, for readers in other languages, in
``docs/reference/format.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, TypeVar

import msgspec

from ..exceptions import CodecError
from ._declared import OR_NAME
from ._documents import Documents, UnknownObject
from ._faults import Fault
from ._remote import RemoteObject
from ._utf8 import utf8_error_in_json, utf8_error_in_msgpack

__all__ = [
    "FORMAT_VERSION",
    "OR_NAME",
    "RemoteObject",
    "UnknownObject",
    "dumps",
    "from_plain",
    "loads",
    "packs",
    "to_plain",
    "unpacks",
]

FORMAT_VERSION = 1
"""The version of the format that is written, and the newest that can be read."""

_T = TypeVar("_T")


def dumps(event: object) -> str:
    """
    Write an event as JSON text, in one line.

    Args:
        event: An instance of a class in `EVENT_TYPES`.

    Raises:
        CodecError: Its class isn't registered, or something in it can't be
            written; ``path`` names it.
    """
    return _write(event, _encode_json).decode()


def packs(event: object) -> bytes:
    """
    Write an event as MessagePack.

    Args:
        event: An instance of a class in `EVENT_TYPES`.

    Raises:
        CodecError: Its class isn't registered, or something in it can't be
            written; ``path`` names it.
    """
    return _write(event, _encode_msgpack)


def to_plain(event: object) -> dict[str, Any]:
    """
    Return an event as the document that `packs` writes.

    It has None, bool, int, float, str, bytes, list, and dict with str keys
    only, and shares no container with the event.

    Args:
        event: An instance of a class in `EVENT_TYPES`.

    Raises:
        CodecError: Its class isn't registered, or something in it can't be
            written; ``path`` names it.
    """
    return _write(event, lambda document: document)


def loads(data: str | bytes | bytearray | memoryview) -> Any:
    """
    Return the event that `dumps` wrote.

    Args:
        data: One JSON document; bytes are UTF-8.

    Raises:
        CodecError: It isn't JSON, or not of an event; ``path`` says where it
            is wrong, the message of broken JSON gives the byte.
    """
    return _read(data, _decode_json, "JSON")


def unpacks(data: bytes | bytearray | memoryview) -> Any:
    """
    Return the event that `packs` wrote.

    Args:
        data: One MessagePack document.

    Raises:
        CodecError: It isn't MessagePack, or not of an event; ``path`` says
            where it is wrong, the message of broken MessagePack gives the byte.
    """
    return _read(data, _decode_msgpack, "MessagePack")


def from_plain(document: Mapping[str, Any]) -> Any:
    """
    Return the event that `to_plain` gave *document* for.

    The document of `json.loads` will do too.

    Raises:
        CodecError: It isn't the document of an event; ``path`` says where.
    """
    try:
        return _codec.load(document)
    except Fault as fault:
        path, problem, cause = fault.path, fault.problem, fault.__cause__
    except RecursionError as exc:
        path, problem, cause = "$", _TOO_DEEP, exc
    msg = f"The data can't be read: {path}: {problem}"
    raise CodecError(msg, path=path) from cause


_TOO_DEEP = "nested too deeply, or contains itself; nest less."

_encode_msgpack: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
_decode_msgpack: Callable[[Any], Any] = msgspec.msgpack.Decoder().decode
_encode_strict_json: Callable[[Any], bytes] = msgspec.json.Encoder().encode
_decode_json: Callable[[Any], Any] = msgspec.json.Decoder().decode


def _encode_json(document: dict[str, Any]) -> bytes:
    _tag_for_json(document)
    return _encode_strict_json(document)  # which writes bytes as base64


def _tag_for_json(data: Any) -> None:
    """Tag values that JSON lacks, in place: the document is new."""
    for key, value in data.items() if type(data) is dict else enumerate(data):
        kind = type(value)
        if kind is dict or kind is list:
            _tag_for_json(value)
        elif kind is bytes and (key != "$str" or len(data) > 1):  # that is a tag of bytes already
            data[key] = {"$bytes": value}
        elif kind is float and not isfinite(value):
            data[key] = {"$float": repr(value)}


def _decode_base64(text: str) -> bytes:
    return msgspec.convert(text, bytes)  # strict, and several times as fast as base64.b64decode


_codec = Documents(FORMAT_VERSION, _decode_base64)


def _write(event: object, encode: Callable[[dict[str, Any]], _T]) -> _T:
    try:
        return encode(_codec.dump(event))
    except Fault as fault:
        path, problem, cause = fault.path, fault.problem, fault.__cause__
    except RecursionError as exc:
        path, problem, cause = "$", _TOO_DEEP, exc
    msg = f"{type(event).__qualname__} can't be written: {path}: {problem}"
    raise CodecError(msg, path=path) from cause


def _read(data: Any, decode: Callable[[Any], Any], encoding: str) -> Any:
    try:
        document = decode(data)
    except ValueError as exc:  # msgspec.DecodeError and UnicodeError are
        reason = _reason(exc, data, encoding)
        msg = f"The data can't be read: {reason}; pass all of the {encoding} of one event."
        raise CodecError(msg) from exc
    except RecursionError as exc:
        msg = f"The data can't be read: $: {_TOO_DEEP}"
        raise CodecError(msg) from exc
    return from_plain(document)


def _reason(error: ValueError, data: str | bytes | bytearray | memoryview, encoding: str) -> str:
    """Return the problem with *data*, and the byte where it is."""
    if isinstance(error, UnicodeEncodeError):
        return f"{error.reason} (byte {len(error.object[: error.start].encode())})"
    raw = data.encode() if isinstance(data, str) else bytes(data)
    find = utf8_error_in_json if encoding == "JSON" else utf8_error_in_msgpack
    utf8_error = find(raw)
    if utf8_error is not None:
        reason, offset = utf8_error
        return f"{reason} of UTF-8 (byte {offset})"
    return str(error) if "(byte " in str(error) else f"{error} (byte {len(raw)})"
