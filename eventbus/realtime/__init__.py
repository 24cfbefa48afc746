"""
Live sessions with a realtime model, and a local server to try them against.

::

    RealtimeSession ── RealtimeModel (openai) ── socket ── the service, or the simulator
           └────────── the bus ──────────┘

What needs no other package can be imported from here. Each of the others is a module
of its own, with an extra of its own: `eventbus.realtime.openai._model`, `eventbus.realtime.agents`,
`eventbus.simulator` and `eventbus.realtime.proxy`.
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
