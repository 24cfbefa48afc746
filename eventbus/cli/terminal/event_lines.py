"""
Events as lines of text, for terminals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs
from rich.cells import cell_len
from rich.text import Text

from ...events import (
    RealtimeModelExceptionEvent,
    RealtimeModelOtherEvent,
    RealtimeModelSessionUpdatedEvent,
)
from ...items import RealtimeToolCallItem
from ...realtime.events import RealtimeModelRawClientEvent
from ...wire._names import frame_name
from .escaping import printable

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

# Transcripts and texts are quoted, names are not.
_QUOTED: Final = frozenset({"arguments", "delta", "text", "transcript"})

_WIDTH: Final = 22


def event_line(number: int, event: Any, width: int | None = None) -> Text:
    """
    Return the line for *event*.

    Args:
        number: The line of the file, the record or the connection that it comes from.
        event: An event of any class.
        width: Width of the terminal; None for no limit.
    """
    name = getattr(event, "type", None)
    if not isinstance(name, str):
        name = type(event).__qualname__
    head = f"{number:>6}  ", f"{name:<{_WIDTH}}  "
    room = None if width is None else width - sum(map(len, head))
    return Text.assemble(
        (head[0], "dim"),
        (head[1], _STYLES.get(name, "bold")),
        (event_text(event, room), _STYLES.get(name, "")),
    )


def event_text(event: Any, room: int | None = None) -> str:
    """
    Return the content of *event*, besides its type: words and numbers first, then ids.

    Args:
        event: An event.
        room: Number of characters that fit; ids that don't are left out, the last one first.
    """
    words, ids = _parts_of(event)
    text = "  ".join([*words, *ids])
    while room is not None and ids and cell_len(text) > room:
        ids.pop()
        text = "  ".join([*words, *ids])
    return text


def _parts_of(event: Any) -> tuple[list[str], list[str]]:
    """Return the content of *event* and its ids."""
    match event:
        case RealtimeModelOtherEvent(data=Mapping() as frame):
            return [_label(frame)], []
        case RealtimeModelRawClientEvent(data=data):
            if not isinstance(data, Mapping):
                return [f"<{len(data)} {'characters' if isinstance(data, str) else 'bytes'}>"], []
            return [_label(data)], []
        case RealtimeModelSessionUpdatedEvent(session=session, created=created):
            words = ["created" if created else "updated", printable(str(session.get("model", "")))]
            return words, []
        case RealtimeModelExceptionEvent(context=str(context)):
            return [printable(context)], []
        case _ if attrs.has(type(event)):
            return _fields(event)
        case _:
            return [], []


def _label(frame: Mapping[str, Any]) -> str:
    """Return the name to show of a frame or a message."""
    return printable(str(frame["type"])) if "type" in frame else frame_name(frame) or ""


def _fields(event: Any) -> tuple[list[str], list[str]]:
    words: list[str] = []
    ids: list[str] = []
    for field in attrs.fields(type(event)):
        name, value = field.name, getattr(event, field.name)
        if name == "type" or value is None:
            continue
        if name == "item":
            said, item_id = _item_parts(value)
            words.append(printable(said))
            ids.append(printable(item_id))
        else:
            is_id = name.endswith(("id", "_index"))
            (ids if is_id else words).append(printable(_text(name, value)))
    return words, ids


def _text(name: str, value: object) -> str:
    match value:
        case str() if name in _QUOTED:
            return json.dumps(value, ensure_ascii=False)
        case str() if name.endswith("id") or name in ("name", "status"):
            return value
        case bytes():
            return f"{len(value)} bytes"
        case list() | tuple():
            return f"{name}=<{len(value)}>"
        case Mapping():
            return f"{name}=<{len(value)} fields>"
        case _ if attrs.has(type(value)):
            return f"{name}({_parts(value)})"
        case _:
            return f"{name}={value}"


def _parts(value: Any) -> str:
    """Return the strings and numbers of an attrs object that aren't empty, by name."""
    parts = [(field.name, getattr(value, field.name)) for field in attrs.fields(type(value))]
    return ", ".join(
        f"{name}={part}" for name, part in parts if isinstance(part, (str, int)) and part
    )


def _item_parts(item: Any) -> tuple[str, str]:
    """Return the words of an item, and its id."""
    if isinstance(item, RealtimeToolCallItem):
        return f"{item.type} {item.name} {item.status}", item.item_id
    said = [
        getattr(part, "text", None) or getattr(part, "transcript", None) for part in item.content
    ]
    words = " ".join(filter(None, said))
    quoted = f" {json.dumps(words, ensure_ascii=False)}" if words else ""
    return f"{item.role}{quoted}", item.item_id
