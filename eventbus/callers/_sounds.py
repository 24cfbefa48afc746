"""
A caller's sounds that are no speech: noise, and a cough.
"""

from __future__ import annotations

import array
import math
import random
import sys
from collections.abc import Callable
from typing import Final

from ..audio._formats import AudioFormat

_COUGH_MS: Final = 240
_COUGH_AMPLITUDE: Final = 9_000
_NOISE_AMPLITUDE: Final = 200  # below -40 dBFS, where the simulator's detector begins to listen


def noise(duration_ms: float, *, seed: int = 0, audio_format: AudioFormat) -> bytes:
    """Return the noise of a room, below the level that a turn detector takes for speech."""
    return _hiss(duration_ms, lambda _part: _NOISE_AMPLITUDE, seed, audio_format)


def cough(*, seed: int = 0, audio_format: AudioFormat) -> bytes:
    """Return a cough: a loud and short noise that swells and fades."""

    def swell(part: float) -> float:
        return _COUGH_AMPLITUDE * math.sqrt(math.sin(math.pi * part))

    return _hiss(_COUGH_MS, swell, seed, audio_format)


def _hiss(
    duration_ms: float, amplitude_at: Callable[[float], float], seed: int, form: AudioFormat
) -> bytes:
    chance = random.Random(f"{seed}/hiss")
    count = int(duration_ms * form.rate / 1000)
    samples = array.array("h")
    for index in range(count):
        samples.append(int(chance.uniform(-1, 1) * amplitude_at(index / count)))
    if sys.byteorder == "big":
        samples.byteswap()
    return form.from_pcm16(samples.tobytes())
