"""
Due times of frames: replaying a file without times at the speed of speech.

Rules
-----

* Lines with a time (`eventbus.replay._frame_file`) are due at that time.
* Otherwise, the events say how long things took:

  - A piece of the model's speech takes its own duration; the next frame is due after it.
  - ``audio_start_ms`` and ``audio_end_ms`` are readings of the input's clock: the time between
    two of them also passed between their frames.
  - Nothing else takes time. A session in text is over at once.

Services send speech faster than it sounds, and a caller interrupts the speech that sounds. So in
such a replay, an interruption comes after all speech that was sent before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..audio._formats import PCM16, session_format
from ..events import (
    RealtimeModelAudioEvent,
    RealtimeModelEvent,
    RealtimeModelInputAudioTimeoutTriggeredEvent,
    RealtimeModelInputSpeechStartedEvent,
    RealtimeModelInputSpeechStoppedEvent,
    RealtimeModelSessionUpdatedEvent,
)


def bytes_per_second(session: Mapping[str, Any]) -> int:
    """
    Return the number of bytes in a second of the model's speech.

    Args:
        session: The session's configuration, as the service sent it.
    """
    return session_format(session, "output").bytes_per_second


class Pacer:
    """Due times of one session's frames, in seconds from the first, at the original speed."""

    def __init__(self) -> None:
        self._now = 0.0
        self._origin: float | None = None  # of the file's own clock, once it has shown one
        self._mark_ms, self._mark = 0, 0.0  # the input's clock was read as this, at that time
        self._bytes_per_second = PCM16.bytes_per_second

    def due(self, events: Iterable[RealtimeModelEvent], seconds: float | None = None) -> float:
        """
        Return when the next frame is due; never earlier than the one before it.

        Args:
            events: The frame's events.
            seconds: The time in its envelope.
        """
        if seconds is not None:
            if self._origin is None:
                self._origin = seconds - self._now
            self._now = max(self._now, seconds - self._origin)
        if self._origin is not None:
            return self._now
        taken = 0.0
        for event in events:
            match event:
                case RealtimeModelInputSpeechStartedEvent(audio_start_ms=mark_ms):
                    self._read_input_clock(mark_ms)
                case RealtimeModelInputSpeechStoppedEvent(audio_end_ms=mark_ms):
                    self._read_input_clock(mark_ms)
                case RealtimeModelInputAudioTimeoutTriggeredEvent(audio_end_ms=mark_ms):
                    self._read_input_clock(mark_ms)
                case RealtimeModelAudioEvent(data=data):
                    taken += len(data) / self._bytes_per_second
                case RealtimeModelSessionUpdatedEvent(session=session):
                    self._bytes_per_second = bytes_per_second(session)
                case _:
                    pass
        due = self._now
        self._now += taken
        return due

    def _read_input_clock(self, mark_ms: int | None) -> None:
        if mark_ms is None:  # the service didn't say
            return
        self._now = max(self._now, self._mark + (mark_ms - self._mark_ms) / 1000)
        self._mark_ms, self._mark = mark_ms, self._now
