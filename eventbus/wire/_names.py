"""
Names of frames: the ``type``, or in the protocol of Gemini Live the fields that a message has.

A message of Gemini has no type. Its name here is the first field that says something, in the
order in which `eventbus.wire.gemini` reads them, like ``serverContent.modelTurn``. Only names
that the protocol has are told; another name may be a caller's word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

_PLAIN_TYPE: Final = re.compile(r"[A-Za-z0-9_.\-]{1,80}")

_CONTENT: Final = (
    "interimInputTranscription",
    "inputTranscription",
    "modelTurn",
    "outputTranscription",
    "interrupted",
    "groundingMetadata",
    "urlContextMetadata",
    "waitingForInput",
    "generationComplete",
    "turnComplete",
)
_INPUT: Final = (
    "audio",
    "video",
    "text",
    "audioStreamEnd",
    "activityStart",
    "activityEnd",
    "mediaChunks",
)

# Message -> the fields that tell more about it.
_FROM_SERVER: Final[Mapping[str, tuple[str, ...]]] = {
    "setupComplete": (),
    "voiceActivity": (),
    "voiceActivityDetectionSignal": (),
    "serverContent": _CONTENT,
    "toolCall": (),
    "toolCallCancellation": (),
    "usageMetadata": (),
    "sessionResumptionUpdate": (),
    "goAway": (),
}
_FROM_CLIENT: Final[Mapping[str, tuple[str, ...]]] = {
    "setup": (),
    "clientContent": (),
    "realtimeInput": _INPUT,
    "toolResponse": (),
    "contextUpdate": (),
}

GEMINI_NAMES: Final = frozenset(
    name if not part else f"{name}.{part}"
    for name, parts in _FROM_SERVER.items()
    for part in ("", *parts)
)
"""The names of the messages that Gemini Live sends."""


def snake_case(name: str) -> str:
    """Return a name in camel case as clients in Python write it."""
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


_CAMEL: Final = {
    snake_case(name): name
    for name in (*_FROM_SERVER, *_FROM_CLIENT, *_CONTENT, *_INPUT)
    if name != name.lower()
}


class FrameNames(msgspec.Struct):
    """
    The fields of a frame, or of a message to a service, that have its type and its ids.

    One that is missing is None, like one that is null.
    """

    type: Any = None
    item_id: Any = None
    response_id: Any = None
    item: Any = None
    response: Any = None
    call_id: Any = None
    id: Any = None


_decode_names: Final = msgspec.json.Decoder(FrameNames).decode


def read_names(data: bytes) -> FrameNames:
    """
    Return the type and the ids in a JSON object; the rest of it is only checked.

    Raises:
        ValueError: That isn't one, or it is nested too deeply.
    """
    try:
        return _decode_names(data)
    except RecursionError as exc:
        raise ValueError(str(exc)) from exc


def shown_type(value: object) -> str | None:
    """
    Return a frame's ``type`` if it looks like one, else None.

    Messages and reprs show it; something else in its place may be anybody's words.
    """
    return value if isinstance(value, str) and _PLAIN_TYPE.fullmatch(value) else None


def frame_name(data: Mapping[str, Any]) -> str | None:
    """Return the name of a frame or of a message to a service; None if it has none."""
    kind = data.get("type")
    if kind is not None:
        return shown_type(kind)
    return _name_in(data, _FROM_SERVER) or _name_in(data, _FROM_CLIENT)


def is_from_gemini(data: object) -> bool:
    """Return whether *data* is a message of Gemini Live's, as its names tell."""
    return isinstance(data, Mapping) and "type" not in data and bool(_name_in(data, _FROM_SERVER))


def is_gemini_name(name: str) -> bool:
    """Return whether a frame with that name is a message of Gemini Live's."""
    return _CAMEL.get(name, name) in _FROM_SERVER


def _name_in(data: Mapping[str, Any], known: Mapping[str, tuple[str, ...]]) -> str | None:
    values = {_CAMEL.get(name, name): value for name, value in data.items()}
    for name, parts in known.items():
        if name not in values:
            continue
        if isinstance(values[name], Mapping):
            inner = {_CAMEL.get(part, part): each for part, each in values[name].items()}
            for part in parts:
                if inner.get(part) not in (None, False):
                    return f"{name}.{part}"
        return name
    return None
