"""
Formats of other parties: bytes in, events out, no I/O.

A decoder turns the frames of one vendor's protocol into events. There is one folder per
vendor, and one decoder object per session, because the meaning of a frame can depend on the
frames before it.
"""

from __future__ import annotations

from ._decoder import Bus, Decoder, find_decoder, register_decoder
from ._origin import Origin, origin_of
from .gemini import GeminiDecoder
from .openai import GPTLiveDecoder, OpenAIRealtimeDecoder

__all__ = ["Bus", "Decoder", "Origin", "find_decoder", "origin_of", "register_decoder"]

register_decoder(OpenAIRealtimeDecoder)
register_decoder(GPTLiveDecoder)
register_decoder(GeminiDecoder)
