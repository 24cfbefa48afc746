"""
Live sessions with OpenAI's Realtime API, and with services that speak its protocol.
"""

from __future__ import annotations

from ._model import DEFAULT_MODEL, OpenAIRealtimeModel

__all__ = [
    "DEFAULT_MODEL",
    "OpenAIRealtimeModel",
]
