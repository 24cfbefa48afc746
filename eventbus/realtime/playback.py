"""
The heard part of the model's speech, as the player reports it.

The service sends speech faster than it is spoken. When the user interrupts, the conversation
must be cut off where the user stopped hearing it, and only the player knows the place: a
telephone line or a browser plays later than the audio came. A player that reports to a
`RealtimePlaybackTracker` makes that known; without one, the model estimates it from the arrival
of the audio (``interruption``).

Players call from wherever they play, often from the thread of an audio callback, while the model
asks from its event loop: every method here is safe from any thread, and waits for nothing but
another's assignment.
"""

from __future__ import annotations

import math
import threading
from typing import TypedDict

from ..audio._formats import PCM16, AudioFormat, FormatLike

__all__ = ["RealtimePlaybackState", "RealtimePlaybackTracker"]


class RealtimePlaybackState(TypedDict):
    """
    The audio being played; all None if there is none.

    Attributes:
        current_item_id: The item.
        current_item_content_index: The index of the audio part in the item's content.
        elapsed_ms: Milliseconds of that part that have been played.
    """

    current_item_id: str | None
    current_item_content_index: int | None
    elapsed_ms: float | None


class RealtimePlaybackTracker:
    """
    Records the playback: the player reports to it, and the model asks it when interrupted.

    Names are those of the openai-agents SDK. Give the same object to the player and, as
    ``playback_tracker``, to `RealtimeModel.connect`::

        tracker = RealtimePlaybackTracker()
        await model.connect({"playback_tracker": tracker})


        @bus.on(RealtimeModelAudioEvent)
        def play(event: RealtimeModelAudioEvent) -> None:
            speaker.write(event.data)
            tracker.on_play_bytes(event.item_id, event.content_index, event.data)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._format = PCM16
        self._part: tuple[str, int] | None = None
        # Bytes are counted, not milliseconds: their rounding would add up.
        self._played_bytes = 0
        self._played_ms = 0.0

    def on_play_bytes(self, item_id: str, item_content_index: int, bytes: bytes) -> None:  # noqa: A002  # openai-agents' name
        """
        Note that *bytes* have been played, after those before of the same part.

        Args:
            item_id: The item that they belong to.
            item_content_index: The index of the audio part in the item's content.
            bytes: Audio in the format of `set_audio_format`.
        """
        with self._lock:
            self._turn_to((item_id, item_content_index))
            self._played_bytes += len(bytes)

    def on_play_ms(self, item_id: str, item_content_index: int, ms: float) -> None:
        """
        Note that *ms* milliseconds more have been played.

        Another part than before begins anew: the one before it is over.

        Raises:
            ValueError: *ms* is below 0, or no number.
        """
        if not 0 <= ms < math.inf:
            msg = f"on_play_ms() takes the milliseconds that were played, from 0 on, not {ms!r}."
            raise ValueError(msg)
        with self._lock:
            self._turn_to((item_id, item_content_index))
            self._played_ms += ms

    def on_interrupted(self) -> None:
        """Note that the playback has been interrupted; the model calls it."""
        with self._lock:
            self._turn_to(None)

    def set_audio_format(self, format: FormatLike) -> None:  # noqa: A002  # openai-agents' name
        """
        Set the format of the bytes of `on_play_bytes`; the model calls it.

        Until then it is 16-bit PCM at 24 kHz.

        Raises:
            AudioFormatError: *format* is not a known one.
        """
        self._format = AudioFormat.of(format)

    def get_state(self) -> RealtimePlaybackState:
        """Return the part being played, and its played milliseconds."""
        with self._lock:
            part = self._part
            elapsed_ms = self._format.duration_ms(self._played_bytes) + self._played_ms
        if part is None:
            return {
                "current_item_id": None,
                "current_item_content_index": None,
                "elapsed_ms": None,
            }
        return {
            "current_item_id": part[0],
            "current_item_content_index": part[1],
            "elapsed_ms": elapsed_ms,
        }

    def _turn_to(self, part: tuple[str, int] | None) -> None:
        if part != self._part:
            self._part = part
            self._played_bytes = 0
            self._played_ms = 0.0
