"""
The settings of a session: the initial ones, and their changes by updates.

An update has the changes only. Objects are merged field by field, with three exceptions: a
format, a tool choice and the like are replaced as a whole, since their fields hang together;
turn detection of another type starts from that type's defaults; and so does a transcription
that was off. The shape of an update was checked before (see `validation`), but not the part that
depends on the session.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NotRequired, TypedDict, cast

import attrs

from ...audio._formats import AudioFormat
from .._vad import VadSettings
from .checks import RequestError

# Reasoning is for gpt-realtime-2 and later: openai.types.realtime.RealtimeReasoning. Of a name
# that isn't known, like that of a deployment, nobody can tell.
_WITHOUT_REASONING: Final = re.compile(r"gpt-4o\b.*|gpt-realtime(-mini|-1\.5|-\d{4}\b.*)*")

STREAMING_MODEL: Final = "gpt-realtime-whisper"
"""Transcribes while the user speaks."""

_OF_TRANSCRIPTION: Final = ("type", "object", "id", "expires_at", "audio", "include")
_OF_ANSWERS: Final = ("create_response", "interrupt_response", "idle_timeout_ms")

_SHOWN_CHARACTERS: Final = 60

_INSTRUCTIONS: Final = "You are a helpful voice of the eventbus simulator."

_TURN_DETECTION: Final[Mapping[str, Mapping[str, Any]]] = {
    "server_vad": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    },
    "semantic_vad": {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    },
}
_TRANSCRIPTION: Final[Mapping[str, Any]] = {"model": None, "language": None, "prompt": None}

_MERGED: Final = {"audio", "audio.input", "audio.output"}


class _Input(TypedDict):
    format: dict[str, Any]
    transcription: dict[str, Any] | None
    noise_reduction: dict[str, Any] | None
    turn_detection: dict[str, Any] | None


class _Output(TypedDict):
    format: dict[str, Any]
    voice: str | dict[str, Any]
    speed: float


class _Audio(TypedDict):
    input: _Input
    output: _Output


class _Session(TypedDict):
    """The session object, as events carry it."""

    type: str
    object: str
    id: str
    model: str
    output_modalities: list[str]
    instructions: str
    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
    max_output_tokens: int | str
    tracing: str | dict[str, Any] | None
    truncation: str | dict[str, Any]
    prompt: dict[str, Any] | None
    expires_at: int
    audio: _Audio
    include: list[str] | None
    parallel_tool_calls: NotRequired[bool]
    reasoning: NotRequired[dict[str, Any]]


class Settings:
    """
    The settings of one session; reading is by property, changing by `update`.

    Args:
        session_id: The session's id.
        model: The model that the client has asked for; None if it named none.
        expires_at: When the session ends, in seconds since the epoch.
        vad: The turn detection that it begins with.
        type: ``realtime``, or ``transcription`` for a session without answers.
    """

    def __init__(
        self,
        session_id: str,
        model: str | None,
        expires_at: int,
        vad: VadSettings,
        type: str = "realtime",  # noqa: A002  # the field's name
    ) -> None:
        self._model_is_fixed = model is not None
        self._current: _Session = {
            "type": type,
            "object": "realtime.session",
            "id": session_id,
            "model": model or "gpt-realtime",
            "output_modalities": ["audio"],
            "instructions": _INSTRUCTIONS,
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "truncation": "auto",
            "prompt": None,
            "expires_at": expires_at,
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24_000},
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": {**_TURN_DETECTION["server_vad"], **attrs.asdict(vad)},
                },
                "output": {
                    "format": {"type": "audio/pcm", "rate": 24_000},
                    "voice": "alloy",
                    "speed": 1.0,
                },
            },
            "include": None,
        }

    def to_session(self) -> dict[str, Any]:
        """Return the session object, as events carry it; it is the caller's."""
        session = copy.deepcopy(cast("dict[str, Any]", self._current))
        if self.type == "transcription":
            # openai.types.realtime.RealtimeTranscriptionSessionCreateResponse
            session = {name: session[name] for name in _OF_TRANSCRIPTION}
            session["object"] = "realtime.transcription_session"
            session["audio"] = {"input": session["audio"]["input"]}
            detection = session["audio"]["input"]["turn_detection"]
            for name in _OF_ANSWERS if detection else ():
                detection.pop(name, None)
        return session

    def update(self, changes: Mapping[str, Any], *, voice_is_fixed: bool) -> None:
        """
        Apply *changes*, all of them or none.

        Args:
            changes: The ``session`` of a client's message; its shape was checked.
            voice_is_fixed: Whether the assistant has spoken, which ties it to its voice.

        Raises:
            RequestError: A setting can't change any more, or some don't go together.
        """
        changes = copy.deepcopy(dict(changes))
        check_modalities(changes.get("output_modalities"), "session.output_modalities")
        model = changes.get("model", self._current["model"])
        if self._model_is_fixed and model != self._current["model"]:
            msg = (
                "Cannot update the model of a session; it is part of the URL. "
                "Open another session for another model."
            )
            raise RequestError(msg, code="cannot_update_model", param="session.model")
        voice = changes.get("audio", {}).get("output", {}).get("voice", self.voice)
        if voice_is_fixed and voice != self.voice:
            msg = "Cannot update a conversation's voice if assistant audio is present."
            raise RequestError(msg, code="cannot_update_voice", param="session.audio.output.voice")
        streams = changes.get("audio", {}).get("input", {}).get("transcription") or {}
        if self.type == "transcription" and streams.get("model") == STREAMING_MODEL:
            # "For gpt-realtime-whisper, this must be null; VAD is not supported.": the SDK's type.
            given = changes["audio"]["input"].setdefault("turn_detection", None)
            if given is not None:
                path = "session.audio.input.turn_detection"
                msg = f"Invalid '{path}': {STREAMING_MODEL} supports none here; use null."
                raise RequestError(msg, code="invalid_value", param=path)
        is_known = self._model_is_fixed or "model" in changes
        if "reasoning" in changes and is_known and _WITHOUT_REASONING.fullmatch(model):
            msg = f"Reasoning is not supported by the model '{_shown(model)}'."
            raise RequestError(msg, code="unsupported_parameter", param="session.reasoning")
        tracing = self._current["tracing"]
        if tracing is not None and changes.get("tracing", tracing) != tracing:
            # "Once tracing is enabled for a session, the configuration cannot be modified."
            msg = "Cannot update the tracing of a session once it is enabled."
            raise RequestError(msg, code="cannot_update_tracing", param="session.tracing")
        current = cast("dict[str, Any]", self._current)
        merged = _merged(current, changes, "")
        if "tool_choice" in changes:
            check_tool_choice(merged["tool_choice"], merged["tools"], "session.tool_choice")
        self._current = cast("_Session", merged)

    # --- what the service goes by -------------------------------------------------------

    @property
    def type(self) -> str:
        """``realtime`` or ``transcription``."""
        return self._current["type"]

    @property
    def is_reasoning(self) -> bool:
        """True of a model that is known to reason."""
        return self._model_is_fixed and self.model.startswith("gpt-realtime-2")

    @property
    def model(self) -> str:
        """The model's name."""
        return self._current["model"]

    @property
    def output_modality(self) -> str:
        """``audio`` or ``text``."""
        return self._current["output_modalities"][0]

    @property
    def voice(self) -> str | Mapping[str, Any]:
        """The voice: its name, or an object with its id."""
        return self._current["audio"]["output"]["voice"]

    @property
    def input_format(self) -> AudioFormat:
        """The format of the client's audio."""
        return AudioFormat.of(self._current["audio"]["input"]["format"])

    @property
    def output_format(self) -> AudioFormat:
        """The format of the assistant's audio."""
        return AudioFormat.of(self._current["audio"]["output"]["format"])

    @property
    def transcription(self) -> Mapping[str, Any] | None:
        """The settings of the transcription of the user's audio, if it is on."""
        return self._current["audio"]["input"]["transcription"]

    @property
    def has_logprobs(self) -> bool:
        """True if transcripts come with the probabilities of their tokens."""
        return "item.input_audio_transcription.logprobs" in (self._current["include"] or ())

    @property
    def instructions(self) -> str:
        """The system prompt."""
        return self._current["instructions"]

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The tools that the model may call."""
        return self._current["tools"]

    @property
    def tool_choice(self) -> str | Mapping[str, Any]:
        """The tool choice: ``auto``, ``none``, ``required`` or a tool."""
        return self._current["tool_choice"]

    @property
    def max_output_tokens(self) -> int | str:
        """Of one response, or ``inf``."""
        return self._current["max_output_tokens"]

    @property
    def turn_detection(self) -> Mapping[str, Any] | None:
        """The settings of the detector, if the service has to find the turns."""
        return self._current["audio"]["input"]["turn_detection"]


def check_modalities(modalities: list[str] | None, path: str) -> None:
    """
    Refuse modalities that no response can have: a response is text, or speech with its transcript.

    Raises:
        RequestError: They are neither ``["audio"]`` nor ``["text"]``.
    """
    if modalities is not None and len(modalities) != 1:
        msg = (
            f"Invalid modalities: {modalities[:4]}. "
            f"Supported combinations are: ['text'] and ['audio']."
        )
        raise RequestError(msg, code="invalid_value", param=path)


def check_tool_choice(
    choice: str | Mapping[str, Any], tools: Sequence[Mapping[str, Any]], path: str
) -> None:
    """
    Refuse the choice of a tool that isn't offered.

    Raises:
        RequestError: No tool of *tools* has its name.
    """
    if isinstance(choice, str) or choice["type"] != "function":
        return
    if choice["name"] not in {tool.get("name") for tool in tools}:
        msg = f"Tool choice 'function' with name '{choice['name']}' not found in 'tools' parameter."
        raise RequestError(msg, code="invalid_value", param=path)


def _shown(name: str) -> str:
    return name if len(name) <= _SHOWN_CHARACTERS else f"{name[: _SHOWN_CHARACTERS - 1]}…"


def _merged(old: Mapping[str, Any], changes: Mapping[str, Any], path: str) -> dict[str, Any]:
    new = dict(old)
    for name, change in changes.items():
        where = f"{path}.{name}" if path else name
        if where in _MERGED:
            new[name] = _merged(old[name], change, where)
        elif where == "audio.input.turn_detection" and change is not None:
            new[name] = _detection(old[name], change)
        elif where == "audio.input.transcription" and change is not None:
            new[name] = {**(old[name] or _TRANSCRIPTION), **change}
        elif name == "format":
            new[name] = AudioFormat.of(change).to_settings()
        else:
            new[name] = change
    return new


def _detection(old: Mapping[str, Any] | None, change: Mapping[str, Any]) -> dict[str, Any]:
    if old is not None and old["type"] == change["type"]:
        return {**old, **change}
    return {**_TURN_DETECTION[change["type"]], **change}
