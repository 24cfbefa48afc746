"""
Live sessions with OpenAI's Realtime API, services that speak its protocol, and GPT-Live.
"""

from __future__ import annotations

from ._connect import DEFAULT_MODEL
from ._live_messages import DEFAULT_BACKEND, DEFAULT_LIVE_MODEL
from ._live_model import GPTLiveModel
from ._model import OpenAIRealtimeModel

__all__ = [
    "DEFAULT_BACKEND",
    "DEFAULT_LIVE_MODEL",
    "DEFAULT_MODEL",
    "GPTLiveModel",
    "OpenAIRealtimeModel",
]
