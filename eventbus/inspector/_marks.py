"""
Moments of a call that are a mark with a word, and have no length: pressed keys, timeouts.

`UNDRAWN` has the events of the vocabulary that no lane shows, each with the reason; a test holds
both against the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..analysis import RecordView

_KEYS: Final[Mapping[str, str]] = {
    "input_audio_buffer.dtmf_event_received": "key",
    "transport.dtmf.received": "key",
    "transport.dtmf.sent": "sent key",
}
"""The frames that tell of a key of a phone (DTMF), each with its word."""

_EVENTS: Final[Mapping[str, str]] = {
    "input_audio_timeout_triggered": "caller silent",
    "tool_call_cancelled": "tools cancelled",
    "item_deleted": "item deleted",
    "end_of_stream": "end of stream",
}
"""The events that are marks, by their types, each with its words."""

UNDRAWN: Final[Mapping[str, str]] = {
    "audio_done": "the end of the model's audio shows it",
    "item_updated": "what is said or called shows it",
    "other": "what it means isn't known; the list has its frame",
    "output_text_delta": "it is written, and has no time in which it is heard",
    "output_text_done": "it is written, and has no time in which it is heard",
    "rate_limits": "it is a state of the account; the list has it",
    "raw_server_event": "the list has its frame",
    "tool_call_delta": "the call of the tool shows it",
    "usage": "the figures have the sum",
}
"""The types of events that no lane shows, with the reason."""


def mark_of_frame(facts: RecordView) -> str | None:
    """Return the word for a frame that is a mark; None for any other."""
    word = _KEYS.get(facts.type or "")
    if word is None:
        return None
    key = facts.data.get("event")
    return f"{word} {key}" if isinstance(key, str) and key else word


def mark_of_event(type_name: str) -> str | None:
    """Return the words for an event that is a mark; None for any other."""
    return _EVENTS.get(type_name)
