"""
Audio: formats and G.711, WAV files, resampling, microphone and loudspeaker.
"""

from __future__ import annotations

from ._formats import G711_ALAW, G711_ULAW, PCM16, AudioFormat, Encoding, FormatLike

__all__ = [
    "G711_ALAW",
    "G711_ULAW",
    "PCM16",
    "AudioFormat",
    "Encoding",
    "FormatLike",
]
