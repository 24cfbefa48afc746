"""
Objects of attrs classes as plain data: each field is written as its type declares it.

Rules:

* Data don't repeat the type: an object is a dict of its fields, a
  declared tuple is a list, a declared enum is its value.
* Where the type leaves a choice that the data wouldn't show (a list or a
  tuple, a dict or an object), the value is written as if nothing was declared,
  and checked. So is a type that there is no rule for, without a check.
* In a union of attrs classes, the `Literal` fields tell which one it is, like
  ``type`` and ``role`` in our items.

How it works. `Declared` makes a `Rule` of each field's type once per class,
and of the types in it: a field may hold an object again. An object that needs
more than its fields (it is an event, or of a subclass) goes to `Plain`.
"""

from __future__ import annotations

import builtins
import inspect
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from enum import Enum
from itertools import combinations
from types import MappingProxyType, NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

import attrs

from ._faults import Fault, shown, unexpected
from ._plain import Dump, Load, Plain
from ._rules import (
    ARRAYS,
    LEAVES,
    Rule,
    array_rule,
    check,
    described_rule,
    enum_rule,
    exception_rule,
    leaf_rule,
    literal_rule,
    mapping_rule,
    names_of,
)

OR_NAME: Mapping[str, str] = MappingProxyType({"eventbus.codec": "or_name"})
"""
The metadata of a field that may hold anything: ``attrs.field(metadata=OR_NAME)``.

What can't be written as data is written as its name, and comes back as `RemoteObject`.
"""

_Signs: TypeAlias = list[tuple[type[Any], dict[str, frozenset[Any]]]]


@attrs.frozen
class _Field:
    """
    The functions that write and read one field.

    Attributes:
        argument: Its name in ``__init__``.
    """

    name: str
    argument: str
    is_required: bool
    dump: Dump
    load: Load


class Declared:
    """
    Writes objects of attrs classes as their fields, and reads them.

    Args:
        plain: For values without a declared type.
        own_rules: (class, field) -> the rule of a field with a type that isn't enough.
        or_name: The rule of a field with the metadata `OR_NAME`; by default it is nothing special.
    """

    def __init__(
        self,
        plain: Plain,
        own_rules: Mapping[tuple[type[Any], str], Rule],
        or_name: Rule | None = None,
    ) -> None:
        self._plain = plain
        self._own_rules = own_rules
        self._fields: dict[type[Any], list[_Field]] = {}
        self._anything = Rule(plain.dump, plain.load)
        self._or_name = or_name or self._anything

    def dump_fields(self, value: Any, head: dict[str, Any]) -> dict[str, Any]:
        """Return *head* with the fields of *value*, an attrs object, added."""
        for field in self._fields_of(type(value)):
            try:
                head[field.name] = field.dump(getattr(value, field.name))
            except Fault as fault:
                fault.steps.append(field.name)
                raise
        return head

    def load_fields(self, cls: type[Any], data: dict[Any, Any]) -> Any:
        """Return an instance of *cls*; keys that it has no field for are a newer version's."""
        arguments = {}
        for field in self._fields_of(cls):
            if field.name in data:
                try:
                    arguments[field.argument] = field.load(data[field.name])
                except Fault as fault:
                    fault.steps.append(field.name)
                    raise
            elif field.is_required:
                msg = f"is missing; a {cls.__qualname__} must have it."
                raise Fault(msg, field.name)
        try:
            return cls(**arguments)
        except Exception as exc:  # other people's validators and converters
            msg = f"{cls.__qualname__} refused its fields: {type(exc).__qualname__}: {exc}"
            raise Fault(msg) from exc

    def _fields_of(self, cls: type[Any]) -> list[_Field]:
        """Return the fields of an attrs class; those without *init* follow from the others."""
        fields = self._fields.get(cls)
        if fields is None:
            fields = [self._field_of(cls, field) for field in attrs.fields(cls) if field.init]
            self._fields[cls] = fields
        return fields

    def _field_of(self, cls: type[Any], field: attrs.Attribute[Any]) -> _Field:
        name = field.name
        if OR_NAME.items() <= field.metadata.items():
            rule = self._or_name
        else:
            rule = self._own_rules.get((cls, name)) or self._rule_of(_hint(cls, field))
        is_required = field.default is attrs.NOTHING
        return _Field(name, field.alias or name, is_required, rule.dump, rule.load)

    def _rule_of(self, hint: Any) -> Rule:
        """Return the rule of a declared type."""
        while hasattr(hint, "__supertype__"):  # a NewType
            hint = hint.__supertype__
        origin, arguments = _origin(hint), get_args(hint)
        if origin in (Union, UnionType):
            return self._union_rule(arguments)
        if isinstance(origin, type):
            return self._class_rule(origin, arguments)
        if origin is Literal and not any(isinstance(value, Enum) for value in arguments):
            return literal_rule(self._plain, arguments)
        return self._anything

    def _class_rule(self, cls: type[Any], arguments: tuple[Any, ...]) -> Rule:
        rule = self._anything
        if cls in LEAVES:
            rule = leaf_rule(self._plain, cls)
        elif cls is tuple and arguments[-1:] not in ((), (Ellipsis,)):
            rule = described_rule(self._plain, (tuple,))  # of a fixed length, with mixed members
        elif cls in ARRAYS:
            rule = array_rule(ARRAYS[cls], self._rule_of(arguments[0] if arguments else Any))
        elif cls in (dict, Mapping, MutableMapping):
            rule = mapping_rule(*map(self._rule_of, arguments or (Any, Any)))
        elif issubclass(cls, Enum):
            rule = enum_rule(self._plain, cls)
        elif issubclass(cls, BaseException):
            rule = exception_rule(self._plain)
        elif attrs.has(cls):
            rule = self._object_rule((cls,))
        return rule

    def _union_rule(self, hints: Sequence[Any]) -> Rule:
        members = [hint for hint in hints if hint is not NoneType]
        if len(members) == 1:
            rule = self._rule_of(members[0])
        elif all(map(attrs.has, members)):
            rule = self._object_rule(tuple(map(_origin, members)))
        else:
            types = [cls for hint in members for cls in self._rule_of(hint).types]
            rule = described_rule(self._plain, tuple(types))
        return rule if len(members) == len(hints) else _or_none(rule)

    def _object_rule(self, classes: tuple[type[Any], ...]) -> Rule:
        """
        Return the rule of an attrs class, or of a union of such.

        An object of a subclass travels if that is registered.
        """
        signs = _signs_of(classes)
        if signs is None:
            return described_rule(self._plain, classes)
        names = sorted({name for _, own in signs for name in own})

        def dump(value: Any) -> Any:
            if type(value) in classes:
                return self.dump_fields(value, {})
            return self._plain.dump_object(check(value, classes))

        def load(data: Any) -> Any:
            if type(data) is not dict:
                raise unexpected(data, "an object")
            if "$v" in data or "$class" in data:
                return check(self._plain.load_tagged(data), classes)
            for cls, own in signs:
                if all(_is_among(data.get(name), values) for name, values in own.items()):
                    return self.load_fields(cls, data)
            given = ", ".join(f"{name} {shown(data.get(name))}" for name in names)
            msg = f"{given} is no {names_of(classes)}."
            raise Fault(msg)

        return Rule(dump, load, classes)


def _or_none(rule: Rule) -> Rule:
    dump, load = rule.dump, rule.load
    return Rule(
        lambda value: None if value is None else dump(value),
        lambda data: None if data is None else load(data),
        (*rule.types, NoneType),
    )


def _signs_of(classes: tuple[type[Any], ...]) -> _Signs | None:
    """
    Return the fields that tell which of *classes* an object has, and their values in each.

    None if no fields tell every two of the classes apart.
    """
    if len(classes) == 1:
        return [(classes[0], {})]
    literals = [(cls, _literals_of(cls)) for cls in classes]
    telling: set[str] = set()
    for (_, one), (_, other) in combinations(literals, 2):
        names = {name for name in one.keys() & other.keys() if one[name].isdisjoint(other[name])}
        if not names:
            return None
        telling |= names
    return [(cls, {name: own[name] for name in telling & own.keys()}) for cls, own in literals]


def _literals_of(cls: type[Any]) -> dict[str, frozenset[Any]]:
    """Return the fields of *cls* that are declared as a `Literal`, and their values."""
    hints = {field.name: _hint(cls, field) for field in attrs.fields(cls) if field.init}
    return {
        name: frozenset(get_args(hint))
        for name, hint in hints.items()
        if get_origin(hint) is Literal
    }


def _is_among(value: Any, values: frozenset[Any]) -> bool:
    return isinstance(value, (str, int, NoneType)) and value in values


def _origin(hint: Any) -> Any:
    """Return ``list`` of ``list[int]``, and a type without subscript as it is."""
    return get_origin(hint) or hint


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
