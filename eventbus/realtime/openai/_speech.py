"""
The user's speech that no turn of the conversation has yet.

It is sent again when its session is lost in the middle of it.

Rules
-----

* A piece of audio is kept until a turn has it: the service has committed the audio, or cleared it.
* Where the service detects turns, it reports speech later than it begins, with its beginning. While
  nobody speaks, only the last seconds are kept for that.
* The oldest pieces are dropped where all of them are larger than the bound.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from ...audio._formats import PCM16, AudioFormat
from ..transport._outbox import OutgoingMessage

_SILENCE_MS: Final = 2_000
"""How much audio is kept while nobody speaks."""

_SPARE_MS: Final = 500
"""How much more is kept, so that old pieces are dropped many at a time."""


class PendingSpeech:
    """
    The audio that was sent and belongs to no turn yet.

    Args:
        max_bytes: The bound of all kept messages.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._ms_per_byte = 1000 / PCM16.bytes_per_second
        self._detects_turns = True
        self._pieces: deque[tuple[OutgoingMessage, float]] = deque()  # with the place of its end
        self._bytes = 0
        self._end_ms = 0.0  # of the session's audio
        self._committed_ms = 0.0
        self._is_speaking = False

    def configure(self, audio_format: AudioFormat | None, *, detects_turns: bool) -> None:
        """Note the format of the audio, and whether the service detects turns."""
        if audio_format is not None:
            self._ms_per_byte = 1000 / audio_format.bytes_per_second
        self._detects_turns = detects_turns

    def begin(self, messages: list[OutgoingMessage]) -> None:
        """Begin a session, in which *messages* are sent first."""
        self._pieces.clear()
        self._bytes = 0
        self._end_ms = self._committed_ms = 0.0
        self._is_speaking = False
        for message in messages:
            self.append(message)

    def append(self, message: OutgoingMessage) -> None:
        """Note that a message is sent; audio and commits are kept."""
        if message.audio_bytes is not None:
            self._end_ms += message.audio_bytes * self._ms_per_byte
        elif message.message["type"] == "input_audio_buffer.commit":
            self._committed_ms = self._end_ms
        else:
            return
        self._pieces.append((message, self._end_ms))
        self._bytes += len(message.frame)
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._pieces.popleft()[0].frame)
        if self._detects_turns and not self._is_speaking and self._pieces:
            silence_ms = self._end_ms - self._pieces[0][1]
            if silence_ms > _SILENCE_MS + _SPARE_MS:
                self._drop_until(self._end_ms - _SILENCE_MS)

    def on_started(self, start_ms: float | None) -> None:
        """Note that somebody speaks, from a place in the session's audio on."""
        if self._detects_turns and not self._is_speaking:
            start_ms = max(start_ms or 0, self._end_ms - _SILENCE_MS)
        self._is_speaking = True
        self._drop_until(start_ms or 0)

    def on_stopped(self, end_ms: int | None) -> None:
        """Note that speech has ended, at a place in the session's audio; it is committed then."""
        self._committed_ms = self._end_ms if end_ms is None else end_ms

    def on_committed(self) -> None:
        """Note that a turn has the speech."""
        self._is_speaking = False
        self._drop_until(self._committed_ms)

    def on_cleared(self) -> None:
        """Note that the service has thrown its audio away."""
        self._is_speaking = False
        self._drop_until(self._end_ms)

    def unfinished(self) -> list[OutgoingMessage]:
        """Return the messages of speech that no turn has; none while nobody speaks."""
        if self._detects_turns and not self._is_speaking:
            return []
        return [message for message, _ in self._pieces]

    def _drop_until(self, place_ms: float) -> None:
        pieces = self._pieces
        while pieces and pieces[0][1] <= place_ms:
            self._bytes -= len(pieces.popleft()[0].frame)
