"""
Audio formats: what a session's settings call them, how long so many bytes last, and G.711.

G.711 codes a sample of 16 bits as one byte, nearly logarithmically: µ-law in North America
and Japan, A-law elsewhere. Both are tables here, computed once from the definition in ITU-T
Recommendation G.711, so that a buffer costs one `bytes.translate` or one pass.
"""

from __future__ import annotations

import array
import functools
import sys
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs

from ..exceptions import AudioFormatError

__all__ = ["G711_ALAW", "G711_ULAW", "PCM16", "AudioFormat", "Encoding", "FormatLike"]

Encoding: TypeAlias = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
"""The names of the GA protocol: 16-bit PCM, µ-law, A-law."""

# Names of the beta protocol, and bare ones, which openai-agents takes too.
_ENCODINGS: Final[Mapping[str, Encoding]] = {
    "audio/pcm": "audio/pcm",
    "pcm16": "audio/pcm",
    "pcm": "audio/pcm",
    "audio/pcmu": "audio/pcmu",
    "g711_ulaw": "audio/pcmu",
    "pcmu": "audio/pcmu",
    "audio/pcma": "audio/pcma",
    "g711_alaw": "audio/pcma",
    "pcma": "audio/pcma",
}


def _check_rate(_instance: object, _attribute: object, rate: object) -> None:
    if not isinstance(rate, int) or isinstance(rate, bool) or rate <= 0:
        msg = f"A rate is a positive number of samples per second, not {rate!r}."
        raise AudioFormatError(msg)


@attrs.frozen
class AudioFormat:
    """
    How the bytes of a mono stream are to be heard.

    Attributes:
        encoding: ``audio/pcm`` is signed 16-bit little-endian; the others are G.711.
        rate: Samples per second.
    """

    encoding: Encoding = "audio/pcm"
    rate: int = attrs.field(default=24_000, validator=_check_rate)

    @classmethod
    def of(cls, given: FormatLike) -> AudioFormat:
        """
        Return the format that *given* names, as sessions' settings name it.

        Args:
            given:
                ``{"type": "audio/pcm", "rate": 24000}`` as in the GA protocol, an object with
                such attributes, a name of the beta protocol (``pcm16``, ``g711_ulaw``,
                ``g711_alaw``), or an `AudioFormat`.

        Raises:
            AudioFormatError: It names no format that is known here, or no rate.
        """
        if isinstance(given, AudioFormat):
            return given
        name: object
        if isinstance(given, str):
            name, rate = given, None
        elif isinstance(given, Mapping):
            name, rate = given.get("type"), given.get("rate")
        else:
            name, rate = getattr(given, "type", None), getattr(given, "rate", None)
        encoding = _ENCODINGS.get(name.lower()) if isinstance(name, str) else None
        if encoding is None:
            msg = (
                f"{name!r} is no audio format; there are audio/pcm (pcm16), audio/pcmu "
                f"(g711_ulaw) and audio/pcma (g711_alaw)."
            )
            raise AudioFormatError(msg)
        if rate is None:
            rate = 24_000 if encoding == "audio/pcm" else 8_000
        return cls(encoding, rate)

    @property
    def sample_bytes(self) -> int:
        """Bytes of one sample."""
        return 2 if self.encoding == "audio/pcm" else 1

    @property
    def bytes_per_second(self) -> int:
        """Bytes of one second."""
        return self.rate * self.sample_bytes

    def duration_ms(self, byte_count: int) -> float:
        """Return how long *byte_count* bytes last, in milliseconds."""
        return byte_count * 1000 / self.bytes_per_second

    def byte_count(self, duration_ms: float) -> int:
        """Return how many bytes *duration_ms* milliseconds have, in whole samples, rounded down."""
        return int(duration_ms * self.rate / 1000) * self.sample_bytes

    def to_pcm16(self, data: bytes) -> bytes:
        """
        Return *data*, which is in this format, as 16-bit PCM of the same rate.

        Raises:
            AudioFormatError: PCM with half a sample at its end.
        """
        if self.encoding != "audio/pcm":
            table = _decoding(self.encoding)
            samples = array.array("h", [table[byte] for byte in data])
            return _little_endian(samples)
        if len(data) % 2:
            msg = f"16-bit PCM has an even number of bytes, and these are {len(data)}."
            raise AudioFormatError(msg)
        return data

    def from_pcm16(self, data: bytes) -> bytes:
        """
        Return *data*, which is 16-bit PCM of this format's rate, in this format.

        Raises:
            AudioFormatError: There is half a sample at its end.
        """
        if len(data) % 2:
            msg = f"16-bit PCM has an even number of bytes, and these are {len(data)}."
            raise AudioFormatError(msg)
        if self.encoding == "audio/pcm":
            return data
        samples = array.array("h", data)
        if sys.byteorder == "big":
            samples.byteswap()
        table = _coding(self.encoding)
        return bytes([table[sample] for sample in samples])  # a negative one counts from the end

    def to_settings(self) -> dict[str, Any]:
        """Return the format as the GA protocol's session settings have it."""
        if self.encoding == "audio/pcm":
            return {"type": self.encoding, "rate": self.rate}
        return {"type": self.encoding}


FormatLike: TypeAlias = AudioFormat | str | Mapping[str, Any] | object
"""What `AudioFormat.of` understands."""

PCM16: Final = AudioFormat()
G711_ULAW: Final = AudioFormat("audio/pcmu", 8_000)
G711_ALAW: Final = AudioFormat("audio/pcma", 8_000)


def _little_endian(samples: array.array[int]) -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


@functools.cache
def _decoding(encoding: Encoding) -> tuple[int, ...]:
    """Return the 16-bit sample for each byte."""
    decode = _ulaw_sample if encoding == "audio/pcmu" else _alaw_sample
    return tuple(decode(byte) for byte in range(256))


@functools.cache
def _coding(encoding: Encoding) -> bytes:
    """Return the byte for each 16-bit sample, at the index that the sample's low 16 bits are."""
    code = _ulaw_byte if encoding == "audio/pcmu" else _alaw_byte
    return bytes(code(sample) for sample in (*range(32_768), *range(-32_768, 0)))


def _ulaw_sample(byte: int) -> int:
    byte ^= 0xFF  # the line carries every bit inverted
    exponent, mantissa = (byte >> 4) & 0x07, byte & 0x0F
    magnitude = (((mantissa << 3) + 0x84) << exponent) - 0x84
    return -magnitude if byte & 0x80 else magnitude


def _ulaw_byte(sample: int) -> int:
    # 14 bits are coded, so the lowest two of a negative sample round towards minus infinity.
    sample >>= 2
    sign, magnitude = (0x80, -sample) if sample < 0 else (0, sample)
    magnitude = min(magnitude, 8_158) + 0x21
    exponent = magnitude.bit_length() - 6
    return (sign | exponent << 4 | (magnitude >> (exponent + 1)) & 0x0F) ^ 0xFF


def _alaw_sample(byte: int) -> int:
    byte ^= 0x55  # the line carries the even bits inverted
    exponent, mantissa = (byte >> 4) & 0x07, byte & 0x0F
    magnitude = (mantissa << 4) + 8
    if exponent:
        magnitude = (magnitude + 0x100) << (exponent - 1)
    return magnitude if byte & 0x80 else -magnitude


def _alaw_byte(sample: int) -> int:
    sample >>= 3  # 13 bits are coded
    sign, magnitude = (0, -sample - 1) if sample < 0 else (0x80, sample)
    exponent = max(magnitude.bit_length() - 5, 0)
    mantissa = (magnitude >> max(exponent, 1)) & 0x0F
    return (sign | exponent << 4 | mantissa) ^ 0x55
