"""
Publish an event to handlers that do nothing: the cost of a bus, and nothing else.

The limit is a function that calls every handler in a ``for`` loop: nobody can be faster who
calls them at all. The peers get their best case: one signal that exists already, one positional
argument, no weak references where that can be chosen. None of them looks for the handlers by
the class of the event, and most of them end with the first handler that raises.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final, TypeAlias

import blinker
import eventkit
import psygnal
import pyee.base
from measuring import Comparison, Effort, calling, calling_with_sender, compare

from eventbus import EventBus
from eventbus.events import RealtimeModelTranscriptDeltaEvent

__all__ = [
    "EVENT",
    "IN_SCOPE",
    "LIMIT",
    "OURS",
    "PEERS",
    "RUNNING",
    "WITH_SENDER",
    "no_op_handlers",
    "publish",
]

OURS: Final = "eventbus"
RUNNING: Final = "eventbus, bus running"
IN_SCOPE: Final = "eventbus, in a scope"
WITH_SENDER: Final = "eventbus, with a sender"
LIMIT: Final = "for loop"
PEERS: Final = ("blinker", "pyee", "psygnal", "eventkit")

EVENT: Final = RealtimeModelTranscriptDeltaEvent("item_1", "hello", "resp_1")

_Handlers: TypeAlias = list[Callable[[Any], None]]


def no_op_handlers(count: int) -> _Handlers:
    """Return *count* different handlers that do nothing."""

    def make() -> Callable[[Any], None]:
        def handler(event: Any) -> None:
            pass

        return handler

    return [make() for _ in range(count)]


def _bus(handlers: _Handlers) -> EventBus:
    bus = EventBus()
    for handler in handlers:
        bus.subscribe(handler, RealtimeModelTranscriptDeltaEvent)
    return bus


def _limit(handlers: _Handlers) -> Callable[[Any], object]:
    def publish(event: Any) -> None:
        for handler in handlers:
            handler(event)

    return publish


def _blinker(handlers: _Handlers) -> Callable[[Any], object]:
    signal = blinker.Signal()
    for handler in handlers:
        signal.connect(handler, weak=False)
    return signal.send  # with the event as the sender: an argument by keyword would cost more


def _pyee(handlers: _Handlers) -> Callable[[Any], object]:
    emitter = pyee.base.EventEmitter()
    for handler in handlers:
        emitter.on("event", handler)

    def publish(event: Any) -> None:
        emitter.emit("event", event)

    return publish


def _psygnal(handlers: _Handlers) -> Callable[[Any], object]:
    signal = psygnal.SignalInstance((object,))
    for handler in handlers:
        signal.connect(handler)
    return signal.emit


def _eventkit(handlers: _Handlers) -> Callable[[Any], object]:
    event = eventkit.Event()
    for handler in handlers:
        event.connect(handler)
    return event.emit


async def publish(handlers: int, effort: Effort) -> Comparison:
    """Compare publishing to so many *handlers*."""

    def some() -> _Handlers:
        return no_op_handlers(handlers)

    with ExitStack() as stack:
        scope = stack.enter_context(_bus([]).scope("call-42"))
        for handler in some():
            scope.subscribe(handler, RealtimeModelTranscriptDeltaEvent)
        with_sender = _bus(some())
        async with _bus(some()) as running:
            calls: dict[str, Callable[[Any], object]] = {
                OURS: _bus(some()).publish,
                LIMIT: _limit(some()),
                "blinker": _blinker(some()),
                "pyee": _pyee(some()),
                "psygnal": _psygnal(some()),
                "eventkit": _eventkit(some()),
                RUNNING: running.publish,
                IN_SCOPE: scope.publish,
            }
            sides = [calling(name, call, [EVENT]) for name, call in calls.items()]
            sides.append(calling_with_sender(WITH_SENDER, with_sender.publish, [EVENT], "call-42"))
            return await compare(sides, effort)
