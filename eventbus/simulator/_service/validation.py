"""
The shapes of a client's messages, and of a session's settings.

`parse` makes a message of a frame, or raises the `RequestError` that the service answers with.
These checks need the message alone; those that depend on the session, like an item that doesn't
exist, are made where the message is handled.

Source: the GA Realtime API reference, client events. Where the reference is silent, its schema
in the official SDK (``openai.types.realtime``) counts, and where that is silent, too, a value is
accepted: that breaks no client.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from .checks import (
    Check,
    RequestError,
    anything,
    choice,
    flag,
    integer,
    list_of,
    never_null,
    nullable,
    number,
    one_of,
    open_record,
    record,
    strings,
    tagged,
    text,
)

VOICES: Final = (
    "alloy",
    "ash",
    "ballad",
    "cedar",
    "coral",
    "echo",
    "marin",
    "sage",
    "shimmer",
    "verse",
)

# openai.types.realtime.AudioTranscription; a dated snapshot of one of them is as good.
_TRANSCRIPTION_MODELS: Final = (
    "whisper-1",
    "gpt-transcribe",
    "gpt-live-transcribe",
    "gpt-4o-mini-transcribe",
    "gpt-4o-transcribe",
    "gpt-4o-transcribe-diarize",
    "gpt-realtime-whisper",
)

_ID: Final = text(max_length=32)
_CALL_ID: Final = text(max_length=64, pattern=r"[a-zA-Z0-9_-]+")
_MAX_TEXT: Final = 10_000_000
_TEXT: Final = text(max_length=_MAX_TEXT)

# --- settings, of a session and of a response ------------------------------------------------

_FORMAT: Final = tagged(
    "type",
    {
        "audio/pcm": record({"type": anything, "rate": integer(low=24_000, high=24_000)}),
        "audio/pcmu": record({"type": anything}),
        "audio/pcma": record({"type": anything}),
    },
)
_VOICE: Final = one_of(
    "a voice", str=choice(*VOICES), dict=record({"id": text(max_length=256)}, required=["id"])
)
_MODALITIES: Final = list_of(choice("text", "audio"))
_MAX_OUTPUT_TOKENS: Final = one_of(
    "an integer or 'inf'", int=integer(low=1, high=4096), str=choice("inf")
)
_PROMPT: Final = nullable(
    record(
        {"id": text(), "version": nullable(text()), "variables": nullable(open_record)},
        required=["id"],
    )
)
_REASONING: Final = record({"effort": choice("none", "minimal", "low", "medium", "high", "xhigh")})
_FUNCTION_NAME: Final = text(max_length=64, pattern=r"[a-zA-Z0-9_-]+")


def _check_mcp_tool(value: Any, path: str) -> None:
    """Refuse the tools of an MCP server, with the error of the service if they have no label."""
    open_record(value, path)
    record({**dict.fromkeys(value, anything), "server_label": text()}, required=["server_label"])(
        value, path
    )
    msg = (
        f"Invalid '{path}': MCP servers are beyond the simulator, which calls no other server. "
        f"Offer their tools as functions here."
    )
    raise RequestError(msg, code="mcp_not_supported", param=path)


_TOOLS: Final = list_of(
    tagged(
        "type",
        {
            "function": record(
                {
                    "type": anything,
                    "name": _FUNCTION_NAME,
                    "description": text(),
                    "parameters": open_record,
                },
                required=["name"],
            ),
            "mcp": _check_mcp_tool,
        },
    ),
    max_length=128,
)
_TOOL_CHOICE: Final = one_of(
    "a tool choice",
    str=choice("none", "auto", "required"),
    dict=tagged(
        "type",
        {
            "function": record({"type": anything, "name": _FUNCTION_NAME}, required=["name"]),
            "mcp": record(
                {"type": anything, "server_label": text(), "name": nullable(text())},
                required=["server_label"],
            ),
        },
    ),
)
# The service answers null with "expected boolean, got null": github.com/livekit/agents/pull/3444.
_CREATE_RESPONSE: Final = never_null(flag)
_SERVER_VAD: Final = record(
    {
        "type": anything,
        "threshold": number(low=0, high=1),
        "prefix_padding_ms": integer(low=0, high=10_000),
        "silence_duration_ms": integer(low=0, high=10_000),
        "idle_timeout_ms": nullable(integer(low=5_000, high=30_000)),
        "create_response": _CREATE_RESPONSE,
        "interrupt_response": flag,
    }
)
_SEMANTIC_VAD: Final = record(
    {
        "type": anything,
        "eagerness": choice("low", "medium", "high", "auto"),
        "create_response": _CREATE_RESPONSE,
        "interrupt_response": flag,
    }
)


def _transcription_model(value: Any, path: str) -> None:
    """Accept the name of a model that transcribes, or of a snapshot of one: the name and a date."""
    text(max_length=256)(value, path)
    choice(*_TRANSCRIPTION_MODELS)(re.sub(r"-\d{4}-\d{2}-\d{2}$", "", value), path)


_AUDIO_INPUT: Final = record(
    {
        "format": _FORMAT,
        "transcription": nullable(
            record(
                {
                    "model": _transcription_model,
                    "language": nullable(text(max_length=16)),
                    "prompt": nullable(text()),
                    "delay": choice("minimal", "low", "medium", "high", "xhigh"),
                    "keywords": list_of(text()),
                    "languages": list_of(text(max_length=16)),
                }
            )
        ),
        "noise_reduction": nullable(
            record(
                {"type": choice("near_field", "far_field"), "strength": number(low=0, high=1)},
                required=["type"],
            )
        ),
        "turn_detection": nullable(
            tagged("type", {"server_vad": _SERVER_VAD, "semantic_vad": _SEMANTIC_VAD})
        ),
    }
)
_INCLUDE: Final = nullable(list_of(choice("item.input_audio_transcription.logprobs")))
_REALTIME_SESSION: Final = record(
    {
        "type": anything,
        "model": text(max_length=256),
        "instructions": _TEXT,
        "output_modalities": _MODALITIES,
        "audio": record(
            {
                "input": _AUDIO_INPUT,
                "output": record(
                    {"format": _FORMAT, "voice": _VOICE, "speed": number(low=0.25, high=1.5)}
                ),
            }
        ),
        "tools": _TOOLS,
        "tool_choice": _TOOL_CHOICE,
        "parallel_tool_calls": flag,
        "max_output_tokens": _MAX_OUTPUT_TOKENS,
        "prompt": _PROMPT,
        "reasoning": _REASONING,
        "tracing": nullable(
            one_of(
                "'auto' or an object",
                str=choice("auto"),
                dict=record({"workflow_name": text(), "group_id": text(), "metadata": open_record}),
            )
        ),
        "truncation": one_of(
            "a truncation strategy",
            str=choice("auto", "disabled"),
            dict=record(
                {
                    "type": choice("retention_ratio"),
                    "retention_ratio": number(low=0, high=1),
                    "token_limits": record({"post_instructions": integer(low=0)}),
                },
                required=["type", "retention_ratio"],
            ),
        ),
        "include": _INCLUDE,
    },
    required=["type"],
)
_TRANSCRIPTION_SESSION: Final = record(
    {"type": anything, "audio": record({"input": _AUDIO_INPUT}), "include": _INCLUDE},
    required=["type"],
)
_SESSION: Final = tagged(
    "type", {"realtime": _REALTIME_SESSION, "transcription": _TRANSCRIPTION_SESSION}
)

# --- items -----------------------------------------------------------------------------------

_OF_EACH_ITEM: Final[dict[str, Check]] = {
    "type": anything,
    "id": _ID,
    "object": choice("realtime.item"),
    "status": choice("completed", "incomplete", "in_progress"),
}


def _message(parts: dict[str, Check]) -> Check:
    return record(
        {**_OF_EACH_ITEM, "role": anything, "content": list_of(tagged("type", parts))},
        required=["content"],
    )


def _image_url(value: Any, path: str) -> None:
    """Accept a data URI of an image; the service fetches none from elsewhere."""
    text()(value, path)
    if not re.match(r"data:image/[\w.+-]+;base64,.", value):
        msg = (
            f"Invalid '{path}'. Expected a base64-encoded data URL with an image MIME type "
            f"(e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU=')."
        )
        raise RequestError(msg, code="invalid_value", param=path)


_INPUT_TEXT: Final = record({"type": anything, "text": _TEXT}, required=["text"])
_MESSAGE: Final = tagged(
    "role",
    {
        "user": _message(
            {
                "input_text": _INPUT_TEXT,
                "input_audio": record(
                    {"type": anything, "audio": text(), "transcript": nullable(_TEXT)},
                    required=["audio"],
                ),
                "input_image": record(
                    {
                        "type": anything,
                        "image_url": _image_url,
                        "detail": choice("auto", "low", "high"),
                    },
                    required=["image_url"],
                ),
            }
        ),
        "assistant": _message(
            {
                "output_text": record({"type": anything, "text": _TEXT}, required=["text"]),
                "output_audio": record(
                    {"type": anything, "audio": text(), "transcript": nullable(_TEXT)}
                ),
            }
        ),
        "system": _message({"input_text": _INPUT_TEXT}),
    },
)
_ITEMS: Final[dict[str, Check]] = {
    "message": _MESSAGE,
    "function_call": record(
        {**_OF_EACH_ITEM, "name": _FUNCTION_NAME, "call_id": _CALL_ID, "arguments": _TEXT},
        required=["name", "arguments"],
    ),
    "function_call_output": record(
        {**_OF_EACH_ITEM, "call_id": _CALL_ID, "output": _TEXT},
        required=["call_id", "output"],
    ),
    # Of MCP: a history may have them, though the simulator calls no server.
    "mcp_list_tools": record(
        {**_OF_EACH_ITEM, "server_label": text(), "tools": list_of(open_record)},
        required=["server_label", "tools"],
    ),
    "mcp_call": record(
        {
            **_OF_EACH_ITEM,
            "server_label": text(),
            "name": text(),
            "arguments": _TEXT,
            "approval_request_id": nullable(text()),
            "output": nullable(_TEXT),
            "error": nullable(open_record),
        },
        required=["server_label", "name", "arguments"],
    ),
    "mcp_approval_request": record(
        {**_OF_EACH_ITEM, "server_label": text(), "name": text(), "arguments": _TEXT},
        required=["server_label", "name", "arguments"],
    ),
    "mcp_approval_response": record(
        {
            **_OF_EACH_ITEM,
            "approval_request_id": text(),
            "approve": flag,
            "reason": nullable(text()),
        },
        required=["approval_request_id", "approve"],
    ),
}
_ITEM: Final = tagged("type", _ITEMS)
_INPUT_ITEM: Final = tagged(
    "type",
    {**_ITEMS, "item_reference": record({"type": anything, "id": _ID}, required=["id"])},
)

_RESPONSE: Final = record(
    {
        "instructions": _TEXT,
        "output_modalities": _MODALITIES,
        "audio": record({"output": record({"format": _FORMAT, "voice": _VOICE})}),
        "tools": _TOOLS,
        "tool_choice": _TOOL_CHOICE,
        "parallel_tool_calls": flag,
        "max_output_tokens": _MAX_OUTPUT_TOKENS,
        "prompt": _PROMPT,
        "reasoning": _REASONING,
        "conversation": choice("auto", "none"),
        "metadata": nullable(strings(max_length=16, max_key=64, max_value=512)),
        "input": list_of(_INPUT_ITEM),
    }
)

# --- messages --------------------------------------------------------------------------------


def _client_message(required: dict[str, Check], optional: dict[str, Check] | None = None) -> Check:
    own = {"type": anything, "event_id": nullable(text(max_length=512))}
    return record({**own, **required, **(optional or {})}, required=list(required))


CLIENT_MESSAGES: Final[dict[str, Check]] = {
    "session.update": _client_message({"session": _SESSION}),
    "input_audio_buffer.append": _client_message({"audio": text()}),
    "input_audio_buffer.commit": _client_message({}),
    "input_audio_buffer.clear": _client_message({}),
    "conversation.item.create": _client_message(
        {"item": _ITEM}, {"previous_item_id": nullable(text(max_length=64))}
    ),
    "conversation.item.retrieve": _client_message({"item_id": text(max_length=64)}),
    "conversation.item.truncate": _client_message(
        {
            "item_id": text(max_length=64),
            "content_index": integer(low=0),
            "audio_end_ms": integer(low=0),
        }
    ),
    "conversation.item.delete": _client_message({"item_id": text(max_length=64)}),
    "response.create": _client_message({}, {"response": nullable(_RESPONSE)}),
    "response.cancel": _client_message({}, {"response_id": nullable(text(max_length=64))}),
    "output_audio_buffer.clear": _client_message({}),
}
"""The check for each type of message."""

_CHECK_ANY: Final = tagged("type", CLIENT_MESSAGES)


def parse(frame: str | bytes) -> dict[str, Any]:
    """
    Return the message in *frame*; `check_message` looks at its shape.

    Raises:
        RequestError: The frame is binary, or isn't a JSON object.
    """
    if isinstance(frame, bytes):
        msg = "Binary frames are not supported. Send each event as JSON in a text frame."
        raise RequestError(msg, code="invalid_event")
    try:
        message = msgspec.json.decode(frame)
    except (ValueError, RecursionError) as exc:  # msgspec's own is a ValueError
        msg = "The event could not be parsed. Send one JSON object in a frame."
        raise RequestError(msg, code="invalid_json") from exc
    if not isinstance(message, dict):
        msg = "An event is a JSON object. Send one object in a frame."
        raise RequestError(msg, code="invalid_event")
    return message


def check_session(session: Any) -> None:
    """
    Check a session's settings; optional fields that are null are removed.

    Raises:
        RequestError: A field is wrong, missing or too many.
    """
    _SESSION(session, "session")


def check_message(message: dict[str, Any]) -> None:
    """
    Check all fields of *message*; optional ones that are null are removed.

    Raises:
        RequestError: Its type is unknown, or a field of it is wrong, missing or too many.
    """
    _CHECK_ANY(message, "")
