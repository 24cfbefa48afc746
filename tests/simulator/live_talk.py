"""
A client of a `LiveService` without a socket, and a clock that it winds itself.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from eventbus.simulator import Scenario
from eventbus.simulator._live.service import LiveService
from eventbus.simulator._service.fault_plan import Send
from eventbus.simulator.speech import silence, spoken_text
from tests.simulator.strict import strict_live_event

TOOL = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
_ALL_THE_TIME = {"session.output_audio.delta", "session.usage.updated"}
RESPONSES = {"type": "responses", "responses": {"model": "gpt-backend", "tools": [TOOL]}}


class LiveTalk:
    """
    Sends messages, lets audio flow, and keeps every event; the SDK has accepted each of them.
    """

    def __init__(self, scenario: Scenario | None = None, **options: Any) -> None:
        self.service = LiveService(scenario or Scenario(), **options)
        self.now_ms = 0.0
        self.frames: list[dict[str, Any]] = []
        self.steps: list[Any] = []

    def start(self, **session: Any) -> dict[str, Any]:
        """
        Start the session, and return it as the service describes it.
        """
        [started] = self.send("session.start", session={"model": "gpt-live-1", **session})
        assert started["type"] == "session.started", started
        return started["session"]

    def send(self, type_: str, **fields: Any) -> list[dict[str, Any]]:
        """
        Send a message, and return the events that come at once.
        """
        frame = json.dumps({"type": type_, **fields})
        return self._keep(self.service.receive(frame, self.now_ms))

    def wait(self, duration_ms: float) -> list[dict[str, Any]]:
        """
        Let time pass without audio, and return the events that come meanwhile.
        """
        self.now_ms += duration_ms
        return self._keep(self.service.advance(self.now_ms))

    def append(self, audio: bytes) -> list[dict[str, Any]]:
        """
        Append audio at once.
        """
        encoded = base64.b64encode(audio).decode()
        return self.send("session.input_audio.append", audio=encoded)

    def speak(self, audio: bytes) -> list[dict[str, Any]]:
        """
        Send audio as a microphone does, and return all events that come meanwhile.
        """
        before = len(self.frames)
        for start in range(0, len(audio), 4_800):
            self.append(audio[start : start + 4_800])
            self.wait(100)
        return self.frames[before:]

    def listen(self, duration_ms: float = 4_000) -> list[dict[str, Any]]:
        """
        Send silence, and return all events that come meanwhile.
        """
        return self.speak(silence(duration_ms))

    def _keep(self, steps: Any) -> list[dict[str, Any]]:
        frames = [dict(step.frame) for step in steps if isinstance(step, Send)]
        for frame in frames:
            if "mumble" not in frame["type"]:  # which is to be unknown
                strict_live_event(frame)
        self.frames += frames
        self.steps += steps
        return frames


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    """
    Return the types of the frames but sound and usage; of equal ones in a row, the first.
    """
    types = [_kind(frame) for frame in frames if frame["type"] not in _ALL_THE_TIME]
    return [each for i, each in enumerate(types) if i == 0 or types[i - 1] != each]


def _kind(frame: dict[str, Any]) -> str:
    return frame["event"]["type"] if frame["type"] == "response.event" else frame["type"]


def words(frames: list[dict[str, Any]], side: str = "output") -> str:
    """
    Return the words of one side.
    """
    type_ = f"session.{side}_transcript.delta"
    return "".join(frame["delta"] for frame in frames if frame["type"] == type_)


def heard(frames: list[dict[str, Any]]) -> str | None:
    """
    Return the words that the sound of the model says.
    """
    deltas = [f["delta"] for f in frames if f["type"] == "session.output_audio.delta"]
    return spoken_text(b"".join(map(base64.b64decode, deltas)))


def delegated(frames: list[dict[str, Any]], type_: str) -> list[dict[str, Any]]:
    """
    Return the backend's events of that type.
    """
    events = [frame["event"] for frame in frames if frame["type"] == "response.event"]
    return [event for event in events if event["type"] == type_]


def only_error(frames: list[dict[str, Any]]) -> dict[str, Any]:
    """
    Return the error that is the only event.
    """
    [frame] = frames
    assert frame["type"] == "error"
    return frame["error"]
