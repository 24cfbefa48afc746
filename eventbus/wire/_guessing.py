"""
The decoder for a file of frames, which doesn't name its protocol: the first frame tells it.
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


def decoder_for(frame: bytes) -> Decoder:
    """Return a decoder for frames of which this is the first; OpenAI's, if it tells nothing."""
    try:
        if is_from_gemini(_parse(frame)):
            return GeminiDecoder()
    except (ValueError, RecursionError):  # for a decoder to report
        pass
    is_live = b'"session.started"' in frame[:_HEAD_BYTES]
    return GPTLiveDecoder() if is_live else OpenAIRealtimeDecoder()
