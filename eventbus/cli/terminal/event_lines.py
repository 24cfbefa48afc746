"""
An event as one line of text, for people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs
from rich.text import Text

from ...events import (
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelSessionUpdatedEvent,
)
from ...items import RealtimeToolCallItem
from ...realtime.events import RealtimeModelRawClientEvent
from .escaping import printable

__all__ = ["event_line", "event_text"]

_STYLES: Final = {
    "audio": "dim",
    "audio_interrupted": "yellow",
    "error": "bold red",
    "exception": "bold red",
    "function_call": "magenta",
    "input_audio_transcription_completed": "cyan",
    "input_transcript_delta": "cyan",
    "other": "dim",
    "output_text_delta": "green",
    "output_text_done": "green",
    "raw_client_event": "cyan",
    "transcript_delta": "green",
    "transcript_done": "green",
}

# Text that people say or write is quoted, names that programs gave are not.
_QUOTED: Final = frozenset({"arguments", "delta", "text", "transcript"})

_WIDTH: Final = 22


def event_line(number: int, event: Any) -> Text:
    """
    Return the line for *event*.

    Args:
        number: The line of the file that it comes from.
        event: An event of the vocabulary.
    """
    return Text.assemble(
        (f"{number:>6}  ", "dim"),
        (f"{event.type:<{_WIDTH}}  ", _STYLES.get(event.type, "bold")),
        (event_text(event), _STYLES.get(event.type, "")),
    )


def event_text(event: Any) -> str:
    """Return what *event* says, besides its type."""
    match event:
        case RealtimeModelOtherEvent(data=Mapping() as frame):
            return printable(str(frame.get("type", "")))
        case RealtimeModelRawClientEvent(data=data):
            if not isinstance(data, Mapping):
                return f"<{len(data)} {'characters' if isinstance(data, str) else 'bytes'}>"
            return printable(str(data.get("type", "")))
        case RealtimeModelSessionUpdatedEvent(session=session, created=created):
            return printable(f"{'created' if created else 'updated'}  {session.get('model', '')}")
        case RealtimeModelExceptionEvent(context=str(context)):
            return printable(context)
        case _:
            return "  ".join(_fields(event))


def _fields(event: Any) -> list[str]:
    """Return what is in each field, ids last: in a narrow terminal the end is cut off."""
    names = [field.name for field in attrs.fields(type(event)) if field.name != "type"]
    names.sort(key=lambda name: name.endswith("id"))
    values = [(name, getattr(event, name)) for name in names]
    return [printable(_text(name, value)) for name, value in values if value is not None]


def _text(name: str, value: object) -> str:
    match value:
        case str() if name in _QUOTED:
            return json.dumps(value, ensure_ascii=False)
        case str() if name.endswith("id") or name in ("name", "status"):
            return value
        case bytes():
            return f"{len(value)} bytes"
        case RealtimeToolCallItem():
            return f"{value.type} {value.item_id} {value.name} {value.status}"
        case _ if name == "item":
            return _item_text(value)
        case list() | tuple():
            return f"{name}=<{len(value)}>"
        case Mapping():
            return f"{name}=<{len(value)} fields>"
        case _ if attrs.has(type(value)):
            return f"{name}({_parts(value)})"
        case _:
            return f"{name}={value}"


def _parts(value: Any) -> str:
    """Return what is plain in an attrs object, and not empty."""
    parts = [(field.name, getattr(value, field.name)) for field in attrs.fields(type(value))]
    return ", ".join(
        f"{name}={part}" for name, part in parts if isinstance(part, (str, int)) and part
    )


def _item_text(item: Any) -> str:
    """Return a message item's role, id, and what it says."""
    said = [
        getattr(part, "text", None) or getattr(part, "transcript", None) for part in item.content
    ]
    words = " ".join(filter(None, said))
    quoted = f" {json.dumps(words, ensure_ascii=False)}" if words else ""
    return f"{item.role} {item.item_id}{quoted}"
