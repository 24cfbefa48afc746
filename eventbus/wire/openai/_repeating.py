"""
Frames that only repeat what other frames of the same turn say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_TYPES: Final = frozenset(
    {
        "conversation.item.done",
        "response.content_part.added",
        "response.content_part.done",
        "response.function_call_arguments.done",
    }
)
_ITEM_TYPES: Final = frozenset(
    {
        "conversation.item.added",
        "conversation.item.created",
        "response.output_item.added",
        "response.output_item.done",
    }
)
_CALLS: Final = ("function_call", "function_call_output")


def is_repeating(frame: Mapping[str, Any]) -> bool:
    """
    Return whether *frame* says nothing that other frames of its turn don't say.

    Such frames are `eventbus.events.RealtimeModelOtherEvent`. Their text and audio come in deltas,
    a tool call as `eventbus.events.RealtimeModelToolCallEvent`, and its output was sent by this
    side.

    Args:
        frame: The *data* of an Other or Raw event; of the Realtime protocol, in any dialect.
    """
    type_ = frame.get("type")
    if not isinstance(type_, str):
        return False
    item = frame.get("item")
    return type_ in _TYPES or (
        type_ in _ITEM_TYPES and isinstance(item, Mapping) and item.get("type") in _CALLS
    )
