"""
xAI's dialect: GA's names, settings that are flat and nested, and events with fields of its own.

Sources: the guide "Voice Agent API" of docs.x.ai as of 2026-11, and a recording. That had one
delta for the whole of a call's arguments, and the end of the audio behind that of its part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ....audio._formats import AudioFormat
from ....wire.openai import BETA_SETTINGS, DIALECTS
from .flat import at, nested
from .form import Form, without_model

_DIALECT: Final = DIALECTS["xai"]
_DEFAULT_VOICE: Final = "ara"
_PLACES: Final[Mapping[str, tuple[str, ...]]] = {
    name: BETA_SETTINGS[name]
    for name in ("modalities", "turn_detection", "max_response_output_tokens")
}
_PLACES_OF_RESPONSE: Final = {name: path for name, path in _PLACES.items() if len(path) == 1}
# Settings that the session behind doesn't have, with their defaults.
_OWN: Final[Mapping[str, Any]] = {
    "enable_noise_suppression": True,
    "keep_context": False,
    "enable_phonetic_spelling": False,
    "temperature": -1.0,
}
_NOT_SENT: Final = frozenset({"conversation.item.done", "rate_limits.updated"})
_KEPT: Final = frozenset({"voice", "input_audio_transcription", *_OWN})
# What a session of its own may say besides, of no effect here.
_WITHOUT_EFFECT: Final = frozenset(
    {"reasoning", "resumption", "replace", "language_hint", "conversation_id", "type", "id"}
)


class XaiForm(Form):
    """xAI's Voice Agent API."""

    def __init__(self) -> None:
        self._shown: dict[str, Any] = dict(_OWN)
        self._asked: dict[str, Any] = {}
        self._tools: list[dict[str, Any]] = []
        self._audio_done: Mapping[str, Any] | None = None
        self._arguments: dict[str, str] = {}  # the beginning of a call's, by item
        self._heard: dict[str, str] = {}  # the words so far, by item
        self._audio_format = AudioFormat()
        self._changes: dict[str, Callable[[dict[str, Any], int], list[Mapping[str, Any]]]] = {
            "session.created": self._greet,
            "session.updated": self._update,
            "conversation.item.added": self._add_item,
            "conversation.item.input_audio_transcription.delta": self._hear,
            "response.created": self._change_response,
            "response.done": self._change_response,
            "response.output_item.added": self._change_output,
            "response.output_item.done": self._change_output,
            "response.content_part.added": self._open_part,
            "response.content_part.done": self._close_part,
            "response.output_audio.delta": self._add_audio,
            "response.output_audio.done": self._hold_audio_done,
            "response.output_audio_transcript.delta": self._add_words,
            "response.function_call_arguments.delta": self._hold_arguments,
            "response.function_call_arguments.done": self._end_arguments,
        }

    @property
    def initial(self) -> Mapping[str, Any]:
        """No turn detection, until the client asks for it."""
        return {"type": "realtime", "audio": {"input": {"turn_detection": None}}}

    # --- of the client ------------------------------------------------------------------

    def takes(self, type_: Any) -> bool:
        """Return False for the messages that xAI doesn't know; the table has them."""
        return not isinstance(type_, str) or type_ not in _DIALECT.not_taken

    def to_ga(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return a client's message as GA has it."""
        message = without_model(message)
        match message:
            case {"type": "conversation.item.commit"}:
                return {**message, "type": "input_audio_buffer.commit"}
            case {"type": "session.update", "session": dict(session)}:
                self._asked = {}
                return {**message, "session": self._settings_to_ga(session)}
            case {"type": "response.create", "response": dict(response)}:
                kept = {k: v for k, v in response.items() if k not in _KEPT | _WITHOUT_EFFECT}
                return {**message, "response": nested(kept, _PLACES_OF_RESPONSE)}
        return message

    def _settings_to_ga(self, session: Mapping[str, Any]) -> dict[str, Any]:
        kept = {}
        for name, value in session.items():
            if name in _KEPT:
                self._asked[name] = value
            elif name not in _WITHOUT_EFFECT:
                kept[name] = value
        detection = kept.get("turn_detection")
        if "turn_detection" in kept:
            self._asked["turn_detection"] = detection
            if isinstance(detection, Mapping) and detection.get("type") is None:
                kept["turn_detection"] = None
        if isinstance(kept.get("tools"), list):
            # web_search, x_search and the like are called at the service, and seen by nobody.
            self._asked["tools"] = kept["tools"]
            kept["tools"] = [tool for tool in kept["tools"] if _is_function(tool)]
        audio = kept.pop("audio", None)
        settings = {"type": "realtime", **nested(kept, _PLACES)}
        if isinstance(audio, Mapping):
            self._move_audio(audio, settings)
        if self._asked.get("input_audio_transcription") is not None:
            place = settings.setdefault("audio", {}).setdefault("input", {})
            place["transcription"] = {"model": "whisper-1"}
        return settings

    def _move_audio(self, audio: Mapping[str, Any], settings: dict[str, Any]) -> None:
        """Put the nested settings that count, formats and speed, into those of GA."""
        transcription = at(audio, ("input", "transcription"))
        if transcription is not None:
            self._asked["input_audio_transcription"] = transcription
        for path in (("input", "format"), ("output", "format"), ("output", "speed")):
            value = at(audio, path)
            if value is not None:
                side, name = path
                settings.setdefault("audio", {}).setdefault(side, {})[name] = value

    # --- of the service -----------------------------------------------------------------

    def from_ga(self, frame: Mapping[str, Any], wall_ms: int) -> list[Mapping[str, Any]]:
        """Return the events of xAI for one of GA."""
        if frame["type"] in _NOT_SENT:
            return []
        new: dict[str, Any] = {"previous_item_id": None, **frame}
        if "output_index" in new:
            new["output_index"] = 0
        change = self._changes.get(frame["type"])
        return [new] if change is None else change(new, wall_ms)

    def _update(self, frame: dict[str, Any], _wall_ms: int) -> list[Mapping[str, Any]]:
        self._shown.update(self._asked)
        self._asked = {}
        return [{**frame, "session": self._session(frame["session"])}]

    def _add_item(self, frame: dict[str, Any], _wall_ms: int) -> list[Mapping[str, Any]]:
        return [{**frame, "item": _item(frame["item"], "tool")}]

    def _change_output(self, frame: dict[str, Any], _wall_ms: int) -> list[Mapping[str, Any]]:
        item = {k: v for k, v in _item(frame["item"], "user").items() if k != "content"}
        return [{**frame, "item": item}]

    def _open_part(self, frame: dict[str, Any], _wall_ms: int) -> list[Mapping[str, Any]]:
        return [{**frame, "previous_item_id": "0"}]

    def _close_part(self, frame: dict[str, Any], _wall_ms: int) -> list[Mapping[str, Any]]:
        del frame["part"]
        done, self._audio_done = self._audio_done, None
        return [frame] if done is None else [frame, done]

    def _hold_audio_done(self, frame: dict[str, Any], _wall_ms: int) -> list[Mapping[str, Any]]:
        self._audio_done = frame
        return []

    def _add_audio(self, frame: dict[str, Any], wall_ms: int) -> list[Mapping[str, Any]]:
        size = len(frame["delta"]) * 3 // 4
        length = int(self._audio_format.duration_ms(size))
        rid = frame["event_id"]
        return [{**frame, "rid": rid, "audio_duration_ms": length, "ts": wall_ms}]

    def _add_words(self, frame: dict[str, Any], _wall_ms: int) -> list[Mapping[str, Any]]:
        return [{**frame, "rid": frame["event_id"], "start_time": 0.0}]

    def _hold_arguments(self, frame: dict[str, Any], _wall_ms: int) -> list[Mapping[str, Any]]:
        self._arguments[frame["item_id"]] = (
            self._arguments.get(frame["item_id"], "") + frame["delta"]
        )
        return []

    def _end_arguments(self, frame: dict[str, Any], _wall_ms: int) -> list[Mapping[str, Any]]:
        return [self._whole_arguments(frame), frame]

    def _hear(self, frame: dict[str, Any], _wall_ms: int) -> list[Mapping[str, Any]]:
        words = self._heard.get(frame["item_id"], "") + frame.pop("delta")
        self._heard[frame["item_id"]] = words
        type_ = "conversation.item.input_audio_transcription.updated"
        return [{**frame, "type": type_, "transcript": words}]

    def _whole_arguments(self, frame: Mapping[str, Any]) -> dict[str, Any]:
        names = ("previous_item_id", "item_id", "response_id", "call_id")
        return {
            "type": "response.function_call_arguments.delta",
            "event_id": f"{frame['event_id']}d",
            **{name: frame[name] for name in names},
            "delta": self._arguments.pop(frame["item_id"], frame["arguments"]),
        }

    def _greet(self, created: dict[str, Any], wall_ms: int) -> list[Mapping[str, Any]]:
        """Return the events that open a session."""
        session, event_id = created["session"], created["event_id"]
        del created["previous_item_id"]
        created["session"] = {
            **{name: session[name] for name in ("id", "object", "model")},
            "instructions": "",
            "voice": _DEFAULT_VOICE,
            "modalities": ["audio"],
            "turn_detection": {"type": None},
            "tools": [],
        }
        conversation = {"id": f"conv_{session['id']}", "object": "realtime.conversation"}
        return [
            created,
            {
                "type": "conversation.created",
                "event_id": f"{event_id}c",
                "conversation": conversation,
                "previous_item_id": None,
            },
            {
                "type": "ping",
                "event_id": f"{event_id}p",
                "timestamp": wall_ms,
                "previous_item_id": None,
            },
        ]

    def _session(self, session: Mapping[str, Any]) -> dict[str, Any]:
        shown = {
            "instructions": session["instructions"],
            "model": session["model"],
            "tools": [_shown_tool(tool) for tool in self._shown.get("tools", session["tools"])],
            "modalities": session["output_modalities"],
            "input_audio_format": "not specified",
            "output_audio_format": "not specified",
            "tool_choice": session["tool_choice"],
            "max_response_output_tokens": session["max_output_tokens"],
            "turn_detection": self._shown.get("turn_detection") or {"type": None},
            **{name: value for name, value in self._shown.items() if name != "tools"},
        }
        audio: dict[str, dict[str, Any]] = {
            side: {"format": session["audio"][side]["format"], "transport": "json"}
            for side in ("input", "output")
        }
        if "input_audio_transcription" in self._shown:
            audio["input"]["transcription"] = self._shown["input_audio_transcription"]
        self._audio_format = AudioFormat.of(session["audio"]["output"]["format"])
        return {**shown, "audio": audio}

    def _change_response(self, frame: dict[str, Any], _wall_ms: int) -> list[Mapping[str, Any]]:
        response = frame["response"]
        new = {
            **frame,
            "response": {
                **{name: response[name] for name in ("id", "object", "status")},
                "output": [_item(item, "user") for item in response["output"]],
                "status_details": "unimplemented",
                "usage": {},
            },
        }
        if frame["type"] == "response.done":
            new["response_id"] = response["id"]
            new["usage"] = self._usage(response["usage"])
        return [new]

    def _usage(self, usage: Mapping[str, Any]) -> dict[str, Any]:
        def details(side: str) -> dict[str, int]:
            counted = usage[f"{side}_token_details"]
            tokens = {name: counted[name] for name in ("text_tokens", "audio_tokens")}
            return {**tokens, "grok_tokens": 0}

        seconds = usage["output_token_details"]["audio_tokens"] / 20  # 50 ms each, as with OpenAI
        return {
            **{name: usage[name] for name in ("input_tokens", "output_tokens", "total_tokens")},
            "input_token_details": details("input"),
            "output_token_details": details("output"),
            "output_audio_seconds": seconds,
            "billable_audio_seconds": int(seconds),
        }


def _item(item: Mapping[str, Any], role: str) -> dict[str, Any]:
    """Return an item as xAI has it; *role* is that of one that has none at OpenAI."""
    new = {"role": role, "status": "completed", **item, "object": "realtime.item"}
    if "content" in item:
        new["content"] = [
            {**part, "type": "audio"} if part["type"] == "output_audio" else dict(part)
            for part in item["content"]
        ]
    return new


def _is_function(tool: Any) -> bool:
    return not isinstance(tool, Mapping) or tool.get("type") in {"function", None}


def _shown_tool(tool: Any) -> Any:
    if not isinstance(tool, Mapping) or tool.get("type") != "function":
        return tool
    return {
        "type": "function",
        "function": {name: value for name, value in tool.items() if name != "type"},
    }
