"""
Conversion of speech to another sampling rate.

Theory of operation
-------------------

The signal between the samples is their sum, each spread out as a sinc. A sinc never ends, so it
is cut off after some zero crossings, and faded out by a Hann window. Where the new rate is the
lower one, a wider sinc takes away the frequencies that the new rate can't have, which would come
back as a whistle.

Rates are in a ratio of small numbers, like 80 to 147 for 44.1 kHz to 24 kHz. So the new samples
lie at 80 different places between the old ones, and each place has its weights, computed when it
first occurs. A sample costs some 25 multiplications per output, twice that from 48 kHz: a few
hundredths of a second for a second of speech.
"""

from __future__ import annotations

import array
import math
from operator import mul
from typing import Final

from ..exceptions import AudioFormatError
from ._samples import samples_of, to_bytes

_CROSSINGS: Final = 12
"""Zero crossings of the sinc on each side."""

_PASSED: Final = 0.92
"""The part of the band that passes; the rest is the filter's slope."""


def resample(data: bytes, source_rate: int, target_rate: int) -> bytes:
    """
    Return *data*, 16-bit mono PCM, at another rate; it lasts as long, and begins at the same time.

    For a stream, use a `Resampler`.
    """
    if source_rate == target_rate:
        return data
    resampler = Resampler(source_rate, target_rate)
    return resampler.feed(data) + resampler.end()


class Resampler:
    """
    Converts 16-bit mono PCM to another rate, piece by piece.

    The output lags behind the input by half the filter's length, and `end` returns the rest:
    together they last as long as the input, and begin at the same time.

    Args:
        source_rate: Samples per second of the input.
        target_rate: Samples per second of the output.
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        for rate in (source_rate, target_rate):
            if rate <= 0:
                msg = f"An audio rate is a positive number of samples per second, not {rate!r}."
                raise AudioFormatError(msg)
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
        """Append *data* to the input, and return the output that is complete by now."""
        self._samples.extend(samples_of(data))
        return self._work_off()

    def end(self) -> bytes:
        """Return the rest of the output; the resampler can't be used after it."""
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
        """Return the weights of the samples around a place, *fraction* of a sample after one."""
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
