"""
Silence in a stream of audio that never stops.

Silent is a piece without a sample above about -54 dBFS, the noise of a quiet line. Of G.711, these
are the codes nearest to zero.
"""

from __future__ import annotations

import sys
from array import array
from typing import ClassVar, Final, Literal

import attrs

from ..._event_base import Markable
from ...events import register_event

PEAK: Final = 64
"""The largest sample of silence, of 32,768."""

_IS_BIG_ENDIAN: Final = sys.byteorder == "big"

# mu-law codes are complements, steps of 8 near zero; A-law ones are toggled, steps of 16.
_SILENT_CODES: Final = {
    "audio/pcmu": bytes([*range(0xF8, 0x100), *range(0x78, 0x80)]),
    "audio/pcma": bytes(code ^ 0x55 for code in (*range(4), *range(0x80, 0x84))),
}


@register_event
@attrs.frozen
class RealtimeModelSilenceEvent(Markable):
    """
    A piece of the model's audio in which nothing is heard.

    GPT-Live sends it, as its audio never stops, between turns and in pauses. It belongs to no turn
    and need not be played, so it is no `RealtimeModelAudioEvent`.

    Attributes:
        data: Audio in the session's output format.

    Source:
        GPT-Live ``session.output_audio.delta``.
    """

    falls_back: ClassVar[bool] = False

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    type: Literal["silence"] = "silence"


def is_silent(audio: bytes, audio_format: str) -> bool:
    """
    Return whether nothing is heard in *audio*.

    Args:
        audio: Mono samples, 16-bit little-endian ones of ``audio/pcm``.
        audio_format: ``audio/pcm``, ``audio/pcmu`` or ``audio/pcma``.
    """
    codes = _SILENT_CODES.get(audio_format)
    if codes is not None:
        return not audio.translate(None, codes)
    if not audio.strip(b"\0"):
        return True
    samples = array("h", audio[: len(audio) & ~1])
    if _IS_BIG_ENDIAN:
        samples.byteswap()
    # Speech is found at once: most of it is louder.
    some = samples[::16]
    if some and (max(some) > PEAK or min(some) < -PEAK):
        return False
    return not samples or (max(samples) <= PEAK and min(samples) >= -PEAK)
