"""
The OpenAI Realtime protocol, and the dialects of it that other services speak.
"""

from __future__ import annotations

from ._decoder import OpenAIRealtimeDecoder

__all__ = [
    "OpenAIRealtimeDecoder",
]
