"""
Bridges: the events of a bus in other processes, over an engine that exists.

This module has the parts that don't depend on the engine. `eventbus.bridges.nats` has the bridge
over NATS JetStream, and is imported by itself.
"""

from __future__ import annotations

from ..context import Delivery, current_delivery
from ._commands import (
    ApproveToolCall,
    Command,
    CommandedSession,
    HangUp,
    Interrupt,
    RejectToolCall,
    SendMessage,
    UpdateSettings,
)
from ._failures import OnFailure, Retry

__all__ = [
    "ApproveToolCall",
    "Command",
    "CommandedSession",
    "Delivery",
    "HangUp",
    "Interrupt",
    "OnFailure",
    "RejectToolCall",
    "Retry",
    "SendMessage",
    "UpdateSettings",
    "current_delivery",
]
