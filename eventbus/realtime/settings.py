"""
The settings of a session, as the application gives them.

Names are those of the openai-agents SDK (``agents.realtime.config``). What a service has beside
them can be given too: a session update carries every setting, by its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from ..audio._formats import FormatLike

__all__ = [
    "RealtimeAudioConfig",
    "RealtimeAudioInputConfig",
    "RealtimeAudioOutputConfig",
    "RealtimeSessionModelSettings",
    "RealtimeTurnDetectionConfig",
    "ToolSettings",
]

ToolSettings: TypeAlias = Mapping[str, Any]
"""A tool as the protocol has it: ``type``, ``name``, ``description`` and ``parameters``."""


class RealtimeTurnDetectionConfig(TypedDict, total=False):
    """
    How the service finds out that the user's turn begins and ends.

    Attributes:
        create_response: Whether the service answers by itself when the user's turn ends.
        interrupt_response: Whether the user's speech ends the response that is going on.
        prefix_padding_ms: How much audio before the speech belongs to it.
        silence_duration_ms: How long the silence is that ends a turn.
        threshold: From 0 to 1; a higher one needs louder speech.
        idle_timeout_ms: After so long a silence, the service asks whether the user is there.
    """

    type: Literal["server_vad", "semantic_vad"]
    create_response: bool
    interrupt_response: bool
    eagerness: Literal["auto", "low", "medium", "high"]
    prefix_padding_ms: int
    silence_duration_ms: int
    threshold: float
    idle_timeout_ms: int | None
    model_version: str


class RealtimeAudioInputConfig(TypedDict, total=False):
    """
    The user's audio.

    Attributes:
        turn_detection: None leaves it to the application to commit audio and to ask for answers.
        transcription: ``model``, ``language``, ``prompt``; None for no transcripts.
    """

    format: FormatLike
    noise_reduction: Mapping[str, Any] | None
    transcription: Mapping[str, Any] | None
    turn_detection: RealtimeTurnDetectionConfig | None


class RealtimeAudioOutputConfig(TypedDict, total=False):
    """The model's audio; *speed* 1.0 is the voice's own."""

    format: FormatLike
    voice: str | Mapping[str, Any]
    speed: float


class RealtimeAudioConfig(TypedDict, total=False):
    """Audio in and out."""

    input: RealtimeAudioInputConfig
    output: RealtimeAudioOutputConfig


class RealtimeSessionModelSettings(TypedDict):
    """
    The settings of a session: all optional, and what isn't given stays as it is.

    Attributes:
        model_name: The model; it can't change while a session lasts.
        max_output_tokens: Of one response, or ``"inf"``.
        tools: What the model may call. `RealtimeSession` adds those that it has itself.
        modalities: The beta protocol's name of *output_modalities*.
        voice: The beta protocol's name, and so are those below; each has a place under *audio*.
    """

    model_name: NotRequired[str]
    instructions: NotRequired[str]
    prompt: NotRequired[Mapping[str, Any]]
    output_modalities: NotRequired[Sequence[Literal["text", "audio"]]]
    audio: NotRequired[RealtimeAudioConfig]
    max_output_tokens: NotRequired[int | Literal["inf"]]
    tool_choice: NotRequired[str | Mapping[str, Any]]
    parallel_tool_calls: NotRequired[bool]
    reasoning: NotRequired[Mapping[str, Any]]
    tools: NotRequired[Sequence[ToolSettings]]
    tracing: NotRequired[Literal["auto"] | Mapping[str, Any] | None]
    truncation: NotRequired[str | Mapping[str, Any]]
    include: NotRequired[Sequence[str]]
    modalities: NotRequired[Sequence[Literal["text", "audio"]]]
    voice: NotRequired[str | Mapping[str, Any]]
    speed: NotRequired[float]
    input_audio_format: NotRequired[FormatLike]
    output_audio_format: NotRequired[FormatLike]
    input_audio_transcription: NotRequired[Mapping[str, Any] | None]
    input_audio_noise_reduction: NotRequired[Mapping[str, Any] | None]
    turn_detection: NotRequired[RealtimeTurnDetectionConfig | None]
