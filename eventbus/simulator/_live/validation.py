"""
The shapes of a client's messages in the GPT-Live protocol.

Sources: the types of the official SDK (``openai.types.live``), whose service refuses fields that
it doesn't know. Settings that have no effect here are checked all the same, as far as the SDK
types them. Decisions and the tools of MCP servers are refused.
"""

from __future__ import annotations

import re
from typing import Any, Final

from .._service.checks import (
    Check,
    RequestError,
    anything,
    choice,
    flag,
    integer,
    list_of,
    nullable,
    one_of,
    open_record,
    record,
    tagged,
    text,
)
from .._service.usage import text_tokens

_MAX_CONTENT_TOKENS: Final = 500
_MAX_INPUT: Final = 128
_MAX_FIXTURE_MS: Final = 30_000

# openai.types.live.BuiltInVoice
VOICES: Final = (
    *("alloy", "ash", "ballad", "beacon", "bossa", "cedar", "cinder", "coral", "delta", "echo"),
    *("gleam", "marin", "meridian", "quartz", "ripple", "sage", "shida", "shimmer", "stone"),
    *("tempo", "verse", "vesper", "willow"),
)


# --- settings --------------------------------------------------------------------------------


def _pcm_rate(value: Any, path: str) -> None:
    """Accept the two rates of PCM."""
    integer(low=16_000, high=24_000)(value, path)
    if value not in {16_000, 24_000}:
        msg = f"Invalid value: {value}. Supported values are: 16000 and 24000."
        raise RequestError(msg, code="invalid_value", param=path)


_G711: Final = record({"type": anything, "rate": integer(low=8_000, high=8_000)}, required=["rate"])
_FORMAT: Final = tagged(
    "type",
    {
        "audio/pcm": record({"type": anything, "rate": _pcm_rate}, required=["rate"]),
        "audio/pcmu": _G711,
        "audio/pcma": _G711,
    },
)
_VOICE: Final = one_of(
    "a voice", str=choice(*VOICES), dict=record({"id": text(max_length=256)}, required=["id"])
)
_DELAY: Final = integer(low=0, high=60_000)


def _refuse(what: str, code: str) -> Check:
    """Return a check that refuses a feature which the simulator doesn't have."""

    def check(_value: Any, path: str) -> None:
        msg = f"Invalid '{path}': {what} are beyond the simulator."
        raise RequestError(msg, code=code, param=path)

    return check


_FUNCTION: Final = record(
    {
        "type": anything,
        "name": text(max_length=64, pattern=r"[a-zA-Z0-9_-]+"),
        "description": text(),
        "parameters": open_record,
        "strict": flag,
    },
    required=["name"],
)
_OTHER_TOOLS: Final = (
    *("web_search", "file_search", "code_interpreter", "shell", "image_generation", "custom"),
    *("namespace", "tool_search", "programmatic_tool_calling", "computer", "apply_patch"),
)
_TOOLS: Final = list_of(
    tagged(
        "type",
        {
            "function": _FUNCTION,
            "mcp": _refuse("the tools of MCP servers", "mcp_not_supported"),
            **dict.fromkeys(_OTHER_TOOLS, open_record),
        },
    ),
    max_length=128,
)
_RESPONSES_FIELDS: Final[dict[str, Check]] = {
    "model": text(max_length=256),
    "instructions": text(),
    "max_output_tokens": integer(low=1),
    "parallel_tool_calls": flag,
    "reasoning": record(
        {
            "effort": choice("none", "minimal", "low", "medium", "high", "xhigh"),
            "summary": choice("concise", "detailed", "auto"),
        }
    ),
    "service_tier": choice(
        "auto", "default", "fast_tier_temp_pilot", "flex", "priority", "ultrafast"
    ),
    "text": record({"verbosity": choice("low", "medium", "high")}),
    "tool_choice": one_of(
        "a tool choice", str=choice("none", "auto", "required"), dict=open_record
    ),
    "tools": _TOOLS,
}


def _delegation(responses: Check, *, required: list[str]) -> Check:
    of_each: dict[str, Check] = {"type": anything, "acknowledgement_delay_ms": _DELAY}
    return tagged(
        "type",
        {
            "client": record(of_each),
            "responses": record({**of_each, "responses": responses}, required=required),
            "decisions": _refuse("decisions", "decisions_not_supported"),
        },
    )


_SETTLED: Final = list_of(_refuse("triggers of decisions", "decisions_not_supported"))


def _message_item(*parts: str) -> Check:
    part = record({"type": choice(*parts), "text": text()}, required=["text"])
    return record(
        {
            "type": choice("message"),
            "role": anything,
            "id": text(),
            "status": choice("incomplete", "completed"),
            "content": list_of(part, max_length=1),
        },
        required=["content"],
    )


_INPUT: Final = list_of(
    tagged(
        "role",
        {
            "developer": _message_item("input_text"),
            "user": _message_item("input_text"),
            "assistant": _message_item("text", "output_text"),
        },
    ),
    max_length=_MAX_INPUT,
)
_SESSION: Final = record(
    {
        "model": text(max_length=256),
        "audio": record({"format": _FORMAT, "output": record({"voice": _VOICE})}),
        "client": record({"data_channel": open_record}, required=["data_channel"]),
        "delegation": _delegation(
            record(_RESPONSES_FIELDS, required=["model"]), required=["responses"]
        ),
        "input": _INPUT,
        "instructions": text(),
        "safety_identifier": text(max_length=512),
        "store": flag,
        "triggers": _SETTLED,
    },
    required=["model"],
)
# Voice, format, instructions and model can't change after the start.
_SESSION_UPDATE: Final = record(
    {"delegation": _delegation(record(_RESPONSES_FIELDS), required=[]), "triggers": _SETTLED}
)

# --- messages --------------------------------------------------------------------------------


def _content(value: Any, path: str) -> None:
    """Accept a text of at most 500 tokens."""
    text()(value, path)
    tokens = text_tokens(value)
    if tokens > _MAX_CONTENT_TOKENS:
        msg = (
            f"Invalid '{path}': too long. Expected at most {_MAX_CONTENT_TOKENS} tokens, but got "
            f"{tokens}."
        )
        raise RequestError(msg, code="string_above_max_length", param=path)
    if not re.search(r"\S", value):
        msg = f"Invalid '{path}': empty. Expected some text."
        raise RequestError(msg, code="invalid_value", param=path)


_CALL_OUTPUT: Final = record(
    {
        "type": anything,
        "id": text(),
        "call_id": text(max_length=64),
        "output": one_of("a string or an array of parts", str=text(), list=list_of(open_record)),
        "status": choice("in_progress", "completed", "incomplete"),
    },
    required=["call_id", "output"],
)
_BACKEND_MESSAGE: Final = record(
    {
        "type": anything,
        "id": text(),
        "role": choice("user", "system", "developer", "assistant"),
        "content": one_of("a string or an array of parts", str=text(), list=list_of(open_record)),
        "status": choice("in_progress", "completed", "incomplete"),
    },
    required=["role", "content"],
)
_BACKEND_ITEM: Final = tagged(
    "type", {"function_call_output": _CALL_OUTPUT, "message": _BACKEND_MESSAGE}
)
_DECISIONS: Final = _refuse("decisions", "decisions_not_supported")


def _client_message(**fields: Check) -> Check:
    own = {"type": anything, "event_id": nullable(text(max_length=512))}
    return record({**own, **fields}, required=list(fields))


_APPEND: Final = _client_message(content=_content, delegation_id=nullable(text()))

CLIENT_MESSAGES: Final[dict[str, Check]] = {
    "session.start": _client_message(session=_SESSION),
    "session.update": _client_message(session=_SESSION_UPDATE),
    "session.input_audio.append": _client_message(audio=text()),
    "session.input_audio.mute": _client_message(),
    "session.input_audio.unmute": _client_message(),
    "session.output_audio.fixture.play": _client_message(audio=text()),
    "session.instructions.append": _APPEND,
    "session.thinking.append": _APPEND,
    "session.commentary.append": _APPEND,
    "session.close": _client_message(),
    "response.item.create": _client_message(item=_BACKEND_ITEM),
    "response.create": _client_message(),
    "decision.create": _DECISIONS,
    "decision.item.create": _DECISIONS,
    "decision.item.delete": _DECISIONS,
}
"""The check for each type of message."""

_CHECK_ANY: Final = tagged("type", CLIENT_MESSAGES)


def check_message(message: dict[str, Any]) -> None:
    """
    Check all fields of *message*; optional ones that are null are removed.

    Raises:
        RequestError: Its type is unknown, or a field of it is wrong, missing or too many.
    """
    _CHECK_ANY(message, "")


def check_fixture(duration_ms: float) -> None:
    """
    Check the duration of a fixture.

    Raises:
        RequestError: It is empty, or too long.
    """
    if not 0 < duration_ms <= _MAX_FIXTURE_MS:
        msg = f"Invalid 'audio'. Expected at most {_MAX_FIXTURE_MS // 1000} s of audio, and some."
        raise RequestError(msg, code="invalid_value", param="audio")
