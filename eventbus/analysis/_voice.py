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

import functools
import math
from array import array
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import attrs
import msgspec

from ..audio._formats import AudioFormat
from ..audio._samples import Samples, samples_of
from ..journal._records import SentRecord
from ..wire._audio_text import caller_audio, caller_rate, decode_base64

MAX_KEPT_S: Final = 10
"""Seconds of the caller's audio that are kept for one turn."""

_NS_PER_S: Final = 1_000_000_000
_WINDOWS_PER_S: Final = 100
_MAX_KNOWN: Final = 2 * MAX_KEPT_S * _WINDOWS_PER_S
_ENOUGH_SAMPLES: Final = 80  # of a window; energy needs no more
_MIN_LEVEL_DB: Final = -70.0
_QUIETEST_VOICE_DB: Final = -60.0
_ALWAYS_VOICED_DB: Final = 12.0  # below the loudest window
_IN_A_ROW: Final = 2
_FULL_SCALE: Final = 0x8000
_LEAST_POWER: Final = _FULL_SCALE**2 * 10 ** (_MIN_LEVEL_DB / 10)

_parse: Final = msgspec.json.Decoder(dict[str, Any]).decode


@attrs.define(eq=False)
class _Piece:
    """One message's audio; *start_ns* and *end_ns* are places in the caller's audio."""

    start_ns: int
    end_ns: int
    record: SentRecord
    form: AudioFormat
    _samples: Samples | None = None

    @property
    def samples(self) -> Samples | None:
        """Its samples, which are looked at twice in a turn; None if they aren't there."""
        if self._samples is None:
            data = audio_of(self.record)
            if data is not None:
                whole = data[: len(data) // self.form.sample_bytes * self.form.sample_bytes]
                self._samples = samples_of(self.form.to_pcm16(whole))
        return self._samples


class CallerVoice:
    """The latest of the caller's audio, and the voice in it; places are in nanoseconds of audio."""

    def __init__(self) -> None:
        self._pieces: deque[_Piece] = deque()
        # The levels of windows, by their beginnings: turn by turn, the same ones are looked at.
        self._known: dict[int, float] = {}

    def append(self, record: SentRecord, start_ns: int, end_ns: int, form: AudioFormat) -> None:
        """Add a message with audio from *start_ns* to *end_ns*."""
        if self._pieces:
            before = self._pieces[-1].form
            if before is not form and before != form:
                self._pieces.clear()
                self._known.clear()  # windows don't span two formats
        self._pieces.append(_Piece(start_ns, end_ns, record, form))
        while end_ns - self._pieces[0].end_ns > MAX_KEPT_S * _NS_PER_S:
            self._pieces.popleft()

    def forget(self, until_ns: int) -> None:
        """Drop the audio before *until_ns*."""
        while self._pieces and self._pieces[0].end_ns <= until_ns:
            self._pieces.popleft()
        self._known = {start: level for start, level in self._known.items() if start >= until_ns}

    def first_ns(self, start_ns: int, end_ns: int) -> int | None:
        """Return the place of the first voiced sample; None if there is no voice or no audio."""
        windows = self._voiced(start_ns, end_ns)
        return windows[0][0] if windows else None

    def last_ns(self, start_ns: int, end_ns: int, before_ns: int) -> int | None:
        """
        Return the place behind the last voiced sample; None if there is no voice or no audio.

        Args:
            start_ns: The beginning of the turn.
            end_ns: Its end, including the silence, which shows the level of the background.
            before_ns: The latest place that counts.
        """
        windows = self._voiced(start_ns, end_ns)
        return max((end for _, end in windows if end <= before_ns), default=None)

    def _voiced(self, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
        """Return the beginnings and ends of the voiced windows between two places."""
        levels = list(self._levels(start_ns, end_ns))
        if not levels:
            return []
        loudest = max(level for _, _, level in levels)
        if loudest < _QUIETEST_VOICE_DB:
            return []
        quietest = max(min(level for _, _, level in levels), _MIN_LEVEL_DB)
        least = min((loudest + quietest) / 2, loudest - _ALWAYS_VOICED_DB)
        found: list[tuple[int, int]] = []
        row: list[tuple[int, int]] = []
        for start, end, level in levels:
            if level < least:
                row = []
                continue
            row.append((start, end))
            if len(row) == _IN_A_ROW:
                found += row
            elif len(row) > _IN_A_ROW:
                found.append((start, end))
        return found

    def _levels(self, start_ns: int, end_ns: int) -> Iterator[tuple[int, int, float]]:
        """Yield each window's beginning, end and level."""
        pieces = [p for p in self._pieces if p.end_ns > start_ns and p.start_ns < end_ns]
        if not pieces:
            return
        form, origin_ns = pieces[0].form, pieces[0].start_ns
        if len(self._known) > _MAX_KNOWN:
            self._known.clear()
        samples: Samples = array("h")
        for piece in pieces:
            part = piece.samples
            if part is None:  # withheld: nothing is known of any of it
                return
            samples.extend(part)
        size = max(1, form.rate // _WINDOWS_PER_S)
        stride = max(1, size // _ENOUGH_SAMPLES)
        size -= size % stride
        known, rate = self._known, form.rate
        values: list[int] = []
        end = origin_ns
        for first in range(0, len(samples) - size + 1, size):
            start, end = end, origin_ns + (first + size) * _NS_PER_S // rate
            if start < start_ns or end > end_ns:
                continue
            level = known.get(start)
            if level is None:
                values = values or samples[::stride].tolist()
                level = known[start] = _level_db(values[first // stride : (first + size) // stride])
            yield start, end, level


def audio_of(record: SentRecord) -> bytes | None:
    """Return the caller's audio in a message; None if it isn't there."""
    try:
        audio = caller_audio(_parse(record.data))
        data = None if audio is None else decode_base64(audio)
    except (ValueError, RecursionError):
        return None
    return data if data is not None and len(data) == record.audio_bytes else None


def format_of(record: SentRecord, session: AudioFormat) -> AudioFormat:
    """Return the format of the caller's audio in a message: its own, or else the session's."""
    rate = caller_rate(record.data)
    return session if rate is None else _pcm(rate)


_pcm = functools.lru_cache(8)(lambda rate: AudioFormat(rate=rate))  # formats are told apart by `is`


def _level_db(values: list[int]) -> float:
    """Return the power of samples in dBFS, without their mean; at least `_MIN_LEVEL_DB`."""
    count = len(values)
    # The root of the sum of squares takes a third of the time of squaring and adding.
    power = math.hypot(*values) ** 2 / count - (sum(values) / count) ** 2
    return 10 * math.log10(max(power, _LEAST_POWER) / _FULL_SCALE**2)
