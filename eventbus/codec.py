"""
Our own format: an event as plain data, as JSON and as MessagePack.

Rules:

* What is written comes back equal, or `CodecError` says where it can't. Only
  exceptions, and what `RealtimeModelExceptionEvent` has beside one, give up more.
* What is read is checked: any input gives an event or `CodecError`.
* Only classes that are known are built: those in `EVENT_TYPES`, those that
  their fields declare, and the classes of the vocabulary that are no events.
  A name in the data is looked up, never imported.

How it works. A document is plain data: None, bool, int of at most 64 bits,
float, str, bytes, list, and dict with str keys. An event is the dict
``{"$v": 1, "type": <its type name>, <field>: <value>, ...}``. A field's
declared type decides how its value is written, once per class (`_codec_for`,
`_fields_of`): a declared attrs class is a dict of its fields, a declared tuple
is a list, a declared enum is its value. Where nothing is declared (`Any`), the
document tells what the value is (`_dump_any`, `_load_any`): what plain data
lacks is a dict with a key that starts with ``$``, like ``{"$tuple": [1, 2]}``,
and a mapping that has such a key itself is ``{"$map": [[key, value], ...]}``.
MessagePack is the document as it is; JSON has no bytes, NaN or infinity, and
gets ``{"$bytes": <base64>}`` and ``{"$float": "nan"}``.

An exception becomes type, message and traceback, and comes back as
`RemoteException`. The handler, and a sender or event that can't be written,
become `RemoteObject`, which has the name only: a report of a crash must not
fail because of what crashed. A type that is unknown here comes back as
`RealtimeModelOtherEvent` of an `UnknownObject`, and is written as it was.

The format is specified, for readers in other languages, in
``docs/reference/format.md``.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import re
import sys
import traceback
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Mapping,
    MutableMapping,
    Sequence,
)
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from itertools import combinations
from math import isfinite
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import attrs
import msgspec

from . import events, items
from .events import EVENT_TYPES, RealtimeModelExceptionEvent, RealtimeModelOtherEvent
from .exceptions import CodecError, RemoteException

__all__ = [
    "FORMAT_VERSION",
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


@attrs.frozen
class UnknownObject:
    """
    An event, or a value in one, whose class this process doesn't know.

    It is written as it was read. A process that knows the class gets the
    event; one that doesn't gets `RealtimeModelOtherEvent` with this as data.

    Attributes:
        type_name: The type name of the event, or the name of the value's class.
        fields: What was in it, by name.
        is_event: Whether it was an event.
    """

    type_name: str
    fields: Mapping[str, Any] = attrs.field(hash=False, repr=lambda f: f"<{len(f)} fields>")
    is_event: bool = True


@attrs.frozen
class RemoteObject:
    """
    The name of a handler or sender of another process, which couldn't travel.

    Attributes:
        name: The qualified name of a function or class; the ``repr()`` of
            anything else.
    """

    name: str

    def __call__(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Raise `TypeError`: it has a handler's place, and none of its code."""
        msg = f"{self.name} is in another process: only its name is here, it can't be called."
        raise TypeError(msg)


# --- what users call -------------------------------------------------------------------------


def dumps(event: object) -> str:
    """
    Write an event as JSON text, in one line.

    Args:
        event: An instance of a class in `EVENT_TYPES`.

    Raises:
        CodecError: Its class isn't registered, or something in it can't be
            written; ``path`` says what.
    """
    return _encode(event, as_json=True, encode=_encode_json).decode()


def packs(event: object) -> bytes:
    """
    Write an event as MessagePack.

    Args:
        event: An instance of a class in `EVENT_TYPES`.

    Raises:
        CodecError: Its class isn't registered, or something in it can't be
            written; ``path`` says what.
    """
    return _encode(event, as_json=False, encode=_encode_msgpack)


def to_plain(event: object) -> dict[str, Any]:
    """
    Return an event as the document that `packs` writes.

    It has None, bool, int, float, str, bytes, list, and dict with str keys
    only, and shares no container with the event.

    Args:
        event: An instance of a class in `EVENT_TYPES`.

    Raises:
        CodecError: Its class isn't registered, or something in it can't be
            written; ``path`` says what.
    """
    return _encode(event, as_json=False, encode=_same)


def loads(data: str | bytes | bytearray | memoryview) -> Any:
    """
    Return the event that `dumps` wrote.

    Args:
        data: One JSON document; bytes are UTF-8.

    Raises:
        CodecError: It isn't JSON, or not of an event; ``path`` says where it
            is wrong, the message of broken JSON gives the byte.
    """
    return _decode(data, "JSON", _decode_json)


def unpacks(data: bytes | bytearray | memoryview) -> Any:
    """
    Return the event that `packs` wrote.

    Args:
        data: One MessagePack document.

    Raises:
        CodecError: It isn't MessagePack, or not of an event; ``path`` says
            where it is wrong, the message of broken MessagePack gives the byte.
    """
    return _decode(data, "MessagePack", _decode_msgpack)


def from_plain(document: Mapping[str, Any]) -> Any:
    """
    Return the event that `to_plain` gave *document* for.

    The document of `json.loads` will do too.

    Raises:
        CodecError: It isn't the document of an event; ``path`` says where.
    """
    try:
        return _load_document(document)
    except _Fault as fault:
        raise _read_error(fault) from fault.__cause__
    except RecursionError as exc:
        raise _read_error(_Fault(_TOO_DEEP)) from exc


_encode_json: Callable[[Any], bytes] = msgspec.json.Encoder().encode
_encode_msgpack: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
_decode_json: Callable[[Any], Any] = msgspec.json.Decoder().decode
_decode_msgpack: Callable[[Any], Any] = msgspec.msgpack.Decoder().decode


def _same(document: dict[str, Any]) -> dict[str, Any]:
    return document


_TOO_DEEP = "nested too deeply, or contains itself; nest less."


class _Fault(Exception):
    """
    Something can't be written or read; the path is collected on the way up.

    Never leaves this module: callers get `CodecError`.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.steps: list[Any] = []

    def path(self) -> str:
        return "$" + "".join(map(_step, reversed(self.steps)))


def _shown(value: Any) -> str:
    """Return a short text for messages; ASCII, since str may have lone surrogates."""
    text = ascii(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


_SHOWN = 60


def _fail(problem: str, cause: Exception | None = None) -> NoReturn:
    raise _Fault(problem) from cause


def _refuse(expected: str, value: Any) -> NoReturn:
    # The class and not the value: it may be long, or nobody's business.
    _fail(f"expected {expected}, not {type(value).__qualname__}.")


def _step(key: Any) -> str:
    if isinstance(key, str) and re.fullmatch(r"[^\W\d]\w*", key):
        return f".{key}"
    # ascii(), since a key may have lone surrogates, which no terminal or log file takes.
    return f"[{_shown(key)}]"


_T = TypeVar("_T")


def _encode(event: object, *, as_json: bool, encode: Callable[[Any], _T]) -> _T:
    try:
        return encode(_dump_event(event, as_json))
    except _Fault as fault:
        problem, path, cause = fault.problem, fault.path(), fault.__cause__
    except RecursionError as exc:
        problem, path, cause = _TOO_DEEP, "$", exc
    msg = f"{type(event).__qualname__} can't be written: {path}: {problem}"
    raise CodecError(msg, path=path) from cause


def _decode(data: Any, what: str, decode: Callable[[Any], Any]) -> Any:
    try:
        document = decode(data)
    except ValueError as exc:  # msgspec.DecodeError and UnicodeError are
        msg = f"The data can't be read: {_reason(exc, data)}; pass all of the {what} of one event."
        raise CodecError(msg) from exc
    except RecursionError as exc:
        raise _read_error(_Fault(_TOO_DEEP)) from exc
    return from_plain(document)


def _reason(error: ValueError, data: str | bytes | bytearray | memoryview) -> str:
    """Return what is wrong with *data*, and at which byte."""
    if isinstance(error, UnicodeEncodeError):
        return f"{error.reason} (byte {len(error.object[: error.start].encode())})"
    raw = data.encode() if isinstance(data, str) else bytes(data)
    if isinstance(error, UnicodeDecodeError):  # counts from the start of the string
        return f"{error.reason} of UTF-8 (byte {raw.find(error.object) + error.start})"
    return str(error) if "(byte " in str(error) else f"{error} (byte {len(raw)})"


def _read_error(fault: _Fault) -> CodecError:
    path = fault.path()
    return CodecError(f"The data can't be read: {path}: {fault.problem}", path=path)


# --- values that the document describes ------------------------------------------------------

_Dump = Callable[[Any, bool], Any]  # value, whether for JSON -> document
_Load = Callable[[Any], Any]  # document -> value


def _dump_any(value: Any, as_json: bool) -> Any:
    kind: Any = type(value)  # Any: lru_cache's stub doesn't know that classes are hashable
    dump = _DUMPERS.get(kind) or _dumper_of(kind)
    return dump(value, as_json)


@functools.lru_cache(maxsize=1024)
def _dumper_of(cls: Any) -> _Dump:
    """Return what writes a class that isn't one of `_DUMPERS`, but may have one as its base."""
    if issubclass(cls, BaseException):
        return lambda value, as_json: {"$exception": _dump_exception(value, as_json)}
    if attrs.has(cls):
        return _dump_object
    if issubclass(cls, Enum) and not issubclass(cls, (str, int, float, bytes)):
        return _refuse_enum
    for base, dump in _SUBCLASS_DUMPERS:
        if issubclass(cls, base):
            return dump
    return _refuse_class


def _refuse_enum(value: Enum, _as_json: bool) -> NoReturn:
    _fail(
        f"{value!r} would come back as its value; declare the field's type as "
        f"{type(value).__qualname__}, or use the value."
    )


def _refuse_class(value: Any, _as_json: bool) -> NoReturn:
    _fail(
        f"{_class_name(type(value))} is no plain data; write something else in its place, or make "
        f"it an attrs class that is registered with eventbus.events.register_event."
    )


def _dump_as_is(value: Any, _as_json: bool) -> Any:
    return value


def _dump_str(value: str, _as_json: bool) -> Any:
    if value.isascii():  # constant time, and true of nearly all that is long
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"$str": value.encode(errors="surrogatepass")}
    return value


def _dump_int(value: int, _as_json: bool) -> Any:
    if -(1 << 63) <= value < 1 << 64:
        return value
    return {"$int": f"{value:x}"}  # hexadecimal, since CPython limits the length of decimals


def _dump_float(value: float, as_json: bool) -> Any:
    return value if isfinite(value) or not as_json else {"$float": repr(value)}


def _dump_bytes(value: bytes, as_json: bool) -> Any:
    return {"$bytes": value} if as_json else value  # msgspec.json writes bytes as base64


def _dump_buffer(value: Any, as_json: bool) -> Any:
    data = bytes(value)
    if data != value:
        _fail("a memoryview of other items than bytes; cast('B') it first.")
    return _dump_bytes(data, as_json)


def _dump_datetime(value: datetime, _as_json: bool) -> Any:
    text = value.isoformat()
    # In the hour that a clock change repeats, a zone's time differs from its fixed offset's.
    if value.fold or datetime.fromisoformat(text) != value:
        _fail(f"{value!r} would come back as {text}; convert it to UTC.")
    return {"$datetime": text}


def _each(function: Callable[..., Any], values: Iterable[Any], *arguments: Any) -> list[Any]:
    result: list[Any] = []
    try:
        for value in values:
            result.append(function(value, *arguments))  # noqa: PERF401 - its length is the index
    except _Fault as fault:
        fault.steps.append(len(result))
        raise
    return result


def _dump_array(value: Iterable[Any], as_json: bool) -> list[Any]:
    return _each(_dump_any, value, as_json)


def _dump_mapping(value: Mapping[Any, Any], as_json: bool) -> dict[str, Any]:
    return _dump_entries(value, as_json, _dump_any, _dump_any)


def _dump_entries(
    value: Mapping[Any, Any], as_json: bool, dump_key: _Dump, dump_value: _Dump
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    key: Any = None
    try:
        for key, item in value.items():
            if type(key) is not str or key[:1] == "$" or type(dump_key(key, as_json)) is not str:
                break
            result[key] = dump_value(item, as_json)
        else:
            return result
        pairs = []
        for key, item in value.items():
            pairs.append([dump_key(key, as_json), dump_value(item, as_json)])
    except _Fault as fault:
        fault.steps.append(key)
        raise
    return {"$map": pairs}


def _dump_exception(value: BaseException, as_json: bool) -> dict[str, Any]:
    if isinstance(value, RemoteException):
        name, message, text = value.type_name, value.message, value.traceback_text
    else:
        name = _class_name(type(value))
        try:
            message = str(value)
        except Exception:  # noqa: BLE001 - other people's __str__
            message = f"<{name} whose str() failed>"
        text = _traceback_text(value)
    return {
        "type": _STR.dump(name, as_json),
        "message": _STR.dump(message, as_json),
        "traceback": _STR.dump(text, as_json),
    }


def _traceback_text(exception: BaseException) -> str:
    """Return the formatted traceback; empty if there is none to show."""
    try:
        report = traceback.TracebackException(
            type(exception),
            exception,
            exception.__traceback__,
            # No limits: what is cut from a group's tail may be what broke.
            max_group_width=sys.maxsize,
            max_group_depth=sys.maxsize,
        )
        lines = list(report.format())
    except Exception:  # noqa: BLE001 - other people's exceptions, with attributes of any kind
        return ""
    return "".join(lines) if len(lines) > 1 else ""  # one line is type and message again


def _dump_remote(value: RemoteObject, as_json: bool) -> Any:
    return {"$remote": _STR.dump(value.name, as_json)}


def _class_name(cls: type[Any]) -> str:
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )


_DUMPERS: dict[type[Any], _Dump] = {
    NoneType: _dump_as_is,
    bool: _dump_as_is,
    str: _dump_str,
    int: _dump_int,
    float: _dump_float,
    bytes: _dump_bytes,
    bytearray: _dump_buffer,
    memoryview: _dump_buffer,
    list: _dump_array,
    dict: _dump_mapping,
    tuple: lambda value, as_json: {"$tuple": _dump_array(value, as_json)},
    set: lambda value, as_json: {"$set": _dump_array(value, as_json)},
    frozenset: lambda value, as_json: {"$frozenset": _dump_array(value, as_json)},
    # Of these, a subclass may hold more than the text has: pandas' nanoseconds, for one.
    datetime: _dump_datetime,
    date: lambda value, _: {"$date": value.isoformat()},
    Decimal: lambda value, _: {"$decimal": str(value)},
    UUID: lambda value, _: {"$uuid": str(value)},
    RemoteObject: _dump_remote,
}

# An instance of a subclass comes back as one of the base, and equal: StrEnum, OrderedDict.
_SUBCLASS_DUMPERS: tuple[tuple[type[Any], _Dump], ...] = (
    (str, lambda value, as_json: _dump_str(str.__str__(value), as_json)),
    (int, lambda value, as_json: _dump_int(int.__index__(value), as_json)),
    (float, lambda value, as_json: _dump_float(float.__float__(value), as_json)),
    (bytes, _dump_buffer),
    (bytearray, _dump_buffer),
    (list, _dump_array),
    *((base, _DUMPERS[base]) for base in (tuple, set, frozenset)),
    (Mapping, _dump_mapping),
)


def _load_any(data: Any) -> Any:
    kind = type(data)
    if kind in _PLAIN_SCALARS:
        return data
    if kind is dict:
        return _load_mapping(data)
    if kind is list:
        return _load_array(data)
    _fail(f"{kind.__qualname__} is no part of the format; write plain data.")


_PLAIN_SCALARS = frozenset({NoneType, bool, int, float, str, bytes})


def _load_array(data: Any, load: _Load = _load_any) -> list[Any]:
    if type(data) is not list:
        _refuse("a list", data)
    return _each(load, data)


def _load_mapping(data: dict[Any, Any]) -> Any:
    result = {}
    for key, item in data.items():
        if type(key) is not str:
            _fail(f"the key {_shown(key)} isn't a string; write such a mapping as $map.")
        if key[:1] == "$":
            return _load_tagged(data)
        try:
            result[key] = _load_any(item)
        except _Fault as fault:
            fault.steps.append(key)
            raise
    return result


def _load_tagged(data: dict[Any, Any]) -> Any:
    if "$v" in data:
        return _load_event(data)
    if "$class" in data:
        return _load_value_object(data)
    tag, payload = next(iter(data.items()))
    load = _TAGS.get(tag)
    if load is None or len(data) > 1:
        keys = _shown(list(data))
        _fail(f"expected one key that is a known tag, not {keys}; upgrade eventbus.")
    return load(payload)


def _load_bytes(data: Any) -> bytes:
    if type(data) is bytes:
        return data
    text = _load_text(data)
    try:
        return msgspec.convert(text, bytes)  # strict, and twice as fast as binascii
    except msgspec.ValidationError as exc:
        _fail("no base64; write it with padding and without white space.", exc)


def _load_surrogates(data: Any) -> str:
    try:
        return _load_bytes(data).decode(errors="surrogatepass")
    except UnicodeDecodeError as exc:
        _fail(f"no UTF-8, even with surrogates: {exc.reason} (byte {exc.start}).", exc)


def _load_text(data: Any) -> str:
    if type(data) is not str:
        _refuse("str", data)
    return data


def _load_map(data: Any, load_key: _Load = _load_any, load_value: _Load = _load_any) -> Any:
    result: dict[Any, Any] = {}
    if type(data) is not list:
        _refuse("a list of pairs", data)
    for index, pair in enumerate(data):
        step: Any = index
        try:
            if type(pair) is not list or len(pair) != 2:
                _refuse("a list of key and value", pair)
            key = load_key(pair[0])
            if _hashable(key) in result:
                _fail(f"the key {_shown(key)} is there twice; remove one.")
            step = key
            result[key] = load_value(pair[1])
        except _Fault as fault:
            fault.steps.append(step)
            raise
    return result


def _load_set(data: Any, load: _Load = _load_any) -> set[Any]:
    members = _load_array(data, load)
    result = set(map(_hashable, members))
    if len(result) != len(members):
        _fail("a set has a member twice; remove one.")
    return result


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError as exc:
        _fail(f"{type(value).__qualname__} can't be a key, or a member of a set: {exc}.", exc)
    return value


def _load_exception(data: Any) -> RemoteException:
    if type(data) is not dict:
        _refuse("an exception (type, message, traceback)", data)
    return RemoteException(
        *[_field(data, key, _STR.load) for key in ("type", "message", "traceback")]
    )


def _field(data: dict[Any, Any], key: str, load: _Load) -> Any:
    """Return what *data* has under *key*, which must be there."""
    try:
        if key not in data:
            _fail("is missing; a document must have it.")
        return load(data[key])
    except _Fault as fault:
        fault.steps.append(key)
        raise


def _text(parse: Callable[[str], Any], pattern: str = ".*") -> _Load:
    """Return a loader of what has a text form: *parse* reads it if it matches *pattern*."""

    def load(data: Any) -> Any:
        text = _load_text(data)
        try:
            if re.fullmatch(pattern, text):
                return parse(text)
            problem = f"{_shown(text)} doesn't match {pattern}."
        except (ValueError, ArithmeticError) as exc:  # the latter is what Decimal raises
            problem = f"{_shown(text)} can't be read: {type(exc).__qualname__}."
        raise _Fault(problem)

    return load


_TAGS: dict[str, _Load] = {
    "$bytes": _load_bytes,
    "$str": _load_surrogates,
    "$int": _text(lambda text: int(text, 16), "-?[0-9a-f]+"),
    "$float": _text(float, "nan|-?inf"),
    "$tuple": lambda data: tuple(_load_array(data)),
    "$set": _load_set,
    "$frozenset": lambda data: frozenset(_load_set(data)),
    "$map": _load_map,
    "$datetime": _text(datetime.fromisoformat),
    "$date": _text(date.fromisoformat),
    "$decimal": _text(Decimal),
    "$uuid": _text(UUID),
    "$exception": _load_exception,
    "$remote": lambda data: RemoteObject(_STR.load(data)),
}


# --- events and other objects ----------------------------------------------------------------

_VALUE_CLASSES: dict[str, type[Any]] = {
    name: cls
    for module in (events, items)
    for name in module.__all__
    if attrs.has(cls := getattr(module, name)) and cls not in EVENT_TYPES.values()
}
"""Name -> class, for the classes of the vocabulary that are no events."""

_VALUE_NAMES = {cls: name for name, cls in _VALUE_CLASSES.items()}
_type_names: dict[type[Any], str] = {}


def _type_name(cls: type[Any]) -> str | None:
    """Return the name that *cls* has in the registry, which may have changed since."""
    name = _type_names.get(cls)
    if name is not None and EVENT_TYPES.get(name) is cls:
        return name
    names = [name for name, known in EVENT_TYPES.items() if known is cls]
    if not names:
        return None
    field = attrs.fields_dict(cls).get("type")
    # A class may have several, old ones for reading; the one it calls itself is for writing.
    name = field.default if field is not None and field.default in names else names[0]
    _type_names[cls] = name
    return name


def _dump_event(event: Any, as_json: bool) -> dict[str, Any]:
    """Return the document of *event*, which is an event or the wrapper of an unknown one."""
    unknown = event.data if type(event) is RealtimeModelOtherEvent else event
    if type(unknown) is UnknownObject and unknown.is_event:
        return _dump_unknown(unknown, as_json)
    name = _type_name(type(event))
    if name is None:
        if attrs.has(type(event)):
            problem = "its class has no type name; register it: @eventbus.events.register_event."
        else:
            problem = (
                "it isn't an attrs class; make it one and register it, or wrap plain data in "
                "RealtimeModelRawServerEvent."
            )
        raise _Fault(problem)
    return _dump_event_fields(event, name, as_json)


def _dump_object(value: Any, as_json: bool) -> dict[str, Any]:
    """Return the document of an attrs object where no class is declared."""
    cls = type(value)
    if cls is UnknownObject:
        return _dump_unknown(value, as_json)
    name = _VALUE_NAMES.get(cls)
    if name is not None:
        return _dump_fields(value, {"$class": name}, as_json)
    name = _type_name(cls)
    if name is not None:
        return _dump_event_fields(value, name, as_json)
    _fail(
        f"{_class_name(cls)} isn't known here; declare it as the field's type (so that it can be "
        f"resolved at run time), or register it with eventbus.events.register_event."
    )


def _dump_unknown(value: UnknownObject, as_json: bool) -> dict[str, Any]:
    name = _STR.dump(value.type_name, as_json)
    document = {"$v": FORMAT_VERSION, "type": name} if value.is_event else {"$class": name}
    for key, item in value.fields.items():
        try:
            if key in document or type(key) is not str or _dump_str(key, as_json) is not key:
                _fail("can't be the name of a field; rename it.")
            document[key] = _dump_any(item, as_json)
        except _Fault as fault:
            fault.steps.append(key)
            raise
    return document


def _dump_event_fields(event: Any, name: str, as_json: bool) -> dict[str, Any]:
    document = _dump_fields(event, {"$v": FORMAT_VERSION, "type": name}, as_json)
    if document["type"] != name:  # it has a field of that name
        fault = _Fault(
            f"is {_shown(document['type'])}, but the class is registered as {name!r}; let both be "
            f"the same, or name the field differently."
        )
        fault.steps.append("type")
        raise fault
    return document


def _dump_fields(value: Any, document: dict[str, Any], as_json: bool) -> dict[str, Any]:
    key = ""
    try:
        for key, dump in _fields_of(type(value)).writers:
            document[key] = dump(getattr(value, key), as_json)
    except _Fault as fault:
        fault.steps.append(key)
        raise
    return document


def _load_document(data: Any) -> Any:
    """Return the event of a whole document."""
    if type(data) is not dict:
        if not isinstance(data, Mapping):
            _refuse("an object with the keys $v and type", data)
        data = dict(data)
    event = _load_event(data)
    return RealtimeModelOtherEvent(event) if type(event) is UnknownObject else event


def _load_event(data: dict[Any, Any]) -> Any:
    """Return the event, or an `UnknownObject` if its type is unknown."""
    version, name = data.get("$v"), data.get("type")
    if type(version) is not int or version != FORMAT_VERSION:
        _field(data, "$v", _refuse_version)
    if type(name) is not str:
        name = _field(data, "type", _STR.load)
    cls = EVENT_TYPES.get(name)
    if cls is None:
        return _load_unknown(name, data, is_event=True)
    return _load_fields(cls, data)


def _refuse_version(version: Any) -> NoReturn:
    if type(version) is int and version > FORMAT_VERSION:
        _fail(
            f"format version {_shown(version)} is newer than {FORMAT_VERSION}, the newest that "
            f"this eventbus reads; upgrade eventbus."
        )
    _fail(f"expected a format version, not {_shown(version)}.")


def _load_value_object(data: dict[Any, Any]) -> Any:
    name = _field(data, "$class", _STR.load)
    cls = _VALUE_CLASSES.get(name)
    return _load_unknown(name, data, is_event=False) if cls is None else _load_fields(cls, data)


def _load_unknown(name: str, data: dict[Any, Any], *, is_event: bool) -> UnknownObject:
    header = {"$v", "type"} if is_event else {"$class"}
    fields = {}
    for key in data:
        if type(key) is not str:
            _fail(f"the key {_shown(key)} isn't the name of a field; write such data as $map.")
        if key not in header:
            fields[key] = _field(data, key, _load_any)
    return UnknownObject(name, fields, is_event)


def _load_fields(cls: type[Any], data: dict[Any, Any]) -> Any:
    """Return an instance of *cls*; keys that it has no field for are a newer version's."""
    arguments = {}
    key = ""
    try:
        for key, argument, load, is_required in _fields_of(cls).readers:
            if key in data:
                arguments[argument] = load(data[key])
            elif is_required:
                _fail(f"is missing; a {cls.__qualname__} must have it.")
    except _Fault as fault:
        fault.steps.append(key)
        raise
    try:
        return cls(**arguments)
    except Exception as exc:  # noqa: BLE001 - other people's validators and converters
        _fail(f"{cls.__qualname__} refused its fields: {type(exc).__qualname__}: {exc}", exc)


# --- values of a declared type ---------------------------------------------------------------


@attrs.frozen
class _Codec:
    """
    How values of a declared type are written and read.

    Attributes:
        types: The classes that such values have; empty if any will do.
    """

    dump: _Dump
    load: _Load
    types: tuple[type[Any], ...] = ()


@attrs.frozen
class _Fields:
    """
    How the fields of an attrs class are written and read.

    Attributes:
        writers: Name, writer.
        readers: Name, argument of ``__init__``, reader, whether it must be there.
    """

    writers: list[tuple[str, _Dump]] = attrs.field(factory=list)
    readers: list[tuple[str, str, _Load, bool]] = attrs.field(factory=list)


def _leaf(cls: type[Any], *also: type[Any]) -> _Codec:
    """Return the codec of a class that `_dump_any` knows, with *also* accepted for it."""
    types = (cls, *also)
    dump_exact = _DUMPERS[cls]

    def check(value: Any) -> None:
        # A bool is an int to Python, and to nobody else.
        if not isinstance(value, types) or (type(value) is bool and cls is not bool):
            _refuse(cls.__qualname__, value)

    def dump(value: Any, as_json: bool) -> Any:
        if type(value) is cls:
            return dump_exact(value, as_json)
        check(value)
        return _dump_any(value, as_json)

    def load(data: Any) -> Any:
        if type(data) is cls:
            return data
        value = _load_any(data)
        check(value)
        return value

    return _Codec(dump, load, types)


_ANY = _Codec(_dump_any, _load_any)
_STR: _Codec = _leaf(str)
_LEAVES = {
    NoneType: _leaf(NoneType),
    str: _STR,
    bool: _leaf(bool),
    int: _leaf(int),
    float: _leaf(float, int),
    bytes: _leaf(bytes, bytearray, memoryview),
    datetime: _leaf(datetime),
    date: _leaf(date),
    Decimal: _leaf(Decimal),
    UUID: _leaf(UUID),
}

_ARRAYS: dict[Any, tuple[type[Any], ...]] = {
    list: (list,),
    tuple: (tuple,),
    set: (set,),
    frozenset: (frozenset,),
    Sequence: (list, tuple),
    AbstractSet: (set, frozenset),
    Collection: (list, tuple, set, frozenset),
    Iterable: (list, tuple, set, frozenset),
}
_ARRAY_TAGS: dict[type[Any], str] = {tuple: "$tuple", set: "$set", frozenset: "$frozenset"}


def _array(types: tuple[type[Any], ...], item: _Codec) -> _Codec:
    """Return the codec of lists, tuples and sets; the declared class needs no tag."""
    names = _names(types)
    bare = types[0] if types[0] in (list, tuple) else None

    def dump(value: Any, as_json: bool) -> Any:
        cls = next((cls for cls in types if isinstance(value, cls)), None)
        if cls is None:
            _refuse(names, value)
        result = _each(item.dump, value, as_json)
        return result if cls is bare else {_ARRAY_TAGS[cls]: result}

    def load(data: Any) -> Any:
        if type(data) is list and bare is not None:
            members = _load_array(data, item.load)
            return tuple(members) if bare is tuple else members
        if type(data) is dict and len(data) == 1:
            for cls in types:
                tag = _ARRAY_TAGS.get(cls)
                if tag in data:
                    read = _load_array if cls is tuple else _load_set
                    return cls(read(data[tag], item.load))
        _refuse(names, data)

    return _Codec(dump, load, types)


def _mapping(key: _Codec, item: _Codec) -> _Codec:
    def dump(value: Any, as_json: bool) -> Any:
        if not isinstance(value, Mapping):
            _refuse("a mapping", value)
        return _dump_entries(value, as_json, key.dump, item.dump)

    def load(data: Any) -> Any:
        if type(data) is not dict:
            _refuse("an object", data)
        if "$map" in data and len(data) == 1:
            return _load_map(data["$map"], key.load, item.load)
        result = {}
        name: Any = None
        try:
            for name, member in data.items():
                if type(name) is not str or name[:1] == "$":
                    _fail(f"the key {_shown(name)} can't stand here; write $map.")
                result[key.load(name)] = item.load(member)
        except _Fault as fault:
            fault.steps.append(name)
            raise
        return result

    return _Codec(dump, load, (Mapping,))


def _enum(cls: type[Enum]) -> _Codec:
    def dump(value: Any, as_json: bool) -> Any:
        if not isinstance(value, cls):
            _refuse(cls.__qualname__, value)
        return _dump_any(value.value, as_json)

    def load(data: Any) -> Any:
        value = _load_any(data)
        try:
            return cls(value)
        except Exception as exc:  # noqa: BLE001 - other people's _missing_
            _fail(f"{_shown(value)} is no value of {cls.__qualname__}.", exc)

    return _Codec(dump, load, (cls,))


def _literal(values: tuple[Any, ...]) -> _Codec:
    texts = frozenset(value for value in values if type(value) is str)
    names = " or ".join(map(repr, values))

    def check(value: Any) -> None:
        # By class too: True isn't 1 here.
        if not any(type(value) is type(each) and value == each for each in values):
            _fail(f"expected {names}, not {_shown(value)}.")

    def dump(value: Any, as_json: bool) -> Any:
        if type(value) is str and value in texts:
            return value
        if isinstance(value, str):  # a member of a StrEnum
            value = str.__str__(value)
        check(value)
        return _dump_any(value, as_json)

    def load(data: Any) -> Any:
        if type(data) is str and data in texts:
            return data
        value = _load_any(data)
        check(value)
        return value

    return _Codec(dump, load, tuple({type(value) for value in values}))


def _object(classes: tuple[type[Any], ...]) -> _Codec:
    """
    Return the codec of an attrs class, or of a union of such.

    A dict is of the class whose `Literal` fields it agrees with, ``type`` and
    ``role`` in our items. If such fields don't tell every two classes apart,
    the document does. An object of a subclass travels if that is registered.
    """
    literals = [_literals_of(cls) for cls in classes] if len(classes) > 1 else [{}]
    telling: set[str] = set()
    for one, other in combinations(literals, 2):
        names = {name for name in one.keys() & other.keys() if one[name].isdisjoint(other[name])}
        if not names:
            return _described(classes)
        telling |= names
    signs = [
        (cls, [(name, own[name]) for name in telling if name in own])
        for cls, own in zip(classes, literals, strict=True)
    ]

    def dump(value: Any, as_json: bool) -> Any:
        if type(value) in classes:
            return _dump_fields(value, {}, as_json)
        return _dump_object(_check(value, classes), as_json)

    def load(data: Any) -> Any:
        if type(data) is not dict:
            _refuse("an object", data)
        if "$v" in data or "$class" in data:
            return _check(_load_tagged(data), classes)
        for cls, expected in signs:
            if all(_among(data.get(name), values) for name, values in expected):
                return _load_fields(cls, data)
        given = ", ".join(f"{name} {_shown(data.get(name))}" for name in sorted(telling))
        _fail(f"{given} is no {_names(classes)}.")

    return _Codec(dump, load, classes)


def _literals_of(cls: type[Any]) -> dict[str, frozenset[Any]]:
    hints = {field.name: _hint(cls, field) for field in attrs.fields(cls) if field.init}
    return {
        name: frozenset(get_args(hint))
        for name, hint in hints.items()
        if get_origin(hint) is Literal
    }


def _among(value: Any, values: frozenset[Any]) -> bool:
    return isinstance(value, (str, int, NoneType)) and value in values


def _names(types: tuple[type[Any], ...]) -> str:
    return " or ".join(cls.__qualname__ for cls in types)


def _check(value: Any, types: tuple[type[Any], ...]) -> Any:
    if not isinstance(value, types):
        _refuse(_names(types), value)
    return value


def _described(types: tuple[type[Any], ...]) -> _Codec:
    """Return the codec of values that have one of *types*; the document tells which."""
    enums = [cls for cls in types if issubclass(cls, Enum)]

    def load(data: Any) -> Any:
        value = _load_any(data)
        if enums and not isinstance(value, types):
            value = _enum(enums[0]).load(value)
        return _check(value, types)

    return _Codec(lambda value, as_json: _dump_any(_check(value, types), as_json), load, types)


def _union(hints: Sequence[Any]) -> _Codec:
    members = [_origin(hint) if attrs.has(hint) else hint for hint in hints]
    members = [hint for hint in members if hint is not NoneType]
    if len(members) == 1:
        codec = _codec_for(members[0])
    elif all(map(attrs.has, members)):
        codec = _object(tuple(members))
    else:
        # A list and a tuple, or a dict and an object, would look the same: let the document tell.
        codecs = [_codec_for(hint) for hint in members]
        codec = _described(tuple(cls for codec in codecs for cls in codec.types or (object,)))
    if len(members) == len(hints):
        return codec
    dump, load = codec.dump, codec.load
    return _Codec(
        lambda value, as_json: None if value is None else dump(value, as_json),
        lambda data: None if data is None else load(data),
        (*codec.types, NoneType) if codec.types else (),
    )


def _origin(hint: Any) -> Any:
    """Return ``list`` of ``list[int]``, and what isn't subscripted as it is."""
    return get_origin(hint) or hint


def _codec_for(hint: Any) -> _Codec:
    """Return the codec of a declared type; the document describes what no rule is for."""
    while hasattr(hint, "__supertype__"):  # a NewType
        hint = hint.__supertype__
    origin, arguments = _origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _union(arguments)
    if isinstance(origin, type):
        return _codec_for_class(origin, arguments)
    if origin is Literal and not any(isinstance(value, Enum) for value in arguments):
        return _literal(arguments)
    return _ANY


def _codec_for_class(cls: type[Any], arguments: tuple[Any, ...]) -> _Codec:
    codec = _LEAVES.get(cls, _ANY)
    if cls is tuple and arguments[-1:] not in ((), (Ellipsis,)):
        codec = _described((tuple,))  # of a fixed length: the document tells what is in it
    elif cls in _ARRAYS:
        codec = _array(_ARRAYS[cls], _codec_for(arguments[0]) if arguments else _ANY)
    elif cls in (dict, Mapping, MutableMapping):
        codec = _mapping(*map(_codec_for, arguments or (Any, Any)))
    elif issubclass(cls, Enum):
        codec = _enum(cls)
    elif issubclass(cls, BaseException):
        codec = _EXCEPTION
    elif attrs.has(cls):
        codec = _object((cls,))
    return codec


def _dump_declared_exception(value: Any, as_json: bool) -> Any:
    if not isinstance(value, BaseException):
        _refuse("an exception", value)
    return _dump_exception(value, as_json)


def _load_declared_exception(data: Any) -> RemoteException:
    if type(data) is dict and len(data) == 1 and "$exception" in data:
        data = data["$exception"]
    return _load_exception(data)


def _dump_or_name(value: Any, as_json: bool) -> Any:
    """Return the document of *value*, or its name where it can't be written."""
    try:
        return _dump_any(value, as_json)
    except (_Fault, RecursionError):
        return _dump_remote(RemoteObject(_describe(value)), as_json)


def _describe(value: Any) -> str:
    while isinstance(value, functools.partial):
        value = value.func
    try:
        if isinstance(getattr(value, "__qualname__", None), str):
            return f"{value.__module__}.{value.__qualname__}"
        return repr(value)
    except Exception:  # noqa: BLE001 - other people's __repr__
        return object.__repr__(value)


def _dump_handler(value: Any, as_json: bool) -> Any:
    if value is None or type(value) is RemoteObject:
        return _dump_any(value, as_json)
    return _dump_remote(RemoteObject(_describe(value)), as_json)


def _load_handler(data: Any) -> Any:
    return _check(_load_any(data), (RemoteObject, NoneType))


_EXCEPTION = _Codec(_dump_declared_exception, _load_declared_exception, (BaseException,))
_OWN_RULES: dict[tuple[type[Any], str], _Codec] = {
    (RealtimeModelExceptionEvent, "event"): _Codec(_dump_or_name, _load_any),
    (RealtimeModelExceptionEvent, "handler"): _Codec(_dump_handler, _load_handler),
    (RealtimeModelExceptionEvent, "sender"): _Codec(_dump_or_name, _load_any),
}
_fields: dict[type[Any], _Fields] = {}


def _fields_of(cls: type[Any]) -> _Fields:
    """Return the fields of an attrs class; those without *init* follow from the others."""
    fields = _fields.get(cls)
    if fields is None:
        fields = _Fields()
        for field in attrs.fields(cls):
            if field.init:
                name = field.name
                codec = _OWN_RULES.get((cls, name)) or _codec_for(_hint(cls, field))
                is_required = field.default is attrs.NOTHING
                fields.writers.append((name, codec.dump))
                fields.readers.append((name, field.alias or name, codec.load, is_required))
        _fields[cls] = fields
    return fields


def _hint(cls: type[Any], field: attrs.Attribute[Any]) -> Any:
    """Return the declared type of *field*; `Any` if there is none, or it can't be resolved."""
    if field.type is None:
        return Any
    owner = next((c for c in cls.__mro__ if field.name in inspect.get_annotations(c)), cls)
    module = vars(sys.modules[owner.__module__]) if owner.__module__ in sys.modules else {}
    try:
        return get_type_hints(
            SimpleNamespace(__annotations__={"hint": field.type}),
            # The class comes last: it has its fields' names, and a field may be called `date`.
            globalns={**vars(owner), **vars(builtins)},
            localns=module,
        )["hint"]
    except Exception:  # noqa: BLE001 - other people's annotations, with names for type checkers only
        return Any
