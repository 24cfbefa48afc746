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

BETA_SETTINGS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "modalities": ("output_modalities",),
        "voice": ("audio", "output", "voice"),
        "speed": ("audio", "output", "speed"),
        "input_audio_format": ("audio", "input", "format"),
        "output_audio_format": ("audio", "output", "format"),
        "input_audio_transcription": ("audio", "input", "transcription"),
        "input_audio_noise_reduction": ("audio", "input", "noise_reduction"),
        "turn_detection": ("audio", "input", "turn_detection"),
        "max_response_output_tokens": ("max_output_tokens",),
    }
)
"""Setting in the beta protocol -> the path of the same setting in a session of today."""


_NONE: Mapping[str, str] = MappingProxyType({})


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
        auth_header: The header with the key.
        auth_scheme: The word before the key, in an ``Authorization`` header.
        is_beta: Whether it uses the names of the beta protocol.
        path_end: The end of the path, behind a base URL.
        query: Parts of the URL's query that each connection has; ``{session}`` is a new word.
        key_name: The environment variable with the key.
        model: The model by default; empty if each customer has their own.
        transcriber: The model that transcribes the caller, by default; empty if the service
            transcribes without being asked, or can't.
        input_rate: Samples per second of the caller's PCM.
        session: ``nested`` if the settings of a session are as in the GA protocol; ``flat`` as in
            the beta protocol; ``mixed`` if only voice and turn detection are fields of the
            session itself.
        model_in: Where the model is named: ``url``, or ``session`` for ``session.update``.
        own_types: Types of server events that only this service has; most decode as Other.
        not_taken: Types of client events that it refuses or ignores.
        lacks: What else it can't do -> the reason: ``text_output``, ``server_vad``,
            ``semantic_vad``, ``images``, ``transcription_model``, ``usage``.
        max_seconds: Seconds after which it ends a session; None if that isn't known.
    """

    name: str
    title: str
    hosts: tuple[str, ...] = ()
    path: str = ""
    url: str = ""
    path_end: str = "/realtime"
    query: Mapping[str, str] = attrs.field(default=_NONE)
    auth_header: str = "Authorization"
    auth_scheme: str = "Bearer"
    key_name: str = "OPENAI_API_KEY"
    model: str = ""
    transcriber: str = ""
    input_rate: int = 24_000
    is_beta: bool = False
    session: Literal["nested", "flat", "mixed"] = "nested"
    model_in: Literal["url", "session"] = "url"
    own_types: frozenset[str] = frozenset()
    not_taken: frozenset[str] = frozenset()
    lacks: Mapping[str, str] = attrs.field(default=_NONE)
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

_TRUNCATE = "conversation.item.truncate"
_DELETE = "conversation.item.delete"

_ROWS = (
    Dialect(
        "openai",
        "OpenAI Realtime",
        hosts=("api.openai.com",),
        url="wss://api.openai.com/v1/realtime",
        model="gpt-realtime",
        transcriber="gpt-4o-mini-transcribe",
        max_seconds=3_600,
    ),
    Dialect(
        "azure-voice-live",
        "Azure Voice Live",
        hosts=(".services.ai.azure.com", ".cognitiveservices.azure.com"),
        path="/voice-live/",
        query={"api-version": "2026-07-15"},
        auth_header="api-key",
        key_name="AZURE_VOICELIVE_API_KEY",
        model="gpt-realtime",
        transcriber="whisper-1",
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
        key_name="AZURE_OPENAI_API_KEY",
        model="gpt-realtime",
        transcriber="gpt-4o-mini-transcribe",
        max_seconds=3_600,
    ),
    Dialect(
        "xai",
        "xAI Grok Voice",
        hosts=("api.x.ai",),
        url="wss://api.x.ai/v1/realtime",
        key_name="XAI_API_KEY",
        model="grok-voice-latest",
        transcriber="grok-transcribe",
        session="mixed",
        own_types=frozenset({"conversation.item.input_audio_transcription.updated", "ping"}),
        not_taken=frozenset({_TRUNCATE}),
        lacks={
            "text_output": "it always speaks",
            "semantic_vad": "its turn detection is server_vad",
        },
        max_seconds=3_600,
    ),
    Dialect(
        "elevenlabs",
        "ElevenLabs Realtime",
        hosts=("api.elevenlabs.io", ".residency.elevenlabs.io"),
        path="/v1/convai/realtime",
        url="wss://api.elevenlabs.io/v1/convai/realtime",
        auth_header="xi-api-key",
        key_name="ELEVENLABS_API_KEY",
        model="eleven_realtime_v1_mini",
        model_in="session",
        not_taken=frozenset({_DELETE}),
        lacks={
            "server_vad": "its turn detection is semantic_vad",
            "text_output": "it hears no audio then",
            "images": "it drops them",
            "transcription_model": "it always transcribes, with a model of its own",
            "usage": "it tells none",
        },
        max_seconds=600,
    ),
    Dialect(
        "inworld",
        "Inworld Realtime",
        hosts=("api.inworld.ai",),
        url="wss://api.inworld.ai/api/v1/realtime/session",
        path_end="/realtime/session",
        query={"protocol": "realtime", "key": "{session}"},
        auth_scheme="Basic",
        key_name="INWORLD_API_KEY",
        model="openai/gpt-4.1-mini",
        model_in="session",
        not_taken=frozenset({_TRUNCATE, _DELETE}),
        lacks={"text_output": "it has no events for it"},
    ),
    # Alibaba Cloud Model Studio, "Qwen-Omni-Realtime" (2026-03): endpoint, input at 16 kHz only,
    # sessions of up to 120 minutes.
    Dialect(
        "qwen",
        "Qwen-Omni Realtime (DashScope)",
        hosts=("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com"),
        url="wss://dashscope-intl.aliyuncs.com/api-ws/v1/realtime",
        key_name="DASHSCOPE_API_KEY",
        model="qwen3-omni-flash-realtime",
        input_rate=16_000,
        max_seconds=7_200,
        is_beta=True,
        session="flat",
        not_taken=frozenset({_TRUNCATE, _DELETE}),
    ),
    Dialect(
        "vllm",
        "vLLM-Omni",
        key_name="VLLM_API_KEY",
        not_taken=frozenset({_TRUNCATE, _DELETE}),
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
