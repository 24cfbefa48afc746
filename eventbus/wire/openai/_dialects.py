"""
The dialects of the Realtime protocol, as a table: one row for each service that speaks it.

Decoder, live session and simulator read the same rows. The decoder needs no dialect, as the types
of all of them are in its table; the others need the address, the header with the key, the shape of
the settings and the messages that a service doesn't take. Sources: each service's documentation
and clients, as of 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal
from urllib.parse import urlsplit

import attrs

BETA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "response.audio.delta": "response.output_audio.delta",
        "response.audio.done": "response.output_audio.done",
        "response.audio_transcript.delta": "response.output_audio_transcript.delta",
        "response.audio_transcript.done": "response.output_audio_transcript.done",
        "response.text.delta": "response.output_text.delta",
        "response.text.done": "response.output_text.done",
    }
)
"""Type in the beta protocol -> the type that the same event has now."""


@attrs.frozen
class Dialect:
    """
    A service's form of the Realtime protocol.

    Attributes:
        name: A short name, like ``xai``.
        title: The service's name.
        hosts: The ends of the host names that belong to it.
        path: The beginning of the URL's path, where a host has several protocols.
        url: A URL to begin with; empty if each customer has their own.
        auth_header: The header with the key, ``Authorization`` with ``Bearer`` before it.
        is_beta: Whether it uses the names of the beta protocol.
        session: ``nested`` if the settings of a session are as in the GA protocol; ``flat`` if
            ``voice``, ``turn_detection`` and the like are fields of the session itself.
        model_in: Where the model is named: ``url``, or ``session`` for ``session.update``.
        own_types: Types of server events that only this service has; most decode as Other.
        not_taken: Types of client events that it refuses or ignores.
        max_seconds: Seconds after which it ends a session; None if that isn't known.
    """

    name: str
    title: str
    hosts: tuple[str, ...] = ()
    path: str = ""
    url: str = ""
    auth_header: str = "Authorization"
    is_beta: bool = False
    session: Literal["nested", "flat"] = "nested"
    model_in: Literal["url", "session"] = "url"
    own_types: frozenset[str] = frozenset()
    not_taken: frozenset[str] = frozenset()
    max_seconds: int | None = None


_VOICE_LIVE_TYPES = frozenset(
    {
        "output_audio_buffer.cleared",
        "response.animation_blendshapes.delta",
        "response.animation_blendshapes.done",
        "response.animation_viseme.delta",
        "response.animation_viseme.done",
        "response.audio_timestamp.delta",
        "response.audio_timestamp.done",
        "response.audio_transcript.annotation.added",
        "response.file_search_call.completed",
        "response.file_search_call.in_progress",
        "response.file_search_call.searching",
        "response.invocation.delta",
        "response.video.delta",
        "response.web_search_call.completed",
        "response.web_search_call.in_progress",
        "response.web_search_call.searching",
        "session.avatar.connecting",
        "session.avatar.switch_to_idle",
        "session.avatar.switch_to_speaking",
        "warning",
    }
)

_ROWS = (
    Dialect(
        "openai",
        "OpenAI Realtime",
        hosts=("api.openai.com",),
        url="wss://api.openai.com/v1/realtime",
        max_seconds=3_600,
    ),
    Dialect(
        "azure-voice-live",
        "Azure Voice Live",
        hosts=(".services.ai.azure.com", ".cognitiveservices.azure.com"),
        path="/voice-live/",
        auth_header="api-key",
        is_beta=True,
        session="flat",
        own_types=_VOICE_LIVE_TYPES,
    ),
    Dialect(
        "azure",
        "Azure OpenAI",
        hosts=(".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"),
        path="/openai/",
        auth_header="api-key",
        max_seconds=3_600,
    ),
    Dialect(
        "xai",
        "xAI Grok Voice",
        hosts=("api.x.ai",),
        url="wss://api.x.ai/v1/realtime",
        session="flat",
        own_types=frozenset({"conversation.item.input_audio_transcription.updated", "ping"}),
        not_taken=frozenset({"conversation.item.truncate"}),
        max_seconds=3_600,
    ),
    Dialect(
        "elevenlabs",
        "ElevenLabs Realtime",
        hosts=("api.elevenlabs.io", ".residency.elevenlabs.io"),
        path="/v1/convai/realtime",
        url="wss://api.elevenlabs.io/v1/convai/realtime",
        auth_header="xi-api-key",
        model_in="session",
        not_taken=frozenset({"conversation.item.delete"}),
        max_seconds=600,
    ),
    Dialect(
        "inworld",
        "Inworld Realtime",
        hosts=("api.inworld.ai",),
        url="wss://api.inworld.ai/api/v1/realtime/session",
        model_in="session",
        not_taken=frozenset({"conversation.item.truncate", "conversation.item.delete"}),
    ),
    Dialect(
        "qwen",
        "Qwen-Omni Realtime (DashScope)",
        hosts=("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com"),
        url="wss://dashscope-intl.aliyuncs.com/api-ws/v1/realtime",
        is_beta=True,
        session="flat",
        not_taken=frozenset({"conversation.item.truncate", "conversation.item.delete"}),
    ),
    Dialect(
        "vllm",
        "vLLM-Omni",
        not_taken=frozenset({"conversation.item.truncate", "conversation.item.delete"}),
    ),
)

DIALECTS: Mapping[str, Dialect] = MappingProxyType({row.name: row for row in _ROWS})
"""Name -> dialect."""


def dialect_of(url: str) -> Dialect | None:
    """Return the dialect that the service at *url* speaks; None if the address isn't known."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return None
    for dialect in _ROWS:
        is_host = any(
            host.endswith(known) if known.startswith(".") else host == known
            for known in dialect.hosts
        )
        if is_host and parts.path.startswith(dialect.path):
            return dialect
    return None
