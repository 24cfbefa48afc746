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

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bus import BusStats, EventBus, Registration, Scope, Stream, Subscription
    from .context import Context, Publisher
    from .exceptions import (
        AudioFormatError,
        BridgeConnectionError,
        BridgeError,
        BridgeSetupError,
        BusClosed,
        BusNotRunning,
        CodecError,
        CommandFailed,
        DuplicateEventTypeError,
        DuplicateSubscriptionError,
        EventBusError,
        EventsLost,
        EventTypeError,
        ExportError,
        FilterError,
        FrameError,
        HandlerError,
        InspectorError,
        JournalDamaged,
        JournalEmpty,
        JournalError,
        JournalTooNew,
        JournalTooOld,
        JournalWriteError,
        MailboxFull,
        ModelNotConnected,
        NoSuchCall,
        NotAJournal,
        NotSupported,
        OptionError,
        PayloadTooLarge,
        PluginError,
        PluginNotFoundError,
        RealtimeConnectionError,
        RegistrationError,
        RemoteException,
        ReplayDifference,
        ScenarioError,
        ToolArgumentsError,
        ToolDefinitionError,
        UnreadableMessage,
    )
    from .handlers import ANY, on
    from .mailbox import Mailbox, Overflow
    from .middleware import EventObserver, EventsDropped, HandlerCall, LoggingMiddleware, Observer

__all__ = [
    "ANY",
    "AudioFormatError",
    "BridgeConnectionError",
    "BridgeError",
    "BridgeSetupError",
    "BusClosed",
    "BusNotRunning",
    "BusStats",
    "CodecError",
    "CommandFailed",
    "Context",
    "DuplicateEventTypeError",
    "DuplicateSubscriptionError",
    "EventBus",
    "EventBusError",
    "EventObserver",
    "EventTypeError",
    "EventsDropped",
    "EventsLost",
    "ExportError",
    "FilterError",
    "FrameError",
    "HandlerCall",
    "HandlerError",
    "InspectorError",
    "JournalDamaged",
    "JournalEmpty",
    "JournalError",
    "JournalTooNew",
    "JournalTooOld",
    "JournalWriteError",
    "LoggingMiddleware",
    "Mailbox",
    "MailboxFull",
    "ModelNotConnected",
    "NoSuchCall",
    "NotAJournal",
    "NotSupported",
    "Observer",
    "OptionError",
    "Overflow",
    "PayloadTooLarge",
    "PluginError",
    "PluginNotFoundError",
    "Publisher",
    "RealtimeConnectionError",
    "Registration",
    "RegistrationError",
    "RemoteException",
    "ReplayDifference",
    "ScenarioError",
    "Scope",
    "Stream",
    "Subscription",
    "ToolArgumentsError",
    "ToolDefinitionError",
    "UnreadableMessage",
    "on",
]

# A name is imported when somebody asks for it: pytest imports the package in each run, for the
# plugin's sake, and most of them need nothing of it. What isn't named here is an exception.
_HOMES = {
    "ANY": "handlers",
    "BusStats": "bus",
    "Context": "context",
    "EventBus": "bus",
    "EventObserver": "middleware",
    "EventsDropped": "middleware",
    "HandlerCall": "middleware",
    "LoggingMiddleware": "middleware",
    "Mailbox": "mailbox",
    "Observer": "middleware",
    "Overflow": "mailbox",
    "Publisher": "context",
    "Registration": "bus",
    "Scope": "bus",
    "Stream": "bus",
    "Subscription": "bus",
    "on": "handlers",
}

_MODULES = {
    "bus",
    "context",
    "events",
    "exceptions",
    "handlers",
    "items",
    "mailbox",
    "middleware",
    "plugins",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:  # as if they had been imported
        return import_module(f".{name}", __name__)
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(f".{_HOMES.get(name, 'exceptions')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
