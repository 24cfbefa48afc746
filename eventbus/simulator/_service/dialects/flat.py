"""
The beta protocol, in which a session's settings are flat: Azure's dated API versions, Voice Live.

`BETA_SETTINGS` has the fields that GA moved, by which settings are translated in both directions,
and the paths in errors. A service may have settings that GA lacks, and voices, transcribers and
detectors of its own: those are kept and shown as the client gave them, and the session behind
uses the nearest that it has.

Sources: the types of the SDK's ``openai.types.beta.realtime``, "How to use the Voice live API" of
Microsoft's documentation as of 2026-11, and recordings.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

from ....wire.openai import BETA_SETTINGS, BETA_TYPES
from ..checks import RequestError
from .form import Form, without_model

_SAME: Final = ("model", "instructions", "tools", "tool_choice", "tracing", "include")
_OF_RESPONSE: Final = (
    *("instructions", "tools", "tool_choice", "conversation", "metadata", "input"),
    *("max_output_tokens", "commentary", "prompt"),
)

_FORMATS: Final[Mapping[str, Mapping[str, Any]]] = {
    "pcm16": {"type": "audio/pcm", "rate": 24_000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_FORMAT_NAMES: Final = {form["type"]: name for name, form in _FORMATS.items()}
_OLD_TYPES: Final = {
    "conversation.item.added": "conversation.item.created",
    **{new: old for old, new in BETA_TYPES.items()},
}
_OLD_PARTS: Final = {"output_text": "text", "output_audio": "audio"}
_NEW_PARTS: Final = {old: new for new, old in _OLD_PARTS.items()}
# Of GA alone: with conversation.item.created everything is said.
_NOT_SENT: Final = frozenset({"conversation.item.done"})


def nested(flat: Mapping[str, Any], places: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return settings as GA has them: those that *places* names moved there, the others as is."""
    moved: dict[str, Any] = {}
    for name, value in flat.items():
        *folders, last = places.get(name, (name,))
        place = moved
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    return moved


def at(settings: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Return the setting at *path*; None if it isn't there."""
    for name in path:
        if not isinstance(settings, Mapping) or name not in settings:
            return None
        settings = settings[name]
    return settings


class FlatForm(Form):
    """The beta protocol, as Azure's dated API versions speak it."""

    own: Mapping[str, Any] = {"temperature": 0.8, "client_secret": None}
    """The settings that GA hasn't, with their defaults."""

    not_sent = _NOT_SENT

    def __init__(self) -> None:
        self._shown = dict(self.own)
        self._asked: dict[str, Any] = {}  # by the update that waits for its event
        self._parts: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "session": self._session,
            "response": self._response,
            "item": self._item,
        }

    # --- of the client ------------------------------------------------------------------

    def to_ga(self, message: dict[str, Any]) -> dict[str, Any]:
        """
        Return a client's message with the names and the shape of GA.

        Raises:
            RequestError: It has a field that the service doesn't know: one of GA, for instance.
        """
        message = without_model(message)
        match message:
            case {"type": "session.update", "session": dict(session)}:
                self._asked = {}
                return {**message, "session": self._settings_to_ga(session)}
            case {"type": "response.create", "response": dict(response)}:
                return {**message, "response": self._order_to_ga(response)}
            case {"type": "conversation.item.create", "item": dict(item)}:
                return {**message, "item": _item_to_ga(item)}
        return message

    def _settings_to_ga(self, session: Mapping[str, Any]) -> dict[str, Any]:
        owner, kept = "session", {}
        for name, value in session.items():
            if name in self.own:
                self._asked[name] = value
            elif name in BETA_SETTINGS or name in _SAME:
                inner = self._value_to_ga(name, value)
                if inner is not Ellipsis:
                    kept[name] = inner
            else:
                raise unknown_parameter(owner, name)
        return {"type": "realtime", **nested(kept, BETA_SETTINGS)}

    def _order_to_ga(self, response: Mapping[str, Any]) -> dict[str, Any]:
        owner, kept = "response", {}
        for name, value in response.items():
            if name == "input" and isinstance(value, list):
                kept[name] = [_item_to_ga(i) if isinstance(i, dict) else i for i in value]
            elif name in _OF_RESPONSE:
                kept[name] = value
            elif name in BETA_SETTINGS:
                inner = self._value_to_ga(name, value)
                if inner is not Ellipsis:
                    kept[name] = inner
            elif name not in self.own:
                raise unknown_parameter(owner, name)
        return nested(kept, BETA_SETTINGS)

    def _value_to_ga(self, name: str, value: Any) -> Any:
        """Return a setting as GA has it; the ellipsis if the session behind needs none."""
        if name == "modalities" and isinstance(value, list):
            return ["audio"] if "audio" in value else value  # text alone, or a mistake
        if name.endswith("_audio_format") and isinstance(value, str):
            if value not in _FORMATS:
                msg = f"Invalid value: '{value[:60]}'. Supported values are: {', '.join(_FORMATS)}."
                raise RequestError(msg, code="invalid_value", param=f"session.{name}")
            return dict(_FORMATS[value])
        return value

    # --- of the service -----------------------------------------------------------------

    def from_ga(self, frame: Mapping[str, Any], wall_ms: int) -> list[Mapping[str, Any]]:  # noqa: ARG002
        """Return the event as the beta protocol has it; none for one of GA alone."""
        type_ = frame["type"]
        if type_ in self.not_sent:
            return []
        if type_ == "session.updated":
            self._shown.update(self._asked)
            self._asked = {}
        new = {**frame, "type": _OLD_TYPES.get(type_, type_)}
        for name, change in self._parts.items():
            if name in frame:
                new[name] = change(frame[name])
        if type_ == "response.function_call_arguments.done":
            self._change_arguments(new)
        return [new]

    def _change_arguments(self, frame: dict[str, Any]) -> None:
        del frame["name"]  # it came with GA

    def _session(self, session: Mapping[str, Any]) -> dict[str, Any]:
        shown = {name: at(session, path) for name, path in BETA_SETTINGS.items()}
        for name in ("input_audio_format", "output_audio_format"):
            shown[name] = _FORMAT_NAMES[shown[name]["type"]]
        shown["modalities"] = self._modalities(session["output_modalities"])
        same = {name: session[name] for name in ("id", "object", "expires_at", *_SAME)}
        return {**same, **shown, **self._shown}

    def _modalities(self, modalities: list[str]) -> list[str]:
        return ["audio", "text"] if modalities == ["audio"] else modalities

    def _voice(self, voice: Any) -> Any:
        return voice

    def _response(self, response: Mapping[str, Any]) -> dict[str, Any]:
        new = {k: v for k, v in response.items() if k not in {"audio", "output_modalities"}}
        output = response["audio"]["output"]
        return {
            **new,
            "output": [self._item(item) for item in response["output"]],
            "modalities": self._modalities(response["output_modalities"]),
            "voice": self._voice(output["voice"]),
            "output_audio_format": _FORMAT_NAMES[output["format"]["type"]],
            "temperature": self._shown["temperature"],
        }

    def _item(self, item: Mapping[str, Any]) -> dict[str, Any]:
        new = {"object": "realtime.item", **item}
        if "content" in item:
            new["content"] = [
                {**part, "type": _OLD_PARTS.get(part["type"], part["type"])}
                for part in item["content"]
            ]
        return new

    def error(self, error: RequestError) -> RequestError:
        """Return *error* with the flat names of the fields, in its words, too."""
        message, param = error.message, error.param
        for name, path in BETA_SETTINGS.items():
            for owner in ("session", "response"):
                old, new = f"{owner}.{'.'.join(path)}", f"{owner}.{name}"
                message = message.replace(old, new)
                param = param.replace(old, new) if param is not None else None
        return RequestError(message, code=error.code, param=param, type=error.type)


_DETECTION: Final[Mapping[str, Any]] = {
    # As recorded of an update that named the type only.
    "prefix_padding_ms": 400,
    "silence_duration_ms": 500,
}
_OF_DETECTION: Final[Mapping[str, Any]] = {
    "speech_duration_ms": None,
    "end_of_utterance_detection": None,
    "auto_truncate": False,
    "appended_text_after_truncation": None,
}
_KNOWN_DETECTION: Final = (
    *("threshold", "prefix_padding_ms", "silence_duration_ms"),
    *("create_response", "interrupt_response", "idle_timeout_ms"),
)


# Settings with values that GA lacks.
_OWN_VALUES: Final = frozenset(
    {
        *("voice", "modalities", "turn_detection"),
        *("input_audio_transcription", "input_audio_noise_reduction"),
    }
)


class VoiceLiveForm(FlatForm):
    """Azure Voice Live: the beta protocol, with voices, transcribers and detectors of its own."""

    own: Mapping[str, Any] = {
        "input_audio_sampling_rate": 24_000,
        "temperature": None,
        "animation": None,
        "input_audio_echo_cancellation": None,
        "avatar": None,
        "output_audio_timestamp_types": None,
        "truncation_strategy": None,
        "reasoning_effort": None,
        "interim_response": None,
    }
    # Of the recorded sessions, none had them.
    not_sent = _NOT_SENT | {"rate_limits.updated"}
    _unseen: Final = ("speed", "tracing", "temperature", "reasoning_effort", "interim_response")

    def _value_to_ga(self, name: str, value: Any) -> Any:
        if name not in _OWN_VALUES:
            return super()._value_to_ga(name, value)
        self._asked[name] = value
        if name in {"voice", "input_audio_noise_reduction"}:
            return ...
        if name == "input_audio_transcription" and isinstance(value, Mapping):
            empty = dict.fromkeys(("language", "prompt", "custom_speech", "phrase_list"))
            self._asked[name] = {"model": "whisper-1", **empty, **value}
            return {"model": "whisper-1"}
        if name == "turn_detection" and isinstance(value, Mapping):
            known = {key: value[key] for key in _KNOWN_DETECTION if value.get(key) is not None}
            return {"type": "server_vad", **_DETECTION, **known}
        return super()._value_to_ga(name, value)

    def _settings_to_ga(self, session: Mapping[str, Any]) -> dict[str, Any]:
        rate = session.get("input_audio_sampling_rate")
        if rate is not None and rate != 24_000:
            msg = "The simulator listens at 24000 Hz; leave out input_audio_sampling_rate."
            path = "session.input_audio_sampling_rate"
            raise RequestError(msg, code="invalid_value", param=path)
        return super()._settings_to_ga(session)

    def _session(self, session: Mapping[str, Any]) -> dict[str, Any]:
        shown = super()._session(session)
        detection = at(session, BETA_SETTINGS["turn_detection"])
        if detection is not None:
            given = self._shown.get("turn_detection") or {}
            shown["turn_detection"] = {**detection, **_OF_DETECTION, **given}
        shown["voice"] = self._voice(self._shown.get("voice", shown["voice"]))
        for name in self._unseen:
            if self._shown.get(name) is None:
                shown.pop(name, None)
        return shown

    def _modalities(self, modalities: list[str]) -> list[str]:
        return modalities

    def _voice(self, voice: Any) -> Any:
        voice = self._shown.get("voice") or voice
        if not isinstance(voice, str):
            return copy.copy(voice)
        # The names of Azure's own voices begin with a language, like en-US-AvaNeural.
        return {"name": voice, "type": "azure-standard" if "-" in voice else "openai"}

    def _response(self, response: Mapping[str, Any]) -> dict[str, Any]:
        new = super()._response(response)
        if new["usage"] is not None:
            details = {"reasoning_tokens": 0, **new["usage"]["output_token_details"]}
            new["usage"] = {**new["usage"], "output_token_details": details}
        return new

    def _change_arguments(self, frame: dict[str, Any]) -> None:
        pass  # the name is there


def _item_to_ga(item: Mapping[str, Any]) -> dict[str, Any]:
    if item.get("role") != "assistant" or not isinstance(item.get("content"), list):
        return dict(item)
    parts = [
        {**part, "type": _NEW_PARTS.get(part["type"], part["type"])}
        if isinstance(part, dict) and isinstance(part.get("type"), str)
        else part
        for part in item["content"]
    ]
    return {**item, "content": parts}


def unknown_parameter(owner: str, name: str) -> RequestError:
    """Return the error for a field that the service doesn't know."""
    path = f"{owner}.{name}"
    path = path if len(path) <= 100 else f"{path[:99]}…"
    msg = f"Unknown parameter: '{path}'."
    return RequestError(msg, code="unknown_parameter", param=path)
