"""
Converts what OpenAI's frames carry: items, usage and errors.

Names, defaults and totals are those of the openai-agents SDK. What a service
adds to an object is kept in ``extra``; a content part of an unknown type, or
one that doesn't belong to the item's role, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Literal

from ..._fast_init import constructor
from ...events import (
    RealtimeError,
    RealtimeModelCachedTokensDetails,
    RealtimeModelInputTokensDetails,
    RealtimeModelOutputTokensDetails,
    RealtimeModelUsageEvent,
    Usage,
    UsageInputTokensDetails,
    UsageOutputTokensDetails,
)
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

__all__ = [
    "NOTHING",
    "PARTS",
    "Kind",
    "Status",
    "error_from",
    "message_item",
    "new_message",
    "tool_call_item",
    "usage_event",
]

Status = Literal["in_progress", "completed", "incomplete"]


class Kind:
    """
    A kind of content part.

    Attributes:
        make: Makes one, of its strings and of what the vendor sent besides.
        strings: The names of the strings.
        known: The names of everything that isn't "besides".
    """

    __slots__ = ("known", "make", "strings")

    def __init__(self, cls: type[ContentPart], *strings: str) -> None:
        self.make = constructor(cls)
        self.strings = strings
        self.known = frozenset((*strings, "type"))


_INPUT_TEXT = Kind(InputText, "text")
_INPUT_AUDIO = Kind(InputAudio, "audio", "transcript")
_INPUT_IMAGE = Kind(InputImage, "image_url", "detail")
_TEXT = Kind(AssistantText, "text")
_AUDIO = Kind(AssistantAudio, "audio", "transcript")

_new_system_message = constructor(SystemMessageItem)
_new_user_message = constructor(UserMessageItem)
_new_assistant_message = constructor(AssistantMessageItem)

NOTHING: ReadOnlyDict[str, Any] = ReadOnlyDict()
"""What most vendors send besides."""

_ERROR_FIELDS = ("message", "type", "code", "event_id", "param")
_MESSAGE_FIELDS = frozenset({"id", "type", "role", "content"})
_ASSISTANT_FIELDS = _MESSAGE_FIELDS | {"status"}
_CALL_FIELDS = frozenset({"id", "type", "call_id", "name", "arguments", "status"})

PARTS: Mapping[str, Mapping[str, Kind]] = {
    "system": {"input_text": _INPUT_TEXT},
    "user": {
        "input_text": _INPUT_TEXT,
        "input_audio": _INPUT_AUDIO,
        "input_image": _INPUT_IMAGE,
    },
    "assistant": {
        "output_text": _TEXT,
        "output_audio": _AUDIO,
        "text": _TEXT,  # beta
        "audio": _AUDIO,  # beta
    },
}
"""Role -> type of a content part -> its kind."""


def message_item(
    item: Fields,
    *,
    previous_item_id: str | None,
    default_role: str | None = None,
    default_status: Status = "in_progress",
) -> RealtimeMessageItem | None:
    """Return the message that *item* is, or None if its role is none that we know."""
    role = item.text_if_any("role") or default_role or ""
    types = PARTS.get(role)
    if types is None:
        return None
    item_id = item.optional_text("id") or ""
    content = tuple(
        [part for each in item.items("content") if (part := _part(each, types)) is not None]
    )
    status = item.data.get("status")
    if status not in ("in_progress", "completed", "incomplete"):
        status = default_status
    extra = _extra(item.data, _ASSISTANT_FIELDS if role == "assistant" else _MESSAGE_FIELDS)
    return new_message(role, item_id, content, previous_item_id, status, extra)


def new_message(
    role: str,
    item_id: str,
    content: tuple[ContentPart, ...],
    previous_item_id: str | None,
    status: Status,
    extra: ReadOnlyDict[str, Any],
) -> RealtimeMessageItem:
    """Return the message of a *role* in `PARTS`; only the assistant's has a field for *status*."""
    if role == "assistant":
        return _new_assistant_message(item_id, content, previous_item_id, status, extra)
    make = _new_user_message if role == "user" else _new_system_message
    return make(item_id, content, previous_item_id, extra)


def tool_call_item(item: Fields, *, previous_item_id: str | None) -> RealtimeToolCallItem:
    """
    Return the tool call that *item* is.

    It is in progress even if the model has completed it: the SDK uses one item
    for a call and its output, and completes it with the output.
    """
    return RealtimeToolCallItem(
        item_id=item.optional_text("id") or "",
        call_id=item.optional_text("call_id"),
        name=item.text("name"),
        arguments=item.optional_text("arguments") or "",
        status="in_progress",
        previous_item_id=previous_item_id,
        extra=_extra(item.data, _CALL_FIELDS),
    )


def usage_event(usage: Fields) -> RealtimeModelUsageEvent:
    """Return what a response has cost; a breakdown that can't be read is left out."""
    input_tokens = usage.optional_integer("input_tokens") or 0
    output_tokens = usage.optional_integer("output_tokens") or 0
    total_tokens = usage.optional_integer("total_tokens")
    input_details = usage.child_if_any("input_token_details")
    output_details = usage.child_if_any("output_token_details")
    return RealtimeModelUsageEvent(
        Usage(
            requests=1,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            total_tokens=input_tokens + output_tokens if total_tokens is None else total_tokens,
            input_tokens_details=UsageInputTokensDetails(
                input_details.integer_if_any("cached_tokens") or 0
            ),
            output_tokens_details=UsageOutputTokensDetails(
                output_details.integer_if_any("reasoning_tokens") or 0
            ),
        ),
        _input_details(input_details) if _has_object(usage, "input_token_details") else None,
        _output_details(output_details) if _has_object(usage, "output_token_details") else None,
    )


def error_from(value: object) -> RealtimeError | None:
    """
    Return the error that a service describes, or None if there is no description.

    An object or, from some services, only a text; the type of a field that isn't
    a string doesn't matter, it goes to ``extra``.
    """
    if isinstance(value, str):
        return RealtimeError(message=value)
    if not isinstance(value, dict):
        return None
    known = {name: value[name] for name in _ERROR_FIELDS if isinstance(value.get(name), str)}
    extra = {
        name: freeze(each)
        for name, each in value.items()
        if name not in known and not (each is None and name in _ERROR_FIELDS)
    }
    return RealtimeError(**known, extra=ReadOnlyDict(extra))


def _part(part: object, types: Mapping[str, Kind]) -> ContentPart | None:
    """Return the content part, or None if it is of no type that the item can have."""
    if type(part) is not dict:
        return None
    part_type = part.get("type")
    if type(part_type) is not str or part_type not in types:
        return None
    kind = types[part_type]
    strings = [value if type(value := part.get(name)) is str else None for name in kind.strings]
    return kind.make(*strings, _extra(part, kind.known))


def _extra(data: Mapping[str, Any], known: AbstractSet[str]) -> ReadOnlyDict[str, Any]:
    """Return the fields of *data* that aren't *known*, read-only."""
    if data.keys() <= known:
        return NOTHING
    return ReadOnlyDict({name: freeze(data[name]) for name in data if name not in known})


def _has_object(fields: Fields, name: str) -> bool:
    return isinstance(fields.data.get(name), dict)


def _input_details(details: Fields) -> RealtimeModelInputTokensDetails:
    cached = details.child_if_any("cached_tokens_details")
    return RealtimeModelInputTokensDetails(
        text_tokens=details.integer_if_any("text_tokens"),
        audio_tokens=details.integer_if_any("audio_tokens"),
        image_tokens=details.integer_if_any("image_tokens"),
        cached_tokens=details.integer_if_any("cached_tokens"),
        cached_tokens_details=RealtimeModelCachedTokensDetails(
            text_tokens=cached.integer_if_any("text_tokens"),
            audio_tokens=cached.integer_if_any("audio_tokens"),
            image_tokens=cached.integer_if_any("image_tokens"),
        )
        if _has_object(details, "cached_tokens_details")
        else None,
    )


def _output_details(details: Fields) -> RealtimeModelOutputTokensDetails:
    return RealtimeModelOutputTokensDetails(
        text_tokens=details.integer_if_any("text_tokens"),
        audio_tokens=details.integer_if_any("audio_tokens"),
    )
