"""
Rules for declared types: how a value is written, and checked when it is read.

A rule of a container is made of its members' rules. Values that aren't in the short
form of the type are left to `Plain`: a date, bytes in JSON, a
tuple where a list or a tuple may stand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Any
from uuid import UUID

import attrs

from ..exceptions import RemoteException
from ._faults import Fault, each, shown, unexpected
from ._plain import Dump, Load, Plain, dump_mapping, load_array, load_map

LEAVES: dict[Any, tuple[type[Any], ...]] = {
    NoneType: (),
    str: (),
    bool: (),
    int: (),
    float: (int,),
    bytes: (bytearray, memoryview),
    datetime: (),
    date: (),
    Decimal: (),
    UUID: (),
}
"""Declared class -> what is accepted besides its instances."""

ARRAYS: dict[Any, tuple[type[Any], ...]] = {
    list: (list,),
    tuple: (tuple,),
    set: (set,),
    frozenset: (frozenset,),
    Sequence: (list, tuple),
    AbstractSet: (set, frozenset),
    Collection: (list, tuple, set, frozenset),
    Iterable: (list, tuple, set, frozenset),
}
"""Declared class -> the classes that such values have; the first is the usual one."""

_NO_ARRAYS = (str, bytes, bytearray, memoryview)
"""Sequences that nobody means who declares one."""

_ARRAY_TAGS: dict[type[Any], str] = {tuple: "$tuple", set: "$set", frozenset: "$frozenset"}


@attrs.frozen
class Rule:
    """
    The functions that write and read values of a declared type.

    Attributes:
        types: The classes that such values have.
    """

    dump: Dump
    load: Load
    types: tuple[type[Any], ...] = (object,)


def check(value: Any, types: tuple[type[Any], ...]) -> Any:
    """Return *value*, and refuse it unless it has one of *types*."""
    if not isinstance(value, types):
        raise unexpected(value, names_of(types))
    return value


def names_of(types: tuple[type[Any], ...]) -> str:
    """Return the names of *types* for a message."""
    return " or ".join(cls.__qualname__ for cls in types)


def described_rule(plain: Plain, types: tuple[type[Any], ...]) -> Rule:
    """Return the rule of values that have one of *types*; the data tells which."""
    enums = [enum_rule(plain, cls) for cls in types if issubclass(cls, Enum)]

    def dump(value: Any) -> Any:
        return plain.dump(check(value, types))

    def load(data: Any) -> Any:
        value = plain.load(data)
        if enums and not isinstance(value, types):
            value = enums[0].load(value)
        return check(value, types)

    return Rule(dump, load, types)


def leaf_rule(plain: Plain, cls: type[Any]) -> Rule:
    """Return the rule of a class in `LEAVES`."""
    types = (cls, *LEAVES[cls])
    dump_exact = plain.dumpers[cls]

    def checked(value: Any) -> Any:
        # A bool is an int to Python, and to nobody else.
        if not isinstance(value, types) or (type(value) is bool and cls is not bool):
            raise unexpected(value, cls.__qualname__)
        return value

    def dump(value: Any) -> Any:
        return dump_exact(value) if type(value) is cls else plain.dump(checked(value))

    def load(data: Any) -> Any:
        return data if type(data) is cls else checked(plain.load(data))

    return Rule(dump, load, types)


def literal_rule(plain: Plain, values: tuple[Any, ...]) -> Rule:
    """Return the rule of a `Literal` of *values*."""
    names = " or ".join(map(repr, values))
    # Nearly all literals: strings that stand for themselves.
    texts = {value for value in values if type(value) is str and plain.dump(value) is value}

    def checked(value: Any) -> Any:
        for known in values:
            if type(value) is type(known) and value == known:  # by class too: True isn't 1 here
                return value
        msg = f"expected {names}, not {shown(value)}."
        raise Fault(msg)

    def dump(value: Any) -> Any:
        if type(value) is str and value in texts:
            return value
        # A member of a StrEnum is as good as its text.
        return plain.dump(checked(str.__str__(value) if isinstance(value, str) else value))

    def load(data: Any) -> Any:
        return data if type(data) is str and data in texts else checked(plain.load(data))

    return Rule(dump, load, tuple({type(value) for value in values}))


def enum_rule(plain: Plain, cls: type[Enum]) -> Rule:
    """Return the rule of an enum: a member is written as its value."""

    def dump(value: Any) -> Any:
        return plain.dump(check(value, (cls,)).value)

    def load(data: Any) -> Any:
        value = plain.load(data)
        try:
            return cls(value)
        except Exception as exc:  # other people's _missing_
            msg = f"{shown(value)} is no value of {cls.__qualname__}."
            raise Fault(msg) from exc

    return Rule(dump, load, (cls,))


def array_rule(types: tuple[type[Any], ...], member: Rule) -> Rule:
    """Return the rule of lists, tuples and sets; the first of *types* needs no tag, sets do."""
    untagged = types[0] if types[0] in (list, tuple) else None
    is_sequence = {list, tuple} <= {*types}  # declared as such, and others are as good

    def dump(value: Any) -> Any:
        cls = next((cls for cls in types if isinstance(value, cls)), None)
        if cls is None and is_sequence and isinstance(value, Sequence):
            cls = None if isinstance(value, _NO_ARRAYS) else list
        if cls is None:
            raise unexpected(value, names_of(types))
        members = each(member.dump, value)
        return members if cls is untagged else {_ARRAY_TAGS[cls]: members}

    def load(data: Any) -> Any:
        if type(data) is list and untagged is not None:
            return load_array(data, untagged, member.load)
        if type(data) is dict and len(data) == 1:
            for cls in types:
                tag = _ARRAY_TAGS.get(cls)
                if tag in data:
                    return load_array(data[tag], cls, member.load)
        raise unexpected(data, names_of(types))

    return Rule(dump, load, types)


def mapping_rule(key: Rule, item: Rule) -> Rule:
    """Return the rule of a mapping."""

    def dump(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise unexpected(value, "a mapping")
        return dump_mapping(value, key.dump, item.dump)

    def load(data: Any) -> Any:
        if type(data) is not dict:
            raise unexpected(data, "an object")
        if "$map" in data and len(data) == 1:
            return load_map(data["$map"], key.load, item.load)
        result = {}
        for name, member in data.items():
            if type(name) is not str or name[:1] == "$":
                msg = f"the key {shown(name)} can't stand here; write $map."
                raise Fault(msg, name)
            try:
                result[key.load(name)] = item.load(member)
            except Fault as fault:
                fault.steps.append(name)
                raise
        return result

    return Rule(dump, load, (Mapping,))


def exception_rule(plain: Plain) -> Rule:
    """Return the rule of an exception of any class; it comes back as `RemoteException`."""

    def dump(value: Any) -> Any:
        if not isinstance(value, BaseException):
            raise unexpected(value, "an exception")
        return plain.dump_exception(value)

    def load(data: Any) -> RemoteException:
        if type(data) is dict and len(data) == 1 and "$exception" in data:
            data = data["$exception"]
        return plain.load_exception(data)

    return Rule(dump, load, (BaseException,))
