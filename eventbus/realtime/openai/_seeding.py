"""
Telling a new session the conversation: items in, messages out, and the service's answers.

Rules
-----

* An item keeps its id where the protocol allows it (at most 32 characters). Where the service
  gives an item another id, the two are mapped.
* A tool call is followed by its output, if there is one.
* An item that the service refuses, with an error that names the message, is left out.
* The service answers in order: an answer to one message means that those before it, which were
  not refused, were taken.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from ...events import (
    RealtimeModelErrorEvent,
    RealtimeModelItemUpdatedEvent,
    RealtimeModelOtherEvent,
)
from ...items import (
    AssistantMessageItem,
    AssistantText,
    InputImage,
    RealtimeItem,
    RealtimeToolCallItem,
)
from ..memory import Recollection, Restored, RestoreReason
from ..transport._outbox import OutgoingMessage
from ._messages import outgoing

ITEM_ADDED: Final = frozenset({"conversation.item.added", "conversation.item.created"})
"""The types of the service's events for an added item, of the GA and the beta protocol."""

SESSION_EXPIRED: Final = "session_expired"
"""The code of the error with which the service ends a session."""

_MAX_ID: Final = 32


@attrs.define(eq=False)
class _Seed:
    item_id: str
    sent_id: str
    event_id: str
    message: Mapping[str, Any]

    @property
    def item(self) -> Mapping[str, Any]:
        item: Mapping[str, Any] = self.message["item"]
        return item


class Seeding:
    """
    The conversation as a new session is told it.

    Args:
        recollection: The conversation.
        reason: The reason for the new session.
        numbers: Numbers for the names of the messages.

    Attributes:
        ids: The service's id of an item -> ours, where they differ.
        places: The service's id of an item that another one follows -> ours. After the last told
            item come those that were left out.
    """

    def __init__(
        self,
        recollection: Recollection,
        reason: RestoreReason,
        numbers: Iterator[int],
    ) -> None:
        items = recollection.items
        self.ids: dict[str, str] = {}
        self.places: dict[str | None, str] = {}
        self._last_item_id = recollection.last_item_id
        self._left_out = list(recollection.left_out)
        self._reason: RestoreReason = reason
        self._taken: dict[str, None] = {}
        self._is_told = not items
        self.is_refused = False
        self._seeds = [seed for item in items for seed in _seeds_of(item, numbers)]
        self._open = list(self._seeds)
        for seed in self._seeds:
            self._note_id(seed.sent_id, seed)

    @property
    def messages(self) -> list[OutgoingMessage]:
        """The messages to send."""
        return [outgoing(seed.message) for seed in self._seeds]

    @property
    def call_ids(self) -> dict[str, bool]:
        """The tool calls that the new session knows, and whether it knows their outputs."""
        calls = [seed.item for seed in self._seeds if "call_id" in seed.item]
        return {item["call_id"]: item["type"] == "function_call_output" for item in calls}

    @property
    def is_answered(self) -> bool:
        """True if the service has answered all messages."""
        return not self._open

    def note_item(self, item_id: str, item_type: str, role: str | None) -> bool:
        """Note that the service has added an item; return whether it is one of these."""
        if any(seed.sent_id == item_id for seed in self._seeds):
            place = next((i for i, seed in enumerate(self._open) if seed.sent_id == item_id), None)
        elif self._open and self._is_meant(self._open[0], item_type, role):
            place = 0  # the service gives ids of its own
            self._note_id(item_id, self._open[0])
        else:
            return item_id in self.ids
        if place is not None:
            for seed in self._open[: place + 1]:
                self._taken[seed.item_id] = None
            del self._open[: place + 1]
        return True

    def note_error(self, event_id: str | None) -> str | None:
        """Note that the service has refused a message; return the item's id, if it has one."""
        seed = next((seed for seed in self._seeds if seed.event_id == event_id), None)
        if seed is None:
            return None
        if seed in self._open:
            self._open.remove(seed)
            self._left_out.append(seed.item_id)
        return seed.item_id

    def conclude(self) -> None:
        """Take the messages without an answer to be taken: the service confirms none."""
        for seed in self._open:
            self._taken[seed.item_id] = None
        self._open.clear()

    def note(self, event: object) -> None:
        """Note an event of the new session."""
        match event:
            case RealtimeModelItemUpdatedEvent(item=item):
                self.note_item(item.item_id, item.type, getattr(item, "role", None))
            case RealtimeModelOtherEvent(data=Mapping() as data):
                added = data.get("item")
                if data.get("type") in ITEM_ADDED and isinstance(added, Mapping):
                    self.note_item(str(added.get("id")), str(added.get("type")), added.get("role"))
            case RealtimeModelErrorEvent(error=error):
                self.note_error(getattr(error, "event_id", None))
                self.is_refused = self.is_refused or getattr(error, "code", None) == SESSION_EXPIRED
            case _:
                pass

    def outcome(self) -> Restored | None:
        """Return the outcome, once; None if nothing was to be told, or answers are missing."""
        if self._is_told or self._open:
            return None
        self._is_told = True
        left_out = [each for each in dict.fromkeys(self._left_out) if each]
        taken = [each for each in self._taken if each and each not in left_out]
        return Restored(tuple(taken), tuple(left_out), self._reason)

    def _note_id(self, service_id: str, seed: _Seed) -> None:
        if service_id != seed.item_id and seed.item_id:
            self.ids[service_id] = self.places[service_id] = seed.item_id
        if seed is self._seeds[-1] and self._last_item_id is not None:
            self.places[service_id] = self._last_item_id

    @staticmethod
    def _is_meant(seed: _Seed, item_type: str, role: str | None) -> bool:
        return seed.item["type"] == item_type and seed.item.get("role") == role


def _seeds_of(item: RealtimeItem, numbers: Iterator[int]) -> Iterator[_Seed]:
    for data in _items_of(item):
        number = next(numbers)
        sent_id = item.item_id
        if not sent_id or len(sent_id) > _MAX_ID or data["type"] == "function_call_output":
            sent_id = f"eventbus_memory_{number}"
        event_id = f"eventbus_restore_{number}"
        message = {
            "type": "conversation.item.create",
            "event_id": event_id,
            "item": {"id": sent_id, **data},
        }
        yield _Seed(item.item_id, sent_id, event_id, message)


def _items_of(item: RealtimeItem) -> Iterator[dict[str, Any]]:
    if isinstance(item, RealtimeToolCallItem):
        call = {"call_id": item.call_id, "name": item.name, "arguments": item.arguments}
        yield {"type": "function_call", **call}
        if item.output is not None:
            yield {"type": "function_call_output", "call_id": item.call_id, "output": item.output}
        return
    content = [_part(part) for part in item.content]
    status = {}
    if isinstance(item, AssistantMessageItem) and item.status == "incomplete":
        status = {"status": "incomplete"}
    yield {"type": "message", "role": item.role, **status, "content": content}


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, InputImage):
        detail = {} if part.detail is None else {"detail": part.detail}
        return {"type": "input_image", "image_url": part.image_url, **detail}
    kind = "output_text" if isinstance(part, AssistantText) else "input_text"
    return {"type": kind, "text": part.text}


def no_seeding() -> Seeding:
    """Return the seeding of a session that is told nothing."""
    return Seeding(Recollection(), "connection_lost", itertools.count())
