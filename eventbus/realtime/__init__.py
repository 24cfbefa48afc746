"""
Live sessions with a realtime model, and a local server to try them against.

::

    RealtimeSession ── RealtimeModel (openai) ── socket ── the service, or the simulator
           └────────── the bus ──────────┘

What needs no other package can be imported from here. Each of the others is a module
of its own, with an extra of its own: `eventbus.realtime.openai`, `eventbus.realtime.agents`,
`eventbus.realtime.simulator` and `eventbus.realtime.proxy`.
"""

from __future__ import annotations

from ..audio import AudioFormat
from .config import RealtimeSessionModelSettings
from .model import (
    Attachment,
    RealtimeModel,
    RealtimeModelConfig,
    RealtimeModelListener,
    RealtimeModelNowaitListener,
)
from .model_inputs import (
    RealtimeModelSendAudio,
    RealtimeModelSendEvent,
    RealtimeModelSendInterrupt,
    RealtimeModelSendRawMessage,
    RealtimeModelSendSessionUpdate,
    RealtimeModelSendToolOutput,
    RealtimeModelSendUserInput,
)
from .playback import RealtimePlaybackTracker
from .reconnecting import ReconnectPolicy
from .session import RealtimeSession
from .tools import Tool, ToolContext, tool

__all__ = [
    "Attachment",
    "AudioFormat",
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
    "Tool",
    "ToolContext",
    "tool",
]
