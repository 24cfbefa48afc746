"""
The audio of a recorded session: its format as the session's settings have it, and its samples.

Where the settings are silent, or name what is unknown here, it is 16-bit PCM at 24 kHz, as
services begin.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from ..exceptions import AudioFormatError
from ._formats import PCM16, AudioFormat

__all__ = ["Samples", "audio_format", "duration_ns", "resample", "samples_of"]

Samples: TypeAlias = "array[int]"
"""Signed 16-bit samples of one channel."""

_NS_PER_S: Final = 1_000_000_000


def audio_format(session: Mapping[str, Any], side: Literal["input", "output"]) -> AudioFormat:
    """
    Return the format of one side of a call.

    Args:
        session: The session's configuration, as the service sent it.
        side: ``input`` is what the caller says, ``output`` the model.
    """
    named = _mapping(_mapping(_mapping(session.get("audio")).get(side)).get("format"))
    name = named.get("type", session.get(f"{side}_audio_format"))
    try:
        found = AudioFormat.of(name) if isinstance(name, str) else PCM16
    except AudioFormatError:
        found = PCM16
    rate = named.get("rate")
    if found.encoding == "audio/pcm" and type(rate) is int and rate > 0:
        return AudioFormat(rate=rate)
    return found


def duration_ns(audio_format: AudioFormat, byte_count: int) -> int:
    """Return how long *byte_count* bytes sound, in nanoseconds."""
    return round(byte_count / audio_format.bytes_per_second * _NS_PER_S)


def samples_of(data: bytes, audio_format: AudioFormat) -> Samples:
    """Return the samples in *data*; half a sample at its end is left out."""
    size = audio_format.sample_bytes
    found = array("h", audio_format.to_pcm16(data[: len(data) // size * size]))
    if sys.byteorder == "big":
        found.byteswap()
    return found


def resample(samples: Samples, rate: int, to_rate: int) -> Samples:
    """
    Return *samples* at another rate, each taken from the nearest place before it.

    That is enough for looking at a call and for listening to it, which is what it is for.
    """
    if rate == to_rate or not samples:
        return samples
    if to_rate % rate == 0:
        factor = to_rate // rate
        more = array("h", bytes(2 * factor * len(samples)))
        for offset in range(factor):
            more[offset::factor] = samples
        return more
    count = len(samples) * to_rate // rate
    return array("h", (samples[place * rate // to_rate] for place in range(count)))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
