"""
Converts the conversation items in OpenAI's frames.

Names and defaults are those of the openai-agents SDK. Fields that a service adds to an item or
a part are kept in ``extra``; a content part of an unknown type, or one that doesn't belong to
the item's role, is left out.

Messages come often, and most of their frames have the same fields. `read_conversation_item` and
`read_output_item` read these into structs, which takes two thirds of the time that plain data do,
and leave all others to `message_item`. Structs hide fields that aren't declared and names that come
twice, so the pairs that were read are counted, as in `_strict`.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from ..._fast_init import constructor
from ...events import RealtimeModelItemUpdatedEvent
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
from .._forms import Reader
from .._frames import ReadOnlyDict, freeze
from .._strict import count_in, may_hide_colons

Status: TypeAlias = Literal["in_progress", "completed", "incomplete"]
_STATUSES = ("in_progress", "completed", "incomplete")

_BRACKET = ord("[")

NOTHING: ReadOnlyDict[str, Any] = ReadOnlyDict()
"""The additional fields of most objects."""

_REALTIME_ITEM: ReadOnlyDict[str, Any] = ReadOnlyDict(object="realtime.item")

_NEW_MESSAGE: dict[str, Callable[..., RealtimeMessageItem]] = {
    "system": constructor(SystemMessageItem),
    "user": constructor(UserMessageItem),
    "assistant": constructor(AssistantMessageItem),
}
_new_call = constructor(RealtimeToolCallItem)
_new_item_updated = constructor(RealtimeModelItemUpdatedEvent)

_MESSAGE_FIELDS = frozenset({"id", "type", "role", "content", "status"})
_CALL_FIELDS = frozenset({"id", "type", "call_id", "name", "arguments", "status"})


def extra_fields(data: dict[str, Any], known: AbstractSet[str]) -> ReadOnlyDict[str, Any]:
    """Return the fields of *data* that aren't *known*, read-only."""
    if data.keys() <= known:
        return NOTHING
    return ReadOnlyDict({name: freeze(data[name]) for name in data if name not in known})


class _Kind(NamedTuple):
    """
    A kind of content part, with one string or two.

    Attributes:
        make: Makes one, of its strings and its additional fields.
        name, name2: The names of the strings.
        known: The names that aren't additional.
    """

    make: Callable[..., ContentPart]
    name: str
    name2: str | None
    known: frozenset[str]


def _kind(cls: type[ContentPart], name: str, name2: str | None = None) -> _Kind:
    return _Kind(constructor(cls), name, name2, frozenset({"type", name, name2 or name}))


_input_text = _kind(InputText, "text")
_text = _kind(AssistantText, "text")
_audio = _kind(AssistantAudio, "audio", "transcript")

# Role -> type of a content part -> its kind.
_PARTS: dict[str, dict[str, _Kind]] = {
    "system": {"input_text": _input_text},
    "user": {
        "input_text": _input_text,
        "input_audio": _kind(InputAudio, "audio", "transcript"),
        "input_image": _kind(InputImage, "image_url", "detail"),
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
    previous_item_id: str | None,
    default_role: str = "",
    default_status: Status = "in_progress",
) -> RealtimeMessageItem | None:
    """Return the message that *item* is, or None if it has an unknown role."""
    role = item.get("role")
    kinds = _PARTS.get(role if type(role) is str else default_role)
    if kinds is None:
        return None
    item_id, parts, status = item.get("id"), item.get("content"), item.get("status")
    if type(item_id) is str and type(parts) is list and status in _STATUSES and type(role) is str:
        known = 5  # with the type
    else:
        known = -1
        fields = Fields(item, frame_type, "item")
        item_id, parts = fields.optional_text("id") or "", fields.items("content")
        role = role if type(role) is str else default_role
        if status not in _STATUSES:
            # A message of the user may have no status, and none is implied.
            status = default_status if role == "assistant" else None
    if len(item) == known:
        extra = NOTHING
    elif len(item) == known + 1 and item.get("object") == "realtime.item":  # as many send it
        extra = _REALTIME_ITEM
    else:
        extra = extra_fields(item, _MESSAGE_FIELDS)
    content = _content(parts, kinds) if parts else ()
    return _NEW_MESSAGE[role](item_id, content, previous_item_id, status, extra)


def _content(parts: list[Any], kinds: dict[str, _Kind]) -> tuple[ContentPart, ...]:
    content = []
    for part in parts:
        part_type = part.get("type") if type(part) is dict else None
        kind = kinds.get(part_type) if type(part_type) is str else None
        if kind is None:
            continue
        make, name, name2, known = kind
        used = 2  # with the type
        value = part.get(name)
        if type(value) is not str:
            value, used = None, 1
        if name2 is None:
            extra = NOTHING if len(part) == used else extra_fields(part, known)
            content.append(make(value, extra))
            continue
        value2 = part.get(name2)
        if type(value2) is str:
            used += 1
        else:
            value2 = None
        extra = NOTHING if len(part) == used else extra_fields(part, known)
        content.append(make(value, value2, extra))
    return tuple(content)


def tool_call_item(
    item: dict[str, Any], frame_type: object, previous_item_id: str | None
) -> RealtimeToolCallItem:
    """
    Return the tool call that *item* is.

    It is in progress even if the model has completed it: the SDK uses one item
    for a call and its output, and completes it with the output.
    """
    item_id, call_id = item.get("id"), item.get("call_id")
    name, arguments = item.get("name"), item.get("arguments")
    known = 6  # with type and status
    if not type(item_id) is type(call_id) is type(name) is type(arguments) is str:
        fields = Fields(item, frame_type, "item")
        item_id = fields.optional_text("id") or ""
        call_id = fields.optional_text("call_id")
        name = fields.text("name")
        arguments = fields.optional_text("arguments") or ""
        known = -1
    if len(item) == known:
        extra = NOTHING
    elif len(item) == known + 1 and item.get("object") == "realtime.item":
        extra = _REALTIME_ITEM
    else:
        extra = extra_fields(item, _CALL_FIELDS)
    return _new_call(
        item_id, call_id, name, arguments, "in_progress", None, previous_item_id, extra
    )


# --- from the frame itself -------------------------------------------------------------------


class _Part(msgspec.Struct, gc=False):
    type: str
    text: str | UnsetType | None = UNSET
    audio: str | UnsetType | None = UNSET
    transcript: str | UnsetType | None = UNSET


class _Item(msgspec.Struct, gc=False):
    id: str
    type: str
    status: Status | None = None
    role: str = ""
    content: list[_Part] | None = None
    object: str | UnsetType = UNSET


class _ConversationItem(msgspec.Struct, gc=False):
    type: Literal[
        "conversation.item.added", "conversation.item.created", "conversation.item.retrieved"
    ]
    event_id: str
    item: _Item
    previous_item_id: str | UnsetType | None = UNSET


class _OutputItem(msgspec.Struct, gc=False):
    type: Literal["response.output_item.added", "response.output_item.done"]
    event_id: str
    response_id: str
    output_index: int
    item: _Item
    previous_item_id: str | UnsetType | None = UNSET


def _reader(  # noqa: C901  # in one frame
    frame_class: type[_ConversationItem | _OutputItem], pairs_at_least: int
) -> Reader:
    decode = msgspec.json.Decoder(frame_class).decode

    def read(  # noqa: C901, PLR0912  # as above
        frame: bytes, _size: int, _session: object
    ) -> RealtimeModelItemUpdatedEvent | None:
        """Return the event of a frame with a message; None if another way must be taken."""
        if _BRACKET not in frame:  # no content: another kind of item
            return None
        try:
            data = decode(frame)
        except (ValueError, RecursionError):
            return None
        item, previous_item_id, pairs, extra = (
            data.item,
            data.previous_item_id,
            pairs_at_least,
            NOTHING,
        )
        role, status, parts = item.role, item.status, item.content
        kinds = _PARTS.get(role)
        if item.type != "message" or kinds is None or status is None or parts is None:
            return None
        if previous_item_id is UNSET:
            previous_item_id = None
        else:
            pairs += 1
        if item.object is not UNSET:
            if item.object != "realtime.item":
                return None
            extra = _REALTIME_ITEM
            pairs += 1
        content = []
        for part in parts:
            kind = kinds.get(part.type)
            words, audio, transcript = part.text, part.audio, part.transcript
            if kind is None:
                return None
            if kind.name == "text" and audio is transcript is UNSET:
                pairs += 1 + (words is not UNSET)
                content.append(kind.make(None if words is UNSET else words, NOTHING))
            elif kind.name == "audio" and words is UNSET:
                pairs += 1 + (audio is not UNSET) + (transcript is not UNSET)
                audio = None if audio is UNSET else audio
                transcript = None if transcript is UNSET else transcript
                content.append(kind.make(audio, transcript, NOTHING))
            else:
                return None
        colons = count_in(frame, b":") - pairs
        if colons:
            for part in parts:
                for words in (part.text, part.transcript):
                    if words:
                        colons -= words.count(":")
            if colons or may_hide_colons(frame):
                return None
        message = _NEW_MESSAGE[role](item.id, tuple(content), previous_item_id, status, extra)
        return _new_item_updated(message)

    return read


read_conversation_item = _reader(_ConversationItem, 8)
"""Returns the event of a conversation's message, from its frame."""

read_output_item = _reader(_OutputItem, 10)
"""Returns the event of a response's message, from its frame."""
