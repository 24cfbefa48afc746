"""
What a session's audio is made of: how long so many bytes sound, and their samples.

A session's settings name the format of each side, in the words of the GA protocol
(``{"type": "audio/pcm", "rate": 24000}``) or of the beta (``g711_ulaw``). Where they are silent
it is 16-bit PCM at 24 kHz, as services begin.

G.711 codes a sample of 16 bits as one byte; its definition, in ITU-T Recommendation G.711, is
two tables here, so that a buffer costs a look-up for each of its bytes.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs

__all__ = ["PCM16", "Samples", "SpeechFormat", "resample", "speech_format"]

Samples: TypeAlias = "array[int]"
"""Signed 16-bit samples of one channel."""

_NAMES: Final = {
    "audio/pcmu": "ulaw",
    "g711_ulaw": "ulaw",
    "audio/pcma": "alaw",
    "g711_alaw": "alaw",
}
_G711_RATE: Final = 8_000


@attrs.frozen
class SpeechFormat:
    """
    How the bytes of one side of a call are to be heard; always one channel.

    Attributes:
        encoding: ``pcm`` is signed 16-bit little-endian; the others are G.711.
        rate: Samples per second.
    """

    encoding: Literal["pcm", "ulaw", "alaw"] = "pcm"
    rate: int = 24_000

    @property
    def bytes_per_second(self) -> int:
        """How many bytes a second has."""
        return self.rate * (2 if self.encoding == "pcm" else 1)

    def seconds(self, size: int) -> float:
        """Return how long *size* bytes sound."""
        return size / self.bytes_per_second

    def samples(self, data: bytes) -> Samples:
        """Return the samples in *data*; half a sample at its end is left out."""
        if self.encoding != "pcm":
            table = _ULAW if self.encoding == "ulaw" else _ALAW
            return array("h", map(table.__getitem__, data))
        found = array("h", data[: len(data) // 2 * 2])
        if sys.byteorder == "big":
            found.byteswap()
        return found


PCM16: Final = SpeechFormat()
"""16-bit PCM at 24 kHz."""


def speech_format(session: Mapping[str, Any], side: Literal["input", "output"]) -> SpeechFormat:
    """
    Return the format of one side of a call.

    Args:
        session: The session's configuration, as the service sent it.
        side: ``input`` is what the caller says, ``output`` the model.
    """
    named = _mapping(_mapping(_mapping(session.get("audio")).get(side)).get("format"))
    name = named.get("type", session.get(f"{side}_audio_format"))
    encoding = _NAMES.get(name) if isinstance(name, str) else None
    if encoding is not None:
        return SpeechFormat("ulaw" if encoding == "ulaw" else "alaw", _G711_RATE)
    rate = named.get("rate")
    return SpeechFormat(rate=rate) if type(rate) is int and rate > 0 else PCM16


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


def _ulaw_sample(code: int) -> int:
    """G.711, table 2a: sign, three bits of exponent, four of mantissa, all inverted."""
    code = ~code & 0xFF
    size = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 0x07)) - 0x84
    return -size if code & 0x80 else size


def _alaw_sample(code: int) -> int:
    """G.711, table 1a: as above, with every other bit inverted; a set sign is above zero."""
    code ^= 0x55
    exponent, size = code >> 4 & 0x07, ((code & 0x0F) << 4) + 8
    if exponent:
        size = size + 0x100 << exponent - 1
    return size if code & 0x80 else -size


_ULAW: Final = tuple(map(_ulaw_sample, range(256)))
_ALAW: Final = tuple(map(_alaw_sample, range(256)))
