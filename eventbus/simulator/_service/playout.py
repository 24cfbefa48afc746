"""
The service's own playing of its speech, as it is where the audio goes by WebRTC or SIP.

There the service knows what the caller has heard. It tells when its output begins to be played,
when that ends and when it is cut off, and then it truncates the item by itself. Over a WebSocket
the client plays, so a scenario has to ask for it.

Source: ``OutputAudioBufferStarted``, ``…Stopped`` and ``…Cleared`` of the SDK's types, and
``OutputAudioBufferClearEvent``.
"""

from __future__ import annotations

from typing import Any

from .checks import RequestError
from .state import SessionState
from .timers import Process


class Playout:
    """The output audio buffer of one session, which is played in real time."""

    def __init__(self, state: SessionState) -> None:
        self._state = state
        self._response_id: str | None = None
        self._item_id = ""
        self._item_start_ms = 0.0  # when its first sample is played
        self._end_ms = 0.0  # when the last sample that has come is played
        self._is_complete = False
        self._draining: Process | None = None

    @property
    def is_playing(self) -> bool:
        """True from the first sample on, until the last one was played or all was cleared."""
        return self._response_id is not None

    def add(self, response_id: str, item_id: str, duration_ms: float) -> None:
        """Take more audio of a response."""
        state = self._state
        if self._response_id != response_id:
            self._finish()  # of the response before, whose audio ends with its words
            self._response_id = response_id
            self._end_ms = state.now_ms
            self._is_complete = False
            state.emit("output_audio_buffer.started", response_id=response_id)
        if item_id != self._item_id:
            self._item_id, self._item_start_ms = item_id, max(self._end_ms, state.now_ms)
        self._end_ms = max(self._end_ms, state.now_ms) + duration_ms
        self._restart()

    def complete(self, response_id: str) -> None:
        """Note that no more audio of a response comes."""
        if response_id == self._response_id:
            self._is_complete = True
            self._restart()

    def clear(self) -> None:
        """Drop the audio that wasn't played, and tell the client."""
        response_id = self._response_id
        if response_id is not None:
            self._stop()
            self._state.emit("output_audio_buffer.cleared", response_id=response_id)

    def interrupt(self) -> None:
        """Clear the buffer because the user speaks, and cut the item where it was heard."""
        if not self.is_playing:
            return
        played_ms = int(min(self._state.now_ms, self._end_ms) - self._item_start_ms)
        cut: dict[str, Any] = {
            "item_id": self._item_id,
            "content_index": 0,
            "audio_end_ms": max(played_ms, 0),
        }
        self.clear()
        try:
            self._state.conversation.truncate(**cut)
        except RequestError:
            return  # it is out of band, or the client has deleted it
        self._state.emit("conversation.item.truncated", **cut)

    def _restart(self) -> None:
        if self._draining is not None:
            self._state.timers.stop(self._draining)
        self._draining = self._drain()
        self._state.timers.start(self._draining, self._state.now_ms)

    def _drain(self) -> Process:
        yield max(self._end_ms - self._state.now_ms, 0)
        self._draining = None
        if self._is_complete:  # else more audio comes, though late
            self._finish()

    def _finish(self) -> None:
        response_id = self._response_id
        if response_id is not None:
            self._stop()
            self._state.emit("output_audio_buffer.stopped", response_id=response_id)

    def _stop(self) -> None:
        self._response_id = None
        if self._draining is not None:
            self._state.timers.stop(self._draining)
            self._draining = None
