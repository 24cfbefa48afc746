"""
Live sessions with a realtime model.

::

    RealtimeSession ── RealtimeModel (openai) ── socket ── the service, or the simulator
           └────────── the bus ──────────┘

Names that need no other package are here. `eventbus.realtime.openai`, `eventbus.realtime.agents`
and `eventbus.realtime.proxy` need an extra each.
"""

from __future__ import annotations

from ..audio._formats import AudioFormat
from .inputs import (
    RealtimeModelSendAudio,
    RealtimeModelSendEvent,
    RealtimeModelSendInterrupt,
    RealtimeModelSendRawMessage,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendToolOutput,
    RealtimeModelSendUserInput,
)
from .memory import Memory
from .model import (
    Attachment,
    RealtimeModel,
    RealtimeModelConfig,
    RealtimeModelListener,
    RealtimeModelNowaitListener,
)
from .playback import RealtimePlaybackTracker
from .session import RealtimeSession
from .settings import RealtimeSessionModelSettings
from .tools import Tool, ToolContext, tool
from .transport._reconnecting import ReconnectPolicy
from .transport._renewal import RenewalPolicy

__all__ = [
    "Attachment",
    "AudioFormat",
    "Memory",
    "RealtimeModel",
    "RealtimeModelConfig",
    "RealtimeModelListener",
    "RealtimeModelNowaitListener",
    "RealtimeModelSendAudio",
    "RealtimeModelSendEvent",
    "RealtimeModelSendInterrupt",
    "RealtimeModelSendRawMessage",
    "RealtimeModelSendSessionUpdate",
    "RealtimeModelSendToolOutput",
    "RealtimeModelSendUserInput",
    "RealtimePlaybackTracker",
    "RealtimeSession",
    "RealtimeSessionModelSettings",
    "ReconnectPolicy",
    "RenewalPolicy",
    "Tool",
    "ToolContext",
    "tool",
]
