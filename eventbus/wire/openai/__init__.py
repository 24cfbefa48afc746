"""
The protocols of OpenAI: Realtime with the dialects that other services speak, and GPT-Live.
"""

from __future__ import annotations

from ._decoder import OpenAIRealtimeDecoder
from ._gpt_live import GPTLiveDecoder
from ._silence import RealtimeModelSilenceEvent

__all__ = [
    "GPTLiveDecoder",
    "OpenAIRealtimeDecoder",
    "RealtimeModelSilenceEvent",
]
