"""
A client of a `Service` without a socket, and a clock that it winds itself.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from eventbus.simulator import Scenario
from eventbus.simulator._service.service import Service
from tests.simulator.strict import frames_of, loose_frames_of


class Talk:
    """
    Sends messages, lets time pass, and keeps every event; the SDK has accepted each of them.

    The methods return the events that came, without the rate limits, which are in `frames` only.
    """

    def __init__(self, scenario: Scenario | None = None, **options: Any) -> None:
        self.service = Service(scenario or Scenario(), **options)
        is_ga = options.get("dialect", "openai") == "openai"
        self.frames_of = frames_of if is_ga else loose_frames_of
        self.now_ms = 0.0
        self.frames: list[dict[str, Any]] = self.frames_of(self.service.advance(0))

    @property
    def last(self) -> dict[str, Any]:
        """
        The last event, but for the rate limits.
        """
        return next(f for f in reversed(self.frames) if f["type"] != "rate_limits.updated")

    def send(self, type_: str, **fields: Any) -> list[dict[str, Any]]:
        """
        Send a message, and return the events that come at once.
        """
        return self.send_text(json.dumps({"type": type_, **fields}))

    def send_text(self, text: str | bytes) -> list[dict[str, Any]]:
        """
        Send a message of any kind.
        """
        return self._keep(self.service.receive(text, self.now_ms))

    def wait(self, duration_ms: float) -> list[dict[str, Any]]:
        """
        Let time pass, and return the events that come meanwhile.
        """
        self.now_ms += duration_ms
        return self._keep(self.service.advance(self.now_ms))

    def step(self) -> list[dict[str, Any]]:
        """
        Let time pass until something is due, and return it.
        """
        deadline = self.service.deadline
        assert deadline is not None, "nothing is due"
        return self.wait(max(deadline - self.now_ms, 0))

    def finish(self) -> list[dict[str, Any]]:
        """
        Let everything happen that is due, except for the effects of a user's silence.
        """
        frames = []
        while self.service.deadline is not None:
            frames += self.step()
        return frames

    def until(self, type_: str) -> dict[str, Any]:
        """
        Let time pass until there is an event of that type, and return it.
        """
        while True:
            for frame in self.step():
                if frame["type"] == type_:
                    return frame

    def update(self, **session: Any) -> list[dict[str, Any]]:
        """
        Change the session's settings.
        """
        return self.send("session.update", session={"type": "realtime", **session})

    def say(self, text: str, **fields: Any) -> list[dict[str, Any]]:
        """
        Put a user's message into the conversation.
        """
        content = [{"type": "input_text", "text": text}]
        return self.send(
            "conversation.item.create",
            item={"type": "message", "role": "user", "content": content, **fields},
        )

    def ask(self, **response: Any) -> str:
        """
        Begin a response, and return its id.
        """
        frames = self.send("response.create", response=response)
        return one(frames, "response.created")["response"]["id"]

    def append(self, audio: bytes) -> list[dict[str, Any]]:
        """
        Append audio to the input buffer.
        """
        return self.send("input_audio_buffer.append", audio=base64.b64encode(audio).decode())

    def _keep(self, steps: Any) -> list[dict[str, Any]]:
        frames = self.frames_of(steps)
        self.frames += frames
        # They follow each response.done, and are of interest to their own tests only.
        return [frame for frame in frames if frame["type"] != "rate_limits.updated"]


def types(frames: list[dict[str, Any]]) -> list[str]:
    """
    Return the frames' types; of equal ones in a row, only the first.
    """
    found: list[str] = []
    for frame in frames:
        if not found or frame["type"] != found[-1]:
            found.append(frame["type"])
    return found


def one(frames: list[dict[str, Any]], type_: str) -> dict[str, Any]:
    """
    Return the only frame of that type.
    """
    [frame] = [frame for frame in frames if frame["type"] == type_]
    return frame


def error(frames: list[dict[str, Any]]) -> dict[str, Any]:
    """
    Return the error that is all there is.
    """
    [frame] = frames
    assert frame["type"] == "error", frame["type"]
    return frame["error"]


def tone(duration_ms: float, rate: int = 24_000, amplitude: int = 8_000) -> bytes:
    """
    Return PCM16 that a voice detector takes for speech.
    """
    period = rate // 200
    samples = (int(amplitude * math.sin(2 * math.pi * n / period)) for n in range(period))
    wave = b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)
    count = int(duration_ms * rate / 1000)
    return (wave * (count // period + 1))[: count * 2]


def silence(duration_ms: float, rate: int = 24_000) -> bytes:
    """
    Return PCM16 in which nobody speaks.
    """
    return bytes(int(duration_ms * rate / 1000) * 2)
