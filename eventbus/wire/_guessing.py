"""
The decoder of frames whose protocol isn't named: the first frame tells it, or the service's URL.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ._decoder import Decoder
from ._names import is_from_gemini
from .gemini import GeminiDecoder
from .openai import GPTLiveDecoder, OpenAIRealtimeDecoder

_parse: Final = msgspec.json.Decoder().decode
_HEAD_BYTES: Final = 500  # in which the type of a frame is

# The ends of paths; Gemini's method may have a suffix, as with a key of its own for each session.
_LIVE: Final = "/live/sessions"
_GEMINI: Final = "BidiGenerateContent"


def decoder_for(frame: bytes) -> Decoder:
    """Return a decoder for frames of which this is the first; OpenAI's, if it tells nothing."""
    try:
        if is_from_gemini(_parse(frame)):
            return GeminiDecoder()
    except (ValueError, RecursionError):  # for a decoder to report
        pass
    is_live = b'"session.started"' in frame[:_HEAD_BYTES]
    return GPTLiveDecoder() if is_live else OpenAIRealtimeDecoder()


def decoder_at(path: str) -> Decoder:
    """Return a decoder for the service at that path of its URL; OpenAI's, if it tells nothing."""
    path = path.rstrip("/")
    if _GEMINI in path.rpartition("/")[2]:
        return GeminiDecoder()
    return GPTLiveDecoder() if path.endswith(_LIVE) else OpenAIRealtimeDecoder()
