"""
The client's messages of the OpenAI Realtime protocol (GA).

Pure: requests and settings in, messages out. Settings can have the names of the beta protocol,
which openai-agents takes too; each has one place in the GA protocol, and a name of the GA
protocol in that place goes first. Nothing is added to a request: the service decides about a
setting that isn't given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
import pybase64

from ...audio._formats import AudioFormat
from ...exceptions import AudioFormatError
from ...wire.openai import BETA_SETTINGS
from ..inputs import (
    RealtimeModelSendInterrupt,
    RealtimeModelSendRawMessage,
    RealtimeModelSendToolOutput,
    RealtimeModelUserInput,
)
from ..transport._outbox import OutgoingMessage

# Messages about the things of one session, which make no sense in the next.
_OF_ONE_SESSION: Final = frozenset(
    {
        "conversation.item.delete",
        "conversation.item.retrieve",
        "conversation.item.truncate",
        "input_audio_buffer.append",
        "input_audio_buffer.clear",
        "input_audio_buffer.commit",
        "output_audio_buffer.clear",
        "response.cancel",
        "session.update",  # the next session begins with all the settings
    }
)

# Messages that the service answers with an event of their own; response.create is sequenced.
_ACKNOWLEDGED: Final = frozenset(
    {
        "conversation.item.create",
        "conversation.item.delete",
        "conversation.item.truncate",
        "input_audio_buffer.clear",
        "input_audio_buffer.commit",
        "session.update",
    }
)


def session_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the session that *settings* describe, as ``session.update`` has it.

    Raises:
        AudioFormatError: A format is none that is known.
    """
    # The model is part of the address, and can't be changed by an update.
    elsewhere = {*BETA_SETTINGS, "model_name", "audio", "extra_settings"}
    session: dict[str, Any] = {
        "type": "realtime",
        **{name: value for name, value in settings.items() if name not in elsewhere},
    }
    audio = settings.get("audio") or {}
    for direction in audio:
        _put(session, ("audio", direction), dict(audio[direction] or {}))
    for name, path in BETA_SETTINGS.items():
        if name in settings:
            _put(session, path, settings[name])
    for direction in session.get("audio", {}).values():
        if direction.get("format") is not None:
            direction["format"] = AudioFormat.of(direction["format"]).to_settings()
        else:
            direction.pop("format", None)
    return merge_nested(session, settings.get("extra_settings") or {})


def merge_nested(session: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return *session* with *extra*, whose nested mappings are merged."""
    merged = {**session, **extra}
    for name in session.keys() & extra.keys():
        if isinstance(session[name], Mapping) and isinstance(extra[name], Mapping):
            merged[name] = merge_nested(session[name], extra[name])
    return merged


def _put(session: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    """Set the value at *path*, unless there is one already."""
    for name in path[:-1]:
        session = session.setdefault(name, {})
    session.setdefault(path[-1], value)


def merge_sessions(before: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return the session that *before* is after *update*."""
    merged = {**before, **update}
    directions: dict[str, dict[str, Any]] = {}
    for session in (before, update):  # one of them may be somebody's raw message
        for direction, settings in _mapping(session.get("audio")).items():
            directions.setdefault(direction, {}).update(_mapping(settings))
    if directions:
        merged["audio"] = directions
    return merged


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def user_message(user_input: RealtimeModelUserInput) -> dict[str, Any]:
    """Return the message that adds the user's text or pictures to the conversation."""
    if isinstance(user_input, str):
        user_input = {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": user_input}],
        }
    return {"type": "conversation.item.create", "item": user_input}


def tool_output_message(event: RealtimeModelSendToolOutput) -> dict[str, Any]:
    """Return the message that adds a tool's output to the conversation."""
    return {
        "type": "conversation.item.create",
        "item": {
            "type": "function_call_output",
            "call_id": event.tool_call.call_id,
            "output": event.output,
        },
    }


def truncate_message(item_id: str, content_index: int, audio_end_ms: int) -> dict[str, Any]:
    """Return the message that removes the unheard end of an item's audio."""
    return {
        "type": "conversation.item.truncate",
        "item_id": item_id,
        "content_index": content_index,
        "audio_end_ms": audio_end_ms,
    }


def raw_message(event: RealtimeModelSendRawMessage) -> dict[str, Any]:
    """
    Return the message that was given.

    Raises:
        ValueError: It has no type.
    """
    message_type = event.message.get("type")
    if not isinstance(message_type, str) or not message_type:
        msg = "A raw message needs its type, like {'type': 'input_audio_buffer.clear'}."
        raise ValueError(msg)
    return {**event.message.get("other_data", {}), "type": message_type}


APPEND: Final = "input_audio_buffer.append"


def appending(message_type: str) -> Callable[[bytes], OutgoingMessage]:
    """
    Return the function that makes the message that appends audio to the user's.

    Args:
        message_type: The protocol's type of it.
    """
    # Fifty times a second: base64 needs no escaping, so the frame is put together once, as bytes,
    # and a listener that reads the message parses those.
    start, end = f'{{"type":"{message_type}","audio":"'.encode(), b'"}'
    message: Mapping[str, Any] = MappingProxyType({"type": message_type})

    def append(audio: bytes) -> OutgoingMessage:
        encoded = pybase64.b64encode(audio)
        return OutgoingMessage(b"".join((start, encoded, end)), message, len(encoded) * 3 // 4)

    return append


def check_audio(audio: Any, *, is_pcm: bool) -> None:
    """
    Check audio that isn't obviously right.

    Args:
        audio: The audio.
        is_pcm: Whether it is to be 16-bit PCM; else a sample may have any size.

    Raises:
        AudioFormatError: It ends with half a sample.
        TypeError: It isn't bytes.
    """
    try:
        size = memoryview(audio).nbytes
    except TypeError:
        msg = f"Audio is bytes, not {type(audio).__qualname__}; give samples in the input format."
        raise TypeError(msg) from None
    if is_pcm and size % 2:
        msg = (
            f"16-bit PCM has an even number of bytes, and this is {size}; cut audio between "
            f"samples."
        )
        raise AudioFormatError(msg)


append_message: Final = appending(APPEND)
"""Returns the message that appends audio to the user's."""


def outgoing(message: Mapping[str, Any]) -> OutgoingMessage:
    """
    Return *message* as it is sent.

    Raises:
        TypeError: Something in it can't be JSON.
    """
    return OutgoingMessage(_encode(message), message, None, outlives_session(message))


def outgoing_audio(message: Mapping[str, Any]) -> OutgoingMessage:
    """Return a message with audio that is base64 already; raises as `outgoing` does."""
    audio = message.get("audio")
    size = len(audio) * 3 // 4 if isinstance(audio, str) else 0
    return OutgoingMessage(_encode(message), message, size)


def outlives_session(message: Mapping[str, Any]) -> bool:
    """Return whether *message*, which was not sent, makes sense in another session."""
    if message["type"] == "conversation.item.create":
        item = message.get("item")
        # The next session knows nothing of the call.
        return not (isinstance(item, Mapping) and item.get("type") == "function_call_output")
    return message["type"] not in _OF_ONE_SESSION


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    msg = f"A {type(value).__qualname__} can't be sent; give plain data: text, numbers, lists."
    raise TypeError(msg)


_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder(enc_hook=_plain).encode


def is_acknowledged(message: Mapping[str, Any]) -> bool:
    """Return whether the service answers *message* with an event of its own."""
    return message["type"] in _ACKNOWLEDGED


def check_interrupt(event: RealtimeModelSendInterrupt) -> None:
    """
    Check the parts of an interruption.

    Raises:
        ValueError: They contradict each other.
    """
    if event.cancel_response_only and event.response_id is None:
        msg = "cancel_response_only cancels one response; give its response_id."
        raise ValueError(msg)
    if event.playback_only and (event.cancel_response_only or event.force_response_cancel):
        msg = "playback_only lets the response go on; it can't be cancelled at the same time."
        raise ValueError(msg)
