"""
A caller's ear: the agent's audio, as it is played, and the turns in it.

Audio comes faster than it is heard, so it is played: a piece begins when it has come and the one
before it has ended. A turn of the agent is audio without a longer gap. Times are those of the
event loop, in seconds; there is no clock here.
"""

from __future__ import annotations

import attrs

from ..audio._formats import AudioFormat
from ..simulator.speech import spoken_text, synthesize


@attrs.frozen
class Reply:
    """
    A turn of the agent, as the caller has heard it.

    Attributes:
        heard: The words that were heard, if the voice is that of the simulator; else None.
        latency_ms: From the end of the caller's last sound, or from the beginning of the call,
            to the turn; less than 0 if the agent had begun before the caller was done.
        duration_ms: The length of the turn.
        was_interrupted: Whether the caller spoke over it.
        stopped_after_ms: From there until the agent was silent; None if it wasn't interrupted.
        audio: The audio, in the line's format.
    """

    heard: str | None
    latency_ms: float
    duration_ms: float
    was_interrupted: bool = False
    stopped_after_ms: float | None = None
    audio: bytes = attrs.field(default=b"", repr=lambda data: f"<{len(data)} bytes>")


class Ear:
    """
    The caller's side of a line.

    Args:
        audio_format: Of the agent's audio.

    Attributes:
        is_over: Whether the agent has hung up.
        starts_at: When the turn that goes on, or was the last one, has begun; None before any.
        plays_until: When the audio that has come so far will have been played.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self.audio_format = audio_format
        self.is_over = False
        self.starts_at: float | None = None
        self.plays_until = 0.0
        self._pieces: list[tuple[float, bytes]] = []  # when each begins to be played

    def receive(self, audio: bytes, now: float) -> None:
        """Take a piece of the agent's audio, which comes now."""
        start = max(self.plays_until, now)
        if self.starts_at is None:
            self.starts_at = start
        self._pieces.append((start, audio))
        self.plays_until = start + self._seconds(audio)

    def clear(self, now: float) -> None:
        """Drop the audio that wasn't played yet: the agent takes it back."""
        kept = []
        for start, audio in self._pieces:
            played = max(now - start, 0)
            if played >= self._seconds(audio):
                kept.append((start, audio))
            elif played:
                kept.append((start, audio[: self.audio_format.byte_count(played * 1000)]))
        self._pieces = kept
        self.plays_until = min(self.plays_until, now)
        if not kept:
            self.starts_at = None

    def hang_up(self) -> None:
        """Note that the agent has ended the call."""
        self.is_over = True

    def is_speaking(self, now: float) -> bool:
        """Return whether the agent is heard at this time."""
        return self.starts_at is not None and now < self.plays_until

    def take(self) -> tuple[bytes, float, float]:
        """Take the turn so far: its audio, and when it began and ended."""
        audio = b"".join(piece for _, piece in self._pieces)
        start = self.plays_until if self.starts_at is None else self.starts_at
        self._pieces = []
        self.starts_at = None
        return audio, start, self.plays_until

    def words(self, audio: bytes) -> str | None:
        """Return the words that are heard in *audio*; None if they aren't the simulator's."""
        text = spoken_text(audio, audio_format=self.audio_format)
        if text is None:
            return None
        # The text is in the beginning of its sound, so of speech that was cut it would be whole.
        duration_ms = self.audio_format.duration_ms(len(audio))
        words = synthesize(text).words
        return "".join(word.text for word in words if word.start_ms < duration_ms).strip()

    def _seconds(self, audio: bytes) -> float:
        return float(self.audio_format.duration_ms(len(audio))) / 1000
