"""
The protocols of OpenAI: Realtime with the dialects that other services speak, and GPT-Live.
"""

from __future__ import annotations

from ._decoder import OpenAIRealtimeDecoder
from ._dialects import BETA_SETTINGS, BETA_TYPES, DIALECTS, Dialect, dialect_of
from ._gpt_live import GPTLiveDecoder
from ._repeating import is_repeating
from ._silence import RealtimeModelSilenceEvent

__all__ = [
    "BETA_SETTINGS",
    "BETA_TYPES",
    "DIALECTS",
    "Dialect",
    "GPTLiveDecoder",
    "OpenAIRealtimeDecoder",
    "RealtimeModelSilenceEvent",
    "dialect_of",
    "is_repeating",
]
