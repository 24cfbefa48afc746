"""
Changes the sampling rate of speech.

Theory of operation
-------------------

The signal between the samples is their sum, each spread out as a sinc. A sinc never ends, so it
is cut off after some zero crossings, and faded out by a Hann window. Where the new rate is the
lower one, a wider sinc takes away what that rate can't have, which would come back as a whistle.

Rates are in a ratio of small numbers, like 80 to 147 for 44.1 kHz to 24 kHz. So the new samples
lie at 80 different places between the old ones, and each place has its weights, computed when it
first occurs. A sample costs some 25 multiplications per output, twice that from 48 kHz: a few
hundredths of a second for a second of speech.
"""

from __future__ import annotations

import array
import math
import sys
from operator import mul
from typing import Final

__all__ = ["Resampler", "samples_of", "to_bytes"]

_CROSSINGS: Final = 12
"""Zero crossings of the sinc on each side."""

_PASSED: Final = 0.92
"""The part of the band that passes; the rest is the filter's slope."""


def samples_of(data: bytes) -> array.array[int]:
    """Return the samples in *data*, which is signed 16-bit little-endian."""
    samples = array.array("h", data)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def to_bytes(samples: array.array[int]) -> bytes:
    """Return *samples* as signed 16-bit little-endian."""
    if sys.byteorder == "big":
        samples = samples[:]
        samples.byteswap()
    return samples.tobytes()


class Resampler:
    """
    Makes 16-bit mono PCM of another rate, piece by piece.

    What comes out is late by half the filter's length, and `end` brings the rest: together they
    last as long as what was fed, and begin where it begins.

    Args:
        source_rate: Samples per second of what is fed.
        target_rate: Samples per second of what comes out.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        common = math.gcd(source_rate, target_rate)
        # An old sample has this many places, and from one new sample to the next it is that many.
        self._places = target_rate // common
        self._step = source_rate // common
        self._bandwidth = _PASSED * min(1.0, target_rate / source_rate)
        self._reach = math.ceil(_CROSSINGS / self._bandwidth)
        self._weights: dict[int, list[float]] = {}
        # Before the first sample there was silence. The position is that of the window's first
        # sample, in places, and the next new sample lies _reach - 1 samples behind it.
        self._samples = array.array("h", bytes(2 * (self._reach - 1)))
        self._position = 0

    def feed(self, data: bytes) -> bytes:
        """Return what can be said of the new rate, now that *data* is known as well."""
        self._samples.extend(samples_of(data))
        return self._work_off()

    def end(self) -> bytes:
        """Return the rest, as if silence came after it; nothing can be fed any more."""
        self._samples.extend(array.array("h", bytes(2 * self._reach)))
        return self._work_off()

    def _work_off(self) -> bytes:
        samples, position, places = self._samples, self._position, self._places
        width = 2 * self._reach
        # The last position whose window is complete, and one more.
        end = (len(samples) - width + 1) * places
        made = array.array("h")
        for place in range(position, end, self._step):
            first, offset = divmod(place, places)
            weights = self._weights.get(offset)
            if weights is None:
                weights = self._weights[offset] = self._weights_at(offset / places)
            value = round(sum(map(mul, weights, samples[first : first + width])))
            made.append(max(-32_768, min(32_767, value)))
            position = place + self._step
        used = min(position // places, len(samples))
        del samples[:used]
        self._position = position - used * places
        return to_bytes(made)

    def _weights_at(self, fraction: float) -> list[float]:
        """Return the weights of the samples around a place *fraction* of a sample after one."""
        reach = self._reach
        weights = []
        for index in range(1 - reach, reach + 1):
            distance = index - fraction
            phase = math.pi * distance * self._bandwidth
            sinc = math.sin(phase) / phase if phase else 1.0
            weights.append(sinc * (1 + math.cos(math.pi * distance / reach)))
        # So that a constant stays what it is.
        total = sum(weights)
        return [weight / total for weight in weights]
