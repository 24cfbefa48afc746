"""
Values without a declared type as plain data, and back.

Plain data is None, bool, int of at most 64 bits, float, str, bytes, list, and
dict with str keys; it stands for itself.

Rules:

* Values that plain data lack are tagged: a dict whose only key starts with ``$``,
  like ``{"$tuple": [1, 2]}``.
* A mapping with a key that could be taken for a tag, or that is no str, is
  ``{"$map": [[key, value], ...]}``. So no user's data reads as a tag.
* An object of an attrs class is for others to write and read: a `Plain` is
  given two functions for that. Their results have the key ``$v`` or ``$class``.
* A value of a plain class's subclass comes back as the plain class, if equal.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any, NoReturn, TypeAlias
from uuid import UUID

import attrs

from ..exceptions import RemoteException
from ._faults import Fault, each, each_value, part, shown, unexpected
from ._remote import RemoteObject, as_remote_exception, class_name

Dump: TypeAlias = Callable[[Any], Any]
"""From a value to plain data."""
Load: TypeAlias = Callable[[Any], Any]
"""From plain data to a value."""


class Plain:
    """
    Writes values of undeclared type as plain data, and reads them.

    Args:
        dump_object: Writes an instance of an attrs class.
        load_object: Reads a dict that has the key ``$v`` or ``$class``.
        decode_base64: Reads bytes that JSON has as text; `ValueError` if it can't.

    Attributes:
        dump_object: As given.
        dumpers: Class -> the function that writes its instances, but not those of subclasses.
        tags: Tag -> the function that reads the data below it.
    """

    def __init__(
        self, dump_object: Dump, load_object: Load, decode_base64: Callable[[str], bytes]
    ) -> None:
        self.dump_object = dump_object
        self._load_object = load_object
        self._decode_base64 = decode_base64
        self.dumpers: Mapping[type[Any], Dump] = {
            NoneType: lambda value: value,
            bool: lambda value: value,
            str: _dump_str,
            int: _dump_int,
            float: float.__float__,
            bytes: _dump_buffer,
            bytearray: _dump_buffer,
            memoryview: _dump_buffer,
            list: self._dump_members,
            tuple: lambda value: {"$tuple": self._dump_members(value)},
            set: lambda value: {"$set": self._dump_members(value)},
            frozenset: lambda value: {"$frozenset": self._dump_members(value)},
            dict: lambda value: dump_mapping(value, self.dump, self.dump),
            datetime: _dump_datetime,
            date: lambda value: {"$date": value.isoformat()},
            Decimal: lambda value: {"$decimal": str(value)},
            UUID: lambda value: {"$uuid": str(value)},
            RemoteObject: lambda value: {"$remote": self.dump_text(value.name)},
        }
        # Bounded, since a process may make classes without end.
        self._dumper_of = functools.lru_cache(maxsize=1024)(self._find_dumper)
        self.tags: Mapping[str, Load] = {
            "$bytes": self._load_bytes,
            "$str": self._load_surrogates,
            "$int": _text_loader(lambda text: int(text, 16), "-?[0-9a-f]+"),
            "$float": _text_loader(float, "nan|-?inf"),
            "$tuple": lambda data: load_array(data, tuple, self.load),
            "$set": lambda data: load_array(data, set, self.load),
            "$frozenset": lambda data: load_array(data, frozenset, self.load),
            "$map": lambda data: load_map(data, self.load, self.load),
            "$datetime": _text_loader(datetime.fromisoformat),
            "$date": _text_loader(date.fromisoformat),
            "$decimal": _text_loader(Decimal),
            "$uuid": _text_loader(UUID),
            "$exception": self.load_exception,
            "$remote": lambda data: RemoteObject(self.load_text(data)),
        }

    # --- writing ---

    def dump(self, value: Any) -> Any:
        """Return plain data from which `load` makes an equal value."""
        kind: Any = type(value)  # Any: lru_cache's stub doesn't know that classes are hashable
        return (self.dumpers.get(kind) or self._dumper_of(kind))(value)

    def _find_dumper(self, cls: Any) -> Dump:
        """Return the function for a class that isn't in the table, but may have a base that is."""
        if issubclass(cls, BaseException):
            return lambda value: {"$exception": self.dump_exception(value)}
        if attrs.has(cls):
            return self.dump_object
        if issubclass(cls, Enum) and not issubclass(cls, (str, int, float, bytes)):
            return _refuse_enum
        # Not datetime and its like: a subclass may hold more than the text, like pandas' time.
        for base in (str, int, float, bytes, bytearray, list, tuple, set, frozenset):
            if issubclass(cls, base):
                return self.dumpers[base]
        return self.dumpers[dict] if issubclass(cls, Mapping) else _refuse_class

    def _dump_members(self, values: Iterable[Any]) -> list[Any]:
        return each(self.dump, values)

    def dump_text(self, value: Any) -> Any:
        """Return plain data for a str, and refuse anything else."""
        if not isinstance(value, str):
            raise unexpected(value, "str")
        return _dump_str(value)

    def dump_exception(self, value: BaseException) -> dict[str, Any]:
        """Return type, message and traceback of an exception."""
        remote = as_remote_exception(value)
        return {
            "type": self.dump_text(remote.type_name),
            "message": self.dump_text(remote.message),
            "traceback": self.dump_text(remote.traceback_text),
        }

    # --- reading ---

    def load(self, data: Any) -> Any:
        """Return the value that `dump` gave *data* for."""
        kind = type(data)
        if kind in _SCALARS:
            return data
        if kind is dict:
            return self._load_dict(data)
        if kind is list:
            return each(self.load, data)
        msg = f"{kind.__qualname__} is no part of the format; write plain data."
        raise Fault(msg)

    def _load_dict(self, data: dict[Any, Any]) -> Any:
        # Before any value: a value read in vain at each level takes exponential time.
        for key in data:
            if type(key) is not str:
                msg = f"the key {shown(key)} isn't a string; write such a mapping as $map."
                raise Fault(msg)
            if key[:1] == "$":
                return self.load_tagged(data)
        return each_value(self.load, data)

    def load_tagged(self, data: dict[Any, Any]) -> Any:
        """Return the value of a dict that has a key with ``$``."""
        if "$v" in data or "$class" in data:
            return self._load_object(data)
        tag, content = next(iter(data.items()))
        load = self.tags.get(tag)
        if load is None or len(data) > 1:
            keys = shown(list(data))
            msg = f"expected one key that is a known tag, not {keys}; upgrade eventbus."
            raise Fault(msg)
        return load(content)

    def load_text(self, data: Any) -> str:
        """Return the str that `dump_text` gave *data* for."""
        value = self.load(data)
        if not isinstance(value, str):
            raise unexpected(value, "str")
        return value

    def load_exception(self, data: Any) -> RemoteException:
        """Return the exception that `dump_exception` gave *data* for."""
        if type(data) is not dict:
            raise unexpected(data, "an exception (type, message, traceback)")
        return RemoteException(
            part(data, "type", self.load_text),
            part(data, "message", self.load_text),
            part(data, "traceback", self.load_text),
        )

    def _load_bytes(self, data: Any) -> bytes:
        if type(data) is bytes:
            return data
        if type(data) is not str:
            raise unexpected(data, "str")
        try:
            return self._decode_base64(data)
        except ValueError as exc:
            msg = "no base64; write it with padding and without white space."
            raise Fault(msg) from exc

    def _load_surrogates(self, data: Any) -> str:
        try:
            return self._load_bytes(data).decode(errors="surrogatepass")
        except UnicodeDecodeError as exc:
            msg = f"no UTF-8, even with surrogates: {exc.reason} (byte {exc.start})."
            raise Fault(msg) from exc


# --- leaves ----------------------------------------------------------------------------------

_SCALARS = frozenset({NoneType, bool, int, float, str, bytes})


def _dump_str(value: str) -> Any:
    if type(value) is not str:
        value = str.__str__(value)  # the characters; the subclass has no say
    if value.isascii():  # constant time, and true of nearly all that is long
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return {"$str": value.encode(errors="surrogatepass")}
    return value


def _dump_int(value: int) -> Any:
    if type(value) is not int:
        value = int.__index__(value)  # the number; the subclass has no say
    if -(1 << 63) <= value < 1 << 64:
        return value
    return {"$int": f"{value:x}"}  # hexadecimal, since CPython limits the length of decimals


def _dump_buffer(value: Any) -> bytes:
    data = bytes(value)  # if these are bytes already, no copy
    if data != value:
        msg = "a memoryview of other items than bytes; cast('B') it first."
        raise Fault(msg)
    return data


def _dump_datetime(value: datetime) -> Any:
    text = value.isoformat()
    # In the hour that a clock change repeats, a zone's time differs from its fixed offset's.
    if value.fold or datetime.fromisoformat(text) != value:
        msg = f"{value!r} would come back as {text}; convert it to UTC."
        raise Fault(msg)
    return {"$datetime": text}


def _refuse_enum(value: Enum) -> NoReturn:
    msg = (
        f"{value!r} would come back as its value; declare the field's type as "
        f"{type(value).__qualname__}, or use the value."
    )
    raise Fault(msg)


def _refuse_class(value: Any) -> NoReturn:
    msg = (
        f"{class_name(type(value))} is no plain data; write something else in its place, or make "
        f"it an attrs class that is registered with eventbus.events.register_event."
    )
    raise Fault(msg)


def _text_loader(parse: Callable[[str], Any], pattern: str = ".*") -> Load:
    """Return a function that reads a text with *parse* if it matches *pattern*."""

    def load(data: Any) -> Any:
        if type(data) is not str:
            raise unexpected(data, "str")
        if not re.fullmatch(pattern, data):
            msg = f"{shown(data)} doesn't match {pattern}."
            raise Fault(msg)
        try:
            return parse(data)
        except (ValueError, ArithmeticError) as exc:  # the latter comes from Decimal
            msg = f"{shown(data)} can't be read: {type(exc).__qualname__}."
            raise Fault(msg) from exc

    return load


# --- containers, of members that are declared or not -----------------------------------------


def dump_mapping(value: Mapping[Any, Any], dump_key: Dump, dump_value: Dump) -> dict[str, Any]:
    """Return *value* as a dict if its keys can stand there, else as ``$map``."""
    pairs: list[Any] = []
    are_names = True
    for key, item in value.items():
        try:
            name = dump_key(key)
            pairs.append([name, dump_value(item)])
        except Fault as fault:
            fault.steps.append(key)
            raise
        if type(key) is not str or type(name) is not str or name[:1] == "$":
            are_names = False
    return dict(pairs) if are_names else {"$map": pairs}


def load_array(data: Any, into: type[Any], load: Load) -> Any:
    """Return the list *data* as the class *into*: list, tuple, set or frozenset."""
    if type(data) is not list:
        raise unexpected(data, "a list")
    members = each(load, data)
    if into in (set, frozenset):
        members = [_hashable(member) for member in members]
    result = into(members)
    if len(result) != len(data):
        msg = "a set has a member twice; remove one."
        raise Fault(msg)
    return result


def load_map(data: Any, load_key: Load, load_value: Load) -> dict[Any, Any]:
    """Return the mapping of the pairs below ``$map``."""
    if type(data) is not list:
        raise unexpected(data, "a list of pairs")
    items: dict[Any, Any] = {}

    def add(pair: Any) -> None:
        if type(pair) is not list or len(pair) != 2:
            raise unexpected(pair, "a list of key and value")
        key = _hashable(load_key(pair[0]))
        if key in items:
            msg = f"the key {shown(key)} is there twice; remove one."
            raise Fault(msg)
        items[key] = pair[1]

    each(add, data)
    return each_value(load_value, items)


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError as exc:
        msg = f"{type(value).__qualname__} can't be a key, or a member of a set: {exc}."
        raise Fault(msg) from exc
    return value
