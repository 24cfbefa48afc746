"""
When a frame is due: how a file that holds no clock is replayed as fast as it was spoken.

Rules
-----

* Where lines say when they came (`eventbus.replay._frame_file`), that is when they are due.
* Where they don't, the events tell how long things took:

  - A piece of the model's speech takes as long as it sounds, and what follows is due after it.
  - ``audio_start_ms`` and ``audio_end_ms`` are readings of the input's clock: the time between
    two of them has passed between their frames, too.
  - Nothing else takes time. A session in text is over at once.

Services send speech faster than it sounds, and a user interrupts what sounds. So in such a
replay the interruption comes after all of the speech that had been sent by then.
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
    Return how many bytes a second of the model's speech has.

    Args:
        session: The session's configuration, as the service sent it.
    """
    return session_format(session, "output").bytes_per_second


class Pacer:
    """Says when each frame of one session is due, in seconds from the first, at normal speed."""

    def __init__(self) -> None:
        self._now = 0.0
        self._origin: float | None = None  # of the file's own clock, once it has shown one
        self._mark_ms, self._mark = 0, 0.0  # the input's clock was read as this, at that time
        self._bytes_per_second = PCM16.bytes_per_second

    def due(self, events: Iterable[RealtimeModelEvent], seconds: float | None = None) -> float:
        """
        Return when the next frame is due; never before the one before it.

        Args:
            events: What the frame means.
            seconds: When it came, if the file says so.
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

    def _read_input_clock(self, mark_ms: int) -> None:
        self._now = max(self._now, self._mark + (mark_ms - self._mark_ms) / 1000)
        self._mark_ms, self._mark = mark_ms, self._now
