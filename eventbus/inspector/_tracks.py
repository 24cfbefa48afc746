"""
The tracks that lanes are drawn from: waveforms as peaks, and marks that many others may hide.

Memory is bounded by the length of the call: 20 bytes for a second of each waveform, and 33 for a
handler's call. A window of a track has at most `MAX_MARKS` marks; of those that are closer
together than a screen can show, it has the longest.
"""

from __future__ import annotations

import functools
import re
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

from ..audio._formats import AudioFormat

PEAK_MS: Final = 50
"""The length of the audio behind each peak of a waveform."""

MAX_MARKS: Final = 1_000
"""The most marks of one lane that a window has."""

_PEAK_NS: Final = PEAK_MS * 1_000_000
_MAX_PEAKS: Final = 20 * 3600 * 12  # of twelve hours
_ENOUGH_SAMPLES: Final = 50  # of a peak
# The louder byte of a sample, as a level from 0 to 255.
_LEVELS: Final = bytes(min(255, 2 * (b if b < 128 else 255 - b)) for b in range(256))
_AUDIBLE: Final = 4  # about -42 dBFS
_IS_AUDIBLE: Final = bytes(int(level >= _AUDIBLE) for level in range(256))

_T = TypeVar("_T")


class Peaks:
    """The waveform of one side: the loudest sample of each 50 ms."""

    def __init__(self) -> None:
        self.values = bytearray()

    def add(self, start_ns: int, data: bytes, form: AudioFormat) -> None:
        """Add audio that is heard from *start_ns* on; silence needs not be added."""
        samples = form.rate * PEAK_MS // 1000  # of a peak, most of which it doesn't need
        stride = _stride_of(samples)
        if form.encoding == "audio/pcm":
            levels = data[1 :: 2 * stride].translate(_LEVELS)
        else:
            levels = data[::stride].translate(_levels_of(form))
        place, into_ns = divmod(start_ns, _PEAK_NS)
        step = max(1, samples // stride)
        count = len(levels)
        end = step - step * into_ns // _PEAK_NS or 1  # of the first peak, which may be begun
        last = place + (0 if count <= end else -((end - count) // step))
        values = self.values
        if last >= _MAX_PEAKS or place < 0:
            return
        if last >= len(values):
            values.extend(bytes(last + 1 - len(values)))
        if not levels.strip(b"\0"):
            return  # most of the caller's audio is a pause
        start = 0
        while start < count:
            peak = max(levels[start:end])
            values[place] = max(values[place], peak)
            start, end, place = end, end + step, place + 1

    def window(self, from_ms: float, to_ms: float) -> bytes:
        """Return the peaks from one time to another."""
        return bytes(self.values[max(0, int(from_ms // PEAK_MS)) : int(to_ms // PEAK_MS) + 1])

    def overview(self, count: int, end_ms: float) -> tuple[float, bytes]:
        """Return at most about *count* peaks of the whole, after the milliseconds behind each."""
        group = max(1, -(-int(end_ms // PEAK_MS + 1) // count))
        values = self.values
        found = bytes(max(values[n : n + group]) for n in range(0, len(values), group))
        return float(group * PEAK_MS), found


@functools.cache
def _stride_of(samples: int) -> int:
    """Return the greatest power of two that divides a peak's samples, and leaves enough."""
    stride = 1
    while samples % (2 * stride) == 0 and samples >= 2 * stride * _ENOUGH_SAMPLES:
        stride *= 2
    return stride


@functools.cache
def _levels_of(form: AudioFormat) -> bytes:
    """Return the level of each byte of G.711, whose samples are bytes."""
    return form.to_pcm16(bytes(range(256)))[1::2].translate(_LEVELS)


def only_within(peaks: bytes, first_ms: float, times_ms: Iterable[tuple[float, float]]) -> bytes:
    """Return peaks, of which the first one is at *first_ms*, with silence outside of some times."""
    mask = bytearray(len(peaks))
    for start_ms, end_ms in times_ms:
        start = max(0, int((start_ms - first_ms) // PEAK_MS))
        end = min(len(peaks), -int((first_ms - end_ms) // PEAK_MS))
        if start < end:
            mask[start:end] = b"\xff" * (end - start)
    both = int.from_bytes(peaks, "big") & int.from_bytes(mask, "big")
    return both.to_bytes(len(peaks), "big")


def gaps(
    caller: bytes, model: bytes, first_ms: float, least_ms: float
) -> Iterator[tuple[float, float, str]]:
    """
    Yield the silences at the caller's ear, and the times when both sides spoke.

    Args:
        caller, model: Peaks of the same time, as they were heard.
        first_ms: The time of the first one.
        least_ms: Shorter ones are left out.

    Yields:
        Begin, end, and ``answer`` for the silence from the caller's voice to the model's,
        ``pause`` for any other, or ``overlap``.
    """
    size = max(len(caller), len(model))
    one = int.from_bytes(caller.translate(_IS_AUDIBLE).ljust(size, b"\0"), "big")
    two = int.from_bytes(model.translate(_IS_AUDIBLE).ljust(size, b"\0"), "big") << 1
    heard = (one | two).to_bytes(size + 1, "big")[1:]  # 1 is the caller, 2 the model, 3 both
    least = max(1, round(least_ms / PEAK_MS))
    pattern = rb"\x00{%d,}|\x03{%d,}" % (least, least)
    for match in re.finditer(pattern, heard):
        start, end = match.span()
        if match[0][0]:
            kind = "overlap"
        elif not start or end == size:
            continue  # before or after all speech
        else:
            kind = "answer" if heard[start - 1] & 1 and heard[end] & 2 else "pause"
        yield first_ms + start * PEAK_MS, first_ms + end * PEAK_MS, kind


class HandlerTrack:
    """The calls of one handler that have ended."""

    def __init__(self) -> None:
        self._end_ms = array("d")
        self._queued_ms, self._run_ms = array("f"), array("f")
        self._is_crash, self._seqs = array("B"), array("Q")
        self._longest_ms = 0.0

    def __len__(self) -> int:
        return len(self._end_ms)

    def add(
        self, end_ms: float, queued_ms: float, run_ms: float, seq: int, *, is_crash: bool
    ) -> None:
        """Add a call, which has ended later than those before."""
        self._end_ms.append(end_ms)
        self._queued_ms.append(queued_ms)
        self._run_ms.append(run_ms)
        self._is_crash.append(is_crash)
        self._seqs.append(seq)
        self._longest_ms = max(self._longest_ms, queued_ms + run_ms)

    def window(self, from_ms: float, to_ms: float, most: int | None) -> list[list[Any]]:
        """Return begin, time queued, run time, whether it crashed, and number, of each call."""
        first = bisect_left(self._end_ms, from_ms)
        stop = bisect_left(self._end_ms, to_ms + self._longest_ms)
        kept = thinned(
            range(first, stop),
            lambda n: self._end_ms[n],
            lambda n: self._queued_ms[n] + self._run_ms[n] + 1e9 * self._is_crash[n],
            (from_ms, to_ms + self._longest_ms),
            most,
        )
        return [
            [
                round(self._end_ms[n] - self._run_ms[n], 3),
                round(self._queued_ms[n], 3),
                round(self._run_ms[n], 3),
                bool(self._is_crash[n]),
                self._seqs[n],
            ]
            for n in kept
        ]


def within(
    marks: Iterable[list[Any]], from_ms: float, to_ms: float, most: int | None
) -> list[list[Any]]:
    """Return the marks, which begin with their two times, that lie in a window: see `thinned`."""
    found = [mark for mark in marks if mark[0] <= to_ms and (mark[1] is None or mark[1] >= from_ms)]
    return thinned(
        found,
        lambda mark: mark[0],
        lambda mark: float("inf") if mark[1] is None else mark[1] - mark[0],
        (from_ms, to_ms),
        most,
    )


def thinned(
    marks: Iterable[_T],
    place: Callable[[_T], float],
    weight: Callable[[_T], float],
    range_ms: tuple[float, float],
    most: int | None,
) -> list[_T]:
    """Return the marks; if there are more than *most*, the heaviest of each place."""
    kept = list(marks)
    if most is None or len(kept) <= most:
        return kept
    from_ms, to_ms = range_ms
    share = most / max(to_ms - from_ms, 1e-6)
    best: dict[int, _T] = {}
    for mark in kept:
        bucket = int((max(place(mark), from_ms) - from_ms) * share)
        other = best.get(bucket)
        if other is None or weight(mark) > weight(other):
            best[bucket] = mark
    return list(best.values())
