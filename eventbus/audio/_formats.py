"""
Audio formats: their names in session settings, sizes and durations, and G.711.

G.711 codes a sample of 16 bits as one byte, nearly logarithmically: µ-law in North America
and Japan, A-law elsewhere. Both are tables here, computed once from the definition in ITU-T
Recommendation G.711, so that a buffer costs one `bytes.translate` or one pass.
"""

from __future__ import annotations

import array
import functools
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs

from ..exceptions import AudioFormatError
from ._samples import samples_of, to_bytes

_NS_PER_S: Final = 1_000_000_000
_RATES: Final = range(1_000, 192_001)  # of a session: a gigahertz would fill the memory

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
        msg = f"An audio rate is a positive number of samples per second, not {rate!r}."
        raise AudioFormatError(msg)


@attrs.frozen
class AudioFormat:
    """
    The format of a mono stream of audio.

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
            AudioFormatError: The format is unknown, or the rate is not a positive number.
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
                f"{name!r} is not an audio format; use audio/pcm (pcm16), audio/pcmu "
                f"(g711_ulaw) or audio/pcma (g711_alaw)."
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
        """Return the duration of *byte_count* bytes, in milliseconds."""
        return byte_count * 1000 / self.bytes_per_second

    def duration_ns(self, byte_count: int) -> int:
        """Return the duration of *byte_count* bytes, in nanoseconds, rounded."""
        size = 2 if self.encoding == "audio/pcm" else 1  # called for each message with audio
        return round(byte_count / (self.rate * size) * _NS_PER_S)

    def byte_count(self, duration_ms: float) -> int:
        """Return the size of *duration_ms* milliseconds in bytes: whole samples, rounded down."""
        return int(duration_ms * self.rate / 1000) * self.sample_bytes

    def to_pcm16(self, data: bytes) -> bytes:
        """
        Convert *data* from this format to 16-bit PCM of the same rate.

        Raises:
            AudioFormatError: PCM data ends with half a sample.
        """
        if self.encoding != "audio/pcm":
            low, high = _decoding(self.encoding)
            pcm = bytearray(2 * len(data))
            pcm[::2], pcm[1::2] = data.translate(low), data.translate(high)
            return bytes(pcm)
        _check_whole(data)
        return data

    def from_pcm16(self, data: bytes) -> bytes:
        """
        Convert *data* from 16-bit PCM of this format's rate to this format.

        Raises:
            AudioFormatError: *data* ends with half a sample.
        """
        _check_whole(data)
        if self.encoding == "audio/pcm":
            return data
        table = _coding(self.encoding)
        return bytes(
            [table[sample] for sample in samples_of(data)]
        )  # a negative one counts from the end

    def to_settings(self) -> dict[str, Any]:
        """Return the format as it is written in the session settings of the GA protocol."""
        if self.encoding == "audio/pcm":
            return {"type": self.encoding, "rate": self.rate}
        return {"type": self.encoding}


FormatLike: TypeAlias = AudioFormat | str | Mapping[str, Any] | object
"""The arguments that `AudioFormat.of` takes."""

PCM16: Final = AudioFormat()
G711_ULAW: Final = AudioFormat("audio/pcmu", 8_000)
G711_ALAW: Final = AudioFormat("audio/pcma", 8_000)


def session_format(session: Mapping[str, Any], side: Literal["input", "output"]) -> AudioFormat:
    """
    Return the audio format of one side of a call.

    Args:
        session: The session's configuration, as the service sent it. Where it has no format, or
            an unknown one, the result is 16-bit PCM at 24 kHz, the default of the services; so it
            is where the rate isn't one of speech.
        side: ``input`` is the caller's audio, ``output`` the model's.
    """
    audio = _mapping(session.get("audio"))
    # GPT-Live has one format for both sides.
    named = _mapping(_mapping(audio.get(side)).get("format", audio.get("format")))
    name = named.get("type", session.get(f"{side}_audio_format"))
    try:
        found = AudioFormat.of(name) if isinstance(name, str) else PCM16
    except AudioFormatError:
        found = PCM16
    rate = named.get("rate")
    if found.encoding == "audio/pcm" and type(rate) is int and rate in _RATES:
        return AudioFormat(rate=rate)
    return found


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _check_whole(data: bytes) -> None:
    if len(data) % 2:
        msg = (
            f"16-bit PCM has an even number of bytes, and this is {len(data)}; "
            f"cut audio between samples."
        )
        raise AudioFormatError(msg)


@functools.cache
def _decoding(encoding: Encoding) -> tuple[bytes, bytes]:
    """Return the low and the high byte of the 16-bit sample for each byte."""
    decode = _ulaw_sample if encoding == "audio/pcmu" else _alaw_sample
    pcm = to_bytes(array.array("h", map(decode, range(256))))
    return pcm[::2], pcm[1::2]


@functools.cache
def _coding(encoding: Encoding) -> bytes:
    """Return the byte for each 16-bit sample, indexed by the low 16 bits of the sample."""
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
