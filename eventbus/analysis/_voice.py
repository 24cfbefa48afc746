"""
The caller's voice in the recorded audio: its first and its last voiced sample.

Theory of operation
-------------------

The service says when it *noticed* that the caller had finished, which is later by a silence, by
the thinking time of a semantic detector, or by the time until somebody let go of a button. So the
voice is looked for in the audio itself:

1. The audio is cut into windows of 10 ms, and each has a level: the power of its samples without
   their mean, since cheap microphones have an offset.
2. A window is voiced if its level is above the middle (in dB) between the quietest and the
   loudest window of the turn, or within 12 dB of the loudest: there may be no pause in it.
3. Two voiced windows in a row are a voice; a single one may be a click.
4. Below -60 dBFS, there is no voice at all.

Audio is kept as it was recorded, for at most `MAX_KEPT_S`, and looked at once for each turn: a
call has fifty messages a second, and most of them matter to no figure.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from typing import Final

from ..audio._formats import PCM16, AudioFormat
from ..audio._samples import Samples, samples_of
from ..journal._records import SentRecord
from ._audio_texts import AudioTexts, decode_each

MAX_KEPT_S: Final = 10
"""Seconds of the caller's audio that are kept for one turn."""

_NS_PER_S: Final = 1_000_000_000
_MAX_KEPT_NS: Final = MAX_KEPT_S * _NS_PER_S
_WINDOWS_PER_S: Final = 100
_MAX_KNOWN: Final = 2 * MAX_KEPT_S * _WINDOWS_PER_S
_ENOUGH_SAMPLES: Final = 80  # of a window; energy needs no more
_MIN_LEVEL_DB: Final = -70.0
_QUIETEST_VOICE_DB: Final = -60.0
_ALWAYS_VOICED_DB: Final = 12.0  # below the loudest window
_VOICE: Final = b"\1\1"  # loud windows in a row
_FULL_SCALE: Final = 0x8000
_LEAST_POWER: Final = _FULL_SCALE**2 * 10 ** (_MIN_LEVEL_DB / 10)


class CallerVoice:
    """The latest of the caller's audio, and the voice in it; places are in nanoseconds of audio."""

    def __init__(self) -> None:
        # For each message: the places where its audio begins and ends, and the message.
        self._pieces: deque[tuple[int, int, SentRecord]] = deque()
        self._form = PCM16
        self._texts = AudioTexts()
        # The levels of windows, by their beginnings: turn by turn, the same ones are looked at.
        self._known: dict[int, float] = {}

    def append(self, record: SentRecord, start_ns: int, end_ns: int, form: AudioFormat) -> None:
        """Add a message with audio from *start_ns* to *end_ns*."""
        self.extend([(start_ns, end_ns, record)], form)

    def extend(self, more: list[tuple[int, int, SentRecord]], form: AudioFormat) -> None:
        """Add messages, each after the places where its audio begins and ends."""
        pieces = self._pieces
        if form is not self._form:
            if form != self._form:
                pieces.clear()
                self._known.clear()  # windows don't span two formats
            self._form = form
        pieces.extend(more)
        oldest_ns = pieces[-1][1] - _MAX_KEPT_NS
        while pieces[0][1] < oldest_ns:
            pieces.popleft()

    def forget(self, until_ns: int) -> None:
        """Drop the audio before *until_ns*."""
        pieces = self._pieces
        while pieces and pieces[0][1] <= until_ns:
            pieces.popleft()
        self._known = {start: level for start, level in self._known.items() if start >= until_ns}

    def first_ns(self, start_ns: int, end_ns: int) -> int | None:
        """Return the place of the first voiced sample; None if there is no voice or no audio."""
        places, is_loud = self._loud(start_ns, end_ns)
        first = is_loud.find(_VOICE)
        return None if first < 0 else places[first]

    def last_ns(self, start_ns: int, end_ns: int, before_ns: int) -> int | None:
        """
        Return the place behind the last voiced sample; None if there is no voice or no audio.

        Args:
            start_ns: The beginning of the turn.
            end_ns: Its end, including the silence, which shows the level of the background.
            before_ns: The latest place that counts.
        """
        places, is_loud = self._loud(start_ns, end_ns)
        count = bisect_right(places, before_ns) - 1  # of windows that end before it
        # The window after those may be the second one of a voice.
        last = is_loud.rfind(_VOICE, 0, max(0, count + 1))
        return None if last < 0 else places[min(last + 2, count)]

    def _loud(self, start_ns: int, end_ns: int) -> tuple[list[int], bytes]:
        """Return the places around the windows between two places, and whether each is loud."""
        places, levels = self._levels(start_ns, end_ns)
        loudest = max(levels, default=_MIN_LEVEL_DB)
        if loudest < _QUIETEST_VOICE_DB:
            return [], b""
        quietest = max(min(levels), _MIN_LEVEL_DB)
        least = min((loudest + quietest) / 2, loudest - _ALWAYS_VOICED_DB)
        return places, bytes([level >= least for level in levels])

    def _levels(self, start_ns: int, end_ns: int) -> tuple[list[int], list[float]]:
        """Return the places around the windows between two places, and the level of each."""
        pieces = [p for p in self._pieces if p[1] > start_ns and p[0] < end_ns]
        samples = self._samples_of(pieces) if pieces else None
        if samples is None:
            return [], []
        if len(self._known) > _MAX_KNOWN:
            self._known.clear()
        rate, origin_ns = self._form.rate, pieces[0][0]
        size = max(1, rate // _WINDOWS_PER_S)
        stride = max(1, size // _ENOUGH_SAMPLES)
        size -= size % stride
        ends = range(0, len(samples) + 1, size)
        places = [origin_ns + end * _NS_PER_S // rate for end in ends]
        first, last = bisect_left(places, start_ns), bisect_right(places, end_ns) - 1
        known, levels = self._known, []
        for number in range(first, last):
            level = known.get(places[number])
            if level is None:
                begin = number * size
                level = _level_db(samples[begin : begin + size : stride].tolist())
                known[places[number]] = level
            levels.append(level)
        return places[first : last + 1], levels

    def _samples_of(self, pieces: list[tuple[int, int, SentRecord]]) -> Samples | None:
        """Return the samples of pieces; None if those of one of them are withheld."""
        text_of, form = self._texts.text_of, self._form
        texts = [text_of(record) for _, _, record in pieces]
        sizes = [record.audio_bytes or 0 for _, _, record in pieces]
        samples: Samples = array("h")
        for data in decode_each(texts, sizes, form.sample_bytes):
            if data is None:
                return None
            whole = data[: len(data) // form.sample_bytes * form.sample_bytes]
            samples.extend(samples_of(form.to_pcm16(whole)))
        return samples


def _level_db(values: list[int]) -> float:
    """Return the power of samples in dBFS, without their mean; at least `_MIN_LEVEL_DB`."""
    if not any(values):  # as in most pauses
        return _MIN_LEVEL_DB
    count = len(values)
    # The root of the sum of squares takes a third of the time of squaring and adding.
    power = math.hypot(*values) ** 2 / count - (sum(values) / count) ** 2
    return 10 * math.log10(max(power, _LEAST_POWER) / _FULL_SCALE**2)
