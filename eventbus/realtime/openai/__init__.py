"""
Live sessions with OpenAI's Realtime API, and with services that speak its protocol.
"""

from __future__ import annotations

from ._connect import DEFAULT_MODEL
from ._model import OpenAIRealtimeModel

__all__ = [
    "DEFAULT_MODEL",
    "OpenAIRealtimeModel",
]
