"""
The waveform of the caller's audio, which comes in more messages than anything else.

Audio is decoded for a second of the call at a time, and for whoever looks at it before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..analysis._audio_texts import decode_each
from ..audio._formats import PCM16, AudioFormat
from ._tracks import PEAK_MS, Peaks

_AT_ONCE: Final = 64  # messages
_APART_NS: Final = PEAK_MS * 1_000_000 // 4  # no more than a waveform can show


class SaidAudio:
    """
    The caller's audio, message by message.

    Args:
        peaks: Gets the waveform.
    """

    def __init__(self, peaks: Peaks) -> None:
        self._peaks = peaks
        # The audio that isn't decoded yet, in base64, and its place and format.
        self._texts: list[bytes] = []
        self._sizes: list[int] = []
        self._start_ns = self._end_ns = 0
        self._form = PCM16

    def take(
        self,
        texts: Sequence[bytes],
        sizes: Sequence[int],
        places: Sequence[tuple[int, int]],
        form: AudioFormat,
    ) -> None:
        """
        Take messages.

        Args:
            texts: The audio of each in base64; empty, if it isn't there.
            sizes: The bytes of audio in each.
            places: When the audio of each begins and ends, since the journal's beginning.
            form: Its format.
        """
        if form is not self._form:
            self.flush()
            self._form = form
        for text, size, (start_ns, end_ns) in zip(texts, sizes, places, strict=True):
            if not text:
                continue
            apart_ns = start_ns - self._end_ns
            if len(self._texts) >= _AT_ONCE or not -_APART_NS <= apart_ns <= _APART_NS:
                self.flush()
            if not self._texts:
                self._start_ns = self._end_ns = start_ns
            self._end_ns += end_ns - start_ns
            self._texts.append(text)
            self._sizes.append(size)

    def flush(self) -> None:
        """Decode the audio that has come."""
        if not self._texts:
            return
        parts = decode_each(self._texts, self._sizes)
        # Padded or not base64, a text is silence here; those that are decoded together are none.
        sizes = zip(parts, self._sizes, strict=False)
        data = b"".join(bytes(size) if part is None else part for part, size in sizes)
        self._texts.clear()
        self._sizes.clear()
        self._peaks.add(self._start_ns, data, self._form)
