"""
Selecting records of a journal: by class, sender, conversation item and response.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import msgspec

from ..events import (
    EVENT_TYPES,
    RealtimeModelConnectionStatusEvent,
    RealtimeModelRawServerEvent,
)
from ..handlers import ANY
from ._encoding import class_label
from ._records import (
    EventRecord,
    FrameRecord,
    Record,
    SentRecord,
    StatusRecord,
)

FAILED_EVENTS: Final = frozenset(
    {"error", "exception", "input_audio_transcription_failed", "session.error"}
)
"""The type names of events that tell of a failure."""

# The fields of a frame, a message or an event that have the id of an item or a response.
_IDS: Final = {
    "item": ("item_id", "id"),
    "response": ("response_id", "id"),
}
_parse: Final = msgspec.json.Decoder().decode


def ids_in(fields: Mapping[str, Any], kind: str) -> set[str]:
    """
    Return the ids of items or responses that a frame, a message or an event names.

    Args:
        fields: Its plain data.
        kind: ``item`` or ``response``.
    """
    name, own = _IDS[kind]
    inner = fields.get(kind)
    found = [fields.get(name)]
    if isinstance(inner, Mapping):
        found += [inner.get(name), inner.get(own)]
    return {each for each in found if isinstance(each, str)}


@attrs.frozen
class Selection:
    """
    The records to read.

    Attributes:
        kinds: The kinds of records; None for all.
        records: The classes of records that are wanted without looking into them.
        events: The type names and class names of the events that are wanted besides.
        sender: The sender; ANY for all.
        item: The conversation item; None for all.
        response: The response; None for all.
    """

    kinds: frozenset[int] | None = None
    records: tuple[type[Record], ...] = (Record,)
    events: frozenset[str] = frozenset()
    sender: Any = ANY
    item: str | None = None
    response: str | None = None

    @classmethod
    def of(
        cls,
        classes: tuple[type[Any], ...],
        *,
        sender: Any,
        item: str | None,
        response: str | None,
    ) -> Selection:
        """
        Return the selection that these arguments of `Journal.read` make.

        Raises:
            TypeError: Something else is given as a class.
        """
        if not classes:
            return cls(sender=sender, item=item, response=response)
        records: set[type[Record]] = set()
        events: set[str] = set()
        for each in classes:
            if not isinstance(each, type):
                msg = f"read() takes classes of records and of events, not {each!r}."
                raise TypeError(msg)
            if issubclass(each, Record):
                records.add(each)
            elif each is RealtimeModelRawServerEvent:
                records.add(FrameRecord)
            elif each is RealtimeModelConnectionStatusEvent:
                records.add(StatusRecord)
            else:
                events.add(class_label(each))
                events |= {name for name, known in EVENT_TYPES.items() if known is each}
        kinds = {record.kind for record in records} | ({EventRecord.kind} if events else set())
        return cls(
            None if Record in records else frozenset(kinds),
            tuple(records),
            frozenset(events),
            sender,
            item,
            response,
        )

    @property
    def is_all(self) -> bool:
        """True if every record is one of those."""
        return self == _ALL

    def has(self, record: Record) -> bool:
        """Return whether *record* is one of those."""
        if self.sender is not ANY and record.sender != self.sender:
            return False
        if not isinstance(record, self.records) and not self._is_of_class(record):
            return False
        return (self.item is None or _names(record, "item", self.item)) and (
            self.response is None or _names(record, "response", self.response)
        )

    def _is_of_class(self, record: Record) -> bool:
        return isinstance(record, EventRecord) and (
            record.type_name in self.events or record.class_name in self.events
        )


_ALL: Final = Selection()


def _names(record: Record, kind: str, wanted: str) -> bool:
    """Return whether *record* names that item or response."""
    if isinstance(record, EventRecord):
        fields: Any = record.fields
    elif isinstance(record, (FrameRecord, SentRecord)):
        # To look for the text is faster than to parse all of them.
        if record.form != "json" or wanted.encode() not in record.data:
            return False
        try:
            fields = _parse(record.data)
        except ValueError:
            return False
    else:
        return False
    return isinstance(fields, Mapping) and wanted in ids_in(fields, kind)
