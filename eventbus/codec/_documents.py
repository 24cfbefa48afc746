"""
An event as a document: plain data with a version and the event's type name.

Rules:

* An event is ``{"$v": 1, "type": <its type name>, <field>: <value>, ...}``,
  alone or within another. A class of the vocabulary that is no event is
  ``{"$class": <its name>, <field>: <value>, ...}`` where no type is declared.
* A name in the data is looked up in `EVENT_TYPES` and the vocabulary, never
  imported. One that is unknown makes an `UnknownObject`, which is written as it
  was read.
* The report of a crash always arrives: the handler, and a sender or
  event that can't be written, become `RemoteObject`.

How it works. A value may hold an object, and an object's field a value:
`Plain` knows the former, `Declared` the latter, and neither knows events.
`Documents` gives `Plain` its own functions for objects, and `Plain` to
`Declared`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import NoneType
from typing import Any

import attrs

from .. import events, items
from .._event_base import set_mark
from ..events import EVENT_TYPES, RealtimeModelExceptionEvent, RealtimeModelOtherEvent
from ._declared import Declared
from ._faults import Fault, each_value, part, shown, unexpected
from ._plain import Plain
from ._remote import RemoteObject, class_name, object_name
from ._rules import Rule, described_rule


@attrs.frozen
class UnknownObject:
    """
    An event, or a value in one, of a class that this process doesn't know.

    It is written as it was read. A process that knows the class gets the
    event; one that doesn't gets `RealtimeModelOtherEvent` with this as data.

    Attributes:
        type_name: The type name of the event, or the name of the value's class.
        fields: Its fields, by name.
        is_event: Whether it was an event.
    """

    type_name: str
    fields: Mapping[str, Any] = attrs.field(hash=False, repr=lambda f: f"<{len(f)} fields>")
    is_event: bool = True

    def keys(self) -> Iterator[str]:
        """Yield the names of the fields, ``type`` first: it reads like a vendor's frame."""
        yield "type"
        yield from self.fields

    def get(self, name: str, default: Any = None) -> Any:
        """Return the field of that *name*, or *default*."""
        return self.type_name if name == "type" else self.fields.get(name, default)

    def __getitem__(self, name: str) -> Any:
        return self.type_name if name == "type" else self.fields[name]


_VALUE_CLASSES: dict[str, type[Any]] = {
    name: cls
    for module in (events, items)
    for name in module.__all__
    if attrs.has(cls := getattr(module, name)) and cls not in EVENT_TYPES.values()
}
"""Name -> class, for the classes of the vocabulary that are no events."""

_VALUE_NAMES = {cls: name for name, cls in _VALUE_CLASSES.items()}


class Documents:
    """
    Writes events as documents, and reads them.

    Args:
        version: The version of the format that is written, and the newest that can be read.
        decode_base64: Reads bytes that JSON has as text; `ValueError` if it can't.
    """

    def __init__(self, version: int, decode_base64: Callable[[str], bytes]) -> None:
        self._version = version
        self._type_names: dict[type[Any], str] = {}
        self._plain = plain = Plain(self._dump_object, self._load_object, decode_base64)
        anything = Rule(self._dump_or_name, plain.load)
        handler = Rule(self._dump_handler, described_rule(plain, (RemoteObject, NoneType)).load)
        self._declared = Declared(
            plain,
            own_rules={
                (RealtimeModelExceptionEvent, "event"): anything,
                (RealtimeModelExceptionEvent, "handler"): handler,
                (RealtimeModelExceptionEvent, "sender"): anything,
            },
            or_name=anything,
        )

    def dump(self, event: Any) -> dict[str, Any]:
        """Return the document of *event*; a `Fault` names a value that can't be written."""
        unknown = event.data if type(event) is RealtimeModelOtherEvent else event
        if type(unknown) is UnknownObject and unknown.is_event:
            return self._dump_unknown(unknown)
        name = self._type_name_of(type(event))
        if name is not None:
            return self._dump_event(event, name)
        if attrs.has(type(event)):
            msg = "its class has no type name; register it: @eventbus.events.register_event."
            raise Fault(msg)
        msg = (
            "it isn't an attrs class; make it one and register it, or wrap plain data in "
            "RealtimeModelRawServerEvent."
        )
        raise Fault(msg)

    def load(self, document: Any) -> Any:
        """Return the event of *document*; a `Fault` names a value that can't be read."""
        if not isinstance(document, Mapping):
            raise unexpected(document, "an object with the keys $v and type")
        event = self._load_event(document if type(document) is dict else dict(document))
        if type(event) is UnknownObject:
            return RealtimeModelOtherEvent(event)
        if type(event) is RealtimeModelOtherEvent:
            set_mark(event, 0)  # its frame is a raw event of its own
        return event

    # --- writing ---

    def _dump_object(self, value: Any) -> dict[str, Any]:
        """Return the document of an attrs object where no class is declared."""
        cls = type(value)
        if cls is UnknownObject:
            return self._dump_unknown(value)
        if cls in _VALUE_NAMES:
            return self._declared.dump_fields(value, {"$class": _VALUE_NAMES[cls]})
        name = self._type_name_of(cls)
        if name is not None:
            return self._dump_event(value, name)
        msg = (
            f"{class_name(cls)} isn't known here; declare it as the field's type (so that it can "
            f"be resolved at run time), or register it with eventbus.events.register_event."
        )
        raise Fault(msg)

    def _dump_event(self, event: Any, name: str) -> dict[str, Any]:
        document = self._declared.dump_fields(event, {"$v": self._version, "type": name})
        if document["type"] == _constant_type(type(event)):  # which the name takes the place of
            document["type"] = name
        if document["type"] != name:  # it has a field of that name
            msg = (
                f"is {shown(document['type'])}, but the class is registered as {name!r}; let both "
                f"be the same, or name the field differently."
            )
            raise Fault(msg, "type")
        return document

    def _dump_unknown(self, value: UnknownObject) -> dict[str, Any]:
        name = self._plain.dump_text(value.type_name)
        head = {"$v": self._version, "type": name} if value.is_event else {"$class": name}
        for key in value.fields:
            if key in head or type(key) is not str or self._plain.dump(key) is not key:
                msg = "can't be the name of a field; rename it."
                raise Fault(msg, key)
        return head | each_value(self._plain.dump, value.fields)

    def _dump_or_name(self, value: Any) -> Any:
        """Return *value* as data, or its name where it can't be written."""
        try:
            return self._plain.dump(value)
        except (Fault, RecursionError):
            return self._plain.dump(RemoteObject(object_name(value)))

    def _dump_handler(self, value: Any) -> Any:
        if value is not None and type(value) is not RemoteObject:
            value = RemoteObject(object_name(value))
        return self._plain.dump(value)

    def _type_name_of(self, cls: type[Any]) -> str | None:
        """Return the name that *cls* has in the registry, which may have changed since."""
        name = self._type_names.get(cls)
        if name is not None and EVENT_TYPES.get(name) is cls:
            return name
        names = [name for name, known in EVENT_TYPES.items() if known is cls]
        if not names:
            return None
        field = attrs.fields_dict(cls).get("type")
        # A class may have several, old ones for reading; the one it calls itself is for writing.
        name = field.default if field is not None and field.default in names else names[0]
        self._type_names[cls] = name
        return name

    # --- reading ---

    def _load_object(self, data: dict[Any, Any]) -> Any:
        """Return the object of a dict with the key ``$v`` or ``$class``."""
        if "$v" in data:
            return self._load_event(data)
        name = part(data, "$class", self._plain.load_text)
        cls = _VALUE_CLASSES.get(name)
        if cls is None:
            return self._load_unknown(name, data, is_event=False)
        return self._declared.load_fields(cls, data)

    def _load_event(self, data: dict[Any, Any]) -> Any:
        """Return the event, or an `UnknownObject` if its type is unknown."""
        part(data, "$v", self._check_version)
        name = part(data, "type", self._plain.load_text)
        cls = EVENT_TYPES.get(name)
        if cls is None:
            return self._load_unknown(name, data, is_event=True)
        if _constant_type(cls) is not None:
            data = {key: item for key, item in data.items() if key != "type"}
        return self._declared.load_fields(cls, data)

    def _check_version(self, version: Any) -> None:
        if type(version) is not int or version < 1:
            msg = f"expected a format version, not {shown(version)}."
            raise Fault(msg)
        if version > self._version:
            msg = (
                f"format version {shown(version)} is newer than {self._version}, the newest that "
                f"this eventbus reads; upgrade eventbus."
            )
            raise Fault(msg)

    def _load_unknown(self, name: str, data: dict[Any, Any], *, is_event: bool) -> UnknownObject:
        for key in data:
            if type(key) is not str:
                msg = f"the key {shown(key)} isn't the name of a field; write such data as $map."
                raise Fault(msg)
        head = {"$v", "type"} if is_event else {"$class"}
        fields = {key: item for key, item in data.items() if key not in head}
        return UnknownObject(name, each_value(self._plain.load, fields), is_event)


def _constant_type(cls: type[Any]) -> str | None:
    """Return the one value that the field ``type`` of *cls* can have, if it has such a field."""
    field = attrs.fields_dict(cls).get("type")
    if field is None or not field.init or not isinstance(field.default, str):
        return None
    return field.default
