r"""
A typed event bus for realtime (voice) models.

::

    vendor frame -> wire decoder -> event -> middleware -> route -> handlers (inline | mailbox)
                                       \-> observers

A decoder of `eventbus.wire` makes events of a service's frames, instances of the classes in
`eventbus.events`. `EventBus` brings each one to the handlers that are registered for its class:
sync handlers are called by `EventBus.publish`, async ones work through a mailbox of their own,
so that a slow one delays nobody else. A handler that crashes becomes an event, too.
"""

from __future__ import annotations

from .bus import EventBus, Scope
from .dispatch import BusStats
from .exceptions import (
    AudioFormatError,
    BusClosed,
    BusNotRunning,
    CodecError,
    DuplicateEventTypeError,
    DuplicateSubscriptionError,
    EventBusError,
    EventTypeError,
    FrameError,
    HandlerError,
    MailboxFull,
    ModelNotConnected,
    OptionError,
    PluginError,
    PluginNotFoundError,
    RealtimeConnectionError,
    RegistrationError,
    RemoteException,
    ScenarioError,
    ToolArgumentsError,
    ToolDefinitionError,
)
from .handlers import ANY, Context, on
from .mailbox import Mailbox, Overflow
from .middleware import HandlerCall, LoggingMiddleware, Observer
from .registry import Registration, Subscription
from .streams import Stream

__all__ = [
    "ANY",
    "AudioFormatError",
    "BusClosed",
    "BusNotRunning",
    "BusStats",
    "CodecError",
    "Context",
    "DuplicateEventTypeError",
    "DuplicateSubscriptionError",
    "EventBus",
    "EventBusError",
    "EventTypeError",
    "FrameError",
    "HandlerCall",
    "HandlerError",
    "LoggingMiddleware",
    "Mailbox",
    "MailboxFull",
    "ModelNotConnected",
    "Observer",
    "OptionError",
    "Overflow",
    "PluginError",
    "PluginNotFoundError",
    "RealtimeConnectionError",
    "Registration",
    "RegistrationError",
    "RemoteException",
    "ScenarioError",
    "Scope",
    "Stream",
    "Subscription",
    "ToolArgumentsError",
    "ToolDefinitionError",
    "on",
]
