"""
The settings of a session, as the application gives them.

Names are those of the openai-agents SDK (``agents.realtime.config``). A setting of another name
is refused, as a typing error would otherwise reach the service; settings that only one service
has are given as ``extra_settings``.
"""

from __future__ import annotations

import difflib
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
    Voice activity detection (VAD) by the service: it finds the beginning and end of user turns.

    Attributes:
        create_response: Whether the service answers by itself when the user's turn ends.
        interrupt_response: Whether the user's speech ends the response that is going on.
        prefix_padding_ms: Audio before the detected speech that belongs to it.
        silence_duration_ms: Silence that ends a turn (endpointing).
        threshold: From 0 to 1; a higher one needs louder speech.
        idle_timeout_ms: Silence after which the service asks whether the user is there.
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
    The settings of a session: all optional, and a setting that isn't given stays as it is.

    Attributes:
        model_name: The model; it can't change while a session lasts.
        extra_settings: More settings of the service, by its own names; nested mappings are merged
            with those that the other settings make.
        max_output_tokens: Of one response, or ``"inf"``.
        tools: Tools that the model may call; `RealtimeSession` adds its own.
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
    extra_settings: NotRequired[Mapping[str, Any]]


def unknown_key(given: object, known: type[Any], label: str) -> str | None:
    """Return the problem with a key of *given* that the TypedDict *known* lacks; None if none."""
    if not isinstance(given, Mapping):
        return f"{label} is a mapping, not {type(given).__qualname__}."
    names = [*known.__required_keys__, *known.__optional_keys__]
    for key in given:
        if key not in names:
            meant = difflib.get_close_matches(str(key), names, 1, 0.5)
            hint = (
                f"did you mean {meant[0]}?" if meant else f"there are: {', '.join(sorted(names))}."
            )
            return f"{label} has an unknown key {key!r}; {hint}"
    return None


def wrong_settings(settings: object) -> str | None:
    """Return the problem with a session's settings; None if there is none."""
    problem = unknown_key(settings, RealtimeSessionModelSettings, "settings")
    if problem or not isinstance(settings, Mapping):
        return problem
    tools = settings.get("tools")
    if tools is not None and (isinstance(tools, str) or not isinstance(tools, Sequence)):
        return f"settings['tools'] is a list of tools, not {type(tools).__qualname__}."
    extra = settings.get("extra_settings")
    if extra is not None and not isinstance(extra, Mapping):
        return f"settings['extra_settings'] is a mapping, not {type(extra).__qualname__}."
    audio = settings.get("audio")
    if audio is None:
        return None
    problem = unknown_key(audio, RealtimeAudioConfig, "settings['audio']")
    for side, value in () if problem else audio.items():
        if value is not None and not isinstance(value, Mapping):
            return f"settings['audio'][{side!r}] is a mapping, not {type(value).__qualname__}."
    return problem


def check_settings(settings: object) -> None:
    """
    Check the keys of a session's settings.

    Raises:
        ValueError: A key is unknown.
    """
    problem = wrong_settings(settings)
    if problem:
        raise ValueError(problem)
