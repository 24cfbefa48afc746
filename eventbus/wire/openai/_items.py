"""
Converts the conversation items in OpenAI's frames.

Names and defaults are those of the openai-agents SDK. Fields that a service adds to an item or
a part are kept in ``extra``; a content part of an unknown type, or one that doesn't belong to
the item's role, is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Literal, TypeAlias

from ..._fast_init import constructor
from ...items import (
    AssistantAudio,
    AssistantMessageItem,
    AssistantText,
    ContentPart,
    InputAudio,
    InputImage,
    InputText,
    RealtimeMessageItem,
    RealtimeToolCallItem,
    SystemMessageItem,
    UserMessageItem,
)
from .._fields import Fields
from .._frames import ReadOnlyDict, freeze

Status: TypeAlias = Literal["in_progress", "completed", "incomplete"]
_MakePart: TypeAlias = Callable[[dict[str, Any]], ContentPart]

NOTHING: ReadOnlyDict[str, Any] = ReadOnlyDict()
"""The additional fields of most objects."""

_new_system_message = constructor(SystemMessageItem)
_new_user_message = constructor(UserMessageItem)
_new_assistant_message = constructor(AssistantMessageItem)
_new_call = constructor(RealtimeToolCallItem)

_MESSAGE_FIELDS = frozenset({"id", "type", "role", "content", "status"})
_CALL_FIELDS = frozenset({"id", "type", "call_id", "name", "arguments", "status"})


def extra_fields(data: dict[str, Any], known: AbstractSet[str]) -> ReadOnlyDict[str, Any]:
    """Return the fields of *data* that aren't *known*, read-only."""
    if data.keys() <= known:
        return NOTHING
    return ReadOnlyDict({name: freeze(data[name]) for name in data if name not in known})


def _part_of_one(cls: type[ContentPart], name: str) -> _MakePart:
    """Return a function that makes a part with one string."""
    make, known = constructor(cls), frozenset({"type", name})

    def make_part(part: dict[str, Any]) -> ContentPart:
        value = part.get(name)
        return make(value if type(value) is str else None, extra_fields(part, known))

    return make_part


def _part_of_two(cls: type[ContentPart], name: str, name2: str) -> _MakePart:
    """Return a function that makes a part with two strings."""
    make, known = constructor(cls), frozenset({"type", name, name2})

    def make_part(part: dict[str, Any]) -> ContentPart:
        value, value2 = part.get(name), part.get(name2)
        return make(
            value if type(value) is str else None,
            value2 if type(value2) is str else None,
            extra_fields(part, known),
        )

    return make_part


_input_text = _part_of_one(InputText, "text")
_text = _part_of_one(AssistantText, "text")
_audio = _part_of_two(AssistantAudio, "audio", "transcript")

# Role -> type of a content part -> the function that makes it.
_PARTS: Mapping[str, Mapping[str, _MakePart]] = {
    "system": {"input_text": _input_text},
    "user": {
        "input_text": _input_text,
        "input_audio": _part_of_two(InputAudio, "audio", "transcript"),
        "input_image": _part_of_two(InputImage, "image_url", "detail"),
    },
    "assistant": {
        "output_text": _text,
        "output_audio": _audio,
        "text": _text,  # beta
        "audio": _audio,  # beta
    },
}


def message_item(
    item: dict[str, Any],
    frame_type: object,
    *,
    previous_item_id: str | None,
    default_role: str = "",
    default_status: Status = "in_progress",
) -> RealtimeMessageItem | None:
    """Return the message that *item* is, or None if it has an unknown role."""
    role = item.get("role")
    if type(role) is not str:
        role = default_role
    kinds = _PARTS.get(role)
    if kinds is None:
        return None
    item_id, parts = item.get("id"), item.get("content")
    if type(item_id) is not str:
        item_id = Fields(item, frame_type, "item").optional_text("id") or ""
    if type(parts) is not list:
        parts = Fields(item, frame_type, "item").items("content")
    content = []
    for part in parts:
        if type(part) is dict:
            kind = part.get("type")
            make = kinds.get(kind) if type(kind) is str else None
            if make is not None:
                content.append(make(part))
    status = item.get("status")
    extra = extra_fields(item, _MESSAGE_FIELDS)
    if status not in ("in_progress", "completed", "incomplete"):
        # The service may leave out the status of a message of the user, and does not imply one.
        status = default_status if role == "assistant" else None
    if role == "assistant":
        return _new_assistant_message(item_id, tuple(content), previous_item_id, status, extra)
    new_message = _new_user_message if role == "user" else _new_system_message
    return new_message(item_id, tuple(content), previous_item_id, status, extra)


def tool_call_item(
    item: dict[str, Any], frame_type: object, *, previous_item_id: str | None
) -> RealtimeToolCallItem:
    """
    Return the tool call that *item* is.

    It is in progress even if the model has completed it: the SDK uses one item
    for a call and its output, and completes it with the output.
    """
    item_id, call_id = item.get("id"), item.get("call_id")
    name, arguments = item.get("name"), item.get("arguments")
    if not type(item_id) is type(call_id) is type(name) is type(arguments) is str:
        fields = Fields(item, frame_type, "item")
        item_id = fields.optional_text("id") or ""
        call_id = fields.optional_text("call_id")
        name = fields.text("name")
        arguments = fields.optional_text("arguments") or ""
    extra = extra_fields(item, _CALL_FIELDS)
    return _new_call(
        item_id, call_id, name, arguments, "in_progress", None, previous_item_id, extra
    )
